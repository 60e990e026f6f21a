"""The stages that make a potential: samples and labels, dataset, fine-tuning, evaluation.

They are made once for the campaign, of all its structures together.
"""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

from jobflow import CURRENT_JOB, Flow, Job, Maker, Response, job
from pymatgen.core import Structure

from mofonon.arrays import EncodedArray
from mofonon.campaign.extension import require_accepted
from mofonon.campaign.identity import flat_jobs, renamed
from mofonon.campaign.resources import queue_name
from mofonon.dataset.schemas import PARTS, DatasetDoc
from mofonon.dft import LabelDoc, LabelMaker
from mofonon.errors import CampaignError
from mofonon.potentials import PotentialSpec
from mofonon.potentials.stored import keep_model
from mofonon.training.evaluation import EvaluationMaker, evaluate, load_sets
from mofonon.training.flows import FineTuneMaker, run_training
from mofonon.training.schemas import ModelFile, PotentialDoc


@job(data=[EncodedArray], output_schema=PotentialDoc)
def fine_tune(
    datasets: list[Any],
    split: str,
    maker: FineTuneMaker,
    files: dict[str, str],  # noqa: ARG001
) -> PotentialDoc:
    """Fine-tune on a split of datasets that other jobs made.

    Parameters
    ----------
    datasets : list of DatasetDoc
        With their frames; several are put together, part by part.
    split : str
        Name of the split.
    maker : FineTuneMaker
        Foundation, settings, processes.
    files : dict
        Hashes of the files that the settings name: part of the identity of the job.
    """
    docs = [_dataset(found) for found in datasets]
    parts: dict[str, Any] = {
        part: [frame for doc in docs for frame in doc.part(split, part)] for part in PARTS
    }
    parts["dataset_id"] = " + ".join(doc.calculation_id for doc in docs)
    parts["notice"] = next((doc.notice for doc in docs if doc.notice), None)
    return run_training(maker.prepare(parts), maker.name, maker.with_dispersion)


@job(data=[EncodedArray])
def evaluate_on(
    datasets: dict[str, Any],
    split: str,
    part: str,
    maker: EvaluationMaker,
    potentials: dict[str, PotentialSpec],
    files: list[ModelFile] | None = None,
) -> Any:
    """Evaluate potentials on a part of datasets that other jobs made.

    Parameters
    ----------
    datasets : dict of str to DatasetDoc
        With their frames, by the names that tables show.
    split, part : str
        Names, such as random and test.
    maker : EvaluationMaker
        Alignment, size.
    potentials : dict of str to PotentialSpec
        By the names that tables show.
    files : list of ModelFile, optional
        Files of the trained one among them, with their contents.
    """
    specs = {name: PotentialSpec.model_validate(spec) for name, spec in potentials.items()}
    for spec in specs.values():
        keep_files(spec, files or [])
    sets = {
        name: _dataset(found).part(split, part)  # type: ignore[arg-type]
        for name, found in datasets.items()
    }
    return evaluate(specs, load_sets(sets), maker.settings)


def _dataset(found: Any) -> DatasetDoc:
    return found if isinstance(found, DatasetDoc) else DatasetDoc.model_validate(found)


@job(data=["frames"], output_schema=LabelDoc)
def label_samples(maker: LabelMaker, frames: list[Any], mof_id: str) -> Response[Any]:
    """Label the samples of one MOF by VASP.

    The harvest takes the place of this job, so that its LabelDoc is the one there is.

    Parameters
    ----------
    maker : LabelMaker
        How.
    frames : list of UnlabelledFrame
        What to label; all of one MOF.
    mof_id : str
        Its name.

    Raises
    ------
    CampaignError
        When there is nothing to label: the samplers failed.
    """
    if not frames:
        raise CampaignError(
            f"{mof_id} has no samples to label: its samplers failed",
            "mofonon status says why; mofonon retry repeats them",
        )
    made = maker.make(frames, [mof_id] * len(frames))
    (of_the_mof,) = made.jobs
    return Response(replace=in_place_of_this_job(of_the_mof))


@job
def start_with_model(
    maker: Any,
    structure: Structure,
    spec: PotentialSpec,
    files: list[ModelFile],
    changes: dict[str, Any] | None = None,
    verdict: Any = None,
) -> Response[Any]:
    """Make the flow of a Maker with a potential that another job has trained.

    The model is put into the folder of models (``MOFONON_MODELS``) that the workers share.
    The last job of the flow takes the place of this one, so that references stay good; the
    others have ids that follow from its id, so that a second run replaces their documents.

    Parameters
    ----------
    maker : Maker
        With a field ``potential``.
    structure : Structure
        What it is for.
    spec : PotentialSpec
        The potential, by hash of its file.
    files : list of ModelFile
        Its files, with their contents.
    changes : dict, optional
        Fields of the spec that are to be others, such as the device.
    verdict : ExtensionDoc, optional
        Where the model was to replace another: whether it may.

    Raises
    ------
    CampaignError
        When there is none: its training failed.
    ExtensionRefused
        When it may not.
    """
    if spec is None:
        raise CampaignError(
            "there is no trained potential: its training failed",
            "mofonon status says why; mofonon retry repeats it, and what waited for it",
        )
    require_accepted(verdict)
    spec = PotentialSpec.model_validate(spec)
    keep_files(spec, files)
    spec = PotentialSpec(**{**spec.model_dump(), **(changes or {})})
    made = dataclasses.replace(maker, potential=spec).make(structure)
    return Response(replace=in_place_of_this_job(made))


def keep_files(spec: PotentialSpec, files: list[Any]) -> None:
    """Put the file of a potential into the folder of models."""
    for entry in files:
        file = entry if isinstance(entry, ModelFile) else ModelFile.model_validate(entry)
        if str(spec.model).endswith(file.sha256):
            keep_model(file.contents.decode().tobytes())


def in_place_of_this_job(made: Flow | Job) -> Flow:
    """Give the last job of a flow the id of the running job, and the others ids that follow."""
    running = CURRENT_JOB.job
    jobs = flat_jobs(made)
    final = made.output.uuid
    names = {
        each.uuid: running.uuid
        if each.uuid == final
        else str(uuid.uuid5(uuid.UUID(running.uuid), str(number)))
        for number, each in enumerate(jobs)
    }
    for each in jobs:
        each.function_args = tuple(renamed(list(each.function_args), names))
        each.function_kwargs = renamed(each.function_kwargs, names)
        each.hosts = []
        each.name = queue_name(each.name)
        if each.uuid == final:
            each.index = running.index + 1
        each.set_uuid(names[each.uuid])
    members: list[Flow | Job] = list(jobs)
    return Flow(members, name=made.name)


def with_potential_of(
    maker: Maker,
    structure: Any,
    trained: Any,
    changes: dict[str, Any],
    verdict: Any = None,
) -> Job:
    """Make the job that starts a Maker with a trained potential.

    Parameters
    ----------
    maker : Maker
        The Maker.
    structure : Structure or OutputReference
        What it is for.
    trained : OutputReference
        The PotentialDoc.
    changes : dict
        Fields of its spec that are to be others: head, device, dispersion.
    verdict : OutputReference, optional
        The ExtensionDoc of an extension.
    """
    started = start_with_model(
        maker, structure, trained.potential_spec, trained.files, changes, verdict
    )
    started.name = f"start {maker.name}"
    return started
