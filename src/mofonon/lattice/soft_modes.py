"""Are there modes of negative curvature here? Asked of the potential, not of an old Hessian.

Steps within the symmetry of a crystal teach a Hessian nothing about what lies outside it, so
that at the end of a relaxation the softest modes may be those of where it began. The product
of the Hessian with a direction takes one gradient; the operations of the crystal make of it as
many products as the direction has images.

Relative to the Hessian that is known, the true one is 1 wherever the known one is right, and
below 0 where there is a mode of negative curvature. Its lowest eigenvalues are found by
Lanczos iterations from a random start, which converge fast: they are far from the others. What
is measured on the way is put into the Hessian.

References
----------
C. Lanczos, J. Res. Natl. Bur. Stand. 45, 255 (1950); the known Hessian as the metric is the
preconditioning of E. R. Davidson, J. Comput. Phys. 17, 87 (1975). Random starts: J. Kuczynski,
H. Wozniakowski, SIAM J. Matrix Anal. Appl. 13, 1094 (1992). In optimizers: E. D. Hermes et al.,
J. Chem. Theory Comput. 15, 6536 (2019).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mofonon.lattice.known_hessian import largest
from mofonon.lattice.symmetry_actions import SymmetryActions

Floats = NDArray[np.float64]

#: Curvatures of the known Hessian count as at least this (eV/A^2).
SOFTEST = 0.02

#: Relative curvatures are known to this: smaller ones may be zero.
ACCURACY = 5e-3

#: Images of a direction that are dependent to this are left out.
_INDEPENDENT = 0.1

#: Relative curvatures smaller than this count as this in an update.
_ZERO = 1e-3


class MeasuredHessian:
    """A Hessian, products with it that were measured, and what they say of the others.

    Parameters
    ----------
    hessian : ndarray, shape (n, n)
        As it is believed to be, over flattened rows (eV/A^2); symmetric.
    basis : ndarray, shape (n, n_basis)
        Orthonormal columns: what may move, without translations.
    actions : SymmetryActions
        Operations that the point where products are measured has.

    Attributes
    ----------
    n_products : int
        Products that were put in.
    """

    def __init__(self, hessian: Floats, basis: Floats, actions: SymmetryActions) -> None:
        self.actions, self.n_products = actions, 0
        values, vectors = np.linalg.eigh(basis.T @ hessian @ basis)
        scale = np.sqrt(np.maximum(np.abs(values), SOFTEST))
        self._modes = basis @ vectors / scale  # of relative curvature 1
        self._duals = basis @ vectors * scale
        self._vectors = np.zeros((len(values), 0))
        self._products = np.zeros((len(values), 0))

    @property
    def size(self) -> int:
        """Number of modes."""
        return len(self._vectors)

    def hessian(self) -> Floats:
        """Hessian that is exact on what was measured, shape (n, n).

        The update of Broyden, Fletcher, Goldfarb and Shanno for all products at once: it has
        as many negative curvatures as were measured. Those that were only believed to be are
        positive.
        """
        values, weights = np.linalg.eigh(self._inner())
        values = np.where(np.abs(values) < _ZERO, _ZERO, values)
        found = self._products @ weights
        relative = np.eye(self.size) - self._vectors @ self._vectors.T
        relative += (found / values) @ found.T
        return np.asarray(self._duals @ relative @ self._duals.T)

    def put(self, direction: Floats, product: Floats) -> None:
        """Put in the product with a direction, and those with all its images.

        Parameters
        ----------
        direction, product : ndarray, shape (n_rows, 3)
            Of any norm; the Hessian's product with it.
        """
        operations = range(self.actions.order)
        images = self._modes_of([self.actions.apply(g, direction) for g in operations])
        products = self._modes_of([self.actions.apply(g, product) for g in operations])
        vectors, found = self._duals.T @ images, self._modes.T @ products
        self.n_products += 1
        overlap = self._vectors.T @ vectors
        norm = np.linalg.norm(vectors[:, 0])
        left, lengths, right = np.linalg.svd(
            vectors - self._vectors @ overlap, full_matrices=False
        )
        kept = lengths > _INDEPENDENT * norm
        found = (found - self._products @ overlap) @ right[kept].T / lengths[kept]
        self._vectors = np.concatenate([self._vectors, left[:, kept]], axis=1)
        self._products = np.concatenate([self._products, found], axis=1)

    def lowest(self) -> tuple[Floats, Floats, Floats]:
        """Relative curvatures within what was measured, ascending.

        Returns
        -------
        curvatures : ndarray, shape (n_measured,)
            Ratio of true to believed curvature.
        errors : ndarray, shape (n_measured,)
            Norm of the residual of each: a true one is within it.
        residuals : ndarray, shape (n_measured, n_rows, 3)
            Directions (A) in which to look further, of relative norm ``errors``.
        """
        values, weights = np.linalg.eigh(self._inner())
        residuals = self._products @ weights - self._vectors @ (weights * values)
        rows = (self._modes @ residuals).T.reshape(len(values), -1, 3)
        return values, np.linalg.norm(residuals, axis=0), rows

    def random(self, random: np.random.Generator) -> Floats:
        """Make a random direction, shape (n_rows, 3), in which all modes have their share."""
        return np.asarray((self._modes @ random.normal(size=self.size)).reshape(-1, 3))

    def _inner(self) -> Floats:
        inner = self._vectors.T @ self._products
        return np.asarray((inner + inner.T) / 2)

    def _modes_of(self, rows: list[Floats]) -> Floats:
        """Columns within the basis, shape (n, n_images)."""
        columns = np.array(rows).reshape(len(rows), -1).T
        return np.asarray(self._modes @ (self._duals.T @ columns))


def measure_soft_modes(
    known: MeasuredHessian, product: Callable[[Floats], Floats], most: int
) -> bool:
    """Take products until it is clear whether modes are negative.

    Parameters
    ----------
    known : MeasuredHessian
        The Hessian as it is believed to be; products are put into it.
    product : callable
        The Hessian's product with a direction, rows whose largest is 1 A.
    most : int
        Products that may be taken.

    Returns
    -------
    bool
        Whether that was enough: a mode was found to be negative, or none is.
    """
    random = np.random.default_rng(11)
    fewest = 1 + np.log(max(known.size / known.actions.order, 1))
    direction = known.random(random)
    while known.size:
        if known.n_products >= most:
            return False
        direction /= largest(direction)
        found = product(direction)
        if not np.isfinite(found).all():
            return False
        known.put(direction, found)
        curvatures, errors, residuals = known.lowest()
        if (curvatures + errors < 0).any():
            return True
        open_ones = (curvatures < 2 * errors) & (errors > ACCURACY)
        if not open_ones.any():
            # the norm of all errors, from their share in a random direction
            if np.sqrt(known.size) * errors.max() < 0.5 or known.n_products >= fewest:
                return True
            open_ones[:] = True
        weights = random.normal(size=open_ones.sum())
        direction = np.tensordot(weights, residuals[open_ones], axes=1)
    return True
