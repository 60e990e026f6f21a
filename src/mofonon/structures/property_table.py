"""Tables of properties that come with a collection of structures.

The layout of QMOF (A. S. Rosen et al., Matter 4, 1578 (2021)) is recognised, ``qmof.csv`` as
well as ``qmof.json``; any other CSV or JSON table with an ``id`` column is read by the names of
the columns below.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mofonon.errors import CurationError

#: Field of KnownProperties to the columns it may be in; QMOF's first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("qmof_id", "id", "mof_id", "name", "refcode", "filename"),
    "pore_limiting_diameter": ("info.pld", "pld", "pore_limiting_diameter"),
    "n_atoms": ("info.natoms", "natoms", "n_atoms"),
    "magnetic_moment": (
        "outputs.pbe.net_magmom",
        "info.net_magmom",
        "net_magmom",
        "magnetic_moment",
    ),
    "space_group": ("info.symmetry.spacegroup", "spacegroup", "space_group"),
    "formula": ("info.formula", "formula"),
}


class KnownProperties(BaseModel):
    """What a table says about one structure."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    pore_limiting_diameter: float | None = Field(
        None, ge=0, description="Diameter of the largest sphere that can travel through (A)."
    )
    n_atoms: int | None = Field(None, ge=1, description="Atoms in the cell of the table.")
    magnetic_moment: float | None = Field(
        None, description="Net magnetic moment of the cell (Bohr magnetons)."
    )
    space_group: str | None = Field(None, description="International symbol.")
    formula: str | None = Field(None, description="Content of the cell.")


def read_property_table(path: Path) -> dict[str, KnownProperties]:
    """Read a table of properties by id.

    Parameters
    ----------
    path : Path
        CSV with a header, or JSON: a list of objects (nested or with dots in the names) or an
        object of objects by id.

    Returns
    -------
    dict
        Properties by the id of the structure (the file name without suffixes).

    Raises
    ------
    CurationError
        The file cannot be read, has no column of ids, repeats an id, or has something that is
        no number where a number belongs.
    """
    found: dict[str, KnownProperties] = {}
    try:
        for number, row in enumerate(_rows(path), start=1):
            key, properties = _properties(row, path, number)
            if key in found:
                raise CurationError(
                    f"{path} has the id {key} twice (row {number})", "remove one of the rows"
                )
            found[key] = properties
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise CurationError(
            f"the table {path} cannot be read: {error}", "give a CSV or JSON file in UTF-8"
        ) from error
    if not found:
        raise CurationError(f"the table {path} has no rows", "give one row for each structure")
    return found


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a table, flat."""
    if path.suffix.lower() == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            content = [{"id": key, **row} for key, row in content.items()]
        for row in content:
            yield _flatten(row)
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _flatten(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _properties(row: dict[str, Any], path: Path, number: int) -> tuple[str, KnownProperties]:
    values = {
        field: next((row[name] for name in names if row.get(name) not in (None, "")), None)
        for field, names in COLUMNS.items()
    }
    key = values.pop("id")
    if key is None:
        raise CurationError(
            f"{path} has no id in row {number}",
            f"name the column one of {', '.join(COLUMNS['id'])}",
        )
    values = {field: _missing_is_none(value) for field, value in values.items()}
    if values["n_atoms"] is not None:
        values["n_atoms"] = _whole(values["n_atoms"])
    try:
        return str(key).removesuffix(".cif"), KnownProperties(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        raise CurationError(
            f"{path}, row {number} ({key}): {problem['loc'][0]}: {problem['msg']}",
            "correct the value, or leave it empty",
        ) from None


def _missing_is_none(value: Any) -> Any:
    """Make what tables write for 'unknown' None."""
    if isinstance(value, float) and value != value:  # NaN of pandas  # noqa: PLR0124
        return None
    return None if str(value).strip().lower() in ("nan", "none", "null", "") else value


def _whole(value: Any) -> Any:
    """Read 106.0, as pandas writes whole numbers where some are missing, as 106."""
    text = str(value)
    return text.removesuffix(".0")
