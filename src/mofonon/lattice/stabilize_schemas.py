"""Settings and documents of the elimination of imaginary modes."""

from __future__ import annotations

from typing import Any, Literal

from emmet.core.structure import StructureMetadata
from pydantic import BaseModel, ConfigDict, Field
from pymatgen.core import Structure

from mofonon.lattice.schemas import FollowedModeEntry, SpaceGroup
from mofonon.potentials import PotentialDescription
from mofonon.provenance import utc_now

Strategy = Literal["mode-mapping", "rattle", "md"]


class StabilizeSettings(BaseModel):
    """How imaginary modes are eliminated; the defaults are the paper's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategies: tuple[Strategy, ...] = Field(
        ("mode-mapping", "rattle", "md"),
        min_length=1,
        description="Strategies, in the order in which they are tried.",
    )
    max_attempts: int = Field(6, ge=1, description="Attempts before giving up.")
    seed: int = Field(0, description="Seed of the first attempt; each adds one.")
    rattle_deviation: float = Field(
        0.01, gt=0, description="Standard deviation of a rattle, by component (A)."
    )
    rattle_atoms: Literal["all", "modes"] = Field(
        "all", description="Rattle all atoms, or those that carry the imaginary modes."
    )
    md_temperature: float = Field(7.5, gt=0, description="Temperature of the NVE run (K).")
    md_steps: int = Field(40, ge=1, description="Steps of the NVE run.")
    md_time_step: float = Field(1.0, gt=0, description="Time step of the NVE run (fs).")
    md_fixed_elements: tuple[str, ...] = Field(
        (), description="Elements whose atoms stay fixed in the NVE run."
    )


class Attempt(BaseModel):
    """One attempt: perturb, relax, phonons, check. Number 0 is the structure as given."""

    number: int = Field(description="0 for the start, then 1, 2, ...")
    strategy: Strategy | None = Field(None, description="What was done; None for the start.")
    state: Literal["successful", "failed"] = Field(
        "successful", description="failed when the relaxation or the phonons ended in an error."
    )
    error: str | None = Field(None, description="The error.")
    seed: int | None = Field(None, description="Seed of random numbers, where there are any.")
    q: tuple[float, float, float] | None = Field(
        None, description="q-point of the mode followed (reduced coordinates)."
    )
    mode_frequency: float | None = Field(None, description="Its frequency (THz).")
    amplitude: float | None = Field(
        None, description="Largest displacement of an atom by the perturbation (A)."
    )
    scan_amplitudes: list[float] = Field(
        default_factory=list, description="Amplitudes of the energy scan (A)."
    )
    scan_energies: list[float] = Field(
        default_factory=list, description="Energies of the scan, relative to its start (eV)."
    )
    n_atoms: int | None = Field(None, description="Atoms in the cell.")
    energy_per_atom: float | None = Field(
        None, description="Energy after relaxation (eV/atom)."
    )
    energy_change_per_atom: float | None = Field(
        None, description="Energy relative to where the attempt started (eV/atom)."
    )
    lowest_before: float | None = Field(
        None, description="Lowest frequency where the attempt started (THz)."
    )
    lowest_after: float | None = Field(
        None, description="Lowest frequency after it, acoustic modes at Gamma left out (THz)."
    )
    has_imaginary_modes: bool | None = Field(
        None, description="Whether imaginary modes remain on the mesh or at Gamma."
    )
    space_group: str | None = Field(None, description="Space group after it.")
    followed_in_relaxation: list[FollowedModeEntry] = Field(
        default_factory=list,
        description="Modes of negative curvature that the relaxation itself followed.",
    )
    n_force_evaluations: int = Field(0, description="Force evaluations of the attempt.")
    seconds: float = Field(0.0, description="Wall time (s).")
    document_id: str | None = Field(None, description="Its phonon document.")


class FailedAttempt(BaseModel):
    """An attempt that ended in an error: only its record."""

    attempt: dict[str, Any] = Field(description="The record (fields of Attempt).")


class StabilizeDoc(StructureMetadata):
    """A structure after the elimination of imaginary modes: stable, or known not to be."""

    state: Literal["stable", "imaginary"] = Field(
        description="stable when no imaginary mode is left; imaginary when every attempt was "
        "used up."
    )
    structure: Structure = Field(description="The best structure found.")
    input_hash: str = Field(description="Hash of the structure given, before relaxation.")
    calculation_id: str = Field(
        description="Hash of input structure, potential and settings: equal calculations have "
        "equal ids."
    )
    space_group_before: str = Field(description="Space group of the relaxed structure given.")
    space_group: SpaceGroup = Field(description="Space group of the best structure.")
    min_frequency_before: float = Field(description="Lowest frequency at the start (THz).")
    min_frequency: float = Field(description="Lowest frequency of the best structure (THz).")
    energy_change_per_atom: float = Field(
        description="Energy of the best structure relative to the start (eV/atom)."
    )
    n_attempts: int = Field(description="Attempts made.")
    attempts: list[Attempt] = Field(description="All attempts, the start first.")
    best_attempt: int = Field(description="Number of the attempt that gave the structure.")
    phonon_document: str = Field(description="Phonon document of the best structure.")
    n_force_evaluations: int = Field(description="Force evaluations of all attempts.")
    settings: StabilizeSettings = Field(description="Settings.")
    potential: PotentialDescription = Field(description="The potential.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    warnings: list[str] = Field(description="What a reader of the numbers should know.")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")
