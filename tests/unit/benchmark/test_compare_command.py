"""``mofonon compare`` as a user runs it, in this process."""

import json

import pytest
from typer.testing import CliRunner

from mofonon.cli import app

FIELDS = {
    "space_group",
    "lengths",
    "angles",
    "mean_length_deviation_percent",
    "n_displacements",
    "fractional_rmsd",
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*words, ok=True):
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
        assert (done.exit_code == 0) == ok, (done.output, done.exception)
        return done

    return invoke


def test_structures_as_json(run, optimized_path, tmp_path):
    files = [optimized_path("MOF-74", m) for m in ("DFT", "MACE-MP-MOF0", "GFN1-xTB")]
    done = run("compare", "structures", *files, "--json")
    result = json.loads(done.stdout)
    assert result["reference"]["label"] == "DFT"
    first, second = result["candidates"]
    assert set(first) >= FIELDS
    assert (first["label"], first["space_group"], first["n_displacements"]) == (
        "MACE-MP-MOF0",
        "R-3",
        54,
    )
    assert first["mean_length_deviation_percent"] == pytest.approx(0.2845, abs=1e-4)
    assert second["n_displacements"] == 324
    folder = tmp_path / "mofonon-compare"
    assert {path.name for path in folder.iterdir()} == {
        f"structures.{ending}" for ending in ("csv", "json", "tex", "md", "png")
    }


def test_one_bad_candidate_does_not_stop_the_others(run, optimized_path):
    words = [optimized_path("MOF-74", m) for m in ("DFT", "MACE-MP-MOF0")]
    done = run(
        *("compare", "structures", *words, f"wrong={optimized_path('MOF-5', 'DFT')}"),
        "--json",
        ok=False,
    )
    result = json.loads(done.stdout)
    assert len(result["candidates"]) == 1
    assert result["failed"][0]["label"] == "wrong"
    assert result["failed"][0]["error"] == "ComparisonError"


def test_what_is_no_file_is_said(run, optimized_path):
    done = run("compare", "structures", "nothing.cif", "also-nothing.cif", ok=False)
    assert "nothing.cif does not exist" in str(done.exception)
    done = run("compare", "structures", optimized_path("MOF-74", "DFT"), ok=False)
    assert "nothing to compare" in str(done.exception)
