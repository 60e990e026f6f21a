"""Figure of an elimination of imaginary modes: the ladder of lowest frequencies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mofonon.lattice.stabilize_schemas import StabilizeDoc

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_attempts(doc: StabilizeDoc) -> Figure:
    """Lowest frequency (THz) and energy (meV/atom) after each attempt."""
    from matplotlib.figure import Figure

    done = [attempt for attempt in doc.attempts if attempt.state == "successful"]
    numbers = [attempt.number for attempt in done]
    names = [f"{a.number}\n{a.strategy or 'as given'}" for a in done]
    reference = done[0].energy_per_atom or 0.0
    energies = [1000 * ((attempt.energy_per_atom or 0.0) - reference) for attempt in done]
    figure = Figure(figsize=(6.4, 5.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.axhline(0.0, color="0.4", linewidth=0.8)
    upper.plot(
        numbers, [attempt.lowest_after or 0.0 for attempt in done], "o-", color="#1f4e9c"
    )
    upper.set_ylabel("lowest frequency (THz)")
    lower.plot(numbers, energies, "s-", color="#b5460f")
    lower.set_ylabel("energy (meV/atom)")
    lower.set_xticks(numbers, names)
    lower.set_xlabel("attempt")
    for axes in (upper, lower):
        axes.axvline(doc.best_attempt, color="0.8", linewidth=6, zorder=0)
        axes.grid(axis="y", color="0.9")
    figure.suptitle(
        f"{doc.formula_pretty}: {doc.space_group_before} \u2192 {doc.space_group.symbol}, "
        f"{doc.state}; {doc.potential.label}",
        fontsize=10,
    )
    if doc.notice:
        figure.supxlabel(doc.notice, color="#b3261e", fontsize=9, fontweight="bold")
    return figure


def write_attempts(doc: StabilizeDoc, folder: Path, stem: str, extension: str = "png") -> Path:
    """Write the figure as ``<stem>-attempts.png``; give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-attempts.{extension}"
    plot_attempts(doc).savefig(path, dpi=160)
    return path
