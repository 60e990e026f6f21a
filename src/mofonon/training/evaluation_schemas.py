"""Documents of evaluations of potentials on labelled frames."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from mofonon.arrays import EncodedArray
from mofonon.potentials import PotentialDescription
from mofonon.provenance import utc_now
from mofonon.training.metrics import ElementErrors, SetErrors


class EvaluationSettings(BaseModel):
    """How potentials are evaluated on labelled frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    align: bool = Field(
        False,
        description="Align the reference energies of each potential with the labels by a fit "
        "to the compositions of all frames; for methods with other energies of atoms.",
    )
    max_frames: int | None = Field(
        None, ge=1, description="Evaluate at most so many frames of each set, evenly spaced."
    )
    speed_frames: int = Field(
        3, ge=0, description="Frames that the speed is measured on; 0 for no measurement."
    )
    speed_repeats: int = Field(3, ge=1, description="Evaluations of each; the fastest counts.")


class GroupErrors(BaseModel):
    """Errors on the frames that have something in common."""

    kind: str = Field(description="all, mof, origin or split.")
    value: str = Field(description="Name of the MOF, origin or part; all.")
    errors: SetErrors = Field(description="Errors on these frames.")


class SetEvaluation(BaseModel):
    """One potential on one set of frames."""

    potential: str = Field(description="Name of the potential, as in the tables.")
    frames: str = Field(description="Name of the set.")
    groups: list[GroupErrors] = Field(
        description="Errors on all frames, then by MOF, by origin and by split."
    )
    elements: list[ElementErrors] = Field(description="Errors by element.")

    @property
    def all(self) -> SetErrors:
        """Errors on all frames of the set."""
        return self.groups[0].errors


class Speed(BaseModel):
    """Time of an evaluation of energy, forces and stress."""

    potential: str = Field(description="Name of the potential, or dispersion alone.")
    n_atoms: list[int] = Field(description="Atoms of the structures measured.")
    seconds_per_atom: float = Field(
        description="Seconds per atom and evaluation, mean over the structures."
    )
    relative: float = Field(description="Time against that of the first potential.")


class EvaluatedPotential(BaseModel):
    """A potential of an evaluation."""

    name: str = Field(description="Name in the tables.")
    description: PotentialDescription = Field(description="What it is.")
    energy_shifts: dict[str, float] | None = Field(
        None, description="Energy added per atom of each element (eV), when aligned."
    )
    notes: list[str] = Field(
        default_factory=list, description="Dispersion that was added, and why."
    )


class Arrays(BaseModel):
    """Labels and predictions of a set, in the data store."""

    frames: str = Field(description="Name of the set.")
    n_atoms: EncodedArray = Field(description="Atoms of each frame.")
    energies: EncodedArray = Field(description="Labels (eV), shape (n_frames,).")
    forces: EncodedArray = Field(description="Labels (eV/A), shape (n_atoms, 3).")
    predicted_energies: dict[str, EncodedArray] = Field(description="By potential (eV).")
    predicted_forces: dict[str, EncodedArray] = Field(description="By potential (eV/A).")


class EvaluationDoc(BaseModel):
    """Potentials against labels, on the same frames in one run."""

    state: str = Field("successful", description="successful; a failure raises.")
    calculation_id: str = Field(description="Hash of frames, potentials and settings.")
    potentials: list[EvaluatedPotential] = Field(description="The potentials.")
    sets: dict[str, int] = Field(description="Frames of each set.")
    frames_sha256: dict[str, str] = Field(description="Hash of the frames of each set.")
    evaluations: list[SetEvaluation] = Field(description="Errors, by potential and set.")
    speed: list[Speed] = Field(description="Time per evaluation; dispersion on its own line.")
    aligned: bool = Field(description="Whether reference energies were aligned.")
    arrays: list[Arrays] = Field(description="Labels and predictions.")
    settings: EvaluationSettings = Field(description="Settings.")
    warnings: list[str] = Field(default_factory=list, description="What to know of them.")
    notice: str | None = Field(None, description="Set when a stand-in is involved.")
    seconds: float = Field(description="Wall time (s).")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")

    def get(self, potential: str, frames: str) -> SetEvaluation:
        """Give the errors of a potential on a set."""
        return next(
            e for e in self.evaluations if (e.potential, e.frames) == (potential, frames)
        )
