"""Following, rattling and heating, on closed forms and on unstable crystals."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from hypothesis import given
from hypothesis import strategies as st

from mofonon.errors import SettingsError
from mofonon.lattice.commensurate_cells import commensurate_matrix
from mofonon.lattice.imaginary import (
    find_instability,
    heat,
    leading_atoms,
    mode_patterns,
    pattern_curvature,
    rattle,
    scan_amplitude,
)
from mofonon.lattice.phonons import displaced_supercells, set_force_constants, supercell_forces
from mofonon.lattice.settings import PhononSettings


class DoubleWell(Calculator):
    """Atoms in double wells along z, coupled along a chain.

    ``E = sum_i -k/2 z_i^2 + c/4 z_i^4 + j/2 (z_i - s z_(i+1))^2``, with ``s`` 1 for a
    ferroic and -1 for an antiferroic chain; x and y are held by springs. All closed forms
    follow: the mode at Gamma (or the zone boundary) has the curvature -k, and the minimum is
    at ``sqrt(k / c)``.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, sites, k=2.0, c=8.0, j=3.0, sign=1.0):
        super().__init__()
        self.sites, self.k, self.c, self.j, self.sign = sites, k, c, j, sign

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        length = atoms.cell[0, 0]
        order = np.argsort(np.round(atoms.positions[:, 0] / 3.0).astype(int))
        x = np.round(atoms.positions[:, 0] / 3.0) * 3.0
        assert length > 0
        offset = atoms.positions - np.stack([x, np.full_like(x, 5.0), np.full_like(x, 5.0)], 1)
        z = offset[order, 2]
        bond = z - self.sign * np.roll(z, -1)
        slope = -self.k * z + self.c * z**3
        slope += self.j * bond - self.j * self.sign * np.roll(bond, 1)
        forces = -5.0 * offset
        forces[order, 2] = -slope
        energy = np.sum(-self.k / 2 * z**2 + self.c / 4 * z**4) + self.j / 2 * np.sum(bond**2)
        energy += 2.5 * np.sum(offset[:, :2] ** 2)
        self.results = {"energy": float(energy), "forces": forces}


def _chain():
    return Atoms("He", cell=[3.0, 10.0, 11.0], positions=[[0.0, 5.0, 5.0]], pbc=True)


def _chain_phonons(sign):
    settings = PhononSettings(supercell=((4, 0, 0), (0, 1, 0), (0, 0, 1)), displacement=1e-4)
    phonon = displaced_supercells(_chain(), settings)
    forces = supercell_forces(phonon, DoubleWell(1, sign=sign)).displaced
    # on-site wells break translational invariance: no sum rule here
    set_force_constants(phonon, forces, symmetrize=False)
    return phonon


def test_the_instability_of_the_antiferroic_chain_is_at_the_zone_boundary():
    found = find_instability(_chain_phonons(-1.0))
    assert found is not None
    assert np.allclose(np.abs(found.q), [0.5, 0, 0])
    one = Atoms("He").get_masses()
    assert np.isclose(
        pattern_curvature(one, np.array([[0, 0, 1.0]]), found.frequency), -2.0, rtol=1e-4
    )


def test_mode_mapping_finds_the_antiferroic_minimum_in_the_smallest_supercell():
    phonon = _chain_phonons(-1.0)
    found = find_instability(phonon)
    assert found is not None
    matrix = commensurate_matrix(found.q, _chain().cell.array)
    assert round(np.linalg.det(matrix)) == 2
    atoms, patterns = mode_patterns(phonon, found, matrix)
    assert np.allclose(np.abs(patterns[0][:, 2]), 1)
    assert np.isclose(patterns[0][:, 2].sum(), 0, atol=1e-8)
    calculator = DoubleWell(2, sign=-1.0)

    def energy(amplitude):
        moved = atoms.copy()
        moved.positions += amplitude * patterns[0]
        moved.calc = calculator
        return moved.get_potential_energy()

    curvature = pattern_curvature(atoms.get_masses(), patterns[0], found.frequency)
    assert np.isclose(curvature, -2.0 * 2, rtol=1e-4)
    scan = scan_amplitude(energy, curvature)
    assert np.isclose(scan.best, np.sqrt(2.0 / 8.0), rtol=1e-3)
    assert np.isclose(scan.gain, 2 * (-(2.0**2) / (4 * 8.0)), rtol=1e-3)
    assert len(scan.energies) <= 3


@given(
    k=st.floats(0.05, 20),
    depth=st.floats(0.05, 0.6),
    sixth=st.floats(0, 2.0),
)
def test_scans_of_double_wells_find_the_minimum(k, depth, sixth):
    """Minimum at ``depth`` for a quartic well; a sixth-order term only moves it."""
    quartic = k / depth**2

    def energy(a):
        return -k / 2 * a**2 + quartic / 4 * a**4 + sixth * quartic * a**6

    grid = np.linspace(0, 1, 20_001)
    best = grid[np.argmin(energy(grid))]
    scan = scan_amplitude(energy, -k, max_evaluations=8)
    assert scan.gain <= 0.97 * energy(best)


