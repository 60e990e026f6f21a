"""Frequencies of two sets of force constants, mode by mode, on a mesh and at Gamma.

The candidate may be in another setting of the same cell: q-points and eigenvectors are
carried over by the alignment of the structures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from pydantic import BaseModel, Field
from pymatgen.core import Structure
from scipy.optimize import linear_sum_assignment

from mofonon import progress
from mofonon.benchmark.alignment import align
from mofonon.errors import ComparisonError
from mofonon.lattice.mesh import dynamical_matrix, signed_sqrt

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

#: Frequencies (THz) that differ by less are degenerate.
DEGENERATE = 1e-3

Q = tuple[float, float, float]


class ModeDeviations(BaseModel):
    """Deviations of frequencies, over bands and q-points with their weights."""

    rmsd_sorted: float = Field(
        description="Root mean square deviation, bands by ascending frequency (THz)."
    )
    rmsd_matched: float | None = Field(
        None,
        description="The same, bands by the overlap of their eigenvectors (THz); None where "
        "there are no eigenvectors.",
    )
    mean_overlap: float | None = Field(
        None, description="Mean squared overlap of the matched eigenvectors; 1 if they agree."
    )
    mean_deviation: float = Field(description="Mean deviation, with sign (THz).")
    largest_deviation: float = Field(description="Largest, bands sorted (THz).")
    n_qpoints: int = Field(description="q-points that were computed.")
    n_weights: int = Field(description="q-points that they stand for.")


@dataclass(frozen=True)
class Carried:
    """How modes of a candidate are expressed in the setting of a reference.

    Attributes
    ----------
    order : ndarray of int, shape (n_atoms,)
        Atom of the candidate that each atom of the reference is.
    rotation : ndarray, shape (3, 3)
        Row vectors of the candidate times it are in the frame of the reference.
    basis : ndarray of int, shape (3, 3)
        Cell vectors of the reference in those of the candidate, as rows.
    """

    order: NDArray[np.int64]
    rotation: Floats
    basis: NDArray[np.int64]

    def qpoint(self, q: Floats) -> Q:
        """q-point of the reference (reduced) in the reduced coordinates of the candidate."""
        a, b, c = np.linalg.solve(self.basis, q).tolist()
        return a, b, c

    def eigenvectors(self, vectors: Complexes) -> Complexes:
        """Eigenvectors of the candidate, shape (3 * n_atoms, n_bands), for the reference."""
        by_atom = vectors.reshape(len(self.order), 3, -1)[self.order]
        turned = np.einsum("xy,axb->ayb", self.rotation, by_atom)
        return np.asarray(turned.reshape(vectors.shape), dtype=np.complex128)

    def operations(self, rotations: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rotations on fractional coordinates of the candidate as those of the reference."""
        transposed = self.basis.T
        inverse = np.linalg.inv(transposed)
        return np.rint(inverse @ rotations @ transposed).astype(np.int64)


def compare_modes(
    reference: Phonopy, candidate: Phonopy, mesh: tuple[int, int, int]
) -> tuple[ModeDeviations, ModeDeviations]:
    """Compare frequencies on a mesh that contains Gamma, and at Gamma.

    The irreducible q-points are those of the symmetry that both have. Bands are compared
    sorted by frequency and, besides, matched by the overlap of eigenvectors, the sum of the
    squared overlaps being the largest possible.

    Parameters
    ----------
    reference, candidate : phonopy.Phonopy
        With force constants, of cells of the same size.
    mesh : tuple of int
        Divisions along the reciprocal vectors of the reference.

    Returns
    -------
    ModeDeviations
        On the mesh.
    ModeDeviations
        At Gamma, the acoustic modes among them.

    Raises
    ------
    ComparisonError
        The cells are of different size, or cannot be brought to match.
    """
    carried = carry(reference, candidate)
    qpoints, weights = _common_mesh(reference, candidate, carried, mesh)
    collected = _Collected()
    for index, (q, weight) in enumerate(zip(qpoints, weights, strict=True)):
        collected.add(reference, candidate, carried, q, int(weight))
        progress.report("mode overlaps", index + 1, len(qpoints))
    at_gamma = _Collected()
    at_gamma.add(reference, candidate, carried, np.zeros(3), 1)
    return collected.result(), at_gamma.result()


def carry(reference: Phonopy, candidate: Phonopy) -> Carried:
    """Find how modes of a candidate are expressed in the setting of a reference."""
    ours, theirs = (_structure(phonon) for phonon in (reference, candidate))
    if len(ours) != len(theirs):
        raise ComparisonError(
            f"frequencies of cells of {len(ours)} and {len(theirs)} atoms cannot be compared "
            "mode by mode",
            "compute both in primitive cells (--primitive)",
        )
    alignment = align(ours, theirs, primitive=False)
    turned_back = alignment.candidate.lattice.matrix @ alignment.rotation.T
    basis = np.rint(np.linalg.solve(theirs.lattice.matrix.T, turned_back.T).T)
    return Carried(alignment.order, alignment.rotation, basis.astype(np.int64))


