"""Directions of displacements: as few as the symmetry of a site allows.

An atom must be displaced along directions that, with their images under the operations of
its site, span space. Directions on axes and diagonals, which most codes use, often lie on
symmetry elements and have few images: a site of symmetry mm2 needs up to three of them and a
single generic one.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.symmetry import Symmetry
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]

#: Orthonormal frames tried for each site.
_N_FRAMES = 400

#: Directions whose images span space worse than this do not span it. The measure is the
#: least eigenvalue of their mean projector, at best 1/3 for one direction.
_SPANNING = 0.01

#: Frames as good as the best one to within this are equal, and the first is taken: rounding
#: does not decide.
_EQUAL = 1e-6


def generic_displacements(
    supercell: PhonopyAtoms, symmetry: Symmetry, distance: float
) -> list[tuple[int, Floats]]:
    """Displacements of the inequivalent atoms, one-sided, in general directions.

    Parameters
    ----------
    supercell : PhonopyAtoms
        The supercell.
    symmetry : Symmetry
        Its symmetry.
    distance : float
        Length of each displacement (A).

    Returns
    -------
    list of (int, ndarray of shape (3,))
        Atom and Cartesian displacement (A).
    """
    lattice = supercell.cell.T  # vectors in columns
    inverse = np.linalg.inv(lattice)
    found = []
    for atom in symmetry.get_independent_atoms():
        site = np.array([lattice @ r @ inverse for r in symmetry.get_site_symmetry(atom)])
        found += [(int(atom), distance * each) for each in generic_directions(site)]
    return found


def generic_directions(site: Floats) -> Floats:
    """Fewest directions whose images under the operations of a site span space best.

    Parameters
    ----------
    site : ndarray, shape (n_operations, 3, 3)
        Cartesian rotations of the site, the identity among them.

    Returns
    -------
    ndarray, shape (n_directions, 3)
        Orthonormal rows, one to three. One if no irreducible representation occurs twice in
        the vectors of the site group, as in mm2; two as in m and 2; three as in 1 and -1.
    """
    frames = _frames()
    for count in (1, 2, 3):
        images = np.einsum("gij,fkj->fgki", site, frames[:, :count])
        projectors = np.einsum("fgki,fgkj->fij", images, images) / len(site)
        spread = np.linalg.eigvalsh(projectors)[:, 0]
        if spread.max() > _SPANNING:
            break
    best = int(np.flatnonzero(spread > spread.max() - _EQUAL)[0])
    return np.array(frames[best, :count])


@lru_cache(maxsize=1)
def _frames() -> Floats:
    """Orthonormal frames spread evenly over all orientations, shape (n, 3, 3).

    References
    ----------
    M. Alexa, Super-Fibonacci Spirals, Proc. CVPR 2022, 8291.
    """
    step = np.arange(_N_FRAMES) + 0.5
    radius, angle = np.sqrt(step / _N_FRAMES), 2 * np.pi * step
    other = np.sqrt(1 - step / _N_FRAMES)
    first, second = angle / np.sqrt(2.0), angle / 1.533751168755204288118041
    quaternions = np.stack(
        [
            radius * np.sin(first),
            radius * np.cos(first),
            other * np.sin(second),
            other * np.cos(second),
        ],
        axis=1,
    )
    return np.asarray(Rotation.from_quat(quaternions).as_matrix())
