"""Positions and strain of an ASE target as one vector with a sensible metric.

An optimizer sees the target, Atoms or a filter of them, as a flat vector ``x``. Here it is
rows, one for each atom and three for the strain of a cell filter, the strain in units of a
length: filters scale it by the number of atoms, which makes the cell of a large framework
many times softer than its atoms and a step in it many times too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter, UnitCellFilter
from numpy.typing import NDArray

from mofonon.lattice.symmetry_actions import SymmetryActions

Floats = NDArray[np.float64]

_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class JointCoordinates:
    """How the vector of a target and rows belong together.

    Attributes
    ----------
    atoms : Atoms
        The atoms of the target.
    strains : ndarray, shape (n_strains, 3, 3)
        Orthonormal basis of the strains that are free; empty with the cell fixed.
    scale : float
        Length that a strain of one counts as (A), over the factor of the filter.
    has_strain_rows : bool
        Whether the vector of the target ends with a strain.
    length : float
        Length that a strain of one counts as (A).
    """

    atoms: Atoms
    strains: Floats
    scale: float
    has_strain_rows: bool
    length: float = 1.0

    @classmethod
    def of(cls, target: Any) -> JointCoordinates:
        """Coordinates of Atoms, or of a filter.

        FrechetCellFilter and UnitCellFilter (with masks, hydrostatic strain or constant
        volume) are known; the rows of any other target are taken as atoms.
        """
        atoms = target if isinstance(target, Atoms) else target.atoms
        if not isinstance(target, UnitCellFilter):
            return cls(atoms, np.zeros((0, 3, 3)), 1.0, has_strain_rows=False)
        factor = target.cell_factor
        if isinstance(target, FrechetCellFilter):
            factor = target.exp_cell_factor
        length = float(np.cbrt(atoms.get_volume()))
        strains = _free_strains(target)
        return cls(atoms, strains, length / factor, has_strain_rows=True, length=length)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.atoms) + (3 if self.has_strain_rows else 0)

    @property
    def strain_length(self) -> float:
        """Length that a strain of one counts as in rows (A); 1 without strain."""
        return self.length if self.has_strain_rows else 1.0

    def rows(self, x: Floats) -> Floats:
        """Rows of a vector of the target."""
        rows = np.array(x, float).reshape(-1, 3)
        if self.has_strain_rows:
            rows[-3:] *= self.scale
        return rows

    def x(self, rows: Floats) -> Floats:
        """Return the vector of the target for rows."""
        x = rows.copy()
        if self.has_strain_rows:
            x[-3:] /= self.scale
        return x.ravel()

    def gradient(self, gradient: Floats) -> Floats:
        """Rows of a gradient that the target gives, only free strains in it."""
        rows = np.array(gradient, float).reshape(-1, 3)
        if self.has_strain_rows:
            flat = self.strains.reshape(-1, 9)
            rows[-3:] = ((rows[-3:].ravel() @ flat.T) @ flat).reshape(3, 3) / self.scale
        return rows

    def basis(self, actions: SymmetryActions) -> Floats:
        """Orthonormal basis of what may move under operations, translations left out.

        Returns
        -------
        ndarray, shape (n, n_basis)
            Columns over flattened rows.
        """
        strains = self.strains
        rows = actions.invariant_rows(strains)
        if self.has_strain_rows and not len(strains):
            rows = np.concatenate([rows, np.zeros((len(rows), 3, 3))], axis=1)
        basis = rows.reshape(len(rows), 3 * self.n_rows)
        shifts = self.translations() @ basis.T
        values, vectors = np.linalg.eigh(shifts.T @ shifts)
        return np.asarray((vectors[:, values < 0.5].T @ basis).T)

    def translations(self) -> Floats:
        """Orthonormal rigid translations, shape (3, n); none where atoms are held."""
        rows = np.zeros((3, self.n_rows, 3))
        if not self.atoms.constraints and self.atoms.pbc.all():
            for axis in range(3):
                rows[axis, : len(self.atoms), axis] = 1 / np.sqrt(len(self.atoms))
        return rows.reshape(3, -1)


def _free_strains(target: UnitCellFilter) -> Floats:
    """Orthonormal symmetric strains that a filter lets relax."""
    if target.hydrostatic_strain:
        return np.eye(3)[None] / np.sqrt(3)
    basis = []
    for i, j in _VOIGT:
        if target.mask[i, j] and target.mask[j, i]:
            strain = np.zeros((3, 3))
            strain[i, j] = strain[j, i] = 1.0 if i == j else np.sqrt(0.5)
            basis.append(strain)
    strains = np.array(basis).reshape(-1, 3, 3)
    if target.constant_volume and len(strains):
        traces = np.trace(strains, axis1=1, axis2=2)
        if np.linalg.norm(traces) > 0:
            _, _, rotation = np.linalg.svd(traces[None])
            strains = np.tensordot(rotation[1:], strains, axes=1)
    return strains
