"""One self-contained page of bulk moduli, expansion or stabilization."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from string import Template

import mofonon
from mofonon.errors import SettingsError
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc
from mofonon.lattice.bulk_modulus_summary import bulk_modulus_row
from mofonon.lattice.expansion_schemas import MdExpansionDoc
from mofonon.lattice.expansion_summary import expansion_row
from mofonon.lattice.qha_schemas import QhaDoc
from mofonon.lattice.qha_summary import qha_row
from mofonon.report.markup import Html, escape, facts, join, tag
from mofonon.report.page import package_text, script_hash
from mofonon.report.payload import script_safe
from mofonon.report.results_figures import InteractiveFigure, ResultDoc, figures_of

_KINDS = {
    "BulkModulusDoc": "Bulk modulus",
    "QhaDoc": "Thermal expansion, quasi-harmonic",
    "MdExpansionDoc": "Thermal expansion, molecular dynamics",
    "StabilizeDoc": "Imaginary modes",
}


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
    from plotly.offline import get_plotlyjs

    if not docs:
        raise SettingsError("a page needs at least one document", "check the query")
    title = f"{_KINDS[type(docs[0]).__name__]} of {', '.join(names)}"
    figures = [figures_of(doc) for doc in docs]
    plotly = get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")
    script = package_text("results.js")
    entries = list(zip(docs, names, document_ids, figures, strict=True))
    text = Template(package_text("template.html")).substitute(
        title=escape(title),
        hashes=" ".join(f"'{script_hash(part)}'" for part in (plotly, script)),
        style=package_text("page.css"),
        version=escape(mofonon.__version__),
        notices=_notices(docs),
        summary=_contents(names),
        sections=join((_section(n, *entry) for n, entry in enumerate(entries, start=1)), "\n"),
        data=join(
            (
                _data(f"result-{n}-{m}", figure)
                for n, found in enumerate(figures, start=1)
                for m, figure in enumerate(found, start=1)
            ),
            "\n",
        ),
        plotly=plotly,
        viewer="",
        script=script,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _notices(docs: Sequence[ResultDoc]) -> Html:
    found = dict.fromkeys(doc.notice for doc in docs if doc.notice)
    return join(
        tag("p", tag("strong", f"Notice: {text}."), class_="banner alarm") for text in found
    )


def _contents(names: Sequence[str]) -> Html:
    links = (tag("a", name, href=f"#result-{n}") for n, name in enumerate(names, start=1))
    return tag("p", join(links, ", "))


def _section(
    number: int,
    doc: ResultDoc,
    name: str,
    document_id: str | None,
    figures: Sequence[InteractiveFigure],
) -> Html:
    anchor = f"result-{number}"
    warnings = [text for text in doc.warnings if text != doc.notice]
    items = join(tag("li", text) for text in warnings)
    banner = (
        tag("div", tag("ul", items), class_="banner", role="note") if warnings else Html("")
    )
    content = (
        tag("h2", name, id=f"{anchor}-title"),
        banner,
        facts("Result", [*_row(doc).items(), ("document", document_id or "")]),
        *(_figure(f"{anchor}-{m}", each) for m, each in enumerate(figures, start=1)),
    )
    return tag("section", join(content, "\n"), id=anchor, aria_labelledby=f"{anchor}-title")


def _row(doc: ResultDoc) -> dict[str, str]:
    if isinstance(doc, BulkModulusDoc):
        return bulk_modulus_row(doc)
    if isinstance(doc, QhaDoc):
        return qha_row(doc)
    if isinstance(doc, MdExpansionDoc):
        return expansion_row(doc)
    lowest = f"{doc.min_frequency_before:.4f} \u2192 {doc.min_frequency:.4f}"
    return {
        "formula": doc.formula_pretty or "",
        "state": doc.state,
        "space group": f"{doc.space_group_before} \u2192 {doc.space_group.symbol}",
        "lowest frequency (THz)": lowest,
        "energy change (meV/atom)": f"{1e3 * doc.energy_change_per_atom:.4f}",
        "attempts": str(doc.n_attempts),
        "potential": doc.potential.label,
        "force evaluations": str(doc.n_force_evaluations),
    }


def _figure(ident: str, figure: InteractiveFigure) -> Html:
    plot = tag(
        "div",
        tag("p", "Drawn by JavaScript.", class_="waiting"),
        class_="plot result",
        id=f"{ident}-plot",
        data_source=ident,
        style="height:26rem",
        role="group",
        aria_label=figure.title,
        aria_describedby=f"{ident}-text",
    )
    caption = tag("figcaption", figure.caption, id=f"{ident}-text")
    return join((tag("h3", figure.title), tag("figure", join((plot, caption)))))


def _data(ident: str, figure: InteractiveFigure) -> Html:
    content = json.dumps({"data": figure.data, "layout": figure.layout}, allow_nan=False)
    return Html(f'<script type="application/json" id="{ident}">{script_safe(content)}</script>')
