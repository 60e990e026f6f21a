"""Documents of bulk moduli made from results."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pymatgen.core import Structure

from mofonon.equation_of_state import (
    EQUATIONS,
    GPA_PER_EV_A3,
    EquationOfState,
    EquationOfStateFit,
    bulk_modulus_from_stress,
    fit_equation_of_state,
    pressure_of,
)
from mofonon.errors import EquationOfStateError
from mofonon.lattice.bulk_modulus_schemas import (
    BulkModulusDoc,
    BulkModulusSettings,
    EquationOfStateEntry,
    PressureVolumeEntry,
    StrainedCell,
    StrainedCellDoc,
)
from mofonon.lattice.documents import find_space_group, property_costs, to_structure
from mofonon.lattice.relax import RelaxResult
from mofonon.lattice.schemas import CellParameters, RelaxSummary
from mofonon.lattice.settings import RelaxSettings
from mofonon.potentials import PotentialDescription
from mofonon.provenance import content_hash, software_versions

#: Bulk moduli that differ by more than this share of them are worth a warning.
DISAGREEMENT = 0.05

#: So is a residual above this share of the range of the energies.
LARGE_RESIDUAL = 0.01

#: And an equilibrium volume that differs by more than this share from the relaxed one.
VOLUME_SHIFT = 0.005


def bulk_modulus_calculation_id(
    input_hash: str,
    potential: PotentialDescription,
    relax_settings: RelaxSettings | None,
    settings: BulkModulusSettings,
) -> str:
    """Identity of a bulk modulus calculation, with the relaxation before it."""
    relaxation = relax_settings.model_dump(mode="json") if relax_settings else None
    return content_hash(
        {
            "kind": "bulk-modulus",
            "structure": input_hash,
            "potential": potential.identity,
            "relaxation": relaxation,
            "settings": settings.model_dump(mode="json"),
        }
    )


def strained_cell_document(
    result: RelaxResult,
    linear_strain: float,
    *,
    input_hash: str,
    potential: PotentialDescription,
    settings: BulkModulusSettings,
    seconds_in_potential: float,
) -> StrainedCellDoc:
    """Make the document of a strained cell."""
    stress = result.stress
    return StrainedCellDoc(
        linear_strain=linear_strain,
        volume=float(result.atoms.get_volume()),
        energy=result.energy,
        stress=None if stress is None else stress.tolist(),
        pressure=None if stress is None else float(pressure_of(stress)) * GPA_PER_EV_A3,
        fmax=result.fmax,
        n_force_evaluations=result.n_force_evaluations,
        seconds=result.seconds,
        seconds_in_potential=seconds_in_potential,
        structure=to_structure(result.atoms),
        input_hash=input_hash,
        settings=settings,
        potential=potential,
        notice=potential.notice,
        software=software_versions(),
    )


def bulk_modulus_document(
    structure: Structure,
    points: list[StrainedCell],
    settings: BulkModulusSettings,
    *,
    input_hash: str,
    calculation_id: str,
    potential: PotentialDescription,
    relaxation: RelaxSummary | None,
) -> BulkModulusDoc:
    """Fit the strained cells and make the document of the bulk modulus.

    Parameters
    ----------
    structure : Structure
        The structure that was strained.
    points : list of StrainedCell
        Volumes, energies and stresses.
    settings : BulkModulusSettings
        Settings used.
    input_hash, calculation_id, potential, relaxation
        Where it comes from, as in the document.

    Raises
    ------
    EquationOfStateError
        When the equation that the settings name cannot be fitted.
    """
    start = time.perf_counter()
    points = sorted(points, key=lambda point: point.volume)
    fits, failures = _fit_all(points, settings.equation_of_state)
    stress_fit = _stress_fit(points, failures)
    fit = fits[settings.equation_of_state]
    headline = _entry(fit, len(structure))
    fit_seconds = time.perf_counter() - start
    return BulkModulusDoc.from_structure(
        meta_structure=structure,
        structure=structure,
        input_hash=input_hash,
        calculation_id=calculation_id,
        relaxation=relaxation,
        space_group=find_space_group(structure, settings.symprec),
        cell=CellParameters.from_structure(structure),
        **headline.model_dump(),
        relative_residual=fit.residual / (1e3 * float(np.ptp(fit.energies))),
        bulk_modulus_from_stress=stress_fit.bulk_modulus if stress_fit else None,
        fits={name: _entry(each, len(structure)) for name, each in fits.items()},
        stress_fit=stress_fit,
        points=[StrainedCell(**_fields_of_point(point)) for point in points],
        settings=settings,
        potential=potential,
        notice=potential.notice,
        warnings=[
            *_potential_warnings(potential),
            *failures,
            *doubts(fit, fits, stress_fit, structure.volume if relaxation else None),
        ],
        software=software_versions(),
        **property_costs("strained_cells", points, relaxation, fit_seconds),
    )


def doubts(
    fit: EquationOfStateFit,
    fits: dict[EquationOfState, EquationOfStateFit],
    stress_fit: PressureVolumeEntry | None,
    relaxed_volume: float | None,
) -> list[str]:
    """Say what a reader of the numbers should know.

    Parameters
    ----------
    fit : EquationOfStateFit
        The fit that the bulk modulus is taken from.
    fits : dict
        All fits to the energies.
    stress_fit : PressureVolumeEntry or None
        Fit to the pressures.
    relaxed_volume : float or None
        Volume of the relaxed structure (A^3); None if it was not relaxed.
    """
    found = []
    moduli = [each.b0 for each in fits.values()]
    if max(moduli) - min(moduli) > DISAGREEMENT * fit.b0:
        found.append(
            f"the equations of state disagree: {min(moduli):.3f} to {max(moduli):.3f} GPa; "
            "strain less or add points"
        )
    if fit.residual > LARGE_RESIDUAL * 1e3 * float(np.ptp(fit.energies)):
        found.append(
            f"the energies deviate from the fit by {fit.residual:.3g} meV per cell, of a range "
            f"of {1e3 * float(np.ptp(fit.energies)):.3g} meV: the structure may change its "
            "kind between the volumes"
        )
    if stress_fit and abs(stress_fit.bulk_modulus - fit.b0) > DISAGREEMENT * fit.b0:
        found.append(
            f"the stresses give {stress_fit.bulk_modulus:.3f} GPa, the energies "
            f"{fit.b0:.3f} GPa: they do not belong to one smooth curve"
        )
    if relaxed_volume and abs(fit.v0 / relaxed_volume - 1) > VOLUME_SHIFT:
        found.append(
            f"the minimum of the fit is at {fit.v0:.3f} A^3, the relaxed structure has "
            f"{relaxed_volume:.3f} A^3"
        )
    return found


def _fit_all(
    points: list[StrainedCell], wanted: EquationOfState
) -> tuple[dict[EquationOfState, EquationOfStateFit], list[str]]:
    """All fits that there are, and why others are not; the wanted one must be."""
    volumes = [point.volume for point in points]
    energies = [point.energy for point in points]
    fits: dict[EquationOfState, EquationOfStateFit] = {}
    failures = []
    for name in EQUATIONS:
        try:
            fits[name] = fit_equation_of_state(volumes, energies, name)
        except EquationOfStateError as error:
            if name == wanted:
                raise
            failures.append(f"no {name} fit: {error.message}")
    return fits, failures


def _stress_fit(points: list[StrainedCell], failures: list[str]) -> PressureVolumeEntry | None:
    """Fit to the pressures; None, and why, where there is none."""
    stresses = [point.stress for point in points if point.stress is not None]
    if len(stresses) < len(points):
        failures.append("no bulk modulus from stress: the potential gives no stress")
        return None
    try:
        fit = bulk_modulus_from_stress([point.volume for point in points], stresses)
    except EquationOfStateError as error:
        failures.append(f"no bulk modulus from stress: {error.message}")
        return None
    return PressureVolumeEntry(
        bulk_modulus=fit.b0,
        bulk_modulus_derivative=fit.b0_prime,
        equilibrium_volume=fit.v0,
        residual=fit.residual,
    )


def _entry(fit: EquationOfStateFit, n_atoms: int) -> EquationOfStateEntry:
    return EquationOfStateEntry(
        bulk_modulus=fit.b0,
        bulk_modulus_derivative=fit.b0_prime,
        equilibrium_volume=fit.v0,
        equilibrium_energy=fit.e0,
        residual=fit.residual / n_atoms,
    )


def _fields_of_point(point: StrainedCell) -> dict[str, Any]:
    return {name: getattr(point, name) for name in StrainedCell.model_fields}


def _potential_warnings(potential: PotentialDescription) -> list[str]:
    warnings = [potential.notice] if potential.notice else []
    if potential.dtype == "float32":
        warnings.append(
            "single precision was asked for: energies of large cells are rounded to about "
            "1e-7 of their size, which limits small strains"
        )
    return warnings
