"""Density of states by the linear tetrahedron method, as a sparse sum.

A tetrahedron of the q-mesh contributes to the density of states only between the lowest
and the highest frequency at its vertices. The bands of a framework are flat, so that is a
few points of the frequency axis out of ten thousand: summing only those is what makes a
pitch of 0.01 THz cheap. Tetrahedra that symmetry makes equal are counted, not repeated.

References
----------
A. H. MacDonald, S. H. Vosko, P. T. Coleridge, J. Phys. C 12, 2991 (1979); the subdivision
of the mesh is phonopy's (six tetrahedra around the shortest main diagonal of each cell).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phonopy.phonon.grid import BZGrid, get_grid_point_from_address
from phonopy.phonon.tetrahedron_method import get_tetrahedra_relative_gr_grid_address

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Terms evaluated at once: bounds the memory to about 200 MB whatever the structure.
_CHUNK = 500_000

#: A difference of two vertex frequencies below this counts as none (phonopy's value).
_EPSILON = 1e-10


@dataclass(frozen=True)
class Tetrahedra:
    """The distinct tetrahedra of a q-mesh.

    Attributes
    ----------
    vertices : ndarray, shape (n_tetrahedra, 4)
        Indices of irreducible q-points.
    weights : ndarray, shape (n_tetrahedra,)
        Fraction of the Brillouin zone that each stands for; they sum to 1.
    """

    vertices: Integers
    weights: Floats


def distinct_tetrahedra(grid: BZGrid, irreducible_of: Integers) -> Tetrahedra:
    """Find the distinct tetrahedra of a mesh.

    Parameters
    ----------
    grid : BZGrid
        phonopy's grid.
    irreducible_of : ndarray, shape (n_grid_points,)
        Index of the irreducible q-point of each grid point.

    Notes
    -----
    The tetrahedra are those of the full mesh, mapped to irreducible points one by one.
    phonopy sums around irreducible points instead, which is not the same where the
    subdivision breaks the symmetry of the mesh (1.6 % of the density in a trigonal case);
    with ``is_mesh_symmetry=False`` phonopy gives these numbers.
    """
    around = get_tetrahedra_relative_gr_grid_address(grid)
    addresses = grid.addresses[grid.grg2bzg]
    corners = (addresses[:, None, None, :] + around[None]).reshape(-1, 3)
    points = get_grid_point_from_address(corners, grid.D_diag).reshape(-1, 4)
    vertices, counts = _distinct_rows(np.sort(irreducible_of[points], axis=1))
    return Tetrahedra(vertices.astype(np.int64), counts / counts.sum())


def _distinct_rows(rows: Integers) -> tuple[Integers, Integers]:
    """Distinct rows and how often each occurs: ``np.unique`` of an axis, which is slow."""
    ordered = rows[np.lexsort(rows.T[::-1])]
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    begins = np.flatnonzero(first)
    return ordered[begins], np.diff(begins, append=len(ordered))


def tetrahedron_dos(
    frequencies: Floats,
    tetrahedra: Tetrahedra,
    points: Floats,
    projections: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Total and projected density of states.

    Parameters
    ----------
    frequencies : ndarray, shape (n_q, n_bands)
        Frequencies at the irreducible q-points (THz).
    tetrahedra : Tetrahedra
        Of the mesh.
    points : ndarray, shape (n_points,)
        Equally spaced, ascending frequencies (THz).
    projections : ndarray, shape (n_q, n_bands, n_projections), optional
        Weights of each mode, such as its share of each element.

    Returns
    -------
    total : ndarray, shape (n_points,)
        States per THz and cell; it integrates to ``n_bands``.
    projected : ndarray, shape (n_projections, n_points)
        The same, each mode multiplied by its weights.
    """
    n_projections = 0 if projections is None else projections.shape[2]
    total = np.zeros(len(points))
    projected = np.zeros((n_projections, len(points)))
    start, pitch = points[0], (points[-1] - points[0]) / (len(points) - 1)
    for band in range(frequencies.shape[1]):
        corner_frequencies = frequencies[tetrahedra.vertices, band]
        order = np.argsort(corner_frequencies, axis=1, kind="stable")
        sorted_frequencies = np.take_along_axis(corner_frequencies, order, axis=1)
        sorted_vertices = np.take_along_axis(tetrahedra.vertices, order, axis=1)
        first = np.ceil((sorted_frequencies[:, 0] - start) / pitch).astype(np.int64)
        last = np.floor((sorted_frequencies[:, 3] - start) / pitch).astype(np.int64)
        first, last = np.maximum(first, 0), np.minimum(last, len(points) - 1)
        for tetra, index in _touched_points(first, last):
            density, shares = _cross_section(points[index], sorted_frequencies[tetra])
            density *= tetrahedra.weights[tetra]
            total += np.bincount(index, density, len(points))
            if projections is None:
                continue
            corner_weights = projections[sorted_vertices[tetra], band]
            values = np.einsum("tv,tvp->pt", density[:, None] * shares, corner_weights)
            for projection in range(n_projections):
                projected[projection] += np.bincount(index, values[projection], len(points))
    return total, projected


