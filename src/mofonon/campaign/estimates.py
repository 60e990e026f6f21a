"""What jobs will cost: force evaluations, memory and time, before anything runs.

Counts of displacements are exact (phonopy's, for the structure as given); those of
relaxations are typical ones, measured on MOF-5 and Zn-MOF-74. Seconds and memory are those of
the MACE medium architecture in float64 on one CPU core (docs/campaigns.md); a campaign may
give ``seconds_per_atom`` measured on its own machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jobflow import Job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.campaign.identity import function_name
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import PotentialSpec

#: Evaluations of a relaxation from the file and of one at a volume beside it (typical).
RELAXATION, NEXT_VOLUME = 60, 10
#: Seconds of one force evaluation for each atom, one CPU core, float64 (MACE: measured with
#: the medium architecture, 432 atoms; ase: unknown, taken as free).
CPU_SECONDS_PER_ATOM = {
    "demo": 1.5e-3,
    "mace": 1.2e-2,
    "chgnet": 1.2e-3,
    "sevennet": 4.3e-3,
    "ase": 1e-5,
}
#: The same on a GPU: an assumption, not measured here.
GPU_SECONDS_PER_ATOM = 2e-4
#: Memory of a process without atoms, and for each atom (GB; MACE medium: 4.3 GB at 432 atoms).
BASE_MEMORY = 1.0
MEMORY_PER_ATOM = {"mace": 8e-3, "sevennet": 4e-3, "chgnet": 1e-3, "demo": 5e-4, "ase": 0.0}
#: CPU seconds of the filters for a file of 20 to 60 atoms (docs/selection.md), atoms of a cell
#: whose file has not been read, and the share of features without forces in an evaluation.
CURATION_SECONDS, TYPICAL_ATOMS, FEATURES_OF_AN_EVALUATION = 0.025, 100, 1 / 3
_START_SECONDS = 15.0


@dataclass(frozen=True)
class Estimate:
    """Cost of one job.

    Attributes
    ----------
    evaluations : int
        Force evaluations.
    n_atoms : int
        Atoms of the largest cell evaluated.
    seconds : float
        Wall time on one core, or one GPU (s).
    memory : float
        Memory (GB).
    on_gpu : bool
        Whether the seconds are those of a GPU.
    """

    evaluations: int
    n_atoms: int
    seconds: float
    memory: float
    on_gpu: bool


@dataclass(frozen=True)
class Cost:
    """Cost of force evaluations with one potential."""

    seconds_per_atom: float
    memory_per_atom: float
    on_gpu: bool

    @classmethod
    def of(cls, potential: PotentialSpec, seconds_per_atom: float | None = None) -> Cost:
        """Cost with a potential: measured, where the campaign says, else typical."""
        on_gpu = potential.device.startswith("cuda")
        typical = GPU_SECONDS_PER_ATOM if on_gpu else CPU_SECONDS_PER_ATOM[potential.family]
        if potential.dtype == "float32" and not on_gpu:
            typical /= 2
        return cls(seconds_per_atom or typical, MEMORY_PER_ATOM[potential.family], on_gpu)

    def estimate(self, parts: list[tuple[int, int]]) -> Estimate:
        """Cost of evaluations, given as pairs of their number and their atoms."""
        evaluated = [(number, atoms) for number, atoms in parts if number]
        largest = max((atoms for _, atoms in evaluated), default=0)
        seconds = sum(number * atoms for number, atoms in evaluated) * self.seconds_per_atom
        return Estimate(
            evaluations=sum(number for number, _ in evaluated),
            n_atoms=largest,
            seconds=seconds + _START_SECONDS,
            memory=BASE_MEMORY + largest * self.memory_per_atom,
            on_gpu=self.on_gpu and bool(evaluated),
        )


def estimate_selection(n_files: int, potential: PotentialSpec | None) -> Estimate:
    """Estimate a selection: curation of each file, and features of cells of a typical size."""
    each = CURATION_SECONDS
    if potential is not None:
        cost = Cost.of(potential)
        each += TYPICAL_ATOMS * cost.seconds_per_atom * FEATURES_OF_AN_EVALUATION
    return Estimate(
        evaluations=0,
        n_atoms=TYPICAL_ATOMS,
        seconds=n_files * each + _START_SECONDS,
        memory=2 * BASE_MEMORY,
        on_gpu=potential is not None and potential.device.startswith("cuda"),
    )


def total(parts: Sequence[Estimate]) -> Estimate:
    """Add up jobs that one job starts; memory is that of the largest."""
    return Estimate(
        evaluations=sum(part.evaluations for part in parts),
        n_atoms=max(part.n_atoms for part in parts),
        seconds=sum(part.seconds for part in parts),
        memory=max(part.memory for part in parts),
        on_gpu=any(part.on_gpu for part in parts),
    )


def estimate_job(job: Job, structure: Structure | None, cost: Cost) -> Estimate:
    """Estimate a job of the lattice stage from its function and the structure it is about.

    Jobs of other kinds count as one without evaluations.
    """
    if structure is None:
        return cost.estimate([])
    n_atoms, name = len(structure), function_name(job.function)
    inputs = [*job.function_args, *job.function_kwargs.values()]
    parts: list[tuple[int, int]] = []
    if name.endswith(("RelaxMaker.make", "start_phonons")):
        parts.append((RELAXATION, n_atoms))
    if name.endswith(("compute_strained_cell", "compute_volume")):
        parts.append((NEXT_VOLUME, n_atoms))
    if name.endswith(("compute_phonons", "compute_volume", "start_phonons")):
        parts.append(displacements(structure, _phonon_settings(inputs)))
    return cost.estimate(parts)


def displacements(structure: Structure, settings: PhononSettings) -> tuple[int, int]:
    """Count displaced supercells and atoms in each."""
    return _displacements(_Keyed(structure), settings.model_dump_json())


class _Keyed:
    """A structure that can be the key of a cache."""

    def __init__(self, structure: Structure) -> None:
        from mofonon.structures import structure_hash

        self.structure, self.key = structure, structure_hash(structure)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and other.key == self.key


@lru_cache(maxsize=4096)
def _displacements(keyed: _Keyed, settings: str) -> tuple[int, int]:
    from mofonon.lattice.phonons import displaced_supercells, single_displacements

    atoms = AseAtomsAdaptor.get_atoms(keyed.structure, msonable=False)
    phonon = displaced_supercells(atoms, PhononSettings.model_validate_json(settings))
    return len(single_displacements(phonon)), len(phonon.supercell)


def _phonon_settings(inputs: Sequence[Any]) -> PhononSettings:
    found = [value for value in inputs if isinstance(value, PhononSettings)]
    return found[0] if found else PhononSettings()
