"""The page of a selection: funnel, maps, crystal systems, elements, the set itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mofonon.report import selection_figures as figures
from mofonon.report.markup import Html, facts, formula, table
from mofonon.report.static_page import figure_png, image, section, write_static_page
from mofonon.structures.curation import StructureRecord, funnel
from mofonon.structures.manifest import SelectionManifest
from mofonon.structures.selection import Selection

_SHOWN_REFUSALS = 500


def write_selection_page(
    manifest: SelectionManifest,
    records: Sequence[StructureRecord],
    descriptors: NDArray[np.float32],
    selection: Selection,
    folder: Path,
    projection: str = "pca",
) -> Path:
    """Write ``selection.html`` and its figures as PNG files.

    Parameters
    ----------
    manifest : SelectionManifest
        What was chosen.
    records : sequence of StructureRecord
        All records.
    descriptors : ndarray, shape (n_accepted, 3, n_features)
        Of the accepted structures.
    selection : Selection
        What was chosen, as rows.
    folder : Path
        Where page and figures go.
    projection : str
        ``pca`` or ``umap``.
    """
    accepted = [record for record in records if record.accepted]
    chosen = [accepted[index] for index in selection.indices]
    maps = {
        name: figures.project(descriptors[:, row], projection)
        for row, name in ((1, "nodes"), (2, "linkers"))
        if np.isfinite(descriptors[:, row]).all(axis=1).sum() > 1
    } or {"all atoms": figures.project(descriptors[:, 0], projection)}
    radii = [coverage.covering_radius for coverage in manifest.random_coverage]
    drawn = {
        "maps": figures.plot_maps(maps, selection.indices),
        "crystal-systems": figures.plot_crystal_systems(accepted, chosen),
        "elements": figures.plot_elements(accepted, chosen),
        "funnel": figures.plot_funnel(funnel(records)),
        "distances": figures.plot_distances(
            [choice.distance for choice in manifest.structures], radii
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    images = {}
    for name, figure in drawn.items():
        png = figure_png(figure)
        (folder / f"{name}.png").write_bytes(png)
        images[name] = image(png, name.replace("-", " "))
    return write_static_page(
        folder / "selection.html",
        f"{len(manifest.structures)} structures of {manifest.collection}",
        _sections(manifest, records, images),
        manifest.notice,
    )


def _sections(
    manifest: SelectionManifest,
    records: Sequence[StructureRecord],
    images: dict[str, Html],
) -> list[Html]:
    return [
        section("Funnel", images["funnel"], _refusals(records)),
        section("Maps of descriptors", images["maps"]),
        section("Coverage", images["distances"], _coverage(manifest)),
        section("Crystal systems", images["crystal-systems"]),
        section("Elements", images["elements"]),
        section("The set", _choices(manifest)),
        section("How it was made", _settings(manifest)),
    ]


def _coverage(manifest: SelectionManifest) -> Html:
    random = manifest.random_coverage
    rows: list[tuple[str, str, str, str]] = []
    for name, field, digits in (
        ("covering radius", "covering_radius", 4),
        ("mean distance to the nearest chosen", "mean_distance", 4),
        ("elements", "n_elements", 0),
        ("crystal systems", "n_crystal_systems", 0),
    ):
        values = [getattr(each, field) for each in random]
        rows.append(
            (
                name,
                f"{getattr(manifest.coverage, field):.{digits}f}",
                f"{min(values):.{digits}f}" if values else "",
                f"{max(values):.{digits}f}" if values else "",
            )
        )
    header = ("", "this set", "random, lowest", "random, highest")
    return table(f"Against {len(random)} random sets of the same size", header, rows)


def _choices(manifest: SelectionManifest) -> Html:
    header = (
        "order", "id", "formula", "atoms", "space group", "pore limiting diameter (\u00c5)",
        "why", "distance when chosen",
    )  # fmt: skip
    return table(
        "Chosen structures",
        header,
        [
            (
                choice.order,
                choice.id,
                formula(choice.formula),
                choice.n_atoms,
                choice.space_group,
                f"{choice.pore_limiting_diameter:.2f}"
                if choice.pore_limiting_diameter is not None
                else None,
                choice.reason,
                f"{choice.distance:.4g}" if choice.distance is not None else None,
            )
            for choice in manifest.structures
        ],
    )


def _refusals(records: Sequence[StructureRecord]) -> Html:
    refused = [record for record in records if not record.accepted]
    caption = f"Refused: {len(refused)}"
    if len(refused) > _SHOWN_REFUSALS:
        caption += f", the first {_SHOWN_REFUSALS} (all are in records.jsonl)"
    return table(
        caption,
        ("file", "filter", "why"),
        [(r.file, r.refused_by, r.message) for r in refused[:_SHOWN_REFUSALS]],
        numeric=False,
    )


def _settings(manifest: SelectionManifest) -> Html:
    curation = manifest.curation
    return facts(
        "Settings",
        [
            ("fingerprint", manifest.fingerprint_spec.label),
            ("weights (sha256)", manifest.fingerprint.get("weights")),
            ("distances over", manifest.selection.space),
            ("method", manifest.selection.method),
            ("fixed members", ", ".join(manifest.selection.fixed) or "none"),
            ("every element and crystal system", manifest.selection.stratify),
            ("closed shell", curation.closed_shell),
            ("pore limiting diameter above (\u00c5)", curation.min_pore),
            ("most atoms", curation.max_atoms),
            ("symmetry tolerance (\u00c5)", curation.symprec),
            ("descriptors (sha256)", manifest.descriptors_sha256),
        ],
    )
