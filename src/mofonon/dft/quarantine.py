"""Which frames to train on: duplicates once, doubtful ones kept apart with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mofonon.dft.schemas import LabelFrame, QuarantineSettings
from mofonon.structures import check_structure

#: Energies of fewer frames than this say nothing about an outlier.
FEWEST_FOR_OUTLIERS = 5

#: A normal distribution has this standard deviation for a median absolute deviation of one.
_MAD_TO_SIGMA = 1.4826


def without_duplicates(
    frames: Sequence[LabelFrame], distance: float = 1e-4
) -> list[LabelFrame]:
    """Keep one of frames whose atoms and cell vectors are all within a distance.

    Of duplicates the first that is electronically converged is kept, else the first: a
    restart of VASP begins with the last structure of the run before.

    Parameters
    ----------
    frames : sequence of LabelFrame
        Of one MOF; the order of their atoms must be the same for duplicates to be seen.
    distance : float
        Largest distance (A), periodic images taken into account.
    """
    kept: list[LabelFrame] = []
    places: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for frame in frames:
        cell = np.array(frame.lattice)
        fractional = frame.positions_array() @ np.linalg.inv(cell)
        twin = next(
            (
                number
                for number, other in enumerate(kept)
                if _same(frame, cell, fractional, other, places[number], distance)
            ),
            None,
        )
        if twin is None:
            kept.append(frame)
            places.append((cell, fractional))
        elif frame.electronic_converged and not kept[twin].electronic_converged:
            kept[twin] = frame
    return kept


def _same(
    frame: LabelFrame,
    cell: NDArray[np.float64],
    fractional: NDArray[np.float64],
    other: LabelFrame,
    place: tuple[NDArray[np.float64], NDArray[np.float64]],
    distance: float,
) -> bool:
    other_cell, other_fractional = place
    if frame.elements != other.elements:
        return False
    if np.linalg.norm(cell - other_cell, axis=1).max() > distance:
        return False
    shift = fractional - other_fractional
    shift -= np.rint(shift)
    return bool(np.linalg.norm(shift @ cell, axis=1).max() <= distance)


def quarantined(
    frames: Sequence[LabelFrame], settings: QuarantineSettings | None = None
) -> list[LabelFrame]:
    """Judge the frames of one MOF: the same frames, with the reasons against them.

    Parameters
    ----------
    frames : sequence of LabelFrame
        Of one MOF.
    settings : QuarantineSettings, optional
        Thresholds.

    Returns
    -------
    list of LabelFrame
        Copies, in the same order; ``quarantine`` has ``kind: detail`` for each reason.
    """
    settings = settings or QuarantineSettings()
    judged = [
        frame.model_copy(update={"quarantine": _own_reasons(frame, settings)})
        for frame in frames
    ]
    good = [frame for frame in judged if frame.good]
    for frame, reason in zip(good, _energy_outliers(good, settings), strict=True):
        if reason:
            frame.quarantine.append(reason)
    return judged


def reason_counts(frames: Sequence[LabelFrame]) -> dict[str, int]:
    """How many frames are kept apart for each kind of reason."""
    kinds = Counter(reason.partition(":")[0] for frame in frames for reason in frame.quarantine)
    return dict(sorted(kinds.items()))


def _own_reasons(frame: LabelFrame, settings: QuarantineSettings) -> list[str]:
    """Reasons that need no other frame."""
    forces = frame.forces_array()
    stress = np.zeros((3, 3)) if frame.stress is None else np.array(frame.stress)
    if not (
        np.isfinite(frame.energy) and np.isfinite(forces).all() and np.isfinite(stress).all()
    ):
        return ["not finite: energy, forces or stress"]
    reasons = []
    if not frame.electronic_converged:
        reasons.append(
            f"electronic steps: not converged after {frame.n_electronic_steps or 'no'} steps"
        )
    if frame.max_force > settings.max_force:
        reasons.append(f"force: {frame.max_force:.1f} eV/A, above {settings.max_force:g} eV/A")
    issues = check_structure(frame.structure)
    reasons += [
        f"overlap: {issue.message}" for issue in issues if issue.code == "overlapping-atoms"
    ][:1]
    return reasons


def _energy_outliers(frames: Sequence[LabelFrame], settings: QuarantineSettings) -> list[str]:
    """Give a reason for each frame whose energy is far from the others', or an empty text."""
    if len(frames) < FEWEST_FOR_OUTLIERS:
        return [""] * len(frames)
    energies = np.array([frame.energy_per_atom for frame in frames])
    deviations = np.abs(energies - np.median(energies))
    sigma = _MAD_TO_SIGMA * float(np.median(deviations))
    limit = max(settings.energy_floor, settings.energy_deviations * sigma)
    return [
        f"energy: {deviation:.3f} eV/atom from the median of the MOF, above {limit:.3f}"
        if deviation > limit
        else ""
        for deviation in deviations
    ]
