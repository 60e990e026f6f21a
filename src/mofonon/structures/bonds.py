"""Which atoms are bonded, from distances and covalent radii alone.

Two atoms are bonded when their distance is at most the sum of their covalent radii
(B. Cordero et al., Dalton Trans. 2008, 2832, as tabulated by ASE) plus a tolerance: 0.4 A, as
in the Cambridge Structural Database, and 0.3 A when one of them is hydrogen. The second
neighbours of a covalent network are 0.4 A or more beyond that, hydrogen bonds 0.2 A or more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

BOND_TOLERANCE = 0.4
"""Stretch allowed for a bond between atoms other than hydrogen, in A."""

HYDROGEN_TOLERANCE = 0.3
"""Stretch allowed for a bond of hydrogen, in A."""


@dataclass(frozen=True)
class AtomPairs:
    """Directed pairs of atoms of a periodic structure: each pair appears from both ends.

    Parameters
    ----------
    first, second : ndarray of int, shape (n_pairs,)
        Site indices.
    image : ndarray of int, shape (n_pairs, 3)
        Cell that the second atom is in, the first being in its own.
    distance : ndarray of float, shape (n_pairs,)
        Distances, in A.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    image: NDArray[np.int64]
    distance: NDArray[np.float64]

    def select(self, chosen: NDArray[np.bool_]) -> AtomPairs:
        """Pairs where `chosen`, shape (n_pairs,), is true."""
        return AtomPairs(
            self.first[chosen], self.second[chosen], self.image[chosen], self.distance[chosen]
        )


@dataclass(frozen=True)
class Fragment:
    """A set of atoms connected by bonds.

    Parameters
    ----------
    sites : tuple of int
        Site indices, ascending.
    dimension : int
        In how many directions the bonds go on for ever: 0 for a molecule, 3 for most MOFs.
    """

    sites: tuple[int, ...]
    dimension: int


def atomic_numbers(structure: Structure) -> NDArray[np.int64]:
    """Atomic numbers of an ordered structure, shape (n_atoms,)."""
    return np.array([site.specie.Z for site in structure], dtype=np.int64)


def covalent_radii(structure: Structure) -> NDArray[np.float64]:
    """Covalent radius of each atom, in A, shape (n_atoms,)."""
    from ase.data import covalent_radii as radii

    return np.asarray(radii[atomic_numbers(structure)], dtype=np.float64)


def is_metal(structure: Structure) -> NDArray[np.bool_]:
    """Whether each atom is a metal (metalloids are not), shape (n_atoms,)."""
    numbers = atomic_numbers(structure)
    kinds, inverse = np.unique(numbers, return_inverse=True)
    metallic = [Element.from_Z(int(number)).is_metal for number in kinds]
    return np.array(metallic, dtype=bool)[inverse]


def close_pairs(structure: Structure) -> AtomPairs:
    """Pairs of atoms near enough to be bonded or to overlap.

    Parameters
    ----------
    structure : Structure
        Ordered and periodic in three directions.

    Returns
    -------
    AtomPairs
        Every pair within twice the largest covalent radius plus `BOND_TOLERANCE`.
    """
    cutoff = 2 * float(covalent_radii(structure).max()) + BOND_TOLERANCE
    first, second, image, distance = structure.get_neighbor_list(cutoff)
    return AtomPairs(
        first.astype(np.int64),
        second.astype(np.int64),
        np.rint(image).astype(np.int64),
        distance,
    )


def bonds(structure: Structure, pairs: AtomPairs | None = None) -> AtomPairs:
    """Bonds by covalent radii.

    Parameters
    ----------
    structure : Structure
        Ordered and periodic in three directions.
    pairs : AtomPairs, optional
        From :func:`close_pairs`, if at hand.

    Returns
    -------
    AtomPairs
        The bonded pairs.
    """
    pairs = close_pairs(structure) if pairs is None else pairs
    radii = covalent_radii(structure)
    hydrogen = atomic_numbers(structure) == 1
    with_hydrogen = hydrogen[pairs.first] | hydrogen[pairs.second]
    tolerance = np.where(with_hydrogen, HYDROGEN_TOLERANCE, BOND_TOLERANCE)
    return pairs.select(pairs.distance <= radii[pairs.first] + radii[pairs.second] + tolerance)


def fragments(structure: Structure, bonded: AtomPairs | None = None) -> list[Fragment]:
    """Find the sets of connected atoms and the dimension of each.

    The dimension is the rank of the lattice vectors that closed walks along the bonds add up
    to (P. M. Larsen et al., Phys. Rev. Mater. 3, 034003 (2019)).

    Parameters
    ----------
    structure : Structure
        Ordered and periodic in three directions.
    bonded : AtomPairs, optional
        From :func:`bonds`, if at hand.

    Returns
    -------
    list of Fragment
        In the order of their first atoms.
    """
    bonded = bonds(structure) if bonded is None else bonded
    neighbours: list[list[tuple[int, NDArray[np.int64]]]] = [[] for _ in structure]
    for i, j, image in zip(bonded.first, bonded.second, bonded.image, strict=True):
        neighbours[i].append((int(j), image))
    cell_of: dict[int, NDArray[np.int64]] = {}
    return [
        _fragment_of(start, neighbours, cell_of)
        for start in range(len(structure))
        if start not in cell_of
    ]


def _fragment_of(
    start: int,
    neighbours: list[list[tuple[int, NDArray[np.int64]]]],
    cell_of: dict[int, NDArray[np.int64]],
) -> Fragment:
    """Walk from one atom; `cell_of` gains the cell in which the walk meets each atom."""
    cell_of[start] = np.zeros(3, dtype=np.int64)
    sites, repeats = [start], {(0, 0, 0)}
    queue = deque(sites)
    while queue:
        here = queue.popleft()
        for there, image in neighbours[here]:
            cell = cell_of[here] + image
            if there in cell_of:
                repeats.add(tuple((cell - cell_of[there]).tolist()))
            else:
                cell_of[there] = cell
                sites.append(there)
                queue.append(there)
    return Fragment(tuple(sorted(sites)), int(np.linalg.matrix_rank(np.array(list(repeats)))))
