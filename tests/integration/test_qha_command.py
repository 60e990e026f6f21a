"""``mofonon qha`` in processes of its own: results, restarts, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from integration.conftest import REPOSITORY, command_environment
from mofonon.lattice import QhaDoc
from mofonon.potentials import EvaluationLog
from mofonon.store import get_document, open_store

_EMT = ("--model", "support.calculators:CountedEMT")
_QUICK = (
    *("--n-volumes", "6", "--mesh", "3", "3", "3", "--dos-pitch", "0.2"),
    *("--temperature-max", "300", "--temperature-step", "50", "--fmax", "1e-5"),
)


@pytest.fixture
def aluminium_cif(tmp_path: Path) -> Path:
    path = tmp_path / "aluminium.cif"
    write(path, bulk("Al", "fcc", a=4.0))
    return path


def test_summary_document_figures_and_query(mofonon, aluminium_cif):
    done = mofonon("qha", aluminium_cif, *_EMT, *_QUICK, "--json")
    summary = json.loads(done.stdout)
    assert summary["state"] == "successful"
    assert summary["formula"] == "Al1"
    assert summary["cte_linear_300K"] == pytest.approx(35, rel=0.05)
    assert summary["cte_volumetric_300K"] == pytest.approx(3 * summary["cte_linear_300K"])
    assert summary["units"]["cte_linear_300K"] == "1e-6/K"
    assert summary["series"]["temperatures"] == [0, 50, 100, 150, 200, 250, 300]
    assert summary["series"]["cte_linear"][-1] == summary["cte_linear_300K"]
    assert {Path(figure).name for figure in summary["figures"]} == {
        "aluminium-expansion.png",
        "aluminium-free-energies.png",
    }
    assert all(Path(figure).read_bytes()[:4] == b"\x89PNG" for figure in summary["figures"])
    assert "volumes 6/6" in done.stderr
    doc = QhaDoc.model_validate(
        get_document(open_store(), summary["document_id"], with_arrays=True)
    )
    assert doc.series.volumes == summary["series"]["volumes"]
    assert doc.arrays.helmholtz.decode().shape == (7, doc.n_volumes_used)

    find = ("query", "--type", "qha", "-f", "json")
    (row,) = json.loads(mofonon(*find, "cte_linear_300K > 20").stdout)
    assert row["document_id"] == summary["document_id"]
    assert row["cte_linear_300K"] == summary["cte_linear_300K"]
    assert json.loads(mofonon(*find, "cte_linear_300K < 0").stdout) == []
    assert len(json.loads(mofonon("query", "-f", "json").stdout)) == len(summary["points"])
    shown = json.loads(mofonon("show", summary["document_id"], "--json").stdout)
    assert shown["arrays"]["mode_gruneisen"] == "in the data store"
    table = mofonon("qha", aluminium_cif, *_EMT, *_QUICK)
    assert "already computed" in table.stderr
    assert "linear CTE at 300 K (1e-6/K)" in table.stdout


@pytest.mark.slow
def test_only_rerun_computes_again(mofonon, aluminium_cif, tmp_path):
    count = tmp_path / "count"

    def run(*more: str) -> tuple[dict, int]:
        count.write_text("")
        arguments = ("qha", aluminium_cif, *_EMT, *_QUICK, "--json", *more)
        done = mofonon(*arguments, COUNT_EVALUATIONS=str(count))
        return json.loads(done.stdout), len(count.read_text().splitlines())

    first, made = run()
    assert made == first["n_force_evaluations"]
    again, made_again = run()
    assert (again["document_id"], again["reused"], made_again) == (
        first["document_id"],
        True,
        0,
    )
    # other fits of the same volumes evaluate nothing
    other, made_for_others = run("--equation-of-state", "murnaghan")
    assert made_for_others == 0
    assert other["document_id"] != first["document_id"]
    afresh, made_afresh = run("--rerun")
    assert made_afresh == made
    assert afresh["series"] == first["series"]


@pytest.mark.slow
def test_kill_9_in_the_middle_repeats_no_finished_volume(mofonon, aluminium_cif, tmp_path):
    arguments = ("qha", str(aluminium_cif), *_EMT, *_QUICK, "--json")
    count = tmp_path / "count"
    command = [sys.executable, "-c", "from mofonon.cli import main; main()", *arguments]
    environment = command_environment(
        COUNT_EVALUATIONS=str(count), SECONDS_PER_EVALUATION="0.3"
    )
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.time() + 120
        while not (count.exists() and len(count.read_text().splitlines()) >= 12):
            assert time.time() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done_before = len(count.read_text().splitlines())
    before = _records(tmp_path)
    assert len(before) >= 3  # the relaxation and some volumes
    resumed = json.loads(mofonon(*arguments, COUNT_EVALUATIONS=str(count)).stdout)
    in_all = len(count.read_text().splitlines())
    total = resumed["n_force_evaluations"]
    # the evaluation under way when it was killed may have been counted but not recorded
    assert total <= in_all <= total + 1
    assert done_before < total
    after = _records(tmp_path)
    changed = [name for name in before if after[name] != before[name]]
    assert len(changed) <= 1  # at most the volume that it was killed in went on
    whole = json.loads(mofonon(*arguments, "--rerun").stdout)
    # to the last digits: what EMT gives depends on the neighbour list that it had before
    energies = [[point["energy"] for point in run["points"]] for run in (whole, resumed)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-12)
    assert whole["series"]["volumes"] == pytest.approx(resumed["series"]["volumes"], rel=1e-7)


def _records(folder: Path) -> Counter[str]:
    """Evaluations on record in each log: one log a relaxation or volume."""
    found: Counter[str] = Counter()
    for path in (folder / "checkpoints").glob("*.evaluations"):
        with EvaluationLog(path) as log:
            found[path.name] = len(log)
    return found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--n-volumes", "4"), "--n-volumes: Input should be greater than or equal to 5"),
        (("--n-volumes", "5"), "5 volumes are fewer than the 6 that must remain"),
        (("--max-linear-strain", "0"), "--max-linear-strain: Input should be greater than 0"),
        (("--temperature-max", "5"), "the highest temperature, 5 K, is below the step of 10 K"),
        (("--mesh", "0"), "a mesh of 0 x 0 x 0 has no points"),
        (("--model", "no.model"), "there is no model file no.model"),
        (("--store", "/proc/none"), "the store /proc/none cannot"),
    ],
)
def test_bad_input_is_an_error_with_a_remedy(mofonon, aluminium_cif, arguments, message):
    model = () if "--model" in arguments else _EMT
    done = mofonon("qha", aluminium_cif, *model, *arguments, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "remedy: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_too_few_stable_volumes_fail_with_the_list(mofonon, tmp_path):
    path = tmp_path / "platinum.cif"
    write(path, bulk("Pt", "fcc", a=3.92))
    strained = ("--n-volumes", "7", "--max-linear-strain", "0.09", "--max-extensions", "0")
    quick = _QUICK[2:]
    done = mofonon("qha", path, *_EMT, *quick, *strained, check=False)
    assert done.returncode == 1
    assert "volumes have no imaginary modes, 6 are needed: +6.00 % (" in done.stderr
    marked = mofonon("qha", path, *_EMT, *quick, *strained, "--allow-imaginary", "--json")
    summary = json.loads(marked.stdout)
    assert summary["imaginary_modes_left_out"]
    assert "imaginary modes were left out at" in summary["notice"]
    assert "imaginary modes were left out at" in summary["warnings"][0]


@pytest.mark.slow
def test_zinc_cyanide_shrinks_with_the_demo_model(mofonon):
    """The classic: -17e-6/K in experiment. The demo model is not for science."""
    path = REPOSITORY / "src" / "mofonon" / "data" / "structures" / "Zn(CN)2.cif"
    summary = json.loads(mofonon("qha", path, "--temperature-max", "200", "--json").stdout)
    expansion = summary["series"]["cte_linear"]
    assert summary["series"]["temperatures"][-1] == 200
    assert all(summary["series"]["inside"])
    assert -100 < expansion[10] < -1
    assert summary["series"]["gruneisen_modes"][10] < 0
    assert "not for science" in summary["notice"]
