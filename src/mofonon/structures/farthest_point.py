"""Farthest-point sampling: deterministic, exact, in plain numpy.

Each step chooses the point whose distance to the nearest chosen point is largest (T. F.
Gonzalez, Theor. Comput. Sci. 38, 293 (1985): the covering radius is at most twice the best
possible one). Everything that could be left to chance is defined:

* the first point, where none is fixed, is the one nearest to the mean of all;
* ties go to the point whose key comes first, or which comes first where there are no keys, so
  that with keys the result does not depend on the order of the input;
* distances are Euclidean, each computed from the differences of one row in the precision of
  the input, never from norms and products, so that neither threads nor blocks change a bit.

Products by BLAS, a quarter of the work, only say which rows cannot have come nearer; their
rounding errors are bounded, and rows within the bound are computed from differences. Besides
the points (float32 as well as float64, also a memory map) a few numbers a point are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mofonon import progress
from mofonon.errors import SelectionError

BLOCK_BYTES = 1 << 25
"""Rows are worked on in blocks of about so many bytes."""


@dataclass(frozen=True)
class FarthestPoints:
    """What farthest-point sampling chose.

    Attributes
    ----------
    indices : ndarray of int, shape (n_chosen,)
        Chosen rows in the order of choice, fixed ones not among them. Fewer than asked for
        when all other rows equal chosen ones.
    distances : ndarray, shape (n_chosen,)
        Distance to the nearest of those chosen before (and fixed), at the time of choice;
        infinite for a first point without any before it.
    nearest : ndarray, shape (n_points,)
        Distance of every row to the nearest chosen or fixed one at the end; its maximum is
        the covering radius.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]
    nearest: NDArray[np.float64]

    @property
    def covering_radius(self) -> float:
        """Largest distance of any row to its nearest chosen one."""
        return float(self.nearest.max())


def farthest_point_sampling(
    points: ArrayLike,
    n_samples: int,
    *,
    fixed: Sequence[int] = (),
    fixed_points: ArrayLike | None = None,
    keys: Sequence[str] | None = None,
    start: int | None = None,
) -> FarthestPoints:
    """Choose rows that cover all rows.

    Parameters
    ----------
    points : array_like, shape (n_points, n_features)
        Finite numbers; float32 stays float32.
    n_samples : int
        Rows to choose, besides the fixed ones.
    fixed : sequence of int
        Rows that count as chosen already; they are never chosen again.
    fixed_points : array_like, shape (n_fixed, n_features), optional
        Further points that count as chosen already and are not rows.
    keys : sequence of str, optional
        A unique key of each row; with it the result is independent of the order of rows.
    start : int, optional
        The first row chosen; without it (and without fixed ones) that nearest to the mean.

    Raises
    ------
    SelectionError
        Values are not finite, shapes do not fit, keys repeat, or more rows are asked for than
        there are.

    Examples
    --------
    >>> farthest_point_sampling([[0.0], [1.0], [5.0], [9.0]], 3).indices.tolist()
    [2, 0, 3]
    """
    sampler = FarthestPointSampler(points, keys=keys)
    available = sampler.n_points - len(set(fixed))
    if not 0 <= n_samples <= available:
        raise SelectionError(
            f"{n_samples} points cannot be chosen from {available}",
            "ask for fewer, or give more structures",
        )
    if fixed_points is not None:
        for point in np.atleast_2d(np.asarray(fixed_points)):
            sampler.cover(point)
    for index in fixed:
        sampler.choose(index)
    indices: list[int] = []
    distances: list[float] = []
    while len(indices) < n_samples:
        first = start is not None and not indices
        index = int(start) if first and start is not None else sampler.farthest()
        if index < 0:
            break
        distances.append(sampler.choose(index))
        indices.append(index)
        progress.report("farthest points", len(indices), n_samples, f"{distances[-1]:.3g}")
    return FarthestPoints(
        np.array(indices, dtype=np.int64), np.array(distances, dtype=float), sampler.nearest()
    )


