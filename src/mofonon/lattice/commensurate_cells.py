"""Cells in which a q-point is periodic."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import Atoms
from ase.geometry.minkowski_reduction import minkowski_reduce
from numpy.typing import NDArray

from mofonon.errors import SettingsError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def commensurate_matrix(q: Floats, cell: Floats, largest: int = 16) -> Integers:
    """Smallest supercell in which a q-point is periodic.

    Parameters
    ----------
    q : ndarray, shape (3,)
        Rational q-point (reduced coordinates).
    cell : ndarray, shape (3, 3)
        Cell vectors in rows (A); the supercell found has short vectors.
    largest : int
        Largest multiple of the cell that is tried.

    Returns
    -------
    ndarray, shape (3, 3)
        Integers; supercell vectors in rows are ``matrix @ cell``.

    Raises
    ------
    SettingsError
        When no supercell up to ``largest`` holds the q-point.
    """
    for determinant in range(1, largest + 1):
        for a in (n for n in range(1, determinant + 1) if determinant % n == 0):
            rest = determinant // a
            for d in (n for n in range(1, rest + 1) if rest % n == 0):
                f = rest // d
                for b, c, e in product(range(d), range(f), range(f)):
                    matrix = np.array([[a, b, c], [0, d, e], [0, 0, f]])
                    if np.allclose(matrix @ q, np.rint(matrix @ q), atol=1e-8):
                        return _short_vectors(matrix, cell)
    raise SettingsError(
        f"no supercell of up to {largest} cells holds q = {np.round(q, 4).tolist()}",
        "use a supercell with smaller multiples",
    )


def supercell_of(unit: Atoms, matrix: Integers) -> tuple[Atoms, Integers, Floats]:
    """Repeat a unit cell.

    Parameters
    ----------
    unit : Atoms
        The unit cell.
    matrix : ndarray of int, shape (3, 3)
        Vectors of the supercell (rows) in unit cells.

    Returns
    -------
    atoms : Atoms
        The supercell; the images of an atom follow each other.
    index : ndarray of int, shape (n_atoms,)
        Atom of the unit cell.
    positions : ndarray, shape (n_atoms, 3)
        Positions in units of the unit cell's vectors.
    """
    inverse = np.linalg.inv(matrix)
    corners = np.array(list(product((0, 1), repeat=3))) @ matrix
    ranges = [
        range(low, high + 1) for low, high in zip(corners.min(0), corners.max(0), strict=True)
    ]
    points = np.array(list(product(*ranges)))
    fractions = points @ inverse
    inside = points[((fractions > -1e-9) & (fractions < 1 - 1e-9)).all(axis=1)]
    index = np.repeat(np.arange(len(unit)), len(inside))
    positions = unit.get_scaled_positions(wrap=False)[index] + np.tile(inside, (len(unit), 1))
    atoms = Atoms(
        np.array(unit.get_chemical_symbols())[index],
        cell=matrix @ unit.cell.array,
        positions=positions @ unit.cell.array,
        pbc=True,
    )
    return atoms, index, positions


def _short_vectors(matrix: Integers, cell: Floats) -> Integers:
    if np.array_equal(matrix, np.eye(3)):
        return matrix
    _, operation = minkowski_reduce(matrix @ cell)
    reduced = np.rint(operation @ matrix).astype(np.int64)
    return reduced if np.linalg.det(reduced) > 0 else -reduced
