"""What the campaign commands do, without the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mofonon import progress
from mofonon.campaign.load import load_campaign
from mofonon.campaign.local import LocalRun
from mofonon.campaign.maker import CampaignMaker
from mofonon.campaign.schema import CampaignSpec
from mofonon.campaign.state import UnitRow, UnitState, blocked_by_needs, find_finished
from mofonon.campaign.structures import structure_files
from mofonon.campaign.table import remember
from mofonon.campaign.units import Unit
from mofonon.campaign.vasp_check import VaspNeeds, require_vasp
from mofonon.cli.campaign_status import open_project, rows_of
from mofonon.cli.progress_bar import ProgressBar, note
from mofonon.cli.runs import note_standin, writing
from mofonon.errors import CampaignError
from mofonon.store import get_document, open_store

if TYPE_CHECKING:
    from jobflow import JobStore

_MOST_ON_A_PAGE = 50


@dataclass(frozen=True)
class Loaded:
    """A campaign file, its units and their rows, as they are remembered."""

    spec: CampaignSpec
    units: list[Unit]
    rows: list[UnitRow]


def load(
    file: Path,
    allow_import: Sequence[str] | None,
    store: Callable[[], JobStore] = open_store,
) -> Loaded:
    """Read a campaign file, its structures, and make its units.

    Parameters
    ----------
    file : Path
        The file.
    allow_import : sequence of str, optional
        Packages that its import paths may name.
    store : callable
        Opens the store that a selection would be in; called where the campaign makes one.
    """
    spec = load_campaign(file, allow_import or ())
    with ProgressBar(spec.name) as bar:
        units = CampaignMaker().units(
            spec,
            lambda done, total: bar(progress.Progress("structures", done, total)),
            lambda document_id: find_finished(store(), document_id),
        )
    return Loaded(spec, units, remember(file, spec, units))


def run_here(
    file: Path,
    allow_import: Sequence[str] | None,
    store: JobStore,
    output: Path | None,
    *,
    retry: bool,
) -> tuple[list[UnitState], Path]:
    """Run a campaign in this process; with retry, what failed before too.

    A selection is made first, and the rest of it and what it chose.

    Returns
    -------
    states : list of UnitState
        Of all units.
    folder : Path
        Folder of results: that of output, or one named after the campaign.
    """
    loaded = load(file, allow_import, lambda: store)
    folder = output or Path(f"mofonon-{loaded.spec.name}")
    for name, potential in loaded.spec.potentials.items():
        label = "to be trained" if potential.made_by else potential.spec().label
        note(f"potential {name}: {label}")
    selected: list[UnitState] = []
    rest = loaded.units
    if any(unit.awaits for unit in loaded.units):
        require_vasp(unit for unit in loaded.units if unit.awaits)
        selection = [unit for unit in loaded.units if unit.stage == "select"]
        selected = _run_units(loaded, selection, store, folder, retry=retry)
        loaded = load(file, allow_import, lambda: store)
        rest = [unit for unit in loaded.units if unit.stage != "select"]
    if any(unit.runs_vasp for unit in rest):
        note_standin()
    states = _run_units(loaded, rest, store, folder, retry=retry)
    return blocked_by_needs([*selected, *states]), folder


def _run_units(
    loaded: Loaded, units: list[Unit], store: JobStore, folder: Path, *, retry: bool
) -> list[UnitState]:
    total = len(loaded.units)
    started = 0

    def tell(unit: Unit, state: UnitState) -> None:
        nonlocal started
        if state.state == "running":
            started = loaded.units.index(unit) + 1
            note(f"[{started}/{total}] {unit.label}")
        elif state.state == "failed":
            note(f"[{started}/{total}] {unit.label} failed: {state.why}")

    with ProgressBar(loaded.spec.name) as bar, ExitStack() as stack:
        if sys.stderr.isatty():
            stack.enter_context(progress.listening(bar))
        local = LocalRun(loaded.spec.name, store, tell, retry=retry, folder=folder.resolve())
        return local.run(units)


def submit(
    file: Path,
    project: str | None,
    manager: str,
    launchpad: Path | None,
    allow_import: Sequence[str] | None,
    *,
    vasp_check: bool = True,
) -> dict[str, Any]:
    """Submit a campaign; say what was done, as plain data."""
    if manager == "fireworks":
        from mofonon.campaign import fireworks

        pad = fireworks.open_launchpad(launchpad)
        loaded = load(file, allow_import)
        if vasp_check and any(unit.runs_vasp for unit in loaded.units):
            note("VASP is not looked for: where the rockets of FireWorks run is not known here")
        done = fireworks.submit(loaded.units, loaded.spec.name, pad)
        where = f"LaunchPad {pad.name}"
    else:
        opened = open_project(project)
        loaded = load(file, allow_import, opened.open_store)
        done = opened.submit(loaded.units, loaded.spec.name, vasp_check=vasp_check)
        where = f"project {opened.name}"
    return {
        "campaign": loaded.spec.name,
        "where": where,
        "n_flows": len(done.flows),
        "n_jobs": done.n_jobs,
        "n_done": done.n_done,
        "n_queued": done.n_queued,
        "impossible": {unit.label: str(unit.error) for unit in done.impossible},
        "postponed": [unit.label for unit in done.postponed],
        "unchecked": done.unchecked,
        "flows": done.flows,
    }


def vasp_warnings(units: Sequence[Unit], project: str | None) -> list[str]:
    """Say what stands against labels by VASP: here, or on the hosts of a project's workers."""
    needs = VaspNeeds.of(units)
    if needs is None:
        return []
    if project is None:
        return [
            f"VASP cannot be run here: {each.message}; {each.remedy}"
            for each in needs.problems_here()
        ]
    found = open_project(project).check_vasp(units)
    return [f"{each.message}; {each.remedy}" for each in found.problems] + found.unchecked


