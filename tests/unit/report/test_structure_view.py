"""The numbers of the rotating view: bonds, and modes at the points of the path."""

import base64
import json

import numpy as np
import pytest

from mofonon.report.structure_view import view_data


@pytest.fixture(scope="module")
def view(stable):
    return json.loads(view_data(stable))


def _moves(point, n_atoms):
    raw = np.frombuffer(base64.b64decode(point["moves"]), dtype=np.int8)
    parts = raw.reshape(-1, n_atoms, 3, 2).astype(float) / 127
    return parts[..., 0] + 1j * parts[..., 1]


def test_acoustic_modes_at_gamma_are_translations(view, stable):
    n_atoms = len(stable.structure)
    gamma = next(point for point in view["points"] if point["name"] == "\u0393")
    moves = _moves(gamma, n_atoms)[:3]
    for mode in moves:
        assert np.abs(mode - mode[0]).max() < 0.03
        assert np.abs(mode).max() == pytest.approx(1, abs=0.01)
    assert gamma["frequencies"][:3] == pytest.approx([0, 0, 0], abs=1e-2)


def test_frequencies_are_those_of_the_bands(view, stable):
    from mofonon.report.curves import bands_of

    bands = bands_of(stable)
    ends = {start: f[0] for (start, _), f in zip(bands.labels, bands.frequencies, strict=True)}
    for point in view["points"]:
        if point["name"] in ends:
            n = len(point["frequencies"])
            assert point["frequencies"] == pytest.approx(ends[point["name"]][:n], abs=2e-3)


def test_bonds_go_both_ways(view):
    first, vectors = np.array(view["bonds"][0]), np.reshape(view["bonds"][1], (-1, 3))
    assert len(first) > 0
    assert vectors.sum(axis=0) == pytest.approx(0, abs=0.02 * len(first))
    assert np.linalg.norm(vectors, axis=1).max() < 3.5
