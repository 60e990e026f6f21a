"""Phonons of methods that left only files: densities of states, bands, thermal properties.

phonopy's formats, plain or compressed: total_dos.dat, band.yaml, thermal_properties.yaml, and
the thermal tables of janus-core; also the CSV files that mofonon writes.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mofonon.benchmark.spectra import Spectrum
from mofonon.errors import ComparisonError

Floats = NDArray[np.float64]

_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".xz": lzma.decompress,
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
}

#: How far a ratio of units may be from 1 or 1000 (relative).
_UNIT_TOLERANCE = 0.05

_GREEK = {"gamma": "\u0393", "sigma": "\u03a3", "delta": "\u0394", "lambda": "\u039b"}


@dataclass(frozen=True)
class BandLines:
    """Frequencies along a path, segment by segment.

    Attributes
    ----------
    distances : list of ndarray, shape (n_points,)
        Distance along the path (1/A).
    frequencies : list of ndarray, shape (n_points, n_bands)
        THz.
    qpoints : list of ndarray, shape (n_points, 3)
        Reduced coordinates.
    labels : list of tuple of str
        Names of the ends of each segment.
    """

    distances: list[Floats]
    frequencies: list[Floats]
    qpoints: list[Floats]
    labels: list[tuple[str, str]]

    @property
    def lowest(self) -> float:
        """Lowest frequency on the path (THz)."""
        return float(min(segment.min() for segment in self.frequencies))

    @property
    def at_gamma(self) -> Floats | None:
        """Frequencies at Gamma (THz), ascending; None if the path does not pass there."""
        for qpoints, frequencies in zip(self.qpoints, self.frequencies, strict=True):
            at = np.flatnonzero(np.abs(qpoints).max(axis=1) < 1e-6)
            if len(at):
                return np.sort(frequencies[at[0]])
        return None


@dataclass(frozen=True)
class ThermalCurves:
    """Harmonic thermal properties per mole of the cell.

    Attributes
    ----------
    temperatures : ndarray, shape (n_temperatures,)
        K.
    free_energies : ndarray
        kJ/mol.
    entropies, heat_capacities : ndarray
        J/K/mol.
    """

    temperatures: Floats
    free_energies: Floats
    entropies: Floats
    heat_capacities: Floats


def read_phonon_file(path: Path) -> Spectrum | BandLines | ThermalCurves | None:
    """Read a density of states, bands or thermal properties.

    Parameters
    ----------
    path : Path
        The file, plain or compressed by xz, gzip or bzip2.

    Returns
    -------
    Spectrum, BandLines, ThermalCurves or None
        None for a YAML file that is none of these: it may hold forces.

    Raises
    ------
    ComparisonError
        The file cannot be read, or what it holds is not clear.
    """
    text = _text(path)
    try:
        if _plain_suffix(path) in (".yaml", ".yml"):
            return _from_yaml(text)
        return _from_columns(text, path)
    except ComparisonError:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ComparisonError(
            f"{path} cannot be read, it may be truncated: {error}", "get the file again"
        ) from error


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix in _DECOMPRESS:
            content = _DECOMPRESS[path.suffix](content)
        return content.decode("utf-8")
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise ComparisonError(f"{path} cannot be read: {error}", "check the file") from error


def _plain_suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in _DECOMPRESS else path.suffix


def _from_columns(text: str, path: Path) -> Spectrum | ThermalCurves:
    """Read columns of numbers under a header, or without one."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = ""
    while lines and not re.match(r"\s*[-+.\d]", lines[0]):
        header = lines.pop(0)
    separator = "," if lines and "," in lines[0] else None
    rows = [line.split(separator) for line in lines]
    values = np.array(rows, dtype=np.float64)
    if not len(values):
        raise ComparisonError(f"{path} holds no numbers", "check the file")
    if "temperature" in header.lower():
        return _thermal(values, re.split(r"[|,]", header.strip("# \t").lower()), path)
    if header.lower().startswith("frequency_thz"):
        names = [name.split("_states")[0] for name in header.strip().split(",")]
        return _spectrum(values, dict(enumerate(names[2:], start=2)), path)
    if values.shape[1] == 2:
        return _spectrum(values, {}, path)
    raise ComparisonError(
        f"{path} has {values.shape[1]} columns and no header that says what they are",
        "give phonopy's total_dos.dat, band.yaml or thermal_properties.yaml",
    )


def _spectrum(values: Floats, elements: dict[int, str], path: Path) -> Spectrum:
    if len(values) < 2 or (np.diff(values[:, 0]) <= 0).any():
        raise ComparisonError(
            f"{path} is no density of states: frequencies do not ascend",
            "give total_dos.dat or projected_dos.dat as phonopy writes them",
        )
    return Spectrum(
        values[:, 0],
        values[:, 1],
        {name: values[:, index] for index, name in elements.items()},
    )


