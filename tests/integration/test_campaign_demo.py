"""The stages of the demo, with labels of the VASP stand-in: here, and on SLURM with MongoDB."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

from mofonon.arrays import EncodedArray
from standin import run as standin_run
from support.cluster import Cluster, require_cluster, running_cluster

pytestmark = [pytest.mark.slurm, pytest.mark.mongo, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
CYANIDE = REPOSITORY / "src" / "mofonon" / "data" / "structures" / "Zn(CN)2.cif"
PROJECT = ("-p", "test")

#: Epochs of the training that its wall time ends.
_LONG = 40

#: Where and when something ran, and what follows from it: no part of a result.
_CIRCUMSTANCES = {
    *("completed_at", "seconds", "uuid", "job_uuid", "dir_name", "hostname", "started_at"),
    *("directory", "speed", "peak_memory"),
    # on a grid that begins at the lowest frequency, an acoustic one: noise around zero
    *("dos_frequencies", "dos_total", "dos_by_element"),
    *("calculation_id", "dataset_id", "evaluation_id", "document_id", "load_seconds"),
}


def demo_campaign(folder: Path) -> Path:
    """The campaign of ``make demo``, reduced: one framework, a few samples, coarse settings."""
    content = yaml.safe_load((REPOSITORY / "workflows" / "demo.yaml").read_text())
    shutil.copy(CYANIDE, folder / CYANIDE.name)
    content["structures"] = {"files": [CYANIDE.name], "primitive": True}
    stages = content["stages"]
    assert stages["label"] == {"by": "vasp"}
    stages.pop("qha")
    stages["sample"]["samplers"] = {
        "eos": {"linear_strain": [-0.01, 0.02], "number_of_frames": 2},
        "rattle": {"number_of_frames": 2, "deviation": 0.03},
    }
    stages["finetune"]["settings"]["max_epochs"] = 1
    phonons = {"supercell": [1, 1, 1], "mesh": [3, 3, 3], "dos_pitch": 0.1, "band_points": 11}
    # a process that has evaluated the model before rounds otherwise in the last digit: what
    # comes of it is to be below 1e-8
    content["relax"] = {"fmax": 1e-9}
    stages["phonons"]["settings"] = phonons | {"displacement": 0.01}
    cpu, gpu, batch = ({"worker": name} for name in ("cpu", "gpu", "gpu-batch"))
    resources_of = {"sample": batch, "evaluate": gpu, "phonons": batch, "report": cpu}
    resources_of |= {"finetune": gpu | {"gpus": 1}, "label": cpu | {"exec_config": "vasp"}}
    for name, resources in resources_of.items():
        stages[name] = {**(stages[name] or {}), "resources": resources}
    path = folder / "demo.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster whose CPU partition has the stand-in in the place of VASP."""
    require_cluster()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOFONON_STANDIN_POTENTIAL", "demo")
        with standin_run.environment() as settings, running_cluster() as running:
            vasp = {
                name: settings[name]
                for name in (
                    *("PMG_VASP_PSP_DIR", "MOFONON_STANDIN_SERVER", *standin_run.commands()),
                )
            }
            running.environment |= vasp
            running.environment["MOFONON_MODELS"] = str(running.folder / "models-here")
            running.change_project(lambda project: _set_up(project, running.folder, vasp))
            demo_campaign(running.folder)
            yield running


def _set_up(project: dict[str, Any], folder: Path, vasp: dict[str, str]) -> None:
    """VASP by name in the exec_config, as a module would give it; jobs on record."""
    log = {"MOFONON_STANDIN_LOG": str(folder / "vasp.log")}
    quoted = {name: shlex.quote(text) for name, text in (vasp | log).items()}
    project["exec_config"]["vasp"] = {"export": quoted}
    for worker in project["workers"].values():
        worker["execution_cmd"] = "python -m support.recorded_execute {}"
        # the process that jobs of an allocation would share is not on record
        worker["pre_run"] = worker["pre_run"].replace("MOFONON_WARM=1", "")
        worker["pre_run"] += f"\nexport RECORD_ALLOCATIONS={folder / 'allocations'}\n"


