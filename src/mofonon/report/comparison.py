"""Figures of comparisons: one style for each method throughout, the reference in black."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mofonon.benchmark.mechanics import ExpansionSeries, PropertyValue
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


def write_mechanics_figures(
    bulk_moduli: Sequence[PropertyValue],
    series: Sequence[ExpansionSeries],
    reference: str,
    folder: Path,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """Draw bulk moduli of MOFs by method, and expansion over temperature (Figure 6).

    Parameters
    ----------
    bulk_moduli : sequence of PropertyValue
        Bulk moduli.
    series : sequence of ExpansionSeries
        Thermal expansion.
    reference : str
        Method that is drawn first.
    folder : Path
        Made if absent.
    formats : sequence of str
        png, svg, pdf.

    Returns
    -------
    list of Path
        ``bulk-moduli.*`` and ``expansion.*``, where there is something to draw.
    """
    paths = []
    if bulk_moduli:
        paths += _write_bulk_moduli(bulk_moduli, reference, folder, formats)
    if series:
        paths += _write_expansion(series, folder, formats)
    return paths


def _write_bulk_moduli(
    values: Sequence[PropertyValue], reference: str, folder: Path, formats: Sequence[str]
) -> list[Path]:
    mofs = list(dict.fromkeys(v.mof for v in values))
    first = [v.method for v in values if v.method.lower() == reference.lower()]
    methods = list(dict.fromkeys([*first, *(v.method for v in values)]))
    figure = new_figure((max(5.0, 0.85 * len(mofs) + 2), 3.8))
    axes = figure.subplots()
    width = 0.8 / len(methods)
    for index, method in enumerate(methods):
        those = {v.mof: v for v in values if v.method == method}
        places = [mofs.index(mof) + (index - (len(methods) - 1) / 2) * width for mof in those]
        axes.bar(
            places,
            [v.value for v in those.values()],
            0.9 * width,
            yerr=[np.nan if v.error is None else v.error for v in those.values()],
            error_kw={"elinewidth": 1, "capsize": 2},
            color=method_style(index)[0],
            label=plain(method),
        )
    axes.set_xticks(range(len(mofs)), [plain(mof) for mof in mofs], rotation=30, ha="right")
    axes.set_ylabel("Bulk modulus (GPa)")
    axes.legend(frameon=False, fontsize=8.5)
    style_axes(axes)
    heading(figure, ["Bulk moduli by method"], sorted({v.notice for v in values if v.notice}))
    return save(figure, folder, "bulk-moduli", formats)


def _write_expansion(
    series: Sequence[ExpansionSeries], folder: Path, formats: Sequence[str]
) -> list[Path]:
    figure = new_figure((6.0, 3.8))
    axes = figure.subplots()
    for index, one in enumerate(series):
        colour, dash = method_style(index + 1)
        label = f"{one.mof}, {one.method}" + (
            "" if one.kind == "unspecified" else f", {one.kind}"
        )
        axes.plot(
            one.temperatures, one.values, color=colour, linestyle=dash, label=plain(label)
        )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xlabel("Temperature (K)")
    axes.set_ylabel("Thermal expansion (10$^{-6}$/K)")
    axes.legend(frameon=False, fontsize=8.5)
    style_axes(axes, grid=True)
    heading(figure, ["Thermal expansion"], sorted({s.notice for s in series if s.notice}))
    return save(figure, folder, "expansion", formats)
