"""Force constants folded into a cell: the dynamical matrices at its q-points."""

import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

from mofonon.lattice.commensurate_cells import supercell_of
from mofonon.lattice.folded_hessian import fold_force_constants, perturbed_hessian
from mofonon.lattice.mesh import dynamical_matrix
from mofonon.lattice.phonons import displaced_supercells, set_force_constants, supercell_forces
from mofonon.lattice.settings import PhononSettings


def _phonon():
    atoms = bulk("Cu", cubic=True, a=3.65)
    atoms.numbers[0] = 79
    atoms.set_cell(atoms.cell.array @ np.diag([1.0, 1.02, 0.97]), scale_atoms=True)
    phonon = displaced_supercells(atoms, PhononSettings(supercell=[2, 2, 2]))
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    return phonon


def test_eigenvalues_are_those_at_the_q_points_of_the_cell():
    phonon = _phonon()
    matrix = np.array([[1, 1, 0], [0, 2, 0], [0, 0, 1]])  # holds Gamma and (1/2, 1/2, 0)
    hessian = fold_force_constants(phonon, matrix)
    assert np.allclose(hessian, hessian.T, atol=1e-8)
    _, index, _ = supercell_of(bulk("Cu", cubic=True), matrix)
    roots = np.repeat(np.sqrt(phonon.primitive.masses)[index], 3)
    found = np.linalg.eigvalsh(hessian / np.outer(roots, roots))
    expected = np.concatenate(
        [np.linalg.eigvalsh(dynamical_matrix(phonon, q)) for q in ([0, 0, 0], [0.5, 0.5, 0])]
    )
    assert np.allclose(found, np.sort(expected), atol=1e-8 * np.abs(expected).max())


def test_the_curvature_along_a_negative_mode_is_that_of_the_double_well():
    phonon = _phonon()
    phonon.force_constants = -phonon.force_constants
    pattern = np.random.default_rng(1).normal(size=(4, 3))
    pattern -= pattern.mean(axis=0)
    along = pattern.ravel() / np.linalg.norm(pattern)
    before = along @ fold_force_constants(phonon, np.eye(3, dtype=int)) @ along
    joint = perturbed_hessian(phonon, np.eye(3, dtype=int), pattern).matrix
    assert before < 0
    assert np.isclose(along @ joint[:12, :12] @ along, -2 * before)
    assert joint.shape == (21, 21)
    assert np.linalg.eigvalsh(joint[-9:, -9:]).min() > -1e-10
