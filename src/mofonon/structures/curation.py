"""Curation: which structures of a collection are fit to train on, and why others are not.

Each filter is a step of a funnel. A structure is refused by the first that it does not pass,
and its record says which and why; no file, however bad, stops the others.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field
from pymatgen.core import Structure

from mofonon.errors import (
    CurationError,
    DisorderedStructureError,
    MissingDependencyError,
    MofononError,
    StructureError,
)
from mofonon.structures.check import check_structure
from mofonon.structures.collection import StructureFile
from mofonon.structures.hashing import structure_hash
from mofonon.structures.pores import N2_DIAMETER, pore_diameters
from mofonon.structures.property_table import KnownProperties
from mofonon.structures.read import read_structure_content
from mofonon.structures.symmetry import space_group

FilterName = Literal[
    "unreadable",
    "disordered",
    "duplicate-id",
    "too-many-atoms",
    "element",
    "open-shell",
    "invalid",
    "duplicate-structure",
    "small-pores",
    "no-descriptor",
]
"""Filters in the order in which they are applied."""

FILTERS: tuple[FilterName, ...] = get_args(FilterName)

MAGNETIC_METALS = frozenset(
    [
        *("V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"),
        *("Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb"),
        *("Pa", "U", "Np", "Pu", "Am"),
    ]
)
"""Metals whose ions in MOFs usually have unpaired electrons.

Where no table gives the magnetic moment, structures with one of them are taken as open shell.
Ti, Zr, Hf and Ce are d0 and f0 in MOFs (+4); 4d and 5d metals are mostly low spin.
"""

LARGEST_CLOSED_SHELL_MOMENT = 0.05
"""A cell with less net moment than this (Bohr magnetons) is closed shell."""

CRYSTAL_SYSTEMS = (
    "triclinic",
    "monoclinic",
    "orthorhombic",
    "tetragonal",
    "trigonal",
    "hexagonal",
    "cubic",
)


class CurationSettings(BaseModel):
    """Which structures are fit to train on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    closed_shell: bool = Field(
        True,
        description="Refuse structures with a magnetic moment (of the table) or, where no "
        "table gives one, with a magnetic metal.",
    )
    magnetic_metals: tuple[str, ...] = Field(
        tuple(sorted(MAGNETIC_METALS)), description="Elements taken as magnetic."
    )
    min_pore: float = Field(
        N2_DIAMETER,
        ge=0,
        description="The pore limiting diameter must be larger than this (A); of the table, or "
        "by Zeo++ where it has none. 0 computes nothing and refuses nothing.",
    )
    max_atoms: int = Field(800, ge=1, description="Most atoms in a cell.")
    elements: tuple[str, ...] | None = Field(None, description="Elements allowed; all if None.")
    exclude_elements: tuple[str, ...] = Field((), description="Elements refused.")
    allow: tuple[str, ...] = Field(
        (), description="Structure checks whose errors are let pass, by code."
    )
    refuse_warnings: tuple[str, ...] = Field(
        ("isolated-molecules", "no-framework"),
        description="Structure checks whose warnings refuse a structure.",
    )
    symprec: float = Field(1e-3, gt=0, description="Tolerance of space groups (A).")


class StructureRecord(BaseModel):
    """One file of a collection: what it holds, and which filter refused it, if one did."""

    id: str = Field(description="File name without suffixes.")
    file: str = Field(description="Path within the collection.")
    file_sha256: str = Field(description="sha256 of the file as it is.")
    refused_by: FilterName | None = Field(None, description="The filter; None if it passed.")
    message: str = Field("", description="Why, in words.")
    structure_hash: str | None = Field(None, description="Hash of cell, elements, positions.")
    n_atoms: int | None = Field(None, description="Atoms in the cell.")
    formula: str | None = Field(None, description="Reduced formula.")
    elements: list[str] = Field(default_factory=list, description="Elements, by number.")
    space_group: str | None = Field(None, description="International symbol.")
    crystal_system: str | None = Field(None, description="One of the seven.")
    pore_limiting_diameter: float | None = Field(
        None, description="Diameter of the largest sphere that can travel through (A)."
    )
    pore_source: Literal["table", "zeo++"] | None = Field(
        None, description="Where the pore limiting diameter is from."
    )
    warnings: list[str] = Field(default_factory=list, description="What is doubtful.")

    @property
    def accepted(self) -> bool:
        """Whether no filter refused it."""
        return self.refused_by is None