def write_extension(
    file: Path, new: Path, written: Path | None, allow_import: Sequence[str] | None
) -> Path:
    """Write the campaign of an extension: that of the file, with new structures.

    Where the stage extend names a manifest, only structures that it does not cover are taken.

    Raises
    ------
    CampaignError
        When there is nothing to extend by.
    """
    import yaml

    spec = load_campaign(file, allow_import or ())
    extend = spec.stages.extend
    if extend is None:
        raise CampaignError(
            f"{file} has no stage extend", "name the potential and its dataset there"
        )
    wanted = spec.structures.model_copy(
        update={"files": [], "folder": new.resolve(), "manifest": None}
    )
    found = structure_files(wanted)
    if extend.manifest is not None:
        outside = _not_covered(new, extend.manifest, extend.quantile)
        note(f"{len(outside)} of {len(found)} structures are not covered by {extend.manifest}")
        found = {name: path for name, path in found.items() if name in outside}
    if not found:
        raise CampaignError(
            f"{new} has nothing that the training set does not cover", "there is nothing to do"
        )
    content = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    content["structures"] = wanted.model_copy(
        update={"folder": None, "files": [str(path) for path in found.values()]}
    ).model_dump(mode="json", exclude_defaults=True)
    content["stages"].pop("select", None)  # the new ones are taken as they are
    content["name"] = f"{spec.name}-{new.resolve().name}"[:60]
    path = written or file.with_name(f"{file.stem}-{new.resolve().name}.yaml")
    with writing(path.parent):
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def _not_covered(new: Path, manifest: Path, quantile: float) -> set[str]:
    """Names of the structures of a folder that a training set does not cover."""
    from tempfile import TemporaryDirectory

    from mofonon.cli.select_runs import CoverageOptions, run_coverage

    with TemporaryDirectory() as folder:
        report, records, _ = run_coverage(
            CoverageOptions(
                source=new,
                manifest=manifest,
                model=None,
                device="cpu",
                quantile=quantile,
                processes=1,
                output=Path(folder),
            )
        )
    for record in records:
        if not record.accepted:
            why = f"{record.refused_by}, {record.message}"
            note(f"{record.file} is left out by the curation of {manifest.name}: {why}")
    return {row.id for row in report.rows if row.outside}


