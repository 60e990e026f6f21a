"""GFN1-xTB by tblite."""

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.fd import calculate_numerical_forces
from ase.units import Bohr, Hartree

from mofonon.errors import PotentialError, UnknownElementError
from mofonon.potentials import (
    PotentialSpec,
    check_elements,
    describe_potential,
    make_calculator,
)


def test_energy_is_that_of_tblite_itself():
    from tblite.interface import Calculator

    water = molecule("H2O")
    direct = Calculator("GFN1-xTB", water.numbers, water.positions / Bohr)
    direct.set("verbosity", 0)
    water.calc = make_calculator(PotentialSpec.from_name("gfn1-xtb"))
    energy = direct.singlepoint().get("energy") * Hartree
    assert water.get_potential_energy() == pytest.approx(energy, abs=1e-5)


def test_forces_are_derivatives_of_a_periodic_energy():
    crystal = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    crystal.rattle(0.05, seed=0)
    crystal.calc = make_calculator(PotentialSpec.from_name("gfn1-xtb"))
    numerical = calculate_numerical_forces(crystal, eps=1e-3, iatoms=[0])[0]
    assert crystal.get_forces()[0] == pytest.approx(numerical, abs=2e-4)
    assert np.abs(crystal.get_forces().sum(axis=0)).max() < 1e-6


def test_what_it_is_and_what_it_knows():
    description = describe_potential(PotentialSpec.from_name("GFN1-xTB"))
    assert description.label == "GFN1-xTB"
    assert description.package is not None
    assert description.package.startswith("tblite ")
    check_elements(["Zn", "Zr", "H"], description)
    with pytest.raises(UnknownElementError):
        check_elements(["U"], description)
    with pytest.raises(PotentialError, match="float32"):
        PotentialSpec.from_name("gfn1-xtb", dtype="float32")
