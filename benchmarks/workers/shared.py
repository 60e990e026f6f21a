"""What the workers share; imported in the environments of the peers: numpy and ASE only.

A worker runs one task of one package in a process of its own: JSON in (first argument), one
line of JSON out. Seconds are from after the imports to the result in memory and on disk as the
package leaves it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.io import read
from ase.neighborlist import neighbor_list

#: Counted over all calculators of a process; largest are those of the most atoms.
COUNTS = {"evaluations": 0, "seconds": 0.0, "atoms": 0, "largest": 0}

_SPRING = 2.0  # eV/A^2
_REACH = 4.0  # A


def count(n_atoms: int, seconds: float) -> None:
    """Count an evaluation."""
    COUNTS["evaluations"] += 1
    COUNTS["seconds"] += seconds
    if n_atoms > COUNTS["atoms"]:
        COUNTS["atoms"], COUNTS["largest"] = n_atoms, 0
    COUNTS["largest"] += n_atoms == COUNTS["atoms"]


class Springs(Calculator):
    """A toy for the measurement of overhead: springs between the atoms of a reference crystal.

    The energy is zero at the reference positions, which any supercell of the crystal has; it
    costs milliseconds and means nothing.

    Parameters
    ----------
    reference : str
        File with the crystal's cell.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, reference: str) -> None:
        super().__init__()
        self.reference = read(reference)
        self._springs: dict[bytes, tuple] = {}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate; the stress is not that of a strained cell and is given as zero."""
        super().calculate(atoms, properties, system_changes)
        start = time.perf_counter()
        ideal = self._ideal(self.atoms)
        moved = self.atoms.positions - ideal
        first, second, vectors = self._pairs(ideal)
        lengths = np.linalg.norm(vectors, axis=1)
        now = vectors + moved[second] - moved[first]
        new = np.linalg.norm(now, axis=1)
        stretch = new - lengths
        forces = np.zeros_like(ideal)
        np.add.at(forces, first, (_SPRING * stretch / new)[:, None] * now)
        energy = float(0.25 * _SPRING * np.sum(stretch**2))
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": forces,
            "stress": np.zeros(6),
        }
        count(len(self.atoms), time.perf_counter() - start)

    def _ideal(self, atoms: Atoms) -> np.ndarray:
        """Positions of the nearest sites of the reference crystal."""
        cell = self.reference.cell.array
        found = np.linalg.solve(cell.T, atoms.positions.T).T
        sites = self.reference.get_scaled_positions()
        offsets = found[:, None] - sites[None]
        offsets -= np.round(offsets)
        nearest = np.argmin(np.linalg.norm(offsets @ cell, axis=2), axis=1)
        shift = offsets[np.arange(len(found)), nearest]
        return atoms.positions - shift @ cell

    def _pairs(self, ideal: np.ndarray) -> tuple:
        """Springs of a supercell, found once."""
        key = np.round(self.atoms.cell.array, 6).tobytes() + np.round(ideal, 3).tobytes()
        if key not in self._springs:
            system = Atoms(self.atoms.numbers, ideal, cell=self.atoms.cell, pbc=True)
            self._springs = {key: neighbor_list("ijD", system, _REACH)}
        return self._springs[key]


def _counting(base: type) -> type:
    """Class of calculators that counts its evaluations and their seconds."""

    class Counting(base):
        def calculate(self, *arguments: Any, **keywords: Any) -> None:
            start = time.perf_counter()
            super().calculate(*arguments, **keywords)
            count(len(self.atoms), time.perf_counter() - start)

    Counting.__name__ = base.__name__
    return Counting


CountedEMT = _counting(EMT)


def make_calculator(potential: str, reference: str | None = None) -> Any:
    """Make springs, emt, or mace's own calculator of a model file."""
    if potential == "springs":
        return Springs(str(reference))
    if potential == "emt":
        return CountedEMT()
    import mace  # noqa: F401 - before e3nn
    from mace.calculators import MACECalculator

    return _counting(MACECalculator)(
        model_paths=potential, device="cpu", default_dtype="float64"
    )


def run(tasks: dict[str, Callable[[dict[str, Any]], dict[str, Any]]], package: str) -> None:
    """Run the task that the first argument describes and print the result."""
    options = json.loads(sys.argv[1])
    wall, cpu = time.perf_counter(), time.process_time()
    found = tasks[options["task"]](options)
    result = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "evaluations": COUNTS["evaluations"],
        "of_supercells": COUNTS["largest"],
        "model_seconds": COUNTS["seconds"],
        "package": f"{package} {version(package)}",
        **found,
    }
    print("\n" + json.dumps(result))


def folder_bytes(folder: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
