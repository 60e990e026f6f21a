"""Out of a saddle point: along a mode of negative curvature into a subgroup.

A structure relaxed within its symmetry can be a saddle point; the gradient there is zero and
no optimizer leaves it. The Hessian of all modes shows the direction out. Of degenerate
modes, those combinations are tried that leave the largest subgroups: the directions that a
subgroup fixes alone (axes, face and body diagonals of a triply degenerate mode).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mofonon.lattice.imaginary import AmplitudeScan, scan_amplitude
from mofonon.lattice.symmetry_actions import SymmetryActions

Floats = NDArray[np.float64]

#: Curvatures above minus this are zero within the finite differences (eV/A^2).
NEGATIVE = 5e-3

#: A lower energy than this must come of following a mode (eV per cell).
LEAST_GAIN = 1e-7

#: Relative difference of the curvatures of degenerate modes.
_DEGENERATE = 1e-3

#: Change of a pattern, of largest displacement 1, that an operation leaves as it is.
_UNCHANGED = 1e-6


@dataclass(frozen=True)
class NegativeMode:
    """Degenerate modes of the lowest curvature.

    Attributes
    ----------
    curvature : float
        Eigenvalue of the Hessian, negative (eV/A^2).
    vectors : ndarray, shape (n_degenerate, n_rows, 3)
        Orthonormal.
    """

    curvature: float
    vectors: Floats = field(repr=False)


@dataclass(frozen=True)
class FollowedMode:
    """A mode of negative curvature, and what came of following it.

    Attributes
    ----------
    curvature : float
        Eigenvalue of the Hessian (eV/A^2).
    degeneracy : int
        Number of modes of this curvature.
    amplitude : float
        Largest displacement of an atom at the lowest energy found (A); 0 where the energy
        rises, that is, where the curvature was a false negative.
    gain : float
        Energy there, relative to the start (eV per cell).
    operations_before, operations_after : int
        Operations that the structure had and that are left.
    n_evaluations : int
        Evaluations of the scans.
    scan_amplitudes, scan_energies : list of float
        Points of the scan that was taken (A, eV).
    """

    curvature: float
    degeneracy: int
    amplitude: float
    gain: float
    operations_before: int
    operations_after: int
    n_evaluations: int
    scan_amplitudes: list[float]
    scan_energies: list[float]


def lowest_modes(
    hessian: Floats, basis: Floats, threshold: float = NEGATIVE
) -> tuple[float | None, NegativeMode | None]:
    """Lowest curvature of a Hessian and, if it is negative, its modes.

    Parameters
    ----------
    hessian : ndarray, shape (n, n)
        Over flattened rows (eV/A^2).
    basis : ndarray, shape (n, n_basis)
        Orthonormal columns: what may move, without translations.
    threshold : float
        Curvatures above minus this are not negative (eV/A^2).

    Returns
    -------
    lowest : float or None
        Lowest eigenvalue (eV/A^2); None where nothing may move.
    mode : NegativeMode or None
        None when it is not negative.
    """
    if not basis.shape[1]:
        return None, None
    values, vectors = np.linalg.eigh(basis.T @ hessian @ basis)
    lowest = float(values[0])
    if lowest >= -threshold:
        return lowest, None
    degenerate = values <= lowest + _DEGENERATE * abs(lowest)
    chosen = (basis @ vectors[:, degenerate]).T
    return lowest, NegativeMode(lowest, chosen.reshape(len(chosen), -1, 3))


def directions(mode: NegativeMode, actions: SymmetryActions) -> list[Floats]:
    """Directions among degenerate modes to scan.

    Parameters
    ----------
    mode : NegativeMode
        The modes.
    actions : SymmetryActions
        Operations of the structure; they map the modes on each other.

    Returns
    -------
    list of ndarray, shape (n_rows, 3)
        Patterns whose largest row is 1, none the image of another; both signs where no
        operation reverses a pattern.
    """
    count = len(mode.vectors)
    flat = mode.vectors.reshape(count, -1)
    images = np.array(
        [
            flat @ actions.apply(operation, mode.vectors).reshape(count, -1).T
            for operation in range(actions.order)
        ]
    )
    matrices = np.unique(images.round(8) + 0.0, axis=0)
    weights: list[Floats] = []
    for candidate in _fixed_alone(matrices, count):
        for signed in (candidate, -candidate):
            orbit = matrices @ signed
            if not any(np.abs(orbit - known).max(axis=1).min() < 1e-4 for known in weights):
                weights.append(signed)
    patterns = [np.tensordot(w, mode.vectors, axes=1) for w in weights]
    return [pattern / np.linalg.norm(pattern, axis=1).max() for pattern in patterns]


def follow_mode(
    mode: NegativeMode,
    actions: SymmetryActions,
    energy: Callable[[Floats], float],
    least_gain: float = LEAST_GAIN,
) -> tuple[FollowedMode, Floats, SymmetryActions]:
    """Scan the energy along a mode of negative curvature.

    Parameters
    ----------
    mode : NegativeMode
        The modes.
    actions : SymmetryActions
        Operations of the structure.
    energy : callable
        Energy (eV) of the structure displaced by rows (A).
    least_gain : float
        A lower energy than this is none: rounding (eV).

    Returns
    -------
    followed : FollowedMode
        What was found.
    displacement : ndarray, shape (n_rows, 3)
        To the lowest energy (A); zero where the energy rises.
    left : SymmetryActions
        Operations that are left there.
    """
    patterns = directions(mode, actions)
    scans: list[AmplitudeScan] = []
    for pattern in patterns:
        curvature = mode.curvature * float(np.sum(pattern**2))
        scans.append(_scan(pattern, curvature, energy))
    taken = min(range(len(scans)), key=lambda index: scans[index].gain)
    scan, pattern = scans[taken], patterns[taken]
    best = scan.best if scan.gain < -least_gain else 0.0
    left = actions.leaving(pattern, _UNCHANGED) if best > 0 else actions
    followed = FollowedMode(
        curvature=mode.curvature,
        degeneracy=len(mode.vectors),
        amplitude=best,
        gain=scan.gain,
        operations_before=actions.order,
        operations_after=left.order,
        n_evaluations=sum(len(each.amplitudes) for each in scans),
        scan_amplitudes=scan.amplitudes,
        scan_energies=scan.energies,
    )
    return followed, best * pattern, left


def false_negative(mode: NegativeMode, order: int) -> FollowedMode:
    """Record of a mode whose curvature one evaluation showed not to be negative."""
    return FollowedMode(
        curvature=mode.curvature,
        degeneracy=len(mode.vectors),
        amplitude=0.0,
        gain=0.0,
        operations_before=order,
        operations_after=order,
        n_evaluations=1,
        scan_amplitudes=[],
        scan_energies=[],
    )


def _scan(
    pattern: Floats, curvature: float, energy: Callable[[Floats], float]
) -> AmplitudeScan:
    return scan_amplitude(lambda amplitude: energy(amplitude * pattern), curvature)


def _fixed_alone(matrices: Floats, count: int) -> list[Floats]:
    """Find unit vectors that one or two matrices, so also a subgroup, fix alone."""
    if count == 1:
        return [np.ones(1)]
    found: list[Floats] = []
    identity = np.eye(count)
    pairs = combinations(range(len(matrices)), 2)
    for chosen in [*((index,) for index in range(len(matrices))), *pairs]:
        stacked = np.concatenate([matrices[index] - identity for index in chosen])
        _, lengths, vectors = np.linalg.svd(stacked)
        if (lengths < 1e-6).sum() == 1:
            vector = vectors[-1] * np.sign(vectors[-1][np.argmax(np.abs(vectors[-1]))])
            if not any(np.abs(vector - known).max() < 1e-4 for known in found):
                found.append(vector)
    return found or [identity[0]]
