"""Figures for papers and talks, drawn by matplotlib without a display."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mofonon.lattice.schemas import PhononDoc
from mofonon.report.curves import (
    PER_CM,
    Bands,
    Density,
    bands_of,
    classical_limit,
    density_of,
    frequency_range,
    low_windows,
    notice_of,
    origin_of,
    thermal_caveat_of,
)
from mofonon.report.palette import ALARM, BANDS, THERMAL, TOTAL, element_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 200
_LINE_LENGTH = 92
_FAINT = "#d5d9df"
_MUTED = "#5a626e"


def plot_bands_and_dos(doc: PhononDoc, *, window: tuple[float, float] | None = None) -> Figure:
    """Draw bands and, beside them, the density of states on the same frequency axis.

    Parameters
    ----------
    doc : PhononDoc
        The document, with its arrays.
    window : tuple of float, optional
        Frequencies to show (THz); all if left out.

    Returns
    -------
    Figure
        Not registered with pyplot; save it with ``savefig``.
    """
    figure = _new_figure((7.6, 4.8))
    left, right = figure.subplots(1, 2, width_ratios=[2.6, 1], sharey=True)
    low, high = window or frequency_range(doc)
    _draw_bands(left, bands_of(doc))
    _draw_density(right, density_of(doc), (low, high))
    left.set_ylim(low, high)
    left.set_ylabel("Frequency (THz)")
    for axes in (left, right):
        _style(axes)
        _mark_imaginary(axes, low, labelled=axes is left)
    wavenumbers = right.secondary_yaxis(
        "right", functions=(lambda x: x * PER_CM, lambda x: x / PER_CM)
    )
    wavenumbers.set_ylabel("Wavenumber (cm$^{-1}$)", fontsize=10, color=_MUTED)
    wavenumbers.tick_params(labelsize=8.5, colors=_MUTED, width=0.6)
    wavenumbers.spines["right"].set_color(_FAINT)
    _title(figure, doc)
    return figure


def plot_thermal(doc: PhononDoc) -> Figure:
    """Draw vibrational free energy, entropy and heat capacity over temperature.

    Parameters
    ----------
    doc : PhononDoc
        The document.

    Returns
    -------
    Figure
        Not registered with pyplot; save it with ``savefig``.
    """
    figure = _new_figure((7.6, 3.8))
    left, right = figure.subplots(1, 2)
    thermal = doc.thermal
    t = np.array(thermal.temperatures)
    free, entropy, capacity = (colour.light for colour in THERMAL)
    left.plot(t, thermal.free_energies, color=free, linewidth=1.8)
    left.set_ylabel("Free energy $F$ (kJ/mol)")
    right.plot(t, thermal.entropies, color=entropy, linewidth=1.8, label="Entropy $S$")
    right.plot(
        t, thermal.heat_capacities, color=capacity, linewidth=1.8, label="Heat capacity $C_V$"
    )
    right.axhline(
        classical_limit(doc),
        color=_MUTED,
        linewidth=0.9,
        linestyle=(0, (4, 3)),
        label="Dulong-Petit limit of $C_V$",
    )
    right.set_ylabel("$S$, $C_V$ (J/K/mol)")
    right.set_ylim(bottom=0)
    right.legend(frameon=False, fontsize=8.5, loc="lower right")
    for axes in (left, right):
        _style(axes)
        axes.grid(visible=True, color=_FAINT, linewidth=0.5)
        axes.set_xlim(0, max(float(t.max()), 1.0))
        axes.set_xlabel("Temperature (K)")
    _title(
        figure,
        doc,
        f"per mole of the cell of {len(doc.structure)} atoms",
        thermal_caveat_of(doc),
    )
    return figure


def write_figures(
    doc: PhononDoc, folder: Path, stem: str, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """Write the figures of a document.

    Parameters
    ----------
    doc : PhononDoc
        The document, with its arrays.
    folder : Path
        Made if absent.
    stem : str
        Beginning of the file names.
    formats : sequence of str
        png, svg, pdf.

    Returns
    -------
    list of Path
        ``<stem>-bands-dos.*``, ``<stem>-thermal.*`` and, where the highest frequency is
        far above the lattice modes, ``<stem>-bands-dos-low.*`` of these.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"bands-dos": plot_bands_and_dos(doc), "thermal": plot_thermal(doc)}
    windows = low_windows(doc)
    if len(windows) > 1:
        window = (frequency_range(doc)[0], windows[0])
        figures["bands-dos-low"] = plot_bands_and_dos(doc, window=window)
    paths = []
    for name, figure in figures.items():
        for extension in formats:
            paths.append(folder / f"{stem}-{name}.{extension}")
            figure.savefig(paths[-1], dpi=_DPI)
    return paths


