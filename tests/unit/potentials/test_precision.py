"""Energy conservation of every potential in float64: forces and stress against energies."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.stress import voigt_6_to_full_3x3_stress

from mofonon.potentials import PotentialSpec, make_calculator

_SPECS = {
    "demo": PotentialSpec(family="demo"),
    "demo + D3": PotentialSpec(family="demo", dispersion="d3bj"),
    "chgnet": PotentialSpec(family="chgnet"),
    "sevennet": PotentialSpec(family="sevennet"),
}

#: Step of the central differences (A, or strain): small, for the kinks of CHGNet.
_STEP = 1e-5

#: Largest error of a slope (eV/A, eV/A^3); float32 is at 1e-2.
_TOLERANCE = 5e-6


@pytest.fixture(scope="module", params=list(_SPECS))
def calculator(request):
    return make_calculator(_SPECS[request.param])


@pytest.fixture
def zinc_oxide() -> Atoms:
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    atoms.rattle(0.05, seed=1)
    return atoms


def _energy(atoms, calculator):
    atoms.calc = calculator
    return atoms.get_potential_energy()


def test_forces_are_the_derivative_of_the_energy(calculator, zinc_oxide):
    zinc_oxide.calc = calculator
    forces = zinc_oxide.get_forces().copy()
    assert forces.dtype == np.float64
    direction = np.random.default_rng(0).normal(size=forces.shape)
    energies = []
    for sign in (1, -1):
        moved = zinc_oxide.copy()
        moved.positions += sign * _STEP * direction
        energies.append(_energy(moved, calculator))
    slope = (energies[0] - energies[1]) / (2 * _STEP)
    assert abs(slope + np.sum(forces * direction)) < _TOLERANCE


def test_stress_is_the_derivative_of_the_energy(calculator, zinc_oxide):
    zinc_oxide.calc = calculator
    stress = voigt_6_to_full_3x3_stress(zinc_oxide.get_stress())
    strain = np.array([[1.0, 0.3, -0.2], [0.3, -0.5, 0.1], [-0.2, 0.1, 0.7]])
    energies = []
    for sign in (1, -1):
        strained = zinc_oxide.copy()
        deformation = np.eye(3) + sign * _STEP * strain
        strained.set_cell(zinc_oxide.cell.array @ deformation, scale_atoms=True)
        energies.append(_energy(strained, calculator))
    slope = (energies[0] - energies[1]) / (2 * _STEP) / zinc_oxide.get_volume()
    assert abs(slope - np.sum(stress * strain)) < _TOLERANCE


def test_single_and_double_precision_are_the_same_potential(zinc_oxide):
    for family in ("chgnet", "sevennet"):
        double = _energy(zinc_oxide, make_calculator(PotentialSpec(family=family)))
        single = _energy(
            zinc_oxide, make_calculator(PotentialSpec(family=family, dtype="float32"))
        )
        assert abs(double - single) < 1e-4


def test_double_precision_leaves_other_calculators_alone(zinc_oxide):
    """CHGNet's precision is a module constant: it must be restored after each evaluation."""
    single = make_calculator(PotentialSpec(family="chgnet", dtype="float32"))
    before = _energy(zinc_oxide, single)
    _energy(zinc_oxide.copy(), make_calculator(PotentialSpec(family="chgnet")))
    again = make_calculator(PotentialSpec(family="chgnet", dtype="float32"))
    assert _energy(zinc_oxide.copy(), again) == before


def test_the_dispersion_correction_is_that_of_torch_free_dftd3(zinc_oxide):
    """D3(BJ) adds its own energy and nothing else; the sum is exact."""
    from mofonon.potentials.factory import d3_calculator

    plain = _energy(zinc_oxide.copy(), make_calculator(PotentialSpec(family="demo")))
    dispersion = _energy(zinc_oxide.copy(), d3_calculator())
    both = _energy(
        zinc_oxide.copy(), make_calculator(PotentialSpec(family="demo", dispersion="d3bj"))
    )
    assert dispersion < 0
    assert abs(both - plain - dispersion) < 1e-10


def test_one_backward_pass_of_chgnet_gives_what_its_two_give(zinc_oxide):
    from chgnet.model.model import CHGNet

    from mofonon.potentials.chgnet import CHGNetDoubleCalculator, cast_to_double

    model = cast_to_double(CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False))
    theirs = CHGNetDoubleCalculator(model, use_device="cpu")
    ours = make_calculator(_SPECS["chgnet"])
    results = []
    for calculator in (ours, theirs):
        atoms = zinc_oxide.copy()
        atoms.calc = calculator
        results.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
