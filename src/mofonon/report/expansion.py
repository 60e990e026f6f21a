"""The figure of expansion by molecular dynamics: volumes and lengths with their errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mofonon.lattice.expansion import ExpansionFit
from mofonon.lattice.expansion_schemas import MdExpansionDoc, TemperaturePoint
from mofonon.report.palette import ALARM, THERMAL, TOTAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 200
_MUTED = "#5a626e"


def plot_md_expansion(doc: MdExpansionDoc) -> Figure:
    """Draw mean volumes with error bars and the fit; lengths beside them if they are free.

    Parameters
    ----------
    doc : MdExpansionDoc
        The document.

    Returns
    -------
    Figure
        Not registered with pyplot; save it with ``savefig``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axial = "a" in doc.fits
    figure = Figure(
        figsize=(7.6 if axial else 5.0, 4.2), layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if axial else 1, squeeze=False)[0]
    _draw_volume(panels[0], doc)
    if axial:
        _draw_lengths(panels[1], doc)
    for axes in panels:
        axes.set_xlabel("Temperature (K)", fontsize=10)
        axes.tick_params(labelsize=9)
        axes.ticklabel_format(useOffset=False)
        axes.grid(visible=True, color="#d5d9df", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8.5)
    heading = ", ".join([str(doc.formula_pretty), doc.space_group.symbol, doc.potential.label])
    figure.suptitle(
        heading.replace("$", r"\$") + "\nmolecular dynamics: classical, no zero-point motion",
        fontsize=10,
        color=TOTAL.light,
        x=0.01,
        horizontalalignment="left",
    )
    if doc.notice:
        figure.supxlabel(doc.notice.replace("$", r"\$"), fontsize=9, color=ALARM.light)
    return figure


def write_expansion_figure(
    doc: MdExpansionDoc, folder: Path, stem: str, extension: str = "png"
) -> Path:
    """Write the figure as ``<stem>-md-expansion.*``; give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-md-expansion.{extension}"
    plot_md_expansion(doc).savefig(path, dpi=_DPI)
    return path


def fitted(doc: MdExpansionDoc, name: str, temperatures: np.ndarray) -> np.ndarray:
    """Volume (A^3) or length (A) of a fit of the document over temperature (K)."""
    entry = doc.fits[name]
    fit = ExpansionFit(
        entry.cte, entry.error, None, np.array(entry.coefficients), doc.fit_temperature
    )
    return fit.value(temperatures)


def fit_range(doc: MdExpansionDoc) -> np.ndarray:
    """Temperatures (K) over which the fits are drawn: those that they use."""
    used = [point.temperature for point in doc.points if point.used]
    return np.linspace(min(used), max(used), 101)


def _draw_volume(axes: Axes, doc: MdExpansionDoc) -> None:
    fine = fit_range(doc)
    label = f"{doc.cte_volumetric:+.1f} \u00b1 {doc.cte_volumetric_error:.1f} 10$^{{-6}}$/K"
    axes.plot(fine, fitted(doc, "volume", fine), color=THERMAL[0].light, label=label)
    measured = [point for point in doc.points if point.volume is not None]
    for used, colour, name in (
        (True, TOTAL.light, "mean, standard error"),
        (False, ALARM.light, "left out"),
    ):
        points = [point for point in measured if point.used == used]
        if points:
            _draw_points(axes, points, "volume", colour, name)
    axes.plot(
        [0], [doc.cell.volume], "d", color=_MUTED, markersize=5, label="at rest (relaxed)"
    )
    axes.set_ylabel("Volume of the cell (\u00c5$^3$)", fontsize=10)


def _draw_lengths(axes: Axes, doc: MdExpansionDoc) -> None:
    fine, middle = fit_range(doc), np.array([doc.fit_temperature])
    used = [point for point in doc.points if point.used]
    for name, colour in zip("abc", THERMAL, strict=True):
        start, entry = float(fitted(doc, name, middle)[0]), doc.fits[name]
        axes.errorbar(
            [point.temperature for point in used],
            [100 * (getattr(point, name) / start - 1) for point in used],
            [100 * getattr(point, f"{name}_error") / start for point in used],
            fmt="o",
            markersize=4,
            capsize=2,
            color=colour.light,
        )
        axes.plot(
            fine,
            100 * (fitted(doc, name, fine) / start - 1),
            color=colour.light,
            label=f"${name}$: {entry.cte:+.1f} \u00b1 {entry.error:.1f} 10$^{{-6}}$/K",
        )
    axes.set_ylabel(f"Change of length from {doc.fit_temperature:g} K (%)", fontsize=10)


def _draw_points(
    axes: Axes, points: list[TemperaturePoint], name: str, colour: str, label: str
) -> None:
    axes.errorbar(
        [point.temperature for point in points],
        [getattr(point, name) for point in points],
        [getattr(point, f"{name}_error") for point in points],
        fmt="o",
        markersize=5,
        markerfacecolor="white",
        capsize=3,
        color=colour,
        label=label,
    )
