"""Molecular dynamics: ensembles by closed forms, explosions, restarts to the last digit."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

from mofonon import progress
from mofonon.dynamics import (
    DynamicsSettings,
    Trajectory,
    draw_velocities,
    kinetic_temperature,
    run_dynamics,
    why_exploded,
)
from mofonon.errors import CheckpointError, PotentialError, SettingsError, StructureError
from support.closed_forms import GrueneisenCrystal, grueneisen_crystal

ENSEMBLES = ("npt", "npt-isotropic", "nve")


def _settings(ensemble="npt", **changes) -> DynamicsSettings:
    values = {"ensemble": ensemble, "steps": 60, "time_step": 2.0, "interval": 5}
    return DynamicsSettings.model_validate({**values, **changes})


def _equal(one: Trajectory, other: Trajectory) -> None:
    for name in ("times", "positions", "cells", "temperatures", "pressures", "conserved"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert (one.state, one.reason) == (other.state, other.reason)


class Breaking(GrueneisenCrystal):
    """Goes wrong at one evaluation: NaN forces, or an exception."""

    def __init__(self, sites, at, how):
        super().__init__(sites)
        self.at, self.how, self.count = at, how, 0

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.count += 1
        if self.count == self.at:
            if self.how == "nan":
                self.results["forces"] = np.full_like(self.results["forces"], np.nan)
            else:
                raise self.how


def test_the_closed_form_crystal_has_the_derivatives_it_claims():
    atoms, calculator = grueneisen_crystal(1, gamma=1.3)
    atoms.rattle(0.05, seed=1)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.01 * np.arange(9).reshape(3, 3) / 9))
    atoms.calc = calculator
    forces = calculate_numerical_forces(atoms, eps=1e-5)
    stress = calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-8)
    np.testing.assert_allclose(atoms.get_stress(), stress, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", ["npt", "npt-isotropic"])
def test_constant_pressure_gives_temperature_volume_and_pressure(ensemble):
    atoms, calculator = grueneisen_crystal(1, gamma=2.0)
    settings = _settings(
        ensemble, temperature=600, steps=2000, barostat_time=150, thermostat_time=50
    )
    trajectory = run_dynamics(atoms, calculator, settings)
    # of four atoms: with 3 N degrees of freedom they would be at 800 K
    assert trajectory.temperatures[80:].mean() == pytest.approx(600, rel=0.15)
    strain = np.log(trajectory.volumes[80:] / calculator.volume0).mean()
    assert strain == pytest.approx(
        np.log(calculator.volume(600) / calculator.volume0), rel=0.25
    )
    # with the cell at rest at first, as ASE has it, 8 times as much
    variance = np.log(trajectory.volumes[80:]).var()
    assert 0.3 < variance / calculator.log_volume_variance(600) < 3
    assert abs(trajectory.drift) < 5e-3
    assert trajectory.n_force_evaluations == 2001


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_the_error_of_the_conserved_quantity_goes_as_the_time_step_squared(ensemble):
    atoms, calculator = grueneisen_crystal(1)
    deviations = []
    for time_step in (4.0, 2.0):
        settings = _settings(
            ensemble, time_step=time_step, steps=round(200 / time_step), interval=1
        )
        trajectory = run_dynamics(atoms, calculator, settings)
        deviations.append(np.abs(trajectory.conserved - trajectory.conserved[0]).max())
    assert deviations[0] / deviations[1] == pytest.approx(4, rel=0.25)


def test_nve_keeps_the_cell_and_halves_the_temperature():
    atoms, calculator = grueneisen_crystal(2)
    trajectory = run_dynamics(atoms, calculator, _settings("nve", steps=400))
    assert np.array_equal(trajectory.cells[0], trajectory.cells[-1])
    assert trajectory.temperatures[0] == pytest.approx(300, rel=1e-12)
    assert trajectory.temperatures[20:].mean() == pytest.approx(150, rel=0.1)
    assert trajectory.frame(0) == atoms
    np.testing.assert_allclose(trajectory.frame(-1).get_volume(), trajectory.volumes[-1])
    center = trajectory.positions.mean(axis=1)
    np.testing.assert_allclose(center, center[:1].repeat(len(center), axis=0), atol=1e-10)


def test_pressure_has_its_kinetic_part():
    atoms, calculator = grueneisen_crystal(1)
    trajectory = run_dynamics(atoms, calculator, _settings("nve", steps=1, interval=1))
    ideal_gas = (len(atoms) - 1) * units.kB * 300 / atoms.get_volume() / units.GPa
    assert trajectory.pressures[0] == pytest.approx(ideal_gas, rel=1e-6)


def test_velocities_drawn():
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    draw_velocities(atoms, 77.0, seed=3)
    assert kinetic_temperature(atoms) == pytest.approx(77.0, rel=1e-12)
    np.testing.assert_allclose(atoms.get_momenta().sum(axis=0), 0, atol=1e-12)
    again, other = atoms.copy(), atoms.copy()
    draw_velocities(again, 77.0, seed=3)
    draw_velocities(other, 77.0, seed=4)
    assert np.array_equal(again.get_momenta(), atoms.get_momenta())
    assert not np.allclose(other.get_momenta(), atoms.get_momenta())
    draw_velocities(atoms, 77.0, seed=3, fixed=[0, 5])
    assert not atoms.get_momenta()[[0, 5]].any()
    assert kinetic_temperature(atoms) == pytest.approx(77.0)
    with pytest.raises(SettingsError, match="does nothing"):
        draw_velocities(atoms, 0.0, seed=0)
    with pytest.raises(SettingsError, match="can move"):
        draw_velocities(bulk("Cu"), 10.0, seed=0)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_a_run_that_was_stopped_goes_on_to_the_same_last_digit(ensemble, tmp_path):
    atoms, calculator = grueneisen_crystal(1)
    settings = _settings(ensemble)
    whole = run_dynamics(atoms, calculator, settings)
    path = tmp_path / "trajectory.npz"
    stopped = Breaking(atoms, 37, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run_dynamics(atoms, stopped, settings, checkpoint=path, checkpoint_seconds=0)
    counted = Breaking(atoms, 0, None)
    resumed = run_dynamics(atoms, counted, settings, checkpoint=path)
    _equal(resumed, whole)
    # 36 steps were made, 35 of them saved; the first evaluation is made again
    assert counted.count == 60 - 35 + 1
    assert resumed.n_force_evaluations == whole.n_force_evaluations + 1


def test_a_finished_run_is_read_made_longer_and_cut(tmp_path):
    atoms, calculator = grueneisen_crystal(1)
    path = tmp_path / "trajectory.npz"
    run_dynamics(atoms, calculator, _settings(steps=40), checkpoint=path)
    counted = Breaking(atoms, 0, None)
    longer = run_dynamics(atoms, counted, _settings(steps=60), checkpoint=path)
    assert counted.count == 21
    _equal(longer, run_dynamics(atoms, calculator, _settings(steps=60)))
    shorter = run_dynamics(atoms, counted, _settings(steps=30), checkpoint=path)
    assert counted.count == 21
    assert shorter.times[-1] == 60.0
    assert len(shorter) == 7


def test_checkpoints_of_something_else_are_refused(tmp_path):
    atoms, calculator = grueneisen_crystal(1)
    path = tmp_path / "trajectory.npz"
    run_dynamics(atoms, calculator, _settings(steps=5), checkpoint=path)
    with pytest.raises(CheckpointError, match="another structure or other settings"):
        run_dynamics(atoms, calculator, _settings(steps=5, seed=1), checkpoint=path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        run_dynamics(atoms, calculator, _settings(steps=5), checkpoint=path)
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"):
        run_dynamics(atoms, calculator, _settings(), checkpoint=tmp_path / "file" / "below")


@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_forces_that_are_no_numbers_cut_the_trajectory(ensemble, tmp_path):
    atoms, _ = grueneisen_crystal(1)
    path = tmp_path / "trajectory.npz"
    trajectory = run_dynamics(
        atoms, Breaking(atoms, 33, "nan"), _settings(ensemble), checkpoint=path
    )
    assert trajectory.state == "exploded"
    assert "fs" in trajectory.reason
    assert np.isfinite(trajectory.positions).all()
    assert len(trajectory) == 7
    again = run_dynamics(atoms, grueneisen_crystal(1)[1], _settings(ensemble), checkpoint=path)
    _equal(again, trajectory)


def test_a_time_step_too_long_explodes_and_says_so():
    atoms, calculator = grueneisen_crystal(1, stiffness=2000.0)
    trajectory = run_dynamics(atoms, calculator, _settings("nve", time_step=5.0, interval=1))
    assert trajectory.state == "exploded"
    assert "temperature" in trajectory.reason
    assert trajectory.temperatures.max() < 3000


def test_an_error_of_the_potential_in_a_sane_frame_is_an_error():
    atoms, _ = grueneisen_crystal(1)
    with pytest.raises(MemoryError):
        run_dynamics(atoms, Breaking(atoms, 20, MemoryError()), _settings())


def test_what_counts_as_exploded():
    start = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    settings = DynamicsSettings()

    def why(change, temperature=300.0):
        atoms = start.copy()
        change(atoms)
        return why_exploded(atoms, start, settings, temperature)

    def squash(atoms: Atoms) -> None:
        atoms.set_cell(atoms.cell.array * [[0.45], [1.6], [1.2]], scale_atoms=True)

    def collide(atoms: Atoms) -> None:
        atoms.positions[1] = atoms.positions[0] + [1.0, 0, 0]

    assert why(lambda atoms: None) is None
    assert "2600 K" not in (why(lambda atoms: None, 2600.0) or "")
    assert "4000 K" in why(lambda atoms: None, 4000.0)
    assert "0.34 times" in why(lambda atoms: atoms.set_cell(0.7 * atoms.cell.array))
    assert "opposite faces" in why(squash)
    assert "1.00 A apart" in why(collide)
    assert "not finite" in why(lambda atoms: atoms.positions.fill(np.nan))


def test_structures_and_potentials_that_cannot_be_run():
    atoms, calculator = grueneisen_crystal(1)
    with pytest.raises(StructureError, match="at least two atoms"):
        run_dynamics(bulk("Cu"), calculator, _settings())
    molecule = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])
    with pytest.raises(StructureError, match="periodic"):
        run_dynamics(molecule, calculator, _settings())

    class Stressless(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, *arguments):
            super().calculate(*arguments)
            self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}

    with pytest.raises(PotentialError, match="no stress"):
        run_dynamics(atoms, Stressless(), _settings())
    free = run_dynamics(atoms, Stressless(), _settings("nve", steps=1, interval=1))
    assert np.isnan(free.pressures).all()
    atoms.positions[1] = atoms.positions[0] + 0.1
    with pytest.raises(StructureError, match="cannot start"):
        run_dynamics(atoms, calculator, _settings())


def test_progress_is_reported():
    atoms, calculator = grueneisen_crystal(1)
    seen = []
    with progress.listening(seen.append):
        run_dynamics(atoms, calculator, _settings(steps=10))
    assert [each.done for each in seen] == [0, 5, 10]
    assert seen[-1].total == 10
    assert "A^3" in seen[-1].detail
