"""The figure of a bulk modulus: energies over volume, with the equations of state."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mofonon.equation_of_state import EquationOfState, equation_of_state_energy
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc
from mofonon.report.palette import ALARM, THERMAL, TOTAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 200
_LINE_LENGTH = 80
_FAINT = "#d5d9df"
_MUTED = "#5a626e"
_NAMES = {
    "birch_murnaghan": "Birch-Murnaghan",
    "vinet": "Vinet",
    "murnaghan": "Murnaghan",
}
_STYLES = {
    "birch_murnaghan": (THERMAL[0].light, "-"),
    "vinet": (THERMAL[1].light, (0, (5, 2))),
    "murnaghan": (THERMAL[2].light, (0, (1.5, 1.5))),
}


def plot_energy_volume(doc: BulkModulusDoc) -> Figure:
    """Draw energies over volume with all fits, and what the fits leave.

    Parameters
    ----------
    doc : BulkModulusDoc
        The document.

    Returns
    -------
    Figure
        Not registered with pyplot; save it with ``savefig``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, height_ratios=[2.6, 1], sharex=True)
    _draw_energies(upper, doc)
    _draw_deviations(lower, doc)
    for axes in (upper, lower):
        _style(axes)
    lower.set_xlabel("Volume of the cell (\u00c5$^3$)", fontsize=10)
    heading = ", ".join([str(doc.formula_pretty), doc.space_group.symbol, doc.potential.label])
    figure.suptitle(
        _wrapped(heading), fontsize=10, color=TOTAL.light, x=0.01, horizontalalignment="left"
    )
    if doc.notice:
        figure.supxlabel(_wrapped(doc.notice), fontsize=9, color=ALARM.light, fontweight="bold")
    return figure


def write_energy_volume(
    doc: BulkModulusDoc, folder: Path, stem: str, extension: str = "png"
) -> Path:
    """Write the figure of a document.

    Parameters
    ----------
    doc : BulkModulusDoc
        The document.
    folder : Path
        Made if absent.
    stem : str
        Beginning of the file name.
    extension : str
        png, svg or pdf.

    Returns
    -------
    Path
        ``<stem>-energy-volume.*``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-energy-volume.{extension}"
    plot_energy_volume(doc).savefig(path, dpi=_DPI)
    return path


def _draw_energies(axes: Axes, doc: BulkModulusDoc) -> None:
    volumes, energies = _points(doc)
    n_atoms = len(doc.structure)
    zero = doc.equilibrium_energy
    fine = np.linspace(volumes.min(), volumes.max(), 201)
    for name, fit in doc.fits.items():
        colour, style = _STYLES[name]
        axes.plot(
            fine,
            1e3 * (_fitted(doc, name, fine) - zero) / n_atoms,
            color=colour,
            linestyle=style,
            linewidth=1.6,
            label=f"{_NAMES[name]}: $B_0$ = {fit.bulk_modulus:.2f} GPa, "
            f"$B_0'$ = {fit.bulk_modulus_derivative:.2f}",
        )
    if doc.bulk_modulus_from_stress is not None:
        label = f"from stress: $B_0$ = {doc.bulk_modulus_from_stress:.2f} GPa"
        axes.plot([], [], linestyle="none", label=label)
    axes.plot(
        volumes,
        1e3 * (energies - zero) / n_atoms,
        linestyle="none",
        marker="o",
        markersize=5.5,
        markerfacecolor="white",
        markeredgecolor=TOTAL.light,
        zorder=3,
        label="computed",
    )
    axes.axvline(
        doc.equilibrium_volume,
        ymax=0.55,
        color=_MUTED,
        linewidth=0.8,
        linestyle=(0, (4, 3)),
    )
    axes.annotate(
        f"$V_0$ = {doc.equilibrium_volume:.2f} \u00c5$^3$",
        (doc.equilibrium_volume, 0.35),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=9,
        color=_MUTED,
    )
    axes.set_ylabel("Energy above the minimum\n(meV/atom)", fontsize=10)
    axes.legend(frameon=False, fontsize=8.5, loc="upper center")


def _draw_deviations(axes: Axes, doc: BulkModulusDoc) -> None:
    volumes, energies = _points(doc)
    for name in doc.fits:
        colour, style = _STYLES[name]
        axes.plot(
            volumes,
            1e3 * (energies - _fitted(doc, name, volumes)) / len(doc.structure),
            color=colour,
            linestyle=style,
            linewidth=1.0,
            marker="o",
            markersize=3.5,
        )
    axes.axhline(0, color=_MUTED, linewidth=0.7, zorder=0)
    axes.set_ylabel("Computed - fit\n(meV/atom)", fontsize=10)


def _points(doc: BulkModulusDoc) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        np.array([point.volume for point in doc.points]),
        np.array([point.energy for point in doc.points]),
    )


def _fitted(
    doc: BulkModulusDoc, name: EquationOfState, volumes: NDArray[np.float64]
) -> NDArray[np.float64]:
    fit = doc.fits[name]
    return equation_of_state_energy(
        name,
        volumes,
        v0=fit.equilibrium_volume,
        e0=fit.equilibrium_energy,
        b0=fit.bulk_modulus,
        b0_prime=fit.bulk_modulus_derivative,
    )


def _style(axes: Axes) -> None:
    axes.tick_params(labelsize=9, width=0.6, color=_MUTED)
    axes.grid(visible=True, color=_FAINT, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color("#9aa2ad")
    axes.spines["top"].set_visible(False)
    axes.spines["right"].set_visible(False)


def _wrapped(text: str) -> str:
    """Break a wide line; keep matplotlib from reading mathematics into it."""
    return textwrap.fill(text, _LINE_LENGTH).replace("$", r"\$")
