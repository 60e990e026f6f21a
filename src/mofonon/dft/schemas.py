"""Labelled frames: a structure with its DFT energy, forces and stress, and where from.

A :class:`LabelFrame` is what the later stages train on; a :class:`LabelDoc` holds the frames
of one MOF, in the ``data`` store of a job store, with a summary that can be queried.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ase.units import GPa
from emmet.core.structure import StructureMetadata
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field
from pymatgen.core import Structure

from mofonon.arrays import EncodedArray
from mofonon.provenance import utc_now

if TYPE_CHECKING:
    from ase import Atoms

Floats = NDArray[np.float64]

#: How the structure of a frame came about.
Origin = Literal["eos", "md", "relax", "static", "rattle"]

#: eV/A^3 in one kbar.
EV_A3_PER_KBAR = 0.1 * GPa


def ase_stress(vasp_stress: ArrayLike) -> Floats:
    """Convert VASP's stress (kbar, positive when compressed) to ASE's (eV/A^3).

    VASP prints the stress that the cell exerts on its surroundings; ASE's is the derivative
    of the energy by strain over the volume, which has the other sign.

    Parameters
    ----------
    vasp_stress : array_like, shape (3, 3)
        As in vasprun.xml, OUTCAR and emmet's TaskDoc (kbar).

    Returns
    -------
    ndarray, shape (3, 3)
        Stress in ASE's sign (eV/A^3).
    """
    return -EV_A3_PER_KBAR * np.asarray(vasp_stress, float)


class LabelProvenance(BaseModel):
    """The calculation that gave a label."""

    code: str = Field("VASP", description="Program.")
    version: str | None = Field(None, description="Its version.")
    run_type: str | None = Field(None, description="Functional as emmet names it.")
    potcar_titles: list[str] = Field(
        default_factory=list, description="TITEL of each POTCAR, in the order of the elements."
    )
    potcar_hashes: list[str] = Field(
        default_factory=list,
        description="md5 of each POTCAR's header (emmet's PotcarSpec), in the same order.",
    )
    incar: dict[str, Any] = Field(default_factory=dict, description="INCAR as it ran.")
    kpoints: list[int] | None = Field(None, description="Divisions of the k-point mesh.")
    job_uuid: str | None = Field(None, description="Job that made the label.")
    directory: str | None = Field(None, description="Where it ran (host:path).")
    segment: int = Field(
        0, description="Run of VASP within the job, from 0: custodian and wall time restart it."
    )


class LabelFrame(BaseModel):
    """A structure with energy, forces and stress.

    Positions and forces are encoded; :attr:`structure`, :meth:`positions_array` and
    :meth:`forces_array` give them back, :meth:`to_atoms` all of it for ASE.
    """

    mof_id: str = Field(description="Name of the MOF that the frame is of.")
    origin: Origin = Field(description="How the structure came about.")
    step: int = Field(0, description="Ionic step or MD step, from 0, over all segments.")
    linear_strain: float | None = Field(
        None, description="Strain of the cell vectors (origin eos); 0.01 is 1 %."
    )
    parent: str | None = Field(
        None, description="Job, file or frame that the structure came from."
    )
    elements: list[str] = Field(description="Element of each atom.")
    lattice: list[list[float]] = Field(description="Cell vectors, in rows (A).")
    positions: EncodedArray = Field(description="Cartesian positions (A), shape (n_atoms, 3).")
    energy: float = Field(
        description="Energy of the cell extrapolated to zero smearing (E0), with dispersion "
        "(eV)."
    )
    free_energy: float | None = Field(
        None, description="Free energy of the electrons, which the forces belong to (eV)."
    )
    forces: EncodedArray = Field(description="Forces (eV/A), shape (n_atoms, 3).")
    stress: list[list[float]] | None = Field(
        None, description="Stress, 3x3, ASE sign: positive under tension (eV/A^3)."
    )
    provenance: LabelProvenance = Field(
        default_factory=LabelProvenance, description="The calculation that gave the label."
    )
    electronic_converged: bool = Field(
        True, description="Whether the electronic steps of this frame converged."
    )
    n_electronic_steps: int | None = Field(None, description="Electronic steps it took.")
    ionic_converged: bool | None = Field(
        None, description="Whether the relaxation that the frame is of converged in the end."
    )
    notice: str | None = Field(None, description="Set when a stand-in made the label.")
    quarantine: list[str] = Field(
        default_factory=list,
        description="Reasons not to train on the frame; empty for a good one.",
    )

    @classmethod
    def from_arrays(
        cls,
        structure: Structure | Atoms,
        energy: float,
        forces: ArrayLike,
        stress: ArrayLike | None = None,
        **fields: Any,
    ) -> LabelFrame:
        """Make a frame from a structure and its labels.

        Parameters
        ----------
        structure : Structure or Atoms
            The structure.
        energy : float
            Energy of the cell (eV).
        forces : array_like, shape (n_atoms, 3)
            Forces (eV/A).
        stress : array_like, shape (3, 3) or (6,), optional
            Stress, full or in Voigt order, ASE sign (eV/A^3).
        **fields
            Other fields: ``mof_id`` and ``origin`` at least.
        """
        if isinstance(structure, Structure):
            elements = [site.specie.symbol for site in structure]
            lattice, positions = structure.lattice.matrix, structure.cart_coords
        else:
            elements = structure.get_chemical_symbols()
            lattice, positions = structure.cell.array, structure.positions
        return cls(
            elements=elements,
            lattice=np.asarray(lattice, float).tolist(),
            positions=EncodedArray.encode(np.asarray(positions, float)),
            energy=float(energy),
            forces=EncodedArray.encode(np.asarray(forces, float).reshape(-1, 3)),
            stress=None if stress is None else _full_stress(stress).tolist(),
            **fields,
        )

    @classmethod
    def from_atoms(cls, atoms: Atoms, **fields: Any) -> LabelFrame:
        """Make a frame from an ASE Atoms with a calculator's results.

        Parameters
        ----------
        atoms : Atoms
            With energy and forces in its calculator; stress where it has one.
        **fields
            Other fields: ``mof_id`` and ``origin`` at least.
        """
        results = atoms.calc.results if atoms.calc is not None else {}
        return cls.from_arrays(
            atoms,
            float(atoms.get_potential_energy()),
            atoms.get_forces(),
            results.get("stress"),
            **fields,
        )

    @property
    def n_atoms(self) -> int:
        """Atoms in the cell."""
        return len(self.elements)

    @property
    def energy_per_atom(self) -> float:
        """Energy per atom (eV)."""
        return self.energy / self.n_atoms

    @property
    def good(self) -> bool:
        """Whether nothing speaks against training on the frame."""
        return not self.quarantine

    @property
    def structure(self) -> Structure:
        """The structure as pymatgen has it."""
        return Structure(
            self.lattice, self.elements, self.positions_array(), coords_are_cartesian=True
        )

    @property
    def max_force(self) -> float:
        """Length of the largest force (eV/A)."""
        return float(np.linalg.norm(self.forces_array(), axis=1).max())

    def positions_array(self) -> Floats:
        """Give the Cartesian positions (A), shape (n_atoms, 3)."""
        return self.positions.decode()

    def forces_array(self) -> Floats:
        """Give the forces (eV/A), shape (n_atoms, 3)."""
        return self.forces.decode()

    def to_atoms(self) -> Atoms:
        """Make ASE Atoms with energy, forces and stress in a SinglePointCalculator.

        ``atoms.info`` has ``mof_id``, ``origin``, ``step`` and, where set,
        ``linear_strain``, ``notice`` and ``quarantine`` (joined by ``; ``).
        """
        from ase import Atoms
        from ase.calculators.singlepoint import SinglePointCalculator
        from ase.stress import full_3x3_to_voigt_6_stress

        atoms = Atoms(
            self.elements, positions=self.positions_array(), cell=self.lattice, pbc=True
        )
        labels: dict[str, Any] = {"energy": self.energy, "forces": self.forces_array()}
        if self.free_energy is not None:
            labels["free_energy"] = self.free_energy
        if self.stress is not None:
            labels["stress"] = full_3x3_to_voigt_6_stress(np.array(self.stress))
        atoms.calc = SinglePointCalculator(atoms, **labels)
        atoms.info.update(mof_id=self.mof_id, origin=self.origin, step=self.step)
        for name in ("linear_strain", "notice"):
            if (value := getattr(self, name)) is not None:
                atoms.info[name] = value
        if self.quarantine:
            atoms.info["quarantine"] = "; ".join(self.quarantine)
        return atoms


class UnlabelledFrame(BaseModel):
    """A structure that is to be labelled: of a sampler, a rattle, a file."""

    mof_id: str = Field(description="Name of the MOF that the frame is of.")
    structure: Structure = Field(description="The structure.")
    origin: Origin = Field("static", description="How the structure came about.")
    step: int = Field(0, description="MD or ionic step, from 0.")
    parent: str | None = Field(None, description="Job or file that the structure came from.")


class QuarantineSettings(BaseModel):
    """When a frame is kept apart."""

    model_config = ConfigDict(extra="forbid")

    max_force: float = Field(
        50.0, gt=0, description="Largest length of a force that is believed (eV/A)."
    )
    energy_deviations: float = Field(
        10.0,
        gt=0,
        description="Energies per atom further from the median of the MOF than so many times "
        "the robust standard deviation (1.4826 times the median absolute deviation) ...",
    )
    energy_floor: float = Field(
        1.0,
        ge=0,
        description="... and than this are outliers (eV/atom). Deformations by -10 % are at "
        "0.45 to 0.75 eV/atom.",
    )
    duplicate_distance: float = Field(
        1e-4,
        ge=0,
        description="Frames of a MOF with the same elements whose atoms and cell vectors are "
        "all within this are one (A).",
    )


class LabelTask(BaseModel):
    """One DFT calculation of a MOF."""

    name: str = Field(description="What was calculated: relax, eos -10 %, static 3.")
    origin: Origin = Field(description="Origin of its frames.")
    linear_strain: float | None = Field(None, description="Strain (origin eos).")
    step: int = Field(0, description="Step of the structure that a static is of.")
    parent: str | None = Field(None, description="Where that structure came from.")
    uuid: str | None = Field(None, description="Job of the calculation.")
    state: Literal["successful", "unconverged", "failed"] = Field(
        "failed",
        description="successful; unconverged (electronic or ionic steps ran out: the frames "
        "that converged are good); failed (no output).",
    )
    reason: str = Field("", description="Why it is not successful.")
    n_frames: int = Field(0, description="Frames that it gave.")
    structure: Structure | None = Field(
        None,
        description="Structure of a static calculation that was not successful, to repeat it.",
    )


class EosLabels(BaseModel):
    """Birch-Murnaghan fit to the energies of the deformations: a check of the labels."""

    state: Literal["successful", "failed"] = Field(description="Whether there is a fit.")
    reason: str = Field("", description="Why there is none.")
    volumes: list[float] = Field(description="Volumes (A^3).")
    energies: list[float] = Field(description="Energies of the cell (eV).")
    linear_strains: list[float] = Field(description="Strains of the cell vectors.")
    bulk_modulus: float | None = Field(None, description="Bulk modulus (GPa).")
    bulk_modulus_derivative: float | None = Field(None, description="Its derivative.")
    equilibrium_volume: float | None = Field(None, description="Volume of the minimum (A^3).")
    equilibrium_energy: float | None = Field(None, description="Energy there (eV).")
    residual: float | None = Field(
        None, description="Root mean square deviation of the energies (meV/atom)."
    )


class LabelDoc(StructureMetadata):
    """The labelled frames of one MOF."""

    state: Literal["successful", "incomplete", "failed"] = Field(
        description="successful; incomplete when a calculation failed or did not converge; "
        "failed when there is no good frame."
    )
    mof_id: str = Field(description="Name of the MOF.")
    structure: Structure = Field(description="The structure asked for.")
    input_hash: str | None = Field(None, description="Hash of the structure asked for.")
    calculation_id: str | None = Field(
        None,
        description="Hash of structures and settings: equal calculations have equal ids.",
    )
    tasks: list[LabelTask] = Field(description="The calculations.")
    n_frames: int = Field(description="Frames, quarantined ones too.")
    n_good: int = Field(description="Frames to train on.")
    n_quarantined: int = Field(description="Frames kept apart.")
    n_duplicates: int = Field(description="Frames left out as duplicates.")
    quarantine_reasons: dict[str, int] = Field(
        default_factory=dict, description="How many frames by kind of reason."
    )
    frames: list[LabelFrame] = Field(description="The frames; kept in the data store.")
    eos: EosLabels | None = Field(
        None, description="Birch-Murnaghan fit to the frames of the deformations."
    )
    code_version: str | None = Field(None, description="Version of the DFT program.")
    notice: str | None = Field(None, description="Set when a stand-in made the labels.")
    warnings: list[str] = Field(
        default_factory=list, description="What a user of the labels should know."
    )
    settings: QuarantineSettings = Field(description="When frames are kept apart.")
    seconds: float = Field(0.0, description="Wall time of the calculations (s).")
    software: dict[str, str] = Field(default_factory=dict, description="Package versions.")
    completed_at: str = Field(
        default_factory=utc_now,
        description="UTC time of completion.",
    )

    @property
    def good_frames(self) -> list[LabelFrame]:
        """The frames to train on."""
        return [frame for frame in self.frames if frame.good]


def good_frames(docs: Iterable[LabelDoc]) -> list[LabelFrame]:
    """All frames to train on, of several MOFs."""
    return [frame for doc in docs for frame in doc.good_frames]


def _full_stress(stress: ArrayLike) -> Floats:
    from ase.stress import voigt_6_to_full_3x3_stress

    values = np.asarray(stress, float)
    return values if values.shape == (3, 3) else voigt_6_to_full_3x3_stress(values)


class CostAssumptions(BaseModel):
    """What an estimate of VASP's cost assumes; the defaults are a rule of thumb."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flops_per_core: float = Field(
        1e9,
        gt=0,
        description="Floating-point operations per second that a core sustains in VASP (1/s).",
    )
    first_electronic_steps: int = Field(
        15, ge=1, description="Electronic steps of a calculation."
    )
    further_electronic_steps: int = Field(
        8, ge=1, description="Those of each further ionic step."
    )
    ionic_steps: int = Field(
        60, ge=1, description="Ionic steps of a relaxation of cell and positions."
    )
    ionic_steps_fixed_cell: int = Field(
        20, ge=1, description="Those of positions in a strained cell."
    )
