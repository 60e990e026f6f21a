"""Whether a structure is what a calculation needs: complete, ordered, physical.

Every check gives :class:`StructureIssue` objects. Errors are what no calculation should be
spent on; warnings are for the user to judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from pymatgen.core import Composition, Structure

from mofonon.errors import (
    DisorderedStructureError,
    MissingHydrogenError,
    OverlappingAtomsError,
    SettingsError,
    StructureError,
    UnphysicalDensityError,
)
from mofonon.structures.bonds import (
    AtomPairs,
    bonds,
    close_pairs,
    covalent_radii,
    fragments,
    is_metal,
)
from mofonon.structures.cif import DISORDER_REMEDY
from mofonon.structures.hydrogens import carbons_lacking_hydrogen

IssueCode = Literal[
    "unphysical-cell",
    "partial-occupancy",
    "unphysical-density",
    "overlapping-atoms",
    "missing-hydrogen",
    "suspected-missing-hydrogen",
    "isolated-molecules",
    "no-framework",
]
"""Names of the checks, in the order in which they are made."""

DENSITY_RANGE = (0.05, 25.0)
"""Mass densities that a solid can have, in g/cm^3: the lightest MOFs 0.1, osmium 22.6."""

VOLUME_PER_ATOM_RANGE = (3.0, 500.0)
"""Volumes per atom that a solid can have, in A^3: diamond 5.7, the emptiest MOFs 100."""

SMALLEST_PLANE_SPACING = 1.0
"""Smallest distance between opposite faces of a cell, in A."""

OVERLAP_FRACTION = 0.65
"""Shortest distance as a fraction of the sum of covalent radii, between non-metals.

Triple bonds are the shortest: N2 0.77, CO 0.79, and 0.70 in a cell compressed by 10 %."""

OVERLAP_FRACTION_METAL_OR_HYDROGEN = 0.55
"""The same when one atom is a metal or hydrogen.

