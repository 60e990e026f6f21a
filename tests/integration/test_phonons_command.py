"""``mofonon phonons`` in processes of its own: results, restarts, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from integration.conftest import command_environment
from mofonon.lattice.schemas import PhononDoc
from mofonon.store import get_document, open_store

_EMT = ("--model", "support.calculators:CountedEMT")
_QUICK = ("--mesh", "5", "5", "5", "--dos-pitch", "0.05", "--temperature-step", "100")


def _alloy() -> Atoms:
    atoms = bulk("Cu", "fcc", a=3.75, cubic=True)
    atoms.symbols[0] = "Au"
    return atoms


@pytest.fixture
def alloy_cif(tmp_path: Path) -> Path:
    path = tmp_path / "AuCu3.cif"
    write(path, _alloy())
    return path


def _document(document_id: str) -> PhononDoc:
    return PhononDoc.model_validate(get_document(open_store(), document_id, with_arrays=True))


def test_the_json_summary_and_the_document(mofonon, alloy_cif, tmp_path):
    done = mofonon("phonons", alloy_cif, *_EMT, *_QUICK, "--json")
    summary = json.loads(done.stdout)
    assert summary["formula"] in ("Cu3Au1", "Au1Cu3")
    assert summary["n_atoms"] == 4
    assert summary["space_group"] == {"before": "Pm-3m", "after": "Pm-3m"}
    assert summary["lattice"]["before"]["a"] == pytest.approx(3.75)
    assert summary["lattice"]["after"]["alpha"] == pytest.approx(90, abs=1e-6)
    assert summary["fmax"] < 1e-6
    assert not summary["has_imaginary_modes"]
    assert np.abs(summary["gamma_acoustic"]).max() < 1e-4
    assert len(summary["temperatures"]) == len(summary["entropies"]) == 11
    assert summary["free_energies"][0] == summary["zero_point_energy"]
    assert summary["units"]["free_energies"] == "kJ/mol of cell"
    assert summary["potential"]["family"] == "ase"
    assert Path(summary["page"]).is_file()
    assert {Path(figure).name for figure in summary["figures"]} == {
        "AuCu3-bands-dos.png",
        "AuCu3-thermal.png",
    }
    assert "displacements" in done.stderr
    doc = _document(summary["document_id"])
    assert doc.n_force_evaluations == summary["n_force_evaluations"]
    assert doc.n_displacements == summary["n_displacements"]


def test_it_agrees_with_phonopy_by_hand(mofonon, alloy_cif):
    paper = ("--displacement", "0.001", "--plus-minus", "auto")
    done = mofonon("phonons", alloy_cif, *_EMT, *_QUICK, *paper, "--json")
    summary = json.loads(done.stdout)
    doc = _document(summary["document_id"])
    relaxed = doc.structure.to_ase_atoms()
    phonon = Phonopy(
        PhonopyAtoms(
            symbols=relaxed.get_chemical_symbols(),
            cell=relaxed.cell.array,
            scaled_positions=relaxed.get_scaled_positions(),
        ),
        np.diag([2, 2, 2]),
        primitive_matrix="P",
    )
    phonon.generate_displacements(distance=0.001)
    forces = []
    for cell in phonon.supercells_with_displacements:
        system = Atoms(cell.symbols, cell=cell.cell, positions=cell.positions, pbc=True)
        system.calc = EMT()
        forces.append(system.get_forces())
    phonon.forces = np.array(forces)
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    theirs = phonon.run_mesh([5, 5, 5])
    assert np.abs(doc.arrays.frequencies.decode() - theirs.frequencies).max() < 1e-6
    thermal = phonon.run_thermal_properties(t_step=100, exclude_gamma_acoustic=True)
    assert np.allclose(summary["free_energies"], thermal.free_energy, rtol=1e-8)
    assert np.allclose(summary["heat_capacities"], thermal.heat_capacity, rtol=1e-8)


def test_the_same_command_again_computes_nothing(mofonon, alloy_cif, tmp_path):
    count = tmp_path / "count"
    arguments = ("phonons", alloy_cif, *_EMT, *_QUICK, "--json")
    first = json.loads(mofonon(*arguments, COUNT_EVALUATIONS=str(count)).stdout)
    made = len(count.read_text().splitlines())
    assert made == first["n_force_evaluations"]
    again = json.loads(mofonon(*arguments, COUNT_EVALUATIONS=str(count)).stdout)
    assert again["document_id"] == first["document_id"]
    assert again["reused"]
    assert len(count.read_text().splitlines()) == made
    other_mesh = json.loads(
        mofonon(*arguments, "--mesh", "3", COUNT_EVALUATIONS=str(count)).stdout
    )
    assert other_mesh["document_id"] != first["document_id"]
    assert len(count.read_text().splitlines()) == made
    afresh = json.loads(mofonon(*arguments, "--rerun", COUNT_EVALUATIONS=str(count)).stdout)
    assert afresh["document_id"] != first["document_id"]
    assert len(count.read_text().splitlines()) == 2 * made
    assert afresh["free_energies"] == first["free_energies"]


@pytest.mark.slow
def test_kill_9_in_the_middle_of_the_displacements(mofonon, tmp_path):
    """Only what is missing is computed, and the result is the same to the last digit."""
    atoms = _alloy()
    atoms.rattle(0.01, seed=0)
    path = tmp_path / "rattled.json"
    from pymatgen.io.ase import AseAtomsAdaptor

    AseAtomsAdaptor.get_structure(atoms).to(path)
    arguments = ("phonons", str(path), *_EMT, *_QUICK, "--no-relax", "--json")
    count = tmp_path / "count"
    command = [sys.executable, "-c", "from mofonon.cli import main; main()", *arguments]
    environment = command_environment(
        COUNT_EVALUATIONS=str(count), SECONDS_PER_EVALUATION="0.2"
    )
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        deadline = time.time() + 120
        while not (count.exists() and len(count.read_text().splitlines()) >= 5):
            assert time.time() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done_before = len(count.read_text().splitlines())
    resumed = json.loads(mofonon(*arguments, COUNT_EVALUATIONS=str(count)).stdout)
    total = resumed["n_force_evaluations"]
    assert total >= resumed["n_displacements"] == 12
    in_all = len(count.read_text().splitlines())
    # the evaluation under way when it was killed may have been counted but not recorded
    assert total <= in_all <= total + 1
    assert done_before < total
    whole = json.loads(mofonon(*arguments, "--rerun").stdout)
    assert resumed["free_energies"] == whole["free_energies"]
    ours, theirs = _document(resumed["document_id"]), _document(whole["document_id"])
    assert ours.arrays.force_constants == theirs.arrays.force_constants
    assert ours.arrays.frequencies == theirs.arrays.frequencies


def test_several_files_and_one_that_fails(mofonon, alloy_cif, tmp_path):
    bad = tmp_path / "empty.cif"
    bad.write_text("")
    done = mofonon("phonons", alloy_cif, bad, *_EMT, *_QUICK, "--json", check=False)
    assert done.returncode == 1
    good, failed = json.loads(done.stdout)
    assert good["state"] == "successful"
    assert failed["state"] == "failed"
    assert failed["error"] == "StructureReadError"
    assert Path(good["page"]).is_file()


def _two_atoms(path: Path, distance: float) -> None:
    cell = Atoms("Cu2", cell=[6, 6, 6], positions=[[0, 0, 0], [distance, 0, 0]], pbc=True)
    write(path, cell)


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        (lambda p: p.write_text(""), (), "is empty"),
        (lambda p: _two_atoms(p, 0.3), (), "0.300"),
        (lambda p: write(p, bulk("Na", "bcc", a=4.2)), ("--model", "demo"), "does not know Na"),
        (
            lambda p: write(p, _alloy()),
            ("--supercell", "0"),
            "a supercell of 0 has no positive",
        ),
        (
            lambda p: write(p, _alloy()),
            ("--supercell", "0", "2", "2"),
            "the supercell 0 x 2 x 2",
        ),
        (lambda p: write(p, _alloy()), ("--mesh", "0"), "a mesh of 0 x 0 x 0 has no points"),
        (
            lambda p: write(p, _alloy()),
            ("--store", "/proc/none"),
            "the store /proc/none cannot",
        ),
        (
            lambda p: write(p, _alloy()),
            ("--model", "no.model"),
            "there is no model file no.model",
        ),
        (lambda p: write(p, _alloy()), ("--fmax", "1e-9", "--max-steps", "1"), "fmax is"),
        (
            lambda p: write(p, _alloy()),
            ("--displacement", "-1"),
            "--displacement: Input should be",
        ),
        (lambda p: write(p, _alloy()), ("--fmax", "-1"), "--fmax: Input should be"),
        (
            lambda p: write(p, _alloy()),
            ("--from-phonopy", "none.yaml"),
            "there is no file none.yaml",
        ),
    ],
)
def test_bad_input_is_an_error_with_a_remedy(mofonon, tmp_path, prepare, arguments, message):
    path = tmp_path / "structure.cif"
    prepare(path)
    model = () if "--model" in arguments else _EMT
    done = mofonon("phonons", path, *model, *arguments, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "remedy: " in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_output_folder_that_cannot_be_written_loses_nothing(mofonon, alloy_cif, tmp_path):
    (tmp_path / "taken").write_text("a file")
    arguments = ("phonons", alloy_cif, *_EMT, *_QUICK, "--json")
    done = mofonon(*arguments, "--output", tmp_path / "taken", check=False)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "the documents are in the store" in done.stderr
    assert "Traceback" not in done.stderr
    count = tmp_path / "count"
    again = json.loads(mofonon(*arguments, COUNT_EVALUATIONS=str(count)).stdout)
    assert again["reused"]
    assert not count.exists()


def test_a_store_that_fails_while_writing_loses_no_evaluation(mofonon, alloy_cif, tmp_path):
    """The database is locked by another process for longer than SQLite waits."""
    import sqlite3

    count = tmp_path / "count"
    arguments = ("phonons", alloy_cif, *_EMT, *_QUICK, "--json")
    mofonon("query")  # makes the store
    mofonon(*arguments, "--mesh", "3", COUNT_EVALUATIONS=str(count))
    made = len(count.read_text().splitlines())
    databases = list((tmp_path / "store").rglob("*.collection"))
    assert databases
    locks = [sqlite3.connect(path) for path in databases]
    for lock in locks:
        lock.execute("BEGIN EXCLUSIVE")
    done = mofonon(*arguments, COUNT_EVALUATIONS=str(count), check=False)
    for lock in locks:
        lock.rollback()
        lock.close()
    assert done.returncode == 1
    assert "remedy: " in done.stderr
    assert "Traceback" not in done.stderr
    mofonon(*arguments, COUNT_EVALUATIONS=str(count))
    assert len(count.read_text().splitlines()) == made


def test_partial_occupancy_is_refused(mofonon, tmp_path):
    path = tmp_path / "half.cif"
    path.write_text("""data_half
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cu1 Cu 0 0 0 0.5
Cu2 Cu 0.5 0.5 0.5 1.0
""")
    done = mofonon("phonons", path, *_EMT, check=False)
    assert done.returncode == 1
    assert "occupan" in done.stderr
    assert "remedy: " in done.stderr


def test_a_yaml_file_gives_options_and_the_command_line_wins(mofonon, alloy_cif, tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text(
        f"files: [{alloy_cif}]\nmodel: support.calculators:CountedEMT\nmesh: [3, 3, 3]\n"
        "dos_pitch: 0.1\nsupercell: 8.0\ntemperature-step: 100\n"
    )
    done = mofonon("phonons", "--config", config, "--dos-pitch", "0.2", "--json")
    doc = _document(json.loads(done.stdout)["document_id"])
    assert doc.settings.mesh == (3, 3, 3)
    assert doc.settings.dos_pitch == 0.2
    assert doc.supercell_matrix == [[3, 0, 0], [0, 3, 0], [0, 0, 3]]
    config.write_text("mehs: [3, 3, 3]\n")
    done = mofonon("phonons", "--config", config, check=False)
    assert done.returncode == 1
    assert "has unknown options: mehs" in done.stderr


def test_query_and_show_find_it(mofonon, alloy_cif):
    summary = json.loads(mofonon("phonons", alloy_cif, *_EMT, *_QUICK, "--json").stdout)
    rows = json.loads(
        mofonon("query", "formula = Cu3Au", "min_frequency > 0", "-f", "json").stdout
    )
    assert [row["document_id"] for row in rows] == [summary["document_id"]]
    assert json.loads(mofonon("query", "min_frequency < 0", "-f", "json").stdout) == []
    csv = mofonon(
        "query", "--columns", "formula,zero_point_energy", "-f", "csv"
    ).stdout.splitlines()
    assert csv[0] == "formula_pretty,thermal.zero_point_energy"
    assert float(csv[1].split(",")[1]) == summary["zero_point_energy"]
    shown = json.loads(mofonon("show", summary["document_id"][:10], "--json").stdout)
    assert shown["thermal"]["free_energies"] == summary["free_energies"]
    assert shown["arrays"]["force_constants"] == "in the data store"
    assert "lowest frequency (THz)" in mofonon("query", COLUMNS="250").stdout


def test_doctor(mofonon):
    from mofonon.cli.doctor import CHECKS

    everything = mofonon("doctor")
    assert [line.split()[1] for line in everything.stdout.splitlines()] == list(CHECKS)
    assert mofonon("doctor", "demo", "store", "d3bj").returncode == 0
    missing = mofonon("doctor", "potcars", check=False, PMG_VASP_PSP_DIR="/nowhere")
    assert missing.returncode == 1
    assert "pmg config -p" in missing.stdout
    assert mofonon("doctor", "nonsense", check=False).returncode == 1


def test_help_is_quick(mofonon):
    """The command does not load torch to print its help."""
    code = (
        "import sys; from mofonon.cli import app\n"
        "try: app(['phonons', '--help'])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules, 'heavy imports'"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env=command_environment()
    )
