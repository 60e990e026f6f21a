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
from mofonon.campaign.identity import flat_jobs, renamed
from mofonon.potentials import PotentialSpec
from mofonon.potentials.stored import keep_model
from mofonon.training.flows import FineTuneMaker, run_training
from mofonon.training.schemas import ModelFile, PotentialDoc


@job(data=[EncodedArray], output_schema=PotentialDoc)
def fine_tune(dataset: Any, split: str, maker: FineTuneMaker) -> PotentialDoc:
    """Fine-tune on a split of a dataset that another job made.

    Parameters
    ----------
    dataset : DatasetDoc
        With its frames.
    split : str
        Name of the split.
    maker : FineTuneMaker
        Foundation, settings, processes.
    """
    from mofonon.dataset.schemas import DatasetDoc

    doc = dataset if isinstance(dataset, DatasetDoc) else DatasetDoc.model_validate(dataset)
    parts: dict[str, Any] = {name: doc.part(split, name) for name in ("train", "valid", "test")}
    parts |= {"dataset_id": doc.calculation_id, "notice": doc.notice}
    return run_training(maker.prepare(parts), maker.name, maker.with_dispersion)


@job
def start_with_model(
    maker: Any, structure: Structure, spec: PotentialSpec, files: list[ModelFile]
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
    """
    keep_files(spec, files)
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
        if each.uuid == final:
            each.index = running.index + 1
        each.set_uuid(names[each.uuid])
    return Flow(jobs, name=made.name)


def with_potential_of(
    maker: Maker, structure: Any, trained: Any, spec: PotentialSpec | None = None
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
    spec : PotentialSpec, optional
        Not the document's own spec: another head, device or dispersion.
    """
    started = start_with_model(maker, structure, spec or trained.potential_spec, trained.files)
    started.name = f"start {maker.name}"
    return started
