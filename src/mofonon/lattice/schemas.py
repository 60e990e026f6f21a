"""Documents of the lattice stage; every field says its unit."""

from __future__ import annotations

from typing import Any

from emmet.core.structure import StructureMetadata
from pydantic import BaseModel, Field
from pymatgen.core import Structure

from mofonon.arrays import EncodedArray
from mofonon.lattice.settings import Optimizer, PhononSettings, RelaxSettings
from mofonon.potentials import PotentialDescription
from mofonon.provenance import utc_now


class CellParameters(BaseModel):
    """Lattice parameters."""

    a: float = Field(description="Length of the first cell vector (A).")
    b: float = Field(description="Length of the second cell vector (A).")
    c: float = Field(description="Length of the third cell vector (A).")
    alpha: float = Field(description="Angle between b and c (degrees).")
    beta: float = Field(description="Angle between a and c (degrees).")
    gamma: float = Field(description="Angle between a and b (degrees).")
    volume: float = Field(description="Volume (A^3).")

    @classmethod
    def from_structure(cls, structure: Structure) -> CellParameters:
        """Lattice parameters of a structure."""
        lattice = structure.lattice
        return cls(
            a=lattice.a,
            b=lattice.b,
            c=lattice.c,
            alpha=lattice.alpha,
            beta=lattice.beta,
            gamma=lattice.gamma,
            volume=lattice.volume,
        )


class SpaceGroup(BaseModel):
    """Space group found by spglib."""

    symbol: str = Field(description="International symbol.")
    number: int = Field(description="International number.")
    symprec: float = Field(description="Symmetry tolerance (A).")


class FollowedModeEntry(BaseModel):
    """A mode of negative curvature during a relaxation, and what came of following it."""

    curvature: float = Field(description="Eigenvalue of the Hessian (eV/A^2).")
    degeneracy: int = Field(description="Number of modes of this curvature.")
    amplitude: float = Field(
        description="Largest displacement of an atom at the lowest energy found (A); 0 where "
        "the energy rises: a false negative."
    )
    gain: float = Field(description="Energy there, relative to the start (eV per cell).")
    operations_before: int = Field(description="Operations before.")
    operations_after: int = Field(description="Operations that are left.")
    n_evaluations: int = Field(description="Evaluations of the scan.")
    scan_amplitudes: list[float] = Field(description="Points of the scan (A).")
    scan_energies: list[float] = Field(description="Their energies (eV per cell).")


class SecondOrderSummary(BaseModel):
    """How a second-order relaxation (method newton) went."""

    symmetry_tolerance: float | None = Field(
        None, description="Tolerance at which symmetry was recognised in the input (A)."
    )
    largest_move: float = Field(
        description="Largest change of a position or cell vector by symmetrisation (A)."
    )
    energy_of_symmetrisation: float | None = Field(
        None,
        description="Energy of the symmetrised structure over that of the input, not positive "
        "(eV per cell); None where the move was rounding.",
    )
    operations_before: int = Field(
        description="Operations of the symmetrised input, with translations of a cell that is "
        "not primitive."
    )
    operations_after: int = Field(description="Operations left at the end.")
    hessian_source: str = Field(description="finite-difference, model, or given.")
    stalled_after: int | None = Field(
        None,
        description="Steps after which none went down any more and L-BFGS went on; None where "
        "that did not happen.",
    )
    n_hessian_evaluations: int = Field(description="Evaluations for finite differences.")
    lowest_curvature: float | None = Field(
        None,
        description="Lowest eigenvalue of the Hessian of all modes but translations (eV/A^2); "
        "None where only a model of it is known. Its sign is that of the lowest mode where the "
        "modes were measured at the end, its value no more than an estimate.",
    )
    modes_measured_at_end: bool = Field(
        False,
        description="Whether the soft modes were measured where the relaxation ended; "
        "otherwise the lowest curvature is of the Hessian that it began with, updated.",
    )
    followed: list[FollowedModeEntry] = Field(
        description="Modes of negative curvature that were followed or found false."
    )


