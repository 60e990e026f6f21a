"""Phonons from phonopy's files: the paper's MOF-5 and small crystals."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from phonopy.file_IO import write_FORCE_CONSTANTS, write_FORCE_SETS

from mofonon.errors import ForceConstantsError
from mofonon.lattice.analysis import density_of_states, thermal_properties
from mofonon.lattice.mesh import gamma_modes, mesh_modes
from mofonon.lattice.phonons import displaced_supercells, set_force_constants, supercell_forces
from mofonon.lattice.phonopy_files import load_phonopy, phonons_from_phonopy
from mofonon.lattice.settings import PhononSettings
from mofonon.structures import read_structure

# FORCE_SETS has ten decimals, too few for displacements of 1e-6 A
_QUICK = PhononSettings(mesh=(5, 5, 5), dos_pitch=0.05, band_points=11, displacement=0.001)


@pytest.fixture(scope="module")
def mof5(reference_dir):
    folder = reference_dir / "phonons" / "MOF-5" / "mof0"
    phonon = load_phonopy(folder / "MOF-5-phonopy_forces.yaml.xz", PhononSettings())
    return phonon, _table(folder / "MOF-5-thermal.dat.xz"), _table(folder / "MOF-5-dos.dat.xz")


def _table(path):
    with lzma.open(path, "rt") as file:
        return np.loadtxt(file)


@pytest.mark.slow
@pytest.mark.parametrize(("symmetrize", "tolerance"), [(False, 1e-6), (True, 1e-5)])
def test_the_published_thermal_properties_and_dos_of_mof5(mof5, symmetrize, tolerance):
    phonon, published, published_dos = mof5
    set_force_constants(phonon, None, symmetrize=symmetrize)
    modes = mesh_modes(phonon, (11, 11, 11))
    thermal = thermal_properties(modes, PhononSettings())
    # relative to the size of each property: the free energy passes through zero near 880 K
    for column, ours in (
        (1, thermal.heat_capacities),
        (2, thermal.free_energies),
        (3, thermal.entropies),
    ):
        scale = np.maximum(
            np.abs(published[:, column]), np.abs(published[:, column]).max() / 100
        )
        assert np.abs((ours - published[:, column]) / scale).max() < tolerance
    at = np.searchsorted(thermal.temperatures, [0, 300, 1000])
    expected = [1696.0803137, 1450.6741724, -432.9460173]
    assert np.allclose(thermal.free_energies[at], expected, rtol=tolerance, atol=0)
    dos = density_of_states(modes, 0.01, published_dos[:, 0])
    difference = np.abs(dos.total - published_dos[:, 1]).sum() / published_dos[:, 1].sum()
    assert difference < 1e-3
    if symmetrize:
        assert np.abs(gamma_modes(phonon).acoustic).max() < 1e-4
        assert modes.frequencies.min() > -1e-4


@pytest.mark.slow
def test_the_command_gives_the_published_numbers(mofonon, reference_dir):
    path = reference_dir / "phonons" / "MOF-5" / "mof0" / "MOF-5-phonopy_forces.yaml.xz"
    summary = json.loads(mofonon("phonons", "--from-phonopy", path, "--json").stdout)
    assert summary["n_atoms"] == 106
    assert summary["n_displacements"] == 19
    assert summary["space_group"]["after"] == "Fm-3m"
    at = [summary["temperatures"].index(t) for t in (0, 300, 1000)]
    free_energies = [summary["free_energies"][i] for i in at]
    assert np.allclose(free_energies, [1696.0803137, 1450.6741724, -432.9460173], rtol=1e-5)
    assert np.abs(summary["gamma_acoustic"]).max() < 1e-4
    assert not summary["has_imaginary_modes"]
    assert summary["potential"] is None
    assert summary["source"]["file"] == path.name
    assert Path(summary["page"]).stat().st_size < 10e6


def _phonon():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    atoms.symbols[0] = "Au"
    phonon = displaced_supercells(atoms, _QUICK)
    forces = supercell_forces(phonon, EMT()).displaced
    phonon.forces = forces
    return phonon, atoms


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same calculation in every form that phonopy writes."""
    folder = tmp_path_factory.mktemp("phonopy")
    phonon, atoms = _phonon()
    atoms.write(folder / "POSCAR", format="vasp", direct=True)
    phonon.save(folder / "phonopy_params.yaml", settings={"force_sets": True})
    write_FORCE_SETS(phonon.dataset, folder / "FORCE_SETS")
    set_force_constants(phonon, None, symmetrize=False)
    phonon.save(
        folder / "with_fc.yaml", settings={"force_sets": False, "force_constants": True}
    )
    write_FORCE_CONSTANTS(
        phonon.force_constants, folder / "FORCE_CONSTANTS", np.arange(0, 32, 8)
    )
    packed = lzma.compress((folder / "phonopy_params.yaml").read_bytes())
    (folder / "packed.yaml.xz").write_bytes(packed)
    return folder


