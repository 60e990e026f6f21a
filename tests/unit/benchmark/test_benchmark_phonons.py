"""Phonons against a reference: the paper's files, and force constants in any setting."""

import json
import lzma

import numpy as np
import pytest
from ase import Atoms
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from mofonon.benchmark.inputs import Source
from mofonon.benchmark.modes import compare_modes, sorted_deviations
from mofonon.benchmark.phonon_files import BandLines, Spectrum, ThermalCurves, read_phonon_file
from mofonon.benchmark.phonons import PhononOptions, compare_phonons, merge, read_phonons
from mofonon.cli import app
from mofonon.errors import ComparisonError
from mofonon.lattice.settings import PhononSettings


def _springs(cell, symbols, fractional, strength, *, supercell=(2, 2, 2)):
    """Phonons of atoms bound to all neighbours within 3.5 A by springs (eV/A^2)."""
    phonon = Phonopy(
        PhonopyAtoms(symbols=symbols, cell=cell, scaled_positions=fractional),
        np.diag(supercell),
        primitive_matrix="P",
    )
    big = phonon.supercell
    atoms = Atoms(big.symbols, cell=big.cell, scaled_positions=big.scaled_positions, pbc=True)
    from ase.neighborlist import neighbor_list

    force_constants = np.zeros((len(big), len(big), 3, 3))
    for i, j, vector in zip(*neighbor_list("ijD", atoms, 3.5), strict=True):
        unit = vector / np.linalg.norm(vector)
        block = strength / np.linalg.norm(vector) ** 2 * np.outer(unit, unit)
        force_constants[i, j] -= block
        force_constants[i, i] += block
    phonon.force_constants = force_constants
    return phonon


@pytest.fixture
def triclinic():
    rng = np.random.default_rng(2)
    cell = np.array([[4.9, 0.1, 0.3], [0.7, 5.3, 0.2], [-0.4, 0.9, 5.7]])
    fractional = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return cell, ["Zn", "C", "N", "C"], fractional + rng.uniform(-0.04, 0.04, (4, 3))


def test_modes_do_not_depend_on_the_setting(triclinic):
    cell, symbols, fractional = triclinic
    reference = _springs(cell, symbols, fractional, 20.0)
    basis = np.array([[0, 1, 0], [1, 1, 0], [0, 0, -1]])
    rotation = Rotation.random(random_state=4).as_matrix()
    order = [2, 3, 0, 1]
    moved = np.linalg.solve(basis.T, (fractional + np.array([0.31, 0.17, 0.44])).T).T[order] % 1
    other = _springs(
        basis @ cell @ rotation.T,
        [symbols[i] for i in order],
        moved,
        20.0 * 1.1**2,
        # the same supercell of the crystal: 2 x 2 x 2 of any basis
    )
    mesh, gamma = compare_modes(reference, other, (3, 3, 3))
    assert mesh.n_weights == 27
    assert mesh.n_qpoints == 14  # P1: time reversal alone
    assert mesh.mean_overlap == pytest.approx(1, abs=1e-8)
    assert mesh.rmsd_matched == pytest.approx(mesh.rmsd_sorted, abs=1e-6)
    # frequencies grow by the root of the strength
    frequencies = reference.get_frequencies((0, 0, 0))
    assert gamma.rmsd_sorted == pytest.approx(0.1 * np.sqrt(np.mean(frequencies**2)), rel=1e-5)


def test_exchanged_bands_are_seen_by_their_overlap(triclinic):
    """Other masses of the same springs: sorting hides what the eigenvectors show."""
    cell, symbols, fractional = triclinic
    reference = _springs(cell, symbols, fractional, 20.0)
    same, _ = compare_modes(reference, reference, (2, 2, 2))
    assert (same.rmsd_sorted, same.rmsd_matched) == (0, 0)
    heavier = _springs(cell, symbols, fractional, 20.0)
    heavier.masses = [12.0, 12.0, 14.0, 65.0]
    mesh, _ = compare_modes(reference, heavier, (2, 2, 2))
    assert mesh.rmsd_matched > 1.2 * mesh.rmsd_sorted
    assert mesh.mean_overlap < 0.9


def test_cells_of_different_size_are_refused(triclinic):
    cell, symbols, fractional = triclinic
    reference = _springs(cell, symbols, fractional, 20.0)
    doubled = _springs(
        np.diag([2, 1, 1]) @ cell,
        [s for s in symbols for _ in range(2)],
        np.array([[(f[0] + n) / 2, f[1], f[2]] for f in fractional for n in range(2)]),
        20.0,
        supercell=(1, 2, 2),
    )
    with pytest.raises(ComparisonError, match="4 and 8 atoms"):
        compare_modes(reference, doubled, (2, 2, 2))


def test_sorted_deviations_by_hand():
    found = sorted_deviations(
        np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.5, 1.0], [3.0, 4.0]]), np.array([1, 3])
    )
    assert found.rmsd_sorted == pytest.approx(np.sqrt(0.25 / 2 / 4))
    assert found.mean_deviation == pytest.approx(0.5 / 2 / 4)
    assert found.largest_deviation == 0.5
    assert found.rmsd_matched is None


