"""``mofonon label`` in processes of its own, with the VASP stand-in."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mofonon.cli import main
from mofonon.dft import LabelDoc
from mofonon.store import get_document, open_store

REPOSITORY = Path(__file__).parents[2]
ZNCN2 = REPOSITORY / "src/mofonon/data/structures/Zn(CN)2.cif"
_TWO = ("--what", "eos", "--n-deformations", "2", "--max-linear-strain", "0.02")


@pytest.mark.slow
def test_labels_failures_retry_and_reuse(mofonon, standin):
    """Check 3: a failed calculation leaves the rest standing; --retry repeats it alone."""

    def label(*more: str, check: bool = True, **environment: str) -> dict:
        done = mofonon(
            *("label", ZNCN2, *_TWO, "--json", *more),
            check=check,
            **standin.environment,
            **environment,
        )
        return json.loads(done.stdout)

    first = label(check=False, MOFONON_STANDIN_FAILURE="truncated@1")
    assert first["state"] == "incomplete"
    assert [task["state"] for task in first["tasks"]] == ["failed", "successful"]
    assert "Validation failed: VasprunXMLValidator" in first["tasks"][0]["reason"]
    assert first["n_good"] == 1
    assert len(standin.runs()) == 2
    assert {run[1] for run in standin.runs()} == {"vasp_std"}
    mended = label("--retry")
    assert mended["state"] == "successful"
    assert mended["n_good"] == 2
    assert len(standin.runs()) == 3, "the failed one alone"
    assert "stand-in" in mended["notice"]
    again = label()
    assert (again["document_id"], again["reused"]) == (mended["document_id"], True)
    assert len(standin.runs()) == 3
    doc = LabelDoc.model_validate(
        get_document(open_store(), mended["document_id"], with_arrays=True)
    )
    assert [frame.linear_strain for frame in doc.good_frames] == [-0.02, 0.02]
    listed = json.loads(mofonon("query", "--type", "labels", "n_good > 1", "-f", "json").stdout)
    assert [row["document_id"] for row in listed] == [mended["document_id"]]


@pytest.mark.slow
def test_dry_run_tells_cost_and_problems(mofonon, standin, reference_dir):
    """Check 6: nothing is submitted, all problems at once."""
    mof = reference_dir / "curated-127" / "MOF-5.cif"
    done = mofonon("label", mof, ZNCN2, "--dry-run", "--json", **standin.environment)
    content = json.loads(done.stdout)
    assert content["problems"] == []
    large, small = content["structures"]
    assert (large["n_electrons"], large["gamma_only"], large["mesh"]) == (468, True, [1, 1, 1])
    assert small["gamma_only"] is False
    assert content["total_core_hours"] == pytest.approx(
        large["total_core_hours"] + small["total_core_hours"]
    )
    (standin.potcars / "POT_GGA_PAW_PBE_54" / "POTCAR.Zn").unlink()
    broken = {**standin.environment, "ATOMATE2_VASP_GAMMA_CMD": "no-such-vasp"}
    shown = mofonon("label", mof, ZNCN2, "--dry-run", check=False, **broken, COLUMNS="120")
    assert shown.returncode == 1
    assert "no program no-such-vasp for ATOMATE2_VASP_GAMMA_CMD" in shown.stdout
    assert "the POTCAR Zn of Zn is not there" in shown.stdout
    assert "MOF-5" in shown.stdout
    refused = mofonon("label", mof, check=False, **broken)
    assert refused.returncode == 1
    assert "no program no-such-vasp" in refused.stderr
    assert "remedy: " in refused.stderr
    assert not standin.log.exists(), "VASP was not started"
    doctor = mofonon("doctor", "vasp", "potcars", check=False, **broken)
    assert doctor.returncode == 1
    assert "no program no-such-vasp" in doctor.stdout
    assert "lacks 1 of 89 elements or has wrong ones: Zn" in doctor.stdout


@pytest.mark.slow
def test_the_standin_is_used_as_the_documentation_says(tmp_path):
    """The bash block of docs/labels.md, as it is, at the top of a repository."""
    text = (REPOSITORY / "docs" / "labels.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    (block,) = [block for block in blocks if "standin/potcars.py" in block]
    shared = "/tmp/potcars"  # noqa: S108 - as in the block
    assert shared in block
    for name in ("src", "tests"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    done = subprocess.run(
        ["bash", "-e", "-c", block.replace(shared, str(tmp_path / "potcars"))],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY / "src"),
            "OMP_NUM_THREADS": "1",
            "MOFONON_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = open_store().query({"output.mof_id": "Zn(CN)2"}, load=True)
    doc = LabelDoc.model_validate(found["output"])
    assert (doc.state, doc.n_good) == ("successful", 1)
    assert "stand-in" in str(doc.notice)
    assert "stand-in" in done.stdout


def test_an_element_without_a_potcar(tmp_path, monkeypatch, capsys):
    """Check 6: polonium is not in the Materials Project's choice."""
    path = tmp_path / "polonium.cif"
    path.write_text("""data_Po
_cell_length_a 3.35
_cell_length_b 3.35
_cell_length_c 3.35
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Po1 Po 0 0 0
""")
    monkeypatch.setattr(sys, "argv", ["mofonon", "label", str(path), "--dry-run", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    messages = [
        problem["message"] for problem in json.loads(capsys.readouterr().out)["problems"]
    ]
    assert any("Po has no POTCAR" in message for message in messages)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--what", "bands"), "--what: bands cannot be calculated"),
        (("--what", "static,eos"), "static is not for relax and eos"),
        (("--n-deformations", "1"), "--n-deformations: 1 are too few"),
        (("--max-linear-strain", "2"), "--max-linear-strain: 2.0 is not between"),
        (("--max-force", "-1"), "--max-force: Input should be greater than 0"),
    ],
)
def test_bad_options_are_errors_with_a_remedy(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["mofonon", "label", str(ZNCN2), *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert message in said
    assert "remedy: " in said