def submission_lines(done: dict[str, Any]) -> list[str]:
    """Tell people what a submission did."""
    lines = [
        f"{done['where']}: {done['n_jobs']} jobs in {done['n_flows']} flows",
        f"{done['n_done']} units done before, {done['n_queued']} in the queue already",
    ]
    lines += done["unchecked"]
    lines += [f"not possible: {name}: {why}" for name, why in done["impossible"].items()]
    if done["postponed"]:
        lines.append(
            f"{len(done['postponed'])} units take something from jobs that are still in the "
            "queue: give the same command again when those are done"
        )
    return lines


def retry_remote(
    file: Path, project: str, allow_import: Sequence[str] | None, hours: float | None = None
) -> dict[str, Any]:
    """Clear stale locks, then run again what failed, with another wall time if one is given."""
    opened = open_project(project)
    name, rows = rows_of(file, allow_import, opened.open_store)
    n_jobs, n_flows = opened.clear_locks()
    failed = [
        state
        for state in opened.states(rows, name)
        if state.state in ("failed", "blocked") or (state.state == "done" and state.job_ids)
    ]
    rerun = opened.retry(failed, hours)
    return {
        "campaign": name,
        "unlocked_jobs": n_jobs,
        "unlocked_flows": n_flows,
        "n_failed": sum(state.state == "failed" for state in failed),
        "n_incomplete": sum(state.state == "done" for state in failed),
        "rerun": rerun.changed,
        "refused": rerun.refused,
    }


def retry_lines(done: dict[str, Any]) -> list[str]:
    """Tell people what a second attempt did."""
    lines = [f"{done['campaign']}: {len(done['rerun'])} jobs run again or wait for those"]
    if done["unlocked_jobs"] or done["unlocked_flows"]:
        lines.append(
            f"cleared the locks of {done['unlocked_jobs']} jobs and "
            f"{done['unlocked_flows']} flows, left by a runner that was killed"
        )
    lines += [f"not run again in the queue: {each}" for each in done["refused"]]
    if done["refused"]:
        lines.append(
            "run those where VASP is: JOBFLOW_CONFIG_FILE=(of the project's store) mofonon "
            "retry FILE, without --project"
        )
    return lines


def write_selection(states: Sequence[UnitState], store: JobStore, folder: Path) -> Path | None:
    """Write what stage select has chosen: manifest, descriptors, files."""
    done = [s for s in states if s.state == "done" and s.row.stage == "select"]
    if not done:
        return None
    from mofonon.campaign.selection import SelectionDoc

    found = get_document(store, done[0].row.document_id, with_arrays=True)
    return SelectionDoc.stored(found).write(folder / "select")


def write_results(states: Sequence[UnitState], store: JobStore, folder: Path) -> Path | None:
    """Write the page of the phonons of a campaign; of the first ones, where there are many."""
    done = [s for s in states if s.state == "done" and s.row.stage == "phonons"]
    if not done:
        return None
    from mofonon.lattice.schemas import PhononDoc
    from mofonon.report import write_report

    if len(done) > _MOST_ON_A_PAGE:
        note(f"the page shows {_MOST_ON_A_PAGE} of {len(done)} structures; see mofonon query")
    shown = done[:_MOST_ON_A_PAGE]
    docs = [
        PhononDoc.model_validate(get_document(store, s.row.document_id, with_arrays=True))
        for s in shown
    ]
    several = len({s.row.potential for s in shown}) > 1
    names = [
        f"{s.row.structure} {s.row.potential}" if several else s.row.structure for s in shown
    ]
    return write_report(
        docs, folder, document_ids=[s.row.document_id for s in shown], names=names
    )
