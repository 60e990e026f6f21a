"""Space groups, primitive cells and exact symmetrisation, in the setting of the input.

Symmetry is that of the nuclei: elements, positions and lattice. Magnetic moments do not lower
it. spglib (A. Togo, K. Shinohara, I. Tanaka, Sci. Technol. Adv. Mater. Methods 4, 2384822
(2024)) finds the operations.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Lattice, Structure
from scipy.linalg import sqrtm
from scipy.spatial import cKDTree
from spglib import SpglibDataset

from mofonon.errors import DisorderedStructureError, StructureError
from mofonon.structures.bonds import atomic_numbers

SpglibCell = tuple[list[list[float]], list[list[float]], list[int]]

DEFAULT_SYMPREC = 1e-5
"""Distance tolerance of symmetry, in A (that of the paper)."""

MOST_GAINS = 8
"""How often averages may show more operations than before."""

MAGMOM_TOLERANCE = 0.1
"""Magnetic moments that differ by less are the same, in Bohr magnetons."""


def space_group(structure: Structure, symprec: float = DEFAULT_SYMPREC) -> tuple[str, int]:
    """International symbol and number of the space group.

    Parameters
    ----------
    structure : Structure
        Ordered.
    symprec : float
        Distance tolerance, in A.

    Returns
    -------
    symbol : str
        Such as ``Fm-3m``.
    number : int
        1 to 230.

    Raises
    ------
    StructureError
        spglib finds no group, or sites are disordered (DisorderedStructureError).
    """
    dataset = symmetry_dataset(structure, symprec)
    return str(dataset.international), int(dataset.number)


def to_primitive(structure: Structure, symprec: float = DEFAULT_SYMPREC) -> Structure:
    """Primitive cell in the orientation of the input.

    The basis is spglib's primitive of the conventional cell, not idealised: the crystal is not
    rotated or shifted. An atom is the average of those that the lost translations map on each
    other, so that none moves by more than about `symprec`. An input without such translations
    is returned as it is, its basis and order of atoms kept.

    Parameters
    ----------
    structure : Structure
        Ordered.
    symprec : float
        Distance tolerance, in A.

    Returns
    -------
    Structure
        The primitive cell; ``magmom`` is kept where atoms that become one agree.

    Raises
    ------
    StructureError
        spglib finds no group, or sites are disordered (DisorderedStructureError).

    Warns
    -----
    UserWarning
        Magnetic moments are left out, as translations join atoms of different moment.
    """
    import spglib

    dataset = symmetry_dataset(structure, symprec)
    if len(set(dataset.mapping_to_primitive.tolist())) == len(structure):
        return structure.copy()
    cell = spglib.standardize_cell(
        _spglib_cell(structure), to_primitive=True, no_idealize=True, symprec=symprec
    )
    if cell is None:
        raise _no_symmetry(symprec)
    lattice, fractional, numbers = cell
    symbols = [Element.from_Z(int(number)).symbol for number in numbers]
    primitive = Structure(Lattice(lattice), symbols, fractional)
    moments = structure.site_properties.get("magmom")
    if moments is not None:
        _carry_magmoms(structure, primitive, np.asarray(moments, dtype=np.float64))
    return primitive


def average_over_operations(
    structure: Structure, symprec: float = DEFAULT_SYMPREC
) -> tuple[Structure, float]:
    """Make positions and lattice exactly symmetric under the operations found at `symprec`.

    The metric tensor is averaged over the rotations and the lattice stretched to it without
    rotation; positions are averaged over all operations. These come from the tables of the
    space group, since averaging over operations found in the structure, with numerical noise
    in their translations, gives nothing exact. Atoms keep their order, the cell its orientation
    and setting, and the centre of the atoms its place. Where the averages show spglib more
    operations at `symprec` than the input did, they are averaged over those too, so that a
    second call changes nothing.

    Parameters
    ----------
    structure : Structure
        Ordered; primitive or not.
    symprec : float
        Distance tolerance, in A.

    Returns
    -------
    symmetric : Structure
        With the same operations at 1e-8 A as at `symprec`, site properties kept.
    largest_move : float
        The largest change of an atom's position (at fixed cell) or of a lattice vector, in A.
        It is about `symprec` at most, unless operations were gained on the way.

    Raises
    ------
    StructureError
        spglib finds no group, the operations do not map atoms on atoms, or sites are
        disordered (DisorderedStructureError).
    """
    dataset = symmetry_dataset(structure, symprec)
    symmetric = _average_once(structure, dataset)
    for _ in range(MOST_GAINS):
        previous, dataset = dataset, symmetry_dataset(symmetric, symprec)
        if _extent(dataset) == _extent(previous):
            break
        symmetric = _average_once(symmetric, dataset)
    matrix = symmetric.lattice.matrix
    moves = np.vstack(
        [
            (symmetric.frac_coords - structure.frac_coords) @ matrix,
            matrix - structure.lattice.matrix,
        ]
    )
    return symmetric, float(np.linalg.norm(moves, axis=1).max())


def _average_once(structure: Structure, dataset: SpglibDataset) -> Structure:
    """Average lattice and positions over the operations of a dataset.

    All is done in the primitive cell, as the shape of a supercell can be at odds with the
    symmetry of the crystal in it. Its coordinates are A x + b with x those of the input. The
    vectors of the input are vectors of the crystal, so that A has whole numbers; any b gives
    a group.
    """
    from phonopy.structure.cells import get_primitive_matrix_by_centring

    centring = np.asarray(get_primitive_matrix_by_centring(dataset.international[0]))
    rotations, translations = _primitive_operations(dataset, centring)
    to_primitive_basis = np.rint(np.linalg.solve(centring, dataset.transformation_matrix))
    origin = np.linalg.solve(centring, dataset.origin_shift)
    matrix = structure.lattice.matrix
    stretch = _stretch_to_symmetry(np.linalg.solve(to_primitive_basis.T, matrix), rotations)

    positions = structure.frac_coords @ to_primitive_basis.T + origin
    _, first, site_of = np.unique(
        dataset.mapping_to_primitive, return_index=True, return_inverse=True
    )
    from_first = positions - positions[first][site_of]
    from_first -= np.rint(from_first)
    copies = len(structure) // len(first)
    from_mean = np.zeros((len(first), 3))
    np.add.at(from_mean, site_of, from_first / copies)
    shifts = _average_sites(
        positions[first] + from_mean,
        atomic_numbers(structure)[first],
        rotations,
        translations,
    )
    moves = (shifts + from_mean)[site_of] - from_first
    return Structure(
        Lattice(matrix @ stretch),
        structure.species,
        structure.frac_coords + np.linalg.solve(to_primitive_basis, moves.T).T,
        site_properties=structure.site_properties,
    )


def symmetry_dataset(structure: Structure, symprec: float = DEFAULT_SYMPREC) -> SpglibDataset:
    """Ask spglib for the symmetry of a structure.

    Parameters
    ----------
    structure : Structure
        Ordered.
    symprec : float
        Distance tolerance, in A.

    Returns
    -------
    SpglibDataset
        Operations in the basis of the input, and the way to the standard setting.

    Raises
    ------
    StructureError
        spglib finds no group, or sites are disordered (DisorderedStructureError).
    """
    import spglib

    try:
        dataset = spglib.get_symmetry_dataset(_spglib_cell(structure), symprec=symprec)
    except spglib.SpglibError as error:
        raise _no_symmetry(symprec) from error
    if dataset is None:
        raise _no_symmetry(symprec)
    return dataset


def _no_symmetry(symprec: float) -> StructureError:
    return StructureError(
        f"spglib finds no space group at a tolerance of {symprec:g} A.",
        "Check for overlapping atoms, or use another symprec.",
    )


def _spglib_cell(structure: Structure) -> SpglibCell:
    if not structure.is_ordered:
        raise DisorderedStructureError(
            "A disordered structure has no space group here.", "Give every site one element."
        )
    return (
        structure.lattice.matrix.tolist(),
        structure.frac_coords.tolist(),
        atomic_numbers(structure).tolist(),
    )


def _extent(dataset: SpglibDataset) -> tuple[int, int]:
    """Space group number and number of atoms in the primitive cell."""
    return int(dataset.number), len(set(dataset.mapping_to_primitive.tolist()))


def _primitive_operations(
    dataset: SpglibDataset, centring: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact operations modulo lattice translations, in the primitive basis.

    Parameters
    ----------
    dataset : SpglibDataset
        Names the tables.
    centring : ndarray, shape (3, 3)
        Primitive vectors in the conventional basis, as columns.

    Returns
    -------
    rotations : ndarray, shape (n_operations, 3, 3)
    translations : ndarray, shape (n_operations, 3)
    """
    import spglib

    tables = spglib.get_symmetry_from_database(dataset.hall_number)
    if tables is None:
        raise StructureError(
            f"spglib has no tables for Hall number {dataset.hall_number}.",
            "report it with the structure: every Hall number of spglib should have them",
        )
    inverse = np.linalg.inv(centring)
    _, first = np.unique(tables["rotations"].reshape(-1, 9), axis=0, return_index=True)
    rotations = np.rint(inverse @ tables["rotations"][first] @ centring)
    return rotations, tables["translations"][first] @ inverse.T


