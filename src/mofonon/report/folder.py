"""A report of a store as a folder: the page of the campaign, a page a MOF, figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mofonon import progress
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc
from mofonon.lattice.expansion_schemas import MdExpansionDoc
from mofonon.lattice.qha_schemas import QhaDoc
from mofonon.lattice.schemas import PhononDoc
from mofonon.report.attempts import write_attempts
from mofonon.report.campaign_page import render_campaign
from mofonon.report.energy_volume import write_energy_volume
from mofonon.report.expansion import write_expansion_figure
from mofonon.report.figures import write_figures
from mofonon.report.mof_page import SHOWN, render_mof
from mofonon.report.overview import Overview, collect_overview
from mofonon.report.quasi_harmonic import write_qha_figures
from mofonon.report.style import check_formats, using_style
from mofonon.report.write import unique_stems
from mofonon.store import DOCUMENT_TYPES, get_document

if TYPE_CHECKING:
    from jobflow import JobStore

_SHOWN_KINDS = [kind for kind, name in DOCUMENT_TYPES.items() if name in SHOWN]


def write_folder(
    store: JobStore,
    folder: Path,
    *,
    title: str = "mofonon campaign",
    criteria: dict[str, Any] | None = None,
    pages: bool = True,
    formats: Sequence[str] = (),
    style: str | None = None,
) -> Path:
    """Write ``index.html``, ``mof/*.html`` and, if asked for, ``figures/*``.

    Parameters
    ----------
    store : JobStore
        An open store; it is only read.
    folder : Path
        Made if absent; files of the same names are replaced.
    title : str
        Title of the page of the campaign.
    criteria : dict, optional
        MongoDB criteria on fields of the documents.
    pages : bool
        Write a page for each structure, about 5 MB each.
    formats : sequence of str
        Formats of the figures for papers: png, svg, pdf; none if empty.
    style : str, optional
        matplotlib style of the figures: a file or a name.

    Returns
    -------
    Path
        The page of the campaign.
    """
    check_formats(formats)
    overview = collect_overview(store, criteria)
    folder.mkdir(parents=True, exist_ok=True)
    links: dict[str, str] = {}
    todo = list(_structures(overview))
    stems = unique_stems([name for name, _ in todo])
    for index, ((name, identities), stem) in enumerate(zip(todo, stems, strict=True)):
        if not pages and not formats:
            break
        documents = [get_document(store, i, with_arrays=True) for i in identities]
        if pages:
            page = folder / "mof" / f"{stem}.html"
            page.parent.mkdir(exist_ok=True)
            page.write_text(render_mof(documents, name), encoding="utf-8", newline="\n")
            links |= dict.fromkeys(identities, f"mof/{stem}.html")
        if formats:
            with using_style(style):
                _write_figures(documents, folder / "figures", stem, formats)
        progress.report("pages", index + 1, len(todo))
    index_page = folder / "index.html"
    index_page.write_text(
        render_campaign(overview, title, links=links), encoding="utf-8", newline="\n"
    )
    return index_page


def _structures(overview: Overview) -> Iterator[tuple[str, list[str]]]:
    """Names of structures with the ids of their documents, all potentials together."""
    found: dict[tuple[str, int | None], list[str]] = {}
    for row in overview.rows:
        ids = [row.documents[kind] for kind in _SHOWN_KINDS if kind in row.documents]
        if ids:
            found.setdefault((row.name, row.atoms), []).extend(ids)
    for (name, _), identities in found.items():
        yield name, identities


def _write_figures(
    documents: Sequence[dict[str, Any]], folder: Path, stem: str, formats: Sequence[str]
) -> None:
    for document in documents:
        name = f"{stem}-{str(document['document_id'])[:8]}"
        doc = SHOWN[document["@class"]].model_validate(document)
        if isinstance(doc, PhononDoc):
            write_figures(doc, folder, name, formats)
            continue
        for extension in formats:
            if isinstance(doc, BulkModulusDoc):
                write_energy_volume(doc, folder, name, extension)
            elif isinstance(doc, QhaDoc):
                write_qha_figures(doc, folder, name, extension)
            elif isinstance(doc, MdExpansionDoc):
                write_expansion_figure(doc, folder, name, extension)
            else:
                write_attempts(doc, folder, name, extension)