class FarthestPointSampler:
    """Farthest-point sampling step by step, for choices under conditions.

    Parameters
    ----------
    points : array_like, shape (n_points, n_features)
        Finite numbers; float32 stays float32. Not copied.
    keys : sequence of str, optional
        A unique key of each row, which decides ties.

    Raises
    ------
    SelectionError
        Values are not finite, there are none, or keys repeat.
    """

    def __init__(self, points: ArrayLike, *, keys: Sequence[str] | None = None) -> None:
        self._points = _checked_points(points)
        self.n_points = len(self._points)
        self._rank = _ranks(keys, self.n_points)
        kind = self._points.dtype
        self._squared = np.full(self.n_points, np.inf, dtype=kind)
        self._open = np.ones(self.n_points, dtype=bool)
        self._mean = self._sum_in_order() / self.n_points
        self._norms = np.empty(self.n_points, dtype=kind)  # squared distances from the mean
        self._lengths = np.empty(self.n_points, dtype=kind)  # of the rows as they are
        centre = self._mean.astype(kind)
        for rows in self._blocks():
            self._norms[rows] = _squared_distances(self._points[rows], centre)
            self._lengths[rows] = np.sqrt(np.vecdot(self._points[rows], self._points[rows]))
        self._centre = centre
        self._any_chosen = False

    def farthest(self, among: NDArray[np.bool_] | None = None) -> int:
        """Row that is farthest from all chosen ones; -1 when every row equals a chosen one.

        Parameters
        ----------
        among : ndarray of bool, shape (n_points,), optional
            Rows that may be taken; those at no distance too, as they were asked for.
        """
        free = self._open if among is None else self._open & among
        if not free.any():
            return -1
        if not self._any_chosen:
            return self._first(np.where(free, -self._norms, -np.inf))
        squared = np.where(free, self._squared, -1)
        if among is None and squared.max() <= 0:
            return -1
        return self._first(squared)

    def choose(self, index: int) -> float:
        """Count a row as chosen; returns its distance to those chosen before.

        Raises
        ------
        SelectionError
            There is no such row, or it is chosen already.
        """
        if not 0 <= index < self.n_points or not self._open[index]:
            raise SelectionError(
                f"row {index} is not there, or is chosen already", "choose a row that is open"
            )
        before = float(np.sqrt(np.float64(self._squared[index])))
        self.cover(self._points[index])
        self._open[index] = False
        self._squared[index] = 0
        return before

    def cover(self, point: NDArray[Any]) -> None:
        """Count any point as chosen.

        Raises
        ------
        SelectionError
            It has another number of features, or is not finite.
        """
        point = np.asarray(point, dtype=self._points.dtype)
        if point.shape != self._points.shape[1:] or not np.isfinite(point).all():
            raise SelectionError(
                f"a point of shape {point.shape} does not fit {self._points.shape[1]} finite "
                "features",
                "describe all structures with the same model",
            )
        for rows in self._blocks():
            self._update(rows, point)
        self._any_chosen = True

    def nearest(self) -> NDArray[np.float64]:
        """Distance of every row to the nearest chosen point, shape (n_points,)."""
        return np.sqrt(self._squared.astype(np.float64))

    def _update(self, rows: slice, point: NDArray[Any]) -> None:
        """Bring the distances of a block up to date with a new point."""
        block, squared = self._points[rows], self._squared[rows]
        if self._any_chosen:
            possible = np.flatnonzero(self._lower_bound(rows, point) < squared)
            if len(possible) < len(block) // 2:
                exact = _squared_distances(block[possible], point)
                squared[possible] = np.minimum(squared[possible], exact)
                return
        np.minimum(squared, _squared_distances(block, point), out=squared)

    def _lower_bound(self, rows: slice, point: NDArray[Any]) -> NDArray[Any]:
        """Squared distances by one matrix-vector product, less their largest error.

        |x - c|^2 = |x - m|^2 + |c - m|^2 - 2 (x - m).(c - m), with the mean m. A product of
        length n errs by at most n eps |x||c - m|; four times that is more than all errors.
        """
        kind = self._points.dtype
        direction = point - self._centre
        length = float(np.linalg.norm(direction))
        error = 4 * (len(point) + 8) * float(np.finfo(kind).eps)
        product = self._points[rows] @ direction
        product -= self._centre @ direction
        constant = kind.type(length * length * (1 - error))
        bound = self._norms[rows] * kind.type(1 - error) + constant
        bound -= 2 * product
        reach = self._lengths[rows] + kind.type(np.linalg.norm(self._centre))
        return bound - reach * kind.type(2 * error * length)

    def _first(self, values: NDArray[Any]) -> int:
        """Row of the largest value; of several the first by key."""
        best = np.flatnonzero(values == values.max())
        return int(best[np.argmin(self._rank[best])])

    def _sum_in_order(self) -> NDArray[np.float64]:
        """Sum of all rows in the order of their keys, in float64."""
        total = np.zeros(self._points.shape[1])
        in_order = bool((np.diff(self._rank) > 0).all())
        order = None if in_order else np.argsort(self._rank)
        for rows in self._blocks():
            block = self._points[rows] if order is None else self._points[order[rows]]
            total += block.sum(axis=0, dtype=np.float64)
        return total

    def _blocks(self) -> Iterator[slice]:
        step = max(1, BLOCK_BYTES // max(1, self._points.strides[0]))
        for begin in range(0, self.n_points, step):
            yield slice(begin, min(begin + step, self.n_points))


def _squared_distances(rows: NDArray[Any], point: NDArray[Any]) -> NDArray[Any]:
    """Squared distances of rows to a point; a row's value depends on nothing else.

    In pieces that fit a cache.
    """
    result = np.empty(len(rows), dtype=rows.dtype)
    step = max(1, (1 << 18) // max(1, rows.dtype.itemsize * rows.shape[1]))
    for begin in range(0, len(rows), step):
        difference = rows[begin : begin + step] - point
        np.einsum("ij,ij->i", difference, difference, out=result[begin : begin + step])
    return result


def _checked_points(points: ArrayLike) -> NDArray[Any]:
    array = np.asanyarray(points)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise SelectionError(
            f"points of shape {array.shape} are no table of features",
            "give one row of features for each structure, and at least one row",
        )
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    step = max(1, BLOCK_BYTES // max(1, array.strides[0]))
    for begin in range(0, len(array), step):
        block = array[begin : begin + step]
        if not np.isfinite(block).all():
            row = begin + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise SelectionError(
                f"the features of row {row} are not finite numbers",
                "leave that structure out, or look at why its descriptor failed",
            )
    return array


def _ranks(keys: Sequence[str] | None, n_points: int) -> NDArray[np.int64]:
    """Position of each row in the order of keys."""
    if keys is None:
        return np.arange(n_points)
    if len(keys) != n_points or len(set(keys)) != n_points:
        raise SelectionError(
            f"{len(set(keys))} different keys for {n_points} rows", "give each row its own key"
        )
    ranks = np.empty(n_points, dtype=np.int64)
    ranks[sorted(range(n_points), key=keys.__getitem__)] = np.arange(n_points)
    return ranks
