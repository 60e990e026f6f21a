"""Structures of the paper by method."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure
from scipy.spatial.transform import Rotation

from mofonon.structures import read_structure

FILES = {
    "DFT": "DFT/{}_geom-opt.json",
    "GFN1-xTB": "GFN1-xTB/{}.cif",
    "MACE-MP-0b": "MACE-MP-0b/{}-opt.extxyz",
    "MACE-MP-MOF0": "MACE-MP-MOF0/{}-opt.extxyz",
    "MACE-MP-MOF0-v2": "MACE-MP-MOF0-v2/{}-opt.extxyz",
}


@pytest.fixture(scope="session")
def optimized_path(reference_dir: Path) -> Callable[[str, str], Path]:
    """Path of an optimised structure: MOF and method."""
    return lambda mof, method: reference_dir / "optimized" / FILES[method].format(mof)


@pytest.fixture(scope="session")
def optimized(optimized_path) -> Callable[[str, str], Structure]:
    """An optimised structure: MOF and method."""
    return lambda mof, method: read_structure(optimized_path(mof, method))


@pytest.fixture
def scramble() -> Callable[..., Structure]:
    """Describe a crystal in another cell, orientation, origin and order of atoms."""

    def scrambled(structure: Structure, matrix: object, seed: int = 0) -> Structure:
        rng = np.random.default_rng(seed)
        cell = structure.copy()
        cell.make_supercell(matrix)
        order = rng.permutation(len(cell))
        rotation = Rotation.random(random_state=seed).as_matrix()
        return Structure(
            cell.lattice.matrix @ rotation.T,
            [cell[int(i)].specie for i in order],
            (cell.frac_coords[order] + rng.random(3)) % 1,
        )

    return scrambled
