"""Figures of phonons by several methods: densities of states, bands, heat capacities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mofonon.benchmark.phonon_files import BandLines
from mofonon.benchmark.phonons import MethodPhonons
from mofonon.report.style import (
    FAINT,
    MUTED,
    heading,
    method_style,
    new_figure,
    plain,
    save,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Share of a window that a figure resolves.
_RESOLUTION = 1 / 300


def write_phonon_figures(
    methods: Sequence[MethodPhonons],
    folder: Path,
    *,
    low: float,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """Draw methods on top of each other, the reference in black.

    Parameters
    ----------
    methods : sequence of MethodPhonons
        The reference first.
    folder : Path
        Made if absent.
    low : float
        Upper end of the view of the low frequencies (THz).
    formats : sequence of str
        png, svg, pdf.

    Returns
    -------
    list of Path
        ``dos.*``, ``dos-elements.*``, ``bands.*``, ``thermal.*``, as far as there are data.
    """
    paths = []
    alarms = sorted({m.notice for m in methods if m.notice})
    if methods[0].imaginary:
        alarms.append(f"the reference {methods[0].label} has imaginary modes")
    if sum(m.dos is not None for m in methods) > 1:
        paths += _write_dos(methods, low, alarms, folder, formats)
        paths += _write_elements(methods, low, alarms, folder, formats)
    if sum(m.bands is not None for m in methods) > 1:
        paths += _write_bands(methods, low, alarms, folder, formats)
    if sum(m.thermal is not None for m in methods) > 1:
        paths += _write_thermal(methods, alarms, folder, formats)
    return paths


def _write_dos(
    methods: Sequence[MethodPhonons],
    low: float,
    alarms: Sequence[str],
    folder: Path,
    formats: Sequence[str],
) -> list[Path]:
    figure = new_figure((7.6, 5.4))
    upper, lower = figure.subplots(2, 1)
    tops = [float(m.dos.frequencies[m.dos.total > 0].max()) for m in methods if m.dos]
    for axes, top in ((upper, 1.03 * max(tops)), (lower, low)):
        bottom = min(0.0, *(m.min_frequency or 0.0 for m in methods))
        _draw_densities(axes, methods, (bottom, top))
        axes.set_xlim(bottom, top)
        axes.set_ylim(0, _highest(methods, (bottom, top)))
        axes.set_ylabel("DOS (states/THz/cell)")
        style_axes(axes)
    upper.legend(frameon=False, fontsize=8.5)
    lower.set_xlabel("Frequency (THz)")
    heading(figure, [f"Phonon density of states, against {methods[0].label}"], alarms)
    return save(figure, folder, "dos", formats)


def _highest(methods: Sequence[MethodPhonons], window: tuple[float, float]) -> float:
    """Top of the axis: peaks of the reference, and most of the others (but flat bands)."""
    highest = 0.0
    for index, method in enumerate(methods):
        if method.dos is not None:
            _, y = _averaged(method.dos.frequencies, method.dos.total, window)
            peak = y.max(initial=0.0) if index == 0 else np.quantile(y, 0.98)
            highest = max(highest, 1.15 * float(peak))
    return highest or 1.0


def _draw_densities(
    axes: Axes, methods: Sequence[MethodPhonons], window: tuple[float, float]
) -> None:
    for index, method in enumerate(methods):
        if method.dos is None:
            continue
        colour, dash = method_style(index)
        x, y = _averaged(method.dos.frequencies, method.dos.total, window)
        if index == 0:
            axes.fill_between(x, y, color=FAINT, linewidth=0)
        axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.1, label=plain(method.label))


def _averaged(
    frequencies: np.ndarray, density: np.ndarray, window: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Cut to a window and average over what a figure resolves."""
    inside = (frequencies >= window[0] - 0.1) & (frequencies <= window[1])
    x, y = frequencies[inside], density[inside]
    n = max(1, int((window[1] - window[0]) * _RESOLUTION / (x[1] - x[0]))) if len(x) > 1 else 1
    length = len(x) // n * n
    return x[:length].reshape(-1, n).mean(axis=1), y[:length].reshape(-1, n).mean(axis=1)


