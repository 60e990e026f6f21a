"""One self-contained page for one or several structures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

import mofonon
from mofonon.errors import SettingsError
from mofonon.lattice.schemas import PhononDoc
from mofonon.report.curves import notice_of
from mofonon.report.markup import Html, escape, join, tag
from mofonon.report.payload import figure_data
from mofonon.report.results_sections import ResultSection
from mofonon.report.sections import Entry, section, summary
from mofonon.report.structure_view import view_data


def write_page(
    docs: Sequence[PhononDoc],
    path: Path,
    *,
    document_ids: Sequence[str] | None = None,
    title: str | None = None,
    names: Sequence[str] | None = None,
) -> Path:
    """Write one HTML page with everything in it; it never asks the network for anything.

    Parameters
    ----------
    docs : sequence of PhononDoc
        The documents, with their arrays.
    path : Path
        The file; its folder is made if absent.
    document_ids : sequence of str, optional
        Ids in the store, shown with each structure.
    title : str, optional
        Title of the page.
    names : sequence of str, optional
        Names of the structures, such as MOF-5; their formulas if left out.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    SettingsError
        When there are no documents, or not as many names or ids.
    """
    entries = make_entries(docs, document_ids, names)
    if title is None:
        what = entries[0].text if len(docs) == 1 else f"{len(docs)} structures"
        title = f"Phonons of {what}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(entries, title), encoding="utf-8", newline="\n")
    return path


def make_entries(
    docs: Sequence[PhononDoc],
    document_ids: Sequence[str] | None,
    names: Sequence[str] | None,
) -> list[Entry]:
    """Make numbered entries of the documents of a page."""
    if not docs:
        raise SettingsError("a report needs at least one document", "check the query")
    for what, given in (("ids", document_ids), ("names", names)):
        if given is not None and len(given) != len(docs):
            raise SettingsError(
                f"there are {len(docs)} documents but {len(given)} {what}",
                "give one for each document, or none",
            )
    wanted = list(names) if names else [doc.formula_pretty or "structure" for doc in docs]
    return [
        Entry(
            number=index + 1,
            doc=doc,
            name=wanted[index],
            repeat=wanted[: index + 1].count(wanted[index]),
            document_id=document_ids[index] if document_ids else None,
        )
        for index, doc in enumerate(docs)
    ]


def render(entries: Sequence[Entry], title: str, extra: Sequence[ResultSection] = ()) -> str:
    """Make the page as text; `extra` are sections after those of the phonons."""
    return fill_template(
        title=title,
        notices=_notices(entries),
        summary=summary(entries),
        sections=[*(section(entry) for entry in entries), *(each.content for each in extra)],
        data=[*(_data(entry) for entry in entries), *(each.data for each in extra)],
        scripts=("view.js", "page.js", *(["results.js"] if extra else [])),
    )


def fill_template(
    *,
    title: str,
    notices: Html,
    summary: Html,
    sections: Sequence[Html],
    data: Sequence[Html],
    scripts: Sequence[str],
) -> str:
    """Fill the template of pages with figures.

    Parameters
    ----------
    title : str
        Title of the page.
    notices, summary : Html
        What is said at the top.
    sections, data : sequence of Html
        Sections, and the data of their figures as scripts of JSON.
    scripts : sequence of str
        Files of this package that draw the figures; they run after plotly, and no other
        script is allowed to run.
    """
    from plotly.offline import get_plotlyjs

    # a browser hashes a script after it has made every line end a newline
    plotly = get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")
    texts = [plotly, *(package_text(name) for name in scripts)]
    return Template(package_text("template.html")).substitute(
        title=escape(title),
        hashes=" ".join(f"'{script_hash(text)}'" for text in texts),
        style=package_text("page.css"),
        version=escape(mofonon.__version__),
        notices=notices,
        summary=summary,
        sections=join(sections, "\n"),
        data=join(data, "\n"),
        scripts="\n".join(f"<script>{text}</script>" for text in texts),
    )


def _notices(entries: Sequence[Entry]) -> Html:
    """Say at the top which structures have a stand-in behind their numbers."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        notice = notice_of(entry.doc)
        if notice:
            found.setdefault(notice, []).append(entry)
    return join(
        tag(
            "p",
            join(
                (
                    tag("strong", f"Stand-in: {notice}."),
                    " Behind the numbers of ",
                    _links(those),
                )
            ),
            class_="banner alarm",
        )
        for notice, those in found.items()
    )


def _links(entries: Sequence[Entry]) -> Html:
    links = (tag("a", entry.label, href=f"#{entry.anchor}") for entry in entries)
    return join((join(links, ", "), "."))


def _data(entry: Entry) -> Html:
    return Html(
        f'<script type="application/json" id="data-{entry.anchor}">'
        f"{figure_data(entry.doc)}</script>\n"
        f'<script type="application/json" id="view-{entry.anchor}">'
        f"{view_data(entry.doc)}</script>"
    )


def package_text(name: str) -> str:
    """Text of a file of this package."""
    return (resources.files("mofonon.report") / name).read_text(encoding="utf-8")


def script_hash(text: str) -> str:
    """Hash of a script, by which a page allows it."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
