"""When a frame cannot be one of a solid."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from mofonon.dynamics.settings import DynamicsSettings

Floats = NDArray[np.float64]


def why_exploded(
    atoms: Atoms, start: Atoms, settings: DynamicsSettings, temperature: float
) -> str | None:
    """Say why a frame cannot be one of a solid, or None.

    Parameters
    ----------
    atoms : Atoms
        The frame.
    start : Atoms
        The structure that the trajectory started from.
    settings : DynamicsSettings
        Limits.
    temperature : float
        Kinetic temperature of the frame (K).
    """
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        return "positions or cell are not finite"
    if not temperature <= settings.largest_temperature_ratio * settings.temperature:
        return f"the kinetic temperature is {temperature:.0f} K"
    limit = settings.largest_volume_change
    ratio = abs(np.linalg.det(atoms.cell.array)) / start.get_volume()
    if not 1 / limit < ratio < limit:
        return f"the volume is {ratio:.2f} times that at the start"
    heights = _heights(atoms) / _heights(start)
    if not (1 / limit < heights.min() and heights.max() < limit):
        return (
            "a distance between opposite faces of the cell is "
            f"{heights[np.argmax(np.abs(np.log(heights)))]:.2f} times that at the start"
        )
    return _contact(atoms, settings.closest_contact)


def _contact(atoms: Atoms, fraction: float) -> str | None:
    """Two atoms nearer than a fraction of the sum of their covalent radii, or None."""
    radii = covalent_radii[atoms.numbers]
    first, second, distances = neighbor_list("ijd", atoms, fraction * radii)
    if not len(distances):
        return None
    nearest = int(np.argmin(distances))
    symbols = f"{atoms[first[nearest]].symbol} and {atoms[second[nearest]].symbol}"
    return f"{symbols} are {distances[nearest]:.2f} A apart"


def _heights(atoms: Atoms) -> Floats:
    """Distances between opposite faces of the cell (A)."""
    return 1 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
