"""Sections of bulk moduli, expansion and stabilization on pages: numbers and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc
from mofonon.lattice.bulk_modulus_summary import bulk_modulus_row
from mofonon.lattice.expansion_schemas import MdExpansionDoc
from mofonon.lattice.expansion_summary import expansion_row
from mofonon.lattice.qha_schemas import QhaDoc
from mofonon.lattice.qha_summary import qha_row
from mofonon.report.markup import Html, facts, join, tag
from mofonon.report.payload import script_safe
from mofonon.report.results_figures import InteractiveFigure, ResultDoc, figures_of

_KINDS = {
    "BulkModulusDoc": "Bulk modulus",
    "QhaDoc": "Thermal expansion, quasi-harmonic",
    "MdExpansionDoc": "Thermal expansion, molecular dynamics",
    "StabilizeDoc": "Imaginary modes",
}


def kind_of(doc: ResultDoc) -> str:
    """Say in words what a document is about."""
    return _KINDS[type(doc).__name__]


@dataclass(frozen=True)
class ResultSection:
    """A section and the data of its figures, which ``results.js`` draws.

    Attributes
    ----------
    content, data : Html
        The section; scripts of JSON, for the end of the page.
    """

    content: Html
    data: Html


def make_section(
    number: int, doc: ResultDoc, title: str, document_id: str | None
) -> ResultSection:
    """Make the section of a document.

    Parameters
    ----------
    number : int
        Its number on the page; the anchor is ``result-NUMBER``.
    doc : BulkModulusDoc, QhaDoc, MdExpansionDoc or StabilizeDoc
        The document, with its arrays.
    title : str
        Heading.
    document_id : str or None
        Id in the store.
    """
    anchor = f"result-{number}"
    figures = [(f"{anchor}-{m}", figure) for m, figure in enumerate(figures_of(doc), start=1)]
    items = join(tag("li", text) for text in doc.warnings if text != doc.notice)
    content = (
        tag("h2", title, id=f"{anchor}-title"),
        tag("div", tag("ul", items), class_="banner", role="note") if items else Html(""),
        facts("Result", [*_row(doc).items(), ("document", document_id or "")]),
        *(_figure(*each) for each in figures),
    )
    return ResultSection(
        tag("section", join(content, "\n"), id=anchor, aria_labelledby=f"{anchor}-title"),
        join((_data(*each) for each in figures), "\n"),
    )


def make_sections(
    docs: Sequence[ResultDoc], titles: Sequence[str], document_ids: Sequence[str | None]
) -> list[ResultSection]:
    """Make the sections of documents, numbered from 1; see :func:`make_section`."""
    return [
        make_section(number, *entry)
        for number, entry in enumerate(zip(docs, titles, document_ids, strict=True), start=1)
    ]


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
