"""Errors of potentials against labels: pure numpy.

Energies are compared per atom and per cell, forces and stresses by component. By element, a
force belongs to its atom; an error of an energy is shared among the elements of its frame in
proportion to their atoms, so that the sums over elements rebuild the total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, Field

Floats = NDArray[np.float64]


class Errors(BaseModel):
    """Errors of a quantity; the unit is that of the field it is in."""

    n: int = Field(description="Numbers compared.")
    rmse: float = Field(description="Root mean square error.")
    mae: float = Field(description="Mean absolute error.")
    max: float = Field(description="Largest absolute error.")
    r2: float | None = Field(
        None, description="Coefficient of determination; None where labels do not differ."
    )


class SetErrors(BaseModel):
    """Errors of a potential on a set of frames."""

    n_frames: int = Field(description="Frames.")
    n_atoms: int = Field(description="Atoms in all frames.")
    energy: Errors = Field(description="Energy of the cell (meV).")
    energy_per_atom: Errors = Field(description="Energy per atom (meV/atom).")
    forces: Errors = Field(description="Components of forces (meV/A).")
    stress: Errors | None = Field(None, description="Components of the stress (meV/A^3).")


class ElementErrors(BaseModel):
    """Errors that belong to an element."""

    element: str = Field(description="Element.")
    n_atoms: int = Field(description="Atoms of the element in all frames.")
    forces: Errors = Field(description="Force components on atoms of the element (meV/A).")
    energy_per_atom_rmse: float = Field(
        description="RMSE of the energies per atom of frames, each with the weight of the "
        "element's share of its atoms (meV/atom)."
    )
    energy_weight: float = Field(
        description="Sum of these shares over the frames; over all elements, the frames."
    )


@dataclass(frozen=True)
class Values:
    """Energies, forces and stresses of frames, as labelled or as predicted.

    Attributes
    ----------
    energies : ndarray, shape (n_frames,)
        Energy of each cell (eV).
    forces : list of ndarray, shape (n_atoms, 3) each
        Forces (eV/A).
    stresses : ndarray, shape (n_frames, 3, 3), or None
        Stresses (eV/A^3).
    """

    energies: Floats
    forces: list[Floats]
    stresses: Floats | None = None

    def subset(self, indices: Sequence[int]) -> Values:
        """Values of some of the frames."""
        chosen = list(indices)
        return Values(
            self.energies[chosen],
            [self.forces[i] for i in chosen],
            None if self.stresses is None else self.stresses[chosen],
        )


def errors_of(predicted: ArrayLike, labels: ArrayLike, scale: float = 1.0) -> Errors:
    """RMSE, MAE, largest error and R^2.

    Parameters
    ----------
    predicted, labels : array_like
        Of the same shape.
    scale : float
        Factor to the unit of the errors; 1000 for meV from eV.
    """
    p, y = np.asarray(predicted, float).ravel(), np.asarray(labels, float).ravel()
    difference = p - y
    spread = float(np.sum((y - y.mean()) ** 2))
    return Errors(
        n=len(y),
        rmse=scale * float(np.sqrt(np.mean(difference**2))),
        mae=scale * float(np.mean(np.abs(difference))),
        max=scale * float(np.max(np.abs(difference))),
        r2=1 - float(np.sum(difference**2)) / spread if spread > 0 else None,
    )


def set_errors(predicted: Values, labels: Values) -> SetErrors:
    """Errors over a set of frames, in meV, meV/atom, meV/A and meV/A^3."""
    sizes = np.array([len(forces) for forces in labels.forces], float)
    stress = None
    if predicted.stresses is not None and labels.stresses is not None:
        stress = errors_of(predicted.stresses, labels.stresses, 1e3)
    return SetErrors(
        n_frames=len(sizes),
        n_atoms=int(sizes.sum()),
        energy=errors_of(predicted.energies, labels.energies, 1e3),
        energy_per_atom=errors_of(predicted.energies / sizes, labels.energies / sizes, 1e3),
        forces=errors_of(np.concatenate(predicted.forces), np.concatenate(labels.forces), 1e3),
        stress=stress,
    )


def element_errors(
    predicted: Values, labels: Values, symbols: Sequence[Sequence[str]]
) -> list[ElementErrors]:
    """Errors by element.

    Parameters
    ----------
    predicted, labels : Values
        Of the same frames.
    symbols : sequence of sequence of str
        Element of each atom of each frame.

    Returns
    -------
    list of ElementErrors
        In alphabetical order. The mean of the squared energy errors of all frames is the sum
        over elements of ``energy_per_atom_rmse**2 * energy_weight``, over the frames.
    """
    names = np.concatenate([np.asarray(s) for s in symbols])
    p, y = np.concatenate(predicted.forces), np.concatenate(labels.forces)
    sizes = np.array([len(s) for s in symbols], float)
    squared = ((predicted.energies - labels.energies) / sizes) ** 2
    found = []
    for element in sorted(set(names.tolist())):
        mine = names == element
        shares = np.array([list(s).count(element) for s in symbols]) / sizes
        found.append(
            ElementErrors(
                element=element,
                n_atoms=int(mine.sum()),
                forces=errors_of(p[mine], y[mine], 1e3),
                energy_per_atom_rmse=1e3
                * float(np.sqrt(np.sum(shares * squared) / shares.sum())),
                energy_weight=float(shares.sum()),
            )
        )
    return found


def composition_shifts(
    predicted: ArrayLike, labels: ArrayLike, symbols: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Energy per atom of each element that aligns predictions with labels (eV).

    Least squares of ``labels - predicted`` over the compositions, weighted per atom: the
    difference of the reference energies of two methods. Compositions that are no more
    independent than that leave some of it undetermined; the smallest shifts are taken then.
    """
    elements = sorted({s for frame in symbols for s in frame})
    counts = np.array([[list(s).count(e) for e in elements] for s in symbols], float)
    sizes = counts.sum(axis=1)
    difference = (np.asarray(labels, float) - np.asarray(predicted, float)) / sizes
    solution = np.linalg.lstsq(counts / sizes[:, None], difference, rcond=None)[0]
    return {e: float(x) for e, x in zip(elements, solution, strict=True)}


def shifted(
    values: Values, shifts: dict[str, float], symbols: Sequence[Sequence[str]]
) -> Values:
    """Values with the energies shifted by element."""
    added = np.array([sum(shifts[s] for s in frame) for frame in symbols])
    return Values(values.energies + added, values.forces, values.stresses)
