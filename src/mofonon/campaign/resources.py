"""Where jobs run and what they ask for: by stage, sized from atoms and supercell."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mofonon.campaign.schema_base import Resources

if TYPE_CHECKING:
    from jobflow import Job

    from mofonon.campaign.estimates import Estimate
    from mofonon.campaign.units import Unit

_LEAST_HOURS = 0.25
_LEAST_MEMORY = 2.0  # GB


def queue_name(name: str) -> str:
    """Name of a job without what a shell takes for its own, such as brackets.

    jobflow-remote writes it unquoted into the scripts of shell and batch workers.
    """
    return re.sub(r"[^A-Za-z0-9 _.,:+%=-]+", "-", name)


def merged(stage: Resources, campaign: Resources) -> Resources:
    """Resources of a stage, those of the campaign where it does not say."""
    own = stage.model_dump(exclude_unset=True)
    general = campaign.model_dump(exclude_unset=True)
    return Resources(**{**general, **own})


def sized(estimate: Estimate | None, wanted: Resources) -> Resources:
    """Fill in memory, wall time and GPUs from an estimate, with the margin asked for."""
    if estimate is None:
        return wanted
    update: dict[str, Any] = {}
    if wanted.memory is None:
        update["memory"] = math.ceil(max(estimate.memory * wanted.margin, _LEAST_MEMORY))
    if wanted.hours is None:
        hours = estimate.seconds * wanted.margin / 3600
        update["hours"] = math.ceil(max(hours, _LEAST_HOURS) * 4) / 4
    if wanted.gpus is None and estimate.on_gpu:
        update["gpus"] = 1
    return wanted.model_copy(update=update)


def slurm_resources(wanted: Resources) -> dict[str, Any]:
    """Keywords of qtoolkit's SLURM template."""
    keywords = {
        "partition": wanted.queue,
        "account": wanted.account,
        "qos": wanted.qos,
        "nodes": wanted.nodes,
        "ntasks_per_node": wanted.processes_per_node,
        "cpus_per_task": wanted.threads,
        "gres": f"gpu:{wanted.gpus}" if wanted.gpus else None,
        "mem": f"{math.ceil(wanted.memory * 1000)}M" if wanted.memory else None,
        "time": clock(wanted.hours) if wanted.hours else None,
        **wanted.scheduler,
    }
    return {key: value for key, value in keywords.items() if value is not None}


def worker_resources(wanted: Resources, worker: Any) -> dict[str, Any]:
    """Combine the defaults of a worker with what a job needs.

    Parameters
    ----------
    wanted : Resources
        Sized for the job.
    worker : WorkerBase
        The worker of the jobflow-remote project.
    """
    defaults = dict(worker.resources or {})
    if worker.scheduler_type != "slurm":
        return {**defaults, **wanted.scheduler}
    return {**defaults, **slurm_resources(wanted)}


def place_unit(unit: Unit, workers: Mapping[str, Any], exec_configs: Mapping[str, Any]) -> None:
    """Set worker, execution configuration and resources of the jobs of a unit.

    Through jobflow-remote's ``set_run_config``, so that jobs made while it runs inherit them.

    Raises
    ------
    CampaignError
        When the project has no worker or execution configuration of that name.
    """
    from jobflow_remote import set_run_config

    from mofonon.errors import CampaignError

    wanted = unit.resources
    name = wanted.worker or next(iter(workers))
    if name not in workers:
        raise CampaignError(
            f"stage {unit.stage} asks for the worker {name!r}, which the project does not have",
            f"workers of the project: {', '.join(workers)}",
        )
    if wanted.exec_config is not None and wanted.exec_config not in exec_configs:
        raise CampaignError(
            f"stage {unit.stage} asks for the exec_config {wanted.exec_config!r}, which the "
            "project does not have",
            f"it has {', '.join(exec_configs) or 'none'}",
        )
    for job in unit.jobs:
        set_run_config(
            job,
            worker=name,
            exec_config=wanted.exec_config,
            priority=wanted.priority,
            resources=worker_resources(
                sized(unit.estimates.get(job.uuid), wanted), workers[name]
            ),
        )


def set_queue_adapter(job: Job, estimate: Estimate | None, wanted: Resources) -> None:
    """Say to FireWorks what a job asks for: its category and keywords of the queue adapter."""
    needed = sized(estimate, wanted)
    keywords = {
        "queue": needed.queue,
        "account": needed.account,
        "qos": needed.qos,
        "nodes": needed.nodes,
        "gres": f"gpu:{needed.gpus}" if needed.gpus else None,
        "mem": f"{math.ceil(needed.memory * 1000)}M" if needed.memory else None,
        "walltime": clock(needed.hours) if needed.hours else None,
        **needed.scheduler,
    }
    config: dict[str, Any] = {
        "_queueadapter": {key: value for key, value in keywords.items() if value is not None}
    }
    if needed.worker:
        config["_category"] = needed.worker
    if needed.priority is not None:
        config["_priority"] = needed.priority
    job.update_config({"manager_config": config}, dynamic=True)


def clock(hours: float) -> str:
    """Give a time as SLURM takes it, whole minutes."""
    minutes = math.ceil(hours * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"
