"""The page of a MOF: its phonons by each potential, then bulk modulus and expansion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mofonon.errors import SettingsError
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc
from mofonon.lattice.expansion_schemas import MdExpansionDoc
from mofonon.lattice.qha_schemas import QhaDoc
from mofonon.lattice.schemas import PhononDoc
from mofonon.lattice.stabilize_schemas import StabilizeDoc
from mofonon.report.page import make_entries, render
from mofonon.report.results_figures import ResultDoc
from mofonon.report.results_page import render_results
from mofonon.report.results_sections import kind_of, make_sections

#: Kinds of documents that a page of a MOF shows, by class name, in the order of the page.
SHOWN: dict[str, type[PhononDoc | ResultDoc]] = {
    "PhononDoc": PhononDoc,
    "StabilizeDoc": StabilizeDoc,
    "BulkModulusDoc": BulkModulusDoc,
    "QhaDoc": QhaDoc,
    "MdExpansionDoc": MdExpansionDoc,
}


def render_mof(documents: Sequence[dict[str, Any]], name: str) -> str:
    """Make the page of a structure as one HTML text that asks the network for nothing.

    Parameters
    ----------
    documents : sequence of dict
        PhononDoc, StabilizeDoc, BulkModulusDoc, QhaDoc, MdExpansionDoc, as the store gives
        them with their arrays and ``document_id``; other kinds are passed over.
    name : str
        Name of the structure.

    Raises
    ------
    SettingsError
        None of them is of a kind that can be shown.
    """
    order = list(SHOWN)
    shown = sorted(
        (document for document in documents if document.get("@class") in SHOWN),
        key=lambda document: order.index(document["@class"]),
    )
    if not shown:
        raise SettingsError(
            f"there is nothing to show of {name}",
            "name phonon, bulk-modulus or qha documents (mofonon query)",
        )
    phonons: list[tuple[PhononDoc, str]] = []
    results: list[tuple[ResultDoc, str]] = []
    for document in shown:
        doc = SHOWN[document["@class"]].model_validate(document)
        identity = str(document["document_id"])
        if isinstance(doc, PhononDoc):
            phonons.append((doc, identity))
        else:
            results.append((doc, identity))
    docs = [doc for doc, _ in results]
    identities = [identity for _, identity in results]
    headings = [f"{kind_of(doc)}, {doc.potential.label}" for doc in docs]
    if not phonons:
        return render_results(docs, name, headings=headings, document_ids=identities)
    entries = make_entries(
        [doc for doc, _ in phonons],
        [identity for _, identity in phonons],
        [name] * len(phonons),
    )
    return render(entries, name, make_sections(docs, headings, identities))
