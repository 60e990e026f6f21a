"""``mofonon query`` and ``mofonon show``: what is in the store."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mofonon.cli.options import JsonOption, StoreOption
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Short names of fields, and the columns of the default table with their headers.
ALIASES = {
    "id": "document_id",
    "formula": "formula_pretty",
    "atoms": "nsites",
    "space_group": "space_group.symbol",
    "zero_point_energy": "thermal.zero_point_energy",
    "heat_capacity_300K": "thermal.heat_capacity_300K",
    "potential": "potential.label",
    "energy": "relaxation.energy",
    "a": "cell.a",
    "b": "cell.b",
    "c": "cell.c",
}
HEADERS = {
    "document_id": "document",
    "formula_pretty": "formula",
    "nsites": "atoms",
    "space_group.symbol": "space group",
    "state": "state",
    "space_group_before": "space group before",
    "min_frequency_before": "lowest before (THz)",
    "energy_change_per_atom": "energy change (eV/atom)",
    "n_attempts": "attempts",
    "min_frequency": "lowest frequency (THz)",
    "has_imaginary_modes": "imaginary",
    "thermal.zero_point_energy": "zero-point energy (kJ/mol)",
    "thermal.heat_capacity_300K": "Cv 300 K (J/K/mol)",
    "relaxation.energy": "energy (eV)",
    "cell.a": "a (\u00c5)",
    "cell.b": "b (\u00c5)",
    "cell.c": "c (\u00c5)",
    "volume": "volume (\u00c5\u00b3)",
    "potential.label": "potential",
    "completed_at": "completed (UTC)",
    "relaxation.space_group_after.symbol": "space group",
    "relaxation.fmax": "fmax (eV/\u00c5)",
    "relaxation.n_force_evaluations": "force evaluations",
    "bulk_modulus": "bulk modulus (GPa)",
    "bulk_modulus_derivative": "B0'",
    "equilibrium_volume": "V0 (\u00c5\u00b3)",
    "residual": "residual (meV/atom)",
    "bulk_modulus_from_stress": "from stress (GPa)",
    "cte_linear_300K": "linear CTE 300 K (1e-6/K)",
    "cte_volumetric_300K": "volumetric CTE 300 K (1e-6/K)",
    "volume_300K": "volume 300 K (\u00c5\u00b3)",
    "bulk_modulus_300K": "B 300 K (GPa)",
    "gruneisen_300K": "Gr\u00fcneisen 300 K",
    "n_volumes_used": "volumes",
    "cte_linear_error": "\u00b1 (1e-6/K)",
    "cte_linear": "linear CTE (1e-6/K)",
    "cte_volumetric": "volumetric CTE (1e-6/K)",
    "fit_temperature": "at (K)",
    "excluded_temperatures": "left out (K)",
    "type": "type",
    "mof_id": "MOF",
    "n_frames": "frames",
    "n_candidates": "of",
    "n_cut": "cut",
    "dynamics.temperature.mean": "T (K)",
    "dynamics.pressure.mean": "p (GPa)",
    "card.name": "name",
    "card.n_mofs": "MOFs",
    "card.licence": "licence",
    "n_files": "files",
    "n_accepted": "accepted",
    "n_chosen": "chosen",
    "n_good": "frames",
    "n_quarantined": "quarantined",
    "n_duplicates": "duplicates",
    "eos.bulk_modulus": "B of the deformations (GPa)",
    "code_version": "VASP",
}
#: Columns of the default table of each kind of document.
DEFAULT_COLUMNS = {
    "model": "document_id,name,mode,head,best_epoch,n_starts,seconds,completed_at",
    "evaluation": "document_id,sets,aligned,seconds,completed_at",
    "phonons": "document_id,formula_pretty,nsites,space_group.symbol,min_frequency,"
    "has_imaginary_modes,thermal.zero_point_energy,thermal.heat_capacity_300K,"
    "potential.label,completed_at",
    "relax": "document_id,formula_pretty,nsites,relaxation.space_group_after.symbol,"
    "relaxation.energy,volume,relaxation.fmax,relaxation.n_force_evaluations,"
    "potential.label,completed_at",
    "stabilize": "document_id,formula_pretty,nsites,state,space_group_before,"
    "space_group.symbol,min_frequency_before,min_frequency,energy_change_per_atom,"
    "n_attempts,potential.label,completed_at",
    "bulk-modulus": "document_id,formula_pretty,nsites,space_group.symbol,bulk_modulus,"
    "bulk_modulus_derivative,equilibrium_volume,bulk_modulus_from_stress,residual,"
    "potential.label,completed_at",
    "qha": "document_id,formula_pretty,nsites,space_group.symbol,cte_linear_300K,"
    "cte_volumetric_300K,volume_300K,bulk_modulus_300K,gruneisen_300K,n_volumes_used,"
    "potential.label,completed_at",
    "expansion-md": "document_id,formula_pretty,nsites,space_group.symbol,cte_linear,"
    "cte_linear_error,cte_volumetric,fit_temperature,excluded_temperatures,"
    "potential.label,completed_at",
    "sample": "document_id,mof_id,origin,state,n_frames,n_candidates,n_cut,"
    "dynamics.temperature.mean,dynamics.pressure.mean,potential.label,completed_at",
    "dataset": "document_id,card.name,n_frames,card.n_mofs,card.licence,notice,completed_at",
    "labels": "document_id,mof_id,formula_pretty,nsites,state,n_good,n_quarantined,"
    "n_duplicates,eos.bulk_modulus,code_version,completed_at",
    "selection": "document_id,n_files,n_accepted,n_chosen,notice,seconds,completed_at",
}
#: Columns when documents of several kinds are found.
COMMON_COLUMNS = "document_id,type,formula_pretty,nsites,space_group.symbol"

_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|==|=|<|>)\s*(.+?)\s*$")
#: Columns that are not fields of documents.
_MADE_HERE = ("document_id", "type")
_OPERATORS = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte", "!=": "$ne"}


def query(
    conditions: Annotated[
        list[str] | None,
        typer.Argument(help="Conditions such as 'min_frequency < -0.1' or 'nsites >= 100'."),
    ] = None,
    formula: Annotated[str | None, typer.Option(help="Reduced formula.")] = None,
    elements: Annotated[
        str | None, typer.Option(help="Elements that must all be there: Zn,C,N.")
    ] = None,
    potential: Annotated[
        str | None, typer.Option(help="Part of the potential's label, or of its sha256.")
    ] = None,
    document_type: Annotated[
        Literal[
            "phonons",
            "relax",
            "stabilize",
            "bulk-modulus",
            "qha",
            "expansion-md",
            "sample",
            "dataset",
            "labels",
            "model",
            "evaluation",
            "selection",
        ]
        | None,
        typer.Option(
            "--type",
            help="Kind of document. Default: phonons, or the kinds that have the fields of the "
            "conditions where phonons do not.",
        ),
    ] = None,
    criteria: Annotated[
        str | None, typer.Option(help="MongoDB criteria as JSON, on document fields.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Fields to show, separated by commas.")
    ] = None,
    output_format: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", "-f", help="Output format.")
    ] = "table",
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 0,
    store: StoreOption = None,
) -> None:
    """Find documents in the store, newest first.

    The same on the embedded store and on MongoDB.
    """
    from mofonon.store import find_documents, open_store

    chosen = build_criteria(conditions or [], formula, elements, potential, criteria)
    fields = [field for text in conditions or [] for field in parse_condition(text)]
    kinds: list[str] = [document_type] if document_type else kinds_with(fields)
    names = columns or default_columns(kinds, fields)
    wanted = [_field(name) for name in names.split(",") if name.strip()]
    found = find_documents(
        open_store(store),
        chosen,
        document_type=kinds,
        properties=["@class", *(name for name in wanted if name not in _MADE_HERE)],
        limit=limit,
    )
    rows = [_row(document, wanted) for document in found]
    _print_rows(rows, wanted, output_format)


def kinds_with(fields: list[str]) -> list[str]:
    """Kinds of document that have all of some fields; phonons alone if they have them.

    Raises
    ------
    SettingsError
        When no kind of document has all of them.
    """
    if not fields:
        return ["phonons"]
    roots = {field.split(".", maxsplit=1)[0] for field in fields}
    found = [name for name, known in _fields_of_kinds().items() if roots <= known]
    if "phonons" in found:
        return ["phonons"]
    if not found:
        raise SettingsError(
            f"no kind of document has all of {', '.join(sorted(roots))}",
            "see mofonon show ID for the fields of a document, or give --type",
        )
    return found


def default_columns(kinds: list[str], fields: list[str]) -> str:
    """Columns of a table of documents of some kinds, the fields asked about among them."""
    common = COMMON_COLUMNS if len(kinds) > 1 else DEFAULT_COLUMNS[kinds[0]]
    names = common.split(",")
    if len(kinds) == 1:
        return common
    added = [field for field in fields if field not in names]
    return ",".join(dict.fromkeys([*names, *added, "potential.label", "completed_at"]))


def show(
    document_id: Annotated[str, typer.Argument(help="Id of a document, or its beginning.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one document, without its arrays."""
    from mofonon.store import get_document, open_store

    document = get_document(open_store(store), document_id)
    for name in ("arrays", "history"):
        if name in document:
            document[name] = _array_names(document[name])
    if as_json:
        typer.echo(json.dumps(document, indent=2, default=str))
        return
    import yaml

    document.pop("structure", None)
    document.pop("input_structure", None)
    text = yaml.safe_dump(json.loads(json.dumps(document, default=str)), sort_keys=False)
    typer.echo(text.rstrip())


