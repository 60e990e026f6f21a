"""Farthest-point sampling against its definition, and what must not change its result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mofonon.errors import SelectionError
from mofonon.structures import farthest_point
from mofonon.structures.farthest_point import FarthestPointSampler, farthest_point_sampling


def by_definition(points, n_samples, fixed=()):
    """The definition, in float64 and without a shortcut."""
    points = np.asarray(points, float)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    chosen = list(fixed) or [int(np.argmin(((points - points.mean(0)) ** 2).sum(1)))]
    while len(chosen) < n_samples + len(fixed):
        nearest = distance[:, chosen].min(axis=1)
        nearest[chosen] = -1
        chosen.append(int(np.argmax(nearest)))
    return chosen[len(fixed) :]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 30.0])
@pytest.mark.parametrize("fixed", [(), (3, 11, 40)])
def test_is_what_the_definition_says(dtype, offset, fixed, monkeypatch):
    monkeypatch.setattr(farthest_point, "BLOCK_BYTES", 4096)
    points = (offset + np.random.default_rng(1).standard_normal((300, 24))).astype(dtype)
    found = farthest_point_sampling(points, 60, fixed=fixed)
    assert found.indices.tolist() == by_definition(points, 60, fixed)
    chosen = [*fixed, *found.indices]
    nearest = np.linalg.norm(points[:, None].astype(float) - points[chosen], axis=-1).min(1)
    assert found.nearest == pytest.approx(nearest, rel=1e-5, abs=1e-6)


@given(seed=st.integers(0, 10_000), integers=st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_input_does_not_matter(seed, integers):
    generator = np.random.default_rng(seed)
    points = generator.standard_normal((80, 3)).astype(np.float32)
    if integers:  # many ties
        points = np.rint(points)
    keys = [f"mof-{i:03d}" for i in generator.permutation(80)]
    order = generator.permutation(80)
    one = farthest_point_sampling(points, 20, keys=keys)
    other = farthest_point_sampling(points[order], 20, keys=[keys[i] for i in order])
    assert [keys[i] for i in one.indices] == [keys[order[i]] for i in other.indices]
    assert one.distances.tobytes() == other.distances.tobytes()


def test_blocks_do_not_change_a_bit(monkeypatch):
    points = np.random.default_rng(5).standard_normal((2000, 33)).astype(np.float32)
    whole = farthest_point_sampling(points, 100)
    monkeypatch.setattr(farthest_point, "BLOCK_BYTES", 1000)
    pieces = farthest_point_sampling(points, 100)
    assert whole.indices.tolist() == pieces.indices.tolist()
    assert whole.nearest.tobytes() == pieces.nearest.tobytes()


def test_distances_fall_and_bound_the_covering_radius():
    points = np.random.default_rng(2).standard_normal((500, 5))
    found = farthest_point_sampling(points, 40)
    assert found.distances[0] == np.inf
    assert (np.diff(found.distances) <= 0).all()
    assert found.covering_radius <= found.distances[-1]


def test_fixed_points_that_are_no_rows_count():
    points = np.array([[0.0], [1.0], [10.0]])
    found = farthest_point_sampling(points, 1, fixed_points=[[9.5]])
    assert found.indices.tolist() == [0]
    assert found.distances.tolist() == [9.5]


def test_copies_of_a_chosen_row_are_not_chosen():
    points = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert len(farthest_point_sampling(points, 4).indices) == 2


def test_choice_under_a_condition():
    sampler = FarthestPointSampler(np.arange(10.0)[:, None])
    sampler.choose(0)
    assert sampler.farthest(among=np.arange(10) < 4) == 3
    assert sampler.choose(3) == 3


@pytest.mark.parametrize(
    ("points", "n_samples", "keys"),
    [
        ([[0.0], [np.nan]], 1, None),
        ([[0.0], [1.0]], 3, None),
        ([[0.0], [1.0]], 1, ["a", "a"]),
        (np.empty((0, 4)), 0, None),
    ],
)
def test_what_cannot_be_chosen_from_is_an_error(points, n_samples, keys):
    with pytest.raises(SelectionError):
        farthest_point_sampling(points, n_samples, keys=keys)
