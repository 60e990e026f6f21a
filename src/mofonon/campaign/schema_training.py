"""The stages that make a potential: select, sample, label, finetune, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from mofonon.campaign.schema_base import Stage, resolved_paths
from mofonon.dataset.schemas import DatasetSettings, SplitName
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
    """Which structures are sampled and labelled; all of them without this stage."""

    manifest: Path = Field(description="Manifest that mofonon select has written.")

    _resolve = field_validator("manifest", mode="before")(resolved_paths)


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