@pytest.fixture(scope="module")
def submitted(cluster: Cluster) -> Cluster:
    """The cluster after it has run the campaign."""
    cluster.call("submit", "demo.yaml", *PROJECT)
    settings = cluster.environment
    cluster.environment = {name: settings[name] for name in settings if "VASP" not in name}
    cluster.start_runner()  # what it knows sbatch hands on; VASP is the exec_config's
    cluster.environment = settings
    cluster.wait_for(cluster.settled, 900)
    cluster.kill_runner()
    return cluster


def test_the_demo_on_a_cluster_ends_as_it_does_here(submitted: Cluster):
    cluster = submitted
    here = json.loads(cluster.call("run", "demo.yaml", "--json").stdout)["units"]
    assert not [unit["why"] for unit in here if unit["state"] != "done"]
    there = json.loads(cluster.call("status", "demo.yaml", *PROJECT, "--json").stdout)
    assert not [unit["why"] for unit in there if unit["state"] != "done"]
    ids = {unit["stage"]: unit["document_id"] for unit in here}
    assert {unit["stage"]: unit["document_id"] for unit in there} == ids

    _ran_where_they_should(cluster)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOFONON_STORE", str(cluster.folder / "embedded"))
        local = _documents(ids)
        patch.setenv("JOBFLOW_CONFIG_FILE", cluster.jobflow_config())
        remote = _documents(ids)
    found = [
        each for stage in local for each in differences(local[stage], remote[stage], stage)
    ]
    assert not found, "\n".join(found[:20])
    _query_finds_the_same(cluster)
    label = local["label"]
    assert (label["state"], label["n_good"]) == ("successful", 4)
    for stage in ("label", "dataset", "finetune", "evaluate", "phonons", "report"):
        assert "stand-in" in local[stage]["notice"], stage


def test_fine_tuning_goes_on_after_its_wall_time(submitted: Cluster):
    """SLURM ends the job at its time limit; the next one starts from the checkpoint."""
    cluster = submitted
    _write_long_training(cluster)
    cluster.call("submit", "long.yaml", *PROJECT)
    trainings = cluster.folder / "work" / "checkpoints" / "training"
    before = set(_checkpoints(trainings))
    cluster.start_runner()
    found = cluster.wait_for(lambda: set(_checkpoints(trainings)) - before)
    folder = found.pop().parents[1]
    _hold(folder)  # so that its time ends in the middle, however fast the machine is
    reached = _newest_epoch(folder)
    job_id = cluster.slurm.call("squeue", "-h", "-t", "R", "-o", "%i").split()[0]
    cluster.slurm.call("scontrol", "update", f"JobId={job_id}", "TimeLimit=1")
    query = {"job.name": "finetune", "state": "FAILED"}
    (failed,) = cluster.wait_for(lambda: cluster.jobs(query), 240)
    assert cluster.slurm.call("squeue", "-h").split() == []
    status = json.loads(cluster.call("status", "long.yaml", *PROJECT, "--json").stdout)
    (unit,) = [unit for unit in status if unit["stage"] == "finetune"]
    assert unit["state"] == "failed"
    assert "told to stop" in unit["why"] or "killed before it ended" in unit["why"]
    cluster.call("retry", "long.yaml", *PROJECT)
    cluster.wait_for(lambda: cluster.jobs({"uuid": failed["uuid"], "state": "COMPLETED"}))
    cluster.kill_runner()
    (entry,) = cluster.documents({"uuid": failed["uuid"]})
    model = entry["output"]
    assert (model["n_starts"], model["n_epochs"]) == (2, _LONG)
    (note,) = [note for note in model["notes"] if "went on from the checkpoint" in note]
    assert 0 <= reached <= int(note.split()[-1]) < _LONG - 1


