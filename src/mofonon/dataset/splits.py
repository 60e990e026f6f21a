"""Splits into train, valid and test, and what leaks from one to the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mofonon.dataset.schemas import LeakReport, Split, SplitName
from mofonon.errors import DatasetError
from mofonon.structures.farthest_point import FarthestPointSampler, farthest_point_sampling

_PERCENTILES = (0, 5, 25, 50, 75, 95, 100)

Points = NDArray[np.float32]


def part_sizes(n: int, fractions: Sequence[float]) -> tuple[int, int, int]:
    """Sizes of train, valid and test: rounded by largest remainder, none empty.

    Raises
    ------
    DatasetError
        There are fewer than three items, or fractions are not positive or do not add up to 1.
    """
    shares = np.asarray(fractions, float)
    if shares.shape != (3,) or (shares <= 0).any() or abs(shares.sum() - 1) > 1e-9:
        raise DatasetError(
            f"{fractions} are no shares of train, valid and test",
            "give three positive numbers that add up to 1",
        )
    if n < 3:
        raise DatasetError(f"{n} cannot be split in three", "add frames")
    exact = shares * n
    sizes = np.floor(exact).astype(int)
    for index in np.argsort(-(exact - sizes), kind="stable")[: n - sizes.sum()]:
        sizes[index] += 1
    for index in np.flatnonzero(sizes == 0):
        sizes[index] += 1
        sizes[int(np.argmax(sizes))] -= 1
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


def random_split(ids: Sequence[str], fractions: Sequence[float], seed: int) -> list[list[int]]:
    """Share frames out at random.

    Parameters
    ----------
    ids : sequence of str
        Keys of frames; the result does not depend on their order.
    fractions : sequence of float
        Shares of train, valid and test.
    seed : int
        Of the shuffle.

    Returns
    -------
    list of lists of int
        Indices of train, valid and test, ascending.
    """
    train, valid, _ = part_sizes(len(ids), fractions)
    order = np.array(sorted(range(len(ids)), key=ids.__getitem__))
    order = np.random.default_rng(seed).permutation(order)
    return _sorted(order[:train], order[train : train + valid], order[train + valid :])


def farthest_split(
    points: Points, ids: Sequence[str], fractions: Sequence[float]
) -> list[list[int]]:
    """Put the frames that differ most into train, the others by turns into valid and test.

    Train then spans all frames: valid and test lie within it.

    Parameters
    ----------
    points : ndarray, shape (n_frames, n_features)
        Descriptors.
    ids : sequence of str
        Keys of frames, which decide ties.
    fractions : sequence of float
        Shares of train, valid and test.
    """
    train, valid, test = part_sizes(len(ids), fractions)
    found = farthest_point_sampling(points, train, keys=ids)
    chosen = [int(index) for index in found.indices]
    rest = sorted(set(range(len(ids))) - set(chosen), key=ids.__getitem__)
    # frames equal to chosen ones end the sampling early: they fill train up
    missing = train - len(chosen)
    chosen, rest = chosen + rest[:missing], rest[missing:]
    far_first = sorted(rest, key=lambda index: (-found.nearest[index], ids[index]))
    parts: tuple[list[int], list[int]] = ([], [])
    for place, index in enumerate(far_first):
        wanted = place % 2
        full = len(parts[wanted]) >= (valid, test)[wanted]
        parts[1 - wanted if full else wanted].append(index)
    return _sorted(chosen, *parts)


def mof_split(mof_ids: Sequence[str], fractions: Sequence[float], seed: int) -> list[list[int]]:
    """Share whole MOFs out, so that none is on two sides.

    MOFs are taken in order of their number of frames, at random among equals, and each goes
    where most frames lack.

    Parameters
    ----------
    mof_ids : sequence of str
        MOF of each frame.
    fractions : sequence of float
        Shares of frames in train, valid and test.
    seed : int
        Of the shuffle.

    Raises
    ------
    DatasetError
        There are fewer than three MOFs.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(mof_ids):
        members[name].append(index)
    if len(members) < 3:
        raise DatasetError(
            f"{len(members)} MOFs cannot be split in three", "add frames of other MOFs"
        )
    names = [str(name) for name in np.random.default_rng(seed).permutation(sorted(members))]
    names.sort(key=lambda name: -len(members[name]))
    lacking = np.array(part_sizes(len(mof_ids), fractions), float)
    parts: list[list[int]] = [[], [], []]
    for place, name in enumerate(names):
        empty = [part for part in range(3) if not parts[part]]
        last_chance = len(names) - place <= len(empty)
        among = empty if last_chance else range(3)
        target = max(among, key=lambda part: lacking[part])
        parts[target] += members[name]
        lacking[target] -= len(members[name])
    return _sorted(*parts)


def leak_report(
    points: Points, mof_ids: Sequence[str], parts: Sequence[Sequence[int]]
) -> LeakReport:
    """Say how near frames of valid and test are to those of train.

    Parameters
    ----------
    points : ndarray, shape (n_frames, n_features)
        Descriptors.
    mof_ids : sequence of str
        MOF of each frame.
    parts : sequence
        Indices of train, valid and test.
    """
    train, held_out = list(parts[0]), [*parts[1], *parts[2]]
    distances, nearest = _nearest(points[held_out], points[train])
    known = {mof_ids[index] for index in train}
    near = near_distance(points, mof_ids)
    return LeakReport(
        near_distance=near,
        n_test=len(held_out),
        n_same_mof=sum(mof_ids[index] in known for index in held_out),
        n_near=int((distances < near).sum()),
        n_identical=int((distances == 0).sum()),
        percentiles={f"{p}": float(np.percentile(distances, p)) for p in _PERCENTILES},
        distances=[float(distance) for distance in distances],
        nearest=[train[place] for place in nearest],
    )


def near_distance(points: Points, mof_ids: Sequence[str]) -> float:
    """Median distance of frames to the nearest other frame of their MOF; 0 if all are alone."""
    found: list[float] = []
    members: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(mof_ids):
        members[name].append(index)
    for rows in members.values():
        for row in rows if len(rows) > 1 else ():
            others = [other for other in rows if other != row]
            difference = points[others] - points[row]
            found.append(float(np.sqrt(np.einsum("ij,ij->i", difference, difference).min())))
    return float(np.median(found)) if found else 0.0


def _nearest(queries: Points, reference: Points) -> tuple[NDArray[np.float64], list[int]]:
    """Distance of each query to the nearest reference point, and which that is."""
    sampler = FarthestPointSampler(queries)
    best = np.full(len(queries), np.inf)
    which = np.zeros(len(queries), dtype=int)
    for place, point in enumerate(reference):
        sampler.cover(point)
        now = sampler.nearest()
        which[now < best] = place
        best = now
    return best, which.tolist()


def make_split(
    name: SplitName,
    points: Points,
    ids: Sequence[str],
    mof_ids: Sequence[str],
    fractions: Sequence[float],
    seed: int,
) -> Split:
    """Make a split by its name, with its leak report."""
    if name == "random":
        parts = random_split(ids, fractions, seed)
    elif name == "fps":
        parts = farthest_split(points, ids, fractions)
    else:
        parts = mof_split(mof_ids, fractions, seed)
    train, valid, test = parts
    leaks = leak_report(points, mof_ids, parts)
    return Split(name=name, train=train, valid=valid, test=test, leaks=leaks)


def _sorted(*parts: Sequence[int] | NDArray[np.int64]) -> list[list[int]]:
    return [sorted(int(index) for index in part) for part in parts]
