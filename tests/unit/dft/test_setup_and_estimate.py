"""Set-up problems and cost, before anything is submitted."""

import pymatgen.core
import pytest
from pymatgen.core import Structure

from mofonon.dft.estimate import calculation_size, default_bands, fft_points, plane_waves
from mofonon.dft.flows import LabelMaker
from mofonon.dft.potcars import POTCAR_SYMBOLS, electrons, potcar_problems, valence_electrons
from mofonon.dft.setup import command_problem, setup_problems
from mofonon.errors import PotcarError
from mofonon.structures import read_structure
from standin.potcars import write_potcars


@pytest.fixture
def potcars(tmp_path, monkeypatch):
    monkeypatch.setitem(pymatgen.core.SETTINGS, "PMG_VASP_PSP_DIR", str(tmp_path))
    return write_potcars(tmp_path) / "POT_GGA_PAW_PBE_54"


def test_all_elements_of_the_materials_project_are_in_release_54(potcars):
    assert potcar_problems(POTCAR_SYMBOLS) == []
    assert (POTCAR_SYMBOLS["W"], POTCAR_SYMBOLS["Yb"]) == ("W_sv", "Yb_3")


def test_valence_electrons_against_vasps_manual():
    known = {"H": 1, "C": 4, "N": 5, "O": 6, "Zn": 12, "Zr_sv": 12, "Cu_pv": 17, "Al": 3,
             "Mg_pv": 8, "Ti_pv": 10}  # fmt: skip
    assert {symbol: valence_electrons(symbol) for symbol in known} == known


def test_electrons_of_mof_5(reference_dir):
    structure = read_structure(reference_dir / "curated-127" / "MOF-5.cif")
    # Zn8 O26 C48 H24
    assert electrons(structure) == 8 * 12 + 26 * 6 + 48 * 4 + 24


def test_missing_wrong_and_broken_potcars(potcars):
    (potcars / "POTCAR.Zn").unlink()
    (potcars / "POTCAR.N").write_text((potcars / "POTCAR.O").read_text())
    (potcars / "POTCAR.C").write_text("not a POTCAR")
    found = {problem.element: problem for problem in potcar_problems(["Zn", "N", "C", "O"])}
    assert set(found) == {"Zn", "N", "C"}
    assert "POTCAR Zn of Zn is not there" in found["Zn"].message
    assert "is of O with 6 valence electrons, not of N with 5" in found["N"].message
    assert "cannot be read" in found["C"].message
    assert all(problem.remedy for problem in found.values())


def test_an_element_without_a_potcar(potcars):
    (problem,) = potcar_problems(["Po", "O"])
    assert "Po has no POTCAR in the PAW PBE 54 choice" in problem.message
    structure = Structure([[4, 0, 0], [0, 4, 0], [0, 0, 4]], ["Po"], [[0, 0, 0]])
    with pytest.raises(PotcarError, match="Po has no POTCAR"):
        electrons(structure)


def test_no_folder_of_potcars_is_one_problem(monkeypatch):
    monkeypatch.setitem(pymatgen.core.SETTINGS, "PMG_VASP_PSP_DIR", None)
    (problem,) = setup_problems(["C", "Zn"], gamma=False, std=False)
    assert problem.message == "no POTCAR of C, Zn: PMG_VASP_PSP_DIR is not set"


@pytest.mark.parametrize(
    ("command", "missing"),
    [("python3 sh", None), ("srun-none -n 4 sh", "srun-none"), ("sh vasp_none", "vasp_none"),
     ("", "(empty)")],
)  # fmt: skip
def test_commands(command, missing):
    problem = command_problem(command, "ATOMATE2_VASP_CMD")
    assert (problem is None) == (missing is None)
    if problem is not None:
        assert f"no program {missing} for ATOMATE2_VASP_CMD" in problem.message


def test_plane_waves_against_counting():
    """Reciprocal lattice vectors with h^2 (2 pi G)^2 / 2m below the cutoff, one by one."""
    import numpy as np

    length, cutoff = 9.0, 520.0
    n = np.arange(-40, 41)
    squares = n[:, None, None] ** 2 + n[None, :, None] ** 2 + n[None, None, :] ** 2
    counted = int((3.80998212 * (2 * np.pi / length) ** 2 * squares < cutoff).sum())
    assert plane_waves(length**3, cutoff) == pytest.approx(counted, rel=0.01)


def test_fft_points_and_bands_against_pymatgen(potcars, reference_dir):
    from mofonon.dft.sets import MofStaticSetGenerator

    structure = read_structure(reference_dir / "curated-127" / "MOF-5.cif")
    generator = MofStaticSetGenerator(structure)
    grid, _ = generator.calculate_ng()
    # its grid is for the cell's edges; the cell is rhombohedral with faces closer together
    assert fft_points(structure.volume, 520) < grid[0] * grid[1] * grid[2]
    assert default_bands(468, 106, 0) == generator.estimate_nbands()


def test_cost_grows_as_it_should(reference_dir):
    structure = read_structure(reference_dir / "curated-127" / "MIL-53.cif")
    maker = LabelMaker()
    parts = {"relax": maker.relax_maker, "eos": maker.eos_maker, "static": None}
    one = calculation_size(structure, "MIL-53", **parts)
    assert (one.mesh, one.n_kpoints, one.gamma_only, one.spin) == ((3, 2, 2), 8, False, False)
    assert one.n_electrons == 140
    assert one.total_core_hours == one.core_hours["relax"] + one.core_hours["eos"]
    double = structure.copy()
    double.make_supercell([2, 2, 2])
    eight = calculation_size(double, "MIL-53", **parts)
    assert eight.gamma_only or eight.n_kpoints < one.n_kpoints
    per_point = one.core_hours["relax"] / one.n_kpoints
    # between quadratic and cubic in the size, and half at Gamma
    ratio = eight.core_hours["relax"] / eight.n_kpoints / per_point
    assert 8**2 / 2 < ratio < 8**3
    assert eight.n_plane_waves == pytest.approx(8 * one.n_plane_waves, rel=1e-3)