def test_a_selection_then_labels_of_which_one_fails(cluster: Cluster):
    """Submitted twice: the selection, and what it chose; the failed VASP run alone again."""
    path = _write_selection(cluster)
    before = len(cluster.jobs())
    cluster.change_project(lambda project: _fail_one_run(project, "no-such-vasp"))
    refused = cluster.call("submit", path, *PROJECT, check=False)
    assert refused.returncode == 1
    assert "worker cpu: there is no program no-such-vasp" in refused.stderr
    assert len(cluster.jobs()) == before
    cluster.change_project(lambda project: _fail_one_run(project, None))

    _submit_and_wait(cluster, path)
    states = _unit_states(cluster, path)
    assert states["select"]["state"] == "done"
    assert {states[stage]["state"] for stage in ("sample", "label", "dataset")} == {"waiting"}
    plans = json.loads(cluster.call("campaign", "plan", path, *PROJECT, "--json").stdout)
    assert [plan["n_jobs"] for plan in plans] == [1, 2, 1, 1]
    assert [plan["awaits_selection"] for plan in plans] == [False] * 4

    _submit_and_wait(cluster, path)
    states = _unit_states(cluster, path)
    assert {unit["state"] for unit in states.values()} == {"done"}, states
    assert states["label"]["structure"] == "cyanide"
    assert "1 of 4 calculations are missing" in states["label"]["why"]
    keys = _keys(cluster)
    again = json.loads(cluster.call("submit", path, *PROJECT, "--json").stdout)
    assert (again["n_jobs"], again["n_done"]) == (0, 4)

    done = json.loads(cluster.call("retry", path, *PROJECT, "--json").stdout)
    assert (done["n_failed"], done["n_incomplete"], len(done["rerun"])) == (0, 1, 3)
    cluster.start_runner()
    cluster.wait_for(cluster.settled, 300)
    cluster.kill_runner()
    assert _unit_states(cluster, path)["label"]["why"] == ""
    assert len((cluster.folder / "failing.log").read_text().splitlines()) == 5
    (dataset,) = cluster.documents({"uuid": states["dataset"]["document_id"]})
    assert dataset["output"]["n_frames"] == 4
    new = [key for key in _keys(cluster) if key not in keys]
    assert len(new) == 1, "the document of the run; nothing is doubled"


def _write_selection(cluster: Cluster) -> str:
    """One of two cells chosen by a job, rattled, labelled."""
    cifs = cluster.folder / "cifs"
    cifs.mkdir()
    shutil.copy(CYANIDE, cifs / "cyanide.cif")
    (cifs / "broken.cif").write_text("data_nothing")
    select = {"source": "cifs", "model": "demo", "curation": {"min_pore": 0}}
    content = {
        "name": "chosen",
        "structures": {"primitive": True},
        "potentials": {"demo": {"model": "demo"}},
        "stages": {
            "select": {**select, "settings": {"n_structures": 1}},
            "sample": {"potentials": ["demo"], "samplers": {"rattle": {"number_of_frames": 4}}},
            "label": {
                "dataset": {"fractions": [0.4, 0.3, 0.3]},
                # all cores of the node: one run after the other
                "resources": {"exec_config": "failing", "threads": 4},
            },
        },
        "resources": {"worker": "cpu"},
    }
    (cluster.folder / "chosen.yaml").write_text(yaml.safe_dump(content))
    return "chosen.yaml"


def _fail_one_run(project: dict[str, Any], command: str | None) -> None:
    """Give an exec_config whose second VASP run fails; or all, for want of the program."""
    export = dict(project["exec_config"]["vasp"]["export"])
    export["MOFONON_STANDIN_LOG"] = str(Path(project["base_dir"]).parent / "failing.log")
    export["MOFONON_STANDIN_FAILURE"] = "truncated@2"
    if command is not None:
        export |= dict.fromkeys(standin_run.commands(), command)
    project["exec_config"]["failing"] = {"export": export}


def _submit_and_wait(cluster: Cluster, path: str) -> None:
    cluster.call("submit", path, *PROJECT)
    cluster.start_runner()
    cluster.wait_for(cluster.settled, 400)
    cluster.kill_runner()


def _unit_states(cluster: Cluster, path: str) -> dict[str, dict[str, Any]]:
    done = cluster.call("status", path, *PROJECT, "--json")
    return {unit["stage"]: unit for unit in json.loads(done.stdout)}


def _keys(cluster: Cluster) -> list[tuple[str, int]]:
    keys = [(entry["uuid"], entry["index"]) for entry in cluster.documents()]
    assert len(keys) == len(set(keys))
    return keys


def _write_long_training(cluster: Cluster) -> None:
    """A campaign that trains on the dataset of the demo."""
    (dataset,) = cluster.documents({"output.@class": "DatasetDoc"})
    content = yaml.safe_load((cluster.folder / "demo.yaml").read_text())
    content["name"] = "long"
    finetune = content["stages"]["finetune"]
    finetune["settings"]["max_epochs"] = _LONG
    content["stages"] = {"label": {"document": dataset["uuid"]}, "finetune": finetune}
    (cluster.folder / "long.yaml").write_text(yaml.safe_dump(content))


