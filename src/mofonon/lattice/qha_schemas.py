"""Settings and documents of the quasi-harmonic approximation; every field says its unit."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mofonon.arrays import EncodedArray
from mofonon.equation_of_state import EquationOfState
from mofonon.errors import SettingsError
from mofonon.lattice.schemas import CellParameters, PropertyDoc, SpaceGroup
from mofonon.lattice.settings import (
    PhononSettings,
    RelaxMethod,
    RelaxSettings,
    SymmetryMode,
)
from mofonon.potentials import PotentialDescription
from mofonon.provenance import utc_now


class QhaSettings(BaseModel):
    """At which volumes phonons are computed, and how the free energies are fitted.

    The range is symmetric because frameworks expand or shrink. A linear strain of 2 % holds a
    linear expansion of 2e-5/K over 1000 K, more than most frameworks have; where it does not
    suffice, volumes are added on the side that needs them, in the same steps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_volumes: int = Field(
        11, ge=5, description="Volumes, evenly spaced in linear strain from end to end."
    )
    max_linear_strain: float = Field(
        0.02,
        gt=0,
        le=0.1,
        description="Largest strain of the cell vectors, both ways; volumes change three times "
        "as much.",
    )
    cell: Literal["fixed-volume", "fixed"] = Field(
        "fixed-volume",
        description="What of the cell relaxes at each volume, with the positions: its shape "
        "(fixed-volume) or nothing (fixed).",
    )
    fmax: float = Field(
        1e-6,
        gt=0,
        description="Largest allowed force on an atom and, with the shape free, row of the "
        "virial per atom (eV/A), at each volume.",
    )
    max_steps: int = Field(
        2000, ge=1, description="Optimizer steps at each volume before giving up."
    )
    method: RelaxMethod = Field(
        "auto", description="Optimizer at each volume, as of RelaxSettings."
    )
    symmetry: SymmetryMode = Field(
        "follow", description="What newton makes of symmetry, as of RelaxSettings."
    )
    band_points: int = Field(
        11,
        ge=2,
        description="Most points on the longest segment of the bands at each volume. Fine "
        "bands cost more than all else that is made of the force constants.",
    )
    min_volumes: int = Field(
        6, ge=5, description="Volumes without imaginary modes below which the run fails."
    )
    allow_imaginary: bool = Field(
        False,
        description="Use volumes with imaginary modes, with only their real modes; every "
        "output is marked.",
    )
    max_extensions: int = Field(
        2,
        ge=0,
        description="How many times volumes may be added, at most half of n_volumes each time, "
        "when the expansion leaves the range.",
    )
    equation_of_state: EquationOfState = Field(
        "vinet", description="Fitted to the free energies at each temperature."
    )

    @model_validator(mode="after")
    def _enough_volumes(self) -> QhaSettings:
        if self.n_volumes < self.min_volumes:
            raise SettingsError(
                f"{self.n_volumes} volumes are fewer than the {self.min_volumes} that must "
                "remain",
                "raise --n-volumes or lower --min-volumes (5 at least)",
            )
        return self

    @property
    def step(self) -> float:
        """Linear strain from one volume to the next."""
        return 2 * self.max_linear_strain / (self.n_volumes - 1)

    @property
    def n_added(self) -> int:
        """Most volumes that one extension adds."""
        return max(1, self.n_volumes // 2)

    def linear_strain(self, index: int) -> float:
        """Strain of a volume, counted from the most compressed one; added ones go beyond."""
        return round(-self.max_linear_strain + index * self.step, 12)

    def linear_strains(self) -> list[float]:
        """Strains of the cell vectors, from the most compressed cell on."""
        return [self.linear_strain(index) for index in range(self.n_volumes)]

    def index_of(self, linear_strain: float) -> int:
        """Count the volume of a strain: the inverse of :meth:`linear_strain`."""
        return round((linear_strain + self.max_linear_strain) / self.step)

    def relax_settings(self) -> RelaxSettings:
        """Make the settings of the relaxation at each volume."""
        return RelaxSettings(
            method=self.method,
            symmetry=self.symmetry,
            fmax=self.fmax,
            cell=self.cell,
            max_steps=self.max_steps,
        )


class VolumePoint(BaseModel):
    """One of the volumes."""

    linear_strain: float = Field(description="Strain of the cell vectors; 0.01 is 1 %.")
    cell: CellParameters = Field(description="Lattice parameters, relaxed at this volume.")
    space_group: SpaceGroup = Field(description="Space group, relaxed at this volume.")
    energy: float = Field(description="Potential energy of the cell (eV).")
    min_frequency: float = Field(
        description="Lowest frequency on the mesh and at Gamma, negative for imaginary (THz)."
    )
    n_imaginary_modes: int = Field(description="Imaginary modes, over irreducible q-points.")
    used: bool = Field(description="Whether the fits use this volume.")
    n_force_evaluations: int = Field(
        description="Force evaluations in all, relaxation and displacements."
    )
    n_relax_evaluations: int = Field(description="Those of them that relaxed it.")
    seconds: dict[str, float] = Field(
        description="Wall times (s): relaxation, forces, potential (inside the calculator), "
        "analysis, total."
    )
    document_id: str = Field(description="Id of the PhononDoc of this volume.")


class ExcludedVolume(BaseModel):
    """A volume with imaginary modes, or one that could not be relaxed."""

    linear_strain: float = Field(description="Strain of the cell vectors; 0.01 is 1 %.")
    volume: float = Field(description="Volume (A^3).")
    reason: str = Field("imaginary modes", description="Why it is left out.")
    min_frequency: float | None = Field(
        None, description="Lowest frequency, negative (THz); None if it was not relaxed."
    )
    n_imaginary_modes: int | None = Field(
        None,
        description="Imaginary modes, over irreducible q-points; None if it was not relaxed.",
    )
    n_force_evaluations: int | None = Field(
        None, description="Force evaluations spent on one that could not be relaxed."
    )


class FailedVolumeDoc(BaseModel):
    """In the place of a PhononDoc: a volume whose relaxation did not converge."""

    state: str = Field("failed", description="failed.")
    cell: CellParameters = Field(description="Lattice parameters before relaxation.")
    n_force_evaluations: int = Field(description="Force evaluations spent.")
    seconds: dict[str, float] = Field(description="Wall time (s): total.")
    potential: PotentialDescription = Field(description="The potential.")
    warnings: list[str] = Field(description="Message of the error.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")


class QhaSeries(BaseModel):
    """Properties at zero pressure over temperature; per mole of the cell."""

    temperatures: list[float] = Field(description="Temperatures (K).")
    volumes: list[float] = Field(description="Volumes (A^3).")
    cte_linear: list[float | None] = Field(
        description="Linear thermal expansion, a third of the volumetric one (1e-6/K)."
    )
    cte_volumetric: list[float | None] = Field(
        description="Volumetric thermal expansion (1e-6/K)."
    )
    bulk_moduli: list[float] = Field(description="Isothermal bulk moduli (GPa).")
    gibbs: list[float] = Field(
        description="Gibbs energies, potential energy included (kJ/mol)."
    )
    heat_capacities_p: list[float | None] = Field(
        description="Heat capacities at constant pressure (J/K/mol)."
    )
    gruneisen: list[float | None] = Field(
        description="Thermodynamic Grueneisen parameters, from expansion, bulk modulus and "
        "heat capacity (dimensionless)."
    )
    gruneisen_modes: list[float | None] = Field(
        description="Means of the mode Grueneisen parameters, weighted with heat capacities "
        "(dimensionless)."
    )
    inside: list[bool] = Field(
        description="Whether the volume lies between the smallest and the largest one used."
    )
    a: list[float] = Field(description="Length of the first cell vector (A).")
    b: list[float] = Field(description="Length of the second cell vector (A).")
    c: list[float] = Field(description="Length of the third cell vector (A).")
    alpha: list[float] = Field(description="Angle between b and c (degrees).")
    beta: list[float] = Field(description="Angle between a and c (degrees).")
    gamma: list[float] = Field(description="Angle between a and b (degrees).")
    cte_a: list[float | None] = Field(description="Expansion of a, (1/a) da/dT (1e-6/K).")
    cte_b: list[float | None] = Field(description="Expansion of b (1e-6/K).")
    cte_c: list[float | None] = Field(description="Expansion of c (1e-6/K).")


class QhaArrays(BaseModel):
    """Arrays of a quasi-harmonic calculation; kept in the ``data`` store."""

    sampled_volumes: EncodedArray = Field(
        description="Volumes used (A^3), ascending, shape (n_used,)."
    )
    helmholtz: EncodedArray = Field(
        description="Free energies at them, potential energy included (eV), shape "
        "(n_temperatures, n_used)."
    )
    parameters: EncodedArray = Field(
        description="Equation of state at each temperature: energy (eV), bulk modulus "
        "(eV/A^3), its derivative, volume (A^3); shape (n_temperatures, 4)."
    )
    qpoints: EncodedArray | None = Field(
        None, description="Irreducible q-points (reduced coordinates), shape (n_q, 3)."
    )
    qpoint_weights: EncodedArray | None = Field(
        None, description="Mesh points of each, shape (n_q,)."
    )
    frequencies: EncodedArray | None = Field(
        None,
        description="Frequencies at the volume nearest to gruneisen_volume (THz), shape (n_q, "
        "n_bands).",
    )
    mode_gruneisen: EncodedArray | None = Field(
        None,
        description="Mode Grueneisen parameters at gruneisen_volume (dimensionless), shape "
        "(n_q, n_bands); NaN for imaginary and acoustic modes at Gamma.",
    )


class QhaDoc(PropertyDoc):
    """Thermal expansion and what else follows from phonons at several volumes."""

    cte_linear_300K: float | None = Field(  # noqa: N815 - K is kelvin
        None,
        description="Linear thermal expansion at 300 K, a third of the volumetric one "
        "(1e-6/K). This and the other values at 300 K are None when 300 K is not among the "
        "temperatures, or the volume there is not between those used.",
    )
    cte_volumetric_300K: float | None = Field(  # noqa: N815
        None, description="Volumetric thermal expansion at 300 K (1e-6/K)."
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
    bulk_modulus_300K: float | None = Field(  # noqa: N815
        None, description="Isothermal bulk modulus at 300 K (GPa)."
    )
    heat_capacity_p_300K: float | None = Field(  # noqa: N815
        None, description="Heat capacity at constant pressure at 300 K (J/K/mol of cell)."
    )
    gruneisen_300K: float | None = Field(  # noqa: N815
        None, description="Thermodynamic Grueneisen parameter at 300 K (dimensionless)."
    )
    gruneisen_modes_300K: float | None = Field(  # noqa: N815
        None, description="Mean of the mode Grueneisen parameters at 300 K (dimensionless)."
    )
    volume_300K: float | None = Field(None, description="Volume at 300 K (A^3).")  # noqa: N815
    volume_0K: float | None = Field(  # noqa: N815
        None, description="Volume at 0 K, zero-point motion included (A^3)."
    )
    gruneisen_volume: float | None = Field(
        None,
        description="Volume of the mode Grueneisen parameters: that at 300 K or, where there "
        "is none, at the lowest temperature (A^3).",
    )
    highest_temperature: float | None = Field(
        description="Highest temperature up to which all volumes lie between those used (K); "
        "None if already the lowest does not."
    )
    n_volumes_used: int = Field(description="Volumes that the fits use.")
    n_extensions: int = Field(description="How many times volumes were added.")
    excluded_volumes: list[ExcludedVolume] = Field(
        description="Volumes left out: imaginary modes, or a relaxation that did not converge."
    )
    imaginary_modes_left_out: bool = Field(
        description="Whether volumes with imaginary modes are used with only their real modes "
        "(--allow-imaginary): numbers are then not those of a stable structure."
    )
    points: list[VolumePoint] = Field(
        description="All volumes that could be relaxed, ascending."
    )
    series: QhaSeries = Field(description="Properties over temperature.")
    arrays: QhaArrays = Field(description="Arrays, in the data store.")
    settings: QhaSettings = Field(description="Volumes and fits.")
    phonon_settings: PhononSettings = Field(description="Phonons at each volume.")
    notice: str | None = Field(
        None,
        description="Set when a stand-in is behind the numbers, or imaginary modes were left "
        "out.",
    )
    n_force_evaluations_by_part: dict[str, int] = Field(
        description="Force evaluations: relaxation, volumes_relaxation (those that did not "
        "converge included), volumes_displacements."
    )
    seconds: dict[str, float] = Field(
        description="Wall times (s): relaxation, volumes_relaxation, volumes_forces, "
        "volumes_analysis (sums over their jobs), potential (inside the calculator, forces), "
        "fit, total."
    )
