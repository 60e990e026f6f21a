"""Figures of evaluations and trainings: parity, error histograms, learning curves."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mofonon.report.palette import ALARM, THERMAL, TOTAL
from mofonon.training.evaluation_schemas import Arrays, EvaluationDoc
from mofonon.training.schemas import PotentialDoc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 180
_FAINT = "#d5d9df"
_MUTED = "#5a626e"
_COLOURS = [colour.light for colour in (*THERMAL, TOTAL)]
_MOST_POINTS = 20_000


def plot_parity(doc: EvaluationDoc, arrays: Arrays) -> Figure:
    """Draw predictions against labels and the histogram of errors, for one set of frames."""
    figure = _figure((8.0, 6.8))
    upper, lower = figure.subplots(2, 2)
    sizes = arrays.n_atoms.decode()
    energies = arrays.energies.decode() / sizes
    middle = float(energies.mean())
    forces = arrays.forces.decode().ravel()
    for number, potential in enumerate(doc.potentials):
        errors = doc.get(potential.name, arrays.frames).all
        colour = _COLOURS[number % len(_COLOURS)]
        predicted = arrays.predicted_energies[potential.name].decode() / sizes
        found = arrays.predicted_forces[potential.name].decode().ravel()
        shown = (1e3 * (energies - middle), 1e3 * (predicted - middle))
        _points(upper[0], *shown, colour=colour, label=potential.name)
        _points(upper[1], *_some(forces, found), colour=colour, label=potential.name)
        rmse = errors.energy_per_atom.rmse
        _histogram(lower[0], 1e3 * (predicted - energies), f"RMSE {rmse:.2f}", colour)
        _histogram(lower[1], 1e3 * (found - forces), f"RMSE {errors.forces.rmse:.1f}", colour)
    labels = ("Energy - mean of labels (meV/atom)", "Force component (eV/\u00c5)")
    for axes, text in zip(upper, labels, strict=True):
        _diagonal(axes)
        axes.set_xlabel(f"{text}, label", fontsize=9)
        axes.set_ylabel("potential", fontsize=9)
    upper[0].legend(frameon=False, fontsize=8, loc="upper left")
    for axes, text in zip(lower, ("Energy (meV/atom)", "Force (meV/\u00c5)"), strict=True):
        axes.set_xlabel(f"{text}, potential - label", fontsize=9)
        axes.set_ylabel("numbers", fontsize=9)
        axes.set_yscale("log")
        axes.legend(frameon=False, fontsize=8)
    aligned = ", reference energies aligned by composition" if doc.aligned else ""
    _finish(figure, f"{arrays.frames}: {len(sizes)} frames{aligned}", doc.notice)
    return figure


def plot_learning_curves(doc: PotentialDoc) -> Figure:
    """Draw validation errors over epochs, each head a line."""
    figure = _figure((7.2, 3.4))
    axes_of = dict(zip(("energy_rmse", "forces_rmse"), figure.subplots(1, 2), strict=True))
    units = {"energy_rmse": "Energy RMSE (meV/atom)", "forces_rmse": "Force RMSE (meV/\u00c5)"}
    for name, axes in axes_of.items():
        for number, head in enumerate(doc.heads):
            curve = [
                (entry.epoch, value)
                for entry in doc.learning_curves
                if entry.head == head
                and entry.epoch >= 0
                and (value := getattr(entry, name)) is not None
            ]
            if curve:
                axes.plot(*zip(*curve, strict=True), color=_COLOURS[number], label=head, lw=1.3)
        axes.axvline(doc.best_epoch, color=_MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_yscale("log")
        axes.set_xlabel("epoch", fontsize=9)
        axes.set_ylabel(units[name], fontsize=9)
    axes_of["forces_rmse"].legend(frameon=False, fontsize=8)
    _finish(figure, f"{doc.name}: validation; model of epoch {doc.best_epoch}", doc.notice)
    return figure


def write_parity(doc: EvaluationDoc, folder: Path, stem: str = "evaluation") -> list[Path]:
    """Write one parity figure for each set: ``<stem>-<set>-parity.png``."""
    paths = []
    for arrays in doc.arrays:
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in arrays.frames)
        paths.append(_save(plot_parity(doc, arrays), folder, f"{stem}-{name}-parity"))
    return paths


def write_learning_curves(doc: PotentialDoc, folder: Path, stem: str) -> Path:
    """Write the learning curves: ``<stem>-learning-curves.png``."""
    return _save(plot_learning_curves(doc), folder, f"{stem}-learning-curves")


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, folder: Path, stem: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.png"
    figure.savefig(path, dpi=_DPI)
    return path


def _some(
    labels: NDArray[np.float64], predicted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    step = max(1, len(labels) // _MOST_POINTS)
    return labels[::step], predicted[::step]


def _points(
    axes: Axes,
    labels: NDArray[np.float64],
    predicted: NDArray[np.float64],
    *,
    colour: str,
    label: str,
) -> None:
    axes.plot(
        labels,
        predicted,
        linestyle="none",
        marker="o",
        markersize=2.6,
        alpha=0.6,
        markeredgewidth=0,
        color=colour,
        label=textwrap.shorten(label, 48),
        rasterized=True,
    )


def _histogram(axes: Axes, differences: NDArray[np.float64], label: str, colour: str) -> None:
    limit = float(np.abs(differences).max()) or 1.0
    bins = np.linspace(-limit, limit, 61).tolist()
    axes.hist(differences, bins, histtype="step", color=colour, linewidth=1.2, label=label)


def _diagonal(axes: Axes) -> None:
    low = min(axes.get_xlim()[0], axes.get_ylim()[0])
    high = max(axes.get_xlim()[1], axes.get_ylim()[1])
    axes.plot([low, high], [low, high], color=_MUTED, linewidth=0.8, zorder=0)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)


def _finish(figure: Figure, heading: str, notice: str | None) -> None:
    for axes in figure.axes:
        axes.tick_params(labelsize=8, width=0.6, color=_MUTED)
        axes.grid(visible=True, color=_FAINT, linewidth=0.5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    text = textwrap.fill(heading, 90).replace("$", r"\$")
    figure.suptitle(text, fontsize=10, color=TOTAL.light, x=0.01, horizontalalignment="left")
    if notice:
        figure.supxlabel(
            textwrap.fill(notice, 90), fontsize=8.5, color=ALARM.light, fontweight="bold"
        )
