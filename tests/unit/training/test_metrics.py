"""Errors against scikit-learn and numpy, sums over elements, alignment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from mofonon.training.metrics import (
    Values,
    composition_shifts,
    element_errors,
    errors_of,
    set_errors,
    shifted,
)

SYMBOLS = [["Zn", "O", "O"], ["C", "H", "H", "H", "O"], ["Zn", "C"], ["O"] * 4]


def random_values(seed: int) -> Values:
    rng = np.random.default_rng(seed)
    return Values(
        rng.normal(-20, 5, len(SYMBOLS)),
        [rng.normal(size=(len(s), 3)) for s in SYMBOLS],
        rng.normal(scale=0.01, size=(len(SYMBOLS), 3, 3)),
    )


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 50))
@settings(max_examples=30, deadline=None)
def test_errors_are_those_of_scikit_learn(seed, n):
    rng = np.random.default_rng(seed)
    labels, predicted = rng.normal(size=(2, n))
    found = errors_of(predicted, labels, scale=1e3)
    assert found.n == n
    assert found.rmse == pytest.approx(1e3 * mean_squared_error(labels, predicted) ** 0.5)
    assert found.mae == pytest.approx(1e3 * mean_absolute_error(labels, predicted))
    assert found.r2 == pytest.approx(r2_score(labels, predicted))
    assert found.max == pytest.approx(1e3 * np.abs(labels - predicted).max())


def test_equal_labels_have_no_coefficient_of_determination():
    assert errors_of([1.0, 2.0], [1.5, 1.5]).r2 is None


def test_units_of_a_set():
    """One atom with one wrong component, one wrong energy, one wrong stress: by hand."""
    labels = Values(np.array([-10.0]), [np.zeros((2, 3))], np.zeros((1, 3, 3)))
    forces = np.zeros((2, 3))
    forces[0, 1] = 0.6
    stress = np.zeros((1, 3, 3))
    stress[0, 2, 2] = 0.003
    found = set_errors(Values(np.array([-9.9]), [forces], stress), labels)
    assert found.energy.rmse == pytest.approx(100)
    assert found.energy_per_atom.rmse == pytest.approx(50)
    assert found.forces.rmse == pytest.approx(600 / 6**0.5)
    assert found.forces.mae == pytest.approx(100)
    assert found.stress is not None
    assert found.stress.rmse == pytest.approx(1)


def test_a_set_without_stress_has_no_stress_errors():
    values = random_values(1)
    bare = Values(values.energies, values.forces)
    assert set_errors(bare, bare).stress is None


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_sums_over_elements_rebuild_the_totals(seed):
    predicted, labels = random_values(seed), random_values(seed + 1)
    total = set_errors(predicted, labels)
    elements = element_errors(predicted, labels, SYMBOLS)
    squares = sum(e.forces.rmse**2 * e.forces.n for e in elements)
    assert squares == pytest.approx(total.forces.rmse**2 * total.forces.n)
    energies = sum(e.energy_per_atom_rmse**2 * e.energy_weight for e in elements)
    assert energies == pytest.approx(total.energy_per_atom.rmse**2 * total.n_frames)
    assert sum(e.n_atoms for e in elements) == total.n_atoms


def test_alignment_removes_reference_energies_and_nothing_else():
    """Labels that differ by energies of atoms, and by noise that no composition explains."""
    labels = random_values(3)
    wrong = {"Zn": 1.5, "O": -0.3, "C": 2.0, "H": 0.1}
    predicted = shifted(labels, {e: -x for e, x in wrong.items()}, SYMBOLS)
    found = composition_shifts(predicted.energies, labels.energies, SYMBOLS)
    aligned = shifted(predicted, found, SYMBOLS)
    assert np.allclose(aligned.energies, labels.energies)
    assert np.allclose(np.concatenate(aligned.forces), np.concatenate(labels.forces))


def test_alignment_finds_the_shifts_where_compositions_tell():
    symbols = [*SYMBOLS, ["H", "H"], ["C", "C", "H"], ["Zn"]]
    wrong = {"Zn": 1.5, "O": -0.3, "C": 2.0, "H": 0.1}
    predicted = np.zeros(len(symbols))
    labels = np.array([sum(wrong[s] for s in frame) for frame in symbols])
    assert composition_shifts(predicted, labels, symbols) == pytest.approx(wrong)
