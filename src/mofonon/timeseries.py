"""Averages of correlated samples: where equilibrium begins, and how sure a mean is.

References
----------
Chodera, J. Chem. Theory Comput. 12, 1799 (2016), doi 10.1021/acs.jctc.5b00784: equilibrium
begins where the number of effectively uncorrelated samples is largest.

Flyvbjerg, Petersen, J. Chem. Phys. 91, 461 (1989), doi 10.1063/1.457480: errors of means from
blocks of growing length. Lee et al., Phys. Rev. E 83, 066706 (2011), doi
10.1103/PhysRevE.83.066706: which length to take.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mofonon.errors import SettingsError

Floats = NDArray[np.float64]

#: Lags whose correlation counts even if it is negative, as noise makes it.
_FEWEST_LAGS = 3

#: A blocking with fewer blocks than this says nothing of its own error.
_FEWEST_BLOCKS = 4


#: Relative deviations below this are rounding: the series is constant.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class Equilibration:
    """Where the equilibrated part of a series begins.

    Attributes
    ----------
    start : int
        First sample of it.
    inefficiency : float
        Samples for one effectively uncorrelated sample, 1 + 2 tau, in that part.
    n_effective : float
        Effectively uncorrelated samples in that part.
    """

    start: int
    inefficiency: float
    n_effective: float


@dataclass(frozen=True)
class BlockAverage:
    """Mean of correlated samples.

    Attributes
    ----------
    mean : float
        Mean of all samples.
    error : float
        Standard error of the mean.
    block_length : int
        Samples in a block of the blocking that gave the error.
    levelled : bool
        Whether the error had stopped growing with the length. If not, it is the largest one
        seen, and still too small.
    """

    mean: float
    error: float
    block_length: int
    levelled: bool


def statistical_inefficiency(series: ArrayLike) -> float:
    """Count the samples that make one effectively uncorrelated sample: ``1 + 2 tau``.

    At least 1. The autocorrelation is summed up to where it first crosses zero.

    Parameters
    ----------
    series : array_like, shape (n,)
        Samples of a stationary process at equal distances.
    """
    values = _checked(series)
    n = len(values)
    deviations = values - values.mean()
    variance = float(np.mean(deviations**2))
    if variance <= (_ROUNDING * np.abs(values).max()) ** 2:
        return 1.0
    transform = np.fft.rfft(deviations, 2 * n)
    sums = np.fft.irfft(np.abs(transform) ** 2)[:n]
    correlation = sums / np.arange(n, 0, -1) / variance
    lags = np.arange(1, n)
    crossed = np.flatnonzero((correlation[1:] <= 0) & (lags > _FEWEST_LAGS))
    end = int(crossed[0]) if crossed.size else n - 1
    terms = (1 - lags[:end] / n) * correlation[1 : end + 1]
    return max(1.0, 1 + 2 * float(terms.sum()))


def detect_equilibration(series: ArrayLike, n_starts: int = 100) -> Equilibration:
    """Find where the number of effectively uncorrelated samples after it is largest.

    Parameters
    ----------
    series : array_like, shape (n,)
        Samples at equal distances, from the start of a simulation.
    n_starts : int
        Starts tried, evenly spaced.
    """
    values = _checked(series)
    n = len(values)
    best = Equilibration(0, float(n), 0.0)
    for start in np.unique(np.linspace(0, n - 4, n_starts).astype(int)):
        inefficiency = statistical_inefficiency(values[start:])
        n_effective = (n - start) / inefficiency
        if n_effective > best.n_effective:
            best = Equilibration(int(start), inefficiency, n_effective)
    return best


def block_average(series: ArrayLike) -> BlockAverage:
    """Mean, and its error from blocks: their length is doubled until the error is level.

    Parameters
    ----------
    series : array_like, shape (n,)
        Samples of a stationary process at equal distances.

    Notes
    -----
    The length is the shortest with ``length^3 > 2 n (error / naive error)^4``.
    """
    values = _checked(series)
    n, mean = len(values), float(values.mean())
    errors, length = [], 1
    while len(values) >= _FEWEST_BLOCKS:
        errors.append(float(values.std(ddof=1) / np.sqrt(len(values))))
        if errors[0] == 0 or length**3 > 2 * n * (errors[-1] / errors[0]) ** 4:
            return BlockAverage(mean, errors[-1], length, levelled=True)
        values = values[: len(values) // 2 * 2].reshape(-1, 2).mean(axis=1)
        length *= 2
    largest = int(np.argmax(errors))
    return BlockAverage(mean, errors[largest], 2**largest, levelled=False)


def _checked(series: ArrayLike) -> Floats:
    values = np.asarray(series, float)
    if values.ndim != 1 or len(values) < _FEWEST_BLOCKS or not np.isfinite(values).all():
        raise SettingsError(
            f"a series of shape {values.shape} cannot be averaged",
            f"give at least {_FEWEST_BLOCKS} finite numbers",
        )
    return values