Quadruple Cr-Cr bonds are at 0.66 (0.59 compressed by 10 %), uranyl at 0.67, and O-H bonds
shortened in X-ray refinements at 0.7."""

_ERRORS: dict[IssueCode, type[StructureError]] = {
    "unphysical-cell": StructureError,
    "partial-occupancy": DisorderedStructureError,
    "unphysical-density": UnphysicalDensityError,
    "overlapping-atoms": OverlappingAtomsError,
    "missing-hydrogen": MissingHydrogenError,
}


@dataclass(frozen=True)
class StructureIssue:
    """Something about a structure that a calculation would suffer from.

    Parameters
    ----------
    code : str
        Name of the check, one of `IssueCode`.
    message : str
        What is wrong, with numbers and atoms.
    remedy : str
        What the user can do about it.
    severity : str
        "error" or "warning".
    sites : tuple of int
        Indices of the atoms concerned; empty when it is the whole structure.
    """

    code: IssueCode
    message: str
    remedy: str
    severity: Literal["error", "warning"]
    sites: tuple[int, ...] = ()


def check_structure(structure: Structure) -> list[StructureIssue]:
    """Everything that is wrong with a structure.

    Parameters
    ----------
    structure : Structure
        Any structure; nothing is assumed of it.

    Returns
    -------
    list of StructureIssue
        In the order of `IssueCode`. An unphysical cell or partial occupancy ends the list,
        as distances mean nothing then.
    """
    issues = _check_cell(structure) or _check_occupancy(structure)
    if issues:
        return issues
    pairs = close_pairs(structure)
    bonded = bonds(structure, pairs)
    return [
        *_check_density(structure),
        *_check_overlaps(structure, pairs),
        *_check_hydrogens(structure, bonded),
        *_check_fragments(structure, bonded),
    ]


def validate_structure(
    structure: Structure, *, allow: Collection[str] = ()
) -> list[StructureIssue]:
    """Raise the first error of a structure; return its warnings.

    Parameters
    ----------
    structure : Structure
        Any structure.
    allow : collection of str
        Names of checks (`IssueCode`) whose errors are returned instead of raised.

    Returns
    -------
    list of StructureIssue
        Warnings, and the errors that are allowed.

    Raises
    ------
    SettingsError
        `allow` has a name that is not a check.
    StructureError
        No atoms, or a cell that is none.
    DisorderedStructureError
        Partially or multiply occupied sites.
    UnphysicalDensityError
        A density or volume per atom that no solid has.
    OverlappingAtomsError
        Two atoms closer than any bond.
    MissingHydrogenError
        Carbon atoms without their hydrogens.
    """
    names = get_args(IssueCode)
    unknown = sorted(set(allow) - set(names))
    if unknown:
        raise SettingsError(f"No check is named {unknown[0]!r}.", f"Use {', '.join(names)}.")
    issues = check_structure(structure)
    for issue in issues:
        if issue.severity == "error" and issue.code not in allow:
            raise _ERRORS[issue.code](issue.message, issue.remedy)
    return issues


def site_name(structure: Structure, index: int) -> str:
    """Element and index of an atom, such as ``C12`` (counting from 0)."""
    return f"{structure[index].specie.symbol}{index}"


def _name_sites(structure: Structure, sites: Collection[int], most: int = 4) -> str:
    """Names of the first few sites."""
    names = [site_name(structure, index) for index in list(sites)[:most]]
    return ", ".join(names) + (", ..." if len(sites) > most else "")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _check_cell(structure: Structure) -> list[StructureIssue]:
    matrix = structure.lattice.matrix
    message = ""
    if len(structure) == 0:
        message = "The structure has no atoms."
    elif not np.isfinite(matrix).all() or not np.isfinite(structure.frac_coords).all():
        message = "The cell or the positions have values that are not finite numbers."
    elif not all(structure.lattice.pbc):
        message = "The structure is not periodic in all three directions."
    else:
        volume = abs(float(np.linalg.det(matrix)))
        faces = np.linalg.norm(np.cross(matrix[[1, 2, 0]], matrix[[2, 0, 1]]), axis=1)
        spacing = float(np.min(volume / np.maximum(faces, 1e-12)))
        if spacing < SMALLEST_PLANE_SPACING:
            message = (
                f"The cell is flat: opposite faces are {spacing:.3g} A apart "
                f"(volume {volume:.3g} A^3)."
            )
    remedy = "Check the cell parameters and positions in the file."
    return [StructureIssue("unphysical-cell", message, remedy, "error")] if message else []


def _check_occupancy(structure: Structure) -> list[StructureIssue]:
    sites = tuple(index for index, site in enumerate(structure) if not site.is_ordered)
    if not sites:
        return []
    first = ", ".join(
        f"{structure[index].species_string} (site {index})" for index in sites[:3]
    )
    message = f"{_plural(len(sites), 'site')} partially or multiply occupied: {first}."
    return [StructureIssue("partial-occupancy", message, DISORDER_REMEDY, "error", sites)]


def _check_density(structure: Structure) -> list[StructureIssue]:
    density = float(structure.density)
    volume = structure.volume / len(structure)
    message = ""
    if not DENSITY_RANGE[0] <= density <= DENSITY_RANGE[1]:
        low, high = DENSITY_RANGE
        message = f"The density is {density:.3g} g/cm^3; solids have {low:g} to {high:g}."
    elif not VOLUME_PER_ATOM_RANGE[0] <= volume <= VOLUME_PER_ATOM_RANGE[1]:
        low, high = VOLUME_PER_ATOM_RANGE
        message = f"The volume per atom is {volume:.3g} A^3; solids have {low:g} to {high:g}."
    remedy = "Check the unit of the cell lengths (A) and that all atoms are in the file."
    return [StructureIssue("unphysical-density", message, remedy, "error")] if message else []


def _check_overlaps(structure: Structure, pairs: AtomPairs) -> list[StructureIssue]:
    radii = covalent_radii(structure)
    light = np.array([site.specie.Z == 1 for site in structure]) | is_metal(structure)
    fraction = np.where(
        light[pairs.first] | light[pairs.second],
        OVERLAP_FRACTION_METAL_OR_HYDROGEN,
        OVERLAP_FRACTION,
    )
    ratio = pairs.distance / (radii[pairs.first] + radii[pairs.second])
    overlapping = pairs.select((ratio < fraction) & (pairs.first <= pairs.second))
    if not len(overlapping.distance):
        return []
    closest = int(np.argmin(overlapping.distance))
    first, second = int(overlapping.first[closest]), int(overlapping.second[closest])
    sites = tuple(sorted({*overlapping.first.tolist(), *overlapping.second.tolist()}))
    message = (
        f"{site_name(structure, first)} and {site_name(structure, second)} are "
        f"{overlapping.distance[closest]:.3f} A apart ({_plural(len(sites), 'atom')} overlap)."
    )
    remedy = (
        "Remove duplicate atoms (disorder written without occupancies, symmetry applied "
        "twice), or move a badly placed hydrogen to its bond length."
    )
    return [StructureIssue("overlapping-atoms", message, remedy, "error", sites)]


def _check_hydrogens(structure: Structure, bonded: AtomPairs) -> list[StructureIssue]:
    certain, suspected = carbons_lacking_hydrogen(structure, bonded)
    remedy = "Add the hydrogen atoms (for example with Mercury or Avogadro) and relax them."
    issues = []
    if certain:
        message = (
            f"{_plural(len(certain), 'carbon atom')} without the hydrogen that the geometry "
            f"calls for: {_name_sites(structure, certain)}."
        )
        issues.append(
            StructureIssue("missing-hydrogen", message, remedy, "error", tuple(certain))
        )
    if suspected:
        message = (
            f"{_plural(len(suspected), 'carbon atom')} with three neighbours in a pyramid, "
            f"perhaps without hydrogen: {_name_sites(structure, suspected)}."
        )
        issues.append(
            StructureIssue(
                "suspected-missing-hydrogen", message, remedy, "warning", tuple(suspected)
            )
        )
    return issues


def _check_fragments(structure: Structure, bonded: AtomPairs) -> list[StructureIssue]:
    found = fragments(structure, bonded)
    molecules = [fragment for fragment in found if fragment.dimension == 0]
    if not molecules:
        return []
    counts = Counter(
        Composition(
            Counter(structure[index].specie.symbol for index in molecule.sites)
        ).hill_formula.replace(" ", "")
        for molecule in molecules
    )
    listed = ", ".join(f"{count} {formula}" for formula, count in sorted(counts.items()))
    if len(molecules) == len(found):
        message = f"No bonds connect the cell with its neighbours: {listed}."
        remedy = "Check that metal atoms and linkers are complete and the cell is right."
        return [StructureIssue("no-framework", message, remedy, "warning")]
    message = f"Not bonded to the framework: {listed}."
    remedy = "Remove it if it is solvent; keep it if it is a counter-ion or an adsorbate."
    sites = tuple(sorted(index for molecule in molecules for index in molecule.sites))
    return [StructureIssue("isolated-molecules", message, remedy, "warning", sites)]
