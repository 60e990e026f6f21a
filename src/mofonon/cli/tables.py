"""Tables in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mofonon.benchmark.tables import Table as Comparison
    from mofonon.cli.runs import StructureRun


def print_summary_table(
    title: str, runs: Sequence[StructureRun[Any]], row: Callable[[Any], dict[str, str]]
) -> None:
    """Print results, one column a structure, units in the first column; then warnings.

    Parameters
    ----------
    title : str
        Title of the table.
    runs : sequence of StructureRun
        Those that failed are left out.
    row : callable
        Makes header to text of a document; the first header is ``formula``.
    """
    done = [(run.name, run.doc) for run in runs if run.doc is not None]
    if not done:
        return
    columns = [row(doc) for _, doc in done]
    table = Table(title=title, show_lines=True)
    table.add_column("")
    for column in columns:
        table.add_column(column["formula"], justify="right")
    headers = dict.fromkeys(header for column in columns for header in column)
    for header in list(headers)[1:]:
        table.add_row(header, *(column.get(header, "") for column in columns))
    console = Console()
    console.print(table)
    for name, doc in done:
        for warning in doc.warnings:
            console.print(f"{name}: {warning}", style="yellow", highlight=False)


def print_comparison(comparison: Comparison) -> None:
    """Print a table of a comparison and its notes."""
    table = Table(title=comparison.title)
    for index, header in enumerate(comparison.header):
        table.add_column(header, justify="right" if index else "left", overflow="fold")
    for row in comparison.rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console.width = 1000
    console.print(table)
    for note in comparison.notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
