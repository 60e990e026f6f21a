"""Settings and documents of expansion by molecular dynamics; every field says its unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pymatgen.core import Structure

from mofonon.arrays import EncodedArray
from mofonon.dynamics import DynamicsSettings
from mofonon.errors import SettingsError
from mofonon.lattice.schemas import PropertyDoc
from mofonon.lattice.settings import Matrix3, PhononSettings
from mofonon.potentials import PotentialDescription
from mofonon.provenance import utc_now

#: What must be said with every number.
CLASSICAL = (
    "classical: the nuclei move by Newton's laws, without zero-point motion. All vibrations "
    "carry k_B T, those too that would be frozen out, so that the expansion does not vanish "
    "towards 0 K as it must; compare with the quasi-harmonic one at high temperature"
)


class MdExpansionSettings(BaseModel):
    """At which temperatures, for how long, and what is made of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperatures: tuple[float, ...] = Field(
        (100.0, 200.0, 300.0, 400.0, 500.0),
        min_length=2,
        description="Temperatures, a trajectory for each (K).",
    )
    supercell: Matrix3 | float = Field(
        10.0,
        description="Supercell matrix in phonopy's convention (columns are the vectors), or "
        "the least distance between opposite faces (A).",
    )
    dynamics: DynamicsSettings = Field(
        default_factory=lambda: DynamicsSettings.model_validate({}),
        description="The trajectories; the temperature in it is not used, and each trajectory "
        "has a seed of its own.",
    )
    min_effective_samples: float = Field(
        20.0,
        ge=4,
        description="Effectively uncorrelated samples below which a temperature is not used.",
    )
    degree: int = Field(
        1,
        ge=1,
        le=3,
        description="Degree of the polynomial in T fitted to ln V; 1 means one expansion "
        "coefficient for all temperatures.",
    )
    symprec: float = Field(1e-5, gt=0, description="Symmetry tolerance (A).")

    @field_validator("temperatures")
    @classmethod
    def _temperatures_differ(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if min(temperatures) <= 0 or len(set(temperatures)) < len(temperatures):
            raise SettingsError(
                f"the temperatures {', '.join(f'{t:g}' for t in temperatures)} K are not "
                "positive and different",
                "give two or more, such as --temperatures 200,300,400",
            )
        return tuple(sorted(temperatures))

    @field_validator("supercell")
    @classmethod
    def _supercell_has_volume(cls, supercell: Matrix3 | float) -> Matrix3 | float:
        return PhononSettings(supercell=supercell).supercell

    @field_validator("dynamics")
    @classmethod
    def _has_a_barostat(cls, dynamics: DynamicsSettings) -> DynamicsSettings:
        if dynamics.ensemble == "nve":
            raise SettingsError(
                "at constant volume nothing expands", "use the ensemble npt or npt-isotropic"
            )
        return dynamics

    def repeats(self, structure: Structure) -> NDArray[np.int64]:
        """Integers with which the vectors of the supercell in rows are ``repeats @ cell``."""
        settings = PhononSettings(supercell=self.supercell)
        return settings.supercell_matrix(structure.lattice.matrix).T

    def dynamics_at(self, temperature: float) -> DynamicsSettings:
        """Make the settings of the trajectory at one of the temperatures (K)."""
        update = {
            "temperature": temperature,
            "seed": self.dynamics.seed + self.temperatures.index(temperature),
        }
        return self.dynamics.model_copy(update=update)


class TemperaturePoint(BaseModel):
    """Averages at one temperature, over the equilibrated part of its trajectory.

    Volume and lengths are those of the cell that the supercell repeats; errors are standard
    errors of the mean, from blocks.
    """

    temperature: float = Field(description="Temperature of the thermostat (K).")
    used: bool = Field(description="Whether the fits use it.")
    reason: str = Field("", description="Why not, or what is doubtful.")
    volume: float | None = Field(None, description="Mean volume (A^3).")
    volume_error: float | None = Field(None, description="Its error (A^3).")
    a: float | None = Field(None, description="Mean length of the first cell vector (A).")
    b: float | None = Field(None, description="Mean length of the second cell vector (A).")
    c: float | None = Field(None, description="Mean length of the third cell vector (A).")
    a_error: float | None = Field(None, description="Its error (A).")
    b_error: float | None = Field(None, description="Its error (A).")
    c_error: float | None = Field(None, description="Its error (A).")
    alpha: float | None = Field(None, description="Mean angle between b and c (degrees).")
    beta: float | None = Field(None, description="Mean angle between a and c (degrees).")
    gamma: float | None = Field(None, description="Mean angle between a and b (degrees).")
    mean_temperature: float | None = Field(None, description="Mean kinetic temperature (K).")
    mean_temperature_error: float | None = Field(None, description="Its error (K).")
    pressure: float | None = Field(None, description="Mean pressure (GPa).")
    pressure_error: float | None = Field(None, description="Its error (GPa).")
    potential_energy: float | None = Field(None, description="Mean potential energy (eV).")
    potential_energy_error: float | None = Field(None, description="Its error (eV).")
    equilibration_time: float | None = Field(
        None, description="Time left out at the start, as detected (ps)."
    )
    sampled_time: float | None = Field(None, description="Time averaged over (ps).")
    n_effective: float | None = Field(
        None, description="Effectively uncorrelated samples in it."
    )
    levelled: bool | None = Field(
        None,
        description="Whether the error of the volume stopped growing with the length of the "
        "blocks; if not, it is too small.",
    )
    drift: float | None = Field(
        None, description="Drift of the conserved quantity (eV per atom and ps)."
    )
    trajectory_state: str = Field(description="complete or exploded.")
    n_force_evaluations: int = Field(description="Force evaluations.")
    seconds: float = Field(description="Wall time (s).")
    seconds_in_potential: float = Field(
        description="Wall time inside the calculator, of the last run (s)."
    )


class TrajectoryArrays(BaseModel):
    """Samples of a trajectory; kept in the ``data`` store. Positions are not kept."""

    times: EncodedArray = Field(description="Times (fs), shape (n_samples,).")
    cells: EncodedArray = Field(
        description="Vectors of the supercell in rows (A), shape (n_samples, 3, 3)."
    )
    temperatures: EncodedArray = Field(description="Kinetic temperatures (K).")
    pressures: EncodedArray = Field(description="Pressures (GPa).")
    potential_energies: EncodedArray = Field(
        description="Potential energies of the supercell (eV)."
    )
    conserved: EncodedArray = Field(description="Conserved quantity of the supercell (eV).")


class NptDoc(TemperaturePoint):
    """A trajectory at constant temperature and pressure."""

    arrays: TrajectoryArrays = Field(description="Samples, in the data store.")
    structure: Structure = Field(description="The supercell at the last sample.")
    input_hash: str = Field(description="Hash of the input structure, before relaxation.")
    n_atoms: int = Field(description="Atoms of the supercell.")
    settings: MdExpansionSettings = Field(description="All settings.")
    potential: PotentialDescription = Field(description="The potential.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")


class ExpansionFitEntry(BaseModel):
    """Weighted fit of ln V, or the logarithm of a length, over temperature."""

    cte: float = Field(description="Expansion at the temperature of the fit (1e-6/K).")
    error: float = Field(description="Its standard error (1e-6/K).")
    reduced_chi2: float | None = Field(
        description="Squared deviations, in errors, per degree of freedom; None without one."
    )
    coefficients: list[float] = Field(
        description="Coefficients of powers of T minus the temperature of the fit (K), the "
        "constant first."
    )


class MdExpansionDoc(PropertyDoc):
    """Thermal expansion by molecular dynamics: classical, with all anharmonicity."""

    method_note: str = Field(CLASSICAL, description="What to know of every number here.")
    cte_linear: float = Field(
        description="Linear expansion, a third of the volumetric one, at fit_temperature "
        "(1e-6/K)."
    )
    cte_linear_error: float = Field(description="Its standard error (1e-6/K).")
    cte_volumetric: float = Field(description="Volumetric expansion there (1e-6/K).")
    cte_volumetric_error: float = Field(description="Its standard error (1e-6/K).")
    fit_temperature: float = Field(
        description="Temperature of the fits: 300 K if it lies between those used, else their "
        "middle (K)."
    )
    cte_linear_300K: float | None = Field(  # noqa: N815 - K is kelvin
        None,
        description="Linear expansion at 300 K (1e-6/K); this and the other values at 300 K "
        "are None when 300 K does not lie between the temperatures used.",
    )
    cte_linear_300K_error: float | None = Field(  # noqa: N815
        None, description="Its standard error (1e-6/K)."
    )
    cte_volumetric_300K: float | None = Field(  # noqa: N815
        None, description="Volumetric expansion at 300 K (1e-6/K)."
    )
    cte_volumetric_300K_error: float | None = Field(  # noqa: N815
        None, description="Its standard error (1e-6/K)."
    )
    cte_a_300K: float | None = Field(  # noqa: N815
        None, description="Expansion of the first cell vector at 300 K (1e-6/K)."
    )
    cte_b_300K: float | None = Field(  # noqa: N815
        None, description="Expansion of the second cell vector at 300 K (1e-6/K)."
    )
    cte_c_300K: float | None = Field(  # noqa: N815
        None, description="Expansion of the third cell vector at 300 K (1e-6/K)."
    )
    volume_300K: float | None = Field(  # noqa: N815
        None, description="Volume at 300 K, by the fit (A^3)."
    )
    fits: dict[str, ExpansionFitEntry] = Field(
        description="Fits: volume, a, b, c (the lengths not at a fixed shape, and not in cubic "
        "crystals, where all expand alike)."
    )
    points: list[TemperaturePoint] = Field(description="All temperatures, ascending.")
    excluded_temperatures: list[float] = Field(
        description="Temperatures that the fits leave out (K); the points say why."
    )
    n_atoms_supercell: int = Field(description="Atoms of the supercell.")
    settings: MdExpansionSettings = Field(description="All settings.")
    n_force_evaluations_by_part: dict[str, int] = Field(
        description="Force evaluations: relaxation, dynamics."
    )
    seconds: dict[str, float] = Field(
        description="Wall times (s): relaxation, dynamics (sum over its jobs), potential "
        "(inside the calculator, of the last run of each), fit, total."
    )
