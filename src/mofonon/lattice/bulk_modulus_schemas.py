"""Settings and documents of bulk moduli; every field says its unit."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from pymatgen.core import Structure

from mofonon.equation_of_state import EquationOfState
from mofonon.lattice.schemas import PropertyDoc
from mofonon.lattice.settings import RelaxMethod, SymmetryMode
from mofonon.potentials import PotentialDescription
from mofonon.provenance import utc_now

#: What relaxes in a strained cell.
StrainedFreedom = Literal["positions", "positions-and-shape", "none"]


class BulkModulusSettings(BaseModel):
    """How a bulk modulus is computed from a relaxed structure.

    The threshold of strained cells is that of any relaxation. Energies err only to second
    order in the forces left, so that 1e-4 eV/A is enough for them; stresses err to first
    order, and would no longer check the energies to better than the fit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_linear_strain: float = Field(
        0.02,
        gt=0,
        le=0.2,
        description="Largest strain of the cell vectors, both ways; volumes change three times "
        "as much.",
    )
    n_points: int = Field(
        7, ge=5, description="Volumes, evenly spaced in linear strain from end to end."
    )
    relax: StrainedFreedom = Field(
        "positions",
        description="What relaxes at each volume: positions (at fixed cell), "
        "positions-and-shape (of the cell, at fixed volume), or none.",
    )
    fmax: float = Field(
        1e-6,
        gt=0,
        description="Largest allowed force on an atom and, with the shape free, row of the "
        "virial per atom (eV/A).",
    )
    max_steps: int = Field(2000, ge=1, description="Optimizer steps before giving up.")
    method: RelaxMethod = Field(
        "auto", description="Optimizer of strained cells, as of RelaxSettings."
    )
    symmetry: SymmetryMode = Field(
        "follow", description="What newton makes of symmetry, as of RelaxSettings."
    )
    equation_of_state: EquationOfState = Field(
        "birch_murnaghan", description="The fit that the bulk modulus of the document is from."
    )
    symprec: float = Field(
        1e-5, gt=0, description="Tolerance of the space groups that documents name (A)."
    )

    def linear_strains(self) -> list[float]:
        """Strains of the cell vectors, from the most compressed cell on."""
        ends = self.max_linear_strain
        return [round(float(x), 12) for x in np.linspace(-ends, ends, self.n_points)]


class StrainedCell(BaseModel):
    """A cell at one volume: what the fits need of it."""

    linear_strain: float = Field(description="Strain of the cell vectors; 0.01 is 1 %.")
    volume: float = Field(description="Volume (A^3).")
    energy: float = Field(description="Potential energy of the cell (eV).")
    stress: list[float] | None = Field(
        None,
        description="Stress, Voigt order, ASE sign (eV/A^3); None if the potential has none.",
    )
    pressure: float | None = Field(
        None, description="Minus a third of the trace of the stress (GPa)."
    )
    fmax: float = Field(
        description="Largest force on an atom or, with the shape relaxed, row of the virial "
        "per atom (eV/A)."
    )
    n_force_evaluations: int = Field(description="Force evaluations that the method took.")
    seconds: float = Field(description="Wall time (s).")
    seconds_in_potential: float = Field(description="Wall time inside the calculator (s).")


class StrainedCellDoc(StrainedCell):
    """A cell at one volume, with its structure."""

    state: str = Field("successful", description="successful; a failure raises.")
    structure: Structure = Field(description="The strained structure, relaxed as asked.")
    input_hash: str = Field(
        description="Hash of the input structure, before relaxation and strain."
    )
    settings: BulkModulusSettings = Field(description="Settings of the calculation.")
    potential: PotentialDescription = Field(description="The potential.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")


class EquationOfStateEntry(BaseModel):
    """An equation of state fitted to the energies."""

    bulk_modulus: float = Field(description="Bulk modulus at zero pressure (GPa).")
    bulk_modulus_derivative: float = Field(
        description="Its pressure derivative (dimensionless)."
    )
    equilibrium_volume: float = Field(description="Volume of the minimum (A^3).")
    equilibrium_energy: float = Field(description="Energy of the cell there (eV).")
    residual: float = Field(
        description="Root mean square deviation of the energies from the fit (meV/atom)."
    )


class PressureVolumeEntry(BaseModel):
    """The Birch-Murnaghan equation fitted to the pressures."""

    bulk_modulus: float = Field(description="Bulk modulus at zero pressure (GPa).")
    bulk_modulus_derivative: float = Field(
        description="Its pressure derivative (dimensionless)."
    )
    equilibrium_volume: float = Field(description="Volume of zero pressure (A^3).")
    residual: float = Field(
        description="Root mean square deviation of the pressures from the fit (GPa)."
    )


class BulkModulusDoc(PropertyDoc):
    """Bulk modulus of a structure, from energies and from stresses over volumes.

    A cell that is not cubic changes its shape under pressure. Strained alike along all cell
    vectors (``relax: positions``) it resists more than that: the bulk modulus is Voigt's upper
    bound. With ``relax: positions-and-shape`` it is that of hydrostatic pressure.
    """

    bulk_modulus: float = Field(
        description="Bulk modulus at zero pressure, of the fit that the settings name (GPa)."
    )
    bulk_modulus_derivative: float = Field(
        description="Its pressure derivative, of the same fit (dimensionless)."
    )
    equilibrium_volume: float = Field(
        description="Volume of the minimum of the same fit (A^3)."
    )
    equilibrium_energy: float = Field(description="Energy of the cell there (eV).")
    residual: float = Field(
        description="Root mean square deviation of the energies from the same fit (meV/atom)."
    )
    relative_residual: float = Field(
        description="The same as a share of the range of the energies (dimensionless)."
    )
    bulk_modulus_from_stress: float | None = Field(
        None,
        description="Bulk modulus at zero pressure from the stresses alone (GPa); None if the "
        "potential has no stress.",
    )
    fits: dict[EquationOfState, EquationOfStateEntry] = Field(
        description="Fits to the energies: birch_murnaghan, vinet, murnaghan."
    )
    stress_fit: PressureVolumeEntry | None = Field(
        None, description="Fit to the pressures; None if the potential has no stress."
    )
    points: list[StrainedCell] = Field(description="The strained cells, by volume.")
    settings: BulkModulusSettings = Field(description="Settings of the calculation.")
    n_force_evaluations_by_part: dict[str, int] = Field(
        description="Force evaluations: relaxation, strained_cells."
    )
    seconds: dict[str, float] = Field(
        description="Wall times (s): relaxation, strained_cells (the sum of their jobs), "
        "potential (inside the calculator, strained cells), fit, total."
    )
