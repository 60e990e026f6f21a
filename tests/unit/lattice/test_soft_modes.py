"""The lowest curvatures of a Hessian from few products, against all of its eigenvalues."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from mofonon.lattice.joint_coordinates import JointCoordinates
from mofonon.lattice.soft_modes import MeasuredHessian, measure_soft_modes
from mofonon.lattice.symmetry_actions import SymmetryActions, find_actions


def _crystal(repetitions=2):
    return bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat((repetitions, 1, 1))


def _low_symmetry():
    """Six atoms of two elements, one twofold axis."""
    places = [[0.1, 0.2, 0.3], [0.9, 0.8, 0.3], [0.35, 0.4, 0.7], [0.65, 0.6, 0.7]]
    places += [[0.0, 0.5, 0.1], [0.0, 0.5, 0.55]]
    return Atoms("Cu4Ag2", cell=[5.0, 6.0, 7.0], scaled_positions=places, pbc=True)


def _hessian(actions, basis, seed, lowest):
    """Symmetric under the operations, curvatures 0.1 to 50 eV/A^2 but for the lowest."""
    random = np.random.default_rng(seed)
    size = len(basis)
    raw = random.normal(size=(size, size))
    values, vectors = np.linalg.eigh(basis.T @ actions.project_hessian(raw + raw.T) @ basis)
    spread = np.geomspace(0.1, 50, len(values))
    degenerate = np.concatenate([[0], np.cumsum(np.diff(values) > 1e-8)])
    curvatures = spread[degenerate]
    curvatures[degenerate == random.integers(degenerate[-1] + 1)] = lowest
    return basis @ (vectors * curvatures) @ vectors.T @ basis.T


def _system(atoms):
    coordinates = JointCoordinates.of(atoms)
    return find_actions(atoms), coordinates.basis(SymmetryActions.trivial(len(atoms)))


def _measured(true, known, actions, basis, most=1000):
    measured = MeasuredHessian(known, basis, actions)
    shape = (len(true) // 3, 3)
    enough = measure_soft_modes(measured, lambda d: (true @ d.ravel()).reshape(shape), most)
    return enough, measured


@pytest.mark.parametrize("make", [_crystal, _low_symmetry])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_a_negative_mode_that_was_not_known_is_found(make, seed):
    """Wherever it is among the modes; and with at most as many products as there are modes."""
    actions, basis = _system(make())
    known = _hessian(actions, basis, seed, lowest=0.5)
    true = _hessian(actions, basis, seed, lowest=-0.2)
    enough, measured = _measured(true, known, actions, basis)
    values = np.linalg.eigvalsh(basis.T @ measured.hessian() @ basis)
    assert enough
    assert values[0] < -0.1
    assert values[0] > -0.2 - 1e-6
    assert measured.n_products < measured.size


@pytest.mark.parametrize("make", [_crystal, _low_symmetry])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_none_is_found_where_there_is_none(make, seed):
    """Also where one was believed to be, and where all are half as stiff as believed."""
    actions, basis = _system(make())
    true = _hessian(actions, basis, seed, lowest=0.5)
    for known in (_hessian(actions, basis, seed, lowest=-0.3), 2 * true, true):
        enough, measured = _measured(true, known, actions, basis)
        assert enough
        assert np.linalg.eigvalsh(basis.T @ measured.hessian() @ basis)[0] > 0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_hessian_is_exact_on_what_was_measured(seed):
    """With a direction and with its image, and symmetric."""
    actions, basis = _system(_low_symmetry())
    true = _hessian(actions, basis, seed, lowest=-0.2)
    measured = MeasuredHessian(_hessian(actions, basis, seed + 1, lowest=1.0), basis, actions)
    direction = measured.random(np.random.default_rng(seed))
    measured.put(direction, (true @ direction.ravel()).reshape(-1, 3))
    found = measured.hessian()
    assert np.allclose(found, found.T, atol=1e-8)
    for operation in range(actions.order):
        image = actions.apply(operation, direction).ravel()
        assert np.allclose(found @ image, true @ image, atol=1e-6)


def test_a_hessian_that_is_right_takes_few_products():
    actions, basis = _system(_crystal(3))
    true = _hessian(actions, basis, 5, lowest=0.05)
    enough, measured = _measured(true, true, actions, basis)
    assert enough
    assert measured.n_products == 1
    assert measured.size > 60


def test_it_says_when_it_was_not_enough():
    actions, basis = _system(_low_symmetry())
    true = _hessian(actions, basis, 3, lowest=-0.2)
    known = _hessian(actions, basis, 8, lowest=5.0)
    enough, measured = _measured(true, known, actions, basis, most=1)
    assert not enough
    assert measured.n_products == 1
    broken = MeasuredHessian(known, basis, actions)
    assert not measure_soft_modes(broken, lambda d: np.full_like(d, np.nan), 10)
