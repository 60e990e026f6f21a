"""The log of second-order relaxations: a line for each step."""

from __future__ import annotations

from collections.abc import Sequence

_COLUMNS = (
    ("step", 5),
    ("evaluations", 12),
    ("energy(eV)", 18),
    ("fmax(eV/A)", 12),
    ("stress(GPa)", 12),
    ("lowest(eV/A^2)", 15),
    ("radius(A)", 10),
    ("ratio", 8),
)

#: First line.
HEADER = "".join(f"{name:>{width}}" for name, width in _COLUMNS) + "\n"


def line(entries: Sequence[str]) -> str:
    """Line of entries, one for each column of the header."""
    return (
        "".join(f"{e:>{width}}" for e, (_, width) in zip(entries, _COLUMNS, strict=True)) + "\n"
    )


def shown(value: float | None, form: str) -> str:
    """Format a number; blank where there is none."""
    return "" if value is None else f"{value:{form}}"
