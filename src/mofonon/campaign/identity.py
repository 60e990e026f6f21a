"""Content-addressed jobs: equal calculations have equal ids, wherever they are submitted.

The id of a job is a hash of its function and inputs: structures by their hash, potentials by
their weights, references by the id of the job referred to. So the same calculation has the
same id in another campaign, on another machine or on another day, and a changed setting
changes the ids of what depends on it, and of nothing else.
"""

from __future__ import annotations

import dataclasses
import inspect
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jobflow import Flow, Job, Maker, OutputReference
from monty.json import MSONable
from pydantic import BaseModel
from pymatgen.core import Structure

from mofonon.errors import CampaignError
from mofonon.potentials import PotentialSpec, describe_potential
from mofonon.provenance import content_hash
from mofonon.structures import structure_hash

_NAMESPACE = uuid.UUID("6d6f666f-6e6f-6e20-6361-6d706169676e")


@runtime_checkable
class HasIdentity(Protocol):
    """An input that says itself what of it decides the result of a job."""

    def job_identity(self) -> dict[str, Any]:
        """Plain data."""
        ...


def flat_jobs(flow: Flow | Job) -> list[Job]:
    """All jobs of a flow, each after those it refers to."""
    if isinstance(flow, Job):
        return [flow]
    return [job for job, _ in flow.iterflow()]


def identify_jobs(jobs: Sequence[Job]) -> dict[str, str]:
    """Give jobs the ids that follow from their contents, and correct the references to them.

    Parameters
    ----------
    jobs : sequence of Job
        Each after those it refers to. They are changed in place.

    Returns
    -------
    dict
        Old id to new id.

    Raises
    ------
    CampaignError
        When an input of a job is of a kind that has no identity.
    """
    names: dict[str, str] = {}
    for job in jobs:
        job.function_args = tuple(renamed(list(job.function_args), names))
        job.function_kwargs = renamed(job.function_kwargs, names)
        old = job.uuid
        names[old] = job_id(job)
        job.set_uuid(names[old])
    return names


def job_id(job: Job) -> str:
    """Id of a job whose references have their final ids already."""
    content = {
        "function": function_name(job.function),
        "maker": canonical(job.maker) if job.maker is not None else None,
        "args": canonical(list(job.function_args)),
        "kwargs": canonical(job.function_kwargs),
    }
    return str(uuid.uuid5(_NAMESPACE, content_hash(content)))


def function_name(function: Callable[..., Any]) -> str:
    """Import path of a function; without the package, so that it survives installation."""
    return f"{function.__module__}.{function.__qualname__}"


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Copy of the inputs of a job with ids of jobs replaced, in references and as text."""
    if isinstance(value, OutputReference):
        return OutputReference(
            names.get(value.uuid, value.uuid), value.attributes, value.output_schema
        )
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {key: renamed(part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(renamed(part, names) for part in value)
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changed = {
            name: new
            for name, old in fields.items()
            if isinstance(old, str | list | tuple | dict)
            and (new := renamed(old, names)) != old
        }
        return value.model_copy(update=changed) if changed else value
    return value


def canonical(value: Any) -> Any:
    """Plain data that decide the result of a job, without what does not (names, devices).

    Raises
    ------
    CampaignError
        For objects that are neither plain data, models, dataclasses nor MSONable.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, OutputReference):
        return {"reference": value.uuid, "attributes": [list(a) for a in value.attributes]}
    if isinstance(value, Mapping):
        return {str(key): canonical(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        parts = [canonical(part) for part in value]
        return sorted(parts, key=str) if isinstance(value, set | frozenset) else parts
    return _canonical_object(value)


def _canonical_object(value: Any) -> Any:
    known = _known_identity(value)
    if known is not None:
        return known
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, BaseModel):
        fields = {name: canonical(getattr(value, name)) for name in type(value).model_fields}
        return {"class": kind, "fields": fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: canonical(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not (field.name == "name" and isinstance(value, Maker))
        }
        return {"class": kind, "fields": fields}
    if isinstance(value, MSONable):
        return {"class": kind, "fields": canonical(value.as_dict())}
    if isinstance(value, type) or inspect.isroutine(value):
        return {"import": function_name(value)}
    raise CampaignError(
        f"a job has an input of type {kind}, which has no identity",
        "give Makers and jobs plain data, pydantic models, dataclasses or MSONable objects",
    )


def _known_identity(value: Any) -> dict[str, Any] | None:
    """Identity of what has one of its own: structures, potentials, files."""
    if isinstance(value, Structure) and value.is_ordered:
        return {"structure": structure_hash(value)}
    if isinstance(value, PotentialSpec):
        return {"potential": potential_identity(value)}
    if isinstance(value, HasIdentity):
        return {"identity": canonical(value.job_identity())}
    return None


def potential_identity(spec: PotentialSpec) -> dict[str, Any]:
    """Find what decides the numbers of a potential; looked up once for each spec."""
    return dict(_potential_identity(spec.model_dump_json()))


@lru_cache(maxsize=64)
def _potential_identity(spec: str) -> dict[str, Any]:
    return describe_potential(PotentialSpec.model_validate_json(spec)).identity