@dataclass(frozen=True)
class FunnelStep:
    """One filter: how many structures came to it and how many it refused."""

    name: FilterName
    entered: int
    refused: int

    @property
    def left(self) -> int:
        """Structures that passed it."""
        return self.entered - self.refused


class _Refused(Exception):
    """A filter refuses the structure at hand."""

    def __init__(self, name: FilterName, message: str) -> None:
        super().__init__(message)
        self.name = name


def curate_file(
    file: StructureFile, properties: KnownProperties | None, settings: CurationSettings
) -> StructureRecord:
    """Read one file and apply all filters that need nothing but the file.

    Parameters
    ----------
    file : StructureFile
        The file.
    properties : KnownProperties, optional
        What the table says of it.
    settings : CurationSettings
        The filters.

    Returns
    -------
    StructureRecord
        Never an exception because of the file: what is unforeseen is ``unreadable``.

    Raises
    ------
    MissingDependencyError
        Pore diameters have to be computed and pyzeo is not installed.
    """
    record = StructureRecord(
        id=file.id, file=file.name, file_sha256=hashlib.sha256(file.content).hexdigest()
    )
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            structure = _read(file)
        record.warnings = [str(warning.message) for warning in caught]
        _filter(structure, record, properties or KnownProperties(), settings)
    except _Refused as refusal:
        record.refused_by, record.message = refusal.name, str(refusal)
    except MissingDependencyError:
        raise
    except MofononError as error:
        record.refused_by, record.message = "invalid", error.message
    except Exception as error:  # noqa: BLE001 - one file must not stop 20,000
        record.refused_by = "unreadable"
        record.message = f"{type(error).__name__}: {error}"
    return record


def _read(file: StructureFile) -> Structure:
    if file.error:
        raise _Refused("unreadable", file.error)
    try:
        return read_structure_content(file.content, file.name)
    except DisorderedStructureError as error:
        raise _Refused("disordered", error.message) from error
    except StructureError as error:
        raise _Refused("unreadable", error.message) from error


def _filter(
    structure: Structure,
    record: StructureRecord,
    properties: KnownProperties,
    settings: CurationSettings,
) -> None:
    """Fill in the record, filter by filter, until one refuses."""
    composition = structure.composition
    record.n_atoms = len(structure)
    record.formula = composition.reduced_formula
    record.elements = [el.symbol for el in sorted(composition.elements, key=lambda el: el.Z)]
    record.structure_hash = structure_hash(structure)
    if len(structure) > settings.max_atoms:
        raise _Refused(
            "too-many-atoms", f"{len(structure)} atoms, more than {settings.max_atoms}"
        )
    symbol, number = space_group(structure, settings.symprec)
    record.space_group, record.crystal_system = symbol, crystal_system(number)
    _filter_elements(record, settings)
    _filter_open_shell(record, properties, settings)
    for issue in check_structure(structure):
        refuses = issue.severity == "error" or issue.code in settings.refuse_warnings
        if refuses and issue.code not in settings.allow:
            raise _Refused("invalid", f"{issue.code}: {issue.message}")
        record.warnings.append(issue.message)
    _filter_pores(structure, record, properties, settings)


def _filter_elements(record: StructureRecord, settings: CurationSettings) -> None:
    allowed = set(record.elements if settings.elements is None else settings.elements)
    strange = [
        element
        for element in record.elements
        if element not in allowed or element in settings.exclude_elements
    ]
    if strange:
        raise _Refused("element", f"has {', '.join(strange)}")


