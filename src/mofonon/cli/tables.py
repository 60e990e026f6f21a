"""Tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mofonon.cli.phonon_runs import PhononRun


def print_summary_table(runs: list[PhononRun]) -> None:
    """Print the results of a run, one column a structure, units in the first column."""
    from mofonon.lattice.summary import table_row

    table = Table(title="phonons", show_lines=True)
    table.add_column("")
    columns = []
    for run in runs:
        if run.doc is not None:
            row = table_row(run.doc)
            columns.append(row)
            table.add_column(row["formula"], justify="right")
    for header in list(columns[0])[1:]:
        table.add_row(header, *(column[header] for column in columns))
    console = Console()
    console.print(table)
    for run in runs:
        for warning in run.doc.warnings if run.doc is not None else []:
            console.print(f"{run.name}: {warning}", style="yellow", highlight=False)
