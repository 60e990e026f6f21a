"""Distances of densities of states, against closed forms."""

import numpy as np
import pytest

from mofonon.benchmark.spectra import Spectrum, dos_distance, spectra_distances
from mofonon.errors import ComparisonError


def _gaussian(axis, centre, width):
    return np.exp(-0.5 * ((axis - centre) / width) ** 2) / (width * np.sqrt(2 * np.pi))


def test_a_shift_is_the_distance():
    axis = np.arange(0, 30, 0.01)
    one, other = 318 * _gaussian(axis, 10, 1), 162 * _gaussian(axis, 12.5, 1)
    found = dos_distance((axis, one), (axis, other), 0.2)
    assert found.wasserstein == pytest.approx(2.5, abs=1e-6)
    assert found.mean_frequency_deviation == pytest.approx(2.5, abs=1e-6)


def test_the_overlap_of_broadened_gaussians():
    """Two equal Gaussians at a distance d overlap by erfc(d / (2 sqrt 2 s))."""
    from scipy.special import erfc

    axis = np.arange(-5, 35, 0.01)
    found = dos_distance(
        (axis, _gaussian(axis, 10, 0.6)), (axis, _gaussian(axis, 12, 0.6)), 0.8
    )
    width = np.hypot(0.6, 0.8)
    assert found.overlap == pytest.approx(erfc(2 / (2 * np.sqrt(2) * width)), abs=2e-4)
    same = dos_distance((axis, _gaussian(axis, 10, 1)), (axis, _gaussian(axis, 10, 1)), 0.5)
    assert same.overlap == pytest.approx(1, abs=1e-6)
    assert same.wasserstein == pytest.approx(0, abs=1e-12)


def test_axes_may_differ():
    one, other = np.arange(0, 20, 0.01), np.arange(-3.003, 41, 0.02)
    found = dos_distance((one, _gaussian(one, 8, 1)), (other, _gaussian(other, 9, 1)), 0.3)
    assert found.wasserstein == pytest.approx(1, abs=1e-4)


def test_imaginary_states_and_elements():
    axis = np.arange(-2, 20, 0.01)
    stable = Spectrum(axis, _gaussian(axis, 10, 0.5), {"H": _gaussian(axis, 10, 0.5)})
    total = _gaussian(axis, -1, 0.1) + 2 * _gaussian(axis, 10, 0.5)
    soft = Spectrum(axis, total, {"H": total, "C": total})
    assert not stable.has_imaginary
    assert soft.has_imaginary
    assert soft.imaginary_states == pytest.approx(1, abs=1e-3)
    assert soft.states == pytest.approx(3, abs=1e-3)
    _, by_element = spectra_distances(stable, soft, 0.2)
    assert list(by_element) == ["H"]
    assert by_element["H"].wasserstein == pytest.approx(11 / 3, abs=0.01)


def test_nothing_to_compare():
    axis = np.arange(0, 5, 0.1)
    with pytest.raises(ComparisonError, match="no states"):
        dos_distance((axis, np.zeros_like(axis)), (axis, _gaussian(axis, 2, 0.5)), 0.2)
