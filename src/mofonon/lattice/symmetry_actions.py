"""What the operations of a crystal do to displacements, strains, gradients and Hessians.

A vector of the joint space of positions and strain is an array of rows: one for each atom
and, with the cell free, three more, a strain in the frame of the undeformed cell as ASE's
filters have it. An operation permutes and rotates the atoms, ``u'[p(i)] = R u[i]``, and
rotates the strain, ``U' = R U R^T``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: An operation is exact when atoms and lattice are reproduced to this (A).
EXACT = 1e-5


@dataclass(frozen=True)
class SymmetryActions:
    """Operations of a crystal as they act on rows.

    Attributes
    ----------
    rotations : ndarray, shape (n_operations, 3, 3)
        Cartesian, acting on columns; the first is the identity.
    permutations : ndarray of int, shape (n_operations, n_atoms)
        Atom ``i`` goes to where atom ``permutations[g, i]`` is.
    """

    rotations: Floats
    permutations: Integers

    @classmethod
    def trivial(cls, n_atoms: int) -> SymmetryActions:
        """Nothing but the identity."""
        return cls(np.eye(3)[None], np.arange(n_atoms)[None])

    @property
    def order(self) -> int:
        """Number of operations."""
        return len(self.rotations)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.permutations.shape[1]

    def apply(self, operation: int, rows: Floats) -> Floats:
        """Act on rows.

        Parameters
        ----------
        operation : int
            Which operation.
        rows : ndarray, shape (..., n_rows, 3)
            Displacements or gradients; the last three rows a strain, if there are three
            more than atoms.
        """
        rotation = self.rotations[operation]
        moved = np.empty_like(rows)
        n_atoms = self.n_atoms
        moved[..., self.permutations[operation], :] = rows[..., :n_atoms, :] @ rotation.T
        if rows.shape[-2] > n_atoms:
            moved[..., n_atoms:, :] = rotation @ rows[..., n_atoms:, :] @ rotation.T
        return moved

    def project(self, rows: Floats) -> Floats:
        """Average rows over the operations: their totally symmetric part."""
        return sum(
            (self.apply(operation, rows) for operation in range(self.order)),
            np.zeros_like(rows),
        ) / float(self.order)

    def project_hessian(self, hessian: Floats) -> Floats:
        """Average a matrix over the operations.

        Parameters
        ----------
        hessian : ndarray, shape (n, n)
            Over flattened rows.
        """
        size = len(hessian)
        average = np.zeros_like(hessian)
        for operation in range(self.order):
            half = self.apply(operation, hessian.reshape(size, -1, 3)).reshape(size, size)
            average += self.apply(operation, half.T.reshape(size, -1, 3)).reshape(size, size).T
        return average / self.order

    def leaving(self, rows: Floats, tolerance: float) -> SymmetryActions:
        """Operations that leave rows as they are: a subgroup.

        Parameters
        ----------
        rows : ndarray, shape (n_rows, 3)
            A displacement or a gradient.
        tolerance : float
            Largest change of a row that counts as none.
        """
        kept = [
            operation
            for operation in range(self.order)
            if np.abs(self.apply(operation, rows) - rows).max() <= tolerance
        ]
        return SymmetryActions(self.rotations[kept], self.permutations[kept])

    def preserving(self, strains: Floats) -> SymmetryActions:
        """Operations that map free strains on free strains.

        Parameters
        ----------
        strains : ndarray, shape (n_strains, 3, 3)
            Orthonormal basis of the strains that are free.
        """
        if len(strains) in (0, 6):
            return self
        flat = strains.reshape(-1, 9)
        kept = []
        for index, rotation in enumerate(self.rotations):
            turned = (rotation @ strains @ rotation.T).reshape(-1, 9)
            if np.abs(turned - turned @ flat.T @ flat).max() < 1e-8:
                kept.append(index)
        return SymmetryActions(self.rotations[kept], self.permutations[kept])

    @cached_property
    def orbits(self) -> list[Integers]:
        """Atoms that the operations map on each other, the first the representative."""
        found, seen = [], np.zeros(self.n_atoms, bool)
        for atom in range(self.n_atoms):
            if not seen[atom]:
                images = np.unique(self.permutations[:, atom])
                seen[images] = True
                found.append(np.concatenate([[atom], images[images != atom]]))
        return found

    def site_group(self, atom: int) -> Integers:
        """Operations that leave an atom where it is."""
        return np.flatnonzero(self.permutations[:, atom] == atom)

    def carrier(self, atom: int, image: int) -> int:
        """Find an operation that carries an atom to an image of it."""
        return int(np.flatnonzero(self.permutations[:, atom] == image)[0])

    def invariant_rows(self, strains: Floats) -> Floats:
        """Orthonormal basis of the totally symmetric rows.

        Parameters
        ----------
        strains : ndarray, shape (n_strains, 3, 3)
            Orthonormal basis of the strains that are free; empty with the cell fixed.

        Returns
        -------
        ndarray, shape (n_basis, n_rows, 3)
            Translations that the operations leave alone are among them.
        """
        n_rows = self.n_atoms + (3 if len(strains) else 0)
        basis = []
        for orbit in self.orbits:
            site = self.site_group(int(orbit[0]))
            for direction in _fixed(self.rotations[site].mean(axis=0)):
                rows = np.zeros((n_rows, 3))
                for image in orbit:
                    rows[image] = self.rotations[self.carrier(int(orbit[0]), image)] @ direction
                basis.append(rows / np.linalg.norm(rows))
        if len(strains):
            flat = strains.reshape(-1, 9)
            average = np.einsum("gij,skj->gsik", self.rotations, strains.transpose(0, 2, 1))
            rotated = np.einsum("gsik,glk->gsil", average, self.rotations).mean(axis=0)
            for weights in _fixed(rotated.reshape(-1, 9) @ flat.T):
                rows = np.zeros((n_rows, 3))
                rows[-3:] = np.tensordot(weights, strains, axes=1)
                basis.append(rows)
        return np.array(basis).reshape(-1, n_rows, 3)


def find_actions(atoms: Atoms, tolerance: float = EXACT) -> SymmetryActions:
    """Find the operations of a crystal that hold exactly.

    Operations that spglib finds at the tolerance but that do not preserve lengths of the
    lattice or the places of the atoms to it are left out, so that what is found is a group
    of the crystal as it is.

    Parameters
    ----------
    atoms : Atoms
        Periodic in three directions, or else only the identity is found; so it is with
        constraints, which break symmetry.
    tolerance : float
        Distance (A).

    Notes
    -----
    Translations of a cell that is not primitive are operations too.
    """
    if not atoms.pbc.all() or atoms.constraints:
        return SymmetryActions.trivial(len(atoms))
    crystal = (atoms.cell.array, atoms.positions, atoms.numbers.astype(np.int64))
    return _find_actions(*(part.tobytes() for part in crystal), tolerance)


@lru_cache(maxsize=16)
def _find_actions(
    cell_bytes: bytes, position_bytes: bytes, number_bytes: bytes, tolerance: float
) -> SymmetryActions:
    """As :func:`find_actions`; a relaxation asks for those of one structure several times."""
    import spglib

    atoms = Atoms(
        np.frombuffer(number_bytes, dtype=np.int64),
        cell=np.frombuffer(cell_bytes).reshape(3, 3),
        positions=np.frombuffer(position_bytes).reshape(-1, 3),
        pbc=True,
    )
    trivial = SymmetryActions.trivial(len(atoms))
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    try:
        found = spglib.get_symmetry(cell, symprec=tolerance)
    except spglib.SpglibError:
        return trivial
    if found is None:
        return trivial
    rotations, permutations = [], []
    inverse = np.linalg.inv(atoms.cell.array)
    scaled = np.mod(np.mod(atoms.get_scaled_positions(), 1.0), 1.0)
    tree = cKDTree(scaled, boxsize=1.0)
    for rotation, translation in zip(found["rotations"], found["translations"], strict=True):
        cartesian = atoms.cell.array.T @ rotation @ inverse.T
        stretch = np.abs(atoms.cell.array @ (cartesian.T @ cartesian - np.eye(3))).max()
        permutation = _permutation(atoms, tree, rotation, translation, tolerance)
        if stretch <= tolerance and permutation is not None:
            rotations.append(cartesian)
            permutations.append(permutation)
    order = np.argsort([np.abs(r - np.eye(3)).max() for r in rotations], kind="stable")
    actions = SymmetryActions(np.array(rotations)[order], np.array(permutations)[order])
    return actions if _is_group(actions) else trivial


def _permutation(
    atoms: Atoms, tree: cKDTree, rotation: Integers, translation: Floats, tolerance: float
) -> Integers | None:
    """Where each atom goes; None when an operation does not map atoms on atoms."""
    scaled = tree.data
    images = scaled @ rotation.T + translation
    _, target = tree.query(np.mod(np.mod(images, 1.0), 1.0))
    if len(np.unique(target)) < len(target) or (atoms.numbers[target] != atoms.numbers).any():
        return None
    difference = images - scaled[target]
    distance = np.linalg.norm((difference - np.rint(difference)) @ atoms.cell.array, axis=1)
    # spglib's translations carry noise of the order of the tolerance
    return target if distance.max() <= 3 * tolerance else None


def _is_group(actions: SymmetryActions) -> bool:
    """Whether products stay inside: left-out operations may leave no group behind."""
    if actions.order == 0:
        return False
    known = {
        (np.rint(1e4 * r).astype(int).tobytes(), p.tobytes())
        for r, p in zip(actions.rotations + 0.0, actions.permutations, strict=True)
    }
    generators = range(min(actions.order, 4))
    for g in generators:
        for h in range(actions.order):
            rotation = actions.rotations[g] @ actions.rotations[h] + 0.0
            permutation = actions.permutations[g][actions.permutations[h]]
            if (
                np.rint(1e4 * rotation).astype(int).tobytes(),
                permutation.tobytes(),
            ) not in known:
                return False
    return True


def _fixed(average: Floats) -> Floats:
    """Orthonormal vectors (rows) that an average over a group leaves as they are."""
    values, vectors = np.linalg.eigh((average + average.T) / 2)
    return vectors[:, values > 0.5].T
