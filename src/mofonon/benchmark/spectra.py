"""Densities of states compared: distances that do not depend on the size of the cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from mofonon.errors import ComparisonError

Floats = NDArray[np.float64]

#: A frequency below minus this (THz) counts as imaginary where a file alone is there to judge:
#: acoustic modes at Gamma are some 1e-3 THz off zero in published data.
IMAGINARY = 0.01

#: States (of 3 N) below that frequency that are more than noise.
_FEW_STATES = 1e-6


@dataclass(frozen=True)
class Spectrum:
    """A density of states.

    Attributes
    ----------
    frequencies : ndarray, shape (n_points,)
        THz, ascending.
    total : ndarray, shape (n_points,)
        States per THz and cell.
    by_element : dict of ndarray, shape (n_points,)
        Its parts, where they are known.
    """

    frequencies: Floats
    total: Floats
    by_element: dict[str, Floats]

    @property
    def states(self) -> float:
        """States of the cell: three times the atoms, as far as the pitch resolves them."""
        return float(np.trapezoid(self.total, self.frequencies))

    @property
    def lowest(self) -> float | None:
        """Lowest frequency with states (THz), None without any."""
        found = np.flatnonzero(self.total > 0)
        return float(self.frequencies[found[0]]) if len(found) else None

    @property
    def imaginary_states(self) -> float:
        """States of the cell at imaginary frequencies."""
        below = self.frequencies < -IMAGINARY
        return float(np.trapezoid(self.total[below], self.frequencies[below]))

    @property
    def has_imaginary(self) -> bool:
        """Whether these are more than noise."""
        return self.imaginary_states > _FEW_STATES


class DosDistance(BaseModel):
    """How far a density of states is from another; both are normalised to one state."""

    wasserstein: float = Field(
        description="Area between the cumulated densities: how far states move on average "
        "(THz)."
    )
    overlap: float = Field(
        description="Area common to both after broadening; 1 for equal, 0 for disjoint ones."
    )
    mean_frequency_deviation: float = Field(description="Shift of the mean frequency (THz).")
    broadening: float = Field(
        description="Standard deviation of the Gaussian of the overlap (THz)."
    )


def dos_distance(
    reference: tuple[Floats, Floats], candidate: tuple[Floats, Floats], broadening: float
) -> DosDistance:
    """Compare two densities of states.

    Parameters
    ----------
    reference, candidate : tuple of ndarray
        Frequencies (THz, ascending) and densities (states per THz, any cell).
    broadening : float
        Standard deviation (THz) of a Gaussian by which both are broadened for the overlap.

    Raises
    ------
    ComparisonError
        A density has no states.
    """
    low = min(reference[0][0], candidate[0][0]) - 5 * broadening
    high = max(reference[0][-1], candidate[0][-1]) + 5 * broadening
    pitch = min(np.diff(reference[0]).min(), np.diff(candidate[0]).min())
    axis = np.linspace(low, high, round((high - low) / pitch) + 1)
    one, other = (_normalised(axis, *density) for density in (reference, candidate))
    step = axis[1] - axis[0]
    cumulated = np.cumsum(one - other) * step
    smooth_one, smooth_other = (_broadened(axis, d, broadening) for d in (one, other))
    return DosDistance(
        wasserstein=float(np.sum(np.abs(cumulated)) * step),
        overlap=float(np.sum(np.minimum(smooth_one, smooth_other)) * step),
        mean_frequency_deviation=float(np.sum(axis * (other - one)) * step),
        broadening=broadening,
    )


def spectra_distances(
    reference: Spectrum, candidate: Spectrum, broadening: float
) -> tuple[DosDistance, dict[str, DosDistance]]:
    """Compare total densities and those of the elements that both have."""
    total = dos_distance(
        (reference.frequencies, reference.total),
        (candidate.frequencies, candidate.total),
        broadening,
    )
    return total, {
        element: dos_distance(
            (reference.frequencies, density),
            (candidate.frequencies, candidate.by_element[element]),
            broadening,
        )
        for element, density in reference.by_element.items()
        if element in candidate.by_element
    }


def _normalised(axis: Floats, frequencies: Floats, density: Floats) -> Floats:
    values = np.interp(axis, frequencies, density, left=0.0, right=0.0)
    area = float(np.sum(values) * (axis[1] - axis[0]))
    if area <= 0:
        raise ComparisonError(
            "a density of states has no states", "check the file: it may be truncated"
        )
    return np.asarray(values / area, dtype=np.float64)


def _broadened(axis: Floats, density: Floats, width: float) -> Floats:
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(
        gaussian_filter1d(density, width / (axis[1] - axis[0]), mode="constant", truncate=5.0)
    )