def build_criteria(
    conditions: list[str],
    formula: str | None = None,
    elements: str | None = None,
    potential: str | None = None,
    criteria: str | None = None,
) -> dict[str, Any]:
    """Make MongoDB criteria on document fields from what a user typed.

    Raises
    ------
    SettingsError
        When a condition, formula or the JSON cannot be understood.
    """
    parts: list[dict[str, Any]] = [parse_condition(text) for text in conditions]
    if formula:
        parts.append({"formula_pretty": _reduced_formula(formula)})
    if elements:
        parts.append({"elements": {"$all": re.split(r"[\s,]+", elements.strip())}})
    if potential:
        pattern = {"$regex": re.escape(potential)}
        parts.append({"$or": [{"potential.label": pattern}, {"potential.sha256": pattern}]})
    if criteria:
        try:
            parts.append(json.loads(criteria))
        except json.JSONDecodeError as error:
            raise SettingsError(
                f"--criteria is not JSON: {error}",
                """write it as '{"min_frequency": {"$lt": 0}}'""",
            ) from None
    if not parts:
        return {}
    return parts[0] if len(parts) == 1 else {"$and": parts}


def parse_condition(text: str) -> dict[str, Any]:
    """Make MongoDB criteria of one condition, such as ``min_frequency < -0.1``.

    Raises
    ------
    SettingsError
        When it is not ``field operator value``.
    """
    match = _CONDITION.match(text)
    if match is None:
        raise SettingsError(
            f"the condition {text!r} cannot be understood",
            "write field, operator and value: 'min_frequency < -0.1' (< <= > >= = !=)",
        )
    name, operator, value_text = match.groups()
    value = _value(value_text)
    if name in ("formula", "formula_pretty") and isinstance(value, str):
        value = _reduced_formula(value)
    condition = value if operator in ("=", "==") else {_OPERATORS[operator]: value}
    return {_field(name): condition}


