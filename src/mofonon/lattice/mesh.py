"""Modes on a q-point mesh, at Gamma and along the band path.

The mesh is streamed: eigenvectors are reduced to the share of each element as soon as they
are there and are never kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynamical_matrix import get_dynamical_matrices_at_qpoints
from phonopy.phonon.mesh import MeshSymmetryFallbackWarning
from phonopy.physical_units import get_physical_units
from phonopy.structure.atoms import PhonopyAtoms

from mofonon import progress
from mofonon.lattice.tetrahedron import Tetrahedra, distinct_tetrahedra

Floats = NDArray[np.float64]

#: Dynamical matrices held at a time (bytes).
_STACK_BYTES = 32e6


@dataclass(frozen=True)
class MeshModes:
    """Modes at the irreducible points of a q-mesh.

    Attributes
    ----------
    mesh : tuple of int
        Divisions along the reciprocal vectors.
    qpoints : ndarray, shape (n_q, 3)
        Irreducible q-points (reduced coordinates of the cell).
    weights : ndarray, shape (n_q,)
        Grid points that each stands for.
    frequencies : ndarray, shape (n_q, n_bands)
        Frequencies (THz); imaginary ones are negative.
    elements : tuple of str
        Elements, in order of first appearance.
    element_shares : ndarray, shape (n_q, n_bands, n_elements)
        Share of each element in the squared eigenvector of each mode.
    gamma : int or None
        Index of Gamma among the q-points.
    tetrahedra : Tetrahedra
        For the density of states.
    """

    mesh: tuple[int, int, int]
    qpoints: Floats
    weights: NDArray[np.int64]
    frequencies: Floats
    elements: tuple[str, ...]
    element_shares: Floats = field(repr=False)
    gamma: int | None
    tetrahedra: Tetrahedra = field(repr=False)


@dataclass(frozen=True)
class GammaModes:
    """Modes at Gamma, the acoustic ones identified by their eigenvectors.

    Attributes
    ----------
    frequencies : ndarray, shape (n_bands,)
        All frequencies (THz), ascending; imaginary ones are negative.
    acoustic : ndarray, shape (3,)
        Frequencies of the modes that are nearest to rigid translations (THz).
    acoustic_bands : ndarray, shape (3,)
        Their indices.
    translation_overlap : float
        Least share of a rigid translation in these modes; 1 when they are pure.
    """

    frequencies: Floats
    acoustic: Floats
    acoustic_bands: NDArray[np.int64]
    translation_overlap: float

    @property
    def optical(self) -> Floats:
        """Frequencies of the other modes (THz)."""
        return np.delete(self.frequencies, self.acoustic_bands)


@dataclass(frozen=True)
class BandPath:
    """Frequencies along the standard path of the Brillouin zone.

    Attributes
    ----------
    segments : list of ndarray, shape (n_points, n_bands)
        Frequencies (THz) of each segment.
    qpoints : list of ndarray, shape (n_points, 3)
        q-points of each segment (reduced coordinates of the cell).
    distances : list of ndarray, shape (n_points,)
        Distance along the path (1/A, without the factor 2 pi).
    labels : list of tuple of str
        Names of the ends of each segment.
    """

    segments: list[Floats]
    qpoints: list[Floats]
    distances: list[Floats]
    labels: list[tuple[str, str]]


def mesh_modes(phonon: Phonopy, mesh: tuple[int, int, int]) -> MeshModes:
    """Compute the modes at the irreducible points of a mesh.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants.
    mesh : tuple of int
        Divisions; phonopy's convention decides whether an even mesh holds Gamma.
    """
    with warnings.catch_warnings():
        # a mesh that breaks the symmetry costs time, not accuracy
        warnings.simplefilter("ignore", MeshSymmetryFallbackWarning)
        phonon.init_mesh(mesh, use_iter_mesh=True, with_eigenvectors=True)
    grid: Any = phonon.mesh
    projector, elements = element_projector(phonon.primitive)
    n_q, n_bands = len(grid.qpoints), 3 * len(phonon.primitive)
    frequencies = np.empty((n_q, n_bands))
    shares = np.empty((n_q, n_bands, len(elements)))
    done = 0
    for stack in dynamical_matrices(phonon, grid.qpoints):
        rows = slice(done, done + len(stack))
        values, vectors = np.linalg.eigh(stack)
        frequencies[rows] = signed_sqrt(values)
        shares[rows] = np.swapaxes(np.abs(vectors) ** 2, 1, 2) @ projector
        done += len(stack)
        progress.report("mesh", done, n_q)
    irreducible = np.searchsorted(grid.ir_grid_points, grid.grid_mapping_table)
    a, b, c = (int(n) for n in grid.mesh_numbers)
    return MeshModes(
        mesh=(a, b, c),
        qpoints=np.asarray(grid.qpoints),
        weights=np.asarray(grid.weights, dtype=np.int64),
        frequencies=frequencies,
        elements=elements,
        element_shares=shares,
        gamma=grid.gamma_index,
        tetrahedra=distinct_tetrahedra(grid.bz_grid, irreducible),
    )


def element_projector(cell: PhonopyAtoms) -> tuple[Floats, tuple[str, ...]]:
    """Matrix that sums the components of a mode over the atoms of each element.

    Returns
    -------
    projector : ndarray, shape (3 * n_atoms, n_elements)
        Ones and zeros.
    elements : tuple of str
        In order of first appearance.
    """
    elements = tuple(dict.fromkeys(cell.symbols))
    belongs = np.array([[symbol == element for element in elements] for symbol in cell.symbols])
    return np.repeat(belongs.astype(float), 3, axis=0), elements


def gamma_modes(phonon: Phonopy) -> GammaModes:
    """Compute the modes at Gamma and find the acoustic ones by eigenvector.

    The three modes with the largest projection on rigid translations are the acoustic
    ones, whatever their frequency: a soft optical mode is never taken for one of them.
    """
    matrix = dynamical_matrix(phonon, (0.0, 0.0, 0.0)).real
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    frequencies = signed_sqrt(eigenvalues)
    masses = np.sqrt(phonon.primitive.masses)
    translations = np.kron(masses[:, None] / np.linalg.norm(masses), np.eye(3))
    overlap = np.sum((translations.T @ vectors) ** 2, axis=0)
    bands = np.sort(np.argsort(overlap)[-3:])
    return GammaModes(
        frequencies=frequencies,
        acoustic=frequencies[bands],
        acoustic_bands=bands.astype(np.int64),
        translation_overlap=float(overlap[bands].min()),
    )


def dynamical_matrix(phonon: Phonopy, q: tuple[float, float, float]) -> NDArray[np.complex128]:
    """Dynamical matrix at a q-point, shape (3 * n_atoms, 3 * n_atoms)."""
    matrix: Any = phonon.dynamical_matrix
    matrix.run(q)
    return np.asarray(matrix.dynamical_matrix)


def dynamical_matrices(phonon: Phonopy, qpoints: Floats) -> Iterator[NDArray[np.complex128]]:
    """Dynamical matrices at many q-points, in stacks of some megabytes.

    Yields
    ------
    ndarray, shape (n_stack, 3 * n_atoms, 3 * n_atoms)
        In the order of the q-points.
    """
    solver: Any = phonon.dynamical_matrix
    count = max(1, int(_STACK_BYTES / (16 * (3 * len(phonon.primitive)) ** 2)))
    for first in range(0, len(qpoints), count):
        chosen = np.array(qpoints[first : first + count], dtype="double", order="C")
        yield get_dynamical_matrices_at_qpoints(solver, chosen)


def signed_sqrt(eigenvalues: Floats) -> Floats:
    """Frequencies (THz) of eigenvalues of the dynamical matrix, negative if imaginary.

    The eigenvalues are in eV/A^2/u.
    """
    factor = get_physical_units().DefaultToTHz
    return np.sign(eigenvalues) * np.sqrt(np.abs(eigenvalues)) * factor


def band_path(phonon: Phonopy, n_points: int, symprec: float) -> BandPath:
    """Compute the frequencies along the standard path, in the setting of the cell given.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants.
    n_points : int
        Points on the longest segment; the others have the same spacing.
    symprec : float
        Symmetry tolerance (A).

    References
    ----------
    Y. Hinuma et al., Comput. Mater. Sci. 128, 140 (2017) (seekpath).
    """
    cell = phonon.primitive
    points, path = _seekpath(cell, symprec)
    reciprocal = np.linalg.inv(cell.cell)
    ends = [(np.array(points[start]), np.array(points[end])) for start, end in path]
    lengths = [float(np.linalg.norm(reciprocal @ (end - start))) for start, end in ends]
    segments, qpoints, distances, passed = [], [], [], 0.0
    for (start, end), length in zip(ends, lengths, strict=True):
        count = max(2, round(n_points * length / max(lengths)))
        fractions = np.linspace(0, 1, count)
        q = start + fractions[:, None] * (end - start)
        segments.append(_frequencies(phonon, q))
        qpoints.append(q)
        distances.append(passed + fractions * length)
        passed += length
        progress.report("bands", len(segments), len(ends))
    labels = [(_label(start), _label(end)) for start, end in path]
    return BandPath(segments, qpoints, distances, labels)


def _seekpath(
    cell: PhonopyAtoms, symprec: float
) -> tuple[dict[str, list[float]], list[tuple[str, str]]]:
    import seekpath

    with warnings.catch_warnings():
        # seekpath warns of cells that are not its standard one; the path is still right
        warnings.simplefilter("ignore")
        found = seekpath.get_path_orig_cell(cell.totuple(), symprec=symprec)
    return found["point_coords"], found["path"]


def _frequencies(phonon: Phonopy, qpoints: Floats) -> Floats:
    stacks = dynamical_matrices(phonon, qpoints)
    return signed_sqrt(np.concatenate([np.linalg.eigvalsh(stack) for stack in stacks]))


def _label(name: str) -> str:
    names = {"GAMMA": "\u0393", "SIGMA": "\u03a3", "DELTA": "\u0394", "LAMBDA": "\u039b"}
    for word, letter in names.items():
        name = name.replace(word, letter)
    return name
