"""The stages that make a potential: select, sample, label, finetune, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from mofonon.campaign.schema_base import Stage, resolved_paths
from mofonon.dataset.schemas import DatasetSettings, SplitName
from mofonon.dft.schemas import CostAssumptions
from mofonon.structures.curation import CurationSettings
from mofonon.structures.fingerprints import is_import_path
from mofonon.structures.selection import SelectionSettings
from mofonon.training.launch import Launch
from mofonon.training.spec import FineTuneSpec


def _files(settings: Any, info: ValidationInfo) -> Any:
    """Take files that settings name as relative to the campaign file."""
    if not isinstance(settings, dict):
        return settings
    changed = {
        name: str(resolved_paths(settings[name], info))
        for name in ("foundation", "replay")
        if str(settings.get(name, "")).endswith((".model", ".xyz", ".extxyz"))
    }
    return {**settings, **changed}


Sampler = Literal["eos", "md", "relax", "rattle"]


def _all_samplers() -> dict[Sampler, dict[str, Any]]:
    return {"eos": {}, "md": {}, "relax": {"deviation": 0.05}, "rattle": {}}


class SelectStage(Stage):
    """Which structures are sampled and labelled; all of them without this stage.

    Those of a manifest; or those that a job chooses from a collection, as ``mofonon select``
    does; or those of such a job's document.
    """

    manifest: Path | None = Field(None, description="Manifest that mofonon select has written.")
    document: str | None = Field(
        None, description="Id of a SelectionDoc that exists: nothing is chosen."
    )
    source: Path | None = Field(
        None,
        description="Folder of CIF files (with its folders), or .zip or .tar of them, to "
        "choose from; the folder of the campaign's structures if left out.",
    )
    table: Path | None = Field(
        None, description="CSV or JSON table of properties by id, such as QMOF's."
    )
    model: str | None = Field(
        None,
        description="Whose features are compared: demo (not for science), chgnet, a MACE "
        ".model file or foundation name, or module:factory of a function.",
    )
    device: str = Field("cpu", description="torch device of the worker, such as cuda.")
    curation: CurationSettings = Field(
        default_factory=CurationSettings, description="Filters of the collection."
    )
    settings: SelectionSettings = Field(
        default_factory=SelectionSettings, description="How many are chosen, and how."
    )
    processes: int = Field(1, ge=1, description="Worker processes.")

    _resolve = field_validator("manifest", "source", "table", mode="before")(resolved_paths)

    @field_validator("model", mode="before")
    @classmethod
    def _resolve_model(cls, value: Any, info: ValidationInfo) -> Any:
        is_file = isinstance(value, str) and value.endswith(".model")
        return str(resolved_paths(value, info)) if is_file else value

    @model_validator(mode="after")
    def _one_of_three(self) -> SelectStage:
        given = [n for n in ("manifest", "document", "model") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                "a selection is of a manifest, or of a document, or made with the features of "
                f"a model: give one of the three, not {' and '.join(given) or 'none'}"
            )
        if self.model is None and (self.source or self.table):
            raise ValueError("source and table are for a selection that is made: give a model")
        return self

    @property
    def imports_a_function(self) -> bool:
        """Whether the model is an import path."""
        return self.model is not None and is_import_path(self.model)


class SampleStage(Stage):
    """Structures to be labelled: strains, molecular dynamics, relaxation, rattled cells."""

    samplers: dict[Sampler, dict[str, Any]] = Field(
        default_factory=_all_samplers,
        description="Samplers with keyword arguments of their Makers.",
    )


class LabelStage(Stage):
    """Energies, forces and stresses of the samples, gathered in a dataset."""

    by: Literal["vasp", "potential"] = Field(
        "vasp", description="VASP at PBE-D3(BJ); or a potential as teacher, which is not DFT."
    )
    label_structures: bool = Field(
        False,
        description="Label the structures too: with VASP their relaxation and deformations.",
    )
    dataset: DatasetSettings = Field(
        default_factory=DatasetSettings, description="Splits, seed, descriptors."
    )
    isolated_atoms: dict[str, float] | None = Field(
        None, description="Energies of isolated atoms by element (eV); fitted without them."
    )
    cost: CostAssumptions = Field(
        default_factory=CostAssumptions, description="What the estimate of VASP's cost assumes."
    )
    licence: str = Field("", description="Licence of the dataset.")
    document: str | None = Field(
        None, description="Id of a DatasetDoc that exists: nothing is sampled or labelled."
    )

    @model_validator(mode="after")
    def _teacher_is_named(self) -> LabelStage:
        if self.by == "potential" and len(self.potentials or ()) != 1:
            raise ValueError("labels by a potential need the name of one: potentials: [NAME]")
        return self


class ExtendStage(Stage):
    """Train on new structures beside the old ones, and refuse a potential that got worse."""

    current: str = Field(description="Name of the potential that is to be extended.")
    dataset: str = Field(description="Id of the DatasetDoc that it was trained on.")
    tolerance: float = Field(
        0.05,
        ge=0,
        description="Relative increase of an RMSE on the old held-out frames that is let pass.",
    )
    manifest: Path | None = Field(
        None,
        description="Manifest of the old structures (mofonon select): of the new ones only "
        "those are taken that it does not cover.",
    )
    quantile: float = Field(
        0.95, gt=0, le=1, description="Quantile of distances beyond which one is not covered."
    )

    _resolve = field_validator("manifest", mode="before")(resolved_paths)


class FineTuneStage(Stage):
    """Fine-tune a MACE foundation on the dataset."""

    settings: Annotated[FineTuneSpec, BeforeValidator(_files)] = Field(
        description="FineTuneSpec; the defaults are the paper's."
    )
    split: SplitName = Field("random", description="Split of the dataset to train on.")
    launch: Launch = Field(default_factory=Launch, description="Processes.")
    with_dispersion: bool = Field(True, description="Whether the labels contain dispersion.")
    document: str | None = Field(
        None, description="Id of a PotentialDoc that exists: nothing is trained."
    )


class EvaluateStage(Stage):
    """Errors of potentials on the held-out part of the dataset."""

    split: SplitName = Field("random", description="Split of the dataset.")
    part: Literal["train", "valid", "test"] = Field("test", description="Part of it.")
