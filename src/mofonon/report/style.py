"""One look for figures: sizes, axes, headings, formats, and a hook for styles of others."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mofonon.errors import SettingsError
from mofonon.report.palette import ALARM, TOTAL, Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
FAINT = "#d5d9df"
MUTED = "#5a626e"
_SPINE = "#9aa2ad"

#: Formats of figures for papers.
FORMATS = ("png", "svg", "pdf")

#: One colour and one dash a method; the first is the reference's. After Okabe and Ito.
METHODS: tuple[tuple[Colour, str | tuple[int, tuple[float, ...]]], ...] = (
    (TOTAL, "-"),
    (Colour("#cf4f00", "#ff8b4d"), "-"),
    (Colour("#1f4fa3", "#6ea2ff"), (0, (5, 1.5))),
    (Colour("#008a64", "#2fc79b"), (0, (3, 1, 1, 1))),
    (Colour("#7b52c7", "#b79bff"), (0, (1.2, 1.2))),
    (Colour("#b37a00", "#f2b632"), (0, (7, 2))),
    (Colour("#c0558f", "#f09ccb"), (0, (4, 1, 1, 1, 1, 1))),
)


def method_style(index: int) -> tuple[str, str | tuple[int, tuple[float, ...]]]:
    """Colour and dash of the method of that index; 0 is the reference."""
    if index < len(METHODS):
        colour, dash = METHODS[index]
    else:
        colour, dash = METHODS[1 + (index - 1) % (len(METHODS) - 1)]
    return colour.light, dash


def new_figure(size: tuple[float, float]) -> Figure:
    """Make a figure that needs no display, size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Axes, *, grid: bool = False) -> None:
    """Thin frame on two sides, small ticks."""
    axes.tick_params(labelsize=9, width=0.6, color=MUTED)
    axes.xaxis.label.set_fontsize(10)
    axes.yaxis.label.set_fontsize(10)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color(_SPINE)
    axes.spines["top"].set_visible(False)
    axes.spines["right"].set_visible(False)
    if grid:
        axes.grid(visible=True, color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)


def heading(figure: Figure, lines: Sequence[str], alarms: Sequence[str] = ()) -> None:
    """Say what is shown and, in the warning colour, what a reader must know."""
    width = int(12 * figure.get_figwidth())
    figure.suptitle(
        _wrapped(lines, width),
        fontsize=10,
        color=TOTAL.light,
        x=0.01,
        horizontalalignment="left",
    )
    if alarms:
        figure.supxlabel(
            _wrapped(alarms, width), fontsize=9, color=ALARM.light, fontweight="bold"
        )


def plain(text: str) -> str:
    """Keep matplotlib from reading mathematics into text."""
    return text.replace("$", r"\$")


def save(
    figure: Figure, folder: Path, stem: str, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """Write a figure as ``<stem>.<format>``, once for each format.

    Raises
    ------
    SettingsError
        For a format that is not png, svg or pdf.
    """
    check_formats(formats)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}.{extension}" for extension in formats]
    for path in paths:
        figure.savefig(path, dpi=DPI)
    return paths


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats that are not png, svg or pdf.

    Raises
    ------
    SettingsError
        Naming the format.
    """
    for extension in formats:
        if extension not in FORMATS:
            raise SettingsError(
                f"figures cannot be written as {extension}", f"use {', '.join(FORMATS)}"
            )


@contextmanager
def using_style(style: str | None) -> Iterator[None]:
    """Draw with a matplotlib style: a file, or the name of one that matplotlib knows.

    Parameters
    ----------
    style : str or None
        Such as ``my.mplstyle`` or ``grayscale``; None changes nothing.

    Raises
    ------
    SettingsError
        When there is no such style.
    """
    if style is None:
        yield
        return
    import matplotlib.style

    try:
        context = matplotlib.style.context(style)
        context.__enter__()
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"there is no matplotlib style {style!r}",
            "give a .mplstyle file, or a name of matplotlib.style.available",
        ) from error
    try:
        yield
    finally:
        context.__exit__(None, None, None)


def _wrapped(lines: Sequence[str], width: int) -> str:
    return plain("\n".join(textwrap.fill(line, width) for line in lines))
