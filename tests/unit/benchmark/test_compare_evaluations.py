"""Errors of several evaluations in one table."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mofonon.benchmark.evaluations import error_rows, error_table
from mofonon.cli import app
from mofonon.errors import ComparisonError
from mofonon.training.metrics import Errors, SetErrors


def _errors(values):
    values = np.asarray(values, dtype=float)
    return Errors(
        n=len(values),
        rmse=float(np.sqrt(np.mean(values**2))),
        mae=float(np.mean(np.abs(values))),
        max=float(np.abs(values).max()),
    )


@pytest.fixture
def evaluation():
    """What mofonon evaluate --json prints, with errors made up."""

    def make(potential, scale, sha="a" * 64):
        def group(kind, value):
            return {
                "kind": kind,
                "value": value,
                "errors": SetErrors(
                    n_frames=2,
                    n_atoms=20,
                    energy=_errors([10 * scale, -30 * scale]),
                    energy_per_atom=_errors([scale, -3 * scale]),
                    forces=_errors([20 * scale, 0.0]),
                ).model_dump(),
            }

        element = {
            "element": "Zn",
            "n_atoms": 4,
            "forces": _errors([7 * scale]).model_dump(),
            "energy_per_atom_rmse": scale,
            "energy_weight": 1.0,
        }
        return {
            "evaluations": [
                {
                    "potential": potential,
                    "frames": "test",
                    "groups": [group("all", "all"), group("mof", "MOF-5")],
                    "elements": [element],
                }
            ],
            "frames_sha256": {"test": sha},
            "notice": None,
        }

    return make


def test_rows_by_group(evaluation):
    (row,) = error_rows(evaluation("one", 2.0), "all", "file")
    assert row.energy_rmse == pytest.approx(2 * np.sqrt(5))
    assert (row.energy_mae, row.forces_mae, row.stress_rmse) == (4.0, 20.0, None)
    assert [r.group for r in error_rows(evaluation("one", 2.0), "mof", "file")] == ["MOF-5"]
    (zinc,) = error_rows(evaluation("one", 2.0), "element", "file")
    assert (zinc.group, zinc.n, zinc.forces_rmse) == ("Zn", 4, 14.0)
    with pytest.raises(ComparisonError, match="no evaluation"):
        error_rows({"evaluations": [{}]}, "all", "file")


def test_other_frames_of_the_same_name_are_flagged(evaluation):
    same = [
        *error_rows(evaluation("a", 1), "all", "x"),
        *error_rows(evaluation("b", 2), "all", "y"),
    ]
    assert not any("FLAG" in note for note in error_table(same, "all").notes)
    other = [*same, *error_rows(evaluation("c", 2, "b" * 64), "all", "z")]
    assert any("FLAG" in note for note in error_table(other, "all").notes)


def test_the_command(evaluation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, scale in (("before", 10.0), ("after", 1.0)):
        (tmp_path / f"{name}.json").write_text(json.dumps(evaluation(name, scale)))
    done = CliRunner().invoke(app, ["compare", "errors", "before.json", "after.json", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["errors"]
    assert [row["potential"] for row in rows] == ["before", "after"]
    assert rows[0]["energy_rmse"] == pytest.approx(10 * rows[1]["energy_rmse"])
    (tmp_path / "bad.json").write_text("[]")
    done = CliRunner().invoke(app, ["compare", "errors", "before.json", "bad.json"])
    assert done.exit_code == 1
    assert "meV/atom" in done.stdout
