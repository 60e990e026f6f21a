"""``mofonon doctor --project``: workers, queue, store and locks of a jobflow-remote project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mofonon.cli.findings import Finding
from mofonon.errors import MofononError
from mofonon.store import without_credentials

if TYPE_CHECKING:
    from mofonon.campaign.remote import RemoteProject


def check_project(name: str) -> Iterator[tuple[str, Finding]]:
    """Check a project, thing after thing; what cannot be reached ends what depends on it."""
    from mofonon.campaign.remote import RemoteProject

    try:
        opened = RemoteProject(name)
    except MofononError as error:
        yield "project", Finding(False, error.message, error.remedy)
        return
    jobs = opened.controller.count_jobs()
    yield "project", Finding(True, f"{opened.name}: database answers, {jobs} jobs in the queue")
    yield "job store", _job_store(opened)
    for worker_name, worker in opened.project.workers.items():
        yield f"worker {worker_name}", _worker(worker)
    yield "runner", _runner(opened)
    yield "locks", _locks(opened)


def _job_store(opened: RemoteProject) -> Finding:
    try:
        store = opened.open_store()
        number = store.docs_store.count()
    except Exception as error:  # noqa: BLE001 - each store has its own kinds
        return Finding(
            False, without_credentials(str(error)), "correct jobstore in the project"
        )
    if "data" not in vars(store)["additional_stores"]:
        return Finding(
            False, "no additional store called data", "add one: see configs/jobflow_remote"
        )
    return Finding(True, f"{number} documents")


def _worker(worker: Any) -> Finding:
    host = worker.get_host()
    try:
        host.connect()
        host.mkdir(str(worker.work_dir))
        probe = worker.work_dir / ".mofonon-probe"
        host.write_text_file(str(probe), "probe")
        host.remove(str(probe))
        if worker.scheduler_type == "slurm":
            out, err, code = host.execute("sinfo -h -o %P")
            if code != 0:
                told = without_credentials(err)
                return Finding(False, f"sinfo fails: {told}", "check that slurmctld runs")
            missing = _missing_partition(worker, out.replace("*", "").split())
            if missing:
                return missing
        environment = (worker.pre_run or "").strip() or "true"
        command = 'python -c "import mofonon.campaign.execute, jobflow_remote"'
        _, err, code = host.execute(f"{environment}\n{command}")
    except Exception as error:  # noqa: BLE001 - SSH, files and schedulers have their own kinds
        return Finding(
            False, without_credentials(str(error)), "check host, work_dir and permissions"
        )
    finally:
        host.close()
    if code != 0:
        last = without_credentials(err.strip().splitlines()[-1] if err.strip() else "")
        return Finding(
            False,
            f"mofonon cannot be imported there: {last}",
            "make its environment available in pre_run of the worker",
        )
    return Finding(
        True, f"{worker.scheduler_type}, {worker.work_dir} writable, mofonon imports"
    )


def _missing_partition(worker: Any, partitions: list[str]) -> Finding | None:
    wanted = (worker.resources or {}).get("partition")
    if wanted is None or wanted in partitions:
        return None
    return Finding(
        False,
        f"SLURM has no partition {wanted}",
        f"correct resources of the worker; it has {', '.join(partitions)}",
    )


def _runner(opened: RemoteProject) -> Finding:
    if opened.runner_is_alive():
        return Finding(True, "runs on this machine")
    return Finding(
        False, "does not run on this machine", f"jf -p {opened.name} runner start (one only)"
    )


def _locks(opened: RemoteProject) -> Finding:
    jobs, flows = opened.locked()
    if not jobs and not flows:
        return Finding(True, "none")
    held = f"{len(jobs)} jobs and {len(flows)} flows are locked"
    if opened.runner_is_alive():
        return Finding(True, f"{held}, by the runner that runs")
    name = opened.name
    return Finding(
        False,
        f"{held}, and no runner runs here that could hold them",
        "mofonon retry FILE --project clears them; by hand: "
        + "; ".join(
            [f"jf -p {name} admin unlock -did {each} -y" for each in jobs[:3]]
            + [f"jf -p {name} admin unlock-flow -fid {each} -y" for each in flows[:3]]
        ),
    )
