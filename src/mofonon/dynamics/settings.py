"""What a user may choose of a trajectory."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class DynamicsSettings(BaseModel):
    """One trajectory: ensemble, length, and when it counts as exploded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ensemble: Literal["npt", "npt-isotropic", "nve"] = Field(
        "npt",
        description="Constant temperature and pressure with all of the cell free (npt) or only "
        "its volume (npt-isotropic); or constant energy and cell (nve).",
    )
    temperature: float = Field(
        300.0,
        gt=0,
        description="Temperature, of the thermostat and of the velocities drawn (K). NVE from "
        "a relaxed structure ends at about half of it: the rest becomes potential energy.",
    )
    pressure: float = Field(0.0, description="Pressure (GPa).")
    steps: int = Field(20000, ge=1, description="Steps; the time step makes them a time.")
    time_step: float = Field(
        0.5,
        gt=0,
        le=10,
        description="Time step (fs). 0.5 fs is for structures with hydrogen, 1 fs for others.",
    )
    interval: int = Field(10, ge=1, description="Steps from one sample to the next.")
    thermostat_time: float = Field(
        100.0, gt=0, description="Time constant of the thermostat (fs)."
    )
    barostat_time: float = Field(
        1000.0,
        gt=0,
        description="Time constant of the barostat (fs); several times that of the thermostat, "
        "and longer than the vibrations.",
    )
    seed: int = Field(0, ge=0, description="Seed of the velocities.")
    closest_contact: float = Field(
        0.6,
        ge=0,
        lt=1,
        description="Atoms nearer than this fraction of the sum of their covalent radii mean "
        "that the trajectory exploded.",
    )
    largest_volume_change: float = Field(
        2.0,
        gt=1,
        description="A volume, or a distance between opposite faces, that changed by more than "
        "this factor means that the trajectory exploded.",
    )
    largest_temperature_ratio: float = Field(
        10.0,
        gt=1,
        description="A kinetic temperature of more than this times the temperature means that "
        "the trajectory exploded.",
    )

    def identity(self) -> dict[str, Any]:
        """Give what makes two trajectories the same as far as both go: all but the length."""
        return self.model_dump(mode="json", exclude={"steps"})
