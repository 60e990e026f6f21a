"""Campaigns on clusters through jobflow-remote: submission, states, second attempts."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobflow import Flow

from mofonon.campaign.labels import with_incomplete
from mofonon.campaign.resources import clock, place_unit
from mofonon.campaign.state import (
    State,
    UnitRow,
    UnitState,
    blocked_by_needs,
    finished_jobs,
    waiting_state,
)
from mofonon.campaign.vasp_check import WorkerCheck, check_workers
from mofonon.errors import CampaignError, MissingDependencyError
from mofonon.store import without_credentials

if TYPE_CHECKING:
    from jobflow import JobStore
    from jobflow_remote.jobs.jobcontroller import JobController

    from mofonon.campaign.units import Unit

_RUNNING = {
    *("CHECKED_OUT", "UPLOADED", "SUBMITTED", "RUNNING", "RUN_FINISHED", "DOWNLOADED"),
    *("BATCH_SUBMITTED", "BATCH_RUNNING"),
}
_FAILED = {"FAILED", "REMOTE_ERROR", "STOPPED", "USER_STOPPED", "PAUSED"}
_CHUNK = 1000
_FIELDS = {
    "_id": 0,
    **dict.fromkeys(
        ("uuid", "index", "db_id", "state", "worker", "error", "lock_id", "remote.error"), 1
    ),
    "parents": 1,
    "job.name": 1,
    "job.metadata": 1,
}


@dataclass
class Submission:
    """What a submission did.

    Attributes
    ----------
    flows : list of str
        Ids of the flows made.
    n_jobs : int
        Jobs added to the queue.
    n_done : int
        Units whose document is there already.
    n_queued : int
        Units that are in the queue already.
    impossible : list of Unit
        Units that cannot be made.
    postponed : list of Unit
        Units that take something from a job of an earlier submission that has not finished.
    unchecked : list of str
        Workers on which VASP could not be looked for, and why.
    """

    flows: list[str] = field(default_factory=list)
    n_jobs: int = 0
    n_done: int = 0
    n_queued: int = 0
    impossible: list[Unit] = field(default_factory=list)
    postponed: list[Unit] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def sort(
        self,
        units: Sequence[Unit],
        finished: set[str],
        queued: Container[str],
        *,
        needs_finished: bool,
    ) -> list[Unit]:
        """Count what is there, and give what is neither done nor queued with the jobs it lacks.

        Parameters
        ----------
        units : sequence of Unit
            All units of a campaign.
        finished : set of str
            Ids of jobs whose documents are in the store.
        queued : container of str
            Ids of jobs that are in the queue.
        needs_finished : bool
            Whether the queue refuses a job that takes something from an earlier submission.
        """
        absent: list[Unit] = []
        available = set(finished)
        for unit in units:
            if unit.awaits:
                self.postponed.append(unit)
            elif unit.output is None:
                self.impossible.append(unit)
            elif unit.output.uuid in finished:
                self.n_done += 1
            elif unit.output.uuid in queued:
                self.n_queued += 1
            elif needs_finished and not unit.gathers and unit.needs - available:
                self.postponed.append(unit)
            else:
                unit.jobs = [job for job in unit.jobs if job.uuid not in available]
                absent.append(unit)
                available |= {job.uuid for job in unit.jobs}
        return absent


@dataclass
class Rerun:
    """What a second attempt did.

    Attributes
    ----------
    changed : list of str
        Database ids of the jobs that run again or wait for those.
    refused : list of str
        Jobs that jobflow-remote does not run again, and why.
    """

    changed: list[str]
    refused: list[str]


class RemoteProject:
    """A jobflow-remote project: its workers, its queue, its store.

    Parameters
    ----------
    name : str, optional
        Name of the project; that of ``JFREMOTE_PROJECT`` if left out.

    Raises
    ------
    CampaignError
        When there is no such project or its database does not answer.
    """

    def __init__(self, name: str | None = None) -> None:
        try:
            from jobflow_remote.config.base import ConfigError
            from jobflow_remote.config.manager import ConfigManager
        except ImportError as error:
            raise MissingDependencyError(
                "jobflow-remote is not installed", "pip install 'mofonon[remote]'"
            ) from error
        try:
            self.project = ConfigManager().get_project(name)
            self.name = self.project.name
            self.controller: JobController = self.project.get_job_controller()
            self.controller.jobs.database.client.admin.command("ping")
        except ConfigError as error:
            raise CampaignError(
                f"the project {name or ''} cannot be used: {without_credentials(str(error))}",
                "mofonon init --cluster slurm makes one; jf project list shows what there is",
            ) from error
        except Exception as error:  # pymongo, pydantic and maggma raise their own kinds
            raise CampaignError(
                f"the project {name or ''} cannot be opened: {without_credentials(str(error))}",
                "mofonon doctor --project NAME checks it step by step",
            ) from error

    def open_store(self) -> JobStore:
        """Open the job store of the project."""
        store = self.project.get_jobstore()
        if store is None:
            raise CampaignError(f"the project {self.name} has no jobstore", "give it one")
        store.connect()
        return store

    def submit(
        self, units: Sequence[Unit], campaign: str, *, vasp_check: bool = True
    ) -> Submission:
        """Put into the queue what is neither done nor in the queue.

        Parameters
        ----------
        units : sequence of Unit
            All units of the campaign, each after those it takes something from.
        campaign : str
            Name of the campaign.
        vasp_check : bool
            Whether to look for VASP on the hosts of the workers that are to run it.

        Raises
        ------
        DftSetupError
            When labels are to be made by VASP, and its commands or POTCARs are absent.
        """
        self.build_indexes()
        done = Submission()
        ids = {job_id for unit in units for job_id in {*unit.job_ids, *unit.needs}}
        finished = finished_jobs(self.open_store(), ids)
        queued = self.jobs_of(ids)
        absent = done.sort(units, finished, queued, needs_finished=True)
        if vasp_check:
            done.unchecked = self._require_vasp([*absent, *done.postponed])
        for group in connected(absent):
            self._add(group, campaign, done)
        return done

    def check_vasp(self, units: Sequence[Unit]) -> WorkerCheck:
        """Look for VASP on the hosts of the workers that are to run it."""
        return check_workers(units, self.project.workers, self.project.exec_config)

    def _require_vasp(self, units: Sequence[Unit]) -> list[str]:
        found = self.check_vasp(units)
        found.require_none()
        return found.unchecked

    def _add(self, group: list[Unit], campaign: str, done: Submission) -> None:
        for unit in group:
            place_unit(unit, self.project.workers, self.project.exec_config)
            for job in unit.jobs:
                job.hosts = []
        flow = Flow([job for unit in group for job in unit.jobs], name=campaign)
        flow.metadata = {"campaign": campaign}
        first = next(iter(self.project.workers))
        self.controller.add_flow(flow, worker=first, allow_external_references=True)
        done.flows.append(flow.uuid)
        done.n_jobs += len(flow.jobs)

    def build_indexes(self) -> None:
        """Index what status and queries look for; quick where the indexes are there."""
        for name in ("job.metadata.campaign",):
            self.controller.jobs.create_index(name)
        from mofonon.store import build_indexes

        build_indexes(self.open_store())

    def jobs_of(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Entries of the queue by job id, of each the latest index."""
        found: dict[str, dict[str, Any]] = {}
        wanted = sorted(ids)
        for start in range(0, len(wanted), _CHUNK):
            part = {"uuid": {"$in": wanted[start : start + _CHUNK]}}
            for entry in self.controller.jobs.find(part, _FIELDS):
                if entry["index"] >= found.get(entry["uuid"], {"index": 0})["index"]:
                    found[entry["uuid"]] = entry
        return found

    def states(self, rows: Sequence[UnitRow], campaign: str) -> list[UnitState]:
        """States of the units of a campaign, jobs made while it runs included."""
        entries = self.jobs_of({job_id for row in rows for job_id in row.job_ids})
        made: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for entry in self.controller.jobs.find({"job.metadata.campaign": campaign}, _FIELDS):
            if entry["uuid"] not in entries:
                made.setdefault(_unit_key(entry), []).append(entry)
        absent = [
            row.document_id
            for row in rows
            if row.document_id and row.document_id not in entries
        ]
        finished = finished_jobs(self.open_store(), absent) if absent else set()
        states = blocked_by_needs(
            _unit_state(row, entries, made.get((row.stage, row.structure, row.potential), []))
            if row.document_id not in finished
            else UnitState(row, "done")
            for row in rows
        )
        if any(row.labels for row in rows):
            return with_incomplete(states, self.open_store())
        return states

    def retry(self, states: Sequence[UnitState], hours: float | None = None) -> Rerun:
        """Run the jobs again that failed, and then what waits for them or was made without.

        Parameters
        ----------
        states : sequence of UnitState
            Of the units.
        hours : float, optional
            Wall time of the jobs run again (h), where each is a SLURM job of its own.

        Returns
        -------
        Rerun
            What was changed, and what jobflow-remote does not run again.
        """
        from jobflow_remote.jobs.data import JobInfo  # noqa: F401 - fails early without it

        ids = {job_id for state in states for job_id in state.job_ids}
        entries = {each["uuid"]: each for each in self.jobs_of(ids).values()}
        changed: set[str] = set()
        refused: list[str] = []
        for entry in entries.values():
            if any(parent in entries for parent in entry["parents"] or ()):
                continue  # its parent is run again, and then it
            current = self.jobs_of([entry["uuid"]])[entry["uuid"]]
            if current["state"] in ("PAUSED", "STOPPED", "USER_STOPPED"):
                continue
            if hours is not None and self._has_own_wall_time(entry["worker"]):
                self.controller.set_job_run_properties(
                    resources={"time": clock(hours)}, db_ids=[entry["db_id"]]
                )
            try:
                changed |= set(
                    self.controller.rerun_job(
                        db_id=entry["db_id"], force=True, delete_files=True
                    )
                )
            except ValueError as error:  # what was made of it was replaced by other jobs
                refused.append(f"{entry['job']['name']}: {error}")
        return Rerun(sorted(changed), refused)

    def _has_own_wall_time(self, worker_name: str) -> bool:
        worker = self.project.workers[worker_name]
        return worker.scheduler_type == "slurm" and worker.batch is None

    def locked(self) -> tuple[list[str], list[str]]:
        """Database ids of locked jobs, and ids of locked flows."""
        jobs = [e["db_id"] for e in self.controller.jobs.find({"lock_id": {"$ne": None}})]
        flows = [e["uuid"] for e in self.controller.flows.find({"lock_id": {"$ne": None}})]
        return jobs, flows

    def runner_is_alive(self) -> bool:
        """Whether the daemon of the runner of this project runs on this machine."""
        from jobflow_remote.jobs.daemon import DaemonManager, DaemonStatus

        try:
            status = DaemonManager.from_project(self.project).check_status()
        except Exception:  # noqa: BLE001 - supervisor's socket may be stale: it does not run
            return False
        return status in (DaemonStatus.RUNNING, DaemonStatus.PARTIALLY_RUNNING)

    def clear_locks(self) -> tuple[int, int]:
        """Break the locks that a killed runner left behind; numbers of jobs and of flows.

        Raises
        ------
        CampaignError
            While a runner runs: the locks may be its own.
        """
        jobs, flows = self.locked()
        if not jobs and not flows:
            return 0, 0
        if self.runner_is_alive():
            raise CampaignError(
                f"{len(jobs)} jobs and {len(flows)} flows are locked, and the runner runs: it "
                "may hold them",
                "jf runner stop, then the same command again",
            )
        n_jobs = self.controller.unlock_jobs(db_ids=jobs) if jobs else 0
        n_flows = self.controller.unlock_flows(flow_ids=flows) if flows else 0
        return n_jobs, n_flows


