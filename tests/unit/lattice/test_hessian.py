"""Hessians by few differences against all of them, and against closed forms."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.filters import FrechetCellFilter, UnitCellFilter
from ase.units import GPa

from mofonon.lattice.carried_hessian import CarriedHessian, follow_strain
from mofonon.lattice.hessian import count_probes, finite_difference_hessian, plan_probes
from mofonon.lattice.joint_coordinates import JointCoordinates
from mofonon.lattice.model_hessian import model_hessian
from mofonon.lattice.symmetry_actions import SymmetryActions, find_actions
from support.hessians import central_hessian, gradient_of


def _zincblende():
    return bulk("CuAu", "zincblende", a=5.6)


def _hexagonal():
    return bulk("Pd", "hcp", a=2.8, c=4.5)


def _wurtzite_like():
    """Atoms on general places of a tetragonal cell with a few operations."""
    return Atoms(
        "Cu4Ag2",
        cell=[4.6, 4.6, 5.0],
        scaled_positions=[
            *([0.23, 0.23, 0.1], [0.77, 0.77, 0.1], [0.77, 0.23, 0.6], [0.23, 0.77, 0.6]),
            *([0, 0, 0.45], [0.5, 0.5, 0.93]),
        ],
        pbc=True,
    )


def _general():
    atoms = bulk("Cu", cubic=True, a=3.7)
    atoms.rattle(0.1, seed=3)
    return atoms


def _hessian(atoms, calculator, actions=None, step=1e-4, **of_filter):
    atoms = atoms.copy()
    atoms.calc = calculator
    target = FrechetCellFilter(atoms, **of_filter)
    coordinates = JointCoordinates.of(target)
    actions = find_actions(atoms) if actions is None else actions
    origin = coordinates.rows(target.__ase_optimizable__().get_x())
    gradient = gradient_of(target, coordinates)
    return (
        finite_difference_hessian(
            gradient, origin, gradient(origin), actions, coordinates.strains, step
        ),
        actions,
        coordinates,
    )


@pytest.mark.parametrize("freedom", [{}, {"constant_volume": True}])
@pytest.mark.parametrize("make", [_zincblende, _hexagonal, _wurtzite_like, _general])
def test_few_differences_give_the_hessian_of_all(make, freedom):
    atoms = make()
    expanded, actions, _ = _hessian(atoms, EMT(), step=1e-5, **freedom)
    dense = central_hessian(atoms, EMT(), **freedom)
    assert np.allclose(expanded, dense, atol=2e-3 * np.abs(dense).max())
    unexpanded, _, _ = _hessian(
        atoms, EMT(), SymmetryActions.trivial(len(atoms)), step=1e-5, **freedom
    )
    assert np.allclose(expanded, unexpanded, atol=2e-3 * np.abs(dense).max())
    assert (actions.order > 1) == (make is not _general)


def test_symmetry_makes_differences_few():
    atoms = _zincblende()
    actions = find_actions(atoms)
    strains = JointCoordinates.of(FrechetCellFilter(atoms)).strains
    assert actions.order == 24
    assert count_probes(plan_probes(actions, strains)) == 3  # two atoms and one strain
    trivial = plan_probes(SymmetryActions.trivial(2), strains)
    assert count_probes(trivial) == 3 * 2 + 6
    assert count_probes(plan_probes(actions, strains[:0])) == 2


def test_translations_of_a_supercell_are_operations():
    atoms = _zincblende().repeat((2, 2, 2))
    actions = find_actions(atoms)
    assert actions.order == 24 * 8
    assert len(actions.orbits) == 2


def test_operations_leave_the_hessian_as_it_is():
    hessian, actions, _ = _hessian(_wurtzite_like(), EMT())
    assert actions.order > 1
    assert np.allclose(actions.project_hessian(hessian), hessian, atol=1e-10)


def test_rotation_and_order_of_atoms_change_nothing():
    """Curvatures are those of the crystal, not of how it is written down."""
    atoms = _wurtzite_like()
    hessian, _, coordinates = _hessian(atoms, EMT(), step=1e-5)
    turned = atoms[[3, 1, 5, 0, 2, 4]]
    turned.rotate(37.0, (1, 2, 3), rotate_cell=True)
    other, _, other_coordinates = _hessian(turned, EMT(), step=1e-5)

    def curvatures(matrix, of):
        basis = of.basis(SymmetryActions.trivial(len(atoms)))
        return np.linalg.eigvalsh(basis.T @ matrix @ basis)

    assert np.allclose(
        curvatures(hessian, coordinates), curvatures(other, other_coordinates), atol=2e-2
    )


def test_elastic_constants_of_lennard_jones_argon():
    """Nearest neighbours in fcc at the minimum: C11 = 2 C12 = 2 C44 = 2 sqrt(2) k / a."""
    sigma, epsilon = 3.4, 0.01
    distance = 2 ** (1 / 6) * sigma
    stiffness = 72 * epsilon / distance**2  # second derivative of the pair energy
    atoms = bulk("Ar", "fcc", a=distance * np.sqrt(2))
    calculator = LennardJones(sigma=sigma, epsilon=epsilon, rc=1.2 * sigma, smooth=False)
    hessian, _, coordinates = _hessian(atoms, calculator)
    elastic = hessian[-9:, -9:] * coordinates.length**2 / atoms.get_volume()
    c11 = 2 * stiffness / (distance * np.sqrt(2))
    found = (elastic[0, 0], elastic[0, 4], elastic[1, 1] + elastic[1, 3])
    expected = (c11, c11 / 2, c11)  # C44 twice: both entries of a shear move together
    assert np.allclose(np.array(found) / GPa, np.array(expected) / GPa, rtol=2e-3)
    assert np.abs(hessian[:3]).max() < 1e-6  # one atom: translations cost nothing


@pytest.mark.parametrize(
    ("of_filter", "n_strains"),
    [
        ({}, 6),
        ({"constant_volume": True}, 5),
        ({"hydrostatic_strain": True}, 1),
        ({"mask": [1, 1, 0, 0, 0, 0]}, 2),
        ({"mask": [1, 1, 0, 0, 0, 1], "constant_volume": True}, 2),
    ],
)
def test_free_strains_of_filters(of_filter, n_strains):
    for kind in (FrechetCellFilter, UnitCellFilter):
        strains = JointCoordinates.of(kind(_zincblende(), **of_filter)).strains
        assert len(strains) == n_strains
        flat = strains.reshape(-1, 9)
        assert np.allclose(flat @ flat.T, np.eye(n_strains))
        if of_filter.get("constant_volume"):
            assert np.allclose(np.trace(strains, axis1=1, axis2=2), 0)


def test_the_model_hessian_is_a_crystal_of_springs():
    """Symmetric, positive, invariant, no energy for translations; strain as stretched rows."""
    atoms = _wurtzite_like()
    length = 4.0
    hessian = model_hessian(atoms, length)
    assert np.allclose(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian)[0] > -1e-9
    assert np.allclose(model_hessian(atoms), hessian[:-9, :-9])
    shift = np.concatenate([np.tile([1.0, 2.0, 3.0], len(atoms)), np.zeros(9)])
    assert np.abs(hessian @ shift).max() < 1e-9
    coordinates = JointCoordinates.of(FrechetCellFilter(atoms))
    flat = coordinates.strains.reshape(-1, 9)
    symmetric = np.eye(len(hessian))
    symmetric[-9:, -9:] = flat.T @ flat
    hessian = symmetric @ hessian @ symmetric
    assert np.allclose(find_actions(atoms).project_hessian(hessian), hessian, atol=1e-9)


def test_a_carried_hessian_comes_back_from_its_store_form():
    hessian, _, coordinates = _hessian(_wurtzite_like(), EMT())
    carried = CarriedHessian.of(hessian, coordinates)
    back = CarriedHessian.decode(carried.encode()).over(coordinates)
    assert np.allclose(back, hessian, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("shape", [False, True])
def test_atoms_follow_a_strain_to_second_order(shape):
    """Forces (and deviatoric stress) left after a strain fall with its square."""
    from mofonon.lattice.relax import relax

    layers = bulk("Cu", cubic=True, a=3.7).repeat((1, 1, 2))
    layers.numbers[np.isclose(layers.positions[:, 2], 0)] = 79
    relaxed = relax(layers, EMT(), 1e-8).atoms
    hessian, _, coordinates = _hessian(relaxed, EMT(), step=1e-5)
    carried = CarriedHessian.of(hessian, coordinates)

    def left(strain):
        atoms = relaxed.copy()
        atoms.set_cell(relaxed.cell.array * (1 + strain), scale_atoms=True)
        volume = atoms.get_volume()
        follow_strain(atoms, carried, strain, shape=shape)
        assert np.isclose(atoms.get_volume(), volume, rtol=1e-12)
        atoms.calc = EMT()
        target = FrechetCellFilter(atoms, constant_volume=True) if shape else atoms
        return np.abs(target.get_forces()).max()

    assert left(0.0005) < 0.35 * left(0.001)
    moved = relaxed.copy()
    moved.set_cell(relaxed.cell.array * 1.001, scale_atoms=True)
    moved.calc = EMT()
    unmoved = FrechetCellFilter(moved, constant_volume=True) if shape else moved
    assert left(0.001) < 0.3 * np.abs(unmoved.get_forces()).max()