@pytest.mark.parametrize(
    "name",
    ["phonopy_params.yaml", "packed.yaml.xz", "with_fc.yaml", "FORCE_SETS", "FORCE_CONSTANTS"],
)
def test_every_form_gives_the_same_phonons(files, name):
    structure = read_structure(files / "POSCAR") if name.isupper() else None
    doc = phonons_from_phonopy(files / name, _QUICK, structure)
    phonon, _ = _phonon()
    set_force_constants(phonon, None)
    expected = mesh_modes(phonon, _QUICK.mesh).frequencies
    assert np.abs(doc.arrays.frequencies.decode() - expected).max() < 1e-5
    assert doc.potential is None
    assert doc.nsites == 4
    assert doc.source == {"file": name, "sha256": doc.source["sha256"]}


def test_a_primitive_matrix_in_the_file_is_used(tmp_path):
    from phonopy import Phonopy

    from mofonon.lattice.phonons import to_atoms, to_phonopy_atoms

    cell = to_phonopy_atoms(bulk("Al", "fcc", a=3.9949, cubic=True))
    phonon = Phonopy(cell, np.diag([2, 2, 2]), primitive_matrix="F")
    phonon.generate_displacements(distance=0.001)
    forces = []
    for supercell in phonon.supercells_with_displacements:
        atoms = to_atoms(supercell)
        atoms.calc = EMT()
        forces.append(atoms.get_forces())
    phonon.forces = np.array(forces)
    phonon.save(tmp_path / "p.yaml", settings={"force_sets": True})
    doc = phonons_from_phonopy(tmp_path / "p.yaml", _QUICK)
    assert doc.nsites == 1
    assert not doc.has_imaginary_modes


def test_without_forces_there_is_nothing_to_analyse(tmp_path):
    phonon = displaced_supercells(bulk("Al"), _QUICK)
    phonon.save(tmp_path / "disp.yaml")
    with pytest.raises(ForceConstantsError, match="holds neither forces nor force constants"):
        phonons_from_phonopy(tmp_path / "disp.yaml", _QUICK)


def test_force_sets_need_a_structure(files):
    with pytest.raises(ForceConstantsError, match="FORCE_SETS holds no structure"):
        phonons_from_phonopy(files / "FORCE_SETS", _QUICK)


def test_a_damaged_archive(tmp_path):
    path = tmp_path / "phonopy.yaml.xz"
    path.write_bytes(b"not xz")
    with pytest.raises(ForceConstantsError, match="cannot be decompressed"):
        phonons_from_phonopy(path, _QUICK)


def test_something_that_is_no_phonopy_file(tmp_path):
    path = tmp_path / "phonopy.yaml"
    path.write_text("hello: world\n")
    with pytest.raises(ForceConstantsError, match="cannot be read by phonopy"):
        phonons_from_phonopy(path, _QUICK)


def test_other_units_are_refused(tmp_path, files):
    text = (files / "phonopy_params.yaml").read_text()
    text = text.replace("phonopy:\n", "phonopy:\n  calculator: qe\n", 1)
    head, units = text.split("physical_unit:\n", maxsplit=1)
    rest = "".join(line for line in units.splitlines(keepends=True) if "_unit:" not in line)
    other = tmp_path / "qe.yaml"
    other.write_text(head.replace("calculator: vasp", "calculator: qe") + rest)
    with pytest.raises(ForceConstantsError, match="is in the units of qe: au and Ry/au"):
        phonons_from_phonopy(other, _QUICK)
