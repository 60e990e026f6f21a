"""Label documents that lack calculations: said by status, and only those run again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mofonon.campaign.state import UnitState, found_in_store

if TYPE_CHECKING:
    from jobflow import Flow, JobStore

    from mofonon.dft import LabelMaker

_REMEDY = "mofonon retry FILE runs those again, and what is made of them"


@dataclass(frozen=True)
class Incomplete:
    """A label document of which calculations were not successful.

    Attributes
    ----------
    why : str
        Which of them, and why.
    job_ids : list of str
        Ids of their jobs.
    """

    why: str
    job_ids: list[str]


def incomplete_labels(store: JobStore, ids: Iterable[str]) -> dict[str, Incomplete]:
    """Find the label documents among some that lack calculations, by id.

    Parameters
    ----------
    store : JobStore
        An open store.
    ids : iterable of str
        Ids of label documents.
    """
    criteria = {"output.@class": "LabelDoc"}
    newest: dict[str, dict[str, Any]] = {}
    fields = ["uuid", "index", "output.state", "output.tasks"]
    for entry in found_in_store(store, ids, criteria, fields):
        if entry["index"] >= newest.get(entry["uuid"], {"index": 0})["index"]:
            newest[entry["uuid"]] = entry
    return {
        document_id: _of_tasks(entry["output"]["tasks"])
        for document_id, entry in newest.items()
        if entry["output"]["state"] == "incomplete"
    }


def _of_tasks(tasks: Sequence[dict[str, Any]]) -> Incomplete:
    bad = [task for task in tasks if task["state"] != "successful"]
    told = "; ".join(f"{task['name']}: {task['reason'] or task['state']}" for task in bad[:3])
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return Incomplete(
        f"incomplete, {len(bad)} of {len(tasks)} calculations are missing: {told}{more}",
        [task["uuid"] for task in bad if task["uuid"]],
    )


def with_incomplete(states: Sequence[UnitState], store: JobStore) -> list[UnitState]:
    """Say of units that are done which calculations of their labels are missing."""
    labels = [each for s in states if s.state == "done" for each in s.row.labels]
    if not labels:
        return list(states)
    found = incomplete_labels(store, labels)
    return [_marked(s, [found[e] for e in s.row.labels if e in found]) for s in states]


def _marked(state: UnitState, missing: list[Incomplete]) -> UnitState:
    if state.state != "done" or not missing:
        return state
    return replace(
        state,
        why="; ".join(each.why for each in missing),
        remedy=_REMEDY,
        job_ids=[job_id for each in missing for job_id in each.job_ids],
    )


def flow_of_missing(maker: LabelMaker, store: JobStore, document_id: str) -> Flow:
    """Make the flow of the calculations that a label document lacks.

    Its harvest takes over what was successful, and replaces the document.

    Parameters
    ----------
    maker : LabelMaker
        That of the document.
    store : JobStore
        Where it is.
    document_id : str
        Its id.
    """
    from mofonon.campaign.identity import flat_jobs
    from mofonon.dft import LabelDoc

    entries = list(store.query({"uuid": document_id}, load=True))
    entry = max(entries, key=lambda each: each["index"])
    flow = maker.retry(LabelDoc.model_validate(entry["output"]))
    *_, harvest = flat_jobs(flow)
    harvest.hosts = []
    harvest.set_uuid(document_id)
    harvest.index = entry["index"]
    return flow
