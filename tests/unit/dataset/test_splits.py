"""Splits share everything out once; what leaks is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mofonon.dataset.splits import (
    farthest_split,
    leak_report,
    make_split,
    mof_split,
    part_sizes,
    random_split,
)
from mofonon.errors import DatasetError

PAPER = (0.85, 0.075, 0.075)


def synthetic(n_mofs=20, n_frames=30, seed=0):
    """Frames of MOFs: clusters far apart, frames within them near each other."""
    generator = np.random.default_rng(seed)
    centres = 10 * generator.standard_normal((n_mofs, 12))
    points = np.repeat(centres, n_frames, axis=0)
    points = (points + 0.1 * generator.standard_normal(points.shape)).astype(np.float32)
    mofs = [f"mof-{i // n_frames:02d}" for i in range(n_mofs * n_frames)]
    ids = [f"{i * 7919 % 100_003:06d}" for i in range(len(mofs))]
    return points, ids, mofs


@given(n=st.integers(3, 5000))
def test_sizes_add_up_and_none_is_empty(n):
    sizes = part_sizes(n, PAPER)
    assert sum(sizes) == n
    assert min(sizes) >= 1
    if n >= 40:
        assert np.abs(np.array(sizes) - n * np.array(PAPER)).max() < 1


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.0), (0.9, 0.2, 0.1), (1.2, -0.1, -0.1)])
def test_shares_that_are_none(fractions):
    with pytest.raises(DatasetError, match="shares"):
        part_sizes(100, fractions)


@pytest.mark.parametrize("name", ["random", "fps", "by-mof"])
def test_every_frame_is_in_one_part(name):
    points, ids, mofs = synthetic()
    split = make_split(name, points, ids, mofs, PAPER, 0)
    together = [*split.train, *split.valid, *split.test]
    assert sorted(together) == list(range(len(ids)))
    assert len(split.train) == 510


def test_the_random_split_leaks_and_the_split_by_mof_does_not():
    points, ids, mofs = synthetic()
    leaky = make_split("random", points, ids, mofs, PAPER, 0).leaks
    assert not leaky.clean
    assert leaky.n_same_mof == leaky.n_test == 90
    assert leaky.n_near > 20
    clean = make_split("by-mof", points, ids, mofs, PAPER, 0)
    assert clean.leaks.clean
    assert clean.leaks.percentiles["0"] > 10 * leaky.percentiles["50"]
    assert not {mofs[i] for i in clean.train} & {mofs[i] for i in clean.test + clean.valid}


def test_the_distances_of_the_report_are_those_of_the_definition():
    points, ids, mofs = synthetic(5, 8)
    split = make_split("random", points, ids, mofs, PAPER, 3)
    held_out = [*split.valid, *split.test]
    distances = np.linalg.norm(
        points[held_out, None].astype(float) - points[None, split.train], axis=-1
    )
    assert split.leaks.distances == pytest.approx(distances.min(axis=1), rel=1e-4)
    assert split.leaks.nearest == [split.train[i] for i in distances.argmin(axis=1)]


def test_a_copy_in_test_is_found():
    points, _, _ = synthetic(3, 4)
    points[11] = points[0]
    report = leak_report(points, ["a"] * 4 + ["b"] * 4 + ["c"] * 4, ([0, 1, 4], [5], [11]))
    assert report.n_identical == 1
    assert report.n_same_mof == 1
    assert not report.clean


def test_train_by_farthest_points_spans_the_rest():
    points, ids, _ = synthetic()
    parts = farthest_split(points, ids, PAPER)

    def radius(train, others):
        distances = np.linalg.norm(points[others, None] - points[None, train], axis=-1)
        return distances.min(axis=1).max()

    for seed in range(5):
        other = random_split(ids, PAPER, seed)
        assert radius(parts[0], parts[1] + parts[2]) < radius(other[0], other[1] + other[2])
    assert abs(len(parts[1]) - len(parts[2])) <= 1


def test_copies_do_not_stop_the_split_by_farthest_points():
    ids = [f"{i:02d}" for i in range(20)]
    parts = farthest_split(np.zeros((20, 3), np.float32), ids, (0.8, 0.1, 0.1))
    assert [len(part) for part in parts] == [16, 2, 2]


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_order_of_frames_does_not_matter(seed):
    points, ids, mofs = synthetic(6, 5)
    order = np.random.default_rng(seed).permutation(30)
    for name in ("random", "fps", "by-mof"):
        one = make_split(name, points, ids, mofs, PAPER, 1)
        other = make_split(
            name, points[order], [ids[i] for i in order], [mofs[i] for i in order], PAPER, 1
        )
        assert {ids[i] for i in one.test} == {ids[order[i]] for i in other.test}


def test_unequal_mofs_come_near_the_shares():
    sizes = [200, 90, 60, 40, 30, 20, 10, 5, 5, 5]
    mofs = [f"m{i}" for i, n in enumerate(sizes) for _ in range(n)]
    parts = mof_split(mofs, PAPER, 0)
    shares = np.array([len(part) for part in parts]) / len(mofs)
    assert shares == pytest.approx(PAPER, abs=0.03)


def test_two_mofs_cannot_be_split():
    with pytest.raises(DatasetError, match="2 MOFs"):
        mof_split(["a"] * 5 + ["b"] * 5, PAPER, 0)
