"""Grueneisen parameters of modes: how frequencies follow the volume."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import ArrayLike, NDArray
from phonopy.physical_units import get_physical_units

from mofonon.errors import QuasiHarmonicError

Floats = NDArray[np.float64]

#: A frequency below this (THz) has no logarithm worth fitting: acoustic modes at Gamma.
LOWEST_FREQUENCY = 1e-3


def mode_gruneisen(
    volumes: ArrayLike,
    frequencies: ArrayLike,
    *,
    at: float | None = None,
    degree: int = 2,
) -> Floats:
    """Mode Grueneisen parameters, minus d ln(omega) / d ln(V), by least squares.

    Bands are matched by their order in frequency. Where two bands cross between the volumes
    each gets some of the other's slope; a mean over modes of similar frequency is not
    affected. Matching by eigenvectors is not done: they are not kept.

    Parameters
    ----------
    volumes : array_like, shape (n_volumes,)
        Volumes (A^3).
    frequencies : array_like, shape (n_volumes, n_q, n_bands)
        Frequencies at the same q-points (THz), ascending by band.
    at : float, optional
        Volume at which the slope is taken (A^3); the mean of the volumes if left out.
    degree : int
        Degree in ln(V) of the polynomial fitted to ln(omega); 1 for a straight line.

    Returns
    -------
    ndarray, shape (n_q, n_bands)
        Dimensionless; NaN for modes that are imaginary or zero at some volume.

    Raises
    ------
    QuasiHarmonicError
        When there are not more volumes than the degree, or not one set of frequencies for
        each.
    """
    sampled, omega = np.asarray(volumes, float), np.asarray(frequencies, float)
    if len(sampled) <= degree or omega.ndim != 3 or len(omega) != len(sampled):
        raise QuasiHarmonicError(
            f"mode Grueneisen parameters cannot be fitted to {len(omega)} sets of frequencies "
            f"at {len(sampled)} volumes",
            f"give {degree + 1} or more volumes, with frequencies on the same mesh at each",
        )
    real = (omega > LOWEST_FREQUENCY).all(axis=0)
    origin = np.log(sampled.mean() if at is None else at)
    logarithms = np.log(np.where(real, omega, 1.0)).reshape(len(sampled), -1)
    coefficients = polynomial.polyfit(np.log(sampled) - origin, logarithms, degree)
    return np.where(real, -coefficients[1].reshape(real.shape), np.nan)


def mean_gruneisen(
    gruneisen: Floats, frequencies: Floats, weights: ArrayLike, temperatures: ArrayLike
) -> Floats:
    """Mean of mode Grueneisen parameters, weighted with the heat capacities of the modes.

    Parameters
    ----------
    gruneisen : ndarray, shape (n_q, n_bands)
        Mode Grueneisen parameters; NaN are left out.
    frequencies : ndarray, shape (n_q, n_bands)
        Frequencies (THz).
    weights : array_like, shape (n_q,)
        Grid points that each q-point stands for.
    temperatures : array_like, shape (n_temperatures,)
        Temperatures (K).

    Returns
    -------
    ndarray, shape (n_temperatures,)
        Dimensionless; NaN where no mode has a heat capacity, as at 0 K.
    """
    known = np.isfinite(gruneisen) & (frequencies > LOWEST_FREQUENCY)
    gamma = gruneisen[known]
    share = np.broadcast_to(np.asarray(weights, float)[:, None], known.shape)[known]
    kelvin = frequencies[known] * kelvin_per_thz()
    means = np.full(len(np.atleast_1d(temperatures)), np.nan)
    for index, temperature in enumerate(np.atleast_1d(temperatures)):
        if temperature > 0:
            capacities = share * heat_capacity_of_mode(kelvin / temperature)
            if capacities.sum() > 0:
                means[index] = capacities @ gamma / capacities.sum()
    return means


def heat_capacity_of_mode(x: Floats) -> Floats:
    """Heat capacity of a harmonic mode in units of k_B, for x = h nu / (k_B T)."""
    half = np.minimum(x / 2, 350.0)  # beyond, it is zero and sinh overflows
    return np.asarray((half / np.sinh(half)) ** 2)


def kelvin_per_thz() -> float:
    """Planck over Boltzmann constant: the temperature of a frequency (K/THz)."""
    units = get_physical_units()
    return float(units.THzToEv / units.KB)
