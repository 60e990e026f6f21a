"""Structures to learn from: strained, rattled, relaxing, moving. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS

from mofonon import progress
from mofonon.dataset.schemas import DynamicsSummary, Reached
from mofonon.dynamics import DynamicsSettings, Trajectory, why_exploded
from mofonon.errors import DatasetError
from mofonon.structures.descriptors import describe_frames
from mofonon.structures.farthest_point import farthest_point_sampling
from mofonon.structures.fingerprints import FingerprintSpec
from mofonon.timeseries import block_average, detect_equilibration

#: A mean further from its target than so many standard errors is reported.
DOUBTFUL_DEVIATION = 4.0

_FEWEST_SAMPLES = 16


def strained_cells(atoms: Atoms, linear_strains: Sequence[float]) -> list[Atoms]:
    """Cells strained alike along all vectors, atoms moving along.

    Parameters
    ----------
    atoms : Atoms
        The structure.
    linear_strains : sequence of float
        0.01 is 1 %.
    """
    found = []
    for strain in linear_strains:
        cell = atoms.copy()
        cell.set_cell((1 + strain) * atoms.cell.array, scale_atoms=True)
        found.append(cell)
    return found


def rattled_cells(
    atoms: Atoms, n_frames: int, deviation: float, max_strain: float, seed: int
) -> list[Atoms]:
    """Cells with a random strain and random displacements.

    Parameters
    ----------
    atoms : Atoms
        The structure.
    n_frames : int
        How many.
    deviation : float
        Standard deviation of each coordinate (A).
    max_strain : float
        Components of the symmetric strain are uniform between plus and minus this.
    seed : int
        Of the random numbers.
    """
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(n_frames):
        strain = generator.uniform(-max_strain, max_strain, (3, 3))
        strain = np.triu(strain) + np.triu(strain, 1).T
        cell = atoms.copy()
        cell.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        cell.positions += generator.normal(0, deviation, cell.positions.shape)
        found.append(cell)
    return found


@dataclass(frozen=True)
class RelaxationPath:
    """Frames of a relaxation.

    Attributes
    ----------
    frames : list of Atoms
        From the start on, without calculators.
    converged : bool
        Whether the threshold was reached.
    reason : str
        Why it was cut, if it exploded.
    """

    frames: list[Atoms]
    converged: bool
    reason: str


def relaxation_path(
    atoms: Atoms, calculator: BaseCalculator, fmax: float, max_steps: int
) -> RelaxationPath:
    """Relax cell and positions and keep every step.

    Parameters
    ----------
    atoms : Atoms
        The start.
    calculator : BaseCalculator
        The potential.
    fmax : float
        Threshold (eV/A).
    max_steps : int
        Steps before giving up; a path need not end in a minimum to be learnt from.
    """
    system = atoms.copy()
    system.calc = calculator
    limits = DynamicsSettings()
    frames: list[Atoms] = []
    filtered: Any = FrechetCellFilter(system)
    with LBFGS(filtered, logfile=None) as optimizer:  # type: ignore[arg-type]
        steps = optimizer.irun(fmax=fmax, steps=max_steps)
        converged = False
        while True:
            try:
                converged = next(steps)
            except StopIteration:
                return RelaxationPath(frames, converged=converged, reason="")
            except Exception:
                why = why_exploded(system, atoms, limits, 0.0)
                if why is None:
                    raise  # the potential failed on a sane frame
            else:
                why = why_exploded(system, atoms, limits, 0.0)
            if why is not None:
                reason = f"{why} after {optimizer.nsteps} steps"
                return RelaxationPath(frames, converged=False, reason=reason)
            frame = system.copy()
            frame.calc = None
            frames.append(frame)
            progress.report("relaxation path", len(frames), max_steps + 1)


def choose_frames(
    frames: Sequence[Atoms], n_frames: int, spec: FingerprintSpec, *, first: bool = False
) -> list[int]:
    """Choose frames that differ most, by farthest points over descriptors.

    Parameters
    ----------
    frames : sequence of Atoms
        Candidates.
    n_frames : int
        Most to choose; all are taken where there are no more.
    spec : FingerprintSpec
        The descriptors.
    first : bool
        Begin with the first frame.

    Returns
    -------
    list of int
        Indices, ascending.
    """
    if len(frames) <= n_frames:
        return list(range(len(frames)))
    points = describe_frames(frames, spec, total=len(frames))[:, 0]
    found = farthest_point_sampling(points, n_frames, start=0 if first else None)
    return sorted(int(index) for index in found.indices)


def summarize_dynamics(trajectory: Trajectory, settings: DynamicsSettings) -> DynamicsSummary:
    """Say what molecular dynamics reached, with errors.

    The equilibrated part begins where temperature and volume have both settled.

    Parameters
    ----------
    trajectory : Trajectory
        The samples.
    settings : DynamicsSettings
        What was asked for.

    Raises
    ------
    DatasetError
        There are too few samples for an average.
    """
    if len(trajectory) < _FEWEST_SAMPLES:
        exploded = f"; it exploded: {trajectory.reason}" if trajectory.reason else ""
        raise DatasetError(
            f"the trajectory has {len(trajectory)} samples{exploded}",
            f"{_FEWEST_SAMPLES} are needed: more steps, a smaller interval, or, after an "
            "explosion, a better potential or a shorter time step",
        )
    start = detect_equilibration(trajectory.temperatures).start
    if settings.ensemble != "nve":
        start = max(start, detect_equilibration(trajectory.volumes).start)
    start = min(start, len(trajectory) - _FEWEST_SAMPLES // 2)
    barostat = settings.ensemble != "nve"
    return DynamicsSummary(
        settings=settings,
        state=trajectory.state,
        reason=trajectory.reason,
        n_samples=len(trajectory),
        time=float(trajectory.times[-1]),
        equilibrated_from=float(trajectory.times[start]),
        temperature=_reached(settings.temperature, trajectory.temperatures[start:]),
        pressure=_reached(settings.pressure, trajectory.pressures[start:])
        if barostat
        else None,
        mean_volume=float(trajectory.volumes[start:].mean()),
        drift=trajectory.drift,
    )


def _reached(target: float, samples: np.ndarray) -> Reached:
    average = block_average(samples)
    return Reached(
        target=target,
        mean=average.mean,
        error=average.error,
        error_known=average.levelled,
    )


def doubts(summary: DynamicsSummary) -> list[str]:
    """Say what a user of the frames should know of the dynamics."""
    found = []
    if summary.state == "exploded":
        found.append(f"the trajectory exploded and was cut: {summary.reason}")
    checked = [("temperature", "K", summary.temperature), ("pressure", "GPa", summary.pressure)]
    if summary.settings.ensemble == "nve":
        checked = []
    for name, unit, reached in checked:
        if reached is None:
            continue
        if not reached.error_known:
            found.append(
                f"the trajectory is too short to know the mean {name}: {reached.mean:.4g} "
                f"{unit}, asked for {reached.target:g}"
            )
        elif reached.deviation > DOUBTFUL_DEVIATION:
            found.append(
                f"the mean {name} is {reached.mean:.4g} +- {reached.error:.2g} {unit}, "
                f"{reached.deviation:.0f} errors from {reached.target:g}"
            )
    return found