class RelaxSummary(BaseModel):
    """A relaxation without its structures: what a phonon document says of it."""

    space_group_before: SpaceGroup = Field(description="Space group of the input.")
    space_group_after: SpaceGroup = Field(description="Space group of the result.")
    cell_before: CellParameters = Field(description="Lattice parameters of the input.")
    cell_after: CellParameters = Field(description="Lattice parameters of the result.")
    energy: float = Field(description="Potential energy of the cell (eV).")
    fmax: float = Field(
        description="What convergence was judged by: largest force on an atom or, with the "
        "cell free, row of the virial per atom (eV/A)."
    )
    max_force: float = Field(description="Largest force on an atom (eV/A).")
    stress: list[float] | None = Field(
        None, description="Stress, Voigt order, ASE sign (eV/A^3)."
    )
    converged: bool = Field(description="Whether fmax was reached; an unconverged run fails.")
    n_force_evaluations: int = Field(description="Force evaluations that the method took.")
    seconds: float = Field(description="Wall time (s).")
    settings: RelaxSettings = Field(description="Settings of the relaxation.")
    method: Optimizer | None = Field(
        None, description="Optimizer that was used: what auto chose, or the one asked for."
    )
    second_order: SecondOrderSummary | None = Field(
        None, description="Symmetry, Hessian and modes followed, of the method newton."
    )


class RelaxDoc(StructureMetadata):
    """A relaxed structure."""

    state: str = Field("successful", description="successful; a failure raises.")
    structure: Structure = Field(description="The relaxed structure.")
    input_structure: Structure = Field(description="The structure before relaxation.")
    input_hash: str = Field(description="Hash of the input structure.")
    calculation_id: str = Field(
        description="Hash of input structure, potential and settings: equal calculations have "
        "equal ids."
    )
    relaxation: RelaxSummary = Field(description="How it was relaxed.")
    history: EncodedArray = Field(
        description="Energy (eV) and fmax (eV/A) of each step, shape (n_steps, 2)."
    )
    hessian: EncodedArray | None = Field(
        None,
        description="Hessian over positions (A) and logarithmic strain, upper triangle of "
        "3 n_atoms + 9 rows, single precision (eV/A^2, eV/A, eV); relaxations near this "
        "structure begin with it. Of the method newton.",
    )
    potential: PotentialDescription = Field(description="The potential.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")


class ImaginaryModeEntry(BaseModel):
    """A mode with imaginary frequency."""

    q: tuple[float, float, float] = Field(description="q-point (reduced coordinates).")
    band: int = Field(description="Band index, from 0.")
    frequency: float = Field(description="Frequency, negative for imaginary (THz).")


class GammaSummary(BaseModel):
    """Modes at Gamma; the acoustic ones are identified by their eigenvectors."""

    acoustic: list[float] = Field(description="Frequencies of the acoustic modes (THz).")
    translation_overlap: float = Field(
        description="Least share of rigid translation in the acoustic modes (1 when pure)."
    )
    min_optical: float | None = Field(description="Lowest other frequency (THz).")
    max_frequency: float = Field(description="Highest frequency (THz).")


class ThermalSummary(BaseModel):
    """Harmonic thermal properties per mole of the cell."""

    temperatures: list[float] = Field(description="Temperatures (K).")
    free_energies: list[float] = Field(description="Vibrational free energies (kJ/mol).")
    entropies: list[float] = Field(description="Entropies (J/K/mol).")
    heat_capacities: list[float] = Field(
        description="Heat capacities at constant volume (J/K/mol)."
    )
    zero_point_energy: float = Field(description="Zero-point energy (kJ/mol).")
    heat_capacity_300K: float | None = Field(  # noqa: N815 - K is kelvin
        None, description="Heat capacity at constant volume at 300 K (J/K/mol)."
    )
    n_modes_left_out: int = Field(
        description="Modes of the mesh left out of the sums because they are imaginary."
    )


