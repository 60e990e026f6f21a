"""``mofonon stabilize`` in processes of its own."""

import json
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

_QUICK = ("--mesh", "3", "--fmax", "1e-5", "--strategies", "mode-mapping")


@pytest.mark.slow
def test_simple_cubic_copper_is_led_to_a_stable_lattice(mofonon, tmp_path):
    path = tmp_path / "sc.cif"
    write(path, bulk("Cu", "sc", a=2.4))
    count = tmp_path / "count"
    arguments = (
        "stabilize",
        path,
        "--model",
        "support.calculators:CountedEMT",
        "--method",
        "lbfgs",  # the default relaxation leaves the saddle point by itself
        *_QUICK,
        "--json",
    )
    first = json.loads(mofonon(*arguments, COUNT_EVALUATIONS=str(count)).stdout)
    assert first["state"] == "stable"
    assert first["space_group"]["before"] == "Pm-3m"
    assert first["energy_change_per_atom"] < -0.1
    assert first["attempts"][1]["strategy"] == "mode-mapping"
    assert Path(first["structure_file"]).name == "sc-stable.cif"
    assert Path(first["figure"]).is_file()
    made = len(count.read_text().splitlines())
    assert made <= first["n_force_evaluations"]  # what a log knew already is counted too
    again = json.loads(mofonon(*arguments, COUNT_EVALUATIONS=str(count)).stdout)
    assert again["reused"]
    assert len(count.read_text().splitlines()) == made
    found = json.loads(
        mofonon("query", "state = stable", "--type", "stabilize", "-f", "json").stdout
    )
    assert [row["document_id"] for row in found] == [first["document_id"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategies", "prayer"), "--strategies"),
        (("--max-attempts", "0"), "--max-attempts: Input should be"),
    ],
)
def test_options_that_make_no_sense(mofonon, tmp_path, arguments, message):
    path = tmp_path / "sc.cif"
    write(path, bulk("Cu", "sc", a=2.4))
    done = mofonon("stabilize", path, *arguments, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