def _checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob("**/checkpoints/*.pt"))


def _newest_epoch(folder: Path) -> int:
    return max(int(path.stem.rsplit("-", 1)[1].split("_")[0]) for path in _checkpoints(folder))


def _hold(folder: Path) -> None:
    """Stop the process that trains in a folder; SLURM's SIGCONT lets it go on."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or ()):
            process.suspend()


def _documents(ids: dict[str, str]) -> dict[str, Any]:
    from mofonon.store import get_document, open_store

    store = open_store()
    return {stage: get_document(store, each, with_arrays=True) for stage, each in ids.items()}


def differences(one: Any, other: Any, place: str) -> Iterator[str]:
    """Where two documents differ: numbers by more than a tolerance, others at all."""
    one, other = _decoded(one), _decoded(other)
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other} - _CIRCUMSTANCES):
            yield from differences(one.get(key), other.get(key), f"{place}.{key}")
    elif isinstance(one, list | tuple) and len(one) == len(other):
        for number, parts in enumerate(zip(one, other, strict=True)):
            yield from differences(*parts, f"{place}[{number}]")
    elif not _equal(*(_eigenvalues(place, part) for part in (one, other)), _tolerance(place)):
        yield f"{place}: {str(one)[:80]} and {str(other)[:80]}"


def _eigenvalues(place: str, value: Any) -> Any:
    """Squares of frequencies: those of acoustic modes at Gamma are zero but for rounding."""
    name = place.rpartition(".")[2]
    if value is None or not ("frequenc" in name or name.startswith("acoustic")):
        return value
    return np.abs(value) * np.asarray(value)


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and value.get("@class") == "EncodedArray":
        fields = {name: part for name, part in value.items() if not name.startswith("@")}
        return EncodedArray(**fields).decode()
    return value


def _tolerance(place: str) -> float:
    """Of themselves or of their unit: differences of 1e-4 A magnify rounding."""
    return 1e-3 if place.endswith(".lowest_curvature") else 1e-8


def _equal(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two values are the same, numbers to a tolerance."""
    numbers = [np.asarray(each) for each in (one, other)]
    if all(np.issubdtype(each.dtype, np.floating) for each in numbers):
        same_shape = numbers[0].shape == numbers[1].shape
        return same_shape and np.allclose(
            *numbers, rtol=tolerance, atol=tolerance, equal_nan=True
        )
    return np.array_equal(one, other)


def _query_finds_the_same(cluster: Cluster) -> None:
    columns = "document_id,formula_pretty,min_frequency,max_frequency,energy,volume"
    arguments = ("query", "--type", "phonons", "--columns", columns, "-f", "json")
    (here,) = json.loads(cluster.call(*arguments).stdout)
    cluster.environment["JOBFLOW_CONFIG_FILE"] = cluster.jobflow_config()
    (there,) = json.loads(cluster.call(*arguments).stdout)
    cluster.environment.pop("JOBFLOW_CONFIG_FILE")
    assert isinstance(here["max_frequency"], float)
    assert not list(differences(here, there, "query"))


def _ran_where_they_should(cluster: Cluster) -> None:
    """VASP in the CPU partition, potentials with one device each in that of the GPUs."""
    jobs = {job["run_dir"]: job for job in cluster.jobs() if job["run_dir"]}
    ran: dict[str, set[tuple[str, str]]] = {}
    for line in (cluster.folder / "allocations").read_text().splitlines():
        partition, device, folder = line.split(" ", 2)
        job = jobs[folder]
        ran.setdefault(job["worker"], set()).add((partition, device))
        ran.setdefault(job["job"]["name"], set()).add((partition, device))
    one_device = {("gpu", "0"), ("gpu", "1")}
    assert ran["cpu"] == {("cpu", "-")}
    assert ran["gpu"] <= one_device
    assert ran["gpu-batch"] <= one_device
    assert ran["finetune"] <= one_device
    assert ran["phonons"] <= one_device
    vasp = (cluster.folder / "vasp.log").read_text().splitlines()
    assert len(vasp) == 4
    assert {jobs[line.split(" ", 4)[4]]["worker"] for line in vasp} == {"cpu"}
