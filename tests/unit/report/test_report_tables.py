"""Data files: what they hold is what the document holds."""

import csv

import numpy as np
import pytest
from pymatgen.core import Structure

from mofonon.errors import SettingsError
from mofonon.report import write_data, write_report
from mofonon.report.write import file_stems


def read(path) -> tuple[list[str], list[list[str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    return header, rows


@pytest.fixture
def files(stable, tmp_path):
    return {path.name: path for path in write_data(stable, tmp_path / "data", "CuAu")}


def test_density(stable, files):
    header, rows = read(files["CuAu-dos.csv"])
    unit = "states_per_THz_per_cell"
    assert header == ["frequency_THz", f"total_{unit}", f"Cu_{unit}", f"Au_{unit}"]
    values = np.array(rows, float)
    arrays = stable.arrays
    np.testing.assert_allclose(values[:, 0], arrays.dos_frequencies.decode(), atol=1e-6)
    np.testing.assert_allclose(values[:, 1], arrays.dos_total.decode(), atol=1e-6)
    np.testing.assert_allclose(values[:, 2:].T, arrays.dos_by_element.decode(), atol=1e-6)


def test_thermal(stable, files):
    header, rows = read(files["CuAu-thermal.csv"])
    assert header == [
        "temperature_K",
        "free_energy_kJ_per_mol",
        "entropy_J_per_K_mol",
        "heat_capacity_J_per_K_mol",
    ]
    thermal = stable.thermal
    expected = [
        thermal.temperatures,
        thermal.free_energies,
        thermal.entropies,
        thermal.heat_capacities,
    ]
    np.testing.assert_allclose(np.array(rows, float).T, expected, rtol=1e-9)


def test_bands(stable, files):
    header, rows = read(files["CuAu-bands.csv"])
    assert header[:7] == [
        "segment",
        "label",
        "distance_per_A",
        "q_a",
        "q_b",
        "q_c",
        "band_1_THz",
    ]
    assert header[-1] == "band_6_THz"
    numbers = np.array([row[2:] for row in rows], float)
    arrays = stable.arrays
    np.testing.assert_allclose(numbers[:, 0], arrays.band_distances.decode(), atol=1e-6)
    np.testing.assert_allclose(numbers[:, 1:4], arrays.band_qpoints.decode(), atol=1e-6)
    np.testing.assert_allclose(numbers[:, 4:], arrays.band_frequencies.decode(), atol=1e-6)
    ends = [row[1] for row in rows if row[1]]
    assert ends == [name for pair in stable.band_labels for name in pair]
    lengths = [
        sum(row[0] == str(i + 1) for row in rows) for i in range(len(stable.band_labels))
    ]
    assert lengths == stable.band_segment_lengths


def test_density_in_the_format_of_phonopy(stable, files, tmp_path):
    from phonopy.phonon.dos import write_total_dos

    arrays = stable.arrays
    frequencies, total = arrays.dos_frequencies.decode(), arrays.dos_total.decode()
    write_total_dos(frequencies, total, comment="x", filename=tmp_path / "theirs.dat")
    theirs = (tmp_path / "theirs.dat").read_text().splitlines()[1:]
    assert files["CuAu-total_dos.dat"].read_text().splitlines()[1:] == theirs


def test_structure(stable, files):
    text = files["CuAu-relaxed.cif"].read_text(encoding="utf-8")
    assert "'P 1'" in text
    structure = Structure.from_str(text, fmt="cif")
    assert structure.matches(stable.structure)
    np.testing.assert_allclose(structure.lattice.abc, stable.structure.lattice.abc, atol=1e-7)
    assert len(structure) == len(stable.structure)


def test_a_stand_in_is_named_in_the_first_line_of_every_file(stand_in, tmp_path):
    for path in write_data(stand_in, tmp_path, "demo"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0] == f"# {stand_in.notice}"
    assert np.loadtxt(tmp_path / "demo-total_dos.dat").shape[1] == 2
    table = np.loadtxt(tmp_path / "demo-thermal.csv", delimiter=",", skiprows=2)
    np.testing.assert_allclose(table[:, 3], stand_in.thermal.heat_capacities, rtol=1e-9)
    assert Structure.from_file(tmp_path / "demo-relaxed.cif").matches(stand_in.structure)


def test_modes_left_out_are_named_with_thermal_properties(unstable, tmp_path):
    assert unstable.thermal.n_modes_left_out > 0
    files = {path.name: path for path in write_data(unstable, tmp_path, "b2")}
    first = files["b2-thermal.csv"].read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# {unstable.thermal.n_modes_left_out} imaginary mode")
    assert not files["b2-dos.csv"].read_text(encoding="utf-8").startswith("#")


def test_a_notice_cannot_add_lines(stable, tmp_path):
    doc = stable.model_copy(update={"notice": "one\n_cell_length_a 9"})
    path = next(p for p in write_data(doc, tmp_path, "x") if p.suffix == ".cif")
    assert path.read_text(encoding="utf-8").startswith("# one _cell_length_a 9\n")


def test_report_writes_page_figures_and_data(stable, unstable, tmp_path):
    page = write_report([stable, unstable], tmp_path / "report", document_ids=["a", "b"])
    assert page == tmp_path / "report" / "page.html"
    found = {str(path.relative_to(tmp_path / "report")) for path in page.parent.rglob("*.*")}
    for stem in ("CuAu", "CuAu-2"):
        assert f"figures/{stem}-bands-dos.png" in found
        assert f"data/{stem}-relaxed.cif" in found
    assert len(found) == 1 + 2 * 2 + 2 * 5


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["MOF-5", "MOF-5"], ["MOF-5", "MOF-5-2"]),
        (["a", "A"], ["a", "A-2"]),
        (["x", "x-2", "x"], ["x", "x-2", "x-3"]),
        (["x-2", "x", "x"], ["x-2", "x", "x-3"]),
        (["Zn(CN)2", "../../etc/passwd"], ["Zn-CN-2", "etc-passwd"]),
        (["", "..."], ["structure", "structure-2"]),
    ],
)
def test_file_names_are_safe_and_distinct(stable, names, stems):
    assert file_stems([stable] * len(names), names) == stems


def test_names_must_agree_with_documents(stable):
    with pytest.raises(SettingsError, match="1 documents but 2 names"):
        file_stems([stable], ["a", "b"])
