"""Samples of a trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Attributes that have a value for each sample.
SAMPLED = (
    "times",
    "positions",
    "cells",
    "temperatures",
    "pressures",
    "potential_energies",
    "conserved",
)


@dataclass(frozen=True)
class Trajectory:
    """Samples of a trajectory; the first is the start.

    Attributes
    ----------
    numbers : ndarray, shape (n_atoms,)
        Atomic numbers.
    times : ndarray, shape (n_samples,)
        Times (fs).
    positions : ndarray, shape (n_samples, n_atoms, 3)
        Positions, not wrapped into the cell (A).
    cells : ndarray, shape (n_samples, 3, 3)
        Cell vectors in rows (A).
    temperatures : ndarray, shape (n_samples,)
        Kinetic temperatures of the moving degrees of freedom (K).
    pressures : ndarray, shape (n_samples,)
        Pressures, kinetic part included (GPa); NaN if the potential has no stress.
    potential_energies : ndarray, shape (n_samples,)
        Potential energies (eV).
    conserved : ndarray, shape (n_samples,)
        The conserved quantity: total energy or, at constant pressure, that with thermostat and
        barostat (eV). Its drift tells of a time step too long or forces that are no gradient.
    state : str
        ``complete`` or ``exploded``.
    reason : str
        What was seen when it exploded, and when.
    n_force_evaluations : int
        Evaluations, those of earlier runs that this one goes on from included.
    seconds : float
        Wall time, of earlier runs too.
    """

    numbers: NDArray[np.int64]
    times: Floats
    positions: Floats = field(repr=False)
    cells: Floats = field(repr=False)
    temperatures: Floats = field(repr=False)
    pressures: Floats = field(repr=False)
    potential_energies: Floats = field(repr=False)
    conserved: Floats = field(repr=False)
    state: Literal["complete", "exploded"]
    reason: str
    n_force_evaluations: int
    seconds: float

    def __len__(self) -> int:
        return len(self.times)

    @property
    def volumes(self) -> Floats:
        """Volumes (A^3), shape (n_samples,)."""
        return np.abs(np.linalg.det(self.cells))

    @property
    def drift(self) -> float:
        """Slope of the conserved quantity (eV per atom and ps)."""
        if len(self) < 2:
            return 0.0
        slope = np.polyfit(self.times / 1e3, self.conserved, 1)[0]
        return float(slope / len(self.numbers))

    def frame(self, index: int) -> Atoms:
        """Structure of a sample, without velocities or calculator."""
        return Atoms(
            self.numbers, positions=self.positions[index], cell=self.cells[index], pbc=True
        )


def cut_trajectory(trajectory: Trajectory, end: float) -> Trajectory:
    """Leave out what a longer run, resumed with fewer steps, has beyond a time (fs)."""
    keep = trajectory.times <= end * (1 + 1e-12)
    if keep.all():
        return trajectory
    kept: dict[str, Any] = {name: getattr(trajectory, name)[keep] for name in SAMPLED}
    return replace(trajectory, **kept, state="complete", reason="")
