"""What the doctor finds, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass

import typer


@dataclass(frozen=True)
class Finding:
    """State of one thing: usable or not, what was found, what to do."""

    usable: bool
    found: str
    remedy: str = ""

    def show(self, name: str) -> None:
        """Print it as a line."""
        mark = (
            typer.style("ok     ", fg="green")
            if self.usable
            else typer.style("missing", fg="yellow")
        )
        line = f"{mark} {name:<15} {self.found}"
        typer.echo(line if self.usable else f"{line}; {self.remedy}")
