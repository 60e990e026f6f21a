"""Documents made from results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pymatgen.core import Structure

from mofonon.arrays import EncodedArray
from mofonon.lattice.phonons import (
    SupercellForces,
    shortest_supercell_height,
    single_displacements,
)
from mofonon.lattice.schemas import (
    CellParameters,
    FollowedModeEntry,
    GammaSummary,
    ImaginaryModeEntry,
    PhononArrays,
    PhononDoc,
    RelaxDoc,
    RelaxSummary,
    SecondOrderSummary,
    SpaceGroup,
    ThermalSummary,
)
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.potentials import PotentialDescription
from mofonon.provenance import content_hash, peak_memory, software_versions
from mofonon.structures import space_group, structure_hash

if TYPE_CHECKING:
    from ase import Atoms
    from phonopy import Phonopy

    from mofonon.lattice.analysis import PhononAnalysis
    from mofonon.lattice.relax import RelaxResult

#: A supercell thinner than this (A) cuts off force constants that matter.
THIN_SUPERCELL = 8.0

_MOST_IMAGINARY_MODES = 50


def relax_calculation_id(
    input_hash: str, potential: PotentialDescription, settings: RelaxSettings
) -> str:
    """Identity of a relaxation: input structure, potential and settings."""
    return content_hash(
        {
            "kind": "relax",
            "structure": input_hash,
            "potential": potential.identity,
            "settings": settings.model_dump(mode="json"),
        }
    )


def phonon_calculation_id(
    input_hash: str,
    potential: PotentialDescription,
    relax_settings: RelaxSettings | None,
    settings: PhononSettings,
) -> str:
    """Identity of a phonon calculation, with the relaxation before it."""
    relaxation = relax_settings.model_dump(mode="json") if relax_settings else None
    return content_hash(
        {
            "kind": "phonons",
            "structure": input_hash,
            "potential": potential.identity,
            "relaxation": relaxation,
            "settings": settings.model_dump(mode="json"),
        }
    )


def to_structure(atoms: Atoms) -> Structure:
    """Convert to a pymatgen Structure with nothing but species and coordinates."""
    return Structure(
        atoms.cell.array, atoms.get_chemical_symbols(), atoms.get_scaled_positions(wrap=False)
    )


def find_space_group(structure: Structure, symprec: float) -> SpaceGroup:
    """Space group of a structure as a document field."""
    symbol, number = space_group(structure, symprec)
    return SpaceGroup(symbol=symbol, number=number, symprec=symprec)


def relax_document(
    structure: Structure,
    result: RelaxResult,
    potential: PotentialDescription,
    settings: RelaxSettings,
    symprec: float,
) -> RelaxDoc:
    """Make the document of a relaxation."""
    relaxed = to_structure(result.atoms)
    input_hash = structure_hash(structure)
    summary = RelaxSummary(
        space_group_before=find_space_group(structure, symprec),
        space_group_after=find_space_group(relaxed, symprec),
        cell_before=CellParameters.from_structure(structure),
        cell_after=CellParameters.from_structure(relaxed),
        energy=result.energy,
        fmax=result.fmax,
        max_force=result.max_force,
        stress=None if result.stress is None else result.stress.tolist(),
        converged=result.converged,
        n_force_evaluations=result.n_force_evaluations,
        seconds=result.seconds,
        settings=settings,
        method=result.method,
        second_order=_second_order_summary(result),
    )
    second_order = result.second_order
    carried = second_order.hessian if second_order is not None else None
    return RelaxDoc.from_structure(
        meta_structure=relaxed,
        structure=relaxed,
        input_structure=structure,
        input_hash=input_hash,
        calculation_id=relax_calculation_id(input_hash, potential, settings),
        relaxation=summary,
        history=EncodedArray.encode(result.history),
        hessian=None if carried is None else carried.encode(),
        potential=potential,
        notice=potential.notice,
        software=software_versions(),
    )


def _second_order_summary(result: RelaxResult) -> SecondOrderSummary | None:
    record = result.second_order
    if record is None:
        return None
    symmetrisation = record.symmetrisation
    return SecondOrderSummary(
        symmetry_tolerance=symmetrisation.tolerance,
        largest_move=symmetrisation.largest_move,
        energy_of_symmetrisation=symmetrisation.energy_change,
        operations_before=symmetrisation.order,
        operations_after=record.operations_after,
        hessian_source=record.hessian_source,
        stalled_after=record.stalled_after,
        n_hessian_evaluations=record.n_hessian_evaluations,
        lowest_curvature=record.lowest_curvature,
        modes_measured_at_end=record.modes_measured_at_end,
        followed=[FollowedModeEntry(**vars(mode)) for mode in record.followed],
    )


def phonon_document(
    structure: Structure,
    phonon: Phonopy,
    forces: SupercellForces | None,
    analysis: PhononAnalysis,
    settings: PhononSettings,
    **provenance: Any,
) -> PhononDoc:
    """Make the document of a phonon calculation.

    Parameters
    ----------
    structure : Structure
        The structure whose phonons these are.
    phonon : Phonopy
        With force constants.
    forces : SupercellForces or None
        Forces on the displaced supercells; None when force constants were read.
    analysis : PhononAnalysis
        What followed from the force constants.
    settings : PhononSettings
        Settings used.
    **provenance
        The fields of PhononDoc that say where it comes from: input_hash, calculation_id,
        relaxation, potential, source, notice, n_force_evaluations, seconds, warnings.
    """
    residual = forces.residual if forces is not None else None
    modes = analysis.modes
    path_minimum = min(float(segment.min()) for segment in analysis.bands.segments)
    warnings = [*provenance.pop("warnings", []), *doubts(phonon, analysis, settings)]
    return PhononDoc.from_structure(
        meta_structure=structure,
        structure=structure,
        space_group=find_space_group(structure, settings.symprec),
        cell=CellParameters.from_structure(structure),
        supercell_matrix=np.asarray(phonon.supercell_matrix).astype(int).tolist(),
        n_displacements=len(single_displacements(phonon)),
        n_supercell_atoms=len(phonon.supercell),
        max_residual_force=None if residual is None else float(np.abs(residual).max()),
        min_frequency=analysis.min_frequency,
        max_frequency=float(modes.frequencies.max()),
        min_frequency_on_path=path_minimum,
        has_imaginary_modes=bool(analysis.imaginary),
        n_imaginary_modes=len(analysis.imaginary),
        imaginary_modes=[
            ImaginaryModeEntry(q=mode.q, band=mode.band, frequency=mode.frequency)
            for mode in analysis.imaginary[:_MOST_IMAGINARY_MODES]
        ],
        gamma=_gamma_summary(analysis),
        thermal=_thermal_summary(analysis),
        dos_elements=list(analysis.dos.elements),
        band_labels=analysis.bands.labels,
        band_segment_lengths=[len(segment) for segment in analysis.bands.segments],
        arrays=_arrays(phonon, analysis),
        settings=settings,
        warnings=warnings,
        peak_memory=peak_memory(),
        software=software_versions(),
        **provenance,
    )


def doubts(phonon: Phonopy, analysis: PhononAnalysis, settings: PhononSettings) -> list[str]:
    """Say what a reader of the numbers should know."""
    found = []
    height = shortest_supercell_height(phonon)
    if height < THIN_SUPERCELL:
        found.append(
            f"the supercell is only {height:.1f} A thick: force constants beyond half of "
            "that are folded back; compare with a larger --supercell"
        )
    acoustic = float(np.abs(analysis.gamma.acoustic).max())
    if acoustic > settings.imaginary_threshold:
        found.append(
            f"acoustic modes at Gamma deviate from zero by {acoustic:.1e} THz: the force "
            "constants break the acoustic sum rule"
        )
    if analysis.imaginary:
        lowest = analysis.imaginary[0]
        found.append(
            f"{len(analysis.imaginary)} imaginary modes, the lowest {lowest.frequency:.4f} THz "
            f"at q = ({', '.join(f'{x:.3f}' for x in lowest.q)}): thermal properties leave "
            "them out and are not those of a stable structure"
        )
    elif (low := min(float(s.min()) for s in analysis.bands.segments)) < -max(
        settings.imaginary_threshold, 10 * acoustic
    ):
        found.append(
            f"interpolated bands go down to {low:.4f} THz between mesh points: the supercell "
            "may be too small"
        )
    return found


def _gamma_summary(analysis: PhononAnalysis) -> GammaSummary:
    optical = analysis.gamma.optical
    return GammaSummary(
        acoustic=analysis.gamma.acoustic.tolist(),
        translation_overlap=analysis.gamma.translation_overlap,
        min_optical=float(optical.min()) if optical.size else None,
        max_frequency=float(analysis.gamma.frequencies.max()),
    )


def _thermal_summary(analysis: PhononAnalysis) -> ThermalSummary:
    thermal = analysis.thermal
    at_300 = np.flatnonzero(np.isclose(thermal.temperatures, 300.0))
    return ThermalSummary(
        temperatures=thermal.temperatures.tolist(),
        free_energies=thermal.free_energies.tolist(),
        entropies=thermal.entropies.tolist(),
        heat_capacities=thermal.heat_capacities.tolist(),
        zero_point_energy=thermal.zero_point_energy,
        heat_capacity_300K=float(thermal.heat_capacities[at_300[0]]) if at_300.size else None,
        n_modes_left_out=thermal.n_modes_left_out,
    )


def _arrays(phonon: Phonopy, analysis: PhononAnalysis) -> PhononArrays:
    encode = EncodedArray.encode
    modes, bands, dos = analysis.modes, analysis.bands, analysis.dos
    displaced: dict[str, EncodedArray] = {}
    if first_atoms := single_displacements(phonon):
        displaced["displaced_atoms"] = encode([int(e["number"]) for e in first_atoms])
        displaced["displacements"] = encode([e["displacement"] for e in first_atoms])
        if all("forces" in entry for entry in first_atoms):
            displaced["forces"] = encode([entry["forces"] for entry in first_atoms])
    return PhononArrays(
        force_constants=encode(np.asarray(phonon.force_constants)),
        qpoints=encode(modes.qpoints),
        qpoint_weights=encode(modes.weights),
        frequencies=encode(modes.frequencies),
        gamma_frequencies=encode(analysis.gamma.frequencies),
        dos_frequencies=encode(dos.frequencies),
        dos_total=encode(dos.total),
        dos_by_element=encode(dos.by_element),
        band_qpoints=encode(np.concatenate(bands.qpoints)),
        band_distances=encode(np.concatenate(bands.distances)),
        band_frequencies=encode(np.concatenate(bands.segments)),
        **displaced,
    )


class _Part(Protocol):
    """A volume or temperature that a property is made of."""

    n_force_evaluations: int
    seconds: float
    seconds_in_potential: float


def property_costs(
    part: str, points: Sequence[_Part], relaxation: RelaxSummary | None, fit_seconds: float
) -> dict[str, Any]:
    """Sum force evaluations and wall times of a property over its parts.

    Parameters
    ----------
    part : str
        What the points are, such as ``strained_cells``.
    points : sequence
        With n_force_evaluations, seconds and seconds_in_potential (s).
    relaxation : RelaxSummary or None
        The relaxation that came first.
    fit_seconds : float
        Wall time of the fit (s).

    Returns
    -------
    dict
        ``n_force_evaluations``, ``n_force_evaluations_by_part``, ``seconds``.
    """
    evaluations = {
        "relaxation": relaxation.n_force_evaluations if relaxation else 0,
        part: sum(point.n_force_evaluations for point in points),
    }
    seconds = {
        "relaxation": relaxation.seconds if relaxation else 0.0,
        part: sum(point.seconds for point in points),
        "fit": fit_seconds,
    }
    return {
        "n_force_evaluations": sum(evaluations.values()),
        "n_force_evaluations_by_part": evaluations,
        "seconds": {
            **seconds,
            "potential": sum(point.seconds_in_potential for point in points),
            "total": sum(seconds.values()),
        },
    }
