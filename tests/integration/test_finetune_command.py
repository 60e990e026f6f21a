"""From labelled frames to a model, its card, its errors, and phonons with its head."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mofonon.arrays import EncodedArray
from mofonon.cli import app
from mofonon.errors import TrainingDataError
from mofonon.provenance import file_sha256
from mofonon.store import get_document, open_store
from support.labelled import FACTOR, STRUCTURE, write_dataset

pytestmark = pytest.mark.slow


def here(*arguments: object) -> Result:
    """Run the command in this process, where torch is loaded already."""
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done


def frequencies(store: Path, document_id: str) -> np.ndarray:
    encoded = get_document(open_store(store), document_id, with_arrays=True)["arrays"][
        "frequencies"
    ]
    if isinstance(encoded, dict):
        encoded = EncodedArray.from_dict(encoded)
    return np.sort(encoded.decode(), axis=-1)


def test_from_frames_to_phonons(mofonon, tmp_path, monkeypatch):
    """A model fine-tuned here has phonons nearer to the labels' than the foundation's.

    The labels' force constants are the foundation's times 1.2, so that the frequencies to
    reach are known: the foundation's times the square root of that.
    """
    frames = write_dataset(tmp_path / "frames", (24, 4, 6))
    monkeypatch.setenv("MOFONON_MODELS", str(tmp_path / "models"))
    done = mofonon(
        *("finetune", frames, "--foundation", "demo", "--replay", frames / "replay.extxyz"),
        *("--max-epochs", 12, "--batch-size", 4, "--lr", 0.004, "--ema-decay", 0.9),
        *("--name", "tiny", "--output", tmp_path / "out", "--json"),
    )
    found = json.loads(done.stdout)
    assert found["heads"] == ["pt_head", "pbe_d3"]
    errors = {e["part"]: e for e in found["errors"]}
    before, after = (errors["test"][key]["forces"]["rmse"] for key in ("before", "after"))
    assert after < before / 2
    assert "not for science" in found["notice"]
    sha256 = found["model"].removeprefix("sha256:")
    assert file_sha256(tmp_path / "out" / "tiny.model") == sha256
    assert (tmp_path / "out" / "figures" / "tiny-learning-curves.png").stat().st_size > 10_000
    card = (tmp_path / "out" / "tiny.md").read_text()
    assert "fine-tuned from: distilled demo model, not for science" in card

    again = here(
        *("finetune", frames, "--foundation", "demo", "--replay", frames / "replay.extxyz"),
        *("--max-epochs", 12, "--batch-size", 4, "--lr", 0.004, "--ema-decay", 0.9),
        *("--name", "tiny", "--output", tmp_path / "out"),
    )
    assert "already computed" in again.stderr

    listed = json.loads(here("model", "list", "--json").stdout)
    assert [row["name"] for row in listed] == ["tiny"]
    here("model", "export", "tiny", "--output", tmp_path / "exported")
    assert file_sha256(tmp_path / "exported" / "tiny.model") == sha256
    assert "# tiny" in here("model", "card", sha256[:10]).stdout

    common = (
        "phonons",
        STRUCTURE,
        "--supercell",
        "1 1 1",
        "--mesh",
        "2",
        "--no-relax",
        "--json",
    )
    foundation = here(*common, "--model", "demo", "--output", tmp_path / "foundation")
    # from the store, into a folder that has no models yet
    new = mofonon(
        *(*common, "--model", found["model"], "--head", "pbe_d3", "--output", tmp_path / "new"),
        MOFONON_MODELS=str(tmp_path / "other"),
    )
    rmsd = {
        name: frequencies(tmp_path / "store", json.loads(done.stdout)["document_id"])
        for name, done in (("foundation", foundation), ("new", new))
    }
    wanted = FACTOR**0.5 * rmsd["foundation"]
    distance = {n: float(np.sqrt(np.mean((f - wanted) ** 2))) for n, f in rmsd.items()}
    assert distance["new"] < 0.5 * distance["foundation"]
    assert [path.name for path in (tmp_path / "other").glob("*.model")] == [f"{sha256}.model"]


def test_evaluation_by_the_command(mofonon, tmp_path):
    frames = write_dataset(tmp_path / "frames")
    done = mofonon(
        *("evaluate", "demo+none", "d3=demo", "--frames", f"train={frames}/train.extxyz"),
        *("--frames", f"test={frames}/test.extxyz", "--output", tmp_path / "out"),
        *("--speed-frames", "1", "--json"),
    )
    found = json.loads(done.stdout)
    assert found["sets"] == {"train": 12, "test": 4}
    assert len(found["evaluations"]) == 4
    assert found["speed"][-1]["potential"] == "D3(BJ) alone"
    assert all(Path(path).is_file() for path in found["figures"])
    table = here(
        *("evaluate", "demo+none", "d3=demo", "--frames", f"train={frames}/train.extxyz"),
        *("--frames", f"test={frames}/test.extxyz", "--output", tmp_path / "out"),
        *("--speed-frames", "1", "--by", "element"),
    )
    assert "already computed" in table.stderr
    assert "Zn" in table.stdout


def test_a_dry_run_prints_the_options_of_mace(tmp_path):
    frames = write_dataset(tmp_path / "frames")
    arguments = ("finetune", frames, "--foundation", "demo", "--dry-run")
    arguments += ("--replay", frames / "replay.extxyz", "--batch-size", 2)
    plain = here(*arguments).stdout
    assert "force_mh_ft_lr: true" in plain
    assert "mofonon.training.mace_cli" in plain


def test_bad_data_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "train.extxyz").write_text("nonsense")
    (tmp_path / "valid.extxyz").write_text("nonsense")
    arguments = ["finetune", str(tmp_path), "--mode", "naive", "--foundation", "demo"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert isinstance(done.exception, TrainingDataError)
    assert "cannot be read as labelled frames" in str(done.exception)
    assert "remedy: " in str(done.exception)
