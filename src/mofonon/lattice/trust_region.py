"""Steps and Hessian updates of a trust-region method, as plain linear algebra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Largest displacement of an atom in a step, at the start, at most and at least (A).
FIRST_RADIUS, LARGEST_RADIUS, SMALLEST_RADIUS = 0.1, 0.4, 1e-4

#: Steps in a row that did not go down after which nothing will.
MOST_REJECTED = 15

#: The rank-one update needs at least this cosine of the step and what the Hessian lacks, and
#: leaves at least this share of the determinant.
LEAST_COSINE, LEAST_DETERMINANT = 0.05, 0.1

#: Added to curvatures before a Hessian is inverted (eV/A^2).
_RIDGE = 1e-6

#: Halvings of the interval in which the level shift is sought.
_BISECTIONS = 60


@dataclass
class TrustRadius:
    """How long steps may be, from how well the last ones were predicted.

    Attributes
    ----------
    radius : float
        Largest displacement of an atom in a step (A).
    predicted : float
        Change of the energy that was predicted for the last step (eV).
    ratio : float or None
        Actual over predicted change of the last step; None before the first.
    n_rejected : int
        Steps in a row that did not go down.
    """

    radius: float = FIRST_RADIUS
    predicted: float = 0.0
    ratio: float | None = None
    n_rejected: int = 0

    @property
    def stalled(self) -> bool:
        """Whether steps do not go down any more, however short."""
        return self.n_rejected >= MOST_REJECTED

    def judge(self, actual: float, length: float) -> bool:
        """Adapt the radius; say whether the step is taken.

        Parameters
        ----------
        actual : float
            Change of the energy (eV).
        length : float
            Largest displacement of an atom in the step (A).
        """
        self.ratio = actual / self.predicted if self.predicted else None
        if self.ratio is not None and self.ratio < 0.25:
            self.radius = max(0.5 * length, SMALLEST_RADIUS)
        elif self.ratio is not None and self.ratio > 0.75 and length > 0.8 * self.radius:
            self.radius = min(2 * self.radius, LARGEST_RADIUS)
        taken = actual < 0 or self.ratio is None
        self.n_rejected = 0 if taken else self.n_rejected + 1
        return taken


def trust_region_step(
    hessian: Floats, gradient: Floats, basis: Floats, radius: float
) -> tuple[Floats, float, float]:
    """Step of the rational-function model, or the longest that a radius allows.

    Parameters
    ----------
    hessian : ndarray, shape (m, m)
        Hessian in a basis (eV/A^2).
    gradient : ndarray, shape (m,)
        Gradient in the basis (eV/A).
    basis : ndarray, shape (n, m)
        Orthonormal columns over flattened rows of three.
    radius : float
        No row of the step is longer (A).

    Returns
    -------
    step : ndarray, shape (n,)
        Step over flattened rows (A).
    predicted : float
        Change of the energy by the quadratic model (eV).
    lowest : float
        Lowest eigenvalue of the Hessian in the basis (eV/A^2).

    Notes
    -----
    Where the Hessian is positive the rational-function shift is smaller than the curvature
    it shifts; it goes to zero with the square of the gradient.
    """
    if not len(gradient):
        return np.zeros(len(basis)), 0.0, np.inf
    values, vectors = np.linalg.eigh(hessian)
    slopes = vectors.T @ gradient

    def step(shift: float) -> Floats:
        return np.asarray(-(basis @ (vectors @ (slopes / (values - shift)))))

    def length(shift: float) -> float:
        return float(np.linalg.norm(step(shift).reshape(-1, 3), axis=1).max())

    shift = rational_shift(values, slopes)
    if length(shift) > radius:
        near, far = shift, shift - 1.0
        while length(far) > radius:
            near, far = far, shift + 4 * (far - shift)
        for _ in range(_BISECTIONS):
            middle = (near + far) / 2
            near, far = (middle, far) if length(middle) > radius else (near, middle)
        shift = far
    amplitudes = -slopes / (values - shift)
    predicted = float(slopes @ amplitudes + 0.5 * amplitudes @ (values * amplitudes))
    return step(shift), predicted, float(values[0])


def rational_shift(values: Floats, slopes: Floats) -> float:
    """Level shift of the rational-function model: lowest eigenvalue of the augmented Hessian.

    Parameters
    ----------
    values : ndarray, shape (m,)
        Eigenvalues of the Hessian, ascending.
    slopes : ndarray, shape (m,)
        Gradient along the eigenvectors.
    """
    augmented = np.zeros((len(values) + 1, len(values) + 1))
    augmented[:-1, :-1] = np.diag(values)
    augmented[-1, :-1] = augmented[:-1, -1] = slopes
    lowest = float(np.linalg.eigvalsh(augmented)[0])
    # below the lowest curvature by what rounding leaves of a vanishing slope
    return min(lowest, float(values[0]) - 1e-10, 0.0)


def update_hessian(hessian: Floats, step: Floats, change: Floats) -> Floats:
    """Update a Hessian so that it maps a step on the change of the gradient.

    Where curvatures along the step are positive, by the symmetric-rank-one formula, which
    keeps what earlier steps taught; where that is ill-defined or a curvature would become
    negative, by BFGS. Else by Bofill's mixture of the first with Powell's symmetric Broyden.

    Parameters
    ----------
    hessian : ndarray, shape (n, n)
        Symmetric.
    step : ndarray, shape (n,)
        Difference of two points.
    change : ndarray, shape (n,)
        Difference of the gradients there.

    References
    ----------
    A. R. Conn, N. I. M. Gould, P. L. Toint, Math. Program. 50, 177 (1991): in a trust region
    rank-one Hessians come nearer to the true one than those of BFGS.
    """
    image = hessian @ step
    norm = float(step @ step)
    if norm == 0:
        return hessian
    curvature, model, residual = change @ step, step @ image, change - image
    if curvature <= 1e-8 * norm or model <= 1e-8 * norm:
        return _bofill(hessian, step, residual)
    overlap = float(residual @ step)
    if _rank_one_is_safe(hessian, residual, overlap, norm):
        return np.asarray(hessian + np.outer(residual, residual) / overlap)
    return np.asarray(
        hessian + np.outer(change, change) / curvature - np.outer(image, image) / model
    )


def _rank_one_is_safe(hessian: Floats, residual: Floats, overlap: float, norm: float) -> bool:
    """Whether the rank-one update is well-defined and makes no curvature negative."""
    if abs(overlap) <= LEAST_COSINE * np.sqrt((residual @ residual) * norm):
        return False
    if overlap > 0:
        return True
    shifted = hessian + _RIDGE * np.eye(len(hessian))  # translations have no curvature
    determinant = 1 + residual @ np.linalg.solve(shifted, residual) / overlap
    return bool(determinant > LEAST_DETERMINANT)


def _bofill(hessian: Floats, step: Floats, residual: Floats) -> Floats:
    """Update where a curvature is negative."""
    norm, overlap = step @ step, residual @ step
    square = (residual @ residual) * norm
    if square == 0:
        return hessian
    powell = (np.outer(residual, step) + np.outer(step, residual)) / norm - overlap * np.outer(
        step, step
    ) / norm**2
    share = overlap**2 / square
    rank_one = np.outer(residual, residual) / overlap if share > 1e-12 else 0.0
    return np.asarray(hessian + share * rank_one + (1 - share) * powell)
