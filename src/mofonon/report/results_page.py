"""One self-contained page of bulk moduli, expansion or stabilization."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mofonon.errors import SettingsError
from mofonon.report.markup import Html, join, tag
from mofonon.report.page import fill_template
from mofonon.report.results_figures import ResultDoc
from mofonon.report.results_sections import kind_of, make_sections


def write_results_page(
    docs: Sequence[ResultDoc],
    path: Path,
    *,
    names: Sequence[str],
    document_ids: Sequence[str | None],
) -> Path:
    """Write one HTML page with all figures; it never asks the network for anything.

    Parameters
    ----------
    docs : sequence of BulkModulusDoc, QhaDoc, MdExpansionDoc or StabilizeDoc
        The documents, with their arrays.
    path : Path
        The file; its folder is made if absent.
    names : sequence of str
        Names of the structures.
    document_ids : sequence of str or None
        Ids in the store.

    Raises
    ------
    SettingsError
        When there are no documents.
    """
    if not docs:
        raise SettingsError("a page needs at least one document", "check the query")
    title = f"{kind_of(docs[0])} of {', '.join(names)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = render_results(docs, title, headings=names, document_ids=document_ids)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def render_results(
    docs: Sequence[ResultDoc],
    title: str,
    *,
    headings: Sequence[str],
    document_ids: Sequence[str | None],
) -> str:
    """Make the page as text: a section for each document, under a heading of its own."""
    sections = make_sections(docs, headings, document_ids)
    return fill_template(
        title=title,
        notices=_notices(docs),
        summary=_contents(headings),
        sections=[each.content for each in sections],
        data=[each.data for each in sections],
        scripts=("results.js",),
    )


def _notices(docs: Sequence[ResultDoc]) -> Html:
    found = dict.fromkeys(doc.notice for doc in docs if doc.notice)
    return join(
        tag("p", tag("strong", f"Notice: {text}."), class_="banner alarm") for text in found
    )


def _contents(headings: Sequence[str]) -> Html:
    links = (tag("a", name, href=f"#result-{n}") for n, name in enumerate(headings, start=1))
    return tag("p", join(links, ", "))
