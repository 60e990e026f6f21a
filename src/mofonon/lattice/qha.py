"""Quasi-harmonic approximation as jobs: relax, phonons at each volume, fits.

Each volume is a job of its own, so that volumes spread over workers; all start from the
relaxed structure, strained. A job that was killed and runs again evaluates only what is
missing in its log of evaluations.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import CURRENT_JOB, Flow, Job, Maker, OutputReference, Response, job
from pymatgen.core import Structure

from mofonon import progress
from mofonon.arrays import EncodedArray
from mofonon.errors import QuasiHarmonicError, RelaxationNotConverged, SettingsError
from mofonon.lattice.jobs import (
    RelaxMaker,
    evaluation_log_path,
    relax_and_compute_phonons,
    relax_first,
)
from mofonon.lattice.qha_documents import qha_calculation_id, qha_document
from mofonon.lattice.qha_schemas import (
    ExcludedVolume,
    FailedVolumeDoc,
    QhaDoc,
    QhaSettings,
    VolumePoint,
)
from mofonon.lattice.qha_volumes import Volume, fit_volumes, strains_to_add, used_volumes
from mofonon.lattice.schemas import CellParameters, PhononDoc, RelaxDoc
from mofonon.lattice.second_order import warm_start
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import EvaluationLog, PotentialSpec, describe_potential
from mofonon.structures import structure_hash


@job(data=[EncodedArray])
def compute_volume(
    structure: Structure,
    linear_strain: float,
    potential: PotentialSpec,
    settings: QhaSettings,
    phonons: PhononSettings,
    hessian: EncodedArray | None = None,
) -> PhononDoc | FailedVolumeDoc:
    """Strain a structure, relax it at that volume, compute its phonons.

    A relaxation that does not converge is a result: the fits leave the volume out.

    Parameters
    ----------
    structure : Structure
        The relaxed structure.
    linear_strain : float
        Strain of the cell vectors; fractional coordinates stay.
    potential : PotentialSpec
        The potential.
    settings : QhaSettings
        What relaxes, and how far.
    phonons : PhononSettings
        Phonons.
    hessian : EncodedArray, optional
        Hessian of the relaxed structure; with the method ``newton`` the relaxation begins
        with it and where it expects the atoms at this strain.
    """
    index = settings.index_of(linear_strain)
    if 0 <= index < settings.n_volumes:
        progress.report("volumes", index, settings.n_volumes)
    strained = strain_isotropically(structure, linear_strain)
    start = time.perf_counter()
    doc: PhononDoc | FailedVolumeDoc
    try:
        doc = relax_and_compute_phonons(
            strained,
            potential,
            phonons_at_volume(phonons, settings),
            settings.relax_settings(),
            warm_start(hessian, linear_strain),
        )
    except RelaxationNotConverged as error:
        doc = _failed_volume(strained, potential, error, time.perf_counter() - start)
    if 0 <= index < settings.n_volumes:
        detail = f"linear strain {100 * linear_strain:+.2f} %"
        progress.report("volumes", index + 1, settings.n_volumes, detail)
    return doc


@job(data=[EncodedArray], output_schema=QhaDoc)
def fit_quasi_harmonic(
    structure: Structure,
    volumes: list[dict[str, Any]],
    potential: PotentialSpec,
    settings: QhaSettings,
    phonons: PhononSettings,
    relaxation: RelaxDoc | None = None,
    n_extensions: int = 0,
) -> QhaDoc | Response[Any]:
    """Fit the free energies of all volumes; where the range is too small, add volumes.

    Parameters
    ----------
    structure : Structure
        The structure at zero strain.
    volumes : list of dict
        The volumes, as :func:`refer_to_volume` has them.
    potential : PotentialSpec
        The potential of all of them.
    settings : QhaSettings
        Volumes and fits.
    phonons : PhononSettings
        Phonons at each volume.
    relaxation : RelaxDoc, optional
        The relaxation that gave the structure; its summary becomes part of the document.
    n_extensions : int
        How many times volumes were added before.

    Returns
    -------
    QhaDoc or Response
        The document; or more volumes and this job again in its place.

    Raises
    ------
    QuasiHarmonicError
        When too few volumes have no imaginary modes, or there is no minimum.
    """
    start = time.perf_counter()
    read = [read_volume(entry, settings) for entry in volumes]
    failed = [each for each in read if isinstance(each, ExcludedVolume)]
    found = [each for each in read if isinstance(each, Volume)]
    result = fit_volumes(used_volumes(found, settings, failed), settings)
    if n_extensions < settings.max_extensions:
        points = [volume.point for volume in found]
        strains = strains_to_add(
            points, result, settings, failed=[each.linear_strain for each in failed]
        )
        if strains:
            known = [
                refer_to_volume(OutputReference(entry["document_id"]), entry["linear_strain"])
                for entry in volumes
            ]
            arguments = (potential, settings, phonons)
            hessian = relaxation.hessian if relaxation is not None else None
            added = volume_jobs(structure, strains, *arguments, hessian)
            entries = known + [
                refer_to_volume(each.output, strain)
                for each, strain in zip(added, strains, strict=True)
            ]
            return replace_by(
                added,
                fit_quasi_harmonic(
                    structure, entries, *arguments, relaxation, n_extensions + 1
                ),
            )
    description = describe_potential(potential)
    summary = relaxation.relaxation if relaxation is not None else None
    input_hash = relaxation.input_hash if relaxation is not None else structure_hash(structure)
    return qha_document(
        structure,
        found,
        result,
        settings,
        phonons,
        failed=failed,
        relaxation=summary,
        potential=description,
        start=start,
        input_hash=input_hash,
        calculation_id=qha_calculation_id(
            input_hash, description, summary.settings if summary else None, settings, phonons
        ),
        n_extensions=n_extensions,
    )


def strain_isotropically(structure: Structure, linear_strain: float) -> Structure:
    """Copy of a structure with all cell vectors strained alike, atoms with them."""
    strained: Structure = structure.apply_strain(linear_strain, inplace=False)
    return strained


def phonons_at_volume(phonons: PhononSettings, settings: QhaSettings) -> PhononSettings:
    """Add a temperature, which the fits spend on differences; coarsen the bands."""
    highest = phonons.temperature_max + phonons.temperature_step
    points = min(phonons.band_points, settings.band_points)
    return phonons.model_copy(update={"temperature_max": highest, "band_points": points})


def volume_jobs(
    structure: Any,
    strains: list[float],
    potential: PotentialSpec,
    settings: QhaSettings,
    phonons: PhononSettings,
    hessian: Any = None,
) -> list[Job]:
    """One job for each linear strain; structure and Hessian may be references."""
    jobs = []
    for strain in strains:
        made = compute_volume(structure, strain, potential, settings, phonons, hessian)
        made.name = f"phonons at linear strain {100 * strain:+.2f} %"
        jobs.append(made)
    return jobs


def refer_to_volume(output: OutputReference, linear_strain: float) -> dict[str, Any]:
    """Refer to the document of a volume, as one: jobflow asks the store for each reference."""
    return {
        "linear_strain": linear_strain,
        "document_id": output.uuid,
        "document": output,
    }


def read_volume(entry: dict[str, Any], settings: QhaSettings) -> Volume | ExcludedVolume:
    """Read the same, after jobflow has put the document in the place of the reference."""
    doc: PhononDoc | FailedVolumeDoc = entry["document"]
    if isinstance(doc, FailedVolumeDoc):
        return ExcludedVolume(
            linear_strain=entry["linear_strain"],
            volume=doc.cell.volume,
            reason=f"not relaxed: {doc.warnings[0]}",
            n_force_evaluations=doc.n_force_evaluations,
        )
    relaxation = doc.relaxation
    if relaxation is None:
        raise QuasiHarmonicError(
            f"the phonons {entry['document_id']} are of a structure that was not relaxed",
            "make the volumes by compute_volume, which relaxes each",
        )
    point = VolumePoint(
        linear_strain=entry["linear_strain"],
        document_id=entry["document_id"],
        cell=doc.cell,
        space_group=doc.space_group,
        energy=relaxation.energy,
        min_frequency=doc.min_frequency,
        n_imaginary_modes=doc.n_imaginary_modes,
        used=settings.allow_imaginary or not doc.n_imaginary_modes,
        n_force_evaluations=doc.n_force_evaluations,
        n_relax_evaluations=relaxation.n_force_evaluations,
        seconds=doc.seconds,
    )
    return Volume(
        point=point,
        thermal=doc.thermal,
        qpoints=doc.arrays.qpoints.decode(),
        weights=doc.arrays.qpoint_weights.decode(),
        frequencies=doc.arrays.frequencies.decode(),
        warnings=doc.warnings,
    )


def _failed_volume(
    strained: Structure, potential: PotentialSpec, error: RelaxationNotConverged, seconds: float
) -> FailedVolumeDoc:
    description = describe_potential(potential)
    with EvaluationLog(evaluation_log_path(structure_hash(strained), description)) as log:
        n_evaluations = len(log)
    return FailedVolumeDoc(
        warnings=[error.message],
        cell=CellParameters.from_structure(strained),
        n_force_evaluations=n_evaluations,
        seconds={"total": seconds},
        potential=description,
    )


def replace_by(jobs: list[Job], last: Job) -> Response[Any]:
    """Replace the running job by others, the last of which takes its place.

    The last one gets the id of the running job, so that references to it stay good and its
    document is stored once. (With an ``output`` jobflow would add a job that copies it.)
    """
    running = CURRENT_JOB.job
    last.set_uuid(running.uuid)
    last.index = running.index + 1
    last.name = running.name
    return Response(replace=Flow([*jobs, last], name="more volumes"))


@dataclass
class QhaMaker(Maker):
    """Relax a structure, compute phonons at volumes around it, fit the free energies.

    Parameters
    ----------
    name : str
        Name of the flow.
    potential : PotentialSpec
        The potential, of the relaxation too.
    settings : QhaSettings
        Volumes, what relaxes at each, fits.
    phonons : PhononSettings
        Phonons at each volume, and the temperatures.
    relax_maker : RelaxMaker or None
        How to relax first, at zero pressure; its potential is replaced by the one above.
        None takes the structure as it is.

    Examples
    --------
    >>> from mofonon.lattice import QhaMaker
    >>> QhaMaker().settings.n_volumes
    11
    """

    name: str = "qha"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))
    settings: QhaSettings = field(default_factory=QhaSettings)
    phonons: PhononSettings = field(default_factory=PhononSettings)
    relax_maker: RelaxMaker | None = field(default_factory=RelaxMaker)

    def __post_init__(self) -> None:
        """Refuse settings that would fail only after all volumes are computed.

        Raises
        ------
        SettingsError
            When there are too few temperatures for differences.
        """
        highest, step = self.phonons.temperature_max, self.phonons.temperature_step
        if highest < step:
            raise SettingsError(
                f"the highest temperature, {highest:g} K, is below the step of {step:g} K",
                "raise --temperature-max or lower --temperature-step",
            )

    def calculation_id(self, structure: Structure) -> str:
        """Identity of the calculation: input structure, potential and settings.

        The document that :meth:`make` leads to has the same, so that what was computed
        before can be found.
        """
        return qha_calculation_id(
            structure_hash(structure),
            describe_potential(self.potential),
            self.relax_maker.settings if self.relax_maker is not None else None,
            self.settings,
            self.phonons,
        )

    def evaluation_logs(self, relaxed: Structure) -> list[Path]:
        """Where the evaluations of each volume are, or would be, kept.

        Parameters
        ----------
        relaxed : Structure
            The structure at zero strain.
        """
        description = describe_potential(self.potential)
        beyond = self.settings.max_extensions * self.settings.n_added
        strains = [
            self.settings.linear_strain(index)
            for index in range(-beyond, self.settings.n_volumes + beyond)
        ]
        return [
            evaluation_log_path(
                structure_hash(strain_isotropically(relaxed, strain)), description
            )
            for strain in strains
        ]

    def make(self, structure: Structure, prev_dir: str | None = None) -> Flow:
        """Make the flow of one structure; its last output is a QhaDoc.

        Parameters
        ----------
        structure : Structure
            The structure, or a reference to the output of another job.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.
        """
        del prev_dir
        first = relax_first(self.relax_maker, structure, self.potential, self.phonons.symprec)
        strains = self.settings.linear_strains()
        arguments = (self.potential, self.settings, self.phonons)
        hessian = first.relaxation.hessian if first.jobs else None
        volumes = volume_jobs(first.structure, strains, *arguments, hessian)
        entries = [
            refer_to_volume(each.output, strain)
            for each, strain in zip(volumes, strains, strict=True)
        ]
        fit_job = fit_quasi_harmonic(first.structure, entries, *arguments, first.relaxation)
        fit_job.name = self.name
        return Flow([*first.jobs, *volumes, fit_job], output=fit_job.output, name=self.name)
