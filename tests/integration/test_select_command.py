"""``mofonon select``, ``coverage`` and ``dataset`` as a user runs them."""

import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from mofonon.cli import main
from mofonon.dataset.extxyz import write_extxyz
from mofonon.dft.schemas import LabelFrame

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path, monkeypatch, capfd):
    """Run the command in this process, where importing costs nothing the second time."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, check: bool = True):
        monkeypatch.setattr(sys, "argv", ["mofonon", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capfd.readouterr()
        assert code == 0 or not check, err
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return run


def write_cifs(folder: Path, lengths, anion: str = "O") -> Path:
    folder.mkdir()
    for number, a in enumerate(lengths):
        kind = ("rocksalt", "zincblende", "cesiumchloride")[number % 3]
        atoms = bulk(f"Zn{anion}", kind, a=a if number % 3 < 2 else 0.63 * a)
        atoms.rattle(0.01 * number, seed=number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CifWriter(AseAtomsAdaptor.get_structure(atoms)).write_file(
                folder / f"s{number}.cif"
            )
    return folder


@pytest.fixture
def collection(tmp_path):
    folder = write_cifs(tmp_path / "cifs", np.linspace(4.2, 5.0, 12))
    (folder / "bad.cif").write_bytes(b"data_bad\n_cell_length_a 1\n")
    return folder


DENSE = ("--min-pore", "0", "--allow", "isolated-molecules", "--allow", "no-framework")


def test_select_and_coverage(here, mofonon, collection, tmp_path):
    out = tmp_path / "set"
    arguments = ("select", collection, "--number", "6", *DENSE, "--output", out, "--json")
    summary = json.loads(here(*arguments).stdout)
    assert summary["n_files"] == 13
    assert summary["n_accepted"] == 12
    assert len(summary["chosen"]) == 6
    assert "not for science" in summary["notice"]
    page = (out / "selection.html").read_text()
    assert "not for science" in page
    assert "bad.cif" in page
    manifest = (out / "manifest.yaml").read_bytes()
    assert {path.stem for path in (out / "structures").iterdir()} == set(summary["chosen"])

    # again, in other processes and from nothing: the same manifest, byte for byte
    other = tmp_path / "other"
    mofonon(*arguments[:-2], other, "--json", "--processes", "2",
            MOFONON_CHECKPOINTS=str(tmp_path / "fresh"))  # fmt: skip
    assert (other / "manifest.yaml").read_bytes() == manifest

    # the same set from the manifest; a changed file is found
    again = tmp_path / "again"
    here("select", collection, "--manifest", out / "manifest.yaml", "--output", again)
    assert len(list((again / "structures").iterdir())) == 6
    (collection / f"{summary['chosen'][0]}.cif").write_text("data_other\n")
    failed = here(
        "select",
        collection,
        "--manifest",
        out / "manifest.yaml",
        "--output",
        again,
        check=False,
    )
    assert failed.returncode == 1
    assert "hash differs" in failed.stderr

    new = write_cifs(tmp_path / "new", [4.4, 4.5], anion="N")
    here("coverage", new, "--against", out / "manifest.yaml", "--output", tmp_path / "cov")
    report = json.loads((tmp_path / "cov" / "coverage.json").read_text())
    assert report["new_elements"] == ["N"]
    assert report["n_outside"] == 2


def test_a_wrong_option_is_an_error_with_its_name(mofonon, collection):
    failed = mofonon("select", collection, "--max-atoms", "0", check=False)
    assert failed.returncode == 1
    assert "--max-atoms" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_dataset(here, tmp_path):
    generator = np.random.default_rng(0)
    frames = []
    for name, a in (("rocksalt", 4.3), ("zincblende", 4.6), ("cesiumchloride", 2.7)):
        for step in range(8):
            atoms = bulk("ZnO", name, a=a)
            atoms.rattle(0.02, seed=step)
            frames.append(
                LabelFrame.from_arrays(
                    atoms, generator.normal(-9, 0.1), generator.normal(0, 1, (2, 3)),
                    mof_id=name, origin="md", step=step,
                )
            )  # fmt: skip
    write_extxyz(tmp_path / "all.xyz", frames)
    write_extxyz(tmp_path / "fewer.xyz", frames[2:])
    build = ("dataset", "build", tmp_path / "all.xyz", "--name", "oxides", "--json")
    first = json.loads(here(*build).stdout)
    assert first["n_frames"] == 24
    assert first["leaks"]["by-mof"]["n_same_mof"] == 0
    second = json.loads(here(*build).stdout)
    assert second["reused"]
    assert second["document_id"] == first["document_id"]

    assert "oxides" in here("dataset", "show").stdout
    assert "Elements" in here("dataset", "show", "oxides").stdout
    here("dataset", "export", "oxides", "--split", "by-mof", "--output", tmp_path / "files")
    assert (tmp_path / "files" / "train.xyz").stat().st_size > 0
    here("dataset", "build", tmp_path / "fewer.xyz", "--name", "less")
    found = json.loads(here("dataset", "diff", "oxides", "less", "--json").stdout)
    assert (found["n_common"], found["n_only_first"]) == (22, 2)

    missing = here("dataset", "show", "nothing", check=False)
    assert missing.returncode == 1
    assert "no dataset" in missing.stderr
