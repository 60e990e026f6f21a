"""Faults on a cluster: after each the campaign finishes, nothing is repeated, lost or doubled.

What is to be done in each case is in docs/faults.md.
"""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from support.cluster import Cluster, require_cluster, running_cluster

pytestmark = [pytest.mark.slurm, pytest.mark.mongo, pytest.mark.slow]

CAMPAIGN = """
name: faults
structures: {files: [Al.json]}
potentials:
  emt: {model: "support.calculators:CountedEMT"}
stages:
  phonons:
    settings: {mesh: [3, 3, 3], dos_pitch: 0.1, band_points: 11, plus_minus: true}
    resources: {worker: cpu}
  bulk-modulus:
    settings: {n_points: 5}
    resources: {worker: gpu-batch}
"""
OPTIONS = ("--allow-import", "support")
PROJECT = ("-p", "test")


@pytest.fixture(scope="module")
def cluster():
    require_cluster()
    with running_cluster() as running:
        structure = AseAtomsAdaptor.get_structure(bulk("Al", "fcc", a=4.0))
        structure.to(str(running.folder / "Al.json"))
        (running.folder / "faults.yaml").write_text(CAMPAIGN)
        yield running


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster) -> int:
    """Evaluations of the campaign when nothing goes wrong."""
    counter = cluster.folder / "undisturbed"
    environment = cluster.environment
    cluster.environment = {**environment, "COUNT_EVALUATIONS": str(counter)}
    cluster.call("run", "faults.yaml", *OPTIONS)
    cluster.environment = environment
    return len(counter.read_text().splitlines())


@pytest.fixture
def submitted(cluster: Cluster):
    """The campaign in an empty queue."""
    cluster.reset()
    cluster.call("submit", "faults.yaml", *PROJECT, *OPTIONS)
    yield cluster
    cluster.kill_runner()


def _finish(cluster: Cluster, evaluations: int) -> None:
    """Wait for the end; nothing repeated, nothing lost, nothing doubled."""
    states = cluster.wait_for(
        lambda: set(cluster.states().values()) == {"COMPLETED"} and cluster.states()
    )
    assert len(states) == 2 + 6
    assert cluster.evaluations() == evaluations
    documents = cluster.documents()
    keys = [(entry["uuid"], entry["index"]) for entry in documents]
    assert sorted(set(keys)) == sorted((job["uuid"], job["index"]) for job in cluster.jobs())
    assert len(keys) == len(set(keys))
    assert {unit["state"] for unit in _status(cluster).values()} == {"done"}


def _status(cluster: Cluster) -> dict[str, dict]:
    done = cluster.call("status", "faults.yaml", *PROJECT, "--json", *OPTIONS)
    return {unit["stage"]: unit for unit in json.loads(done.stdout)}


def test_cancelled_jobs_and_allocations(submitted, undisturbed):
    """scancel, and what SLURM does at the end of the wall time: SIGTERM, then SIGKILL."""
    cluster = submitted
    # the second displacement never ends: the first is in the log when the job is killed
    cluster.slow_down(**{"phonons": [0, 600], "strained_cell_+1.00_%": 600})
    cluster.start_runner()
    cluster.wait_for(lambda: _two_are_running(cluster))
    cluster.slurm.call("scancel", *cluster.slurm.call("squeue", "-h", "-o", "%i").split())
    # killed by SIGTERM in time to be noticed by the allocation it is FAILED, else REMOTE_ERROR
    over = ("FAILED", "REMOTE_ERROR")
    cluster.wait_for(
        lambda: (
            cluster.states()["phonons"] == "FAILED"
            and cluster.states()["strained cell +1.00 %"] in over
        )
    )
    cluster.wait_for(lambda: not cluster.running())
    status = _status(cluster)
    assert status["phonons"]["state"] == status["bulk-modulus"]["state"] == "failed"
    assert "killed" in status["phonons"]["why"]
    assert "strained cell +1.00 %" in status["bulk-modulus"]["why"]
    assert "killed" in status["bulk-modulus"]["why"]
    finished = {j["uuid"]: j["end_time"] for j in cluster.jobs({"state": "COMPLETED"})}
    assert len(finished) == 5
    cluster.slow_down()
    rerun = json.loads(
        cluster.call("retry", "faults.yaml", *PROJECT, "--json", *OPTIONS).stdout
    )
    assert rerun["n_failed"] == 2
    _finish(cluster, undisturbed)
    ends = {job["uuid"]: job["end_time"] for job in cluster.jobs()}
    assert {uuid: ends[uuid] for uuid in finished} == finished


