"""Displacements, forces and force constants against phonopy driven by hand."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from mofonon.lattice.analysis import analyse_phonons, imaginary_modes
from mofonon.lattice.mesh import GammaModes, mesh_modes
from mofonon.lattice.phonons import (
    displaced_supercells,
    needs_undisplaced_forces,
    set_force_constants,
    supercell_forces,
)
from mofonon.lattice.settings import PhononSettings
from mofonon.structures import read_structure

_SETTINGS = PhononSettings(
    mesh=(5, 5, 5), dos_pitch=0.1, band_points=5, displacement=0.001, plus_minus="auto"
)


def _alloy() -> Atoms:
    """Strained CuAu with forces that vanish by symmetry only in part."""
    alloy = bulk("Cu", "fcc", a=3.8, cubic=True)
    alloy.symbols[:2] = "Au"
    return alloy


def _frequencies(atoms: Atoms, settings: PhononSettings = _SETTINGS) -> np.ndarray:
    phonon = displaced_supercells(atoms, settings)
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    return mesh_modes(phonon, settings.mesh).frequencies


def test_frequencies_equal_phonopy_by_hand():
    atoms = _alloy()
    phonon = Phonopy(
        PhonopyAtoms(
            symbols=atoms.get_chemical_symbols(),
            cell=atoms.cell.array,
            scaled_positions=atoms.get_scaled_positions(),
        ),
        np.diag([2, 2, 2]),
        primitive_matrix=np.eye(3),
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
    theirs = phonon.run_mesh(_SETTINGS.mesh).frequencies
    assert np.abs(_frequencies(atoms) - theirs).max() < 1e-6


def test_turning_the_cell_and_permuting_atoms_change_nothing():
    atoms = _alloy()
    expected = np.sort(_frequencies(atoms).ravel())
    turned = atoms.copy()
    turned.rotate(51.0, (1, -2, 0.5), rotate_cell=True)
    assert np.abs(np.sort(_frequencies(turned).ravel()) - expected).max() < 1e-5
    permuted = atoms[np.random.default_rng(1).permutation(len(atoms))]
    assert np.abs(np.sort(_frequencies(permuted).ravel()) - expected).max() < 1e-5


def test_one_sided_displacements_agree_when_the_residual_is_subtracted():
    """A structure off its minimum: without the subtraction one-sided ones are useless."""
    atoms = _alloy()
    atoms.rattle(0.02, seed=3)
    both = _frequencies(atoms, _SETTINGS.model_copy(update={"plus_minus": True}))
    one = _SETTINGS.model_copy(update={"plus_minus": False, "displacement": 1e-5})
    assert np.abs(_frequencies(atoms, one) - both).max() < 2e-3
    phonon = displaced_supercells(atoms, one)
    forces = supercell_forces(phonon, EMT())
    assert forces.residual is not None
    set_force_constants(phonon, forces.displaced + forces.residual)
    assert np.abs(mesh_modes(phonon, one.mesh).frequencies - both).max() > 1.0


def test_two_sided_displacements_need_no_reference():
    atoms = _alloy()
    both = displaced_supercells(atoms, _SETTINGS.model_copy(update={"plus_minus": True}))
    assert not needs_undisplaced_forces(both)
    assert supercell_forces(both, EMT()).residual is None
    one = displaced_supercells(atoms, _SETTINGS.model_copy(update={"plus_minus": False}))
    assert needs_undisplaced_forces(one)


def test_acoustic_modes_vanish_and_symmetrization_can_be_left_out():
    atoms = _alloy()
    phonon = displaced_supercells(atoms, _SETTINGS)
    forces = supercell_forces(phonon, EMT()).displaced
    forces = forces + np.random.default_rng(0).normal(scale=1e-6, size=forces.shape)
    set_force_constants(phonon, forces, symmetrize=False)
    raw = analyse_phonons(phonon, _SETTINGS).gamma
    set_force_constants(phonon, forces, symmetrize=True)
    analysis = analyse_phonons(phonon, _SETTINGS)
    assert np.abs(raw.acoustic).max() > 1e-3
    assert np.abs(analysis.gamma.acoustic).max() < 1e-4
    assert not analysis.imaginary


def test_thermal_properties_obey_thermodynamics():
    phonon = displaced_supercells(_alloy(), _SETTINGS)
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    thermal = analyse_phonons(phonon, _SETTINGS).thermal
    step = thermal.temperatures[1] - thermal.temperatures[0]
    entropy = -np.gradient(thermal.free_energies, step) * 1000
    assert np.allclose(entropy[8:-2], thermal.entropies[8:-2], rtol=5e-3)
    limit = 3 * 4 * 8.314462618 * (1 - 3 / (125 * 12))  # acoustic modes at Gamma left out
    assert np.isclose(thermal.heat_capacities[-1], limit, rtol=5e-3)
    assert thermal.entropies[0] == 0
    assert thermal.n_modes_left_out == 0


def test_an_unstable_crystal_is_said_to_be_one():
    phonon = displaced_supercells(bulk("Cu", "sc", a=2.4), _SETTINGS)
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    analysis = analyse_phonons(phonon, _SETTINGS)
    assert analysis.imaginary
    assert analysis.imaginary[0].frequency == analysis.min_frequency
    assert analysis.thermal.n_modes_left_out > 0


def test_acoustic_noise_at_gamma_is_not_an_instability():
    phonon = displaced_supercells(_alloy(), _SETTINGS)
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    modes = mesh_modes(phonon, _SETTINGS.mesh)
    noisy = GammaModes(
        frequencies=np.array([-0.5, -0.4, -0.3, -0.2, 1.0]),
        acoustic=np.array([-0.5, -0.4, -0.3]),
        acoustic_bands=np.array([0, 1, 2]),
        translation_overlap=1.0,
    )
    found = imaginary_modes(modes, noisy, 1e-4)
    assert [mode.frequency for mode in found] == [-0.2]


#: Displaced 2x2x2 supercells of the paper's Table 2 (MACE-MP-MOF0-v2 with MOF0's numbers).
TABLE_2 = {
    "DFT/MOF-5_geom-opt.json": 19,
    "GFN1-xTB/MOF-5.cif": 318,
    "MACE-MP-0b/MOF-5-opt.extxyz": 19,
    "MACE-MP-MOF0/MOF-5-opt.extxyz": 19,
    "MACE-MP-MOF0-v2/MOF-5-opt.extxyz": 19,
    "DFT/MOF-74_geom-opt.json": 162,
    "GFN1-xTB/MOF-74.cif": 324,
    "MACE-MP-0b/MOF-74-opt.extxyz": 54,
    "MACE-MP-MOF0/MOF-74-opt.extxyz": 54,
    "MACE-MP-MOF0-v2/MOF-74-opt.extxyz": 54,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE_2)
def test_displacement_counts_of_table_2(reference_dir, name):
    structure = read_structure(reference_dir / "optimized" / name)
    paper = PhononSettings(displacement=0.001, plus_minus="auto")
    phonon = displaced_supercells(structure.to_ase_atoms(), paper)
    assert len(phonon.supercells_with_displacements) == TABLE_2[name]
