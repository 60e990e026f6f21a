"""What the parts of a campaign file have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo


class CampaignModel(BaseModel):
    """Base of all parts of a campaign file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def resolved_paths(value: Any, info: ValidationInfo) -> Any:
    """Take paths as relative to the folder of the campaign file."""
    if value is None:
        return None
    folder = Path((info.context or {}).get("folder", "."))
    if isinstance(value, list):
        return [folder / Path(part).expanduser() for part in value]
    return folder / Path(value).expanduser() if isinstance(value, str) else value


class Resources(CampaignModel):
    """What a job asks of the scheduler; what is left out is sized from the structure."""

    worker: str | None = Field(None, description="Worker of the jobflow-remote project.")
    exec_config: str | None = Field(
        None, description="Execution configuration of the project (modules, variables)."
    )
    queue: str | None = Field(None, description="Partition or queue.")
    account: str | None = Field(None, description="Account to charge.")
    qos: str | None = Field(None, description="Quality of service.")
    nodes: int | None = Field(None, ge=1, description="Nodes.")
    processes_per_node: int | None = Field(None, ge=1, description="Processes on each node.")
    threads: int | None = Field(None, ge=1, description="Threads of each process.")
    gpus: int | None = Field(None, ge=0, description="GPUs of the job.")
    memory: float | None = Field(None, gt=0, description="Memory of the job (GB).")
    hours: float | None = Field(None, gt=0, description="Wall time (h).")
    margin: float = Field(
        2.0, ge=1, description="Factor on the estimated memory and wall time (no unit)."
    )
    priority: int | None = Field(None, description="Priority within jobflow-remote.")
    scheduler: dict[str, Any] = Field(
        default_factory=dict, description="Further keywords of qtoolkit's template."
    )


class Stage(CampaignModel):
    """What all stages have."""

    potentials: list[str] | None = Field(
        None, description="Names of potentials of the campaign; all of them if left out."
    )
    structures: list[str] | None = Field(
        None, description="Names of structures, or patterns; all of them if left out."
    )
    maker: str | None = Field(
        None,
        description="Import path module:Class of a Maker to use in place of mofonon's; its "
        "package must be allowed.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further keyword arguments of that Maker."
    )
    documents: dict[str, str] = Field(
        default_factory=dict,
        description="Structure to id of a document that exists; nothing is computed for it.",
    )
    resources: Resources = Field(default_factory=Resources, description="Of each job.")
    hours_each: float | None = Field(
        None,
        gt=0,
        description="Measured core- or GPU-hours of the stage for one structure (of the whole "
        "stage, where it is made once), in the place of the estimate of plan.",
    )
