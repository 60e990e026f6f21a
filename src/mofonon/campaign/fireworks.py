"""Campaigns through FireWorks, for those who run it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import Flow, Job
from monty.json import MontyEncoder

from mofonon.campaign.remote import Submission, connected
from mofonon.campaign.resources import set_queue_adapter
from mofonon.campaign.state import finished_jobs
from mofonon.campaign.units import Unit
from mofonon.errors import CampaignError, MissingDependencyError
from mofonon.store import open_store, without_credentials

if TYPE_CHECKING:
    from fireworks import LaunchPad


def open_launchpad(path: Path | None = None) -> LaunchPad:
    """Open the LaunchPad of a file, or the one that FireWorks finds by itself.

    Raises
    ------
    CampaignError
        When it does not answer, or was never set up.
    """
    try:
        from fireworks import LaunchPad
    except ImportError as error:
        raise MissingDependencyError(
            "FireWorks is not installed", "pip install 'mofonon[fireworks]'"
        ) from error
    try:
        launchpad = LaunchPad.from_file(str(path)) if path else LaunchPad.auto_load()
        launchpad.db.client.admin.command("ping")
    except Exception as error:  # pymongo and ruamel raise their own kinds
        raise CampaignError(
            f"the LaunchPad cannot be opened: {without_credentials(str(error))}",
            "lpad init, or name the file with --launchpad",
        ) from error
    if launchpad.fw_id_assigner.find_one() is None:  # add_wf would end in a TypeError
        raise CampaignError(
            f"the LaunchPad {launchpad.name} was never set up",
            "lpad reset, once: it empties the queue of that database",
        )
    return launchpad


def submit(units: Sequence[Unit], campaign: str, launchpad: LaunchPad) -> Submission:
    """Put into the LaunchPad what is neither done nor in it.

    Documents go to the store of ``JOBFLOW_CONFIG_FILE``, which must be set here and where the
    jobs run.

    Parameters
    ----------
    units : sequence of Unit
        All units of the campaign.
    campaign : str
        Name of the campaign.
    launchpad : LaunchPad
        Where to.
    """
    from jobflow.managers.fireworks import flow_to_workflow

    done = Submission()
    ids = sorted({job_id for unit in units for job_id in unit.job_ids})
    finished = finished_jobs(open_store(), ids)
    launchpad.fireworks.create_index("spec._tasks.job.uuid")
    queued = set(launchpad.fireworks.distinct("spec._tasks.job.uuid", _among(ids)))
    absent = done.sort(units, finished, queued, needs_finished=False)
    for group in connected(absent):
        jobs = [(unit, job) for unit in group for job in unit.jobs]
        for unit, job in jobs:
            job.hosts = []
            set_queue_adapter(job, unit.estimates.get(job.uuid), unit.resources)
        flow = Flow([job for _, job in jobs], name=campaign)
        for _, job in jobs:
            _serialize_whole(job)
        launchpad.add_wf(flow_to_workflow(flow, allow_external_references=True))
        done.flows.append(flow.uuid)
        done.n_jobs += len(jobs)
    return done


def _serialize_whole(job: Job) -> None:
    """Let a job give plain data only when FireWorks asks for it.

    FireWorks makes JSON of a job by a function that turns pydantic models within a Maker into
    their text (jobflow 0.4, ``JobFiretask.to_dict``), from which no Maker comes back.
    """
    plain = json.loads(json.dumps(job, cls=MontyEncoder))
    object.__setattr__(job, "as_dict", lambda: plain)


def _among(ids: list[str]) -> dict[str, Any]:
    return {"spec._tasks.job.uuid": {"$in": ids}}
