"""``mofonon bulk-modulus`` in processes of its own: results, restarts, refusals."""

import json
import shutil
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from mofonon.lattice import BulkModulusDoc
from mofonon.store import get_document, open_store

_EMT = ("--model", "support.calculators:CountedEMT")
_QUICK = ("--n-points", "5")


@pytest.fixture
def copper(tmp_path: Path) -> Path:
    path = tmp_path / "copper.cif"
    write(path, bulk("Cu", "fcc", a=3.65))
    return path


def test_the_json_summary_the_document_and_the_figure(mofonon, copper):
    done = mofonon("bulk-modulus", copper, *_EMT, "--json")
    summary = json.loads(done.stdout)
    assert summary["state"] == "successful"
    assert summary["formula"] == "Cu1"
    assert summary["space_group"] == {"before": "Fm-3m", "after": "Fm-3m"}
    assert summary["bulk_modulus"] == pytest.approx(134.5, rel=2e-3)
    assert summary["bulk_modulus_from_stress"] == pytest.approx(134.5, rel=2e-3)
    assert summary["equilibrium_volume"] == pytest.approx(11.565, rel=1e-4)
    assert set(summary["fits"]) == {"birch_murnaghan", "vinet", "murnaghan"}
    assert summary["units"]["bulk_modulus"] == "GPa"
    assert summary["units"]["equilibrium_volume"] == "A^3"
    assert summary["n_force_evaluations"] == (
        summary["n_force_evaluations_by_part"]["relaxation"] + 7
    )
    assert len(summary["points"]) == 7
    assert summary["potential"]["family"] == "ase"
    assert summary["warnings"] == []
    assert Path(summary["figure"]).name == "copper-energy-volume.png"
    assert Path(summary["figure"]).read_bytes().startswith(b"\x89PNG")
    assert "strained cells 7/7" in done.stderr
    doc = BulkModulusDoc.model_validate(get_document(open_store(), summary["document_id"]))
    assert doc.bulk_modulus == summary["bulk_modulus"]
    assert doc.calculation_id == summary["calculation_id"]


def test_query_and_show_find_it(mofonon, copper):
    table = mofonon("bulk-modulus", copper, *_EMT, *_QUICK, "--equation-of-state", "vinet")
    assert "B0, birch-murnaghan (GPa)" in table.stdout
    assert "copper-energy-volume.png" in table.stdout
    arguments = ("query", "--type", "bulk-modulus")
    (row,) = json.loads(
        mofonon(*arguments, "bulk_modulus > 130", "bulk_modulus < 140", "-f", "json").stdout
    )
    assert row["formula_pretty"] == "Cu"
    assert row["bulk_modulus"] == pytest.approx(134.5, rel=2e-3)
    assert json.loads(mofonon(*arguments, "bulk_modulus < 10", "-f", "json").stdout) == []
    shown = mofonon(*arguments, "fits.murnaghan.bulk_modulus > 130", COLUMNS="250").stdout
    assert "bulk modulus (GPa)" in shown
    assert "1 document" not in shown
    assert json.loads(mofonon("query", "-f", "json").stdout) == []
    relaxed = json.loads(mofonon("query", "--type", "relax", "-f", "json").stdout)
    assert relaxed[0]["relaxation.fmax"] < 1e-6
    document = json.loads(mofonon("show", row["document_id"], "--json").stdout)
    assert document["settings"]["equation_of_state"] == "vinet"


def test_what_was_computed_is_not_computed_again(mofonon, copper, tmp_path):
    """A stored document is reused; without it, the evaluation logs are."""
    count = tmp_path / "count"

    def run(*more: str) -> tuple[dict, int]:
        count.write_text("")
        done = mofonon(
            "bulk-modulus",
            copper,
            *_EMT,
            *_QUICK,
            "--json",
            *more,
            COUNT_EVALUATIONS=str(count),
        )
        return json.loads(done.stdout), len(count.read_text().splitlines())

    first, made = run()
    assert made == first["n_force_evaluations"]
    again, made_again = run()
    assert (again["document_id"], again["reused"]) == (first["document_id"], True)
    assert made_again == 0
    shutil.rmtree(tmp_path / "store")
    logs = sorted((tmp_path / "checkpoints").iterdir(), key=lambda log: log.stat().st_mtime)
    assert len(logs) == 1 + 5
    logs[-1].unlink()  # as if it had been killed before the last volume
    resumed, made_then = run()
    assert made_then == 1
    assert resumed["n_force_evaluations"] == first["n_force_evaluations"]
    assert resumed["points"][-1]["energy"] == first["points"][-1]["energy"]
    assert resumed["bulk_modulus"] == first["bulk_modulus"]
    afresh, made_afresh = run("--rerun")
    assert made_afresh == made
    assert afresh["bulk_modulus"] == first["bulk_modulus"]
    assert afresh["document_id"] != resumed["document_id"]


def test_several_files_and_one_that_fails(mofonon, copper, tmp_path):
    stretched = tmp_path / "stretched.cif"
    write(stretched, bulk("Cu", "fcc", a=3.9))
    done = mofonon(
        "bulk-modulus", copper, stretched, *_EMT, *_QUICK, "--no-relax", "--json", check=False
    )
    assert done.returncode == 1
    good, failed = json.loads(done.stdout)
    assert good["state"] == "successful"
    assert good["n_force_evaluations"] == 5
    assert failed["state"] == "failed"
    assert failed["error"] == "EquationOfStateError"
    assert "smaller volumes" in failed["message"]
    assert "relax the cell first" in failed["remedy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--n-points", "4"), "--n-points: Input should be greater than or equal to 5, not 4"),
        (("--max-linear-strain", "0"), "--max-linear-strain: Input should be greater than 0"),
        (("--fmax", "-1"), "--fmax: Input should be greater than 0"),
        (("--fmax", "1e-12", "--max-steps", "1"), "fmax is"),
        (("--no-relax", "--max-linear-strain", "0.001"), "the minimum is outside the volumes"),
        (("--model", "no.model"), "there is no model file no.model"),
        (("--store", "/proc/none"), "the store /proc/none cannot"),
    ],
)
def test_bad_input_is_an_error_with_a_remedy(mofonon, copper, arguments, message):
    model = () if "--model" in arguments else _EMT
    done = mofonon("bulk-modulus", copper, *model, *arguments, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "remedy: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_no_file(mofonon):
    done = mofonon("bulk-modulus", check=False)
    assert done.returncode == 1
    assert "no structure was given" in done.stderr


def test_a_yaml_file_gives_options_and_the_command_line_wins(mofonon, copper, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text(
        f"files: [{copper}]\nmodel: support.calculators:CountedEMT\nn_points: 5\n"
        "relax-strained: none\nmax_linear_strain: 0.03\n"
    )
    done = mofonon("bulk-modulus", "--config", config, "--max-linear-strain", "0.01", "--json")
    settings = json.loads(done.stdout)["settings"]
    assert settings["relax"] == "none"
    assert settings["n_points"] == 5
    assert settings["max_linear_strain"] == 0.01