def test_wall_time_reached_in_displacements(cluster, undisturbed):
    """SLURM ends the job at the limit of the campaign; run again it gets a longer one."""
    cluster.reset()
    short = yaml.safe_load(CAMPAIGN)
    short["stages"]["phonons"]["resources"]["hours"] = 1 / 60
    (cluster.folder / "short.yaml").write_text(yaml.safe_dump(short))
    cluster.call("submit", "short.yaml", *PROJECT, *OPTIONS)
    # the second displacement never ends: the first is in the log when the time is over
    cluster.slow_down(phonons=[0, 600])
    cluster.start_runner()
    phonons = {"job.name": "phonons"}
    (entry,) = cluster.wait_for(lambda: cluster.jobs({**phonons, "state": "FAILED"}), 240)
    assert "JobState=TIMEOUT" in _slurm_job(cluster, entry)
    assert "TimeLimit=00:01:00" in _slurm_job(cluster, entry)
    cluster.wait_for(cluster.settled)
    status = _status(cluster)
    assert (status["phonons"]["state"], status["bulk-modulus"]["state"]) == ("failed", "done")
    assert "wall time" in status["phonons"]["why"]
    assert cluster.evaluations() == undisturbed - 1
    finished = {j["uuid"]: j["end_time"] for j in cluster.jobs({"state": "COMPLETED"})}
    assert len(finished) == 7
    cluster.slow_down()
    again = ("retry", "short.yaml", *PROJECT, "--hours", 0.5, "--json", *OPTIONS)
    assert json.loads(cluster.call(*again).stdout)["n_failed"] == 1
    _finish(cluster, undisturbed)
    cluster.kill_runner()
    (entry,) = cluster.jobs(phonons)
    assert "TimeLimit=00:30:00" in _slurm_job(cluster, entry)
    ends = {job["uuid"]: job["end_time"] for job in cluster.jobs()}
    assert {uuid: ends[uuid] for uuid in finished} == finished


def _slurm_job(cluster: Cluster, entry: dict) -> str:
    """What SLURM says of the job that a jobflow job was, for a minute after its end."""
    return cluster.slurm.call("scontrol", "show", "job", entry["remote"]["process_id"])


def _two_are_running(cluster: Cluster) -> bool:
    states = cluster.states()
    others = [s for name, s in states.items() if name.startswith("strained")]
    return (
        states["phonons"] == "RUNNING"
        and states["strained cell +1.00 %"] == "BATCH_RUNNING"
        and others.count("COMPLETED") == 4
    )


def test_a_killed_runner_and_restarted_servers(submitted, undisturbed):
    cluster = submitted
    cluster.slow_down(phonons=[0, 25])
    cluster.start_runner()
    _kill_runner_while_it_holds_a_lock(cluster)
    doctor = cluster.call("doctor", "--project", "test", check=False).stdout
    assert "locked, and no runner runs here" in doctor
    rerun = json.loads(
        cluster.call("retry", "faults.yaml", *PROJECT, "--json", *OPTIONS).stdout
    )
    assert rerun["unlocked_jobs"] + rerun["unlocked_flows"] >= 1
    cluster.start_runner()
    cluster.wait_for(lambda: cluster.states()["phonons"] == "RUNNING")
    cluster.slurm.stop("slurmctld")
    cluster.mongod.stop()
    time.sleep(10)
    cluster.slurm.start_slurmctld()
    cluster.mongod.start()
    time.sleep(2)
    cluster.mongod.stop(kill=True)
    cluster.mongod.start()
    cluster.slow_down()
    _finish(cluster, undisturbed)


def _kill_runner_while_it_holds_a_lock(cluster: Cluster) -> None:
    """Kill -9 in the middle of a completion; again where it had just let go."""
    with cluster.mongod.client() as client:
        for _ in range(5):
            end = time.monotonic() + 120
            while time.monotonic() < end:
                if client.mofonon.flows.find_one({"lock_id": {"$ne": None}}, {"_id": 1}):
                    cluster.kill_runner(signal.SIGKILL)
                    break
            if client.mofonon.flows.find_one({"lock_id": {"$ne": None}}):
                return
            cluster.start_runner()
    raise AssertionError("no lock was seen")


def test_a_full_disk_of_a_worker(submitted, undisturbed):
    """The log of evaluations on a file system without space; then with space again."""
    cluster = submitted
    checkpoints = cluster.folder / "work" / "checkpoints"
    with _full_disk(checkpoints):
        cluster.start_runner()
        cluster.wait_for(lambda: cluster.states()["relax"] == "FAILED")
        cluster.wait_for(cluster.settled)
        status = _status(cluster)
        assert status["phonons"]["state"] == "failed"
        assert status["bulk-modulus"]["state"] == "blocked"
        assert "No space left on device" in status["phonons"]["why"]
        assert "free some space" in status["phonons"]["remedy"]
        assert not cluster.documents({"output": {"$ne": None}})
    # what was evaluated there is gone with the disk, and evaluated again
    evaluated = cluster.evaluations()
    cluster.call("retry", "faults.yaml", *PROJECT, *OPTIONS)
    _finish(cluster, undisturbed + evaluated)


@contextmanager
def _full_disk(folder: Path) -> Iterator[None]:
    """Mount a small file system and fill it."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr}")
    try:
        with suppress(OSError), (folder / "filler").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