class PhononArrays(BaseModel):
    """Arrays of a phonon calculation; kept in the ``data`` store."""

    force_constants: EncodedArray = Field(
        description="Compact force constants (eV/A^2), shape (n_atoms, n_supercell_atoms, 3, "
        "3)."
    )
    displaced_atoms: EncodedArray | None = Field(
        None, description="Displaced atom of each supercell, shape (n_displacements,)."
    )
    displacements: EncodedArray | None = Field(
        None, description="Displacement of that atom (A), shape (n_displacements, 3)."
    )
    forces: EncodedArray | None = Field(
        None,
        description="Forces on the displaced supercells, residual subtracted (eV/A), shape "
        "(n_displacements, n_supercell_atoms, 3).",
    )
    qpoints: EncodedArray = Field(
        description="Irreducible q-points (reduced coordinates), shape (n_q, 3)."
    )
    qpoint_weights: EncodedArray = Field(description="Mesh points of each, shape (n_q,).")
    frequencies: EncodedArray = Field(
        description="Frequencies at them (THz), shape (n_q, n_bands)."
    )
    gamma_frequencies: EncodedArray = Field(
        description="Frequencies at Gamma (THz), shape (n_bands,)."
    )
    dos_frequencies: EncodedArray = Field(
        description="Frequency axis of the density of states (THz), shape (n_points,)."
    )
    dos_total: EncodedArray = Field(
        description="Total density of states (states/THz/cell), shape (n_points,)."
    )
    dos_by_element: EncodedArray = Field(
        description="Density of states of each element (states/THz/cell), shape (n_elements, "
        "n_points), in the order of dos_elements."
    )
    band_qpoints: EncodedArray = Field(
        description="q-points of the band path (reduced coordinates), shape (n_path, 3)."
    )
    band_distances: EncodedArray = Field(
        description="Distance along the path (1/A, no factor 2 pi), shape (n_path,)."
    )
    band_frequencies: EncodedArray = Field(
        description="Frequencies along the path (THz), shape (n_path, n_bands)."
    )


class CalculationDoc(StructureMetadata):
    """Base of documents of a structure: of what, how it was relaxed, what to know of it."""

    state: str = Field("successful", description="successful; a failure raises.")
    structure: Structure = Field(description="The structure that the results are of.")
    input_hash: str = Field(description="Hash of the input structure, before relaxation.")
    calculation_id: str = Field(
        description="Hash of input structure, potential and settings: equal calculations have "
        "equal ids."
    )
    relaxation: RelaxSummary | None = Field(
        None, description="How the structure was relaxed; None if it was taken as given."
    )
    space_group: SpaceGroup = Field(description="Space group of the structure.")
    cell: CellParameters = Field(description="Lattice parameters of the structure.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    warnings: list[str] = Field(description="What a reader of the numbers should know.")
    n_force_evaluations: int = Field(
        description="Force evaluations in all, those of the relaxation too."
    )
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")


class PropertyDoc(CalculationDoc):
    """Base of the documents of bulk moduli and expansion."""

    potential: PotentialDescription = Field(description="The potential.")


class PhononDoc(CalculationDoc):
    """Phonons of a structure and what follows from them."""

    supercell_matrix: list[list[int]] = Field(description="Supercell matrix.")
    n_displacements: int = Field(description="Displaced supercells.")
    n_supercell_atoms: int = Field(description="Atoms in the supercell.")
    max_residual_force: float | None = Field(
        None,
        description="Largest force in the undisplaced supercell, subtracted (eV/A); None "
        "where it was not needed.",
    )
    min_frequency: float = Field(
        description="Lowest frequency on the mesh and at Gamma, acoustic modes at Gamma left "
        "out; negative for imaginary (THz)."
    )
    max_frequency: float = Field(description="Highest frequency on the mesh (THz).")
    min_frequency_on_path: float = Field(
        description="Lowest frequency along the band path (THz)."
    )
    has_imaginary_modes: bool = Field(
        description="Whether a frequency on the mesh or at Gamma is below minus the threshold."
    )
    n_imaginary_modes: int = Field(description="How many, over irreducible q-points.")
    imaginary_modes: list[ImaginaryModeEntry] = Field(
        description="The lowest of them, at most 50."
    )
    gamma: GammaSummary = Field(description="Modes at Gamma.")
    thermal: ThermalSummary = Field(description="Harmonic thermal properties.")
    dos_elements: list[str] = Field(description="Elements of the projected density of states.")
    band_labels: list[tuple[str, str]] = Field(
        description="Names of the ends of each segment of the band path."
    )
    band_segment_lengths: list[int] = Field(description="q-points in each segment.")
    arrays: PhononArrays = Field(description="Arrays, in the data store.")
    settings: PhononSettings = Field(description="Settings of the phonon calculation.")
    potential: PotentialDescription | None = Field(
        None, description="The potential; None when forces came from files."
    )
    source: dict[str, Any] | None = Field(
        None, description="File name and sha256 of forces or force constants read from files."
    )
    attempt: dict[str, Any] | None = Field(
        None,
        description="Record of the attempt to eliminate imaginary modes that this belongs to, "
        "if any (fields of Attempt).",
    )
    seconds: dict[str, float] = Field(
        description="Wall times (s): relaxation, forces, potential (inside the calculator), "
        "analysis, total."
    )
    peak_memory: float = Field(description="Peak resident memory of the process (GB).")