def _touched_points(first: Integers, last: Integers) -> list[tuple[Integers, Integers]]:
    """Pairs (tetrahedron, frequency point) for each point a tetrahedron reaches, in chunks."""
    counts = np.maximum(last - first + 1, 0)
    tetra = np.repeat(np.arange(len(counts)), counts)
    offsets = np.arange(len(tetra)) - np.repeat(np.cumsum(counts) - counts, counts)
    index = first[tetra] + offsets
    n_chunks = max(1, -(-len(tetra) // _CHUNK))
    return list(
        zip(np.array_split(tetra, n_chunks), np.array_split(index, n_chunks), strict=True)
    )


def _cross_section(omega: Floats, vertices: Floats) -> tuple[Floats, Floats]:
    """Density of a tetrahedron at a frequency, and the share of each vertex in it.

    Parameters
    ----------
    omega : ndarray, shape (n,)
        Frequencies (THz).
    vertices : ndarray, shape (n, 4)
        Ascending vertex frequencies (THz).

    Returns
    -------
    density : ndarray, shape (n,)
        Per THz; it integrates to 1 over the tetrahedron.
    shares : ndarray, shape (n, 4)
        They sum to 1.
    """
    height = vertices[:, 3] - vertices[:, 0]
    inside = (height > _EPSILON) & (omega >= vertices[:, 0]) & (omega < vertices[:, 3])
    low, high = inside & (omega < vertices[:, 1]), inside & (omega >= vertices[:, 2])
    density, shares = np.zeros(len(omega)), np.zeros((len(omega), 4))
    for picked, corner in ((low, _low), (inside & ~low & ~high, _middle), (high, _high)):
        index = np.flatnonzero(picked)
        area, parts = corner(omega[index], vertices[index].T)
        density[index] = 3 * area / height[index]
        shares[index] = np.stack(parts, axis=1) / 3
    return density, shares


def _reached(omega: Floats, end: Floats, start: Floats) -> Floats:
    """How far along an edge the frequency is: 0 at its start, 1 at its end."""
    length = end - start
    flat = np.abs(length) < _EPSILON
    return np.where(flat, 0.0, (omega - start) / np.where(flat, 1.0, length))


def _low(omega: Floats, vertex: Floats) -> tuple[Floats, tuple[Floats, ...]]:
    """Area of a cross-section below the second vertex, and three times the shares in it."""
    f10, f20, f30 = (_reached(omega, vertex[n], vertex[0]) for n in (1, 2, 3))
    return f10 * f20, (3 - f10 - f20 - f30, f10, f20, f30)


def _middle(omega: Floats, vertex: Floats) -> tuple[Floats, tuple[Floats, ...]]:
    """Between the second and the third vertex: area and shares as in :func:`_low`."""
    f20, f30 = (_reached(omega, vertex[n], vertex[0]) for n in (2, 3))
    f21, f31 = (_reached(omega, vertex[n], vertex[1]) for n in (2, 3))
    f02, f03, f12, f13 = 1 - f20, 1 - f30, 1 - f21, 1 - f31
    area = f12 * f20 + f21 * f13
    solid = area > _EPSILON
    left = f20 * f12 / np.where(solid, area, 1.0)
    right = np.where(solid, 1 - left, 0.0)
    return area, (f03 + f02 * left, f12 + f13 * right, f21 + f20 * left, f30 + f31 * right)


def _high(omega: Floats, vertex: Floats) -> tuple[Floats, tuple[Floats, ...]]:
    """Above the third vertex: area and shares as in :func:`_low`."""
    f30, f31, f32 = (_reached(omega, vertex[3], vertex[n]) for n in (0, 1, 2))
    f03, f13, f23 = 1 - f30, 1 - f31, 1 - f32
    return f13 * f23, (f03, f13, f23, f30 + f31 + f32)


def frequency_points(frequencies: Floats, pitch: float) -> Floats:
    """Frequency axis of a density of states: phonopy's range, a tenth beyond the bands.

    Parameters
    ----------
    frequencies : ndarray
        All frequencies (THz).
    pitch : float
        Spacing (THz).
    """
    lowest, highest = float(frequencies.min()), float(frequencies.max())
    margin = (highest - lowest) / 10
    return np.arange(lowest - margin, highest + margin + pitch * 0.1, pitch)
