"""Figures of comparisons: one style for each method throughout, the reference in black."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mofonon.benchmark.structures import StructureComparison, StructureFacts
from mofonon.report.style import heading, method_style, new_figure, plain, save, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_structure_figure(
    reference: StructureFacts,
    candidates: Sequence[StructureComparison],
    folder: Path,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """Draw deviations of the cell and of the positions by element (Figure 3, Table 7).

    Parameters
    ----------
    reference : StructureFacts
        The reference.
    candidates : sequence of StructureComparison
        What is compared with it.
    folder : Path
        Made if absent.
    formats : sequence of str
        png, svg, pdf.

    Returns
    -------
    list of Path
        ``structures.*``.
    """
    figure = new_figure((7.6, 3.6))
    left, right = figure.subplots(1, 2, width_ratios=[1.4, 1])
    names = ["a", "b", "c", "\u03b1", "\u03b2", "\u03b3"]
    values = [[*c.length_deviations_percent, *c.angle_deviations_percent] for c in candidates]
    _bars(left, names, values, [c.label for c in candidates])
    left.axhline(0, color="black", linewidth=0.6)
    left.set_ylabel("Deviation (%)")
    elements = list(dict.fromkeys(e for c in candidates for e in c.fractional_rmsd))
    rmsd = [[c.fractional_rmsd.get(e, np.nan) for e in elements] for c in candidates]
    _bars(right, elements, rmsd, [c.label for c in candidates])
    right.set_ylabel("RMSD (fractional)")
    for axes in (left, right):
        style_axes(axes)
    left.legend(frameon=False, fontsize=8.5)
    notices = [c.notice for c in candidates if c.notice]
    heading(figure, [f"{reference.formula}, against {reference.label}"], sorted(set(notices)))
    return save(figure, folder, "structures", formats)


def _bars(
    axes: Axes, names: Sequence[str], values: Sequence[Sequence[float]], labels: Sequence[str]
) -> None:
    """Draw groups of bars, one bar a method."""
    width = 0.8 / max(len(values), 1)
    places = np.arange(len(names))
    for index, (row, label) in enumerate(zip(values, labels, strict=True)):
        offset = (index - (len(values) - 1) / 2) * width
        axes.bar(
            places + offset,
            row,
            0.9 * width,
            color=method_style(index + 1)[0],
            label=plain(label),
        )
    axes.set_xticks(places, [plain(name) for name in names])
