"""ASE's integrators, with velocities that have no total momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixAtoms
from ase.md.md import MolecularDynamics
from ase.md.nose_hoover_chain import MTKNPT, IsotropicMTKNPT
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from mofonon.dynamics.settings import DynamicsSettings
from mofonon.errors import SettingsError

#: Momenta of a free cell that does not rotate.
_CELL_MOMENTA = 6


def draw_velocities(
    atoms: Atoms, temperature: float, seed: int, fixed: Sequence[int] = ()
) -> None:
    """Give atoms velocities of a temperature, reached exactly, without total momentum.

    Parameters
    ----------
    atoms : Atoms
        The structure; it is changed.
    temperature : float
        Temperature (K).
    seed : int
        Seed of the Maxwell-Boltzmann distribution.
    fixed : sequence of int
        Atoms that do not move; with them the momentum of the others is left as drawn.

    Raises
    ------
    SettingsError
        For a temperature of zero, or atoms that cannot move against each other: nothing would
        move.
    """
    if temperature <= 0:
        raise SettingsError(
            f"molecular dynamics that starts at {temperature:g} K does nothing",
            "give a temperature above 0 K",
        )
    if len(fixed):
        atoms.set_constraint(FixAtoms(indices=list(fixed)))
    thermalize_momenta(atoms, temperature, rng=np.random.default_rng(seed))
    if not len(fixed):
        Stationary(atoms, preserve_temperature=False)
    if not atoms.get_kinetic_energy() > 0 or degrees_of_freedom(atoms) < 1:
        raise SettingsError(
            f"no atom of {atoms.get_chemical_formula()} can move against another",
            "repeat the cell, or fix fewer atoms",
        )
    atoms.set_momenta(atoms.get_momenta() * np.sqrt(temperature / kinetic_temperature(atoms)))


def degrees_of_freedom(atoms: Atoms) -> int:
    """Count three for each free atom, less three for the momentum unless some are fixed."""
    n_degrees = atoms.get_number_of_degrees_of_freedom()
    return int(n_degrees if atoms.constraints else n_degrees - 3)


def kinetic_temperature(atoms: Atoms) -> float:
    """Temperature of the velocities (K)."""
    kinetic = atoms.get_kinetic_energy()
    return float(2 * kinetic / (degrees_of_freedom(atoms) * units.kB))


def make_integrator(system: Atoms, settings: DynamicsSettings) -> MolecularDynamics:
    """ASE's integrator for an ensemble, with 3 N - 3 degrees of freedom."""
    time_step = settings.time_step * units.fs
    if settings.ensemble == "nve":
        return VelocityVerlet(system, timestep=time_step)
    kind = MTKNPT if settings.ensemble == "npt" else IsotropicMTKNPT
    integrator: Any = kind(
        system,
        timestep=time_step,
        temperature_K=settings.temperature,
        pressure_au=settings.pressure * units.GPa,
        tdamp=settings.thermostat_time * units.fs,
        pdamp=settings.barostat_time * units.fs,
    )
    _correct(integrator, settings)
    return integrator


# The rest reaches into ASE's integrators: what it sets has no public way.
# ruff: noqa: SLF001


def _correct(integrator: Any, settings: DynamicsSettings) -> None:
    """Count the degrees of freedom that move, and start the cell at the temperature.

    Without total momentum 3 N - 3 of the atoms move, not 3 N; and of the nine momenta of a
    free cell the three of its rotation stay zero. ASE's chains heat what moves to make up for
    what does not. The cell starts at rest in ASE: until it meets the others, the volume alone
    then carries the energy of all of them, and fluctuates nine times too much.
    """
    moving = len(integrator.atoms) - 1
    thermostat, barostat = integrator._thermostat, integrator._barostat
    for part in (integrator, thermostat):
        part._num_atoms_global = moving
    thermostat._Q[0] *= moving / (moving + 1)
    # the cell of a solid swings some 16 times faster than the time constant that makes its
    # mass: a chain as slow as that constant would not give it its temperature
    barostat._R *= (settings.thermostat_time / settings.barostat_time) ** 2
    random = np.random.default_rng([settings.seed, 1])
    deviation = np.sqrt(barostat.W * units.kB * settings.temperature)
    if settings.ensemble == "npt-isotropic":
        integrator._p_eps = float(deviation * random.normal())
        return
    barostat._R[0] *= _CELL_MOMENTA / barostat._cell_dof
    barostat._cell_dof = _CELL_MOMENTA
    momenta = deviation * random.normal(size=(3, 3))
    # on the diagonal of variance W k_B T, off it of half of that: each pair counts twice
    integrator._p_g = (momenta + momenta.T) / 2


def integrator_state(integrator: MolecularDynamics) -> dict[str, Any]:
    """Numbers and arrays that an integrator, its thermostat and its barostat hold."""
    return {
        f"{prefix}.{name}": value
        for prefix, part in _parts(integrator).items()
        for name, value in _numeric(part).items()
    }


def restore_state(integrator: MolecularDynamics, state: dict[str, Any]) -> None:
    """Put what :func:`integrator_state` gave, read from a file, into an integrator."""
    for prefix, part in _parts(integrator).items():
        for name in _numeric(part):
            value = np.asarray(state[f"{prefix}.{name}"])
            setattr(part, name, value.copy() if value.ndim else value.item())


def _parts(integrator: MolecularDynamics) -> dict[str, Any]:
    parts = {"_thermostat": None, "_barostat": None}
    found = {name: getattr(integrator, name) for name in parts if hasattr(integrator, name)}
    return {"integrator": integrator, **found}


def _numeric(part: object) -> dict[str, Any]:
    """Give the attributes of an integrator, or of a part of it, that are numbers or arrays."""
    return {
        name: value
        for name, value in vars(part).items()
        if isinstance(value, int | float | np.number | np.ndarray)
        and not isinstance(value, bool)
    }