def connected(units: Sequence[Unit]) -> list[list[Unit]]:
    """Group units that depend on each other: each group is a flow of its own.

    The runner locks and searches the whole flow whenever a job of it ends, so that a thousand
    small flows are faster than one large one.
    """
    group_of: dict[str, int] = {}
    groups: dict[int, list[Unit]] = {}
    for number, unit in enumerate(units):
        own = {job.uuid for job in unit.jobs}
        linked = own | {each for job in unit.jobs for each in job.input_uuids}
        joined = sorted({group_of[each] for each in linked if each in group_of})
        members = [member for each in joined for member in groups.pop(each)]
        groups[number] = [*members, unit]
        for member in groups[number]:
            group_of |= dict.fromkeys((job.uuid for job in member.jobs), number)
    return list(groups.values())


def _unit_key(entry: dict[str, Any]) -> tuple[str, ...]:
    metadata = entry["job"].get("metadata") or {}
    return tuple(str(metadata.get(name, "")) for name in ("stage", "structure", "potential"))


def _unit_state(
    row: UnitRow, entries: dict[str, dict[str, Any]], made: list[dict[str, Any]]
) -> UnitState:
    if row.error:
        message, _, remedy = row.error.partition("\n  remedy: ")
        return UnitState(row, "failed", message, remedy)
    known = [entries[each] for each in row.job_ids if each in entries]
    last = entries.get(row.document_id)
    if last is not None and last["state"] == "COMPLETED":
        return UnitState(row, "done")
    jobs = [*known, *made]
    failed = [entry for entry in jobs if entry["state"] in _FAILED]
    if failed:
        return _failed_state(row, failed)
    running = any(entry["state"] in _RUNNING for entry in jobs)
    return UnitState(row, "running") if running else waiting_state(row)