def lookup(document: dict[str, Any], name: str) -> Any:
    """Value of a dotted field, or None."""
    value: Any = document
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _row(document: dict[str, Any], wanted: list[str]) -> dict[str, Any]:
    from mofonon.store import DOCUMENT_TYPES

    kinds = {class_name: name for name, class_name in DOCUMENT_TYPES.items()}
    document = {**document, "type": kinds.get(document.get("@class", ""))}
    return {name: lookup(document, name) for name in wanted}


def _fields_of_kinds() -> dict[str, set[str]]:
    """Fields of each kind of document, from its class."""
    from mofonon import lattice
    from mofonon.store import DOCUMENT_TYPES

    envelope = {"document_id", "uuid", "name", "metadata", "hosts"}
    return {
        kind: set(getattr(lattice, class_name).model_fields) | envelope
        for kind, class_name in DOCUMENT_TYPES.items()
        if class_name in lattice.__all__
    }


def _field(name: str) -> str:
    return ALIASES.get(name.strip(), name.strip())


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "yes": True, "no": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text.strip("'\"")


def _reduced_formula(text: str) -> str:
    from pymatgen.core import Composition

    try:
        return str(Composition(text).reduced_formula)
    except ValueError as error:
        raise SettingsError(
            f"{text!r} is not a chemical formula: {error}", "write it as in Zn4C24H12O13"
        ) from None


def _array_names(arrays: Any) -> Any:
    if not isinstance(arrays, dict):
        return arrays
    if arrays.get("@class") == "EncodedArray":
        return "in the data store"
    return {
        name: "in the data store" for name, value in arrays.items() if isinstance(value, dict)
    }


def _print_rows(rows: list[dict[str, Any]], wanted: list[str], output_format: str) -> None:
    if output_format == "json":
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    if output_format == "csv":
        import csv
        import sys

        writer = csv.DictWriter(sys.stdout, fieldnames=wanted)
        writer.writeheader()
        writer.writerows(rows)
        return
    _print_table(rows, wanted)
    typer.echo(_count(rows), err=True)


def _print_table(rows: list[dict[str, Any]], wanted: list[str]) -> None:
    """Print as many columns as the terminal is wide; all of them where it is none."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 1000
    cells = {name: [_cell(name, row[name]) for row in rows] for name in wanted}
    table = Table()
    shown: list[str] = []
    room = console.width - 1
    for name in wanted:
        words = HEADERS.get(name, name).split()
        width = max(len(text) for text in [*words, *cells[name]]) + 3
        if width > room and shown:
            break
        room -= width
        shown.append(name)
        numeric = any(isinstance(row[name], int | float) for row in rows)
        table.add_column(HEADERS.get(name, name), justify="right" if numeric else "left")
    for texts in zip(*(cells[name] for name in shown), strict=True):
        table.add_row(*texts)
    console.print(table)
    if len(shown) < len(wanted):
        left_out = ", ".join(wanted[len(shown) :])
        typer.echo(f"no room for {left_out}: --columns chooses, --format csv has all", err=True)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) >= 5e-5 or value == 0 else f"{value:.2e}"
    if name == "document_id":
        return str(value)[:8]
    return str(value)


def _count(rows: Iterable[Any]) -> str:
    number = len(list(rows))
    return f"{number} document{'' if number == 1 else 's'}"
