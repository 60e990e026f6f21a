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
    done = run(
        "compare", "structures", *files, *("--figures", "svg", "--figures", "pdf"), "--json"
    )
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
        f"structures.{ending}" for ending in ("csv", "json", "tex", "md", "svg", "pdf")
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


@pytest.mark.slow
def test_potentials_relax_the_reference_now(run, tmp_path):
    """By xTB the positions only; the second call computes nothing again."""
    from importlib import resources

    file = resources.files("mofonon.data") / "structures" / "Zn(CN)2.cif"
    words = (
        "compare",
        "structures",
        f"CIF={file}",
        f"GFN1-xTB={file}",
        *("--relax-with", "gfn1-xtb", "--relax-with", "demo"),
    )
    done = run(*words, "--fmax", "1e-3", "--supercell", "1 1 1", "--json")
    result = json.loads(done.stdout)
    same, xtb, demo = result["candidates"]
    assert same["label"] == "GFN1-xTB"
    assert xtb["label"] == f"GFN1-xTB ({xtb['document_id'][:8]})"
    assert xtb["lengths"] == pytest.approx(result["reference"]["lengths"], abs=1e-9)
    assert xtb["rmsd"] > 1e-4
    assert demo["mean_length_deviation_percent"] > 0.01
    assert "not for science" in demo["notice"]
    again = run(*words, "--fmax", "1e-3", "--supercell", "1 1 1", "--json")
    same = json.loads(again.stdout)["candidates"][1:]
    assert [c["document_id"] for c in same] == [xtb["document_id"], demo["document_id"]]
    shown = run("show", xtb["document_id"], "--json")
    document = json.loads(shown.stdout)
    assert document["relaxation"]["settings"]["cell"] == "fixed"
    # the documents may be named again, in place of files
    third = run(
        "compare", "structures", demo["document_id"], f"x={xtb['document_id'][:8]}", "--json"
    )
    assert json.loads(third.stdout)["candidates"][0]["label"] == "x"


@pytest.mark.slow
def test_documents_are_compared_and_linked(run):
    """Phonons and bulk modulus of Zn(CN)2 by the demo model, from the store."""
    from importlib import resources

    file = resources.files("mofonon.data") / "structures" / "Zn(CN)2.cif"
    common = ("--supercell", "1 1 1", "--mesh", "3", "--json")
    first = json.loads(run("phonons", file, *common).stdout)
    paper = ("--displacement", "0.01", "--plus-minus", "auto")
    second = json.loads(run("phonons", file, *paper, *common).stdout)
    ids = [first["document_id"], second["document_id"]]
    assert ids[0] != ids[1]
    done = run(
        "compare", "phonons", f"small={ids[0]}", f"large={ids[1]}", "--mesh", "3", "--json"
    )
    result = json.loads(done.stdout)
    assert result["reference"]["document_id"] == ids[0]
    (large,) = result["candidates"]
    assert 0 < large["mesh"]["rmsd_matched"] < 0.05  # anharmonicity of the displacement
    assert large["mesh"]["mean_overlap"] > 0.99
    assert set(large["dos_by_element"]) == {"Zn", "C", "N"}
    assert "not for science" in large["notice"]

    run("bulk-modulus", file, "--json")
    listed = run("query", "--type", "bulk-modulus", "--format", "json")
    identity = json.loads(listed.stdout)[0]["document_id"]
    done = run("compare", "mechanics", f"demo={identity}", "--reference", "demo", "--json")
    (value,) = json.loads(done.stdout)["bulk_moduli"]
    assert (value["document_id"], value["method"]) == (identity, "demo")
    assert value["value"] > 0
    printed = run("compare", "mechanics", f"demo={identity}", "--reference", "demo").stdout
    assert f"mofonon show {identity[:8]}" in printed


def test_what_is_no_file_is_said(run, optimized_path):
    done = run("compare", "structures", "nothing.cif", "also-nothing.cif", ok=False)
    assert "nothing.cif does not exist" in str(done.exception)
    done = run("compare", "structures", optimized_path("MOF-74", "DFT"), ok=False)
    assert "nothing to compare" in str(done.exception)
