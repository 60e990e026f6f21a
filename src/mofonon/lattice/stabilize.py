"""Elimination of imaginary modes as jobs: attempt after attempt, each on record."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jobflow import Flow, Job, Maker, OutputReference, Response, job
from phonopy import Phonopy
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.arrays import EncodedArray
from mofonon.errors import MofononError
from mofonon.lattice.documents import find_space_group, phonon_calculation_id
from mofonon.lattice.jobs import logged_calculator, relax_and_compute_phonons
from mofonon.lattice.perturb import Perturbation, perturb, scaled_settings
from mofonon.lattice.phonons import to_phonopy_atoms
from mofonon.lattice.schemas import FollowedModeEntry, PhononDoc
from mofonon.lattice.second_order import WarmStart
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.lattice.stabilize_schemas import (
    Attempt,
    FailedAttempt,
    StabilizeDoc,
    StabilizeSettings,
    Strategy,
)
from mofonon.potentials import PotentialSpec, describe_potential
from mofonon.provenance import content_hash, software_versions
from mofonon.structures import structure_hash

#: An attempt that lowers the energy by less than this made no progress (eV/atom).
_PROGRESS = 1e-7


@dataclass
class ImaginaryModeMaker(Maker):
    """Relax a structure, compute its phonons, and eliminate imaginary modes.

    Each attempt is a job: perturb the best structure so far, relax it tightly, compute its
    phonons, check. The next strategy is tried when one makes no progress; giving up is a
    result with ``state: imaginary``.

    Parameters
    ----------
    name : str
        Name of the flow.
    potential : PotentialSpec
        The potential.
    settings : StabilizeSettings
        Strategies and their parameters.
    phonons : PhononSettings
        Phonons of the structure given; supercells of it are treated alike.
    relax : RelaxSettings
        Relaxation before each phonon calculation.
    """

    name: str = "stabilize"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))
    settings: StabilizeSettings = field(default_factory=StabilizeSettings)
    phonons: PhononSettings = field(default_factory=PhononSettings)
    relax: RelaxSettings = field(default_factory=RelaxSettings)

    def calculation_id(self, structure: Structure) -> str:
        """Identity of the calculation: input structure, potential and all settings."""
        return self._task(structure_hash(structure)).calculation_id

    def make(self, structure: Structure, prev_dir: str | None = None) -> Flow:
        """Make the flow of one structure; its last output is a StabilizeDoc.

        Parameters
        ----------
        structure : Structure
            The structure, or a reference to the output of another job.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.
        """
        del prev_dir
        start = start_phonons(structure, self.potential, self.phonons, self.relax)
        task = self._task(start.output.input_hash).model()
        check = check_attempt(task, start.output.attempt, start.uuid, [])
        return Flow([start, check], output=check.output, name=self.name)

    def _task(self, input_hash: Any) -> Task:
        return Task(self.potential, self.settings, self.phonons, self.relax, input_hash)


@dataclass(frozen=True)
class Task:
    """What every job of one elimination needs to know."""

    potential: PotentialSpec
    settings: StabilizeSettings
    phonons: PhononSettings
    relax: RelaxSettings
    input_hash: str

    @property
    def calculation_id(self) -> str:
        """Identity of the elimination: input structure, potential and all settings."""
        phonon_id = phonon_calculation_id(
            self.input_hash, describe_potential(self.potential), self.relax, self.phonons
        )
        settings = self.settings.model_dump(mode="json")
        return content_hash({"kind": "stabilize", "phonons": phonon_id, "settings": settings})

    def model(self) -> dict[str, Any]:
        """Plain data for a job."""
        return {
            "potential": self.potential,
            "settings": self.settings,
            "phonons": self.phonons,
            "relax": self.relax,
            "input_hash": self.input_hash,
        }


@job(data=[EncodedArray])
def start_phonons(
    structure: Structure,
    potential: PotentialSpec,
    phonons: PhononSettings,
    relax: RelaxSettings,
) -> PhononDoc:
    """Relax the structure given and compute its phonons: attempt number 0."""
    doc = relax_and_compute_phonons(structure, potential, phonons, relax)
    doc.attempt = attempt_record(doc, Attempt(number=0), None)
    return doc


@job(data=[EncodedArray])
def attempt_phonons(
    number: int, strategy: Strategy, seed: int, base: PhononDoc, task: dict[str, Any]
) -> PhononDoc | FailedAttempt:
    """Perturb, relax, compute phonons.

    An error of the calculation is the result of the attempt, not of the flow: it is
    recorded, and other attempts follow.

    Returns
    -------
    PhononDoc or FailedAttempt
        The document, with the record in ``attempt``; only the record where it failed.
    """
    options = Task(**task)
    start = time.perf_counter()
    record = Attempt(number=number, strategy=strategy, seed=seed)
    try:
        description = describe_potential(options.potential)
        with logged_calculator(
            options.potential, structure_hash(base.structure), description
        ) as calculator:
            found = perturb(
                phonopy_from_document(base),
                AseAtomsAdaptor.get_atoms(base.structure, msonable=False),
                calculator,
                strategy,
                seed,
                options.settings,
                base.settings.imaginary_threshold,
            )
            record = record.model_copy(
                update={**_fields(found), "n_force_evaluations": calculator.n_evaluations}
            )
        phonons = scaled_settings(
            base.settings, base.structure.lattice.matrix, found.structure.lattice.matrix
        )
        doc = relax_and_compute_phonons(
            found.structure,
            options.potential,
            phonons,
            options.relax,
            None if found.hessian is None else WarmStart(found.hessian),
        )
    except MofononError as error:
        seconds = time.perf_counter() - start
        failed = record.model_copy(
            update={"state": "failed", "error": str(error), "seconds": seconds}
        )
        return FailedAttempt(attempt=failed.model_dump(mode="json"))
    record = record.model_copy(
        update={
            "n_force_evaluations": record.n_force_evaluations + doc.n_force_evaluations,
            "seconds": time.perf_counter() - start,
        }
    )
    doc.attempt = attempt_record(doc, record, base)
    return doc


@job
def check_attempt(
    task: dict[str, Any],
    latest: dict[str, Any],
    document_id: str,
    history: list[dict[str, Any]],
) -> Response[Any]:
    """Look at the latest attempt: stop, or replace this job by the next attempt."""
    options = Task(**task)
    record = Attempt.model_validate({**latest, "document_id": document_id})
    attempts = [*(Attempt.model_validate(entry) for entry in history), record]
    best = best_attempt(attempts)
    strategy = next_strategy(attempts, options.settings)
    if best.has_imaginary_modes is False or strategy is None:
        final = finish(
            task,
            OutputReference(str(best.document_id)).structure,
            [attempt.model_dump(mode="json") for attempt in attempts],
        )
        return Response(replace=final)
    number = len(attempts)
    next_attempt = attempt_phonons(
        number,
        strategy,
        options.settings.seed + number,
        OutputReference(str(best.document_id)),
        task,
    )
    check = check_attempt(
        task,
        next_attempt.output.attempt,
        next_attempt.uuid,
        [attempt.model_dump(mode="json") for attempt in attempts],
    )
    jobs: list[Flow | Job] = [next_attempt, check]
    return Response(replace=Flow(jobs, output=check.output, name=f"attempt {number}"))


@job(output_schema=StabilizeDoc)
def finish(
    task: dict[str, Any], structure: Structure, attempts: list[dict[str, Any]]
) -> StabilizeDoc:
    """Make the document of the elimination."""
    options = Task(**task)
    records = [Attempt.model_validate(entry) for entry in attempts]
    start, best = records[0], best_attempt(records)
    description = describe_potential(options.potential)
    stable = best.has_imaginary_modes is False
    return StabilizeDoc.from_structure(
        meta_structure=structure,
        structure=structure,
        state="stable" if stable else "imaginary",
        input_hash=options.input_hash,
        calculation_id=options.calculation_id,
        space_group_before=start.space_group,
        space_group=find_space_group(structure, options.phonons.symprec),
        min_frequency_before=start.lowest_after,
        min_frequency=best.lowest_after,
        energy_change_per_atom=(best.energy_per_atom or 0.0) - (start.energy_per_atom or 0.0),
        n_attempts=len(records) - 1,
        attempts=records,
        best_attempt=best.number,
        phonon_document=best.document_id,
        n_force_evaluations=sum(record.n_force_evaluations for record in records),
        settings=options.settings,
        potential=description,
        notice=description.notice,
        warnings=_warnings(records, stable=stable, notice=description.notice),
        software=software_versions(),
    )


def best_attempt(attempts: list[Attempt]) -> Attempt:
    """Choose the best: a stable one, else the lowest in energy, else the least imaginary."""
    done = [attempt for attempt in attempts if attempt.state == "successful"]

    def rank(attempt: Attempt) -> tuple[bool, float, float]:
        energy = round((attempt.energy_per_atom or 0.0) / _PROGRESS) * _PROGRESS
        return bool(attempt.has_imaginary_modes), energy, -(attempt.lowest_after or 0.0)

    return min(done, key=rank)


def next_strategy(attempts: list[Attempt], settings: StabilizeSettings) -> Strategy | None:
    """Choose the next strategy; None when the attempts are used up.

    A strategy is kept while it lowers the energy; otherwise the next of the list follows,
    and after the last the first one that draws random numbers, with another seed.
    """
    if len(attempts) > settings.max_attempts:
        return None
    last = attempts[-1]
    if last.strategy is None:
        return settings.strategies[0]
    if last.state == "successful" and (last.energy_change_per_atom or 0.0) < -_PROGRESS:
        return last.strategy
    position = settings.strategies.index(last.strategy) + 1
    if position < len(settings.strategies):
        return settings.strategies[position]
    random = [strategy for strategy in settings.strategies if strategy != "mode-mapping"]
    return random[0] if random else None


def attempt_record(doc: PhononDoc, record: Attempt, base: PhononDoc | None) -> dict[str, Any]:
    """Complete the record of an attempt from its phonon document."""
    energy = _energy_per_atom(doc)
    update = {
        "n_atoms": doc.nsites,
        "energy_per_atom": energy,
        "energy_change_per_atom": None if base is None else energy - _energy_per_atom(base),
        "lowest_before": None if base is None else base.min_frequency,
        "lowest_after": doc.min_frequency,
        "has_imaginary_modes": doc.has_imaginary_modes,
        "space_group": doc.space_group.symbol,
        "followed_in_relaxation": _followed(doc),
        "n_force_evaluations": record.n_force_evaluations or doc.n_force_evaluations,
        "seconds": record.seconds or doc.seconds["total"],
    }
    return record.model_copy(update=update).model_dump(mode="json")


def _followed(doc: PhononDoc) -> list[FollowedModeEntry]:
    second_order = doc.relaxation.second_order if doc.relaxation is not None else None
    modes = second_order.followed if second_order is not None else []
    return [mode for mode in modes if mode.amplitude > 0]


def phonopy_from_document(doc: PhononDoc) -> Phonopy:
    """Rebuild the phonopy object of a document, with its force constants."""
    phonon = Phonopy(
        to_phonopy_atoms(AseAtomsAdaptor.get_atoms(doc.structure, msonable=False)),
        np.array(doc.supercell_matrix),
        primitive_matrix="P",
        symprec=doc.settings.symprec,
    )
    phonon.force_constants = doc.arrays.force_constants.decode()
    return phonon


def _fields(found: Perturbation) -> dict[str, Any]:
    return {
        "q": found.q,
        "mode_frequency": found.mode_frequency,
        "amplitude": found.amplitude,
        "scan_amplitudes": found.scan_amplitudes,
        "scan_energies": found.scan_energies,
    }


def _energy_per_atom(doc: PhononDoc) -> float:
    if doc.relaxation is None or doc.nsites is None:
        raise MofononError(
            "a phonon document without relaxation cannot be compared in energy",
            "compute the phonons with a relaxation before them",
        )
    return doc.relaxation.energy / doc.nsites


def _warnings(records: list[Attempt], *, stable: bool, notice: str | None) -> list[str]:
    found = [notice] if notice else []
    failed = [record for record in records if record.state == "failed"]
    found += [f"attempt {record.number} failed: {record.error}" for record in failed]
    if not stable:
        found.append(
            f"imaginary modes remain after {len(records) - 1} attempts: this is not a minimum "
            "of the potential, or the supercell is too small"
        )
    return found
