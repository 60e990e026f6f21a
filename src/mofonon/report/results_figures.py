"""Interactive figures of bulk moduli, expansion and stabilization, as data for plotly.

Each is a title, a caption and a dict of ``data`` and ``layout``; ``ink`` of a trace is its
colour in light and dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy.qha.eos import get_eos

from mofonon.equation_of_state import equation_of_state_energy
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc
from mofonon.lattice.expansion_schemas import MdExpansionDoc
from mofonon.lattice.qha_schemas import QhaDoc
from mofonon.lattice.stabilize_schemas import StabilizeDoc
from mofonon.report.expansion import fit_range, fitted
from mofonon.report.palette import ALARM, THERMAL, TOTAL, Colour
from mofonon.report.payload import shades

Floats = NDArray[np.float64]
ResultDoc = BulkModulusDoc | QhaDoc | MdExpansionDoc | StabilizeDoc

_VOLUME = "Volume of the cell (\u00c5\u00b3)"
_TEMPERATURE = "Temperature (K)"
_N_CURVES = 11
#: Expansions along the cell vectors closer than this to the mean are not drawn (1e-6/K).
_SAME_EXPANSION = 0.05
#: Most mode Grueneisen parameters drawn.
_MOST_MODES = 4000


@dataclass(frozen=True)
class InteractiveFigure:
    """A figure for plotly."""

    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]


def figures_of(doc: ResultDoc) -> list[InteractiveFigure]:
    """Give the figures of a document.

    Parameters
    ----------
    doc : BulkModulusDoc, QhaDoc, MdExpansionDoc or StabilizeDoc
        The document, with its arrays.
    """
    if isinstance(doc, BulkModulusDoc):
        return [_energy_volume(doc)]
    if isinstance(doc, QhaDoc):
        return [_free_energies(doc), *_over_temperature(doc), *_mode_gruneisen(doc)]
    if isinstance(doc, MdExpansionDoc):
        return _md_expansion(doc)
    return [_ladder(doc)]


def _energy_volume(doc: BulkModulusDoc) -> InteractiveFigure:
    volumes = np.array([point.volume for point in doc.points])
    scale, zero = 1e3 / len(doc.structure), doc.equilibrium_energy
    fine = np.linspace(volumes.min(), volumes.max(), 201)
    data = []
    for (name, fit), colour in zip(doc.fits.items(), THERMAL, strict=False):
        curve = equation_of_state_energy(
            name,
            fine,
            v0=fit.equilibrium_volume,
            e0=fit.equilibrium_energy,
            b0=fit.bulk_modulus,
            b0_prime=fit.bulk_modulus_derivative,
        )
        label = f"{name.replace('_', '-')}: {fit.bulk_modulus:.2f} GPa"
        data.append(_line(fine, scale * (curve - zero), label, colour))
    energies = np.array([point.energy for point in doc.points])
    data.append(_dots(volumes, scale * (energies - zero), "computed", TOTAL))
    return InteractiveFigure(
        "Energy over volume",
        "Energies of the strained cells and the equations of state fitted to them.",
        data,
        _axes(_VOLUME, "Energy above the minimum (meV/atom)"),
    )


def _free_energies(doc: QhaDoc) -> InteractiveFigure:
    sampled = doc.arrays.sampled_volumes.decode()
    helmholtz, parameters = doc.arrays.helmholtz.decode(), doc.arrays.parameters.decode()
    temperatures = doc.series.temperatures
    chosen = np.unique(np.linspace(0, len(temperatures) - 1, _N_CURVES).round().astype(int))
    fine = np.linspace(sampled.min(), sampled.max(), 101)
    equation = get_eos(doc.settings.equation_of_state)
    scale, zero = 1e3 / len(doc.structure), parameters[0, 0]
    data = []
    for index in chosen:
        share = temperatures[index] / max(temperatures[-1], 1.0)
        shade = f"rgb({int(40 + 200 * share)},80,{int(220 - 180 * share)})"
        colour = Colour(shade, shade)
        name = f"{temperatures[index]:g} K"
        curve = scale * (equation(fine, parameters[index]) - zero)
        data.append(_line(fine, curve, name, colour))
        dots = _dots(sampled, scale * (helmholtz[index] - zero), name, colour)
        data.append({**dots, "showlegend": False})
    inside = np.array(doc.series.inside)
    minima = scale * (parameters[inside, 0] - zero)
    data.append(_line(parameters[inside, 3], minima, "minima", TOTAL))
    return InteractiveFigure(
        "Free energy over volume",
        "Free energies at each volume used, their fits, and the minima of these.",
        data,
        _axes(_VOLUME, "Free energy (meV/atom)"),
    )


def _over_temperature(doc: QhaDoc) -> list[InteractiveFigure]:
    series, t = doc.series, doc.series.temperatures
    outside = "" if all(series.inside) else " Where the range of volumes ends, values do too."

    def curve(values: Any, name: str, colour: Colour) -> dict[str, Any]:
        pairs = zip(values, series.inside, strict=True)
        return _line(t, [value if inside else None for value, inside in pairs], name, colour)

    along = (("a", series.cte_a), ("b", series.cte_b), ("c", series.cte_c))
    expansion = [curve(series.cte_linear, "mean, a third of volumetric", TOTAL)]
    expansion += [
        curve(values, f"along {name}", colour)
        for (name, values), colour in zip(along, THERMAL, strict=True)
        if _differ(values, series.cte_linear)
    ]
    blue, _, green = THERMAL
    return [
        InteractiveFigure(
            "Volume over temperature",
            f"At zero pressure, with zero-point motion.{outside}",
            [curve(series.volumes, "volume", blue)],
            _axes(_TEMPERATURE, _VOLUME),
        ),
        InteractiveFigure(
            "Thermal expansion",
            f"Linear expansion, and along the cell vectors.{outside}",
            expansion,
            _axes(_TEMPERATURE, "Linear expansion (10\u207b\u2076/K)"),
        ),
        InteractiveFigure(
            "Bulk modulus over temperature",
            f"Isothermal.{outside}",
            [curve(series.bulk_moduli, "B", green)],
            _axes(_TEMPERATURE, "Bulk modulus (GPa)"),
        ),
    ]


def _differ(values: list[float | None], others: list[float | None]) -> bool:
    """Whether two expansions differ by what a figure can show."""
    return any(
        a is not None and b is not None and abs(a - b) > _SAME_EXPANSION
        for a, b in zip(values, others, strict=True)
    )


def _mode_gruneisen(doc: QhaDoc) -> list[InteractiveFigure]:
    arrays = doc.arrays
    if arrays.mode_gruneisen is None or arrays.frequencies is None:
        return []
    frequencies = arrays.frequencies.decode().reshape(-1)
    modes = arrays.mode_gruneisen.decode().reshape(-1)
    known = np.flatnonzero(np.isfinite(modes))
    if len(known) > _MOST_MODES:
        known = known[np.linspace(0, len(known) - 1, _MOST_MODES).round().astype(int)]
    caption = (
        f"{len(known)} of {int(np.isfinite(modes).sum())} modes, over irreducible q-points, at "
        f"{doc.gruneisen_volume:.2f} \u00c5\u00b3. Negative ones shrink the cell."
    )
    dots = _dots(frequencies[known], modes[known], "modes", THERMAL[0])
    dots["marker"] = {"size": 4, "opacity": 0.6}
    return [
        InteractiveFigure(
            "Mode Gr\u00fcneisen parameters",
            caption,
            [dots],
            _axes("Frequency (THz)", "Gr\u00fcneisen parameter"),
        )
    ]


def _md_expansion(doc: MdExpansionDoc) -> list[InteractiveFigure]:
    fine = fit_range(doc)
    label = (
        f"fit: {doc.cte_volumetric:+.1f} \u00b1 {doc.cte_volumetric_error:.1f} 10\u207b\u2076/K"
    )
    data = [_line(fine, fitted(doc, "volume", fine), label, THERMAL[0])]
    for used, colour, name in ((True, TOTAL, "mean"), (False, ALARM, "left out")):
        points = [p for p in doc.points if p.used == used and p.volume is not None]
        if points:
            dots = _dots(
                [p.temperature for p in points], [p.volume for p in points], name, colour
            )
            dots["error_y"] = {"type": "data", "array": [p.volume_error for p in points]}
            data.append(dots)
    data.append(_dots([0], [doc.cell.volume], "at rest", THERMAL[2]))
    found = [
        InteractiveFigure(
            "Volume over temperature, by molecular dynamics",
            "Means with standard errors. Classical: no zero-point motion.",
            data,
            _axes(_TEMPERATURE, _VOLUME),
        )
    ]
    lengths = [name for name in "abc" if name in doc.fits]
    if lengths:
        at = np.array([doc.fit_temperature])
        curves = []
        for name, colour in zip(lengths, THERMAL, strict=False):
            start, entry = float(fitted(doc, name, at)[0]), doc.fits[name]
            label = f"{name}: {entry.cte:+.1f} \u00b1 {entry.error:.1f} 10\u207b\u2076/K"
            change = 100 * (fitted(doc, name, fine) / start - 1)
            curves.append(_line(fine, change, label, colour))
        found.append(
            InteractiveFigure(
                "Cell vectors over temperature, by molecular dynamics",
                f"Fits, as changes from {doc.fit_temperature:g} K.",
                curves,
                _axes(_TEMPERATURE, "Change of length (%)"),
            )
        )
    return found


def _ladder(doc: StabilizeDoc) -> InteractiveFigure:
    done = [attempt for attempt in doc.attempts if attempt.state == "successful"]
    names = [f"{a.number}: {a.strategy or 'as given'} ({a.space_group})" for a in done]
    reference = done[0].energy_per_atom or 0.0
    energies = [1e3 * ((a.energy_per_atom or 0.0) - reference) for a in done]
    lowest = _dots(names, [a.lowest_after for a in done], "lowest frequency", THERMAL[0])
    energy = _dots(names, energies, "energy", THERMAL[1])
    for trace in (lowest, energy):
        trace["mode"] = "lines+markers"
    layout = _axes("Attempt", "Lowest frequency (THz)")
    layout["yaxis2"] = {
        "title": {"text": "Energy (meV/atom)"},
        "overlaying": "y",
        "side": "right",
        "showgrid": False,
    }
    layout["margin"] = {"l": 70, "r": 70, "t": 20, "b": 90}
    return InteractiveFigure(
        "Lowest frequency after each attempt",
        f"{doc.space_group_before} to {doc.space_group.symbol}, {doc.state}; the best is "
        f"attempt {doc.best_attempt}.",
        [lowest, {**energy, "yaxis": "y2"}],
        layout,
    )


def _line(x: Any, y: Any, name: str, colour: Colour) -> dict[str, Any]:
    return {**_trace(x, y, name, colour), "mode": "lines"}


def _dots(x: Any, y: Any, name: str, colour: Colour) -> dict[str, Any]:
    return {**_trace(x, y, name, colour), "mode": "markers"}


def _trace(x: Any, y: Any, name: str, colour: Colour) -> dict[str, Any]:
    return {"x": _plain(x), "y": _plain(y), "name": name, "ink": shades(colour)}


def _plain(values: Any) -> list[Any]:
    """Numbers of seven digits; None for what JSON cannot say."""
    return [
        value
        if isinstance(value, str)
        else None
        if value is None or not np.isfinite(value)
        else float(f"{float(value):.7g}")
        for value in values
    ]


def _axes(x: str, y: str) -> dict[str, Any]:
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
