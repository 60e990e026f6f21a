"""Documents of expansion by molecular dynamics made from trajectories."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from mofonon.arrays import EncodedArray
from mofonon.dynamics import Trajectory
from mofonon.errors import ExpansionError
from mofonon.lattice.documents import find_space_group, property_costs, to_structure
from mofonon.lattice.expansion import (
    CELL_FIELDS,
    ExpansionFit,
    TrajectoryAverages,
    average_trajectory,
    fit_expansion,
)
from mofonon.lattice.expansion_schemas import (
    CLASSICAL,
    ExpansionFitEntry,
    MdExpansionDoc,
    MdExpansionSettings,
    NptDoc,
    TemperaturePoint,
    TrajectoryArrays,
)
from mofonon.lattice.schemas import CellParameters, RelaxSummary
from mofonon.lattice.settings import RelaxSettings
from mofonon.potentials import PotentialDescription
from mofonon.provenance import content_hash, software_versions

_PER_MILLION = 1e6

#: Fewest samples that can be judged at all.
_FEWEST_SAMPLES = 16

#: A mean temperature off by more errors and by more than this share is worth a warning.
_TEMPERATURE_ERRORS, _TEMPERATURE_SHARE = 4.0, 0.02

#: Drift of the conserved quantity worth a warning: k_B times 10 K per 10 ps (eV/atom/ps).
_LARGE_DRIFT = 1e-4

#: Change of a length, at constant volume, that is more than expansion.
_LARGE_SHAPE_CHANGE = 0.03

#: Number of the first cubic space group: in cubic crystals all lengths expand alike.
_FIRST_CUBIC = 195

#: Scatter of the averages about the fit that their errors do not explain.
_LARGE_CHI2 = 4.0


def expansion_calculation_id(
    input_hash: str,
    potential: PotentialDescription,
    relax_settings: RelaxSettings | None,
    settings: MdExpansionSettings,
) -> str:
    """Identity of an expansion by molecular dynamics, with the relaxation before it."""
    relaxation = relax_settings.model_dump(mode="json") if relax_settings else None
    return content_hash(
        {
            "kind": "expansion-md",
            "structure": input_hash,
            "potential": potential.identity,
            "relaxation": relaxation,
            "settings": settings.model_dump(mode="json"),
        }
    )


def npt_document(
    trajectory: Trajectory,
    temperature: float,
    repeats: NDArray[np.int64],
    settings: MdExpansionSettings,
    *,
    input_hash: str,
    potential: PotentialDescription,
    seconds_in_potential: float,
) -> NptDoc:
    """Average a trajectory, judge whether it can be used, and make its document."""
    encode = EncodedArray.encode
    arrays = {name: encode(getattr(trajectory, name)) for name in TrajectoryArrays.model_fields}
    return NptDoc(
        temperature=temperature,
        **_averages(trajectory, repeats, settings),
        trajectory_state=trajectory.state,
        drift=trajectory.drift,
        n_force_evaluations=trajectory.n_force_evaluations,
        seconds=trajectory.seconds,
        seconds_in_potential=seconds_in_potential,
        arrays=TrajectoryArrays(**arrays),
        structure=to_structure(trajectory.frame(-1)),
        input_hash=input_hash,
        n_atoms=len(trajectory.numbers),
        settings=settings,
        potential=potential,
        notice=potential.notice,
        software=software_versions(),
    )


def expansion_document(
    structure: Structure,
    points: Sequence[TemperaturePoint],
    settings: MdExpansionSettings,
    *,
    input_hash: str,
    calculation_id: str,
    potential: PotentialDescription,
    relaxation: RelaxSummary | None,
) -> MdExpansionDoc:
    """Fit the averages and make the document of the expansion.

    Parameters
    ----------
    structure : Structure
        The relaxed structure.
    points : sequence of TemperaturePoint
        Averages at all temperatures.
    settings : MdExpansionSettings
        Settings used.
    input_hash, calculation_id, potential, relaxation
        Where it comes from, as in the document.

    Raises
    ------
    ExpansionError
        When too few temperatures can be used, with the reasons of all others.
    """
    start = time.perf_counter()
    points = sorted(points, key=lambda point: point.temperature)
    used = used_points(points, settings)
    low, high = used[0].temperature, used[-1].temperature
    has_300 = low <= 300.0 <= high
    at = 300.0 if has_300 else (low + high) / 2
    space_group = find_space_group(structure, settings.symprec)
    axial = settings.dynamics.ensemble == "npt" and space_group.number < _FIRST_CUBIC
    names = ("volume", "a", "b", "c") if axial else ("volume",)
    fits = {name: _fit(used, name, at, settings.degree) for name in names}
    volumetric, error = (_PER_MILLION * x for x in (fits["volume"].cte, fits["volume"].error))
    numbers: dict[str, Any] = {
        "cte_linear": volumetric / 3,
        "cte_linear_error": error / 3,
        "cte_volumetric": volumetric,
        "cte_volumetric_error": error,
    }
    fit_seconds = time.perf_counter() - start
    repeats = settings.repeats(structure)
    return MdExpansionDoc.from_structure(
        meta_structure=structure,
        structure=structure,
        input_hash=input_hash,
        calculation_id=calculation_id,
        relaxation=relaxation,
        space_group=space_group,
        cell=CellParameters.from_structure(structure),
        **numbers,
        fit_temperature=at,
        **(_at_300(numbers, fits) if has_300 else {}),
        fits={name: _entry(fit) for name, fit in fits.items()},
        points=[_bare_point(point) for point in points],
        excluded_temperatures=[point.temperature for point in points if not point.used],
        n_atoms_supercell=len(structure) * round(abs(np.linalg.det(repeats))),
        settings=settings,
        potential=potential,
        notice=potential.notice,
        warnings=[
            CLASSICAL,
            *([potential.notice] if potential.notice else []),
            *doubts(points, fits["volume"]),
            *about_the_shape(used, CellParameters.from_structure(structure)),
        ],
        software=software_versions(),
        **property_costs("dynamics", points, relaxation, fit_seconds),
    )


def used_points(
    points: Sequence[TemperaturePoint], settings: MdExpansionSettings
) -> list[TemperaturePoint]:
    """Give the temperatures that the fits use.

    Raises
    ------
    ExpansionError
        When there are too few, with the reasons of all others.
    """
    used = [point for point in points if point.used]
    if len(used) <= settings.degree:
        reasons = [f"{p.temperature:g} K: {p.reason}" for p in points if not p.used]
        raise ExpansionError(
            f"{len(used)} of {len(points)} temperatures can be used, at least "
            f"{settings.degree + 1} must: " + "; ".join(reasons),
            "run longer (--steps; what was computed is kept), or give other temperatures",
        )
    return used


def doubts(points: Sequence[TemperaturePoint], fit: ExpansionFit) -> list[str]:
    """Say what a reader of the numbers should know."""
    found = []
    for point in points:
        name = f"{point.temperature:g} K"
        if point.reason:
            found.append(f"{name}{'' if point.used else ' is left out'}: {point.reason}")
        if point.drift is not None and abs(point.drift) > _LARGE_DRIFT:
            found.append(
                f"{name}: the conserved quantity drifts by {point.drift:.1e} eV per atom and "
                "ps; shorten the time step"
            )
        mean, error = point.mean_temperature, point.mean_temperature_error
        if mean is not None and error is not None:
            off = abs(mean - point.temperature)
            if off > max(_TEMPERATURE_ERRORS * error, _TEMPERATURE_SHARE * point.temperature):
                found.append(
                    f"{name}: the mean kinetic temperature is {mean:.1f} +- {error:.1f} K"
                )
    if fit.reduced_chi2 is not None and fit.reduced_chi2 > _LARGE_CHI2:
        found.append(
            f"ln V deviates from the fit by more than its errors (reduced chi squared "
            f"{fit.reduced_chi2:.1f}): raise the degree, or the errors are too small; that of "
            "the expansion is enlarged by its root"
        )
    return found


def about_the_shape(points: Sequence[TemperaturePoint], rest: CellParameters) -> list[str]:
    """Say at which temperatures the mean cell has another shape than at rest."""
    found = []
    for point in points:
        growth = (float(point.volume or rest.volume) / rest.volume) ** (1 / 3)
        changes = {
            name: float(getattr(point, name)) / (growth * getattr(rest, name)) - 1
            for name in ("a", "b", "c")
        }
        name = max(changes, key=lambda each: abs(changes[each]))
        if abs(changes[name]) > _LARGE_SHAPE_CHANGE:
            found.append(
                f"{point.temperature:g} K: relative to the volume {name} is "
                f"{100 * changes[name]:+.1f} % from that at rest: the structure may have "
                "changed, or the supercell is too small to hold its shape"
            )
    return found


def _averages(
    trajectory: Trajectory, repeats: NDArray[np.int64], settings: MdExpansionSettings
) -> dict[str, Any]:
    """Fields of a point: averages, and whether they can be used."""
    if trajectory.state == "exploded":
        return {"used": False, "reason": f"the trajectory exploded: {trajectory.reason}"}
    if len(trajectory) < _FEWEST_SAMPLES:
        return {"used": False, "reason": f"{len(trajectory)} samples are too few"}
    found = average_trajectory(trajectory, repeats)
    enough = found.n_effective >= settings.min_effective_samples
    reason = ""
    if not enough:
        reason = (
            f"{found.n_effective:.1f} effectively uncorrelated samples, fewer than "
            f"{settings.min_effective_samples:g}"
        )
    elif not found.levelled:
        reason = "the error of the volume still grows with the length of the blocks"
    return {"used": enough, "reason": reason, **_fields(trajectory, found)}


def _fields(trajectory: Trajectory, found: TrajectoryAverages) -> dict[str, Any]:
    averages = found.averages
    values: dict[str, Any] = {name: averages[name].mean for name in CELL_FIELDS}
    values |= {f"{name}_error": averages[name].error for name in ("a", "b", "c")}
    for name, key in (
        ("volume", "volume"),
        ("mean_temperature", "temperature"),
        ("pressure", "pressure"),
        ("potential_energy", "potential_energy"),
    ):
        values |= {name: averages[key].mean, f"{name}_error": averages[key].error}
    first, last = trajectory.times[found.start], trajectory.times[-1]
    return {
        **values,
        "equilibration_time": float(first) / 1e3,
        "sampled_time": float(last - first) / 1e3,
        "n_effective": found.n_effective,
        "levelled": found.levelled,
    }


def _fit(used: Sequence[TemperaturePoint], name: str, at: float, degree: int) -> ExpansionFit:
    return fit_expansion(
        [point.temperature for point in used],
        [getattr(point, name) for point in used],
        [getattr(point, f"{name}_error") for point in used],
        at=at,
        degree=degree,
    )


def _at_300(numbers: dict[str, Any], fits: dict[str, ExpansionFit]) -> dict[str, Any]:
    axial = {
        f"cte_{name}_300K": _PER_MILLION * fit.cte
        for name, fit in fits.items()
        if name != "volume"
    }
    return {
        "cte_linear_300K": numbers["cte_linear"],
        "cte_linear_300K_error": numbers["cte_linear_error"],
        "cte_volumetric_300K": numbers["cte_volumetric"],
        "cte_volumetric_300K_error": numbers["cte_volumetric_error"],
        "volume_300K": float(fits["volume"].value(300.0)),
        **axial,
    }


def _entry(fit: ExpansionFit) -> ExpansionFitEntry:
    return ExpansionFitEntry(
        cte=_PER_MILLION * fit.cte,
        error=_PER_MILLION * fit.error,
        reduced_chi2=fit.reduced_chi2,
        coefficients=fit.coefficients.tolist(),
    )


def _bare_point(point: TemperaturePoint) -> TemperaturePoint:
    return TemperaturePoint(
        **{name: getattr(point, name) for name in TemperaturePoint.model_fields}
    )
