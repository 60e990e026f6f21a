"""Averages of constant-pressure trajectories and the expansion that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mofonon.dynamics import Trajectory
from mofonon.errors import ExpansionError
from mofonon.timeseries import (
    BlockAverage,
    block_average,
    detect_equilibration,
    statistical_inefficiency,
)

Floats = NDArray[np.float64]

#: Cell parameters in the order of :func:`cell_parameters`.
CELL_FIELDS = ("a", "b", "c", "alpha", "beta", "gamma")


@dataclass(frozen=True)
class TrajectoryAverages:
    """Averages over the equilibrated part of a trajectory.

    Attributes
    ----------
    start : int
        First sample of the equilibrated part.
    inefficiency : float
        Samples for one effectively uncorrelated sample, of the slower of volume and energy.
    n_effective : float
        Effectively uncorrelated samples.
    averages : dict
        Mean and error of each: volume (A^3), cell parameters (A, degrees), temperature (K),
        pressure (GPa), potential_energy (eV); of the cell that the supercell repeats.
    """

    start: int
    inefficiency: float
    n_effective: float
    averages: dict[str, BlockAverage]

    @property
    def levelled(self) -> bool:
        """Whether the error of the volume had stopped growing with the length of blocks."""
        return self.averages["volume"].levelled


@dataclass(frozen=True)
class ExpansionFit:
    """Weighted fit of a polynomial to the logarithm of a volume or a length over temperature.

    Attributes
    ----------
    cte : float
        Its slope at the temperature asked for (1/K).
    error : float
        Standard error of the slope (1/K).
    reduced_chi2 : float or None
        Sum of squared deviations, in errors, per degree of freedom; None without one.
    coefficients : ndarray, shape (degree + 1,)
        Of powers of T minus ``center``, the constant first.
    center : float
        Temperature asked for (K).
    """

    cte: float
    error: float
    reduced_chi2: float | None
    coefficients: Floats
    center: float

    def value(self, temperatures: ArrayLike) -> Floats:
        """Volume or length at temperatures (K)."""
        shifted = np.asarray(temperatures, float) - self.center
        return np.exp(np.polynomial.polynomial.polyval(shifted, self.coefficients))


def cell_parameters(cells: Floats) -> Floats:
    """Lengths (A) and angles (degrees) of cells.

    Parameters
    ----------
    cells : ndarray, shape (n, 3, 3)
        Cell vectors in rows (A).

    Returns
    -------
    ndarray, shape (n, 6)
        a, b, c, alpha, beta, gamma.
    """
    lengths = np.linalg.norm(cells, axis=2)
    unit = cells / lengths[:, :, None]
    pairs = [(1, 2), (0, 2), (0, 1)]
    cosines = np.stack([np.sum(unit[:, i] * unit[:, j], axis=1) for i, j in pairs], axis=1)
    return np.hstack([lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))])


def average_trajectory(
    trajectory: Trajectory, repeats: NDArray[np.int64]
) -> TrajectoryAverages:
    """Find where a trajectory is in equilibrium and average from there on.

    Equilibrium begins where both volume and potential energy have reached it.

    Parameters
    ----------
    trajectory : Trajectory
        A trajectory at constant pressure.
    repeats : ndarray, shape (3, 3)
        Integers; the vectors of the supercell in rows are ``repeats @ cell``.
    """
    n_cells = round(abs(np.linalg.det(repeats)))
    watched = (trajectory.volumes, trajectory.potential_energies)
    start = max(detect_equilibration(series).start for series in watched)
    inefficiency = max(statistical_inefficiency(series[start:]) for series in watched)
    parameters = cell_parameters(np.linalg.solve(repeats.astype(float), trajectory.cells))
    series = {
        "volume": trajectory.volumes / n_cells,
        **dict(zip(CELL_FIELDS, parameters.T, strict=True)),
        "temperature": trajectory.temperatures,
        "pressure": trajectory.pressures,
        "potential_energy": trajectory.potential_energies / n_cells,
    }
    return TrajectoryAverages(
        start=start,
        inefficiency=inefficiency,
        n_effective=(len(trajectory) - start) / inefficiency,
        averages={name: block_average(values[start:]) for name, values in series.items()},
    )


def fit_expansion(
    temperatures: ArrayLike,
    values: ArrayLike,
    errors: ArrayLike,
    *,
    at: float,
    degree: int = 1,
) -> ExpansionFit:
    """Fit ``ln value`` over temperature, weighted with the errors.

    When the values scatter by more than their errors, the error of the slope grows with them
    (by the root of the reduced chi squared).

    Parameters
    ----------
    temperatures : array_like, shape (n,)
        Temperatures (K).
    values : array_like, shape (n,)
        Volumes or lengths.
    errors : array_like, shape (n,)
        Their standard errors.
    at : float
        Temperature of the slope (K).
    degree : int
        Degree of the polynomial.

    Raises
    ------
    ExpansionError
        With fewer temperatures than coefficients, or errors that are not positive.
    """
    t, v, e = (np.asarray(each, float) for each in (temperatures, values, errors))
    distinct = len(np.unique(t))
    if distinct <= degree:
        raise ExpansionError(
            f"{distinct} temperatures do not determine a polynomial of degree {degree}",
            "add temperatures or lower the degree",
        )
    if not (np.isfinite(e).all() and e.min() > 0 and v.min() > 0):
        raise ExpansionError(
            "the averages have no errors to be weighted with",
            "run longer, with a barostat that moves",
        )
    powers = np.polynomial.polynomial.polyvander(t - at, degree)
    weights = v / e
    design, target = weights[:, None] * powers, weights * np.log(v)
    scales = np.linalg.norm(design, axis=0)
    coefficients = np.linalg.lstsq(design / scales, target, rcond=None)[0] / scales
    covariance = np.linalg.inv((design / scales).T @ (design / scales))
    covariance /= np.outer(scales, scales)
    freedom = len(t) - degree - 1
    chi2 = float(np.sum((target - design @ coefficients) ** 2)) / freedom if freedom else None
    error = float(np.sqrt(covariance[1, 1] * max(1.0, chi2 or 1.0)))
    return ExpansionFit(float(coefficients[1]), error, chi2, coefficients, float(at))