def _new_figure(size: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _draw_bands(axes: Axes, bands: Bands) -> None:
    from matplotlib.collections import LineCollection

    n_bands = bands.frequencies[0].shape[1]
    crowded = n_bands > 60
    for x, frequencies in zip(bands.distances, bands.frequencies, strict=True):
        lines = [np.column_stack([x, band]) for band in frequencies.T]
        axes.add_collection(
            LineCollection(
                lines,
                colors=BANDS.light,
                linewidths=0.5 if crowded else 1.1,
                alpha=0.65 if crowded else 0.95,
                capstyle="butt",
            )
        )
    positions, names = zip(*bands.ticks, strict=True)
    axes.set_xticks(positions, [_mathtext(name) for name in names])
    for position in positions:
        axes.axvline(position, color=_FAINT, linewidth=0.7, zorder=0)
    axes.set_xlim(positions[0], positions[-1])
    axes.set_xlabel("Wave vector")


def _draw_density(axes: Axes, density: Density, window: tuple[float, float]) -> None:
    dos, width = density.within(window)
    y = dos.frequencies
    below = np.zeros_like(y)
    for element, colour in element_colours(list(dos.by_element)).items():
        above = below + dos.by_element[element]
        axes.fill_betweenx(
            y, below, above, color=colour.light, alpha=0.75, linewidth=0, label=element
        )
        below = above
    axes.plot(dos.total, y, color=TOTAL.light, linewidth=0.5, label="total")
    axes.set_xlim(0, 1.05 * float(dos.total.max(initial=0)) or 1.0)
    averaged = f"\naveraged over {width:.2g} THz" if width else ""
    axes.set_xlabel(f"DOS (states/THz/cell){averaged}")
    axes.legend(
        frameon=True,
        framealpha=0.85,
        edgecolor="none",
        fontsize=8.5,
        loc="best",
        handlelength=1.2,
        borderpad=0.3,
    )


def _mark_imaginary(axes: Axes, low: float, *, labelled: bool) -> None:
    axes.axhline(0, color=_MUTED, linewidth=0.7, zorder=1)
    if low >= 0:
        return
    axes.axhspan(low, 0, color=ALARM.light, alpha=0.08, linewidth=0, zorder=0)
    if labelled:
        axes.text(
            0.985,
            low,
            "imaginary, shown negative ",
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=8.5,
            color=ALARM.light,
        )


def _style(axes: Axes) -> None:
    axes.tick_params(labelsize=9, width=0.6, color=_MUTED)
    axes.xaxis.label.set_fontsize(10)
    axes.yaxis.label.set_fontsize(10)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color("#9aa2ad")
    axes.spines["top"].set_visible(False)
    axes.spines["right"].set_visible(False)


def _title(
    figure: Figure, doc: PhononDoc, addition: str = "", caveat: str | None = None
) -> None:
    """Say what is shown and, in the warning colour, what stands in for science."""
    parts = [str(doc.formula_pretty), doc.space_group.symbol, origin_of(doc)]
    lines = [", ".join(parts)] + ([addition] if addition else [])
    figure.suptitle(
        _wrapped(lines), fontsize=10, color=TOTAL.light, x=0.01, horizontalalignment="left"
    )
    alarms = [text for text in (caveat, notice_of(doc)) if text]
    if alarms:
        figure.supxlabel(_wrapped(alarms), fontsize=9, color=ALARM.light, fontweight="bold")


def _wrapped(lines: Sequence[str]) -> str:
    """Break lines that are wider than the figure."""
    return _plain("\n".join(textwrap.fill(line, _LINE_LENGTH) for line in lines))


def _plain(text: str) -> str:
    """Keep matplotlib from reading mathematics into text."""
    return text.replace("$", r"\$")


def _mathtext(label: str) -> str:
    """Set the index of a name such as ``H_2`` as one."""
    names = []
    for name in label.split("|"):
        letter, _, index = name.partition("_")
        plain = _plain(letter)
        names.append(f"{plain}$_{{{index}}}$" if index.isalnum() else _plain(name))
    return "|".join(names)
