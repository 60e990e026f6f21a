"""Where the quasi-harmonic approximation is doubtful, in words for a reader of the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mofonon.lattice.gruneisen import LOWEST_FREQUENCY
from mofonon.lattice.qha_schemas import ExcludedVolume, QhaSettings, VolumePoint
from mofonon.lattice.quasi_harmonic import QuasiHarmonicResult

Floats = NDArray[np.float64]

#: The two Grueneisen parameters may differ by this, or by this share of the larger one.
DISAGREEMENT = 0.2

#: A linear expansion above this (1/K), of either sign, is steep.
STEEP_EXPANSION = 1e-4

#: So is a bulk modulus that falls below this share of that at the lowest temperature.
SOFTENING = 0.7

#: A mode is soft when its frequency at some volume is below this share of that at another.
SOFT_MODE = 0.5

#: A residual of the fits above this share of the range of the free energies is large.
LARGE_RESIDUAL = 0.01


def doubts(
    points: Sequence[VolumePoint],
    result: QuasiHarmonicResult,
    settings: QhaSettings,
    *,
    frequencies: Floats | None,
    weights: NDArray[np.int64],
) -> list[str]:
    """Say what a reader of the numbers should know.

    Parameters
    ----------
    points : sequence of VolumePoint
        All volumes.
    result : QuasiHarmonicResult
        The fit.
    settings : QhaSettings
        Settings of the calculation.
    frequencies : ndarray, shape (n_used, n_q, n_bands), or None
        Frequencies at the volumes used (THz); None where their q-points differ.
    weights : ndarray, shape (n_q,)
        Mesh points of each q-point.
    """
    found = [
        *_about_exclusions(points),
        *_about_the_range(points, result, settings),
        *_about_steepness(result),
        *_about_the_fits(result),
    ]
    groups = {point.space_group.symbol: None for point in points if point.used}
    if len(groups) > 1:
        found.append(
            f"the structure changes its symmetry between the volumes ({', '.join(groups)}): "
            "the fits may join two branches"
        )
    if frequencies is None:
        found.append(
            "no mode Grueneisen parameters: the irreducible q-points differ between volumes"
        )
    else:
        found += _about_soft_modes(frequencies, weights)
    return found


def about_gruneisen(thermodynamic: float | None, modes: float | None) -> list[str]:
    """Compare the Grueneisen parameter of the fits with the mean over modes, at 300 K."""
    if thermodynamic is None or modes is None:
        return []
    largest = max(1.0, abs(thermodynamic), abs(modes))
    if abs(thermodynamic - modes) <= DISAGREEMENT * largest:
        return []
    text = (
        f"at 300 K the fits give a Grueneisen parameter of {thermodynamic:.2f}, the modes "
        f"{modes:.2f}: the fits do not follow the frequencies; choose a narrower range or "
        "more volumes"
    )
    return [text]


def exclusions(points: Iterable[VolumePoint]) -> str:
    """List the volumes that have imaginary modes."""
    return "; ".join(
        f"{100 * point.linear_strain:+.2f} % ({point.cell.volume:.2f} A^3): "
        f"{point.min_frequency:.4f} THz"
        for point in points
        if point.n_imaginary_modes
    )


def failures(failed: Iterable[ExcludedVolume]) -> str:
    """List the volumes that could not be relaxed."""
    return "; ".join(
        f"{100 * each.linear_strain:+.2f} % ({each.volume:.2f} A^3): {each.reason}"
        for each in failed
    )


def about_failures(failed: Sequence[ExcludedVolume]) -> list[str]:
    """Say that volumes could not be relaxed, if so."""
    if not failed:
        return []
    text = (
        f"{len(failed)} volumes could not be relaxed and are left out (linear strain, volume "
        f"before relaxation): {failures(failed)}"
    )
    return [text]


def _about_exclusions(points: Sequence[VolumePoint]) -> list[str]:
    excluded = [point for point in points if not point.used]
    if not excluded:
        return []
    text = (
        f"{len(excluded)} of {len(points)} volumes have imaginary modes and are left out "
        f"(linear strain, volume, lowest frequency): {exclusions(excluded)}"
    )
    return [text]


def _about_the_range(
    points: Sequence[VolumePoint], result: QuasiHarmonicResult, settings: QhaSettings
) -> list[str]:
    found = []
    if result.stopped:
        found.append(f"{result.stopped}: the temperatures end before")
    if not result.inside.all():
        first = result.temperatures[~result.inside][0]
        low, high = result.needed_range
        sampled = result.sampled_volumes
        origin = min(points, key=lambda point: abs(point.linear_strain)).cell.volume
        reach = max(abs(np.cbrt(low / origin) - 1), abs(np.cbrt(high / origin) - 1))
        remedy = (
            f"sample linear strains up to {100 * (reach + settings.step):.1f} % "
            "(--max-linear-strain)"
            if reach > settings.max_linear_strain
            else "the volumes there have imaginary modes"
        )
        found.append(
            f"from {first:g} K on the volume, {low:.2f} to {high:.2f} A^3 in all, is not "
            f"between those used, {sampled[0]:.2f} to {sampled[-1]:.2f} A^3: values there are "
            f"extrapolated; {remedy}"
        )
    return found


def _about_steepness(result: QuasiHarmonicResult) -> list[str]:
    found = []
    known = np.where(result.inside, np.nan_to_num(result.cte_linear), 0.0)
    steepest = int(np.argmax(np.abs(known)))
    if abs(known[steepest]) > STEEP_EXPANSION:
        found.append(
            f"the linear expansion reaches {1e6 * known[steepest]:.0f}e-6/K at "
            f"{result.temperatures[steepest]:g} K: so steep, the quasi-harmonic approximation "
            "is doubtful"
        )
    share = result.bulk_moduli / result.bulk_moduli[0]
    if (share < SOFTENING).any():
        first = result.temperatures[share < SOFTENING][0]
        found.append(
            f"from {first:g} K on the bulk modulus is below {100 * SOFTENING:.0f} % of that at "
            f"{result.temperatures[0]:g} K: so near an instability, the quasi-harmonic "
            "approximation is doubtful"
        )
    return found


def _about_the_fits(result: QuasiHarmonicResult) -> list[str]:
    ranges = 1e3 * np.ptp(result.helmholtz, axis=1)
    worst = int(np.argmax(np.where(result.inside, result.residuals / ranges, 0.0)))
    if result.residuals[worst] <= LARGE_RESIDUAL * ranges[worst]:
        return []
    text = (
        f"at {result.temperatures[worst]:g} K the free energies deviate from the fit by "
        f"{result.residuals[worst]:.3g} meV per cell, of a range of {ranges[worst]:.3g} meV: "
        "they may not belong to one smooth curve"
    )
    return [text]


def _about_soft_modes(frequencies: Floats, weights: NDArray[np.int64]) -> list[str]:
    least, most = frequencies.min(axis=0), frequencies.max(axis=0)
    soft = (most > LOWEST_FREQUENCY) & (least < SOFT_MODE * most)
    soft[(np.abs(frequencies) < LOWEST_FREQUENCY).all(axis=0)] = False
    share = (weights[:, None] * soft).sum() / (weights.sum() * frequencies.shape[2])
    if share == 0:
        return []
    text = (
        f"{100 * share:.2g} % of the modes, the lowest at {least[soft].min():.3f} THz, change "
        "their frequency by more than a factor of 2 over the volumes: such soft modes are "
        "anharmonic"
    )
    return [text]
