"""A trajectory made, watched, sampled and saved."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError

from mofonon import progress
from mofonon.dynamics.checkpoint import DynamicsCheckpoint
from mofonon.dynamics.explosion import why_exploded
from mofonon.dynamics.integrators import (
    draw_velocities,
    integrator_state,
    kinetic_temperature,
    make_integrator,
    restore_state,
)
from mofonon.dynamics.settings import DynamicsSettings
from mofonon.dynamics.trajectory import SAMPLED, Trajectory, cut_trajectory
from mofonon.errors import PotentialError, StructureError
from mofonon.potentials import LoggedCalculator
from mofonon.provenance import content_hash


def run_dynamics(
    atoms: Atoms,
    calculator: BaseCalculator,
    settings: DynamicsSettings,
    *,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 5.0,
) -> Trajectory:
    """Run molecular dynamics, watch it, and sample it.

    Parameters
    ----------
    atoms : Atoms
        The structure, periodic; it is not changed. Its velocities are not used.
    calculator : BaseCalculator
        The potential.
    settings : DynamicsSettings
        Ensemble, length, sampling.
    checkpoint : Path, optional
        File from which the run goes on, to the same last digit, if there is one, and to which
        it is saved. The name must tell the potential: the file only knows the structure and
        the settings. More ``steps`` make a finished run longer.
    checkpoint_seconds : float
        Wall time after which the trajectory is saved again (s); 0 saves every sample.

    Returns
    -------
    Trajectory
        With ``state`` ``exploded`` and what is sane of it, when it exploded.

    Raises
    ------
    StructureError
        For a structure that is not periodic, has fewer than two atoms, or is exploded already.
    PotentialError
        When a barostat is asked for and the potential has no stress.
    CheckpointError
        When the checkpoint belongs to something else, is damaged, in use or not writable.
    """
    system = _system(atoms)
    counted = LoggedCalculator(calculator)
    system.calc = counted
    draw_velocities(system, settings.temperature, settings.seed)
    if checkpoint is None:
        return _Run(system, counted, settings, None, checkpoint_seconds).go()
    key = content_hash({"structure": _structure_key(atoms), "settings": settings.identity()})
    with DynamicsCheckpoint(checkpoint, key) as saved:
        return _Run(system, counted, settings, saved, checkpoint_seconds).go()


def _system(atoms: Atoms) -> Atoms:
    if not atoms.pbc.all() or len(atoms) < 2:
        raise StructureError(
            f"molecular dynamics of {atoms.get_chemical_formula()} needs a periodic structure "
            "of at least two atoms",
            "give a crystal; repeat a cell of one atom",
        )
    system = atoms.copy()
    system.set_constraint()
    system.calc = None
    return system


def _structure_key(atoms: Atoms) -> list[list[float]]:
    rows = [*atoms.cell.array.tolist(), *atoms.positions.tolist(), atoms.numbers.tolist()]
    return [*rows, atoms.get_masses().tolist()]


class _Run:
    """A trajectory while it is made."""

    def __init__(
        self,
        system: Atoms,
        calculator: LoggedCalculator,
        settings: DynamicsSettings,
        checkpoint: DynamicsCheckpoint | None,
        checkpoint_seconds: float,
    ) -> None:
        self.system = system
        self.calculator = calculator
        self.settings = settings
        self.checkpoint = checkpoint
        self.checkpoint_seconds = checkpoint_seconds
        self.start = system.copy()
        self.integrator = make_integrator(system, settings)
        self.samples: dict[str, list[Any]] = {name: [] for name in SAMPLED}
        self.reason = ""
        self.earlier_evaluations = 0
        self.earlier_seconds = 0.0
        self.began = self.saved = time.perf_counter()
        self.save_took = 0.0

    def go(self) -> Trajectory:
        """Run to the end, from the checkpoint if there is one."""
        if not self._resume():
            self._check_potential()
            self._watch()
            if self.reason:
                raise StructureError(
                    f"{self.system.get_chemical_formula()} cannot start: {self.reason}",
                    "give a relaxed structure",
                )
        while not self.reason and self.integrator.nsteps < self.settings.steps:
            self._step()
        self._save()
        return self._trajectory()

    def _step(self) -> None:
        """Make a step; what fails in a frame that is not sane is an explosion, not an error."""
        try:
            self.integrator.step()  # type: ignore[attr-defined]
            self.integrator.nsteps += 1
            energy = self.system.get_potential_energy()
        except Exception:
            self.reason = self._why_exploded() or ""
            if not self.reason:
                raise
            return
        if not np.isfinite(energy):
            self.reason = f"the energy is not finite {self._when()}"
        elif self.integrator.nsteps % self.settings.interval == 0:
            self._watch()
            if self._due():
                self._save()

    def _due(self) -> bool:
        """Whether to save: rarely enough that saving takes a twentieth of the time at most."""
        seconds = self.checkpoint_seconds
        wait = max(seconds, 20 * self.save_took) if seconds else 0.0
        return time.perf_counter() - self.saved >= wait

    def _watch(self) -> None:
        """Sample the frame if it is sane."""
        self.reason = self._why_exploded() or ""
        if self.reason:
            return
        steps, system = self.integrator.nsteps, self.system
        temperature = kinetic_temperature(system)
        sample = {
            "times": steps * self.settings.time_step,
            "positions": system.get_positions(),
            "cells": system.cell.array.copy(),
            "temperatures": temperature,
            "pressures": self._pressure(),
            "potential_energies": system.get_potential_energy(),
            "conserved": self._conserved(),
        }
        for name, value in sample.items():
            self.samples[name].append(value)
        progress.report(
            "molecular dynamics",
            steps,
            self.settings.steps,
            f"{temperature:.0f} K, {system.get_volume():.1f} A^3",
        )

    def _why_exploded(self) -> str | None:
        temperature = kinetic_temperature(self.system)
        why = why_exploded(self.system, self.start, self.settings, temperature)
        return f"{why} {self._when()}" if why else None

    def _when(self) -> str:
        return f"after {self.integrator.nsteps * self.settings.time_step:.1f} fs"

    def _pressure(self) -> float:
        try:
            stress = self.system.get_stress(voigt=True, include_ideal_gas=True)
        except PropertyNotImplementedError:
            return np.nan
        return float(-stress[:3].mean() / units.GPa)

    def _conserved(self) -> float:
        integrator: Any = self.integrator
        if self.settings.ensemble == "nve":
            return float(self.system.get_total_energy())
        return float(integrator.get_conserved_energy())

    def _check_potential(self) -> None:
        self.system.get_potential_energy()
        if self.settings.ensemble != "nve" and "stress" not in self.calculator.results:
            raise PotentialError(
                f"{self.system.get_chemical_formula()} cannot be kept at constant pressure: "
                "the potential gives no stress",
                "choose a potential with stress, or the ensemble nve",
            )

    def _resume(self) -> bool:
        """Go on from the checkpoint; False if there is none."""
        state = self.checkpoint.read() if self.checkpoint is not None else None
        if state is None:
            return False
        for name in SAMPLED:
            self.samples[name] = list(state[f"samples.{name}"])
        self.reason = str(state["reason"])
        self.earlier_evaluations = int(state["evaluations"])
        self.earlier_seconds = float(state["seconds"])
        self.system.set_cell(state["atoms.cell"])
        self.system.positions = state["atoms.positions"]
        self.system.set_momenta(state["atoms.momenta"])
        restore_state(self.integrator, state)
        return True

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        began = time.perf_counter()
        state: dict[str, Any] = {
            f"samples.{name}": np.array(values) for name, values in self.samples.items()
        }
        state |= integrator_state(self.integrator)
        state |= {
            "atoms.cell": self.system.cell.array,
            "atoms.positions": self.system.positions,
            "atoms.momenta": self.system.get_momenta(),
            "reason": self.reason,
            "evaluations": self._n_evaluations(),
            "seconds": self._seconds(),
        }
        self.checkpoint.write(state)
        self.saved = time.perf_counter()
        self.save_took = self.saved - began

    def _n_evaluations(self) -> int:
        return self.earlier_evaluations + self.calculator.n_evaluations

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.began

    def _trajectory(self) -> Trajectory:
        arrays: dict[str, Any] = {
            name: np.array(values) for name, values in self.samples.items()
        }
        whole = Trajectory(
            numbers=np.array(self.system.numbers, dtype=np.int64),
            **arrays,
            state="exploded" if self.reason else "complete",
            reason=self.reason,
            n_force_evaluations=self._n_evaluations(),
            seconds=self._seconds(),
        )
        return cut_trajectory(whole, self.settings.steps * self.settings.time_step)
