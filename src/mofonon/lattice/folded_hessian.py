"""The Hessian of a cell from force constants that are known: to relax what was perturbed.

Force constants of a supercell, folded into a cell that divides it, are the Hessian over the
positions of that cell. The strain, which force constants say nothing of, is that of a model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy

from mofonon.lattice.carried_hessian import CarriedHessian
from mofonon.lattice.commensurate_cells import supercell_of
from mofonon.lattice.model_hessian import model_hessian
from mofonon.lattice.phonons import to_atoms

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def fold_force_constants(phonon: Phonopy, matrix: Integers) -> Floats:
    """Hessian over the positions of a cell that divides the supercell.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With compact force constants; unit cell and primitive cell are the same.
    matrix : ndarray of int, shape (3, 3)
        Cell vectors (rows) in unit cells; the supercell of the force constants is a multiple.

    Returns
    -------
    ndarray, shape (3 n, 3 n)
        Over the atoms of :func:`~mofonon.lattice.commensurate_cells.supercell_of` (eV/A^2).
    """
    unit, supercell = to_atoms(phonon.primitive), phonon.supercell
    _, index, positions = supercell_of(unit, matrix)
    points = np.rint(positions - unit.get_scaled_positions(wrap=False)[index]).astype(int)
    points = points[: len(index) // len(unit)]
    place = {_key(point, matrix): number for number, point in enumerate(points)}
    kinds = np.array([phonon.primitive.p2p_map[atom] for atom in phonon.primitive.s2p_map])
    origins = phonon.primitive.p2s_map
    home = (supercell.positions - unit.positions[kinds]) @ np.linalg.inv(unit.cell.array)
    constants = np.asarray(phonon.force_constants)
    if len(constants) == len(supercell):
        constants = constants[origins]
    hessian = np.zeros((len(unit), len(points), len(unit), len(points), 3, 3))
    for i, origin in enumerate(origins):
        shifts = np.rint(home - home[origin]).astype(int)
        for k, (j, shift) in enumerate(zip(kinds, shifts, strict=True)):
            for number, point in enumerate(points):
                hessian[i, number, j, place[_key(point + shift, matrix)]] += constants[i, k]
    size = 3 * len(index)
    return np.asarray(hessian.transpose(0, 1, 4, 2, 3, 5).reshape(size, size))


def perturbed_hessian(
    phonon: Phonopy, matrix: Integers, pattern: Floats | None = None
) -> CarriedHessian:
    """Hessian to relax a perturbed cell with.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants of the structure before it was perturbed.
    matrix : ndarray of int, shape (3, 3)
        The cell, in unit cells.
    pattern : ndarray, shape (n_atoms, 3), optional
        Displacement along a mode of negative curvature to the minimum of a double well, where
        the curvature is twice as large and positive: ``E = -k a^2 + c a^4``.
    """
    atoms, _, _ = supercell_of(to_atoms(phonon.primitive), matrix)
    joint = model_hessian(atoms, 1.0)
    positions = fold_force_constants(phonon, matrix)
    positions = (positions + positions.T) / 2
    if pattern is not None:
        along = pattern.ravel() / np.linalg.norm(pattern)
        positions += 3 * abs(float(along @ positions @ along)) * np.outer(along, along)
    joint[:-9, :-9] = positions
    return CarriedHessian(joint)


def _key(point: Integers, matrix: Integers) -> tuple[int, ...]:
    """Lattice points that differ by a vector of the cell have the same key."""
    determinant = round(abs(np.linalg.det(matrix)))
    scaled = np.rint(point @ np.linalg.inv(matrix) * determinant).astype(int)
    return tuple(int(n) for n in scaled % determinant)
