"""Quasi-harmonic approximation: a solid with a closed form, phonopy by hand, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from phonopy import Phonopy, run_qha
from scipy.optimize import brentq

from mofonon.errors import MofononError, QuasiHarmonicError
from mofonon.lattice.analysis import thermal_properties
from mofonon.lattice.gruneisen import mean_gruneisen, mode_gruneisen
from mofonon.lattice.mesh import mesh_modes
from mofonon.lattice.phonons import to_phonopy_atoms
from mofonon.lattice.quasi_harmonic import (
    QuasiHarmonicInput,
    cell_against_temperature,
    run_quasi_harmonic,
)
from mofonon.lattice.settings import PhononSettings

KJ_PER_MOL = units.kJ / units.mol
TEMPERATURES = np.arange(0.0, 1011.0, 10.0)
CLASSICAL = 3 * 8.314462618


class EinsteinSolid:
    """One atom, three modes nu = nu0 (V/V0)^-gamma, and U = B V0 ln(V/V0)^2 / 2.

    F is known in closed form, so are its derivatives: with P_th = gamma E_th / V the expansion
    is gamma C_V / (B_T V).
    """

    v0, b0, nu0 = 20.0, 80 * units.GPa, 5.0  # A^3, eV/A^3, THz

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def frequency(self, volume):
        return self.nu0 * (volume / self.v0) ** -self.gamma

    def _x(self, volume, temperature):
        quantum = self.frequency(volume) * 1e12 * units._hplanck / units._e
        return quantum, quantum / (units.kB * max(temperature, 1e-3))

    def energy(self, volume):
        return self.b0 * self.v0 / 2 * np.log(volume / self.v0) ** 2

    def vibration(self, volume, temperature):
        """Free energy (eV), entropy and heat capacity (eV/K) of the modes."""
        quantum, x = self._x(volume, temperature)
        x = np.minimum(x, 500.0)
        kt = units.kB * temperature
        free = 3 * (quantum / 2 + kt * np.log1p(-np.exp(-x)))
        entropy = 3 * units.kB * (x / np.expm1(x) - np.log1p(-np.exp(-x)))
        capacity = 3 * units.kB * (x / 2 / np.sinh(x / 2)) ** 2
        return free, entropy, capacity

    def thermal_energy(self, volume, temperature):
        quantum, x = self._x(volume, temperature)
        return 3 * quantum * (0.5 + 1 / np.expm1(min(x, 500.0)))

    def pressure(self, volume, temperature):
        static = -self.b0 * self.v0 / volume * np.log(volume / self.v0)
        return static + self.gamma * self.thermal_energy(volume, temperature) / volume

    def volume(self, temperature):
        return brentq(
            self.pressure, 0.8 * self.v0, 1.25 * self.v0, args=(temperature,), xtol=1e-12
        )

    def bulk_modulus(self, temperature):
        """-V dP/dV at the equilibrium volume (eV/A^3)."""
        volume = self.volume(temperature)
        step = 1e-4 * volume
        return (
            -volume
            * (
                self.pressure(volume + step, temperature)
                - self.pressure(volume - step, temperature)
            )
            / (2 * step)
        )

    def sample(self, strains=None, temperatures=TEMPERATURES):
        strains = np.linspace(-0.02, 0.02, 11) if strains is None else strains
        volumes = self.v0 * (1 + np.asarray(strains)) ** 3
        thermal = np.array(
            [[self.vibration(v, t) for t in temperatures] for v in volumes]
        ).transpose(2, 0, 1)
        return QuasiHarmonicInput(
            volumes=volumes,
            energies=self.energy(volumes),
            temperatures=np.asarray(temperatures),
            free_energies=thermal[0] / KJ_PER_MOL,
            entropies=1e3 * thermal[1] / KJ_PER_MOL,
            heat_capacities=1e3 * thermal[2] / KJ_PER_MOL,
        )


@pytest.mark.parametrize("gamma", [2.0, 0.7, -1.5])
def test_a_solid_with_one_grueneisen_parameter_expands_as_its_closed_form(gamma):
    """CTE = gamma C_V / (3 B_T V), to 3e-3: steps of 10 K, Vinet for another equation."""
    solid = EinsteinSolid(gamma)
    result = run_quasi_harmonic(solid.sample())
    assert np.array_equal(result.temperatures, TEMPERATURES[:-1])
    assert result.inside.all()
    assert not result.stopped
    for index in range(12, len(result.temperatures), 11):
        t = result.temperatures[index]
        volume, modulus = solid.volume(t), solid.bulk_modulus(t)
        capacity = solid.vibration(volume, t)[2]
        assert result.volumes[index] == pytest.approx(volume, rel=1e-5)
        assert result.bulk_moduli[index] == pytest.approx(modulus / units.GPa, rel=3e-3)
        linear = gamma * capacity / (3 * modulus * volume)
        assert result.cte_linear[index] == pytest.approx(linear, rel=3e-3)
        assert result.gruneisen[index] == pytest.approx(gamma, rel=3e-3)
        cp = capacity * (1 + 3 * linear * gamma * t)
        assert result.heat_capacity_p[index] == pytest.approx(1e3 * cp / KJ_PER_MOL, rel=1e-3)
    assert np.sign(result.cte_linear[-1]) == np.sign(gamma)


def test_units_are_converted_once():
    """Dulong-Petit in J/K/mol, the modulus in GPa, Gibbs energies in kJ/mol, 1/K."""
    solid = EinsteinSolid(0.1)
    result = run_quasi_harmonic(solid.sample())
    assert result.heat_capacity_p[-1] == pytest.approx(CLASSICAL, rel=5e-3)
    assert result.bulk_moduli[0] == pytest.approx(80, rel=1e-2)
    zero_point = 1.5 * 5e12 * 6.62607015e-34 * 6.02214076e23 / 1e3
    assert result.gibbs[0] == pytest.approx(zero_point, rel=1e-2)
    # entropy is minus the slope of the Gibbs energy
    slope = np.gradient(1e3 * result.gibbs, result.temperatures)[50]
    volume = solid.volume(result.temperatures[50])
    entropy = solid.vibration(volume, result.temperatures[50])[1]
    assert -slope == pytest.approx(1e3 * entropy / KJ_PER_MOL, rel=1e-3)
    assert np.array_equal(result.cte_linear, result.cte_volumetric / 3)
    assert result.cte_volumetric[0] == 0
    assert result.heat_capacity_p[0] == 0
    assert np.isnan(result.gruneisen[0])


def test_the_zero_of_energy_does_not_matter():
    data = EinsteinSolid(2.0).sample()
    here = run_quasi_harmonic(data)
    there = run_quasi_harmonic(replace(data, energies=data.energies - 5000.0))
    assert np.allclose(there.cte_linear[1:], here.cte_linear[1:], rtol=1e-6)
    assert np.allclose(there.gibbs, here.gibbs - 5000 / KJ_PER_MOL, atol=0.01)
    assert np.allclose(there.fitted([20.0]), here.fitted([20.0]) - 5000)
    assert here.residuals.max() < 0.02


def test_the_order_of_the_volumes_does_not_matter():
    strains = np.linspace(-0.02, 0.02, 7)
    solid = EinsteinSolid(2.0)
    shuffled = np.random.default_rng(0).permutation(strains)
    ours = run_quasi_harmonic(solid.sample(shuffled))
    assert np.allclose(ours.volumes, run_quasi_harmonic(solid.sample(strains)).volumes)


def test_an_expansion_beyond_the_volumes_is_marked_and_the_range_suggested():
    result = run_quasi_harmonic(EinsteinSolid(2.0).sample(np.linspace(-0.01, 0.01, 7)))
    outside = result.temperatures[~result.inside]
    assert 300 < outside.min() < 900
    assert result.needed_range[1] == pytest.approx(result.volumes[-1])
    assert result.needed_range[1] > result.sampled_volumes[-1]


def test_temperatures_without_a_minimum_end_the_series():
    data = EinsteinSolid(2.0).sample()
    # above 500 K a free energy that bends down
    bent = data.free_energies.copy()
    hot = data.temperatures > 500
    bent[:, hot] -= 40.0 * ((data.volumes - 20) ** 2)[:, None]
    result = run_quasi_harmonic(replace(data, free_energies=bent))
    assert result.temperatures[-1] == 490
    assert "at 510 K" in result.stopped
    assert (result.bulk_moduli > 0).all()
    assert np.isfinite(result.cte_linear).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: EinsteinSolid(1.0).sample(np.linspace(-0.02, 0.02, 4)), "needs 5 volumes"),
        (lambda d: replace(d, energies=d.energies * np.nan), "not finite"),
        (
            lambda d: replace(d, energies=-d.energies),
            "has no minimum near the volumes",
        ),
        (lambda d: replace(d, energies=d.energies[1:]), "do not belong to 11 volumes"),
        (lambda d: replace(d, volumes=np.full(11, 20.0)), "two volumes are equal"),
        (lambda d: d.up_to(2), "ascending temperatures or more, not 2"),
        (lambda d: replace(d, entropies=d.entropies[:, :-1]), "101|102 temperatures"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(change, message):
    with pytest.raises(QuasiHarmonicError, match=message) as caught:
        run_quasi_harmonic(change(EinsteinSolid(2.0).sample()))
    assert isinstance(caught.value, MofononError)
    assert caught.value.remedy


def test_it_equals_phonopy_driven_by_hand_for_aluminium(aluminium):
    """run_qha on Phonopy objects against ours on thermal properties: CTE to 1e-3 relative."""
    settings = PhononSettings(mesh=(7, 7, 7), temperature_max=610, temperature_step=20)
    phonopys, energies, thermal, cells = [], [], [], []
    for strain in np.linspace(-0.01, 0.03, 7):
        atoms = bulk("Al", "fcc", a=aluminium.cell.lengths()[0] * np.sqrt(2) * (1 + strain))
        phonon = _phonons(atoms)
        phonopys.append(phonon)
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
        thermal.append(thermal_properties(mesh_modes(phonon, settings.mesh), settings))
        cells.append(atoms.cell.cellpar())
    theirs = run_qha(
        phonopys,
        thermal[0].temperatures,
        internal_energies=energies,
        mesh=settings.mesh,
        exclude_gamma_acoustic=True,
    )
    volumes = np.array([phonon.primitive.volume for phonon in phonopys])
    ours = run_quasi_harmonic(
        QuasiHarmonicInput(
            volumes=volumes,
            energies=np.array(energies),
            temperatures=thermal[0].temperatures,
            free_energies=np.array([part.free_energies for part in thermal]),
            entropies=np.array([part.entropies for part in thermal]),
            heat_capacities=np.array([part.heat_capacities for part in thermal]),
        )
    )
    joule = 1e3 / KJ_PER_MOL
    assert np.allclose(ours.cte_volumetric, theirs.thermal_expansion, rtol=1e-5)
    assert np.allclose(ours.volumes, theirs.equilibrium_volumes, rtol=1e-7)
    assert np.allclose(ours.bulk_moduli, theirs.bulk_moduli / units.GPa, rtol=1e-5)
    assert np.allclose(ours.gibbs, theirs.gibbs_free_energies / KJ_PER_MOL, rtol=1e-6)
    assert np.allclose(
        ours.heat_capacity_p, theirs.heat_capacity_P.heat_capacities * joule, rtol=1e-5
    )
    cell = cell_against_temperature(volumes, cells, ours)
    lattice = theirs.lattice
    assert np.allclose(cell.parameters[:, :3], lattice.lattice_parameters, rtol=1e-6)
    assert np.allclose(cell.axial_cte, lattice.axial_thermal_expansions, rtol=1e-3, atol=1e-9)
    assert np.allclose(cell.axial_cte[:, 0], ours.cte_linear, rtol=1e-3, atol=1e-9)


def _phonons(atoms: Atoms) -> Phonopy:
    phonon = Phonopy(to_phonopy_atoms(atoms), np.diag([2, 2, 2]), primitive_matrix="P")
    phonon.generate_displacements(distance=0.01)
    forces = []
    for cell in phonon.supercells_with_displacements:
        system = Atoms(cell.symbols, cell=cell.cell, positions=cell.positions, pbc=True)
        system.calc = EMT()
        forces.append(system.get_forces())
    phonon.forces = np.array(forces)
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


def test_axes_of_a_cell_that_is_not_cubic():
    """With a ~ V^(2/5), c ~ V^(1/5): axial expansions 2/5 and 1/5 of the volumetric one."""
    result = run_quasi_harmonic(EinsteinSolid(2.0).sample())
    volumes = result.sampled_volumes
    a, c = 3 * (volumes / 20) ** 0.4, 5 * (volumes / 20) ** 0.2
    right = np.full_like(a, 90.0)
    beta = 100 + 0.5 * (volumes - 20)
    cell = cell_against_temperature(
        volumes, np.column_stack([a, a, c, right, beta, right]), result
    )
    assert np.allclose(cell.axial_cte[:, 0], 0.4 * result.cte_volumetric, rtol=1e-4)
    assert np.allclose(cell.axial_cte[:, 2], 0.2 * result.cte_volumetric, rtol=1e-4)
    assert np.allclose(cell.axial_cte.sum(axis=1), result.cte_volumetric, rtol=1e-4)
    assert np.allclose(cell.parameters[:, 4], 100 + 0.5 * (result.volumes - 20))
    slopes = np.gradient(cell.parameters[:, 4], result.temperatures)
    assert np.allclose(cell.angle_slopes[5:-5, 1], slopes[5:-5], rtol=5e-3, atol=1e-9)
    with pytest.raises(QuasiHarmonicError, match="over 3 volumes"):
        cell_against_temperature(volumes[:3], np.ones((3, 6)), result)


def test_mode_grueneisen_parameters_of_power_laws_are_their_exponents():
    rng = np.random.default_rng(1)
    gamma = rng.uniform(-5, 3, (4, 6))
    at_v0 = np.sort(rng.uniform(1, 20, (4, 6)), axis=1)
    volumes = 20 * (1 + np.linspace(-0.02, 0.02, 5)) ** 3
    frequencies = at_v0 * (volumes[:, None, None] / 20) ** -gamma
    for degree in (1, 2):
        found = mode_gruneisen(volumes, frequencies, degree=degree)
        assert np.allclose(found, gamma, atol=1e-9)
    frequencies[2, 1, 0] = -0.3
    found = mode_gruneisen(volumes, frequencies)
    assert np.isnan(found[1, 0])
    assert np.isfinite(found).sum() == gamma.size - 1
    with pytest.raises(QuasiHarmonicError, match="2 volumes"):
        mode_gruneisen(volumes[:2], frequencies[:2])


def test_mode_grueneisen_parameters_that_change_are_taken_at_the_volume_asked():
    """For omega = exp(-a x - b x^2), x = ln(V/20): gamma = a + 2 b x."""
    volumes = 20 * (1 + np.linspace(-0.02, 0.02, 7)) ** 3
    x = np.log(volumes / 20)
    frequencies = np.exp(-2.0 * x - 15.0 * x**2)[:, None, None]
    assert mode_gruneisen(volumes, frequencies, at=20.0)[0, 0] == pytest.approx(2.0)
    assert mode_gruneisen(volumes, frequencies, at=20.4)[0, 0] == pytest.approx(
        2.0 + 30 * np.log(1.02)
    )


def test_the_mean_is_weighted_with_heat_capacities():
    gamma = np.array([[3.0, 1.0], [np.nan, 1.0]])
    frequencies = np.array([[1.0, 30.0], [0.0, 30.0]])
    means = mean_gruneisen(gamma, frequencies, [1, 2], [0.0, 10.0, 1e6])
    assert np.isnan(means[0])
    assert means[1] == pytest.approx(3.0, abs=1e-6)  # the hard modes are frozen
    assert means[2] == pytest.approx((3.0 + 1.0 + 2.0) / 4, rel=1e-6)


def test_mean_and_thermodynamic_grueneisen_parameters_agree():
    solid = EinsteinSolid(1.3)
    result = run_quasi_harmonic(solid.sample())
    frequencies = solid.frequency(result.sampled_volumes)[:, None, None].repeat(3, axis=2)
    gamma = mode_gruneisen(result.sampled_volumes, frequencies)
    mean = mean_gruneisen(gamma, frequencies[5], [1], result.temperatures)
    assert np.allclose(mean[1:], 1.3)
    assert np.allclose(result.gruneisen[12:], mean[12:], rtol=3e-3)
