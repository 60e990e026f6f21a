"""The figures of a quasi-harmonic calculation: energies over volume, expansion over T."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from phonopy.qha.eos import get_eos

from mofonon.lattice.qha_schemas import QhaDoc
from mofonon.report.palette import ALARM, THERMAL, TOTAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_DPI = 200
_LINE_LENGTH = 100
_FAINT = "#d5d9df"
_MUTED = "#5a626e"
_N_CURVES = 11
#: Axial expansions closer than this to the mean everywhere are not drawn (1e-6/K).
_SAME_EXPANSION = 0.05
#: Below this share of the largest heat capacity Grueneisen parameters are not drawn.
_LEAST_HEAT_CAPACITY = 0.1


def plot_free_energies(doc: QhaDoc) -> Figure:
    """Draw potential energies and, at several temperatures, free energies over volume.

    Parameters
    ----------
    doc : QhaDoc
        The document, with its arrays.

    Returns
    -------
    Figure
        Not registered with pyplot; save it with ``savefig``.
    """
    figure = _new_figure(doc, (7.6, 4.4))
    left, right = figure.subplots(1, 2)
    _draw_energies(left, doc)
    _draw_free_energies(right, doc)
    for axes in (left, right):
        _style(axes)
        axes.set_xlabel("Volume of the cell (\u00c5$^3$)", fontsize=10)
    return figure


def plot_expansion(doc: QhaDoc) -> Figure:
    """Draw volume, expansion, bulk modulus and Grueneisen parameters over temperature.

    Dotted where the volume is not between those that were computed.

    Parameters
    ----------
    doc : QhaDoc
        The document.

    Returns
    -------
    Figure
        Not registered with pyplot; save it with ``savefig``.
    """
    figure = _new_figure(doc, (7.6, 6.2))
    panels = figure.subplots(2, 2, sharex=True)
    (volume, expansion), (modulus, gruneisen) = panels
    blue, vermillion, green = (colour.light for colour in THERMAL)
    series = doc.series
    _draw(volume, doc, series.volumes, blue)
    volume.set_ylabel("Volume of the cell (\u00c5$^3$)", fontsize=10)
    _draw_expansion(expansion, doc)
    _draw(modulus, doc, series.bulk_moduli, green)
    modulus.set_ylabel("Bulk modulus $B_T$ (GPa)", fontsize=10)
    _draw(gruneisen, doc, _where_warm(doc, series.gruneisen), vermillion, "thermodynamic")
    _draw(gruneisen, doc, series.gruneisen_modes, TOTAL.light, "mean over modes")
    gruneisen.set_ylabel("Gr\u00fcneisen parameter", fontsize=10)
    gruneisen.legend(frameon=False, fontsize=8.5)
    for axes in panels.flat:
        _style(axes)
    for axes in panels[1]:
        axes.set_xlim(0, max(series.temperatures[-1], 1.0))
        axes.set_xlabel("Temperature (K)", fontsize=10)
    return figure


def write_qha_figures(
    doc: QhaDoc, folder: Path, stem: str, extension: str = "png"
) -> list[Path]:
    """Write the figures of a document.

    Parameters
    ----------
    doc : QhaDoc
        The document, with its arrays.
    folder : Path
        Made if absent.
    stem : str
        Beginning of the file names.
    extension : str
        png, svg or pdf.

    Returns
    -------
    list of Path
        ``<stem>-expansion.*`` and ``<stem>-free-energies.*``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, plot in (("expansion", plot_expansion), ("free-energies", plot_free_energies)):
        path = folder / f"{stem}-{name}.{extension}"
        plot(doc).savefig(path, dpi=_DPI)
        paths.append(path)
    return paths


def _draw_energies(axes: Axes, doc: QhaDoc) -> None:
    zero = min(point.energy for point in doc.points)
    for used, colour, label in (
        (True, TOTAL.light, "used"),
        (False, ALARM.light, "imaginary modes, left out"),
    ):
        points = [point for point in doc.points if point.used == used]
        if points:
            axes.plot(
                [point.cell.volume for point in points],
                [1e3 * (point.energy - zero) / len(doc.structure) for point in points],
                linestyle="none",
                marker="o" if used else "x",
                markersize=5,
                markerfacecolor="white",
                markeredgecolor=colour,
                label=label,
            )
    axes.set_ylabel("Potential energy (meV/atom)", fontsize=10)
    axes.legend(frameon=False, fontsize=8.5, loc="upper center")