def _failed_state(row: UnitRow, failed: list[dict[str, Any]]) -> UnitState:
    ids = {entry["uuid"] for entry in failed}
    roots = [e for e in failed if not ids.intersection(e["parents"] or ())] or failed
    first = roots[0]
    own = _unit_key(first) == (row.stage, row.structure, row.potential)
    text = first.get("error") or first.get("remote", {}).get("error") or first["state"]
    message, remedy = explain(str(text))
    state: State = "failed" if own else "blocked"
    why = f"{first['job']['name']}: {message}"
    return UnitState(row, state, why, remedy, [entry["uuid"] for entry in failed])


def explain(error: str) -> tuple[str, str]:
    """Message and remedy in the error text of a job: a traceback, or words of the runner."""
    lines = [line for line in without_credentials(error, whole=True).splitlines() if line]
    remedies = [line.split("remedy:", 1)[1].strip() for line in lines if "remedy:" in line]
    lines = [line for line in lines if "remedy:" not in line]
    told = [line for line in lines if re.match(r"[\w.]+(Error|Exception|NotConverged)\b", line)]
    message = (told or lines or ["no reason was recorded"])[-1].strip()
    message = re.sub(r"^mofonon\.errors\.\w+: ", "", message)
    if "does not contain the response" in error or "was likely killed" in error:
        message = f"killed before it ended (cancelled, wall time, or memory): {message}"
    return message[:400], remedies[-1] if remedies else "mofonon retry FILE"
