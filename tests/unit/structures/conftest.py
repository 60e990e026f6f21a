"""Crystals that the tests of this folder build themselves."""

import pytest
from pymatgen.core import Lattice, Structure

# MOF-5 in Fm-3m from its geometry: Zn-O 1.94, C-O 1.27, ring C-C 1.39, C-H 1.08 A.
MOF5_SITES = (
    ("Zn", (0.2934, 0.2934, 0.2934)),
    ("O", (0.25, 0.25, 0.25)),
    ("O", (0.2807, 0.2193, 0.1342)),
    ("C", (0.25, 0.25, 0.1110)),
    ("C", (0.25, 0.25, 0.0537)),
    ("C", (0.2830, 0.2170, 0.0268)),
    ("H", (0.3086, 0.1914, 0.0480)),
)


def build_mof5() -> Structure:
    """Conventional cell of MOF-5, 424 atoms."""
    symbols, positions = zip(*MOF5_SITES, strict=True)
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(25.83), symbols, positions)


@pytest.fixture(scope="session")
def mof5_cell() -> Structure:
    return build_mof5()


@pytest.fixture
def mof5(mof5_cell: Structure) -> Structure:
    return mof5_cell.copy()