def _draw_free_energies(axes: Axes, doc: QhaDoc) -> None:
    """Draw computed free energies, their fits, and the minima of these."""
    from matplotlib import colormaps

    sampled = doc.arrays.sampled_volumes.decode()
    helmholtz, parameters = doc.arrays.helmholtz.decode(), doc.arrays.parameters.decode()
    temperatures = doc.series.temperatures
    chosen = np.unique(np.linspace(0, len(temperatures) - 1, _N_CURVES).round().astype(int))
    fine = np.linspace(sampled.min(), sampled.max(), 201)
    equation = get_eos(doc.settings.equation_of_state)
    scale = 1e3 / len(doc.structure)
    zero = parameters[0, 0]
    curves = {index: scale * (equation(fine, parameters[index]) - zero) for index in chosen}
    span = max(map(np.max, curves.values())) - min(map(np.min, curves.values()))
    heights: list[float] = []
    for index, curve in curves.items():
        colour = colormaps["plasma"](0.85 * temperatures[index] / max(temperatures[-1], 1.0))
        axes.plot(fine, curve, color=colour, linewidth=1)
        axes.plot(
            sampled,
            scale * (helmholtz[index] - zero),
            linestyle="none",
            marker=".",
            markersize=4,
            color=colour,
        )
        crowded = heights and abs(curve[-1] - heights[-1]) < 0.03 * span
        if not crowded:
            heights.append(curve[-1])
            axes.annotate(
                f"{temperatures[index]:g} K",
                (fine[-1], curve[-1]),
                xytext=(3, -2),
                textcoords="offset points",
                fontsize=7.5,
                color=colour,
                annotation_clip=False,
            )
    inside = np.array(doc.series.inside)
    axes.plot(
        parameters[inside, 3],
        scale * (parameters[inside, 0] - zero),
        color=TOTAL.light,
        linewidth=1.4,
        label="minima",
    )
    axes.set_ylabel("Free energy (meV/atom)", fontsize=10)
    axes.legend(frameon=False, fontsize=8.5, loc="upper center")


def _draw_expansion(axes: Axes, doc: QhaDoc) -> None:
    series = doc.series
    mean = _floats(series.cte_linear)
    _draw(axes, doc, series.cte_linear, TOTAL.light, "mean, a third of volumetric")
    axial = {"a": series.cte_a, "b": series.cte_b, "c": series.cte_c}
    drawn: list[Floats] = []
    for (name, values), colour in zip(axial.items(), THERMAL, strict=True):
        curve = _floats(values)
        if all(np.nanmax(np.abs(curve - other)) > _SAME_EXPANSION for other in (mean, *drawn)):
            drawn.append(curve)
            _draw(axes, doc, values, colour.light, f"along ${name}$")
    axes.axhline(0, color=_MUTED, linewidth=0.7, zorder=0)
    axes.set_ylabel("Linear expansion (10$^{-6}$/K)", fontsize=10)
    if drawn:
        axes.legend(frameon=False, fontsize=8.5)


def _draw(
    axes: Axes,
    doc: QhaDoc,
    values: Sequence[float | None],
    colour: str,
    label: str | None = None,
) -> None:
    """Draw a property over temperature, dotted where it is extrapolated."""
    temperatures, curve = np.array(doc.series.temperatures), _floats(values)
    inside = np.array(doc.series.inside)
    axes.plot(
        temperatures, np.where(inside, curve, np.nan), color=colour, linewidth=1.7, label=label
    )
    if not inside.all():
        axes.plot(temperatures, curve, color=colour, linewidth=1.0, linestyle=(0, (1, 2)))


def _where_warm(doc: QhaDoc, values: Sequence[float | None]) -> list[float | None]:
    """Values but for the lowest temperatures, where they are a quotient of small numbers."""
    capacities = _floats(doc.series.heat_capacities_p)
    least = _LEAST_HEAT_CAPACITY * np.nanmax(capacities)
    return [
        value if capacity > least else None
        for value, capacity in zip(values, capacities, strict=True)
    ]


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values])


def _new_figure(doc: QhaDoc, size: tuple[float, float]) -> Figure:
    """Make a figure with the heading and, in red, the notice of the document."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    heading = ", ".join([str(doc.formula_pretty), doc.space_group.symbol, doc.potential.label])
    figure.suptitle(
        _wrapped(heading), fontsize=10, color=TOTAL.light, x=0.01, horizontalalignment="left"
    )
    if doc.notice:
        figure.supxlabel(_wrapped(doc.notice), fontsize=9, color=ALARM.light, fontweight="bold")
    return figure


def _style(axes: Axes) -> None:
    axes.tick_params(labelsize=9, width=0.6, color=_MUTED)
    axes.ticklabel_format(useOffset=False)
    axes.grid(visible=True, color=_FAINT, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color("#9aa2ad")
    axes.spines["top"].set_visible(False)
    axes.spines["right"].set_visible(False)


def _wrapped(text: str) -> str:
    """Break a wide line; keep matplotlib from reading mathematics into it."""
    return textwrap.fill(text, _LINE_LENGTH).replace("$", r"\$")
