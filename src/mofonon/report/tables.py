"""Data files: what people plot themselves, with units in every header."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mofonon.lattice.schemas import PhononDoc
from mofonon.report.curves import bands_of, density_of, notice_of, thermal_caveat_of

_NUMBERS = "%.10g"


def write_data(doc: PhononDoc, folder: Path, stem: str) -> list[Path]:
    """Write the numbers behind the figures, and the structure.

    A stand-in is named in the first line of each file, after ``#``, and modes left out of
    thermal properties in theirs; otherwise the first line of a CSV file is its header.

    Parameters
    ----------
    doc : PhononDoc
        The document.
    folder : Path
        Made if absent.
    stem : str
        Beginning of the file names.

    Returns
    -------
    list of Path
        ``<stem>-dos.csv``, ``-thermal.csv``, ``-bands.csv``, ``-total_dos.dat`` (phonopy's
        format) and ``-relaxed.cif`` (P1).
    """
    folder.mkdir(parents=True, exist_ok=True)
    writers = {
        "dos.csv": _write_dos,
        "thermal.csv": _write_thermal,
        "bands.csv": _write_bands,
        "total_dos.dat": _write_total_dos,
        "relaxed.cif": _write_cif,
    }
    paths = []
    for ending, writer in writers.items():
        paths.append(folder / f"{stem}-{ending}")
        writer(doc, paths[-1])
    return paths


def _write_dos(doc: PhononDoc, path: Path) -> None:
    dos = density_of(doc)
    header = [
        "frequency_THz",
        *(f"{name}_states_per_THz_per_cell" for name in ("total", *dos.by_element)),
    ]
    columns = np.column_stack([dos.frequencies, dos.total, *dos.by_element.values()])
    _write_csv(doc, path, header, columns)


def _write_thermal(doc: PhononDoc, path: Path) -> None:
    thermal = doc.thermal
    header = [
        "temperature_K",
        "free_energy_kJ_per_mol",
        "entropy_J_per_K_mol",
        "heat_capacity_J_per_K_mol",
    ]
    columns = np.column_stack(
        [
            thermal.temperatures,
            thermal.free_energies,
            thermal.entropies,
            thermal.heat_capacities,
        ]
    )
    _write_csv(doc, path, header, columns, thermal_caveat_of(doc))


def _write_bands(doc: PhononDoc, path: Path) -> None:
    """One row for each q-point; the ends of a segment carry their names."""
    bands = bands_of(doc)
    n_bands = bands.frequencies[0].shape[1]
    header = ["segment", "label", "distance_per_A", "q_a", "q_b", "q_c"]
    header += [f"band_{band + 1}_THz" for band in range(n_bands)]
    lines = []
    for index, (start, end) in enumerate(bands.labels):
        numbers = np.column_stack(
            [bands.distances[index], bands.qpoints[index], bands.frequencies[index]]
        )
        names = [start, *[""] * (len(numbers) - 2), end]
        for name, row in zip(names, numbers, strict=True):
            lines.append(f"{index + 1},{_field(name)},{','.join(_NUMBERS % x for x in row)}")
    _write_lines(path, [*_comment(doc), ",".join(header), *lines])


def _write_total_dos(doc: PhononDoc, path: Path) -> None:
    dos = density_of(doc)
    rows = zip(dos.frequencies, dos.total, strict=True)
    comment = "frequency (THz), total density of states (states/THz/cell)"
    lines = [f"{frequency:20.10f}{density:20.10f}" for frequency, density in rows]
    _write_lines(path, [*_comment(doc), f"# {comment}", *lines])


def _write_cif(doc: PhononDoc, path: Path) -> None:
    from pymatgen.io.cif import CifWriter

    _write_lines(path, [*_comment(doc), str(CifWriter(doc.structure)).rstrip("\n")])


def _write_csv(
    doc: PhononDoc,
    path: Path,
    header: list[str],
    columns: NDArray[np.float64],
    caveat: str | None = None,
) -> None:
    rows = (",".join(_NUMBERS % x for x in row) for row in columns)
    comments = [*_comment(doc), *([f"# {caveat}"] if caveat else [])]
    _write_lines(path, [*comments, ",".join(map(_field, header)), *rows])


def _comment(doc: PhononDoc) -> list[str]:
    notice = notice_of(doc)
    return [f"# {' '.join(notice.split())}"] if notice else []


def _field(text: str) -> str:
    """Quote a CSV field where it needs it."""
    if any(letter in text for letter in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
