"""Relaxation: the minimum, or an error."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from mofonon.errors import PotentialError, RelaxationNotConverged, SettingsError
from mofonon.lattice.relax import relax
from mofonon.potentials import PotentialSpec


def test_lennard_jones_argon_relaxes_to_its_closed_form_lattice():
    """Nearest-neighbour LJ in fcc: the minimum is at 2^(1/6) sigma."""
    sigma = 3.4
    calculator = LennardJones(sigma=sigma, epsilon=0.01, rc=1.2 * sigma, smooth=False)
    atoms = bulk("Ar", "fcc", a=5.5, cubic=True)
    atoms.rattle(0.02, seed=0)
    result = relax(atoms, calculator, 1e-8)
    nearest = result.atoms.get_all_distances(mic=True)[0, 1:].min()
    assert np.isclose(nearest, 2 ** (1 / 6) * sigma, atol=1e-6)
    assert result.converged
    assert result.max_force < 1e-8


def test_the_result_is_at_a_minimum_with_zero_stress():
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
    atoms.rattle(0.02, seed=1)
    result = relax(atoms, EMT(), 1e-6)
    check = result.atoms.copy()
    check.calc = EMT()
    assert np.abs(check.get_forces()).max() < 1e-6
    # ASE's filter judges the virial per atom
    assert np.abs(check.get_stress()).max() * check.get_volume() / len(check) < 1e-6
    assert result.history[-1, 1] < 1e-6
    assert result.history[0, 0] > result.history[-1, 0]
    assert len(result.history) <= result.n_force_evaluations


def test_each_step_of_lbfgs_is_one_evaluation():
    result = relax(bulk("Cu", "fcc", a=3.7, cubic=True), EMT(), 1e-4, method="lbfgs")
    assert result.method == "lbfgs"
    assert len(result.history) == result.n_force_evaluations


def test_fixed_cell():
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
    atoms.rattle(0.05, seed=1)
    result = relax(atoms, EMT(), 1e-6, cell="fixed")
    assert np.array_equal(result.atoms.cell.array, atoms.cell.array)


def test_fixed_volume():
    """The shape relaxes back to cubic, the volume stays."""
    atoms = bulk("Cu", "fcc", a=3.7, cubic=True)
    atoms.set_cell(atoms.cell.array @ np.diag([1.03, 1.0, 0.98]), scale_atoms=True)
    result = relax(atoms, EMT(), 1e-6, cell="fixed-volume")
    assert np.isclose(result.atoms.get_volume(), atoms.get_volume(), rtol=1e-10)
    assert np.ptp(result.atoms.cell.lengths()) < 1e-5


def test_the_input_is_not_changed():
    atoms = bulk("Cu", "fcc", a=3.7)
    positions, cell = atoms.positions.copy(), atoms.cell.array.copy()
    relax(atoms, EMT(), 1e-4)
    assert np.array_equal(atoms.positions, positions)
    assert np.array_equal(atoms.cell.array, cell)
    assert atoms.calc is None


def test_too_few_steps_are_an_error_that_says_where_it_stood():
    atoms = bulk("Cu", "fcc", a=3.9, cubic=True)
    atoms.rattle(0.1, seed=1)
    with pytest.raises(
        RelaxationNotConverged, match=r"Cu4: fmax is .* after \d+ force"
    ) as caught:
        relax(atoms, EMT(), 1e-6, max_steps=2)
    assert "--fmax" in caught.value.remedy


def test_a_spec_is_taken_too():
    spec = PotentialSpec.from_name("ase.calculators.emt:EMT")
    assert relax(bulk("Cu", "fcc", a=3.6), spec, 1e-5).converged


def test_something_else_than_a_potential_is_refused():
    with pytest.raises(SettingsError, match="not str"):
        relax(bulk("Cu"), "emt")  # type: ignore[arg-type]


def test_a_cell_cannot_be_relaxed_without_stress():
    from ase.calculators.calculator import Calculator, all_changes

    class NoStress(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms=None, properties=None, system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}

    with pytest.raises(PotentialError, match="gives no stress"):
        relax(bulk("Cu"), NoStress())
    assert relax(bulk("Cu"), NoStress(), cell="fixed").converged
