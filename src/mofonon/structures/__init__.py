"""Structures: reading files, checking them, symmetry and primitive cells.

Pure functions on pymatgen structures; nothing here knows of jobflow.
"""

from mofonon.structures.check import (
    IssueCode,
    StructureIssue,
    check_structure,
    validate_structure,
)
from mofonon.structures.cif import StructureReadWarning
from mofonon.structures.hashing import structure_hash
from mofonon.structures.read import read_structure
from mofonon.structures.symmetry import average_over_operations, space_group, to_primitive

__all__ = [
    "IssueCode",
    "StructureIssue",
    "StructureReadWarning",
    "average_over_operations",
    "check_structure",
    "read_structure",
    "space_group",
    "structure_hash",
    "to_primitive",
    "validate_structure",
]
