"""VASP where labels are made: looked for before anything is put into a queue."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mofonon.campaign import CampaignMaker, load_campaign
from mofonon.campaign.vasp_check import VaspNeeds, check_workers
from mofonon.cli import app
from mofonon.errors import DftSetupError
from standin import potcars

pytest.importorskip("jobflow_remote")
from jobflow_remote.config.base import ExecutionConfig, LocalWorker

REPOSITORY = Path(__file__).parents[3]
DEMO = REPOSITORY / "workflows" / "demo.yaml"
STANDIN = REPOSITORY / "tests" / "standin"


@pytest.fixture(scope="module")
def labels():
    """The units of the demo that are labelled by VASP."""
    units = CampaignMaker().units(load_campaign(DEMO))
    return [unit for unit in units if unit.runs_vasp]


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """A worker on this machine, whose environment comes from its pre_run alone."""
    for name in ("ATOMATE2_VASP_CMD", "ATOMATE2_VASP_GAMMA_CMD", "PMG_VASP_PSP_DIR"):
        monkeypatch.delenv(name, raising=False)
    paths = f"{REPOSITORY / 'src'}:{REPOSITORY / 'tests'}"
    pre_run = f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={paths}"
    return LocalWorker(
        type="local", scheduler_type="shell", work_dir=str(tmp_path), pre_run=pre_run
    )


def _vasp(folder, **changes):
    commands = {
        "ATOMATE2_VASP_CMD": f"{sys.executable} {STANDIN / 'vasp_std'}",
        "ATOMATE2_VASP_GAMMA_CMD": f"{sys.executable} {STANDIN / 'vasp_gam'}",
        "PMG_VASP_PSP_DIR": str(folder),
        **changes,
    }
    return ExecutionConfig(export={key: shlex.quote(text) for key, text in commands.items()})


def test_what_the_demo_needs(labels):
    needs = VaspNeeds.of(labels)
    assert needs.elements == {"C", "H", "N", "O", "Zn"}
    assert (needs.gamma, needs.std) == (True, True)
    assert VaspNeeds.of([]) is None


@pytest.mark.slow
def test_the_host_of_a_worker_is_asked_in_the_environment_of_its_jobs(labels, worker, tmp_path):
    potcars.write_potcars(tmp_path / "potcars")
    for unit in labels:
        unit.resources = unit.resources.model_copy(update={"exec_config": "vasp"})
    good = {"vasp": _vasp(tmp_path / "potcars")}
    found = check_workers(labels, {"cpu": worker}, good)
    assert (found.problems, found.unchecked) == ([], [])

    bad = {"vasp": _vasp(tmp_path / "nowhere", ATOMATE2_VASP_CMD="srun no-such-vasp")}
    found = check_workers(labels, {"cpu": worker}, bad)
    with pytest.raises(DftSetupError) as caught:
        found.require_none()
    told = str(caught.value)
    assert "worker cpu: there is no program" in told
    assert "no POTCAR of C, H, N, O, Zn" in told
    assert "ATOMATE2_VASP_CMD" in told
    assert "--no-vasp-check" in told


def test_a_host_that_cannot_be_asked_is_said_and_stops_nothing(labels, worker):
    worker.pre_run = "echo 'no such module' >&2; exit 3"
    found = check_workers(labels, {"cpu": worker}, {})
    found.require_none()
    assert found.unchecked == ["VASP was not looked for on worker cpu: no such module"]


def test_plan_and_check_warn_where_vasp_is_absent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = ("no-such-vasp", "no-such-vasp-gamma")
    monkeypatch.setattr("mofonon.dft.setup.vasp_commands", lambda: commands)
    done = CliRunner().invoke(app, ["campaign", "plan", str(DEMO)])
    assert done.exit_code == 0
    assert "VASP cannot be run here: there is no program no-such-vasp" in done.stderr
    done = CliRunner().invoke(app, ["campaign", "check", str(DEMO), "--json"])
    assert done.exit_code == 0
    warnings = json.loads(done.stdout)["warnings"]
    assert any("POTCAR" in warning for warning in warnings)
