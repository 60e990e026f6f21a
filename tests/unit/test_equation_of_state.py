"""Equations of state: closed forms, invariances, other libraries, and refusals."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.eos import EquationOfState as AseEquationOfState
from hypothesis import given, settings
from hypothesis import strategies as st

from mofonon.equation_of_state import (
    EQUATIONS,
    GPA_PER_EV_A3,
    bulk_modulus_from_stress,
    equation_of_state_energy,
    fit_equation_of_state,
    pressure_of,
)
from mofonon.errors import EquationOfStateError, MofononError

#: V0 (A^3), E0 (eV), B0 (GPa), B0': a metal, a framework, one that softens under pressure.
CRYSTALS = {
    "copper": (46.3, -14.0, 137.0, 5.3),
    "framework": (4310.0, -702.5, 15.4, 4.0),
    "soft framework": (17240.0, -2980.0, 2.1, -3.0),
}


# Written out here from the literature, with B0 in eV/A^3.
def _birch_murnaghan(v, v0, e0, b0, b0_prime):
    """Birch, Phys. Rev. 71, 809 (1947)."""
    eta = (v0 / v) ** (1 / 3)
    return e0 + 9 * b0 * v0 / 16 * (
        (eta**2 - 1) ** 3 * b0_prime + (eta**2 - 1) ** 2 * (6 - 4 * eta**2)
    )


def _vinet(v, v0, e0, b0, b0_prime):
    """Vinet et al., J. Phys.: Condens. Matter 1, 1941 (1989)."""
    x, c = (v / v0) ** (1 / 3), 1.5 * (b0_prime - 1)
    return e0 + 9 * b0 * v0 / c**2 * (1 - (1 - c * (1 - x)) * np.exp(c * (1 - x)))


def _murnaghan(v, v0, e0, b0, b0_prime):
    """Murnaghan, Proc. Natl. Acad. Sci. 30, 244 (1944)."""
    return (
        e0
        + b0 * v / b0_prime * ((v0 / v) ** b0_prime / (b0_prime - 1) + 1)
        - b0 * v0 / (b0_prime - 1)
    )


CLOSED_FORMS = {"birch_murnaghan": _birch_murnaghan, "vinet": _vinet, "murnaghan": _murnaghan}


def _volumes(v0: float, n_points: int = 7) -> np.ndarray:
    """Volumes around one that is not quite the minimum."""
    return 1.007 * v0 * (1 + np.linspace(-0.02, 0.02, n_points)) ** 3


def _energies(name: str, v: np.ndarray, crystal: str) -> np.ndarray:
    v0, e0, b0, b0_prime = CRYSTALS[crystal]
    return CLOSED_FORMS[name](v, v0, e0, b0 * units.GPa, b0_prime)


@pytest.mark.parametrize("crystal", CRYSTALS)
@pytest.mark.parametrize("name", EQUATIONS)
def test_exact_energies_give_their_parameters_back(name, crystal):
    v0, e0, b0, b0_prime = CRYSTALS[crystal]
    v = _volumes(v0)
    energies = _energies(name, v, crystal)
    fit = fit_equation_of_state(v, energies, name)
    assert np.allclose([fit.v0, fit.e0, fit.b0], [v0, e0, b0], rtol=1e-6)
    assert fit.b0_prime == pytest.approx(b0_prime, rel=1e-6)
    assert fit.residual < 1e-6 * 1e3 * np.ptp(energies)
    ours = equation_of_state_energy(name, v, v0=v0, e0=e0, b0=b0, b0_prime=b0_prime)
    assert np.allclose(ours - e0, energies - e0, rtol=1e-9, atol=1e-9)


def test_the_unit_of_pressure():
    assert pytest.approx(160.21766, abs=1e-5) == GPA_PER_EV_A3


@pytest.mark.parametrize("crystal", CRYSTALS)
def test_exact_stresses_give_their_parameters_back(crystal):
    """From P = -dE/dV of the Birch-Murnaghan equation; shear does not matter."""
    v0, _, b0, b0_prime = CRYSTALS[crystal]
    v = _volumes(v0)
    eta = (v0 / v) ** (1 / 3)
    pressures = 1.5 * b0 * (eta**7 - eta**5) * (1 + 0.75 * (b0_prime - 4) * (eta**2 - 1))
    stresses = np.zeros((len(v), 6))
    stresses[:, :3] = -pressures[:, None] * units.GPa + np.array([0.1, -0.3, 0.2])
    stresses[:, 3:] = 0.4
    assert np.allclose(pressure_of(stresses), pressures * units.GPa)
    fit = bulk_modulus_from_stress(v[::-1], stresses[::-1])
    assert np.allclose([fit.v0, fit.b0, fit.b0_prime], [v0, b0, b0_prime], rtol=1e-6)
    assert fit.residual < 1e-10 * b0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("birch_murnaghan", "birchmurnaghan"), ("vinet", "vinet"), ("murnaghan", "murnaghan")],
)
def test_it_agrees_with_ase_on_energies_that_no_equation_fits(ours, theirs):
    v = _volumes(CRYSTALS["copper"][0])
    energies = _energies("vinet", v, "copper") + 1e-4 * np.cos(9 * np.arange(7))
    v0, e0, b0 = AseEquationOfState(v, energies, theirs).fit()
    fit = fit_equation_of_state(v, energies, ours)
    assert np.allclose([fit.v0, fit.e0, fit.b0], [v0, e0, b0 / units.GPa], rtol=1e-6)
    assert fit.residual == pytest.approx(
        1e3
        * np.sqrt(
            np.mean(
                np.square(
                    energies
                    - equation_of_state_energy(
                        ours, v, v0=fit.v0, e0=fit.e0, b0=fit.b0, b0_prime=fit.b0_prime
                    )
                )
            )
        ),
        rel=1e-6,
    )


@pytest.mark.parametrize("symbol", ["Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt"])
def test_emt_metals_against_the_second_derivative(symbol):
    """B = V d2E/dV2 at the minimum, by differences; small strains, within 0.1 %."""

    def evaluate(scale: float) -> tuple[float, float, np.ndarray]:
        atoms = bulk(symbol, "fcc", a=lattice * scale)
        atoms.calc = EMT()
        return atoms.get_volume(), atoms.get_potential_energy(), atoms.get_stress()

    def near(lowest: float, highest: float) -> list[np.ndarray]:
        points = map(evaluate, np.linspace(lowest, highest, 7))
        return [np.array(column) for column in zip(*points, strict=True)]

    lattice = bulk(symbol, cubic=True).cell[0, 0]
    v, energies, _ = near(0.96, 1.04)
    lattice *= (fit_equation_of_state(v, energies).v0 / v[3]) ** (1 / 3)
    v, energies, stresses = near(0.995, 1.005)
    fit = fit_equation_of_state(v, energies)
    from_stress = bulk_modulus_from_stress(v, stresses)
    step = 1e-3
    e = [evaluate((fit.v0 / v[3] * (1 + k * step)) ** (1 / 3))[1] for k in range(-2, 3)]
    derivative = (-e[0] + 16 * e[1] - 30 * e[2] + 16 * e[3] - e[4]) / 12
    expected = derivative / step**2 / fit.v0 / units.GPa
    assert fit.b0 == pytest.approx(expected, rel=1e-3)
    # the same range of volumes, but the ends of it weigh more: a little further off
    assert from_stress.b0 == pytest.approx(expected, rel=2e-3)
    assert from_stress.v0 == pytest.approx(fit.v0, rel=1e-5)


@given(
    offset=st.floats(-1e4, 1e4),
    copies=st.integers(1, 27),
    order=st.permutations(range(9)),
    name=st.sampled_from(EQUATIONS),
)
@settings(max_examples=40, deadline=None)
def test_zero_of_energy_size_of_cell_and_order_do_not_matter(offset, copies, order, name):
    v = _volumes(CRYSTALS["framework"][0], 9)
    energies = _energies("birch_murnaghan", v, "framework") + 1e-4 * np.sin(5 * np.arange(9))
    plain = fit_equation_of_state(v, energies, name)
    index = list(order)
    other = fit_equation_of_state(copies * v[index], copies * (energies + offset)[index], name)
    assert other.b0 == pytest.approx(plain.b0, rel=1e-6)
    assert other.b0_prime == pytest.approx(plain.b0_prime, rel=1e-5)
    assert other.v0 == pytest.approx(copies * plain.v0, rel=1e-8)
    assert other.e0 == pytest.approx(copies * (plain.e0 + offset), rel=1e-9, abs=1e-6)
    assert other.residual == pytest.approx(copies * plain.residual, rel=1e-4)


def test_four_points_are_enough_and_three_are_not():
    v0 = CRYSTALS["copper"][0]
    v = _volumes(v0, 4)
    fit = fit_equation_of_state(v, _energies("vinet", v, "copper"), "vinet")
    assert fit.b0 == pytest.approx(137.0, rel=1e-6)
    few = np.array([v[0], v[1], v[1], v[2]])
    with pytest.raises(EquationOfStateError, match="there are 3 different volumes") as caught:
        fit_equation_of_state(few, _energies("vinet", few, "copper"))
    assert "4 volumes or more" in caught.value.remedy
    assert isinstance(caught.value, MofononError)
    with pytest.raises(EquationOfStateError, match="there are 0 different volumes"):
        fit_equation_of_state([], [])


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(name, bad):
    v = _volumes(46.3)
    energies = _energies("vinet", v, "copper")
    energies[2] = bad
    with pytest.raises(EquationOfStateError, match="not finite"):
        fit_equation_of_state(v, energies, name)
    with pytest.raises(EquationOfStateError, match="not positive"):
        fit_equation_of_state(-v, v, name)
    with pytest.raises(EquationOfStateError, match="shape"):
        fit_equation_of_state(v, energies[1:], name)
    with pytest.raises(EquationOfStateError, match="the volumes or pressures"):
        bulk_modulus_from_stress(v, np.full((7, 6), bad))


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("energies", [lambda v: -((v - 46) ** 2), lambda v: 0 * v - 3])
def test_a_bulk_modulus_that_is_not_positive_is_refused(name, energies):
    v = _volumes(46.0)
    with pytest.raises(EquationOfStateError, match="the bulk modulus is not positive"):
        fit_equation_of_state(v, energies(v), name)


def test_pressure_that_rises_with_volume_is_refused():
    v = _volumes(46.0)
    stresses = -0.01 * np.outer(v - 46, [1, 1, 1, 0, 0, 0])
    with pytest.raises(EquationOfStateError, match="the bulk modulus is not positive"):
        bulk_modulus_from_stress(v, stresses)


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize(("shift", "where"), [(0.9, "larger"), (1.1, "smaller")])
def test_a_minimum_outside_the_volumes_is_refused(name, shift, where):
    v = shift * _volumes(CRYSTALS["copper"][0])
    energies = _energies(name, v, "copper")
    with pytest.raises(EquationOfStateError, match=f"falls towards {where} volumes") as caught:
        fit_equation_of_state(v, energies, name)
    assert "relax the cell first" in caught.value.remedy
