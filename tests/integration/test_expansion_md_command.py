"""``mofonon expansion-md`` in processes of its own: results, restarts, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ase.io import write

from integration.conftest import command_environment
from support.closed_forms import grueneisen_crystal

_QUICK = (
    *("--model", "support.closed_forms:expanding_crystal", "--no-relax"),
    *("--supercell", "1", "1", "1", "--ensemble", "npt-isotropic"),
    *("--temperatures", "200,600", "--steps", "150", "--time-step", "4", "--interval", "2"),
    *("--thermostat-time", "50", "--barostat-time", "100"),
    *("--min-effective-samples", "4"),
)


@pytest.fixture
def crystal_cif(tmp_path: Path) -> Path:
    path = tmp_path / "crystal.cif"
    write(path, grueneisen_crystal(1)[0])
    return path


@pytest.mark.slow
def test_summary_figure_query_and_reuse(mofonon, crystal_cif):
    done = mofonon("expansion-md", crystal_cif, *_QUICK, "--json")
    summary = json.loads(done.stdout)
    assert summary["state"] == "successful"
    assert summary["cte_volumetric_300K"] == pytest.approx(3 * summary["cte_linear_300K"])
    assert summary["method_note"].startswith("classical")
    assert summary["n_force_evaluations"] == 2 * 151
    assert len(summary["points"]) == 2
    assert Path(summary["figures"][0]).read_bytes()[:4] == b"\x89PNG"
    # without --type the kinds that have the field are searched
    for kind in ((), ("--type", "expansion-md")):
        find = ("query", "-f", "json", *kind)
        (row,) = json.loads(mofonon(*find, "cte_linear_300K > -1e9").stdout)
        assert row["document_id"] == summary["document_id"]
    assert json.loads(mofonon(*find, "cte_linear_300K < -1e9").stdout) == []
    table = mofonon("expansion-md", crystal_cif, *_QUICK)
    assert "already computed" in table.stderr
    assert "classical" in table.stdout
    assert "linear CTE at 300 K (1e-6/K)" in table.stdout


@pytest.mark.slow
def test_kill_9_repeats_little_and_changes_nothing(mofonon, crystal_cif, tmp_path):
    arguments = ("expansion-md", str(crystal_cif), *_QUICK, "--json")
    count = tmp_path / "count"
    command = [sys.executable, "-c", "from mofonon.cli import main; main()", *arguments]
    environment = command_environment(
        COUNT_EVALUATIONS=str(count), SECONDS_PER_EVALUATION="0.05"
    )
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.time() + 120
        while not (count.exists() and len(count.read_text().splitlines()) >= 170):
            assert time.time() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = len(count.read_text().splitlines())
    resumed = json.loads(mofonon(*arguments, COUNT_EVALUATIONS=str(count)).stdout)
    in_all = len(count.read_text().splitlines())
    # the finished temperature is read; of the other at most 5 s of work are repeated
    assert in_all - before <= 151
    whole = json.loads(mofonon(*arguments, "--rerun").stdout)
    for name in ("cte_volumetric", "cte_volumetric_error"):
        assert whole[name] == resumed[name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--temperatures", "300"), "--temperatures: Tuple should have at least 2 items"),
        (("--temperatures", "300,0"), "300, 0 K are not positive and different"),
    ],
)
def test_bad_input_is_an_error_with_a_remedy(mofonon, crystal_cif, arguments, message):
    done = mofonon("expansion-md", crystal_cif, *arguments, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "remedy: " in done.stderr
    assert "Traceback" not in done.stderr
