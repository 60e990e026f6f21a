"""Which new structures lie outside what a training set covers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from mofonon.errors import CurationError
from mofonon.structures.curation import StructureRecord
from mofonon.structures.farthest_point import FarthestPointSampler, farthest_point_sampling
from mofonon.structures.fingerprints import FingerprintSpec
from mofonon.structures.manifest import SelectionManifest
from mofonon.structures.selection import in_space


class CoverageRow(BaseModel):
    """A new structure against a training set."""

    id: str = Field(description="File name without suffixes.")
    formula: str | None = Field(description="Reduced formula.")
    n_atoms: int | None = Field(description="Atoms in the cell.")
    distance: float = Field(description="Distance to the nearest structure of the set.")
    nearest: str = Field(description="Id of that structure.")
    ratio: float | None = Field(
        description="Distance over the threshold; None where the threshold is 0."
    )
    new_elements: list[str] = Field(description="Elements that the set does not have.")
    outside: bool = Field(description="Beyond the threshold, or with new elements.")
    order: int | None = Field(
        None,
        description="For those outside: place in the order in which farthest-point sampling "
        "would add them to the set, from 1.",
    )


class CoverageReport(BaseModel):
    """New structures against a training set."""

    quantile: float = Field(description="Quantile of distances that is the threshold.")
    threshold: float = Field(description="Distances beyond it are outside.")
    threshold_of: str = Field(
        description="Structures that the quantile is over: not chosen, or chosen."
    )
    n_outside: int = Field(description="New structures outside.")
    n_inside: int = Field(description="New structures inside.")
    n_refused: int = Field(0, description="New structures that curation refused.")
    new_elements: list[str] = Field(description="Elements that the set does not have.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    rows: list[CoverageRow] = Field(description="Farthest first.")


def threshold_of(manifest: SelectionManifest, quantile: float) -> float:
    """Distance at a quantile of those in the manifest (linear between percentiles)."""
    return float(np.interp(100 * quantile, np.arange(101), manifest.distance_percentiles))


def judge_coverage(
    records: Sequence[StructureRecord],
    descriptors: NDArray[np.float32],
    manifest: SelectionManifest,
    chosen: NDArray[np.float32],
    quantile: float = 0.95,
) -> CoverageReport:
    """Compare new structures with a training set.

    Parameters
    ----------
    records : sequence of StructureRecord
        The new structures, accepted ones.
    descriptors : ndarray, shape (n_new, 3, n_features)
        Their descriptors, by the fingerprint of the manifest.
    manifest : SelectionManifest
        The training set.
    chosen : ndarray, shape (n_chosen, 3, n_features)
        Its descriptors.
    quantile : float
        A structure is outside when it is farther from the set than this share of the
        structures that the set was chosen from.

    Raises
    ------
    SelectionError
        The descriptors do not fit each other.
    """
    space = manifest.selection.space
    points, reference = in_space(descriptors, space), in_space(chosen, space)
    # each new point against the set: the set's points cover, one after the other
    sampler = FarthestPointSampler(points)
    nearest = np.zeros(len(points), dtype=int)
    before = np.full(len(points), np.inf)
    for number, point in enumerate(reference):
        sampler.cover(point)
        now = sampler.nearest()
        nearest[now < before] = number
        before = now
    threshold = threshold_of(manifest, quantile)
    rows = [
        _row(record, float(before[i]), manifest.ids[nearest[i]], threshold, manifest)
        for i, record in enumerate(records)
    ]
    outside = [i for i, row in enumerate(rows) if row.outside]
    if outside:
        order = farthest_point_sampling(
            points[outside],
            len(outside),
            fixed_points=reference,
            keys=[records[i].id for i in outside],
        )
        for place, index in enumerate(order.indices, start=1):
            rows[outside[index]].order = place
    rows.sort(key=lambda row: (-row.distance, row.id))
    return CoverageReport(
        quantile=quantile,
        threshold=threshold,
        threshold_of=manifest.percentiles_of,
        n_outside=len(outside),
        n_inside=len(rows) - len(outside),
        new_elements=sorted({element for row in rows for element in row.new_elements}),
        notice=manifest.notice,
        rows=rows,
    )


def _row(
    record: StructureRecord,
    distance: float,
    nearest: str,
    threshold: float,
    manifest: SelectionManifest,
) -> CoverageRow:
    new_elements = [el for el in record.elements if el not in manifest.elements]
    return CoverageRow(
        id=record.id,
        formula=record.formula,
        n_atoms=record.n_atoms,
        distance=distance,
        nearest=nearest,
        ratio=distance / threshold if threshold > 0 else None,
        new_elements=new_elements,
        outside=distance > threshold or bool(new_elements),
    )


def check_fingerprint(manifest: SelectionManifest, spec: FingerprintSpec) -> None:
    """Check that a fingerprint is that of a manifest.

    Raises
    ------
    CurationError
        It is another: distances would mean nothing.
    """
    if spec.identity() != manifest.fingerprint:
        raise CurationError(
            f"{spec.label} is not the model that the manifest's distances are of "
            f"({manifest.fingerprint_spec.label}, {manifest.fingerprint})",
            "give that model with --model",
        )
