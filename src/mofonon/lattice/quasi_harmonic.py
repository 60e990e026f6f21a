"""Quasi-harmonic approximation: phonons at several volumes to properties over temperature.

At each temperature the free energy F(V, T) = U(V) + F_vib(V, T) is fitted with an equation of
state, whose minimum is V(T); phonopy's ``run_qha`` does that, and everything that follows from
V(T), S(V) and C_V(V). It takes Phonopy objects with force constants; what it asks of them is
answered here from thermal properties that exist already.

phonopy 4 computes in eV, A and K. Its results are converted to GPa, kJ/mol and J/K/mol in
one place, :func:`_in_our_units`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import ArrayLike, NDArray
from phonopy import run_qha
from phonopy.physical_units import get_physical_units
from phonopy.qha.eos import get_eos
from phonopy.qha.qha import QHAResult
from phonopy.structure.symmetry import NosymDataset

from mofonon.equation_of_state import EquationOfState
from mofonon.errors import QuasiHarmonicError

Floats = NDArray[np.float64]

#: phonopy fits C_V(V) and S(V) with polynomials of fourth degree.
FEWEST_VOLUMES = 5

#: phonopy takes differences over neighbouring temperatures.
FEWEST_TEMPERATURES = 3

#: Two volumes that differ by less than this share of them are the same.
SMALLEST_STEP = 1e-7

#: A minimum is believed this share of the width of the range beyond its ends, no further.
FARTHEST_MINIMUM = 0.5

_CELL_DEGREE = 3


@dataclass(frozen=True)
class QuasiHarmonicInput:
    """Energies and thermal properties of one cell at several volumes.

    Attributes
    ----------
    volumes : ndarray, shape (n_volumes,)
        Volumes of the cell (A^3), in any order.
    energies : ndarray, shape (n_volumes,)
        Potential energies of the cell (eV).
    temperatures : ndarray, shape (n_temperatures,)
        Temperatures (K), ascending; one more than wanted, because phonopy spends the last
        one on differences.
    free_energies : ndarray, shape (n_volumes, n_temperatures)
        Free energies of vibration (kJ/mol of cell).
    entropies, heat_capacities : ndarray, shape (n_volumes, n_temperatures)
        Entropies and heat capacities at constant volume (J/K/mol of cell).
    """

    volumes: Floats
    energies: Floats
    temperatures: Floats
    free_energies: Floats
    entropies: Floats
    heat_capacities: Floats

    def sorted(self) -> QuasiHarmonicInput:
        """Sort by ascending volume."""
        order = np.argsort(self.volumes)
        return replace(
            self,
            volumes=self.volumes[order],
            energies=self.energies[order],
            free_energies=self.free_energies[order],
            entropies=self.entropies[order],
            heat_capacities=self.heat_capacities[order],
        )

    def up_to(self, n_temperatures: int) -> QuasiHarmonicInput:
        """Keep only the lowest temperatures."""
        return replace(
            self,
            temperatures=self.temperatures[:n_temperatures],
            free_energies=self.free_energies[:, :n_temperatures],
            entropies=self.entropies[:, :n_temperatures],
            heat_capacities=self.heat_capacities[:, :n_temperatures],
        )


@dataclass(frozen=True)
class QuasiHarmonicResult:
    """Properties at zero pressure over temperature; what is undefined is NaN.

    Attributes
    ----------
    temperatures : ndarray, shape (n_temperatures,)
        Temperatures (K); the last one of the input is not among them.
    volumes : ndarray, shape (n_temperatures,)
        Volume of the least free energy (A^3).
    cte_volumetric : ndarray, shape (n_temperatures,)
        Volumetric thermal expansion (1/V) dV/dT (1/K).
    bulk_moduli : ndarray, shape (n_temperatures,)
        Isothermal bulk modulus (GPa).
    gibbs : ndarray, shape (n_temperatures,)
        Gibbs energy at zero pressure, potential energy included (kJ/mol of cell).
    heat_capacity_p : ndarray, shape (n_temperatures,)
        Heat capacity at constant pressure (J/K/mol of cell).
    gruneisen : ndarray, shape (n_temperatures,)
        Thermodynamic Grueneisen parameter, cte_volumetric B V / C_V (dimensionless).
    inside : ndarray of bool, shape (n_temperatures,)
        Whether the volume lies between the smallest and the largest one that was computed;
        elsewhere everything is an extrapolation.
    equation_of_state : str
        What was fitted.
    parameters : ndarray, shape (n_temperatures, 4)
        Its parameters: energy (eV), bulk modulus (eV/A^3), its derivative, volume (A^3).
    sampled_volumes : ndarray, shape (n_volumes,)
        Volumes of the input (A^3), ascending.
    helmholtz : ndarray, shape (n_temperatures, n_volumes)
        Free energies at them (eV).
    stopped : str
        Why there are no higher temperatures; empty if all that were asked for are there.
    """

    temperatures: Floats
    volumes: Floats
    cte_volumetric: Floats
    bulk_moduli: Floats
    gibbs: Floats
    heat_capacity_p: Floats
    gruneisen: Floats
    inside: NDArray[np.bool_]
    equation_of_state: EquationOfState
    parameters: Floats = field(repr=False)
    sampled_volumes: Floats = field(repr=False)
    helmholtz: Floats = field(repr=False)
    stopped: str = ""

    @property
    def cte_linear(self) -> Floats:
        """A third of the volumetric expansion: the mean over all directions (1/K)."""
        return self.cte_volumetric / 3

    @property
    def residuals(self) -> Floats:
        """Root mean square deviation of the free energies from each fit (meV per cell)."""
        return 1e3 * np.sqrt(
            np.mean((self.fitted(self.sampled_volumes) - self.helmholtz) ** 2, 1)
        )

    @property
    def needed_range(self) -> tuple[float, float]:
        """Smallest and largest of the volumes over temperature (A^3): what to sample."""
        return float(self.volumes.min()), float(self.volumes.max())

    def fitted(self, volumes: ArrayLike) -> Floats:
        """Free energies of the fits, shape (n_temperatures, n_volumes) (eV)."""
        equation = get_eos(self.equation_of_state)
        points = np.asarray(volumes, float)
        return np.array([equation(points, parameters) for parameters in self.parameters])


def run_quasi_harmonic(
    data: QuasiHarmonicInput, equation_of_state: EquationOfState = "vinet"
) -> QuasiHarmonicResult:
    """Fit the free energies at each temperature and derive what follows from the fits.

    Parameters
    ----------
    data : QuasiHarmonicInput
        Energies and thermal properties at five or more volumes.
    equation_of_state : str
        ``vinet``, ``birch_murnaghan`` or ``murnaghan``.

    Returns
    -------
    QuasiHarmonicResult
        Up to the last temperature before the one at which there is no minimum any more, in
        which case ``stopped`` says so.

    Raises
    ------
    QuasiHarmonicError
        For too few or equal volumes, shapes that do not belong together, numbers that are
        not finite, and when already the lowest temperatures have no minimum, with a positive
        bulk modulus, near the volumes.

    References
    ----------
    phonopy's ``run_qha``: A. Togo, L. Chaput, I. Tanaka and G. Hug, Phys. Rev. B 81, 174301
    (2010).
    """
    _check(data)
    data = data.sorted()
    found = _run_phonopy(data, equation_of_state)
    n_usable = _leading_minima(found, data.temperatures)
    stopped = ""
    if n_usable < len(data.temperatures) - 1:
        first = data.temperatures[n_usable]
        stopped = f"at {first:g} K the free energy has no minimum near the volumes computed"
        if n_usable < FEWEST_TEMPERATURES:
            raise QuasiHarmonicError(
                stopped,
                "relax the structure tightly first, and sample volumes around its minimum",
            )
        found = _run_phonopy(data.up_to(n_usable), equation_of_state)
    return _in_our_units(found, float(data.energies.mean()), equation_of_state, stopped)


@dataclass(frozen=True)
class CellAgainstTemperature:
    """Cell parameters over temperature.

    Attributes
    ----------
    parameters : ndarray, shape (n_temperatures, 6)
        a, b, c (A), alpha, beta, gamma (degrees).
    axial_cte : ndarray, shape (n_temperatures, 3)
        Expansion of a, b and c, (1/a) da/dT (1/K).
    angle_slopes : ndarray, shape (n_temperatures, 3)
        Change of alpha, beta and gamma with temperature (degrees/K).
    """

    parameters: Floats
    axial_cte: Floats
    angle_slopes: Floats


def cell_against_temperature(
    volumes: ArrayLike, cells: ArrayLike, result: QuasiHarmonicResult
) -> CellAgainstTemperature:
    """Follow the cell along V(T), by cubic polynomials of the volume.

    The cell at a temperature is taken to be the one that relaxation gives at its volume: what
    temperature does to the shape at constant volume is left out.

    Parameters
    ----------
    volumes : array_like, shape (n_volumes,)
        Volumes (A^3), four or more.
    cells : array_like, shape (n_volumes, 6)
        a, b, c (A), alpha, beta, gamma (degrees) of the cells relaxed at them.
    result : QuasiHarmonicResult
        Volumes and expansion over temperature.

    Raises
    ------
    QuasiHarmonicError
        For too few volumes.
    """
    sampled, measured = np.asarray(volumes, float), np.asarray(cells, float)
    if len(sampled) <= _CELL_DEGREE or measured.shape != (len(sampled), 6):
        raise QuasiHarmonicError(
            f"the cell cannot be followed over {len(sampled)} volumes",
            f"give {_CELL_DEGREE + 1} or more, with six cell parameters each",
        )
    middle = sampled.mean()
    coefficients = polynomial.polyfit(sampled / middle - 1, measured, _CELL_DEGREE)
    at = result.volumes / middle - 1
    parameters = polynomial.polyval(at, coefficients).T
    slopes = polynomial.polyval(at, polynomial.polyder(coefficients)).T / middle
    over_temperature = slopes * (result.volumes * result.cte_volumetric)[:, None]
    return CellAgainstTemperature(
        parameters=parameters,
        axial_cte=over_temperature[:, :3] / parameters[:, :3],
        angle_slopes=over_temperature[:, 3:],
    )


class _Answers:
    """What ``run_qha`` asks of a Phonopy object, answered from what was computed before."""

    def __init__(self, volume: float, thermal: tuple[Floats, Floats, Floats]) -> None:
        side = np.cbrt(volume)
        self.primitive = SimpleNamespace(volume=volume)
        self.unitcell = SimpleNamespace(cell=np.diag([side, side, side]))
        identity = np.eye(3, dtype=np.int64)
        self.symmetry = SimpleNamespace(
            dataset=NosymDataset(identity[None], np.zeros((1, 3)), np.eye(3), "1")
        )
        self.force_constants = ()
        free_energy, entropy, heat_capacity = thermal
        self._thermal = SimpleNamespace(
            free_energy=free_energy, entropy=entropy, heat_capacity=heat_capacity
        )

    def run_mesh(self, *_: Any, **__: Any) -> None:
        """Do nothing: the sums over the mesh are there."""

    def run_thermal_properties(self, **_: Any) -> SimpleNamespace:
        """Free energy (kJ/mol), entropy and heat capacity (J/K/mol)."""
        return self._thermal


def _run_phonopy(data: QuasiHarmonicInput, equation_of_state: EquationOfState) -> QHAResult:
    """Call phonopy, energies relative to their mean: large numbers would round the fits."""
    answers: list[Any] = [
        _Answers(float(volume), (free_energy, entropy, heat_capacity))
        for volume, free_energy, entropy, heat_capacity in zip(
            data.volumes,
            data.free_energies,
            data.entropies,
            data.heat_capacities,
            strict=True,
        )
    ]
    with warnings.catch_warnings():
        # fits that fail are missing from the result, where they are noticed
        warnings.simplefilter("ignore")
        try:
            return run_qha(
                answers,
                data.temperatures,
                internal_energies=data.energies - data.energies.mean(),
                mesh=(1, 1, 1),
                eos=equation_of_state,
            )
        except RuntimeError as error:
            raise QuasiHarmonicError(
                f"no equation of state fits the free energies: {error}",
                "relax the structure tightly first, and sample volumes around its minimum",
            ) from error


def _leading_minima(found: QHAResult, temperatures: Floats) -> int:
    """Count the temperatures, from the lowest, that have a fit with a minimum."""
    n_found = len(found.temperatures)
    low, high = found.volumes.min(), found.volumes.max()
    margin = FARTHEST_MINIMUM * (high - low)
    sound = (
        (found.temperatures == temperatures[:n_found])
        & np.isfinite(found.eos_parameters).all(axis=1)
        & (found.bulk_moduli > 0)
        & (np.abs(found.equilibrium_volumes - (low + high) / 2) < (high - low) / 2 + margin)
    )
    return n_found if sound.all() else int(np.argmin(sound))


def _in_our_units(
    found: QHAResult, energy: float, equation_of_state: EquationOfState, stopped: str
) -> QuasiHarmonicResult:
    """Convert eV, eV/A^3 and eV/K to kJ/mol, GPa and J/K/mol; NaN for what is undefined."""
    units = get_physical_units()
    kilojoule_per_mole = units.EvTokJmol
    joule_per_mole = 1e3 * units.EvTokJmol
    cte = found.thermal_expansion.copy()
    heat_capacity = found.heat_capacity_P.heat_capacities * joule_per_mole
    if found.temperatures[0] > 0:  # phonopy has 0 at the first temperature, right at 0 K only
        cte[0] = heat_capacity[0] = np.nan
    gruneisen = found.gruneisen_parameters
    volumes, sampled = found.equilibrium_volumes, found.volumes
    parameters = found.eos_parameters.copy()
    parameters[:, 0] += energy
    return QuasiHarmonicResult(
        temperatures=found.temperatures,
        volumes=volumes,
        cte_volumetric=cte,
        bulk_moduli=found.bulk_moduli * units.EVAngstromToGPa,
        gibbs=(found.gibbs_free_energies + energy) * kilojoule_per_mole,
        heat_capacity_p=heat_capacity,
        # phonopy has 0 where there is no heat capacity to divide by
        gruneisen=np.where(gruneisen == 0, np.nan, gruneisen),
        inside=(volumes >= sampled.min()) & (volumes <= sampled.max()),
        equation_of_state=equation_of_state,
        parameters=parameters,
        sampled_volumes=sampled,
        helmholtz=found.helmholtz_volume + energy,
        stopped=stopped,
    )


def _check(data: QuasiHarmonicInput) -> None:
    n_volumes, n_temperatures = len(data.volumes), len(data.temperatures)
    if n_volumes < FEWEST_VOLUMES:
        raise QuasiHarmonicError(
            f"the quasi-harmonic approximation needs {FEWEST_VOLUMES} volumes, not {n_volumes}",
            "compute phonons at more volumes",
        )
    if n_temperatures < FEWEST_TEMPERATURES or (np.diff(data.temperatures) <= 0).any():
        raise QuasiHarmonicError(
            f"the quasi-harmonic approximation needs {FEWEST_TEMPERATURES} ascending "
            f"temperatures or more, not {n_temperatures}",
            "raise the highest temperature or lower the step",
        )
    thermal = (data.free_energies, data.entropies, data.heat_capacities)
    if data.energies.shape != (n_volumes,) or any(
        part.shape != (n_volumes, n_temperatures) for part in thermal
    ):
        raise QuasiHarmonicError(
            f"energies and thermal properties do not belong to {n_volumes} volumes and "
            f"{n_temperatures} temperatures",
            "give one energy for each volume, one row of thermal properties for each volume",
        )
    if not all(np.isfinite(part).all() for part in (data.volumes, data.energies, *thermal)):
        raise QuasiHarmonicError(
            "volumes, energies or thermal properties are not finite numbers",
            "look at the volume they belong to; the potential may not be valid there",
        )
    steps = np.diff(np.sort(data.volumes))
    if data.volumes.min() <= 0 or steps.min() < SMALLEST_STEP * data.volumes.max():
        raise QuasiHarmonicError(
            "two volumes are equal, or one is not positive", "give each volume once"
        )
