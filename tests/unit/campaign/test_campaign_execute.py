"""How a worker runs a job: one GPU each, one import for all."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from jobflow import JobStore
from maggma.stores import JSONStore
from monty.serialization import dumpfn, loadfn

from mofonon.campaign import execute
from mofonon.errors import CampaignError
from support.jobs import sleep_forever, where_am_i


@pytest.fixture(autouse=True)
def _an_allocation(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", f"test-{os.getpid()}-{tmp_path.name}")
    monkeypatch.setenv("TMPDIR", "/tmp")  # noqa: S108 - a short path, for a socket
    # A worker's environment has the modules of its jobs; here those of tests/support.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setattr(execute, "_LOCKS", [])


def _claim():
    code = "from mofonon.campaign.execute import claim_device as c; print(c()); input()"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_jobs_of_an_allocation_get_a_device_each(monkeypatch):
    monkeypatch.setenv("MOFONON_ONE_GPU", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    jobs = [_claim(), _claim()]
    assert sorted(job.stdout.readline().strip() for job in jobs) == ["4", "7"]
    monkeypatch.setattr(execute, "_DEVICE_SECONDS", 0.2)
    with pytest.raises(CampaignError, match="all 2 GPUs of the allocation are taken"):
        execute.claim_device()
    monkeypatch.setattr(execute, "_DEVICE_SECONDS", 30)
    threading.Timer(0.5, jobs[0].kill).start()
    # that of the killed one, once it has ended
    assert execute.claim_device() in ("4", "7")
    jobs[0].wait()
    jobs[1].communicate("\n")


def test_one_device_or_no_wish_changes_nothing(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert execute.claim_device() is None
    monkeypatch.setenv("MOFONON_ONE_GPU", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert execute.claim_device() is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


@pytest.mark.slow
def test_warm_jobs_share_a_process_and_nothing_else(tmp_path):
    outputs = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = where_am_i(number == 1)
        store = JobStore(JSONStore("store.json", read_only=False))
        dumpfn({"job": made, "store": store}, folder / "jfremote_in.json")
        (folder / "store.json").write_text("[]")
        done = subprocess.run(
            [sys.executable, "-m", "mofonon.campaign.execute", str(folder)],
            env={**os.environ, "MOFONON_WARM": "1", "MARK": str(number)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        made_of_it = (folder / "jfremote_out.json").read_text()
        assert "on stdout" in done.stdout, done.stderr + made_of_it
        assert done.returncode == (number == 1)
        if number != 1:
            result = loadfn(folder / "jfremote_out.json", cls=None)
            assert result["error"] is None, result["error"]
            outputs.append(json.loads((folder / "store.json").read_text())[0]["output"])
    assert [each["mark"] for each in outputs] == ["0", "2"]
    assert [each["folder"] for each in outputs] == [str(tmp_path / "0"), str(tmp_path / "2")]
    _cancelled_job_ends(tmp_path)
    server = outputs[0]["parent"]
    assert outputs[1]["parent"] == server
    os.kill(server, 15)


def _cancelled_job_ends(tmp_path):
    folder = tmp_path / "cancelled"
    folder.mkdir()
    made = sleep_forever(str(folder / "pid"))
    store = JobStore(JSONStore("store.json", read_only=False))
    dumpfn({"job": made, "store": store}, folder / "jfremote_in.json")
    (folder / "store.json").write_text("[]")
    client = subprocess.Popen(
        [sys.executable, "-m", "mofonon.campaign.execute", str(folder)],
        env={**os.environ, "MOFONON_WARM": "1"},
        cwd=folder,
    )
    end = time.monotonic() + 60
    while not (folder / "pid").exists() and time.monotonic() < end:
        time.sleep(0.05)
    pid = int((folder / "pid").read_text())
    client.kill()
    client.wait()
    while _runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except FileNotFoundError:
        return False