def _thermal(values: Floats, header: list[str], path: Path) -> ThermalCurves:
    columns: dict[str, Floats] = {}
    starts = {
        "temperatures": ("temperature",),
        "free_energies": ("f ", "f[", "free"),
        "entropies": ("s ", "s[", "entropy"),
        "heat_capacities": ("cv", "heat"),
    }
    for index, name in enumerate(header):
        for key, words in starts.items():
            if name.strip().startswith(words):
                columns[key] = values[:, index]
    if set(columns) != set(starts):
        raise ComparisonError(
            f"{path} lacks a column of {', '.join(sorted(set(starts) - set(columns)))}",
            "the header must name temperature, F, S and Cv",
        )
    curves = ThermalCurves(**columns)
    factor = _free_energy_factor(curves, path)
    return ThermalCurves(
        curves.temperatures,
        factor * curves.free_energies,
        curves.entropies,
        curves.heat_capacities,
    )


def _free_energy_factor(curves: ThermalCurves, path: Path) -> float:
    """Factor to kJ/mol, by dF/dT = -S: headers of such files were seen to be wrong."""
    slope = -np.gradient(curves.free_energies, curves.temperatures)
    inner = slice(len(slope) // 2, -1)
    ratio = float(np.median(curves.entropies[inner] / slope[inner]))
    for factor, expected in ((1.0, 1e3), (1e-3, 1.0)):
        if abs(ratio / expected - 1) < _UNIT_TOLERANCE:
            return factor
    raise ComparisonError(
        f"{path}: free energy and entropy do not belong together (S / -dF/dT is {ratio:.3g})",
        "give F in kJ/mol or J/mol and S in J/K/mol, of the same cell",
    )


def _from_yaml(text: str) -> BandLines | ThermalCurves | None:
    head = text[:4000]
    if "segment_nqpoint" in head or re.search(r"^nqpoint:", head, re.MULTILINE):
        return _bands(text)
    if "thermal_properties:" in text:
        return _thermal_yaml(text)
    return None


def _bands(text: str) -> BandLines:
    """Read phonopy's band.yaml by its lines: a YAML parser takes minutes for a MOF."""
    n_q = int(_value(text, "nqpoint"))
    head = text[: text.index("\nphonon:")]
    lengths = [
        int(n)
        for n in re.findall(r"^- +(\d+)\s*$", _block(head, "segment_nqpoint"), re.MULTILINE)
    ]
    pairs = re.findall(r"^- \[ *(.+?) *, *(.+?) *\]", _block(head, "labels"), re.MULTILINE)
    number = r"([-+\d.eE]+)"
    q = re.findall(rf"q-position: \[ *{number}, *{number}, *{number} *\]", text)
    distances = np.array(
        re.findall(rf"^ *distance: *{number}", text, re.MULTILINE), dtype=float
    )
    frequencies = np.array(re.findall(rf"frequency: *{number}", text), dtype=float)
    bands = frequencies.reshape(n_q, -1)
    cuts = np.cumsum(lengths or [n_q])[:-1]
    names = [(_label(a), _label(b)) for a, b in pairs]
    n_segments = len(cuts) + 1
    return BandLines(
        distances=np.split(distances, cuts),
        frequencies=np.split(bands, cuts),
        qpoints=np.split(np.array(q, dtype=float), cuts),
        labels=names if len(names) == n_segments else [("", "")] * n_segments,
    )


def _value(text: str, key: str) -> str:
    match = re.search(rf"^{key}: *(\S+)", text, re.MULTILINE)
    if match is None:
        raise ComparisonError(
            f"band.yaml has no {key}", "write the file anew with phonopy --band"
        )
    return match[1]


def _block(text: str, key: str) -> str:
    """Lines of a list in a YAML file of phonopy."""
    match = re.search(rf"^{key}:[^\n]*\n((?:-[^\n]*\n)*)", text, re.MULTILINE)
    return match[1] if match else ""


def _label(text: str) -> str:
    r"""Name of a point without the mathematics: ``$\mathrm{P_0}$`` is ``P_0``."""
    name = re.sub(r"\\mathrm|[${}'\" ]", "", text).lstrip("\\")
    return _GREEK.get(name.lower(), name)


def _thermal_yaml(text: str) -> ThermalCurves:
    import yaml

    content: Any = yaml.safe_load(text)
    rows = content["thermal_properties"]
    columns = {
        key: np.array([row[name] for row in rows], dtype=float)
        for key, name in (
            ("temperatures", "temperature"),
            ("free_energies", "free_energy"),
            ("entropies", "entropy"),
            ("heat_capacities", "heat_capacity"),
        )
    }
    return ThermalCurves(**columns)
