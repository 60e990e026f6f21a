"""Jobs of the lattice stage: load, call, wrap in a document."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import Flow, Job, Maker, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.arrays import EncodedArray
from mofonon.lattice.analysis import analyse_phonons
from mofonon.lattice.documents import (
    phonon_calculation_id,
    phonon_document,
    relax_document,
)
from mofonon.lattice.phonons import (
    displaced_supercells,
    require_double_precision,
    set_force_constants,
    supercell_forces,
)
from mofonon.lattice.phonopy_files import phonons_from_phonopy
from mofonon.lattice.relax import relax
from mofonon.lattice.schemas import PhononDoc, RelaxDoc
from mofonon.lattice.second_order import WarmStart
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.potentials import (
    EvaluationLog,
    LoggedCalculator,
    PotentialDescription,
    PotentialSpec,
    check_elements,
    describe_potential,
    make_calculator,
)
from mofonon.provenance import content_hash
from mofonon.settings import get_settings
from mofonon.structures import structure_hash


def evaluation_log_path(input_hash: str, potential: PotentialDescription) -> Path:
    """Where the evaluations made for an input structure with a potential are kept.

    All calculations that start from the structure share the log, whatever their settings:
    another mesh or pitch evaluates nothing again.
    """
    name = content_hash({"structure": input_hash, "potential": potential.identity})
    return get_settings().checkpoints / f"{name}.evaluations"


@contextmanager
def logged_calculator(
    spec: PotentialSpec, input_hash: str, potential: PotentialDescription
) -> Iterator[LoggedCalculator]:
    """Give a calculator whose evaluations are kept on disk.

    The model is loaded when the first evaluation is not found in the log.
    """
    with EvaluationLog(evaluation_log_path(input_hash, potential)) as log:
        yield LoggedCalculator(lambda: make_calculator(spec), log)


@dataclass
class RelaxMaker(Maker):
    """Relax cell and positions of a structure tightly, as phonons need it.

    Parameters
    ----------
    name : str
        Name of the job.
    potential : PotentialSpec
        The potential.
    settings : RelaxSettings
        Threshold and steps.
    symprec : float
        Tolerance of the space groups that the document names (A).
    """

    name: str = "relax"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))
    settings: RelaxSettings = field(default_factory=RelaxSettings)
    symprec: float = 1e-5

    @job(data=[EncodedArray], output_schema=RelaxDoc)
    def make(self, structure: Structure, prev_dir: str | None = None) -> RelaxDoc:
        """Relax a structure.

        Parameters
        ----------
        structure : Structure
            The structure.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.

        Raises
        ------
        RelaxationNotConverged
            When the threshold is not reached.
        UnknownElementError
            When the potential lacks an element of the structure.
        """
        del prev_dir
        return relaxed_structure(structure, self.potential, self.settings, self.symprec)


@dataclass(frozen=True)
class RelaxedFirst:
    """What a Maker that relaxes first goes on with.

    Attributes
    ----------
    jobs : list of Flow or Job
        The relaxation; empty when the structure is taken as it is.
    structure : Structure or OutputReference
        The structure to go on with.
    relaxation : OutputReference or None
        Document of the relaxation.
    """

    jobs: list[Flow | Job]
    structure: Any
    relaxation: Any


def relax_first(
    maker: RelaxMaker | None, structure: Structure, potential: PotentialSpec, symprec: float
) -> RelaxedFirst:
    """Begin a flow with a relaxation by the potential of the flow, or without one."""
    if maker is None:
        return RelaxedFirst([], structure, None)
    relaxer = RelaxMaker(
        name=maker.name, potential=potential, settings=maker.settings, symprec=symprec
    )
    relax_job = relaxer.make(structure)
    return RelaxedFirst([relax_job], relax_job.output.structure, relax_job.output)


@job(data=[EncodedArray], output_schema=PhononDoc)
def compute_phonons(
    structure: Structure,
    potential: PotentialSpec,
    settings: PhononSettings,
    relaxation: RelaxDoc | None = None,
) -> PhononDoc:
    """Compute the phonons of a structure: all displacements in one job.

    Parameters
    ----------
    structure : Structure
        The structure, relaxed with the same potential.
    potential : PotentialSpec
        The potential.
    settings : PhononSettings
        Supercell, displacements, mesh.
    relaxation : RelaxDoc, optional
        The relaxation that gave the structure; its summary becomes part of the document.
    """
    return phonons_of_structure(structure, potential, settings, relaxation)


@job(data=[EncodedArray], output_schema=PhononDoc)
def analyse_phonopy_file(
    path: str, settings: PhononSettings, structure: Structure | None = None
) -> PhononDoc:
    """Analyse forces or force constants in phonopy's files; no potential is needed.

    Parameters
    ----------
    path : str
        phonopy.yaml, FORCE_SETS, FORCE_CONSTANTS or force_constants.hdf5.
    settings : PhononSettings
        Mesh, pitch, symmetrization; the supercell where the file has none.
    structure : Structure, optional
        The unit cell, for files that do not hold it.
    """
    return phonons_from_phonopy(Path(path), settings, structure)


def relaxed_structure(
    structure: Structure,
    potential: PotentialSpec,
    settings: RelaxSettings,
    symprec: float,
    start: WarmStart | None = None,
) -> RelaxDoc:
    """Relax a structure, its evaluations kept on disk, and make the document.

    Parameters
    ----------
    structure : Structure
        The structure.
    potential : PotentialSpec
        The potential.
    settings : RelaxSettings
        Threshold and steps.
    symprec : float
        Tolerance of the space groups that the document names (A).
    start : WarmStart, optional
        Hessian of a relaxed structure near this one, of the method ``newton``.

    Raises
    ------
    RelaxationNotConverged
        When the threshold is not reached.
    UnknownElementError
        When the potential lacks an element of the structure.
    """
    description = describe_potential(potential)
    check_elements(_symbols(structure), description)
    input_hash = structure_hash(structure)
    with logged_calculator(potential, input_hash, description) as calculator:
        result = relax(
            AseAtomsAdaptor.get_atoms(structure, msonable=False),
            calculator,
            settings.fmax,
            cell=settings.cell,
            max_steps=settings.max_steps,
            method=settings.method,
            symmetry=settings.symmetry,
            symmetry_tolerance=settings.symmetry_tolerance,
            start=start,
        )
    return relax_document(structure, result, description, settings, symprec)


def phonons_of_structure(
    structure: Structure,
    potential: PotentialSpec,
    settings: PhononSettings,
    relaxation: RelaxDoc | None = None,
) -> PhononDoc:
    """Evaluate the displaced supercells of a structure and analyse its phonons.

    Parameters
    ----------
    structure : Structure
        The structure, relaxed with the same potential.
    potential : PotentialSpec
        The potential.
    settings : PhononSettings
        Supercell, displacements, mesh.
    relaxation : RelaxDoc, optional
        The relaxation that gave the structure; its summary becomes part of the document.

    Raises
    ------
    UnknownElementError
        When the potential lacks an element of the structure.
    PrecisionError
        When the displacement is below the noise of the precision asked for.
    ForceConstantsError
        When the potential gives forces that are not finite.
    """
    start = time.perf_counter()
    description = describe_potential(potential)
    check_precision(description, settings)
    check_elements(_symbols(structure), description)
    summary = relaxation.relaxation if relaxation is not None else None
    input_hash = relaxation.input_hash if relaxation is not None else structure_hash(structure)
    calculation_id = phonon_calculation_id(
        input_hash, description, summary.settings if summary else None, settings
    )
    phonon = displaced_supercells(
        AseAtomsAdaptor.get_atoms(structure, msonable=False), settings
    )
    with logged_calculator(potential, input_hash, description) as calculator:
        forces = supercell_forces(phonon, calculator)
        forces_done = time.perf_counter()
    set_force_constants(
        phonon, forces.displaced, symmetrize=settings.symmetrize_force_constants
    )
    analysis = analyse_phonons(phonon, settings)
    relax_seconds = summary.seconds if summary else 0.0
    relax_evaluations = summary.n_force_evaluations if summary else 0
    seconds = {
        "relaxation": relax_seconds,
        "forces": forces_done - start,
        "potential": calculator.seconds,
        "analysis": analysis.seconds,
        "phonon_job": time.perf_counter() - start,
        "total": relax_seconds + time.perf_counter() - start,
    }
    return phonon_document(
        structure,
        phonon,
        forces,
        analysis,
        settings,
        input_hash=input_hash,
        calculation_id=calculation_id,
        relaxation=summary,
        potential=description,
        notice=description.notice,
        n_force_evaluations=relax_evaluations + calculator.n_evaluations,
        seconds=seconds,
        warnings=_potential_warnings(description),
    )


def relax_and_compute_phonons(
    structure: Structure,
    potential: PotentialSpec,
    settings: PhononSettings,
    relax_settings: RelaxSettings,
    start: WarmStart | None = None,
) -> PhononDoc:
    """Relax a structure and compute its phonons, within one job.

    ``start`` has the Hessian of a relaxed structure near this one.

    Raises
    ------
    RelaxationNotConverged
        When the threshold is not reached.
    """
    relaxation = relaxed_structure(
        structure, potential, relax_settings, settings.symprec, start
    )
    return phonons_of_structure(relaxation.structure, potential, settings, relaxation)


def check_precision(potential: PotentialDescription, settings: PhononSettings) -> None:
    """Refuse displacements whose forces drown in the noise of single precision.

    Raises
    ------
    PrecisionError
        For less than 0.001 A in float32.
    """
    if potential.dtype == "float32":
        require_double_precision(settings.displacement)


def _potential_warnings(potential: PotentialDescription) -> list[str]:
    warnings = [potential.notice] if potential.notice else []
    if potential.dtype == "float32":
        warnings.append(
            "single precision was asked for: with displacements of 0.001 A its noise can be of "
            "the order of 1 THz"
        )
    return warnings


def _symbols(structure: Structure) -> set[str]:
    return {element.symbol for element in structure.composition.elements}
