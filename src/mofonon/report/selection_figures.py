"""Figures of a selection: maps of descriptors, crystal systems, elements, funnel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mofonon.report.palette import ALARM, BANDS, TOTAL
from mofonon.structures.curation import CRYSTAL_SYSTEMS, FunnelStep, StructureRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MUTED = "#5a626e"
_FAINT = "#d5d9df"
_CHOSEN = ALARM.light
_REST = BANDS.light


@dataclass(frozen=True)
class Projection:
    """Two coordinates for each structure.

    Attributes
    ----------
    method : str
        PCA or UMAP.
    coordinates : ndarray, shape (n, 2)
        NaN for structures without such atoms.
    axes : tuple of str
        Labels of the axes.
    """

    method: str
    coordinates: NDArray[np.float64]
    axes: tuple[str, str]


def project(points: NDArray[np.float32], method: str = "pca") -> Projection:
    """Project descriptors onto two coordinates.

    Parameters
    ----------
    points : ndarray, shape (n, n_features)
        Rows with NaN are left out and have NaN coordinates.
    method : str
        ``pca``, or ``umap`` where umap-learn is installed.

    Raises
    ------
    MissingDependencyError
        umap-learn is not installed.
    """
    known = np.isfinite(points).all(axis=1)
    coordinates = np.full((len(points), 2), np.nan)
    values = points[known].astype(np.float64)
    if method == "umap":
        coordinates[known] = _umap(values)
        return Projection("UMAP", coordinates, ("UMAP 1", "UMAP 2"))
    centred = values - values.mean(axis=0) if len(values) else values
    if len(values) < 2:
        coordinates[known] = 0
        return Projection("PCA", coordinates, ("PC 1", "PC 2"))
    _, singular, vectors = np.linalg.svd(centred, full_matrices=False)
    axes = vectors[:2]
    # the sign of a component is arbitrary: its largest entry is made positive
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    coordinates[known, : len(axes)] = centred @ axes.T
    coordinates[known, len(axes) :] = 0
    share = singular**2 / max(float((singular**2).sum()), 1e-300)
    labels = [f"PC {i + 1} ({100 * share[i]:.0f} %)" for i in range(len(axes))]
    return Projection("PCA", coordinates, (labels[0], labels[1] if len(labels) > 1 else ""))


def _umap(values: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        from umap import UMAP
    except ModuleNotFoundError as error:
        from mofonon.errors import MissingDependencyError

        raise MissingDependencyError(
            "maps by UMAP need umap-learn, which is not installed",
            "pip install umap-learn, or take the default, PCA",
        ) from error
    found: NDArray[np.float64] = UMAP(random_state=0).fit_transform(values)
    return found


def plot_maps(maps: dict[str, Projection], chosen: NDArray[np.int64]) -> Figure:
    """Draw maps side by side: density of all structures, chosen ones on top.

    Parameters
    ----------
    maps : dict
        Projection by title: nodes, linkers.
    chosen : ndarray of int
        Rows of the chosen structures.
    """
    figure = _figure(5.2 * len(maps), 4.6)
    for axes, (title, projection) in zip(
        np.atleast_1d(figure.subplots(1, len(maps))), maps.items(), strict=True
    ):
        xy = projection.coordinates
        known = np.isfinite(xy).all(axis=1)
        if known.sum() >= 10 and np.ptp(xy[known], axis=0).min() > 0:
            axes.hexbin(
                *xy[known].T, gridsize=28, cmap="Blues", mincnt=1, bins="log", linewidths=0.1
            )
        else:
            axes.plot(*xy[known].T, "o", color=_REST, markersize=4)
        axes.plot(
            *xy[chosen].T, "o", color=_CHOSEN, markersize=3.6, markeredgecolor="white",
            markeredgewidth=0.5, label=f"chosen ({len(chosen)})",
        )  # fmt: skip
        axes.set_title(f"{title} ({known.sum()} structures)", fontsize=11)
        axes.set_xlabel(projection.axes[0])
        axes.set_ylabel(projection.axes[1])
        axes.legend(fontsize=9, frameon=False)
        _style(axes)
    return figure


def plot_crystal_systems(
    accepted: Sequence[StructureRecord], chosen: Sequence[StructureRecord]
) -> Figure:
    """Draw the share of each crystal system in the collection and in the set."""
    figure = _figure(5.6, 3.2)
    axes = figure.subplots()
    places = np.arange(len(CRYSTAL_SYSTEMS))
    for shift, records, name, colour in (
        (-0.2, accepted, "accepted", _REST),
        (0.2, chosen, "chosen", _CHOSEN),
    ):
        count = Counter(record.crystal_system for record in records)
        numbers = [count[system] for system in CRYSTAL_SYSTEMS]
        heights = 100 * np.array(numbers) / max(1, len(records))
        bars = axes.barh(places + shift, heights, 0.38, color=colour, label=name)
        axes.bar_label(bars, [str(n) for n in numbers], padding=2, fontsize=8, color=_MUTED)
    axes.set_yticks(places, CRYSTAL_SYSTEMS)
    axes.invert_yaxis()
    axes.set_xlabel("share (%), number of structures beside")
    axes.margins(x=0.1)
    axes.legend(fontsize=9, frameon=False)
    _style(axes)
    return figure


def plot_elements(
    accepted: Sequence[StructureRecord], chosen: Sequence[StructureRecord]
) -> Figure:
    """Draw the periodic table: structures of the set with each element."""
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle
    from pymatgen.core import Element

    count = Counter(element for record in chosen for element in record.elements)
    there = {element for record in accepted for element in record.elements}
    figure = _figure(8.6, 4.6)
    axes = figure.subplots()
    norm = LogNorm(1, max(2, *count.values()) if count else 2)
    from matplotlib import colormaps

    colours = colormaps["YlOrRd"]
    for number in range(1, 104):
        element = Element.from_Z(number)
        column, row = _cell(element)
        n = count[element.symbol]
        face = colours(norm(n)) if n else ("#dfe7f3" if element.symbol in there else "white")
        axes.add_patch(
            Rectangle((column, row), 0.94, 0.94, facecolor=face, edgecolor=_FAINT, lw=0.6)
        )
        dark = bool(n) and norm(n) > 0.6
        colour = "white" if dark else (TOTAL.light if element.symbol in there else "#b8bec8")
        axes.text(
            column + 0.47, row + 0.38, element.symbol, ha="center", va="center", fontsize=8.5,
            color=colour,
        )  # fmt: skip
        if n:
            axes.text(
                column + 0.47, row + 0.75, str(n), ha="center", va="center", fontsize=6,
                color=colour,
            )  # fmt: skip
    axes.set_xlim(0.9, 19)
    axes.set_ylim(10.2, 0.9)
    axes.set_axis_off()
    axes.set_title("structures of the set with each element", fontsize=11)
    return figure


def _cell(element: Any) -> tuple[float, float]:
    """Column and row in the periodic table, f elements below."""
    if 57 <= element.Z <= 71 and element.Z != 71:
        return 3 + element.Z - 57, 8.3
    if 89 <= element.Z <= 102:
        return 3 + element.Z - 89, 9.3
    return element.group, element.row


def plot_funnel(steps: Sequence[FunnelStep]) -> Figure:
    """Draw what each filter left and refused; filters that refused nothing are left out."""
    shown = [step for step in steps if step.refused]
    total = steps[0].entered
    figure = _figure(6.4, 1.2 + 0.34 * (len(shown) + 1))
    axes = figure.subplots()
    names = ["files", *(step.name for step in shown)]
    left = [total, *(step.left for step in shown)]
    refused = [0, *(step.refused for step in shown)]
    places = np.arange(len(names))
    axes.barh(places, left, 0.7, color=_REST)
    axes.barh(places, refused, 0.7, left=left, color=_FAINT)
    for place, kept, lost in zip(places, left, refused, strict=True):
        axes.text(
            kept + lost + 0.012 * total, float(place),
            f"{kept}" + (f"  (\u2212{lost})" if lost else ""),
            va="center", fontsize=8.5, color=_MUTED,
        )  # fmt: skip
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18 * total)
    axes.set_xlabel("structures")
    _style(axes)
    return figure


def plot_distances(distances: Sequence[float | None], random_radii: Sequence[float]) -> Figure:
    """Draw the distance of each chosen structure to those before it, by order of choice."""
    figure = _figure(5.6, 3.4)
    axes = figure.subplots()
    known = [(i, d) for i, d in enumerate(distances, start=1) if d is not None]
    if known:
        axes.plot(*zip(*known, strict=True), "o-", color=_CHOSEN, markersize=2.5, lw=1)
    if random_radii:
        axes.axhspan(min(random_radii), max(random_radii), color=_FAINT, alpha=0.7, lw=0)
        axes.text(
            0.99, max(random_radii), f"covering radius of {len(random_radii)} random sets ",
            transform=axes.get_yaxis_transform(), ha="right", va="bottom", fontsize=8.5,
            color=_MUTED,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xlabel("order of choice")
    axes.set_ylabel("distance to those before")
    _style(axes)
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    for spine in ("left", "bottom"):
        axes.spines[spine].set_color(_FAINT)
    axes.tick_params(colors=_MUTED, labelsize=9)
