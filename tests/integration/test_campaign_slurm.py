"""A campaign through jobflow-remote on a real SLURM, with documents in a real MongoDB."""

import json

import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from support.cluster import PASSWORD, Cluster, require_cluster, running_cluster

pytestmark = [pytest.mark.slurm, pytest.mark.mongo, pytest.mark.slow]

CAMPAIGN = """
name: metals
structures: {files: [structures/*.json]}
potentials:
  emt: {model: "support.calculators:CountedEMT"}
stages:
  phonons:
    settings: {mesh: [3, 3, 3], dos_pitch: 0.1, band_points: 11}
    resources: {worker: gpu}
  bulk-modulus:
    settings: {n_points: 5}
    resources: {worker: gpu-batch}
  report:
    resources: {worker: cpu}
"""
OPTIONS = ("--allow-import", "support")


@pytest.fixture(scope="module")
def cluster():
    require_cluster()
    with running_cluster() as running:
        folder = running.folder / "structures"
        folder.mkdir()
        for symbol in ("Al", "Zn"):  # EMT knows no Zn
            atoms = bulk(symbol, "fcc", a=4.0)
            AseAtomsAdaptor.get_structure(atoms).to(str(folder / f"{symbol}.json"))
        (running.folder / "metals.yaml").write_text(CAMPAIGN)
        yield running


@pytest.fixture
def submitted(cluster: Cluster):
    """The campaign in an empty queue, and a runner."""
    cluster.reset()
    cluster.call("submit", "metals.yaml", "-p", "test", *OPTIONS)
    cluster.start_runner()
    yield cluster
    cluster.kill_runner()


def _states(units):
    return {key: unit["state"] for key, unit in units.items()}


def _status(cluster: Cluster, *where: str) -> dict[tuple[str, str], dict]:
    done = cluster.call("status", "metals.yaml", *where, "--json", *OPTIONS)
    return {(unit["structure"], unit["stage"]): unit for unit in json.loads(done.stdout)}


def test_slurm_and_mongodb_give_what_the_embedded_store_gives(submitted):
    cluster = submitted
    here = cluster.call("run", "metals.yaml", "--json", *OPTIONS, check=False)
    assert here.returncode == 1, here.stderr  # zinc fails
    cluster.wait_for(cluster.settled)
    units = _status(cluster, "-p", "test")
    local = _status(cluster)
    assert _states(units) == _states(local)
    assert units["Al", "phonons"]["state"] == "done"
    assert units["Zn", "phonons"]["state"] == "failed"
    assert units["Zn", "bulk-modulus"]["state"] == "blocked"
    assert "Zn" in units["Zn", "phonons"]["why"]
    assert units["", "report"]["state"] == "done"
    _same_numbers(cluster, units)
    _jobs_ran_where_they_should(cluster)
    _nothing_is_doubled(cluster)
    _password_is_nowhere(cluster)
    again = json.loads(
        cluster.call("submit", "metals.yaml", "-p", "test", "--json", *OPTIONS).stdout
    )
    assert again["n_jobs"] == 0


def _same_numbers(cluster: Cluster, units: dict) -> None:
    remote = {entry["uuid"]: entry["output"] for entry in cluster.documents()}
    code = """
import json, sys
from mofonon.store import open_store
store = open_store()
found = store.docs_store.query({"uuid": {"$in": sys.argv[1:]}})
print(json.dumps({entry["uuid"]: entry["output"] for entry in found}, default=str))
"""
    ids = [u["document_id"] for u in units.values() if u["state"] == "done"]
    local = json.loads(cluster.python(code, *ids).stdout)
    assert set(local) == set(ids)
    for uuid, stage in ((u["document_id"], u["stage"]) for u in units.values()):
        for name in {"phonons": ("max_frequency",), "bulk-modulus": ("bulk_modulus",)}.get(
            stage, ()
        ):
            if uuid in local:
                assert remote[uuid][name] == pytest.approx(local[uuid][name], abs=1e-8)
    report = remote[units["", "report"]["document_id"]]
    assert (report["n_done"], report["n_failed"]) == (2, 2)


def _jobs_ran_where_they_should(cluster: Cluster) -> None:
    workers = {job["job"]["name"]: job["worker"] for job in cluster.jobs()}
    assert workers["phonons"] == "gpu"
    assert workers["report"] == "cpu"
    assert workers["bulk modulus"] == "gpu-batch"
    scripts = [
        path.read_text()
        for path in (cluster.folder / "work" / "gpu").rglob("submit.sh")
        if "--partition" in path.read_text()
    ]
    assert scripts
    assert all("--partition=gpu" in text and "--gres=gpu:1" in text for text in scripts)
    assert all("--mem=2000M" in text and "--time=00:15:00" in text for text in scripts)
    seen = (cluster.folder / "work" / "devices").read_text().split()
    assert set(seen) <= {"0", "1"}  # one device each, never "0,1"
    assert {"0", "1"} == set(seen)


def _nothing_is_doubled(cluster: Cluster) -> None:
    keys = [(entry["uuid"], entry["index"]) for entry in cluster.documents()]
    assert len(keys) == len(set(keys))


def _password_is_nowhere(cluster: Cluster) -> None:
    assert all(PASSWORD not in str(entry) for entry in [*cluster.documents(), *cluster.jobs()])
    for path in (cluster.folder / "work").rglob("*"):
        if path.is_file() and path.suffix != ".gz":
            assert PASSWORD.encode() not in path.read_bytes(), path
    assert PASSWORD not in (cluster.folder / "runner.log").read_text()
