"""A Hessian from distances alone, to start from where finite differences are too dear.

Springs between atoms near each other, whose strength falls exponentially with the distance
over the sum of the covalent radii, as in the model Hessians of quantum chemistry: bonds are
stiff along their direction, pairs next to each other and further keep angles and torsions.
Positions and strain follow from the same springs.

References
----------
R. Lindh, A. Bernhardsson, G. Karlstroem, P.-A. Malmqvist, Chem. Phys. Lett. 241, 423 (1995);
D. Packwood et al., J. Chem. Phys. 144, 164109 (2016).
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Spring constant at the sum of the covalent radii (eV/A^2).
STIFFNESS = 35.0

#: Decay of spring constants with distance over the sum of the covalent radii.
DECAY = 3.5

#: Stiffness across a pair over that along it.
ACROSS = 0.06

#: Largest distance over the sum of the covalent radii.
REACH = 2.6


def model_hessian(atoms: Atoms, length: float | None = None) -> Floats:
    """Hessian of springs between near atoms.

    Parameters
    ----------
    atoms : Atoms
        The structure.
    length : float, optional
        Length that a strain of one counts as (A), to have the strain too.

    Returns
    -------
    ndarray, shape (n, n)
        Positive semi-definite, over flattened rows of atoms and, with a length, strain
        (eV/A^2); rigid translations have no energy.
    """
    radii = covalent_radii[atoms.numbers]
    i, j, vectors = neighbor_list("ijD", atoms, REACH * radii)
    distances = np.linalg.norm(vectors, axis=1)
    scaled = distances / (radii[i] + radii[j])
    constants = STIFFNESS * np.exp(-DECAY * (scaled - 1.0))
    constants = np.minimum(constants, STIFFNESS * np.exp(0.25 * DECAY)) / 2  # each pair twice
    unit = vectors / distances[:, None]
    along = np.einsum("pi,pj->pij", unit, unit)
    springs = constants[:, None, None] * ((1 - ACROSS) * along + ACROSS * np.eye(3))
    return _assemble(len(atoms), i, j, vectors, springs, length)


def _assemble(
    n_atoms: int,
    i: Integers,
    j: Integers,
    vectors: Floats,
    springs: Floats,
    length: float | None,
) -> Floats:
    """Sum ``d^T k d`` of the pairs, with ``d = u_j - u_i + U r``."""
    blocks = np.zeros((n_atoms, n_atoms, 3, 3))
    np.add.at(blocks, (i, i), springs)
    np.add.at(blocks, (j, j), springs)
    np.add.at(blocks, (i, j), -springs)
    np.add.at(blocks, (j, i), -springs)
    positions = blocks.transpose(0, 2, 1, 3).reshape(3 * n_atoms, 3 * n_atoms)
    if length is None:
        return positions
    hessian = np.zeros((3 * n_atoms + 9, 3 * n_atoms + 9))
    hessian[:-9, :-9] = positions
    arms = vectors / length
    stretched = np.einsum("pab,pc->pabc", springs, arms)  # force a of strain (b, c)
    coupling = np.zeros((n_atoms, 3, 3, 3))
    np.add.at(coupling, j, stretched)
    np.add.at(coupling, i, -stretched)
    hessian[:-9, -9:] = coupling.reshape(3 * n_atoms, 9)
    hessian[-9:, :-9] = hessian[:-9, -9:].T
    elastic = np.einsum("pc,pabd->acbd", arms, stretched)
    hessian[-9:, -9:] = elastic.reshape(9, 9)
    return hessian
