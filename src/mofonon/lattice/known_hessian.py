"""What a second-order optimizer knows of the Hessian, and where it learned it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mofonon.lattice.following import NEGATIVE, NegativeMode, lowest_modes
from mofonon.lattice.trust_region import update_hessian

Floats = NDArray[np.float64]

#: A Hessian of all modes is that of a point where no row is further from it (A).
UNMOVED = 1e-3


@dataclass(frozen=True)
class Point:
    """An evaluated point: rows (A), energy (eV), gradient (eV/A)."""

    rows: Floats
    energy: float
    gradient: Floats

    @property
    def is_finite(self) -> bool:
        """Whether energy and gradient are numbers."""
        return bool(np.isfinite(self.energy) and np.isfinite(self.gradient).all())

    @property
    def largest_force(self) -> float:
        """Largest norm of a row of the gradient (eV/A)."""
        return largest(self.gradient)


def largest(rows: Floats) -> float:
    """Largest norm of a row."""
    return float(np.linalg.norm(rows, axis=1).max())


class KnownHessian:
    """A Hessian, its lowest modes, and how far they may be believed.

    Parameters
    ----------
    basis : ndarray, shape (n, n_basis)
        Orthonormal columns: what may move, without translations.
    matrix : ndarray, shape (n, n), optional
        Over flattened rows (eV/A^2).

    Attributes
    ----------
    lowest : float or None
        Lowest curvature when it was last looked at (eV/A^2).
    n_evaluations : int
        Evaluations by which all modes, or the soft ones, were measured.
    believed : bool
        Whether negative curvatures may be real: not after a mode was followed, until the
        others are measured where it led.
    """

    def __init__(self, basis: Floats, matrix: Floats | None) -> None:
        self.basis = basis
        self.matrix = matrix
        self.lowest: float | None = None
        self.n_evaluations = 0
        self.believed = True
        self._measured_at: Floats | None = None
        self._negative: NegativeMode | None = None
        self._looked = False

    def now(self) -> Floats:
        """Matrix, shape (n, n) (eV/A^2).

        Raises
        ------
        RuntimeError
            When there is none yet.
        """
        if self.matrix is None:
            raise RuntimeError("the optimizer has no Hessian yet")
        return self.matrix

    def take(self, matrix: Floats, measured_at: Floats | None = None) -> None:
        """Take a matrix; with the rows where all modes, or the soft ones, were measured."""
        self.matrix = matrix
        if measured_at is not None:
            self._measured_at, self.believed = measured_at, True
        self.lowest_modes(anew=True)

    def learn(self, before: Point, after: Point) -> None:
        """Update the matrix by the change of the gradient between two points."""
        step = (after.rows - before.rows).ravel()
        change = (after.gradient - before.gradient).ravel()
        self.matrix = update_hessian(self.now(), step, change)

    def lowest_modes(self, *, anew: bool = False) -> NegativeMode | None:
        """Modes of the lowest curvature, if it is negative.

        Steps within the symmetry leave modes outside as they are: only those that are known
        to be negative, and so may be within, are looked at anew unless it is asked for.
        """
        if anew or not self._looked or self._negative is not None:
            self.lowest, self._negative = lowest_modes(self.now(), self.basis)
            self._looked = True
        return self._negative

    def is_of(self, point: Point) -> bool:
        """Whether all modes, or the soft ones, were measured at a point."""
        if self._measured_at is None:
            return False
        return largest(point.rows - self._measured_at) < UNMOVED

    def stiffen(self, mode: NegativeMode, curvature: float) -> None:
        """Give modes that lead nowhere a positive curvature (eV/A^2)."""
        flat = mode.vectors.reshape(len(mode.vectors), -1)
        rise = max(curvature, 2 * NEGATIVE) - mode.curvature
        self.take(self.now() + rise * flat.T @ flat)
