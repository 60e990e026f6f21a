"""Running a campaign here: unit after unit, failures on record, nothing computed twice."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import CURRENT_JOB, run_locally

from mofonon.campaign.labels import flow_of_missing, incomplete_labels, with_incomplete
from mofonon.campaign.maker import unit_flow
from mofonon.campaign.state import (
    FAILURE,
    UnitRow,
    UnitState,
    blocked_by_needs,
    failed_state,
    failures,
    finished_jobs,
    waiting_state,
)
from mofonon.campaign.units import Unit
from mofonon.campaign.vasp_check import require_vasp
from mofonon.errors import CampaignError, MofononError, StoreError
from mofonon.provenance import utc_now

if TYPE_CHECKING:
    from jobflow import JobStore

#: Called before and after each unit.
Listener = Callable[[Unit, UnitState], None]


@dataclass
class LocalRun:
    """A run of a campaign in this process.

    Attributes
    ----------
    campaign : str
        Name of the campaign.
    store : JobStore
        An open store.
    on_unit : callable
        Called with each unit and its state, when it starts and when it ends.
    retry : bool
        Whether units that failed before are tried again.
    folder : Path
        Where jobs that write files (VASP) get folders of their own.
    """

    campaign: str
    store: JobStore
    on_unit: Listener = lambda _unit, _state: None
    retry: bool = True
    folder: Path = Path()

    def run(self, units: Sequence[Unit]) -> list[UnitState]:
        """Run the units in their order; an error ends its unit, not the others.

        Raises
        ------
        DftSetupError
            When VASP is to run and cannot.
        StoreError
            When the store cannot be written: nothing further would be kept.
        """
        ids = [job_id for unit in units for job_id in unit.job_ids]
        done = finished_jobs(self.store, ids)
        failed = failures(self.store, self.campaign)
        labels = [each for unit in units for each in unit.labels] if self.retry else []
        again = incomplete_labels(self.store, labels).keys()
        require_vasp(
            unit
            for unit in units
            if UnitRow.of(unit).document_id not in done or again & set(unit.labels)
        )
        states = []
        executed: set[str] = set()
        for unit in units:
            if unit.needs & executed:
                done -= {job.uuid for job in unit.jobs}  # made of what is not current any more
            state = self._run_unit(unit, done, failed)
            missing = [each for each in unit.labels if each in again]
            if missing and state.reused and unit.label_maker:
                self._labels_again(unit, missing)
                state = UnitState(state.row, "done")
            if state.state == "done" and not state.reused:
                executed |= {job.uuid for job in unit.jobs}
            states.append(state)
        return with_incomplete(blocked_by_needs(states), self.store)

    def _run_unit(
        self, unit: Unit, done: set[str], failed: dict[str, dict[str, Any]]
    ) -> UnitState:
        row = UnitRow.of(unit)
        if unit.error is not None:
            return UnitState(row, "failed", unit.error.message, unit.error.remedy)
        if row.document_id in done:
            return UnitState(row, "done", reused=True)
        before = _earlier_failure(unit, failed, own=not self.retry)
        if before is not None:
            failed[row.document_id] = before  # for what needs this unit
            return failed_state(row, before)
        if unit.awaits:
            return waiting_state(row)
        self.on_unit(unit, UnitState(row, "running"))
        state = self._execute(unit, row, done, failed)
        self.on_unit(unit, state)
        return state

    def _execute(
        self, unit: Unit, row: UnitRow, done: set[str], failed: dict[str, dict[str, Any]]
    ) -> UnitState:
        flow = unit_flow(unit, lambda job: job.uuid not in done)
        options = self._folders(unit) if unit.runs_vasp else {"raise_immediately": True}
        try:
            run_locally(
                flow, store=self.store, log=False, allow_external_references=True, **options
            )
            self._require_document(row)
        except sqlite3.Error as error:
            raise StoreError(
                f"the store cannot be written: {error}",
                "check the space and the permissions there; no evaluation is lost, and the "
                "same command goes on from here",
            ) from error
        except Exception as error:  # noqa: BLE001 - one structure must not stop the others
            failure = self._record(unit, error)
            failed[failure["job_id"]] = failure
            done |= finished_jobs(self.store, unit.job_ids)
            return failed_state(row, failure)
        self._forget_failures(unit)
        for job_id in unit.job_ids:
            failed.pop(job_id, None)
        done |= set(unit.job_ids)
        return UnitState(row, "done")

    def _labels_again(self, unit: Unit, missing: Iterable[str]) -> None:
        """Run again the VASP calculations that label documents lack, and no other."""
        for document_id in missing:
            self.on_unit(unit, UnitState(UnitRow.of(unit), "running"))
            flow = flow_of_missing(unit.label_maker, self.store, document_id)
            flow.update_metadata(unit.metadata(self.campaign), dynamic=True)
            run_locally(flow, store=self.store, log=False, **self._folders(unit))

    def _folders(self, unit: Unit) -> dict[str, Any]:
        """Options of run_locally for jobs that write files; one that fails stops no other."""
        folder = self.folder / unit.stage / unit.structure
        folder.mkdir(parents=True, exist_ok=True)
        return {"create_folders": True, "root_dir": folder}

    def _require_document(self, row: UnitRow) -> None:
        if row.document_id not in finished_jobs(self.store, [row.document_id]):
            raise CampaignError(
                "no document came of it",
                f"look at what its jobs wrote in {self.folder / row.stage / row.structure}",
            )

    def _record(self, unit: Unit, error: Exception) -> dict[str, Any]:
        """Put the failure into the store: its reason, its remedy, where it happened."""
        job = CURRENT_JOB.job
        # jobs made while the flow runs have random ids: their failure is that of the document
        known = job is not None and job.uuid in unit.job_ids
        failure = {
            "@module": __name__,
            "@class": FAILURE,
            "state": "failed",
            "campaign": self.campaign,
            "stage": unit.stage,
            "structure": unit.structure,
            "potential": unit.potential,
            "job_id": job.uuid if known else UnitRow.of(unit).document_id,
            "job_name": job.name if job is not None else unit.stage,
            "error": type(error).__name__,
            "message": error.message if isinstance(error, MofononError) else _told(error),
            "remedy": error.remedy if isinstance(error, MofononError) else "mofonon retry FILE",
            "traceback": "".join(traceback.format_exception(error))[-4000:],
            "completed_at": utc_now(),
        }
        self.store.docs_store.update(
            {
                "uuid": f"failure-{failure['job_id']}",
                "index": 1,
                "name": "failure",
                "metadata": unit.metadata(self.campaign),
                "output": failure,
            },
            key=["uuid", "index"],
        )
        return failure

    def _forget_failures(self, unit: Unit) -> None:
        ids = [f"failure-{job_id}" for job_id in unit.job_ids]
        self.store.docs_store.remove_docs({"uuid": {"$in": ids}})


def _earlier_failure(
    unit: Unit, failed: dict[str, dict[str, Any]], *, own: bool
) -> dict[str, Any] | None:
    """Failure of a job that a unit needs; of its own jobs only where they are not retried."""
    if unit.gathers:
        return None
    needed = unit.needs | (set(unit.job_ids) if own else set())
    return next((failed[job_id] for job_id in sorted(needed) if job_id in failed), None)


def _told(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"
