"""Documents of the quasi-harmonic approximation made from results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from mofonon.arrays import EncodedArray
from mofonon.lattice.documents import find_space_group
from mofonon.lattice.qha_doubts import about_failures, about_gruneisen, doubts
from mofonon.lattice.qha_schemas import (
    ExcludedVolume,
    QhaArrays,
    QhaDoc,
    QhaSeries,
    QhaSettings,
    VolumePoint,
)
from mofonon.lattice.qha_summary import SERIES_OF
from mofonon.lattice.qha_volumes import Gruneisen, Volume, fit_gruneisen, used_volumes
from mofonon.lattice.quasi_harmonic import QuasiHarmonicResult, cell_against_temperature
from mofonon.lattice.schemas import CellParameters, RelaxSummary
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.potentials import PotentialDescription
from mofonon.provenance import content_hash, software_versions

Floats = NDArray[np.float64]

_CELL_FIELDS = ("a", "b", "c", "alpha", "beta", "gamma")
_PER_MILLION = 1e6


def qha_calculation_id(
    input_hash: str,
    potential: PotentialDescription,
    relax_settings: RelaxSettings | None,
    settings: QhaSettings,
    phonons: PhononSettings,
) -> str:
    """Identity of a quasi-harmonic calculation, with the relaxation before it."""
    relaxation = relax_settings.model_dump(mode="json") if relax_settings else None
    return content_hash(
        {
            "kind": "qha",
            "structure": input_hash,
            "potential": potential.identity,
            "relaxation": relaxation,
            "settings": settings.model_dump(mode="json"),
            "phonons": phonons.model_dump(mode="json"),
        }
    )


def qha_document(
    structure: Structure,
    volumes: Sequence[Volume],
    result: QuasiHarmonicResult,
    settings: QhaSettings,
    phonons: PhononSettings,
    *,
    failed: Sequence[ExcludedVolume] = (),
    relaxation: RelaxSummary | None,
    potential: PotentialDescription,
    start: float,
    **provenance: Any,
) -> QhaDoc:
    """Make the document of a quasi-harmonic calculation.

    Parameters
    ----------
    structure : Structure
        The structure at zero strain.
    volumes : sequence of Volume
        All volumes that could be relaxed, with those that are not used.
    result : QuasiHarmonicResult
        The fit to those that are.
    settings : QhaSettings
        Volumes and fits.
    phonons : PhononSettings
        Phonons at each volume.
    failed : sequence of ExcludedVolume
        Volumes that could not be relaxed.
    relaxation : RelaxSummary or None
        How the structure was relaxed.
    potential : PotentialDescription
        The potential.
    start : float
        When the fits began (s, of time.perf_counter).
    **provenance
        input_hash, calculation_id and n_extensions.
    """
    volumes = sorted(volumes, key=lambda volume: volume.point.linear_strain)
    used = used_volumes(volumes, settings)
    points = [volume.point for volume in volumes]
    at_300 = _index_of_300(result)
    gruneisen = fit_gruneisen(used, float(result.volumes[at_300 or 0]))
    series = _series(used, result, gruneisen)
    headline = _headline(series, result, at_300)
    notice = _notice(potential, points)
    equilibrium = min(volumes, key=lambda volume: abs(volume.point.linear_strain))
    return QhaDoc.from_structure(
        meta_structure=structure,
        structure=structure,
        relaxation=relaxation,
        space_group=find_space_group(structure, phonons.symprec),
        cell=CellParameters.from_structure(structure),
        **headline,
        gruneisen_volume=gruneisen.volume if gruneisen else None,
        highest_temperature=_highest_temperature(result),
        n_volumes_used=len(used),
        excluded_volumes=_excluded(points, failed),
        imaginary_modes_left_out=any(p.used and p.n_imaginary_modes for p in points),
        points=points,
        series=series,
        arrays=_arrays(result, gruneisen),
        settings=settings,
        phonon_settings=phonons,
        potential=potential,
        notice=notice,
        warnings=[
            *([notice] if notice else []),
            *(text for text in equilibrium.warnings if text != potential.notice),
            *doubts(
                points,
                result,
                settings,
                frequencies=np.array([v.frequencies for v in used]) if gruneisen else None,
                weights=used[0].weights,
            ),
            *about_failures(failed),
            *about_gruneisen(headline["gruneisen_300K"], headline["gruneisen_modes_300K"]),
        ],
        software=software_versions(),
        **_costs(points, failed, relaxation, time.perf_counter() - start),
        **provenance,
    )


def _index_of_300(result: QuasiHarmonicResult) -> int | None:
    """Index of 300 K, where the volume lies between those computed."""
    found = np.flatnonzero(np.isclose(result.temperatures, 300.0) & result.inside)
    return int(found[0]) if found.size else None


def _highest_temperature(result: QuasiHarmonicResult) -> float | None:
    n_inside = len(result.inside) if result.inside.all() else int(np.argmin(result.inside))
    return float(result.temperatures[n_inside - 1]) if n_inside else None


def _headline(
    series: QhaSeries, result: QuasiHarmonicResult, at_300: int | None
) -> dict[str, Any]:
    """Single numbers for queries."""
    at_zero = result.temperatures[0] == 0 and result.inside[0]
    values = {
        f"{name}_300K": None if at_300 is None else getattr(series, field)[at_300]
        for name, field in SERIES_OF.items()
    }
    return {**values, "volume_0K": float(result.volumes[0]) if at_zero else None}


def _series(
    used: Sequence[Volume], result: QuasiHarmonicResult, gruneisen: Gruneisen | None
) -> QhaSeries:
    volumes = [volume.point.cell.volume for volume in used]
    cells = [[getattr(v.point.cell, name) for name in _CELL_FIELDS] for v in used]
    cell = cell_against_temperature(volumes, cells, result)
    means = (
        gruneisen.means(result.temperatures)
        if gruneisen
        else np.full(len(result.temperatures), np.nan)
    )
    axial = dict(zip(("cte_a", "cte_b", "cte_c"), cell.axial_cte.T, strict=True))
    return QhaSeries(
        temperatures=result.temperatures.tolist(),
        volumes=result.volumes.tolist(),
        cte_linear=_numbers(_PER_MILLION * result.cte_linear),
        cte_volumetric=_numbers(_PER_MILLION * result.cte_volumetric),
        bulk_moduli=result.bulk_moduli.tolist(),
        gibbs=result.gibbs.tolist(),
        heat_capacities_p=_numbers(result.heat_capacity_p),
        gruneisen=_numbers(result.gruneisen),
        gruneisen_modes=_numbers(means),
        inside=result.inside.tolist(),
        **dict(zip(_CELL_FIELDS, cell.parameters.T.tolist(), strict=True)),
        **{name: _numbers(_PER_MILLION * values) for name, values in axial.items()},
    )


def _numbers(values: Floats) -> list[float | None]:
    """Plain numbers; None for what is undefined."""
    return [float(value) if np.isfinite(value) else None for value in values]


def _arrays(result: QuasiHarmonicResult, gruneisen: Gruneisen | None) -> QhaArrays:
    encode = EncodedArray.encode
    modes = {}
    if gruneisen is not None:
        modes = {
            "qpoints": encode(gruneisen.qpoints),
            "qpoint_weights": encode(gruneisen.weights),
            "frequencies": encode(gruneisen.frequencies),
            "mode_gruneisen": encode(gruneisen.modes),
        }
    return QhaArrays(
        sampled_volumes=encode(result.sampled_volumes),
        helmholtz=encode(result.helmholtz),
        parameters=encode(result.parameters),
        **modes,
    )


def _notice(potential: PotentialDescription, points: Sequence[VolumePoint]) -> str | None:
    """Say what every output must show: a stand-in, imaginary modes left out."""
    found = [potential.notice] if potential.notice else []
    marked = [point for point in points if point.used and point.n_imaginary_modes]
    if marked:
        found.append(
            f"imaginary modes were left out at {len(marked)} of {len(points)} volumes "
            "(--allow-imaginary): these are not properties of a stable structure"
        )
    return "; ".join(found) or None


def _excluded(
    points: Sequence[VolumePoint], failed: Sequence[ExcludedVolume]
) -> list[ExcludedVolume]:
    """All volumes left out, ascending."""
    unstable = [
        ExcludedVolume(volume=point.cell.volume, **_common_fields(point))
        for point in points
        if not point.used
    ]
    return sorted([*unstable, *failed], key=lambda each: each.linear_strain)


def _common_fields(point: VolumePoint) -> dict[str, Any]:
    return point.model_dump(include={"linear_strain", "min_frequency", "n_imaginary_modes"})


def _costs(
    points: Sequence[VolumePoint],
    failed: Sequence[ExcludedVolume],
    relaxation: RelaxSummary | None,
    fit_seconds: float,
) -> dict[str, Any]:
    """Force evaluations and wall times of each part."""
    of_relaxation = relaxation.n_force_evaluations if relaxation else 0
    in_vain = sum(each.n_force_evaluations or 0 for each in failed)
    of_volumes = sum(point.n_relax_evaluations for point in points) + in_vain
    in_all = sum(point.n_force_evaluations for point in points) + in_vain
    seconds = {
        "relaxation": relaxation.seconds if relaxation else 0.0,
        **{
            f"volumes_{part}": sum(point.seconds[part] for point in points)
            for part in ("relaxation", "forces", "analysis")
        },
        "fit": fit_seconds,
    }
    return {
        "n_force_evaluations": of_relaxation + in_all,
        "n_force_evaluations_by_part": {
            "relaxation": of_relaxation,
            "volumes_relaxation": of_volumes,
            "volumes_displacements": in_all - of_volumes,
        },
        "seconds": {
            **seconds,
            "potential": sum(point.seconds["potential"] for point in points),
            "total": sum(seconds.values()),
        },
    }
