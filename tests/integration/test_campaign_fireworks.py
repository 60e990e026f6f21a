"""The same campaign through FireWorks: rlaunch here, qlaunch on SLURM."""

import json
import sys
import time
from pathlib import Path

import pytest
import yaml
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.campaign.initialize import Answers, write
from support.cluster import PASSWORD, Cluster, require_cluster, running_cluster

pytestmark = [pytest.mark.slurm, pytest.mark.mongo, pytest.mark.slow]

CAMPAIGN = """
name: fire
structures: {files: [Al.json]}
potentials:
  emt: {model: "support.calculators:CountedEMT"}
stages:
  phonons:
    settings: {mesh: [3, 3, 3], dos_pitch: 0.1, band_points: 11}
  report:
"""
OPTIONS = ("--allow-import", "support")
RLAUNCH = """
import sys
from fireworks import LaunchPad, FWorker
from fireworks.core.rocket_launcher import rapidfire
rapidfire(LaunchPad.from_file(sys.argv[1]), FWorker(), max_loops=1, sleep_time=1, timeout=60)
"""
QLAUNCH = """
import sys
from fireworks import LaunchPad, FWorker
from fireworks.queue.queue_launcher import launch_rocket_to_queue
from fireworks.utilities.fw_serializers import load_object_from_file
pad = LaunchPad.from_file(sys.argv[1])
adapter = load_object_from_file(sys.argv[2])
print(launch_rocket_to_queue(pad, FWorker(), adapter, launcher_dir=sys.argv[3]))
"""


@pytest.fixture(scope="module")
def cluster():
    require_cluster()
    with running_cluster() as running:
        structure = AseAtomsAdaptor.get_structure(bulk("Al", "fcc", a=4.0))
        structure.to(str(running.folder / "Al.json"))
        (running.folder / "fire.yaml").write_text(CAMPAIGN)
        python = Path(sys.executable).parent
        activate = (
            f"export PATH={python}:$PATH PYTHONPATH={running.environment['PYTHONPATH']} "
            f"SLURM_CONF={running.environment['SLURM_CONF']} "
            f"MOFONON_CHECKPOINTS={running.folder / 'work' / 'checkpoints'}"
        )
        answers = Answers(
            cluster="slurm",
            project="fire",
            folder=running.folder / "config",
            work_dir=str(running.folder / "work"),
            activate=activate,
            mongo_host="127.0.0.1",
            mongo_port=running.mongod.port,
            username="mofonon",
            password=PASSWORD,
            gpu_partition="gpu",
        )
        write(answers, overwrite=False)
        running.environment["JOBFLOW_CONFIG_FILE"] = str(
            running.folder / "config" / "mofonon" / "jobflow.yaml"
        )
        yield running


def _reset(cluster: Cluster) -> None:
    with cluster.mongod.client() as client:
        for name in ("fireworks", "workflows", "launches", "documents", "data.files"):
            client.mofonon[name].delete_many({})
        client.mofonon.fw_id_assigner.replace_one(
            {"_id": -1}, {"_id": -1, "next_fw_id": 1, "next_launch_id": 1}, upsert=True
        )


def _launchpad(cluster: Cluster) -> Path:
    return cluster.folder / "config" / "mofonon" / "fireworks" / "my_launchpad.yaml"


def _submit(cluster: Cluster) -> dict:
    _reset(cluster)
    options = ("--manager", "fireworks", "--launchpad", _launchpad(cluster), *OPTIONS)
    first = json.loads(cluster.call("submit", "fire.yaml", "--json", *options).stdout)
    again = json.loads(cluster.call("submit", "fire.yaml", "--json", *options).stdout)
    assert (first["n_jobs"], again["n_jobs"]) == (3, 0)
    return first


def _assert_done(cluster: Cluster) -> None:
    done = cluster.call("status", "fire.yaml", "--json", *OPTIONS)
    assert {unit["state"] for unit in json.loads(done.stdout)} == {"done"}
    documents = cluster.documents()
    assert len({entry["uuid"] for entry in documents}) == len(documents) == 3
    assert all(PASSWORD not in str(entry) for entry in documents)


def test_a_launchpad_that_was_never_set_up_is_an_error_with_its_remedy(cluster):
    with cluster.mongod.client() as client:
        client.mofonon.fw_id_assigner.delete_many({})
    options = ("--manager", "fireworks", "--launchpad", _launchpad(cluster), *OPTIONS)
    done = cluster.call("submit", "fire.yaml", *options, check=False)
    assert done.returncode == 1
    assert "was never set up" in done.stderr
    assert "lpad reset" in done.stderr
    assert "Traceback" not in done.stderr


def test_rlaunch(cluster):
    _submit(cluster)
    cluster.python(RLAUNCH, _launchpad(cluster))
    _assert_done(cluster)


def test_qlaunch_on_slurm(cluster):
    _submit(cluster)
    adapter_file = cluster.folder / "config" / "mofonon" / "fireworks" / "my_qadapter.yaml"
    adapter = yaml.safe_load(adapter_file.read_text())
    assert adapter["queue"] == "gpu"
    adapter["rocket_launch"] = adapter["rocket_launch"].replace("singleshot", "rapidfire")
    adapter_file.write_text(yaml.safe_dump(adapter))
    launches = cluster.folder / "launches"
    launches.mkdir()
    number = cluster.python(QLAUNCH, _launchpad(cluster), adapter_file, launches).stdout.strip()
    assert number.splitlines()[-1].isdigit()
    end = time.monotonic() + 240
    while len(cluster.documents()) < 3 and time.monotonic() < end:
        time.sleep(0.5)
    logs = [p.read_text()[-1500:] for p in launches.rglob("*.error")]
    assert len(cluster.documents()) == 3, logs
    _assert_done(cluster)