def _write_elements(
    methods: Sequence[MethodPhonons],
    low: float,
    alarms: Sequence[str],
    folder: Path,
    formats: Sequence[str],
) -> list[Path]:
    """Draw the density of each element that at least two methods know."""
    parts = [m.dos.by_element if m.dos else {} for m in methods]
    names = dict.fromkeys(e for part in parts for e in part)
    elements = [e for e in names if sum(e in part for part in parts) > 1]
    if not elements:
        return []
    figure = new_figure((7.6, 1.2 + 1.6 * len(elements)))
    rows = figure.subplots(len(elements), 1, sharex=True, squeeze=False)[:, 0]
    for axes, element in zip(rows, elements, strict=True):
        for index, method in enumerate(methods):
            if method.dos is None or element not in method.dos.by_element:
                continue
            colour, dash = method_style(index)
            density = method.dos.by_element[element]
            x, y = _averaged(method.dos.frequencies, density, (0.0, low))
            axes.plot(
                x, y, color=colour, linestyle=dash, linewidth=1.1, label=plain(method.label)
            )
        axes.set_title(element, fontsize=9, loc="left")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("states/THz")
        style_axes(axes)
    rows[0].legend(frameon=False, fontsize=8.5)
    rows[-1].set_xlabel("Frequency (THz)")
    heading(figure, [f"Density of states by element, against {methods[0].label}"], alarms)
    return save(figure, folder, "dos-elements", formats)


def _write_bands(
    methods: Sequence[MethodPhonons],
    low: float,
    alarms: Sequence[str],
    folder: Path,
    formats: Sequence[str],
) -> list[Path]:
    """Draw bands of the methods whose path is that of the first of them."""
    first = next(m.bands for m in methods if m.bands is not None)
    figure = new_figure((7.6, 4.8))
    axes = figure.subplots()
    for index, method in enumerate(methods):
        if method.bands is not None and method.bands.labels == first.labels:
            _draw_bands(axes, first, method, method_style(index))
    for position, _ in _ticks(first):
        axes.axvline(position, color=FAINT, linewidth=0.7, zorder=0)
    axes.set_xticks(*zip(*_ticks(first), strict=True))
    bottom = min(0.0, *(m.bands.lowest for m in methods if m.bands))
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.set_ylim(1.03 * bottom, low)
    axes.set_xlim(first.distances[0][0], first.distances[-1][-1])
    axes.set_xlabel("Wave vector")
    axes.set_ylabel("Frequency (THz)")
    axes.legend(
        frameon=True, framealpha=0.85, edgecolor="none", fontsize=8.5, loc="upper right"
    )
    style_axes(axes)
    heading(figure, [f"Phonon bands below {low:g} THz"], alarms)
    return save(figure, folder, "bands", formats)


def _draw_bands(
    axes: Axes, first: BandLines, method: MethodPhonons, style: tuple[str, object]
) -> None:
    """Draw bands over the distances of the first method, segment by segment."""
    from matplotlib.collections import LineCollection

    if method.bands is None:
        return
    lines = []
    for distances, frequencies in zip(first.distances, method.bands.frequencies, strict=True):
        x = np.linspace(distances[0], distances[-1], len(frequencies))
        lines += [np.column_stack([x, band]) for band in frequencies.T]
    colour, dash = style
    axes.add_collection(LineCollection(lines, colors=colour, linestyles=[dash], linewidths=0.6))
    axes.plot([], [], color=colour, linestyle=dash, label=plain(method.label))


def _ticks(bands: BandLines) -> list[tuple[float, str]]:
    found = [(float(bands.distances[0][0]), bands.labels[0][0])]
    for index, (_, end) in enumerate(bands.labels):
        following = bands.labels[index + 1][0] if index + 1 < len(bands.labels) else end
        name = end if end == following else f"{end}|{following}"
        found.append((float(bands.distances[index][-1]), name))
    return [(x, re.sub(r"_(\w+)", r"$_{\1}$", plain(name))) for x, name in found]


def _write_thermal(
    methods: Sequence[MethodPhonons],
    alarms: Sequence[str],
    folder: Path,
    formats: Sequence[str],
) -> list[Path]:
    figure = new_figure((7.6, 3.6))
    left, right = figure.subplots(1, 2)
    for index, method in enumerate(methods):
        if method.thermal is None:
            continue
        colour, dash = method_style(index)
        curves = method.thermal
        for axes, values in ((left, curves.free_energies), (right, curves.heat_capacities)):
            axes.plot(
                curves.temperatures,
                values,
                color=colour,
                linestyle=dash,
                label=plain(method.label),
            )
    left.set_ylabel("Free energy (kJ/mol of cell)")
    right.set_ylabel("$C_V$ (J/K/mol of cell)")
    right.legend(frameon=False, fontsize=8.5)
    for axes in (left, right):
        axes.set_xlabel("Temperature (K)")
        style_axes(axes, grid=True)
    heading(figure, [f"Thermal properties, against {methods[0].label}"], alarms)
    return save(figure, folder, "thermal", formats)