def sorted_deviations(
    reference: Floats, candidate: Floats, weights: NDArray[np.int64] | None = None
) -> ModeDeviations:
    """Compare frequencies, shape (n_q, n_bands), with bands sorted by frequency (THz)."""
    collected = _Collected()
    for index, (ours, theirs) in enumerate(zip(reference, candidate, strict=True)):
        collected.deviations.append(np.sort(theirs) - np.sort(ours))
        collected.weights.append(1 if weights is None else int(weights[index]))
    return collected.result()


class _Collected:
    """Deviations collected q-point by q-point."""

    def __init__(self) -> None:
        self.deviations: list[Floats] = []
        self.matched: list[Floats] = []
        self.overlaps: list[Floats] = []
        self.weights: list[int] = []

    def add(
        self, reference: Phonopy, candidate: Phonopy, carried: Carried, q: Floats, weight: int
    ) -> None:
        ours, our_vectors = _modes(reference, (q[0], q[1], q[2]))
        theirs, their_vectors = _modes(candidate, carried.qpoint(q))
        products = our_vectors.conj().T @ carried.eigenvectors(their_vectors)
        _, columns = linear_sum_assignment(np.abs(products) ** 2, maximize=True)
        self.deviations.append(theirs - ours)
        self.matched.append(theirs[columns] - ours)
        self.overlaps.append(_squared_overlaps(products, columns, theirs))
        self.weights.append(weight)

    def result(self) -> ModeDeviations:
        deviations = np.array(self.deviations)
        weights = np.array(self.weights)
        per_q = deviations.mean(axis=1)
        return ModeDeviations(
            rmsd_sorted=_rms(deviations, weights),
            rmsd_matched=_rms(np.array(self.matched), weights) if self.matched else None,
            mean_overlap=float(
                np.average(np.array(self.overlaps).mean(axis=1), weights=weights)
            )
            if self.overlaps
            else None,
            mean_deviation=float(np.average(per_q, weights=weights)),
            largest_deviation=float(np.abs(deviations).max()),
            n_qpoints=len(weights),
            n_weights=int(weights.sum()),
        )


def _squared_overlaps(
    products: Complexes, columns: NDArray[np.int64], frequencies: Floats
) -> Floats:
    """Squared overlaps of matched modes, whatever basis degenerate modes are given in.

    Parameters
    ----------
    products : ndarray, shape (n_bands, n_bands)
        Scalar products of eigenvectors, reference by candidate.
    columns : ndarray of int, shape (n_bands,)
        Band of the candidate that is matched with each of the reference.
    frequencies : ndarray, shape (n_bands,)
        Of the candidate (THz), ascending.

    Returns
    -------
    ndarray, shape (n_bands,)
        One for each band of the candidate.
    """
    rows = np.argsort(columns)
    starts = np.flatnonzero(np.diff(frequencies) > DEGENERATE) + 1
    return np.concatenate(
        [
            np.linalg.svd(products[np.ix_(rows[group], group)], compute_uv=False) ** 2
            for group in np.split(np.arange(len(frequencies)), starts)
        ]
    )


def _rms(deviations: Floats, weights: NDArray[np.int64]) -> float:
    return float(np.sqrt(np.average(np.mean(deviations**2, axis=1), weights=weights)))


def _modes(phonon: Phonopy, q: Q) -> tuple[Floats, Complexes]:
    """Frequencies (THz), ascending, and eigenvectors in columns."""
    matrix = dynamical_matrix(phonon, q)
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.conj().T) / 2)
    return signed_sqrt(eigenvalues), np.asarray(vectors, dtype=np.complex128)


def _structure(phonon: Phonopy) -> Structure:
    cell = phonon.primitive
    return Structure(cell.cell, list(cell.symbols), cell.scaled_positions)


def _common_mesh(
    reference: Phonopy, candidate: Phonopy, carried: Carried, mesh: tuple[int, int, int]
) -> tuple[Floats, NDArray[np.int64]]:
    """Irreducible q-points of the symmetry that both have, and what they stand for."""
    import spglib

    ours = reference.primitive_symmetry.pointgroup_operations
    theirs = carried.operations(candidate.primitive_symmetry.pointgroup_operations)
    both = {rotation.tobytes() for rotation in np.asarray(ours, dtype=np.int64)}
    common = [rotation for rotation in theirs if rotation.tobytes() in both]
    found = spglib.get_stabilized_reciprocal_mesh(
        mesh, np.array(common, dtype="intc"), is_time_reversal=True
    )
    if found is None:
        raise ComparisonError(f"spglib reduces no mesh of {mesh}", "choose another mesh")
    mapping, addresses = found
    irreducible, weights = np.unique(mapping, return_counts=True)
    return addresses[irreducible] / np.array(mesh, dtype=float), weights
