"""What the stand-in reads and evaluates: inputs, and ionic steps, in VASP's units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.units import GPa

#: The version that the stand-in gives itself; parsers want a number first.
VERSION = "0.0.0-standin"
PROGRAM = "vasp stand-in (not VASP)"


@dataclass
class Inputs:
    """INCAR, KPOINTS and POTCAR as the stand-in needs them."""

    incar: dict
    elements: list[str]
    symbols: list[str]
    counts: list[int]
    titles: list[str]
    valences: list[float]
    mesh: list[int]
    kpoints: np.ndarray
    weights: np.ndarray

    @property
    def n_electrons(self) -> float:
        return float(np.dot(self.counts, self.valences))

    @property
    def n_bands(self) -> int:
        return int(self.n_electrons) // 2 + max(len(self.elements) // 2, 3)


@dataclass
class Step:
    """One ionic step: cell (A), fractional positions, energies (eV), forces, stress (kbar)."""

    cell: np.ndarray
    fractional: np.ndarray
    electronic: list[float]
    energy: float
    forces: np.ndarray
    stress: np.ndarray
    seconds: float = 0.0
    dispersion: float = 0.0

    @property
    def positions(self) -> np.ndarray:
        return self.fractional @ self.cell


def kbar(stress: np.ndarray) -> np.ndarray:
    """ASE's stress (eV/A^3, 3x3) as VASP prints it: kbar, the other sign."""
    return -stress / GPa * 10.0
