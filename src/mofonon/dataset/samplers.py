"""Makers that sample structures of a MOF, each giving a SampleDoc.

All have ``make(structure, mof_id=None, prev_dir=None)``; the structure may be a reference to
the output of another job. ``output.frames`` is a list of UnlabelledFrames, which a LabelMaker
of the dft stage takes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms
from jobflow import Maker, job
from pydantic import BaseModel
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.dataset.sampling import (
    choose_frames,
    doubts,
    rattled_cells,
    relaxation_path,
    strained_cells,
    summarize_dynamics,
)
from mofonon.dataset.schemas import SampleDoc
from mofonon.dft.schemas import Origin, UnlabelledFrame
from mofonon.dynamics import DynamicsSettings, run_dynamics
from mofonon.errors import DatasetError
from mofonon.potentials import (
    PotentialDescription,
    PotentialSpec,
    check_elements,
    describe_potential,
    make_calculator,
)
from mofonon.provenance import content_hash, software_versions
from mofonon.settings import get_settings
from mofonon.structures import structure_hash
from mofonon.structures.fingerprints import FingerprintSpec

_LARGE_FIELDS = ["frames"]


def default_mof_id(structure: Structure) -> str:
    """Name of a MOF that was given none: formula and the beginning of its hash."""
    return f"{structure.composition.reduced_formula}-{structure_hash(structure)[:8]}"


@dataclass
class EosSampleMaker(Maker):
    """Sample cells strained isotropically, for an equation of state.

    Parameters
    ----------
    name : str
        Name of the job.
    linear_strain : tuple of float
        First and last strain of the cell vectors; the paper's are -10 % and +10 %.
    number_of_frames : int
        Cells; the paper's 6.
    """

    name: str = "sample eos"
    linear_strain: tuple[float, float] = (-0.10, 0.10)
    number_of_frames: int = 6

    @job(data=_LARGE_FIELDS, output_schema=SampleDoc)
    def make(
        self, structure: Structure, mof_id: str | None = None, prev_dir: str | None = None
    ) -> SampleDoc:
        """Sample one MOF.

        Parameters
        ----------
        structure : Structure
            The structure, relaxed.
        mof_id : str, optional
            Name of the MOF.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.
        """
        del prev_dir
        start = time.perf_counter()
        first, last = self.linear_strain
        step = (last - first) / max(1, self.number_of_frames - 1)
        strains = [first + i * step for i in range(self.number_of_frames)]
        frames = strained_cells(_atoms(structure), strains)
        names = [f"linear strain {strain:+.4f}" for strain in strains]
        return _document(self, structure, mof_id, "eos", frames, start, parents=names)


@dataclass
class RattleSampleMaker(Maker):
    """Sample cells with random strain and displacements.

    Parameters
    ----------
    name : str
        Name of the job.
    number_of_frames : int
        Cells.
    deviation : float
        Standard deviation of each coordinate (A).
    max_strain : float
        Largest component of the strain.
    seed : int
        Of the random numbers.
    """

    name: str = "sample rattled"
    number_of_frames: int = 5
    deviation: float = 0.05
    max_strain: float = 0.02
    seed: int = 0

    @job(data=_LARGE_FIELDS, output_schema=SampleDoc)
    def make(
        self, structure: Structure, mof_id: str | None = None, prev_dir: str | None = None
    ) -> SampleDoc:
        """Sample one MOF; parameters as those of :class:`EosSampleMaker`."""
        del prev_dir
        start = time.perf_counter()
        frames = rattled_cells(
            _atoms(structure), self.number_of_frames, self.deviation, self.max_strain, self.seed
        )
        return _document(self, structure, mof_id, "rattle", frames, start)


@dataclass
class MdSampleMaker(Maker):
    """Sample molecular dynamics with a potential: frames that differ most, by FPS.

    Temperature and pressure that were reached are in the document, with errors, and what is
    doubtful in its warnings. A trajectory that explodes is cut before the first frame that
    cannot be; ``state`` says so.

    Parameters
    ----------
    name : str
        Name of the job.
    potential : PotentialSpec
        The potential; the paper's is a foundation model with D3(BJ).
    dynamics : DynamicsSettings
        Ensemble, temperature, pressure, length.
    number_of_frames : int
        Frames to choose.
    fingerprint : FingerprintSpec
        Descriptors that frames are chosen by.
    """

    name: str = "sample md"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))
    dynamics: DynamicsSettings = field(default_factory=DynamicsSettings)
    number_of_frames: int = 10
    fingerprint: FingerprintSpec = field(
        default_factory=lambda: FingerprintSpec.from_name("demo")
    )

    @job(data=_LARGE_FIELDS, output_schema=SampleDoc)
    def make(
        self, structure: Structure, mof_id: str | None = None, prev_dir: str | None = None
    ) -> SampleDoc:
        """Sample one MOF; parameters as those of :class:`EosSampleMaker`.

        Raises
        ------
        DatasetError
            The trajectory exploded before there was anything to average.
        UnknownElementError
            The potential lacks an element of the structure.
        """
        del prev_dir
        start = time.perf_counter()
        potential = _known(self.potential, structure)
        self.fingerprint.check_elements(_symbols(structure))
        trajectory = run_dynamics(
            _atoms(structure),
            make_calculator(self.potential),
            self.dynamics,
            checkpoint=_checkpoint(structure, potential, self.dynamics),
        )
        summary = summarize_dynamics(trajectory, self.dynamics)
        # not the start, which every relaxation and deformation has too
        candidates = [trajectory.frame(index) for index in range(1, len(trajectory))]
        chosen = choose_frames(candidates, self.number_of_frames, self.fingerprint)
        planned = self.dynamics.steps // self.dynamics.interval + 1
        return _document(
            self,
            structure,
            mof_id,
            "md",
            [candidates[index] for index in chosen],
            start,
            steps=[(index + 1) * self.dynamics.interval for index in chosen],
            n_candidates=len(candidates),
            n_cut=planned - len(trajectory) if trajectory.state == "exploded" else 0,
            state="exploded" if trajectory.state == "exploded" else "successful",
            dynamics=summary,
            potential=potential,
            fingerprint=self.fingerprint.identity(),
            warnings=doubts(summary),
        )


@dataclass
class RelaxSampleMaker(Maker):
    """Sample a relaxation with a potential: up to 10 frames that differ most, by FPS.

    Relaxations by DFT need no sampler: their steps are labels, which the dataset thins in the
    same way.

    Parameters
    ----------
    name : str
        Name of the job.
    potential : PotentialSpec
        The potential.
    number_of_frames : int
        Most frames.
    fmax : float
        Threshold of the relaxation (eV/A).
    max_steps : int
        Steps before giving up, which is no error here.
    deviation : float
        Standard deviation of the displacements from which it starts (A): a structure that is
        relaxed already has no path.
    seed : int
        Of the displacements.
    fingerprint : FingerprintSpec
        Descriptors that frames are chosen by.
    """

    name: str = "sample relaxation"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))
    number_of_frames: int = 10
    fmax: float = 0.02
    max_steps: int = 200
    deviation: float = 0.0
    seed: int = 0
    fingerprint: FingerprintSpec = field(
        default_factory=lambda: FingerprintSpec.from_name("demo")
    )

    @job(data=_LARGE_FIELDS, output_schema=SampleDoc)
    def make(
        self, structure: Structure, mof_id: str | None = None, prev_dir: str | None = None
    ) -> SampleDoc:
        """Sample one MOF; parameters as those of :class:`EosSampleMaker`.

        Raises
        ------
        DatasetError
            The relaxation exploded at once.
        UnknownElementError
            The potential lacks an element of the structure.
        """
        del prev_dir
        start = time.perf_counter()
        potential = _known(self.potential, structure)
        self.fingerprint.check_elements(_symbols(structure))
        atoms = _atoms(structure)
        if self.deviation > 0:
            atoms = rattled_cells(atoms, 1, self.deviation, 0.0, self.seed)[0]
        path = relaxation_path(
            atoms, make_calculator(self.potential), self.fmax, self.max_steps
        )
        if not path.frames:
            raise DatasetError(
                f"the relaxation of {structure.composition.reduced_formula} exploded: "
                f"{path.reason}",
                "give a better structure or potential",
            )
        chosen = choose_frames(path.frames, self.number_of_frames, self.fingerprint, first=True)
        warnings = []
        if path.reason:
            warnings.append(f"the relaxation exploded and was cut: {path.reason}")
        elif not path.converged:
            warnings.append(f"the relaxation did not converge in {self.max_steps} steps")
        return _document(
            self,
            structure,
            mof_id,
            "relax",
            [path.frames[index] for index in chosen],
            start,
            steps=chosen,
            n_candidates=len(path.frames),
            state="exploded" if path.reason else "successful",
            potential=potential,
            fingerprint=self.fingerprint.identity(),
            warnings=warnings,
        )


def _document(
    maker: Any,
    structure: Structure,
    mof_id: str | None,
    origin: Origin,
    frames: Sequence[Atoms],
    start: float,
    *,
    steps: Sequence[int] | None = None,
    parents: Sequence[str] | None = None,
    warnings: Sequence[str] = (),
    **fields: Any,
) -> SampleDoc:
    """Wrap frames with what they came from."""
    name = mof_id or default_mof_id(structure)
    potential: PotentialDescription | None = fields.get("potential")
    notice = potential.notice if potential is not None else None
    return SampleDoc(
        mof_id=name,
        input_hash=structure_hash(structure),
        origin=origin,
        frames=[
            UnlabelledFrame(
                mof_id=name,
                structure=AseAtomsAdaptor.get_structure(atoms),
                origin=origin,
                step=steps[index] if steps is not None else index,
                parent=parents[index] if parents is not None else maker.name,
            )
            for index, atoms in enumerate(frames)
        ],
        n_frames=len(frames),
        settings=_settings(maker),
        warnings=[*([notice] if notice else []), *warnings],
        notice=notice,
        seconds=time.perf_counter() - start,
        software=software_versions(),
        **{"n_candidates": len(frames), **fields},
    )


def _settings(maker: Any) -> dict[str, Any]:
    """Fields of a Maker as plain data."""
    return {
        key: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for key, value in asdict(maker).items()
    }


def _atoms(structure: Structure) -> Atoms:
    return AseAtomsAdaptor.get_atoms(structure, msonable=False)


def _known(spec: PotentialSpec, structure: Structure) -> PotentialDescription:
    description = describe_potential(spec)
    check_elements(_symbols(structure), description)
    return description


def _symbols(structure: Structure) -> set[str]:
    return {element.symbol for element in structure.composition.elements}


def _checkpoint(
    structure: Structure, potential: PotentialDescription, settings: DynamicsSettings
) -> Path:
    """Where a trajectory goes on from: named after all that decides it."""
    name = content_hash(
        {
            "structure": structure_hash(structure),
            "potential": potential.identity,
            "dynamics": settings.identity(),
        }
    )
    return get_settings().checkpoints / f"{name}.dynamics"