def _filter_open_shell(
    record: StructureRecord, properties: KnownProperties, settings: CurationSettings
) -> None:
    if not settings.closed_shell:
        return
    moment = properties.magnetic_moment
    if moment is not None:
        if abs(moment) > LARGEST_CLOSED_SHELL_MOMENT:
            raise _Refused("open-shell", f"net magnetic moment {moment:.2f} Bohr magnetons")
        return
    magnetic = [el for el in record.elements if el in settings.magnetic_metals]
    if magnetic:
        raise _Refused("open-shell", f"has {', '.join(magnetic)}, and no moment in a table")


def _filter_pores(
    structure: Structure,
    record: StructureRecord,
    properties: KnownProperties,
    settings: CurationSettings,
) -> None:
    if properties.pore_limiting_diameter is not None:
        record.pore_limiting_diameter = properties.pore_limiting_diameter
        record.pore_source = "table"
    elif settings.min_pore > 0:
        record.pore_limiting_diameter = pore_diameters(structure).limiting
        record.pore_source = "zeo++"
    diameter = record.pore_limiting_diameter
    if settings.min_pore > 0 and diameter is not None and diameter <= settings.min_pore:
        raise _Refused(
            "small-pores",
            f"pore limiting diameter {diameter:.2f} A, not above {settings.min_pore:g} A",
        )


def crystal_system(number: int) -> str:
    """Crystal system of a space group by its number, 1 to 230."""
    ends = (2, 15, 74, 142, 167, 194, 230)
    return next(name for name, end in zip(CRYSTAL_SYSTEMS, ends, strict=True) if number <= end)


def refuse_duplicates(records: Sequence[StructureRecord]) -> list[StructureRecord]:
    """Refuse all but the first of equal ids, and of equal structures, by id and file name.

    The result does not depend on the order of the records. Of equal ids the first file counts,
    readable or not; of equal structures the first that no filter refused.

    Parameters
    ----------
    records : sequence of StructureRecord
        Of one collection.

    Returns
    -------
    list of StructureRecord
        Sorted by id and file name.
    """
    result: list[StructureRecord] = []
    ids: dict[str, str] = {}
    structures: dict[str, str] = {}
    for each in sorted(records, key=lambda record: (record.id, record.file)):
        record = each
        if record.id in ids:
            record = _refuse(record, "duplicate-id", f"{ids[record.id]} has the same id")
        else:
            ids[record.id] = record.file
        if record.accepted and record.structure_hash is not None:
            twin = structures.setdefault(record.structure_hash, record.id)
            if twin != record.id:
                record = _refuse(record, "duplicate-structure", f"the same as {twin}")
        result.append(record)
    return result


def readmit(records: Sequence[StructureRecord], ids: Sequence[str]) -> list[StructureRecord]:
    """Accept structures that are to be in a set whatever the filters say.

    Parameters
    ----------
    records : sequence of StructureRecord
        Of one collection.
    ids : sequence of str
        Ids of those to accept; the filter that refused each becomes a warning.

    Raises
    ------
    CurationError
        An id is not there, or its file cannot be read as an ordered structure.
    """
    known = {record.id: record for record in records if record.refused_by != "duplicate-id"}
    for name in ids:
        if name not in known or known[name].structure_hash is None:
            why = known[name].message if name in known else "there is no such file"
            raise CurationError(
                f"the fixed member {name} cannot be used: {why}",
                "correct the list of fixed members, or add the file",
            )
    wanted = {known[name].file for name in ids}
    return [
        record.model_copy(
            update={
                "refused_by": None,
                "message": "",
                "warnings": [
                    *record.warnings,
                    f"kept as a fixed member; {record.refused_by}: {record.message}",
                ],
            }
        )
        if record.file in wanted and not record.accepted
        else record
        for record in records
    ]


def _refuse(record: StructureRecord, name: FilterName, message: str) -> StructureRecord:
    return record.model_copy(update={"refused_by": name, "message": message})


def funnel(records: Sequence[StructureRecord]) -> list[FunnelStep]:
    """Count what each filter refused.

    Returns
    -------
    list of FunnelStep
        In the order of `FILTERS`; the last leaves the accepted ones.
    """
    refused = Counter(record.refused_by for record in records)
    steps, entered = [], len(records)
    for name in FILTERS:
        steps.append(FunnelStep(name, entered, refused[name]))
        entered -= refused[name]
    return steps