def test_a_false_negative_is_rejected():
    """Force constants said imaginary, the energy does not agree."""
    scan = scan_amplitude(lambda a: 0.3 * a**2, curvature=-0.1)
    assert scan.best == 0
    assert scan.gain == 0


@pytest.mark.parametrize(
    ("q", "cells"),
    [
        ([0, 0, 0], 1),
        ([0.5, 0, 0], 2),
        ([0.5, 0.5, 0.5], 2),
        ([0.5, 0.5, 0], 2),
        ([1 / 3, 1 / 3, 0], 3),
        ([0.5, 1 / 3, 0], 6),
        ([0.25, 0.75, 0.5], 4),
    ],
)
def test_the_smallest_commensurate_supercell(q, cells):
    cell = np.array([[4.0, 0, 0], [2.0, 3.5, 0], [0.3, 0.2, 5.0]])
    matrix = commensurate_matrix(np.array(q, float), cell)
    assert round(np.linalg.det(matrix)) == cells
    assert np.allclose(matrix @ q, np.rint(matrix @ q))


def test_a_q_point_that_needs_too_many_cells():
    with pytest.raises(SettingsError, match="no supercell of up to 16 cells"):
        commensurate_matrix(np.array([1 / 11, 2 / 11, 3 / 17]), np.eye(3))


def _simple_cubic_copper():
    phonon = displaced_supercells(bulk("Cu", "sc", a=2.4), PhononSettings())
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    return phonon


def test_the_pattern_has_the_curvature_of_its_frequency():
    """Energies along a zone-boundary mode of an unstable crystal against the frequency."""
    phonon = _simple_cubic_copper()
    found = find_instability(phonon)
    assert found is not None
    matrix = commensurate_matrix(found.q, phonon.primitive.cell)
    atoms, patterns = mode_patterns(phonon, found, matrix)
    for pattern in patterns:
        energies = []
        for amplitude in (-0.01, 0.0, 0.01):
            moved = atoms.copy()
            moved.positions += amplitude * pattern
            moved.calc = EMT()
            energies.append(moved.get_potential_energy())
        second = (energies[0] - 2 * energies[1] + energies[2]) / 0.01**2
        expected = pattern_curvature(atoms.get_masses(), pattern, found.frequency)
        assert np.isclose(second, expected, rtol=2e-2)
        assert second < 0


def test_a_stable_crystal_has_no_instability():
    phonon = displaced_supercells(bulk("Al", "fcc", a=3.9949), PhononSettings())
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    assert find_instability(phonon) is None


def test_rattling_is_seeded_and_has_the_standard_deviation():
    atoms = bulk("Cu", cubic=True).repeat(6)
    moved = rattle(atoms, 0.01, seed=1)
    assert np.array_equal(moved.positions, rattle(atoms, 0.01, seed=1).positions)
    assert not np.array_equal(moved.positions, rattle(atoms, 0.01, seed=2).positions)
    moves = moved.positions - atoms.positions
    assert np.isclose(moves.std(), 0.01, rtol=0.05)
    assert np.allclose(moves.mean(axis=0), 0, atol=1e-12)


def test_only_chosen_atoms_are_rattled():
    atoms = bulk("Cu", cubic=True)
    moved = rattle(atoms, 0.01, seed=1, chosen=[1, 3])
    assert np.array_equal(moved.positions[[0, 2]], atoms.positions[[0, 2]])
    assert not np.allclose(moved.positions[[1, 3]], atoms.positions[[1, 3]])


@pytest.mark.parametrize("fixed", [(), (0, 5, 7)])
def test_heating_starts_at_the_temperature_and_conserves_energy(fixed):
    atoms = bulk("Cu", cubic=True, a=3.6).repeat(2)
    moved, temperature = heat(
        atoms, EMT(), temperature=10.0, steps=40, time_step=1.0, seed=0, fixed=fixed
    )
    assert np.isclose(temperature, 10.0)
    displacements = np.linalg.norm(moved.positions - atoms.positions, axis=1)
    assert np.array_equal(displacements == 0, np.isin(np.arange(len(atoms)), fixed))
    before, after = atoms.copy(), moved.copy()
    for system in (before, after):
        system.calc = EMT()
    rise = after.get_potential_energy() - before.get_potential_energy()
    kinetic = 1.5 * (len(atoms) - len(fixed)) * 8.617e-5 * 10.0
    assert -1e-6 < rise < kinetic * 1.01


def test_an_nve_run_from_rest_is_refused():
    with pytest.raises(SettingsError, match="starts at 0 K does nothing"):
        heat(bulk("Cu"), EMT(), temperature=0.0, steps=1, time_step=1.0, seed=0)


def test_leading_atoms():
    weights = np.array([0.05, 0.6, 0.03, 0.3, 0.02])
    assert leading_atoms(weights).tolist() == [1, 3]
    assert leading_atoms(weights, 0.5).tolist() == [1]
    assert leading_atoms(weights, 1.0).tolist() == [0, 1, 2, 3, 4]
