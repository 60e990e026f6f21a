"""CIF text to a structure, without the silent repairs of a general reader.

pymatgen's CIF parser does the work. Around it: the data block is chosen, what the parser
would drop or guess in silence (sites of unknown element, coordinates that are not given,
occupancies) is refused, and its tolerances follow from what the file says.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from pymatgen.core import Composition, Structure

from mofonon.errors import DisorderedStructureError, StructureReadError

if TYPE_CHECKING:
    from pymatgen.io.cif import CifBlock, CifParser

FULL_OCCUPANCY_TOLERANCE = 1e-3
"""An occupancy this close to 1 is 1."""

SAME_SITE_DISTANCE = 0.02
"""Symmetry images of one atom closer than this, in A, are one atom on a special position."""

DISORDER_REMEDY = (
    "Choose one of the disordered arrangements, remove solvent, and give every atom an "
    "occupancy of 1."
)

_COORDINATES = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_HARMLESS = ("1-line symmetry op", "stoichiometry", "rounded to ideal", "Pauling")


class StructureReadWarning(UserWarning):
    """Something in a structure file that the user should know about."""


def structure_from_cif(text: str, name: str) -> Structure:
    """Read the first data block that has atoms.

    Positions are taken as written when the file lists all atoms of the cell. When it gives
    symmetry operations, thirds written with d digits are made exact to 10^-d, and images of an
    atom within `SAME_SITE_DISTANCE` are one atom.

    Parameters
    ----------
    text : str
        The CIF.
    name : str
        What messages call the file.

    Returns
    -------
    Structure
        As pymatgen gives it: sorted by electronegativity, perhaps with oxidation states.

    Raises
    ------
    StructureReadError
        No data block has atoms, or a site lacks an element or coordinates, or there are fewer
        atoms than the file says that the cell has.
    DisorderedStructureError
        Sites are partially occupied.

    Warns
    -----
    StructureReadWarning
        Several blocks have atoms, the formula does not fit the atoms, or pymatgen guessed.
    """
    from pymatgen.io.cif import CifFile, CifParser

    block_text = _first_block_with_atoms(text, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        block = next(iter(CifFile.from_str(block_text).data.values()))
    _refuse_incomplete_sites(block, name)
    _refuse_partial_occupancy(block, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parser = CifParser.from_str(
            block_text,
            frac_tolerance=0,
            site_tolerance=1e-6,
            occupancy_tolerance=1 + FULL_OCCUPANCY_TOLERANCE,
            check_cif=False,
        )
        full_list = len(parser.get_symops(block)) == 1
        if not full_list:
            parser = CifParser.from_str(
                block_text,
                frac_tolerance=_third_tolerance(block),
                site_tolerance=_site_tolerance(block, parser),
                occupancy_tolerance=1 + FULL_OCCUPANCY_TOLERANCE,
                check_cif=False,
            )
        try:
            structure = parser.parse_structures(primitive=False, on_error="raise")[0]
        except ValueError as error:
            if "exceeded tolerance" not in str(error):
                raise
            raise StructureReadError(
                f"{name} has several atoms on one position.",
                "Remove duplicates: often atoms that the symmetry operations make anyway.",
            ) from error
    _report_guesses(parser, name, full_list=full_list)
    _compare_with_formula(block, structure, name, full_list=full_list)
    return structure


def _first_block_with_atoms(text: str, name: str) -> str:
    """Text of the first data block that has atoms."""
    blocks = re.split(r"^\s*(?=data_)", text, flags=re.MULTILINE | re.IGNORECASE)
    blocks = [block for block in blocks if block.lower().startswith("data_")]
    with_atoms = [block for block in blocks if "_atom_site_fract_x" in block]
    if not with_atoms:
        raise StructureReadError(
            f"{name} is not a CIF with atoms: no data block has _atom_site_fract_x.",
            "Check that the file is whole and that it holds a structure, not only "
            "reflections or powder data.",
        )
    if len(with_atoms) > 1:
        header = with_atoms[0].split(maxsplit=1)[0]
        warnings.warn(
            f"{name} has {len(with_atoms)} data blocks with atoms; "
            f"the first, {header}, is read.",
            StructureReadWarning,
            stacklevel=4,
        )
    return "data_" + with_atoms[0][len("data_") :]


def _column(block: CifBlock, key: str) -> list[str]:
    """Values of a loop column; empty when the block does not have it."""
    value = block.data.get(key, [])
    return [value] if isinstance(value, str) else list(value)


def _site_labels(block: CifBlock) -> list[str]:
    return _column(block, "_atom_site_label")


def _first(labels: list[str]) -> str:
    return ", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "")


def _refuse_incomplete_sites(block: CifBlock, name: str) -> None:
    """Refuse sites that pymatgen would put at the origin or leave out."""
    labels = _site_labels(block)
    if not labels:
        raise StructureReadError(
            f"{name} has no _atom_site_label.", "Give every site a label, such as C1."
        )
    columns = [_column(block, key) for key in _COORDINATES]
    absent = [
        label
        for label, *values in zip(labels, *columns, strict=True)
        if any(value in {"?", "."} for value in values)
    ]
    if absent:
        raise StructureReadError(
            f"{name} has sites without coordinates: {_first(absent)}.",
            "Give the coordinates or remove the sites from the file.",
        )
    symbols = _column(block, "_atom_site_type_symbol") or labels
    unknown = [symbol for symbol in symbols if re.match(r"OH|Wat|wat|O-H", symbol)]
    if unknown:
        raise StructureReadError(
            f"{name} has sites that are not one element: {_first(unknown)}.",
            "Write each atom on its own line, with its element in _atom_site_type_symbol.",
        )


def _refuse_partial_occupancy(block: CifBlock, name: str) -> None:
    """Refuse occupancies other than 1; 0 marks a dummy and is left out with a warning."""
    from pymatgen.io.cif import str2float

    written = _column(block, "_atom_site_occupancy")
    if any(value == "." for value in written):
        raise StructureReadError(
            f"{name} has '.' as an occupancy.", "Write 1 if the site is fully occupied."
        )
    occupancy = [
        (label, 1.0 if value == "?" else str2float(value))
        for label, value in zip(_site_labels(block), written, strict=False)
    ]
    partial = [
        f"{label} ({value:g})"
        for label, value in occupancy
        if value != 0 and abs(value - 1) > FULL_OCCUPANCY_TOLERANCE
    ]
    if partial:
        noun = "site" if len(partial) == 1 else "sites"
        raise DisorderedStructureError(
            f"{name} has {len(partial)} partially occupied {noun}: {_first(partial)}.",
            DISORDER_REMEDY,
        )
    if empty := [label for label, value in occupancy if value == 0]:
        _warn(f"{name} has sites of occupancy 0, which are left out: {_first(empty)}.")


def _third_tolerance(block: CifBlock) -> float:
    """Relative deviation of 1/3 and 2/3 that the number of digits in the file explains."""
    values = [value for key in _COORDINATES for value in _column(block, key)]
    digits = [len(re.sub(r"\(.*", "", value).partition(".")[2]) for value in values]
    return 1.01 * 10.0 ** -min((number for number in digits if number >= 4), default=4)


def _site_tolerance(block: CifBlock, parser: CifParser) -> float:
    """`SAME_SITE_DISTANCE` in fractional coordinates, within reason."""
    lattice = parser.get_lattice(block)
    longest = max(lattice.abc) if lattice is not None else 1.0
    return min(max(SAME_SITE_DISTANCE / longest, 1e-4), 1e-3)


def _report_guesses(parser: Any, name: str, *, full_list: bool) -> None:
    """Pass on what pymatgen had to guess, once each."""
    harmless = (*_HARMLESS, "Spacegroup from") if full_list else _HARMLESS
    for guess in dict.fromkeys(parser.warnings):
        if not any(part in guess for part in harmless):
            _warn(f"{name}: {guess}")


def _compare_with_formula(
    block: CifBlock, structure: Structure, name: str, *, full_list: bool
) -> None:
    """Compare the atoms with ``_chemical_formula_sum``.

    Programs that list all atoms of the cell write the content of the cell there, so that a
    file with fewer atoms was cut short. Refinements give a formula unit with its solvent, and
    there a difference is worth a warning only.
    """
    try:
        stated = Composition(block.data.get("_chemical_formula_sum", ""))
    except ValueError:
        return
    found = structure.composition.element_composition
    if not stated or stated.fractional_composition.almost_equals(
        found.fractional_composition, rtol=1e-3, atol=1e-4
    ):
        return
    refined = any(key.startswith(("_refine_", "_diffrn_")) for key in block.data)
    if full_list and not refined and all(found[el] <= stated[el] for el in found):
        raise StructureReadError(
            f"{name} is cut short: it has {found.hill_formula} of {stated.hill_formula}.",
            "Get the file again from where it came.",
        )
    _warn(
        f"{name} says {stated.hill_formula}, its atoms are {found.hill_formula}: "
        "hydrogen or solvent may be missing."
    )


def _warn(message: str) -> None:
    warnings.warn(message, StructureReadWarning, stacklevel=5)
