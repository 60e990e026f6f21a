"""Pore diameters by Zeo++, through pyzeo."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymatgen.core import Structure

from mofonon.errors import MissingDependencyError, PoreError

N2_DIAMETER = 3.6
"""Kinetic diameter of nitrogen (A): 3.64, as the paper rounds it."""


@dataclass(frozen=True)
class PoreDiameters:
    """Pores of a rigid framework of hard spheres (radii of Zeo++).

    Attributes
    ----------
    largest_cavity : float
        Diameter of the largest sphere that fits somewhere (A).
    limiting : float
        Diameter of the largest sphere that can travel through the crystal (A).
    """

    largest_cavity: float
    limiting: float


def pore_diameters(structure: Structure) -> PoreDiameters:
    """Largest cavity and pore limiting diameter, from the Voronoi network of the atoms.

    Zeo++ is C++ that ends the process when it meets a cell it cannot decompose; call this in
    a process that may die where structures are not trusted.

    Parameters
    ----------
    structure : Structure
        Ordered and periodic in three directions.

    Raises
    ------
    MissingDependencyError
        pyzeo is not installed.
    PoreError
        Zeo++ gives no diameters.

    References
    ----------
    T. F. Willems et al., Microporous Mesoporous Mater. 149, 134 (2012).
    """
    try:
        from pyzeo.netstorage import AtomNetwork
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "pore diameters need pyzeo (Zeo++), which is not installed",
            "pip install 'mofonon[pores]', or give a table with pore limiting diameters "
            "(--table), or switch the filter off (--min-pore 0)",
        ) from error
    with tempfile.TemporaryDirectory() as folder, _quiet():
        network_file, result_file = Path(folder) / "cell.v1", Path(folder) / "cell.res"
        network_file.write_text(_v1(structure), encoding="ascii")
        network = AtomNetwork.read_from_V1(str(network_file))
        network.calculate_free_sphere_parameters(str(result_file))
        words = result_file.read_text(encoding="ascii").split()[-3:]
    try:
        return PoreDiameters(float(words[0]), float(words[1]))
    except (IndexError, ValueError):
        raise PoreError(
            f"Zeo++ gives no pore diameters of {structure.composition.reduced_formula}",
            "give its pore limiting diameter in a table (--table)",
        ) from None


def _v1(structure: Structure) -> str:
    """Cell in the V1 format of Zeo++, which wants the first vector along x, the next in xy."""
    from ase.cell import Cell

    cell = Cell(structure.lattice.matrix).standard_form()[0].array
    positions = structure.frac_coords @ cell
    vectors = "".join(
        f"v{name}= {' '.join(f'{x:.10f}' for x in row)}\n"
        for name, row in zip("abc", cell, strict=True)
    )
    atoms = "".join(
        f"{site.specie.symbol} {' '.join(f'{x:.10f}' for x in row)}\n"
        for site, row in zip(structure, positions, strict=True)
    )
    return f"Unit cell vectors:\n{vectors}{len(structure)}\n{atoms}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what C++ prints to nowhere."""
    sys.stdout.flush()
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        for stream, number in zip(saved, (1, 2), strict=True):
            os.dup2(stream, number)
            os.close(stream)
        os.close(nowhere)
