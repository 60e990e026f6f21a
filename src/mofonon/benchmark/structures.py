"""Relaxed structures side by side: symmetry, cell, positions (Tables 2 and 7 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, Field
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.benchmark.alignment import Alignment, align
from mofonon.lattice.phonons import to_phonopy_atoms
from mofonon.structures import space_group
from mofonon.structures.symmetry import symmetry_dataset

#: Symmetry tolerances (A) among which the one is sought at which a space group appears.
SYMPREC_LADDER = tuple(
    round(factor * 10.0**power, 10) for power in range(-5, 0) for factor in (1, 2, 5)
)

#: Tolerance (A) at which the reference shows the space group that is expected of it.
EXPECTED_SYMPREC = 0.1

#: Displacement (A) of the count of displaced supercells: the paper's.
DISPLACEMENT = 0.001

Vector = tuple[float, float, float]
Supercell = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]

DOUBLED: Supercell = ((2, 0, 0), (0, 2, 0), (0, 0, 2))


class StructureFacts(BaseModel):
    """One structure by itself."""

    label: str = Field(description="Method or name.")
    source: str = Field(description="File, or id of the document.")
    document_id: str | None = Field(None, description="Id of its document in the store.")
    formula: str = Field(description="Composition of the cell.")
    n_atoms: int = Field(description="Atoms in the cell.")
    space_group: str = Field(description="International symbol at symprec.")
    space_group_number: int = Field(description="International number at symprec.")
    symprec: float = Field(description="Symmetry tolerance (A).")
    expected_space_group: str = Field(
        description="Group that the reference has at a tolerance of 0.1 A, or the user named."
    )
    expected_from_symprec: float | None = Field(
        description="Least tolerance (A; 1, 2, 5 times powers of ten from 1e-5 to 0.5) at "
        "which the expected group appears; None if it does not."
    )
    lengths: Vector = Field(
        description="Cell lengths a, b, c in the setting of the reference (A)."
    )
    angles: Vector = Field(
        description="Cell angles alpha, beta, gamma in the setting of the reference (degrees)."
    )
    volume: float = Field(description="Volume in the setting of the reference (A^3).")
    supercell: Supercell = Field(description="Supercell of the displacements.")
    n_displacements: int = Field(
        description="Displaced supercells, by phonopy's defaults (0.001 A, symprec)."
    )
    notice: str | None = Field(None, description="Set when a stand-in is behind the structure.")


class StructureComparison(StructureFacts):
    """A structure against a reference; cell and positions in the setting of the reference."""

    lengths_as_given: Vector = Field(description="Cell lengths as in the file (A).")
    angles_as_given: Vector = Field(description="Cell angles as in the file (degrees).")
    length_deviations_percent: Vector = Field(
        description="Deviations of a, b, c from the reference, with sign (%)."
    )
    mean_length_deviation_percent: float = Field(
        description="Mean of the absolute deviations of a, b, c (%)."
    )
    angle_deviations: Vector = Field(
        description="Deviations of alpha, beta, gamma, with sign (degrees)."
    )
    angle_deviations_percent: Vector = Field(description="The same, with sign (%).")
    volume_deviation_percent: float = Field(description="Deviation of the volume (%).")
    fractional_rmsd: dict[str, float] = Field(
        description="Root mean square deviation of a fractional coordinate of the reference's "
        "cell, by element: over atoms and the three components, the common shift removed."
    )
    rmsd: float = Field(
        description="Root mean square distance of the atoms in the cell of the reference (A)."
    )
    largest_deviation: float = Field(description="Largest such distance (A).")
    origin_shift: Vector = Field(
        description="Shift of all atoms against the reference, removed (fractional)."
    )
    mirrored: bool = Field(description="Whether it is the reference's mirror image.")
    warnings: list[str] = Field(description="What a reader of the numbers should know.")


@dataclass(frozen=True)
class LabelledStructure:
    """A structure with the name of its method and where it comes from."""

    label: str
    structure: Structure
    source: str = ""
    document_id: str | None = None
    notice: str | None = None


def compare_structures(
    reference: LabelledStructure,
    candidates: Sequence[LabelledStructure],
    *,
    symprec: float = 1e-5,
    supercell: Supercell = DOUBLED,
    expected: str | None = None,
) -> tuple[StructureFacts, list[StructureComparison]]:
    """Compare structures with a reference.

    Parameters
    ----------
    reference : LabelledStructure
        Its cell sets the setting of all numbers.
    candidates : sequence of LabelledStructure
        In any cell, orientation, origin and order of atoms.
    symprec : float
        Symmetry tolerance (A).
    supercell : tuple
        Supercell of the reference's cell, for the count of displacements.
    expected : str, optional
        Space group (international symbol) that is expected; by default that of the reference
        at a tolerance of 0.1 A.

    Returns
    -------
    StructureFacts
        Of the reference.
    list of StructureComparison
        One for each candidate, in order.

    Raises
    ------
    ComparisonError
        A candidate is another compound, or its cell cannot be brought to match.
    """
    facts = structure_facts(reference, symprec=symprec, supercell=supercell, expected=expected)
    return facts, [compare_structure(reference, facts, candidate) for candidate in candidates]


def structure_facts(
    reference: LabelledStructure,
    *,
    symprec: float = 1e-5,
    supercell: Supercell = DOUBLED,
    expected: str | None = None,
) -> StructureFacts:
    """Describe a reference by itself; parameters as those of :func:`compare_structures`."""
    group = expected or space_group(reference.structure, EXPECTED_SYMPREC)[0]
    return _facts(reference, reference.structure, symprec, supercell, group)


def compare_structure(
    reference: LabelledStructure, facts: StructureFacts, candidate: LabelledStructure
) -> StructureComparison:
    """Compare one structure with a reference, at its tolerance and supercell.

    Parameters
    ----------
    reference : LabelledStructure
        Its cell sets the setting of all numbers.
    facts : StructureFacts
        Of the reference.
    candidate : LabelledStructure
        In any cell, orientation, origin and order of atoms.

    Raises
    ------
    ComparisonError
        The candidate is another compound, or its cell cannot be brought to match.
    """
    symprec, supercell = facts.symprec, facts.supercell
    alignment = align(reference.structure, candidate.structure, symprec)
    lengths, angles = np.array(facts.lengths), np.array(facts.angles)
    ours, own_warnings = _in_setting(candidate.structure, alignment)
    own = _facts(candidate, ours, symprec, supercell, facts.expected_space_group)
    relative = 100 * (np.array(alignment.lattice.abc) / lengths - 1)
    turned = np.array(alignment.lattice.angles) - angles
    cart = alignment.reference.lattice.get_cartesian_coords(
        alignment.candidate.frac_coords - alignment.reference.frac_coords
    )
    given = candidate.structure.lattice
    return StructureComparison(
        **own.model_dump(exclude={"lengths", "angles", "volume"}),
        lengths=alignment.lattice.abc,
        angles=alignment.lattice.angles,
        volume=alignment.lattice.volume,
        lengths_as_given=given.abc,
        angles_as_given=given.angles,
        length_deviations_percent=_vector(relative),
        mean_length_deviation_percent=float(np.abs(relative).mean()),
        angle_deviations=_vector(turned),
        angle_deviations_percent=_vector(100 * turned / angles),
        volume_deviation_percent=100 * (alignment.lattice.volume / facts.volume - 1),
        fractional_rmsd=fractional_rmsd(alignment),
        rmsd=alignment.rmsd,
        largest_deviation=float(np.linalg.norm(cart, axis=1).max()),
        origin_shift=_vector(alignment.origin_shift),
        mirrored=alignment.mirrored,
        warnings=own_warnings,
    )


def fractional_rmsd(alignment: Alignment) -> dict[str, float]:
    """Root mean square deviation per fractional component, by element (Table 7).

    Parameters
    ----------
    alignment : Alignment
        Of a candidate with a reference.

    Returns
    -------
    dict
        By element, in order of first appearance in the reference; dimensionless.
    """
    symbols = np.array([site.specie.symbol for site in alignment.reference])
    return {
        element: float(np.sqrt(np.mean(alignment.deviations[symbols == element] ** 2)))
        for element in dict.fromkeys(symbols.tolist())
    }


def count_displacements(
    structure: Structure, supercell: Supercell = DOUBLED, symprec: float = 1e-5
) -> int:
    """Count the displaced supercells that phonopy makes by default.

    Parameters
    ----------
    structure : Structure
        The unit cell.
    supercell : tuple
        Supercell matrix, in phonopy's convention.
    symprec : float
        Symmetry tolerance (A).
    """
    from phonopy import Phonopy

    phonon = Phonopy(
        to_phonopy_atoms(AseAtomsAdaptor.get_atoms(structure, msonable=False)),
        supercell_matrix=np.array(supercell),
        primitive_matrix="P",
        symprec=symprec,
    )
    phonon.generate_displacements(distance=DISPLACEMENT)
    return len(phonon.displacements)


def tolerance_of(structure: Structure, expected: str) -> float | None:
    """Least tolerance (A) of the ladder at which a space group appears, None if never."""
    for symprec in SYMPREC_LADDER:
        if symmetry_dataset(structure, symprec).international == expected:
            return symprec
    return None


def _facts(
    given: LabelledStructure,
    structure: Structure,
    symprec: float,
    supercell: Supercell,
    expected: str,
) -> StructureFacts:
    symbol, number = space_group(structure, symprec)
    return StructureFacts(
        label=given.label,
        source=given.source,
        document_id=given.document_id,
        formula=given.structure.composition.formula.replace(" ", ""),
        n_atoms=len(given.structure),
        space_group=symbol,
        space_group_number=number,
        symprec=symprec,
        expected_space_group=expected,
        expected_from_symprec=tolerance_of(structure, expected),
        lengths=structure.lattice.abc,
        angles=structure.lattice.angles,
        volume=structure.volume,
        supercell=supercell,
        n_displacements=count_displacements(structure, supercell, symprec),
        notice=given.notice,
    )


def _in_setting(candidate: Structure, alignment: Alignment) -> tuple[Structure, list[str]]:
    """Candidate in the cell of the reference, for its symmetry and displacements."""
    warnings = []
    if alignment.mirrored:
        warnings.append("it is compared as the mirror image")
    if alignment.reference_multiple > 1:
        warnings.append(
            f"its primitive cell holds {alignment.reference_multiple} of the reference's: "
            "symmetry and displacements are those of its own cell"
        )
        return candidate, warnings
    basis = np.rint(
        np.linalg.solve(alignment.candidate.lattice.matrix.T, alignment.lattice.matrix.T).T
    )
    cell = alignment.candidate.copy()
    if not np.array_equal(basis, np.eye(3)):
        cell.make_supercell(basis.astype(int))
    return cell, warnings


def _vector(values: np.ndarray) -> Vector:
    a, b, c = (float(value) for value in values)
    return a, b, c