def test_the_papers_files(reference_dir):
    folder = reference_dir / "phonons"
    dos = read_phonon_file(folder / "DFT-dos" / "MOF-74-total_dos.dat.xz")
    assert isinstance(dos, Spectrum)
    assert dos.states == pytest.approx(3 * 54, rel=0.005)
    assert not dos.has_imaginary
    bands = read_phonon_file(folder / "MOF-74" / "mof0" / "Zn-MOF-74-vmof-auto_bands.yml.xz")
    assert isinstance(bands, BandLines)
    assert [len(x) for x in bands.frequencies] == [101, 86, 72, 41, 101]
    assert bands.labels[:3] == [("\u0393", "L"), ("L", "T"), ("T", "P_0")]
    assert bands.at_gamma is not None
    assert bands.at_gamma[:3] == pytest.approx(0, abs=1e-3)
    assert bands.at_gamma[-1] == pytest.approx(94.7, abs=0.3)
    thermal = read_phonon_file(folder / "MOF-5" / "mof0" / "MOF-5-thermal.dat.xz")
    assert isinstance(thermal, ThermalCurves)
    # the header says J/mol; the zero-point energy of 106 atoms is 1696 kJ/mol
    assert thermal.free_energies[0] == pytest.approx(1696.08, abs=0.01)


def test_free_energies_in_joules_are_recognised(tmp_path, reference_dir):
    path = reference_dir / "phonons" / "MOF-5" / "mof0" / "MOF-5-thermal.dat.xz"
    lines = lzma.decompress(path.read_bytes()).decode().splitlines()
    rows = np.array([line.split() for line in lines[1:]], dtype=float)

    def written(factor):
        rescaled = rows * [1, 1, factor, 1]
        copy = tmp_path / "thermal.dat"
        copy.write_text("\n".join([lines[0], *(" ".join(map(str, r)) for r in rescaled)]))
        return copy

    curves = read_phonon_file(written(1000))
    assert isinstance(curves, ThermalCurves)
    assert curves.free_energies[0] == pytest.approx(1696.08, abs=0.01)
    with pytest.raises(ComparisonError, match="do not belong together"):
        read_phonon_file(written(30))


def test_dft_against_models(reference_dir):
    """Below 10 THz, where MOFs are soft, fine-tuning brings the DOS to that of DFT."""
    folder = reference_dir / "phonons"
    sources = [Source("DFT", path=folder / "DFT-dos" / "MOF-5-total_dos.dat.xz")]
    sources += [
        Source(name, path=folder / "MOF-5" / name / "MOF-5-dos.dat.xz")
        for name in ("0b", "mof0", "mof0-v2")
    ]
    settings = PhononSettings()
    methods = merge([read_phonons(source, None, settings) for source in sources])
    facts, (before, after, second) = compare_phonons(methods[0], methods[1:], PhononOptions())
    assert facts.imaginary is False
    assert before.dos_low.overlap < 0.8
    assert after.dos_low.overlap > 0.95
    assert second.dos_low.overlap > 0.95
    assert before.dos_low.wasserstein > 5 * after.dos_low.wasserstein
    assert any("does not resolve" in warning for warning in before.warnings)


def test_a_method_in_several_files(reference_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = reference_dir / "phonons" / "MOF-74"
    words = []
    for name in ("mof0", "mof0-v2", "0b"):
        words += [
            f"{name}={folder / name / 'MOF-74-dos.dat.xz'}",
            f"{name}={folder / name / 'Zn-MOF-74-vmof-auto_bands.yml.xz'}",
            f"{name}={folder / name / 'Zn-MOF-74-vmof-thermal.dat.xz'}",
        ]
    done = CliRunner().invoke(app, ["compare", "phonons", *words, "--json"])
    assert done.exit_code == 0, done.output
    payload = json.loads(done.stdout)
    second, before = payload["candidates"]
    assert second["label"] == "mof0-v2"
    assert second["path"]["rmsd_sorted"] < before["path"]["rmsd_sorted"]
    assert second["gamma"]["rmsd_sorted"] < before["gamma"]["rmsd_sorted"]
    assert second["gamma"]["rmsd_matched"] is None
    assert second["free_energy_deviation"] == pytest.approx(629.25411564 - 630.34266336)
    names = {path.name for path in (tmp_path / "mofonon-compare").iterdir()}
    assert names >= {"phonons.csv", "phonons.tex", "dos.png", "bands.png", "thermal.png"}


def test_a_reference_with_imaginary_modes_is_flagged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    axis = np.arange(-3, 12, 0.01)
    for name, centre in (("soft", -1.0), ("stable", 1.0)):
        density = np.exp(-(((axis - centre) / 0.2) ** 2)) + np.exp(-((axis - 8) ** 2))
        lines = [f"{x:.4f} {y:.6f}" for x, y in zip(axis, density, strict=True)]
        (tmp_path / f"{name}.dat").write_text("\n".join(lines))
    done = CliRunner().invoke(app, ["compare", "phonons", "soft.dat", "stable.dat"])
    assert done.exit_code == 0, done.output
    assert "FLAG: the reference soft has imaginary modes" in done.stdout
    assert (
        "FLAG"
        not in CliRunner().invoke(app, ["compare", "phonons", "stable.dat", "soft.dat"]).stdout
    )


@pytest.mark.slow
def test_force_constants_of_mof5(reference_dir, tmp_path, monkeypatch):
    """From the published forces, on a coarse mesh: near the published DOS and entropy."""
    monkeypatch.chdir(tmp_path)
    folder = reference_dir / "phonons" / "MOF-5" / "mof0"
    done = CliRunner().invoke(
        app,
        [
            *("compare", "phonons"),
            f"published={folder / 'MOF-5-dos.dat.xz'}",
            f"published={folder / 'MOF-5-thermal.dat.xz'}",
            f"forces={folder / 'MOF-5-phonopy_forces.yaml.xz'}",
            *("--mesh", "3", "3", "3", "--json"),
        ],
    )
    assert done.exit_code == 0, done.output
    payload = json.loads(done.stdout)
    (forces,) = payload["candidates"]
    assert forces["dos_low"]["overlap"] > 0.9
    assert forces["entropy"] == pytest.approx(payload["reference"]["entropy"], rel=0.01)
    assert forces["mesh"] is None
