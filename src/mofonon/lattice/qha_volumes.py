"""The volumes of a quasi-harmonic calculation: which to use, which to add, their fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mofonon.errors import QuasiHarmonicError
from mofonon.lattice.gruneisen import mean_gruneisen, mode_gruneisen
from mofonon.lattice.qha_doubts import exclusions, failures
from mofonon.lattice.qha_schemas import ExcludedVolume, QhaSettings, VolumePoint
from mofonon.lattice.quasi_harmonic import (
    QuasiHarmonicInput,
    QuasiHarmonicResult,
    run_quasi_harmonic,
)
from mofonon.lattice.schemas import ThermalSummary

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Volume:
    """What the fits need of the phonons at one volume.

    Attributes
    ----------
    point : VolumePoint
        Cell, energy, lowest frequency, costs.
    thermal : ThermalSummary
        Harmonic thermal properties.
    qpoints : ndarray, shape (n_q, 3)
        Irreducible q-points (reduced coordinates).
    weights : ndarray, shape (n_q,)
        Mesh points of each.
    frequencies : ndarray, shape (n_q, n_bands)
        Frequencies (THz).
    warnings : list of str
        Those of the phonon document.
    """

    point: VolumePoint
    thermal: ThermalSummary
    qpoints: Floats = field(repr=False)
    weights: NDArray[np.int64] = field(repr=False)
    frequencies: Floats = field(repr=False)
    warnings: list[str] = field(repr=False)


@dataclass(frozen=True)
class Gruneisen:
    """Mode Grueneisen parameters, the volume they belong to (A^3), and the mesh."""

    volume: float
    modes: Floats
    frequencies: Floats
    qpoints: Floats
    weights: NDArray[np.int64]

    def means(self, temperatures: Floats) -> Floats:
        """Means weighted with heat capacities, shape (n_temperatures,)."""
        return mean_gruneisen(self.modes, self.frequencies, self.weights, temperatures)


def used_volumes(
    volumes: Sequence[Volume],
    settings: QhaSettings,
    failed: Sequence[ExcludedVolume] = (),
) -> list[Volume]:
    """Volumes without imaginary modes; all of them where the settings allow such modes.

    Parameters
    ----------
    volumes : sequence of Volume
        Volumes that could be relaxed.
    settings : QhaSettings
        How many must remain.
    failed : sequence of ExcludedVolume
        The others, for the list of an error.

    Raises
    ------
    QuasiHarmonicError
        When too few remain, with the list of those that do not.
    """
    used = [volume for volume in volumes if volume.point.used]
    if len(used) < settings.min_volumes:
        listed = [exclusions(volume.point for volume in volumes), failures(failed)]
        raise QuasiHarmonicError(
            f"only {len(used)} of {len(volumes) + len(failed)} volumes have no imaginary "
            f"modes, {settings.min_volumes} are needed: "
            f"{'; '.join(text for text in listed if text)}",
            "eliminate the imaginary modes first, choose a narrower range "
            "(--max-linear-strain) or, knowing what that means, give --allow-imaginary",
        )
    return used


def fit_volumes(used: Sequence[Volume], settings: QhaSettings) -> QuasiHarmonicResult:
    """Fit the free energies of the volumes.

    Raises
    ------
    QuasiHarmonicError
        When there is no minimum.
    """
    thermal = [volume.thermal for volume in used]
    return run_quasi_harmonic(
        QuasiHarmonicInput(
            volumes=np.array([volume.point.cell.volume for volume in used]),
            energies=np.array([volume.point.energy for volume in used]),
            temperatures=np.array(thermal[0].temperatures),
            free_energies=np.array([part.free_energies for part in thermal]),
            entropies=np.array([part.entropies for part in thermal]),
            heat_capacities=np.array([part.heat_capacities for part in thermal]),
        ),
        settings.equation_of_state,
    )


def strains_to_add(
    points: Sequence[VolumePoint],
    result: QuasiHarmonicResult,
    settings: QhaSettings,
    *,
    failed: Sequence[float] = (),
) -> list[float]:
    """Linear strains of the volumes that would bring the expansion into the range.

    One more than the fit asks for on each side, at most ``settings.n_added``. None on a side
    whose end has imaginary modes, or could not be relaxed: beyond it there are more of them.

    Parameters
    ----------
    points : sequence of VolumePoint
        The volumes so far.
    result : QuasiHarmonicResult
        The fit to those of them that are used.
    settings : QhaSettings
        Steps.
    failed : sequence of float
        Linear strains of volumes that could not be relaxed.
    """
    ordered = sorted(points, key=lambda point: point.linear_strain)
    needed = [_linear_strain(volume, ordered) for volume in result.needed_range]
    if result.stopped:  # the fit lost its minimum on the side that the volume moves to
        side = int(result.volumes[-1] > result.volumes[0])
        reach = settings.n_added * settings.step
        needed[side] = ordered[-side].linear_strain + (2 * side - 1) * reach
    added: list[int] = []
    for end, wanted, direction in ((ordered[0], needed[0], -1), (ordered[-1], needed[1], 1)):
        distance = direction * (wanted - end.linear_strain)
        blocked = any(direction * (strain - end.linear_strain) > 0 for strain in failed)
        if end.used and not blocked and distance > 0:
            count = min(int(np.ceil(distance / settings.step)) + 1, settings.n_added)
            first = settings.index_of(end.linear_strain)
            added += [first + direction * step for step in range(1, count + 1)]
    return [settings.linear_strain(index) for index in sorted(added)]


def fit_gruneisen(used: Sequence[Volume], volume: float) -> Gruneisen | None:
    """Mode Grueneisen parameters; None where the volumes differ in their q-points."""
    first = used[0]
    for other in used:
        if other.frequencies.shape != first.frequencies.shape or not np.allclose(
            other.qpoints, first.qpoints
        ):
            return None
    volumes = np.array([each.point.cell.volume for each in used])
    nearest = used[int(np.argmin(np.abs(volumes - volume)))]
    frequencies = np.array([each.frequencies for each in used])
    return Gruneisen(
        volume=volume,
        modes=mode_gruneisen(volumes, frequencies, at=volume),
        frequencies=nearest.frequencies,
        qpoints=nearest.qpoints,
        weights=nearest.weights,
    )


def _linear_strain(volume: float, points: Sequence[VolumePoint]) -> float:
    """Linear strain of a volume, by the volume and strain of one of the points."""
    origin = points[0]
    side = np.cbrt(volume / origin.cell.volume) * (1 + origin.linear_strain)
    return float(side - 1)
