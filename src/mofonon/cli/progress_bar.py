"""The progress bar on stderr; plain lines where stderr is not a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mofonon.progress import Progress as Report

_UNITS = {
    "relax": "force evaluations",
    "displacements": "force evaluations",
    "mesh": "q-points",
    "bands": "segments",
    "fine-tuning": "epochs",
}


def note(text: str) -> None:
    """Tell the user something, on stderr."""
    typer.echo(text, err=True)


class ProgressBar:
    """Shows the reports of a calculation: done, left, time.

    Parameters
    ----------
    title : str
        What is being computed.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        console = Console(stderr=True)
        self._interactive = console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._interactive,
        )
        self._tasks: dict[str, TaskID] = {}
        self._last_line: tuple[str, int] = ("", -1)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, report: Report) -> None:
        """Show one report."""
        if self._interactive:
            self._draw(report)
        else:
            self._print(report)

    def _draw(self, report: Report) -> None:
        if report.stage not in self._tasks:
            self._tasks[report.stage] = self._progress.add_task(
                f"{self.title}: {report.stage}",
                total=report.total,
                unit=_UNITS.get(report.stage, ""),
                detail="",
            )
        self._progress.update(
            self._tasks[report.stage],
            completed=report.done,
            total=report.total,
            detail=report.detail,
        )

    def _print(self, report: Report) -> None:
        """Print a line at the start of a stage, and now and then where it evaluates forces."""
        step = 0
        if report.stage in ("relax", "displacements", "fine-tuning"):
            step = 10 * report.done // report.total if report.total else report.done // 50
        if (report.stage, step) == self._last_line:
            return
        self._last_line = (report.stage, step)
        total = "" if report.total is None else f"/{report.total}"
        unit = _UNITS.get(report.stage, "")
        note(
            f"{self.title}: {report.stage} {report.done}{total} {unit} {report.detail}".rstrip()
        )
