"""Tables of comparisons: for the terminal, CSV, JSON, LaTeX and Markdown.

A table is a list of records (plain numbers, for CSV and JSON) and the same as text for people,
with units in the headers and, below it, where each number comes from.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

TableFormat = Literal["csv", "json", "latex", "markdown"]

#: Endings of the files of :func:`write_table`.
ENDINGS: dict[TableFormat, str] = {
    "csv": "csv",
    "json": "json",
    "latex": "tex",
    "markdown": "md",
}

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\u00c5": r"\AA{}",
    "\u00b0": r"$^\circ$",
    "\u00b3": r"$^3$",
    "\u0394": r"$\Delta$",
    "\u03b1": r"$\alpha$",
    "\u03b2": r"$\beta$",
    "\u03b3": r"$\gamma$",
    "\u0393": r"$\Gamma$",
    "\u00b1": r"$\pm$",
    "\u2013": "--",
    "\u2212": "$-$",
    "\u2192": r"$\rightarrow$",
    "\u00d7": r"$\times$",
}


@dataclass(frozen=True)
class Table:
    """A table for people, with the records it was made of.

    Attributes
    ----------
    name : str
        Beginning of file names.
    title : str
        What it shows.
    header : list of str
        Column headers, with units; the first is that of the row names.
    rows : list of list of str
        Text of the cells.
    notes : list of str
        Sources of the numbers, flags and warnings.
    records : list of dict
        The numbers, one record a row of the CSV file.
    payload : dict
        All of it as JSON prints it.
    """

    name: str
    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    payload: dict[str, Any] = field(default_factory=dict)


def render(table: Table, table_format: TableFormat) -> str:
    """Write a table as text.

    Parameters
    ----------
    table : Table
        The table.
    table_format : str
        csv, json, latex or markdown.

    Returns
    -------
    str
        Ends with a line feed.
    """
    renderers: dict[TableFormat, Callable[[Table], str]] = {
        "csv": _csv,
        "json": _json,
        "latex": _latex,
        "markdown": _markdown,
    }
    return renderers[table_format](table)


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write a table in each format: ``<name>.csv``, ``.json``, ``.tex``, ``.md``.

    Parameters
    ----------
    table : Table
        The table.
    folder : Path
        Made if absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for table_format, ending in ENDINGS.items():
        paths.append(folder / f"{table.name}.{ending}")
        paths[-1].write_text(render(table, table_format), encoding="utf-8", newline="\n")
    return paths


def number(value: float | None, digits: int) -> str:
    """Text of a number with so many decimals, a dash for None, no negative zero."""
    if value is None:
        return "\u2013"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def signed(value: float | None, digits: int) -> str:
    """Text of a deviation, with its sign."""
    if value is None:
        return "\u2013"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give items of lists and dicts columns of their own: ``lengths_1``, ``rmsd_Zn``."""
    out: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            out |= flat(value, f"{name}_")
        elif isinstance(value, list | tuple) and all(
            isinstance(item, int | float) for item in value
        ):
            out |= {f"{name}_{index + 1}": item for index, item in enumerate(value)}
        elif isinstance(value, list | tuple):
            out[name] = "; ".join(str(item) for item in value)
        else:
            out[name] = value
    return out


def _csv(table: Table) -> str:
    records = [flat(record) for record in table.records]
    names = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _json(table: Table) -> str:
    return json.dumps(table.payload, indent=2, ensure_ascii=False) + "\n"


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    rule = "|" + "|".join([":---", *["---:"] * (len(table.header) - 1)]) + "|"
    lines = [f"**{table.title}**", "", line(table.header), rule]
    lines += [line(row) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _latex(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(_escape_latex(cell) for cell in cells) + r" \\"

    lines = [
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{_escape_latex(table.title)}}}",
        f"  \\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
        r"    \hline",
        line(table.header),
        r"    \hline",
        *(line(row) for row in table.rows),
        r"    \hline",
        r"  \end{tabular}",
        *(f"  \\par\\footnotesize {_escape_latex(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
