"""Carbon atoms that lack hydrogen, judged by coordination, angles and bond lengths.

Refinements from X-ray data often leave hydrogen out. What remains gives it away:

- two neighbours at a bent angle (aromatic CH, formate, CH2, CH3 with a hydrogen left): a
  carbon with two neighbours that misses nothing is linear (alkyne, cyanide, CO2, allene);
- one neighbour at the length of a single bond (methyl): CO and CN have a much shorter bond;
- three neighbours in a pyramid (CHR3): a carbon with three neighbours that misses nothing is
  planar, fullerenes and bowls being the flattest pyramids.

A carbon with a metal neighbour is not judged: carbenes, alkyls and carbides are what they
look like.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from mofonon.structures.bonds import (
    AtomPairs,
    atomic_numbers,
    bonds,
    covalent_radii,
    is_metal,
)

BENT_ANGLE_RANGE = (85.0, 145.0)
"""Angles in degrees at which two neighbours of a carbon leave room for a hydrogen."""

SINGLE_BOND_RATIO = 0.92
"""A lone bond of carbon longer than this times the sum of radii is single: C-C over 1.40 A."""

PYRAMID_ANGLE_SUM = 335.0
"""Three bond angles adding up to less, in degrees, make a pyramid (C60: 348, CHR3: 329)."""


def carbons_lacking_hydrogen(
    structure: Structure, bonded: AtomPairs | None = None
) -> tuple[list[int], list[int]]:
    """Carbon atoms whose geometry calls for more hydrogen than they have.

    Parameters
    ----------
    structure : Structure
        Ordered and periodic in three directions.
    bonded : AtomPairs, optional
        From :func:`mofonon.structures.bonds.bonds`, if at hand.

    Returns
    -------
    certain : list of int
        Site indices of carbons with one or two neighbours that no complete molecule has.
    suspected : list of int
        Site indices of pyramidal carbons with three neighbours.
    """
    bonded = bonds(structure) if bonded is None else bonded
    by_carbon = _bonds_by_carbon(structure, bonded)
    radii, metal = covalent_radii(structure), is_metal(structure)
    vectors = _bond_vectors(structure, bonded)
    certain: list[int] = []
    suspected: list[int] = []
    for carbon, chosen in by_carbon.items():
        others = bonded.second[chosen]
        if metal[others].any():
            continue
        angles = _angles(vectors[chosen])
        if len(others) == 1:
            length = bonded.distance[chosen][0]
            if length > SINGLE_BOND_RATIO * (radii[carbon] + radii[others[0]]):
                certain.append(carbon)
        elif len(others) == 2 and BENT_ANGLE_RANGE[0] <= angles[0] <= BENT_ANGLE_RANGE[1]:
            certain.append(carbon)
        elif len(others) == 3 and angles.sum() < PYRAMID_ANGLE_SUM:
            suspected.append(carbon)
    return certain, suspected


def _bonds_by_carbon(structure: Structure, bonded: AtomPairs) -> dict[int, NDArray[np.int64]]:
    """Rows of `bonded` that start at each carbon with one to three bonds."""
    numbers = atomic_numbers(structure)
    order = np.argsort(bonded.first, kind="stable")
    bounds = np.searchsorted(bonded.first[order], np.arange(len(structure) + 1))
    return {
        int(carbon): order[bounds[carbon] : bounds[carbon + 1]]
        for carbon in np.flatnonzero(numbers == 6)
        if 1 <= bounds[carbon + 1] - bounds[carbon] <= 3
    }


def _bond_vectors(structure: Structure, bonded: AtomPairs) -> NDArray[np.float64]:
    """Vectors from first to second atom, in A, shape (n_bonds, 3)."""
    fractional = structure.frac_coords
    difference = fractional[bonded.second] + bonded.image - fractional[bonded.first]
    return np.asarray(difference @ structure.lattice.matrix, dtype=np.float64)


def _angles(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles between all pairs of vectors, in degrees."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    row, column = np.triu_indices(len(vectors), 1)
    cosine = np.einsum("ij,ij->i", unit[row], unit[column])
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))), dtype=np.float64)
