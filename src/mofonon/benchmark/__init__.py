"""Comparison: what turns documents and files of several methods into evidence.

Pure functions; structures, phonons and mechanical properties of the same compound by any
number of methods, and published values with their sources.
"""

from mofonon.benchmark.alignment import Alignment, align
from mofonon.benchmark.structures import (
    LabelledStructure,
    StructureComparison,
    StructureFacts,
    compare_structures,
)

__all__ = [
    "Alignment",
    "LabelledStructure",
    "StructureComparison",
    "StructureFacts",
    "align",
    "compare_structures",
]
