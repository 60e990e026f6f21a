"""Documents of trained potentials; every field says its unit."""

from __future__ import annotations

from pydantic import BaseModel, Field

from mofonon.arrays import EncodedArray
from mofonon.potentials import PotentialDescription, PotentialSpec
from mofonon.provenance import utc_now
from mofonon.training.effective import EffectiveSettings
from mofonon.training.mace_files import EpochErrors
from mofonon.training.metrics import SetErrors
from mofonon.training.spec import FineTuneSpec


class ModelFile(BaseModel):
    """A model file of a training, with its bytes in the data store."""

    role: str = Field(description="model (all heads) or head (the new one alone).")
    name: str = Field(description="File name for exports.")
    sha256: str = Field(description="sha256 of the file.")
    n_bytes: int = Field(description="Size of the file (bytes).")
    heads: list[str] = Field(description="Heads of the model.")
    contents: EncodedArray = Field(description="Bytes of the file (uint8).")


class DataSummary(BaseModel):
    """What a potential was trained on."""

    dataset_id: str | None = Field(None, description="Document of the data set.")
    sha256: dict[str, str] = Field(description="Hash of the frames by part.")
    n_frames: dict[str, int] = Field(description="Frames by part.")
    n_atoms: dict[str, int] = Field(description="Atoms in all frames by part.")
    elements: list[str] = Field(description="Elements of the new frames.")
    mofs: list[str] = Field(default_factory=list, description="MOFs trained on.")
    replay_method: str | None = Field(None, description="How replay frames were chosen.")
    notice: str | None = Field(None, description="Set when a stand-in made the labels.")


class HeadErrors(BaseModel):
    """Errors of a head on a part of the data, before and after training."""

    head: str = Field(description="Head.")
    part: str = Field(description="train, valid, test, replay or replay valid.")
    before: SetErrors | None = Field(None, description="Of the foundation.")
    after: SetErrors = Field(description="Of the trained model.")


class PotentialDoc(BaseModel):
    """A trained MACE potential: files, data, settings as they took effect, errors."""

    state: str = Field("successful", description="successful; a failure raises.")
    name: str = Field(description="Name for tables and files.")
    training_id: str = Field(
        description="Hash of data, foundation and settings: equal trainings have equal ids."
    )
    calculation_id: str = Field(description="The same, as other documents call it.")
    mode: str = Field(description="multihead, naive or scratch.")
    head: str = Field(description="Head that the new data trained.")
    heads: list[str] = Field(description="All heads.")
    elements: list[str] = Field(description="Elements that the model knows.")
    files: list[ModelFile] = Field(description="Model files.")
    potential_spec: PotentialSpec = Field(
        description="The potential for calculations: the new head, by sha256."
    )
    foundation: PotentialDescription | None = Field(None, description="What it started from.")
    data: DataSummary = Field(description="What it was trained on.")
    spec: FineTuneSpec = Field(description="Settings as asked for.")
    effective: EffectiveSettings = Field(description="Settings as mace ran with.")
    E0s: dict[str, dict[str, float]] = Field(
        description="Energies of isolated atoms by head and element (eV)."
    )
    learning_curves: list[EpochErrors] = Field(
        description="Validation errors by epoch and head; thinned out to some hundred epochs."
    )
    best_epoch: int = Field(description="Epoch of the model, by the new head's loss.")
    n_epochs: int = Field(description="Epochs trained.")
    n_starts: int = Field(description="How often mace was started.")
    errors: list[HeadErrors] = Field(description="Errors before and after, by head and part.")
    with_dispersion: bool = Field(
        description="Whether the labels contain dispersion, so that none is to be added."
    )
    notes: list[str] = Field(
        default_factory=list, description="Restarts and damaged checkpoints."
    )
    warnings: list[str] = Field(
        default_factory=list, description="What a user of the model should know."
    )
    notice: str | None = Field(None, description="Set when a stand-in is behind the model.")
    seconds: float = Field(description="Wall time of the last run of the job (s).")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")

    def file(self, role: str = "model") -> ModelFile:
        """Give the file of a role: ``model`` or ``head``."""
        return next(file for file in self.files if file.role == role)
