"""Averages of correlated samples against the closed forms of an AR(1) process."""

import numpy as np
import pytest
from scipy.signal import lfilter

from mofonon.errors import SettingsError
from mofonon.timeseries import block_average, detect_equilibration, statistical_inefficiency


def _ar1(phi, n, seed):
    """Stationary ``x_t = phi x_(t-1) + noise`` of variance 1."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=n) * np.sqrt(1 - phi**2)
    noise[0] = random.normal()
    return lfilter([1], [1, -phi], noise)


def _error(phi, n):
    """Standard error of the mean of an AR(1) process, exactly."""
    lags = np.arange(1, n)
    return np.sqrt((1 + 2 * np.sum((1 - lags / n) * phi**lags)) / n)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.98])
def test_inefficiency(phi):
    found = [statistical_inefficiency(_ar1(phi, 20000, seed)) for seed in range(20)]
    assert np.mean(found) == pytest.approx((1 + phi) / (1 - phi), rel=0.08)


@pytest.mark.parametrize("phi", [0.0, 0.7, 0.95])
def test_block_errors_are_those_of_the_process(phi):
    n = 8192
    averages = [block_average(_ar1(phi, n, seed)) for seed in range(60)]
    exact = _error(phi, n)
    assert all(each.levelled for each in averages)
    assert np.mean([each.error for each in averages]) == pytest.approx(exact, rel=0.1)
    # the means scatter by as much: two thirds of them within one error of the true mean
    inside = np.mean([abs(each.mean) < each.error for each in averages])
    assert 0.5 < inside < 0.85


def test_a_series_shorter_than_its_correlation_is_not_called_level():
    average = block_average(np.linspace(0, 1, 64) ** 2)
    assert not average.levelled
    assert average.error > 3 * block_average(np.tile([0.0, 1.0], 32)).error / 2


@pytest.mark.parametrize("scale", [50, 200])
def test_equilibration_is_found_after_the_transient(scale):
    n, starts, counts = 4000, [], []
    for seed in range(20):
        transient = 10 * np.exp(-np.arange(n) / scale)
        found = detect_equilibration(_ar1(0.8, n, seed) + transient)
        starts.append(found.start)
        counts.append(found.n_effective)
    # the transient is below the noise, of 1, after scale * ln 10
    assert scale < np.mean(starts) < 8 * scale
    assert np.mean(counts) == pytest.approx((n - np.mean(starts)) / 9, rel=0.2)


def test_a_stationary_series_is_kept_nearly_whole():
    starts = [detect_equilibration(_ar1(0.8, 4000, seed)).start for seed in range(20)]
    assert np.median(starts) < 400


def test_a_drift_leaves_few_samples():
    drifting = np.linspace(0, 10, 2000) + _ar1(0.5, 2000, 0) * 0.1
    assert detect_equilibration(drifting).n_effective < 40
    assert detect_equilibration(_ar1(0.5, 2000, 0)).n_effective > 400


def test_constants_and_too_few_samples():
    assert statistical_inefficiency(np.full(100, 7.3)) == 1
    assert block_average(np.full(100, 7.3)).error < 1e-14
    for bad in ([1.0, 2.0], [1.0, 2.0, np.nan, 3.0, 4.0], np.zeros((5, 5))):
        with pytest.raises(SettingsError, match="cannot be averaged"):
            block_average(bad)
