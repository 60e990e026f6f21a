"""What became of each unit: in the store, and in the queue where there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from jobflow import JobStore

    from mofonon.campaign.units import Unit

State = Literal["done", "running", "waiting", "failed", "blocked"]

#: Class name of the record of a failure in the store.
FAILURE = "CampaignFailure"
_CHUNK = 1000


@dataclass
class UnitRow:
    """What has to be known of a unit to find it in a database.

    Attributes
    ----------
    stage, structure, potential : str
        As in :class:`mofonon.campaign.units.Unit`.
    job_ids : list of str
        Ids of its jobs; the last is that of its document.
    error : str
        Why it cannot be made; empty otherwise.
    needs : list of str
        Ids of the jobs of other units that it cannot do without.
    awaits : str
        Id of the selection without which its jobs cannot be made yet; empty otherwise.
    labels : list of str
        Ids of its documents with labels by VASP, which may lack calculations.
    """

    stage: str
    structure: str
    potential: str
    job_ids: list[str] = field(default_factory=list)
    error: str = ""
    needs: list[str] = field(default_factory=list)
    awaits: str = ""
    labels: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, unit: Unit) -> UnitRow:
        """Make the row of a unit."""
        return cls(
            unit.stage,
            unit.structure,
            unit.potential,
            _document_last(unit),
            str(unit.error) if unit.error is not None else "",
            [] if unit.gathers else sorted(unit.needs - set(unit.job_ids)),
            unit.awaits,
            unit.labels,
        )

    @property
    def document_id(self) -> str:
        """Id of the document of the unit; empty where it cannot be made."""
        return self.job_ids[-1] if self.job_ids else ""


@dataclass
class UnitState:
    """A unit and what became of it.

    Attributes
    ----------
    row : UnitRow
        The unit.
    state : str
        done, running, waiting, failed, or blocked (by a failure of what it needs).
    why : str
        Reason of a failure, or what blocks it; the last line first.
    remedy : str
        What to do about it.
    job_ids : list of str
        Jobs that failed; of a unit that is done those whose labels it lacks.
    reused : bool
        Whether its document was in the store before this run.
    """

    row: UnitRow
    state: State
    why: str = ""
    remedy: str = ""
    job_ids: list[str] = field(default_factory=list)
    reused: bool = False

    def plain(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        row = asdict(self.row)
        for internal in ("job_ids", "error", "needs", "awaits", "labels"):
            row.pop(internal)
        return {
            **row,
            "document_id": self.row.document_id,
            "state": self.state,
            "why": self.why,
            "remedy": self.remedy,
        }


def _document_last(unit: Unit) -> list[str]:
    last = [unit.output.uuid] if unit.output is not None else []
    return [each for each in unit.job_ids if each not in last] + last


def finished_jobs(store: JobStore, ids: Iterable[str]) -> set[str]:
    """Ids of the jobs that have an output in the store.

    A job that was replaced, and whose replacement has not finished, has none.
    """
    return {
        entry["uuid"]
        for entry in found_in_store(store, ids, {"output": {"$ne": None}}, ["uuid"])
    }


def found_in_store(
    store: JobStore, ids: Iterable[str], criteria: dict[str, Any], fields: list[str]
) -> Iterator[dict[str, Any]]:
    """Yield what the store has of some jobs and fits criteria; fields have uuid among them."""
    wanted = set(ids)
    for part in _chunks(store, sorted(wanted)) if wanted else ():
        for entry in store.docs_store.query({**criteria, **part}, fields):
            if entry["uuid"] in wanted:
                yield entry


def find_finished(store: JobStore, document_id: str) -> dict[str, Any] | None:
    """Give a document with its arrays by the id of its job; None where it has not ended."""
    if not finished_jobs(store, [document_id]):
        return None
    from mofonon.store import get_document

    return get_document(store, document_id, with_arrays=True)


def failures(store: JobStore, campaign: str) -> dict[str, dict[str, Any]]:
    """Failures recorded in the store, by the id of the job that failed."""
    criteria = {"metadata.campaign": campaign, "output.@class": FAILURE}
    return {
        entry["output"]["job_id"]: entry["output"]
        for entry in store.docs_store.query(criteria, ["output"])
    }


def states_in_store(rows: Sequence[UnitRow], store: JobStore, campaign: str) -> list[UnitState]:
    """States of units that are run here: done, failed, blocked or waiting."""
    done = finished_jobs(store, (row.document_id for row in rows if row.document_id))
    recorded = failures(store, campaign)
    return blocked_by_needs([_state_in_store(row, done, recorded) for row in rows])


def _state_in_store(
    row: UnitRow, done: set[str], recorded: dict[str, dict[str, Any]]
) -> UnitState:
    if row.error:
        message, _, remedy = row.error.partition("\n  remedy: ")
        return UnitState(row, "failed", message, remedy)
    if row.document_id in done:
        return UnitState(row, "done")
    for job_id in row.job_ids:
        if job_id in recorded:
            return failed_state(row, recorded[job_id])
    return waiting_state(row)


def waiting_state(row: UnitRow) -> UnitState:
    """State of a unit whose turn has not come."""
    return UnitState(row, "waiting", "its structures are yet to be chosen" * bool(row.awaits))


def blocked_by_needs(states: Iterable[UnitState]) -> list[UnitState]:
    """Say of units that need a failed one that they are blocked, and by what.

    Parameters
    ----------
    states : iterable of UnitState
        Each after those of the units that it needs.
    """
    stopped: dict[str, UnitState] = {}
    found = []
    for given in states:
        state = given
        if given.state != "done" and not given.row.error:
            cause = next((stopped[each] for each in given.row.needs if each in stopped), None)
            if cause is not None:
                state = replace(given, state="blocked", why=cause.why, remedy=cause.remedy)
        if state.state in ("failed", "blocked") and state.row.document_id:
            stopped[state.row.document_id] = state
        found.append(state)
    return found


def failed_state(row: UnitRow, failure: dict[str, Any]) -> UnitState:
    """State of a unit after a failure: its own, or that of a job it shares or needs."""
    own = (failure["stage"], failure["potential"]) == (row.stage, row.potential)
    why = f"{failure['job_name']}: {failure['message']}"
    return UnitState(
        row, "failed" if own else "blocked", why, failure["remedy"], [failure["job_id"]]
    )


def counts(states: Iterable[UnitState]) -> dict[str, Counter[str]]:
    """Count units in each state by stage, in the order of the stages."""
    found: dict[str, Counter[str]] = {}
    for each in states:
        found.setdefault(each.row.stage, Counter())[each.state] += 1
    return found


def _chunks(store: JobStore, ids: list[str]) -> Iterator[dict[str, Any]]:
    """Criteria that together find the ids: one pass where a store has no index."""
    from maggma.stores.mongolike import MontyStore

    if isinstance(store.docs_store, MontyStore):
        yield {}
        return
    for start in range(0, len(ids), _CHUNK):
        yield {"uuid": {"$in": ids[start : start + _CHUNK]}}