def _stretch_to_symmetry(
    matrix: NDArray[np.float64], rotations: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Symmetric Cartesian stretch that makes the rotations preserve a lattice.

    Parameters
    ----------
    matrix : ndarray, shape (3, 3)
        Lattice vectors as rows, in A.
    rotations : ndarray, shape (n_operations, 3, 3)
        In the basis of the lattice, acting on columns.

    Returns
    -------
    ndarray, shape (3, 3)
        To be multiplied from the right to lattice vectors.
    """
    metric = matrix @ matrix.T
    average = np.einsum("nki,kl,nlj->ij", rotations, metric, rotations) / len(rotations)
    inverse = np.linalg.inv(matrix)
    return np.asarray(np.real(sqrtm(inverse @ average @ inverse.T)), dtype=np.float64)


def _average_sites(
    sites: NDArray[np.float64],
    numbers: NDArray[np.int64],
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Shifts of the atoms of a primitive cell to their averages, the mean shift removed.

    Parameters
    ----------
    sites : ndarray, shape (n_sites, 3)
        Fractional coordinates.
    numbers : ndarray of int, shape (n_sites,)
        Atomic numbers.
    rotations, translations : ndarray, shapes (n_operations, 3, 3) and (n_operations, 3)
        Operations on the fractional coordinates.

    Returns
    -------
    ndarray, shape (n_sites, 3)
        Fractional.
    """
    # Modulo gives 1 for tiny negative numbers, which the tree refuses: hence twice.
    tree = cKDTree(np.mod(np.mod(sites, 1.0), 1.0), boxsize=1.0)
    shifts = np.zeros_like(sites)
    for rotation, translation in zip(rotations, translations, strict=True):
        images = sites @ rotation.T + translation
        _, target = tree.query(np.mod(np.mod(images, 1.0), 1.0))
        one_to_one = len(np.unique(target)) == len(target)
        if not one_to_one or (numbers[target] != numbers).any():
            raise StructureError(
                "A symmetry operation does not map atoms on atoms.", "Use a smaller symprec."
            )
        difference = images - sites[target]
        shifts[target] += difference - np.rint(difference)
    shifts /= len(rotations)
    return np.asarray(shifts - shifts.mean(axis=0), dtype=np.float64)


def _carry_magmoms(
    structure: Structure, primitive: Structure, moments: NDArray[np.float64]
) -> None:
    """Give the atoms of the primitive cell the moments of those that they stand for."""
    inverse = np.linalg.inv(primitive.lattice.matrix)
    difference = (structure.cart_coords @ inverse)[:, None] - primitive.frac_coords[None]
    distance = np.linalg.norm(
        (difference - np.rint(difference)) @ primitive.lattice.matrix, axis=2
    )
    stands_for = distance.argmin(axis=1)
    carried = [moments[stands_for == index] for index in range(len(primitive))]
    if any(np.ptp(group, axis=0).max() > MAGMOM_TOLERANCE for group in carried):
        warnings.warn(
            "Magnetic moments are left out of the primitive cell: translations join atoms of "
            "different moment.",
            stacklevel=3,
        )
        return
    averages = [group.mean(axis=0) for group in carried]
    primitive.add_site_property("magmom", [np.asarray(value).tolist() for value in averages])
