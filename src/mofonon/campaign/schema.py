"""A campaign file as pydantic models: what may be in it, with units and defaults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mofonon.campaign.schema_base import CampaignModel, Resources, Stage, resolved_paths
from mofonon.campaign.schema_training import (
    EvaluateStage,
    ExtendStage,
    FineTuneStage,
    LabelStage,
    SampleStage,
    SelectStage,
)
from mofonon.lattice.bulk_modulus_schemas import BulkModulusSettings
from mofonon.lattice.qha_schemas import QhaSettings
from mofonon.lattice.settings import PhononSettings, RelaxSettings, parse_supercell
from mofonon.lattice.stabilize_schemas import StabilizeSettings
from mofonon.potentials import PotentialSpec

StructureFrom = Literal["input", "stabilize"]


def _matrices(settings: Any) -> Any:
    """Let a supercell be written as on the command line: 2, or [2, 2, 2], or nine numbers."""
    if isinstance(settings, dict) and isinstance(settings.get("supercell"), list):
        numbers = settings["supercell"]
        if all(isinstance(number, int | float) for number in numbers):
            return {**settings, "supercell": parse_supercell(numbers)}
    return settings


Phonons = Annotated[PhononSettings, BeforeValidator(_matrices)]


class Structures(CampaignModel):
    """Where the structures come from."""

    files: list[str] = Field(
        default_factory=list, description="Files or patterns such as cifs/*.cif."
    )
    folder: Path | None = Field(None, description="Folder whose structure files are all taken.")
    manifest: Path | None = Field(
        None,
        description="YAML or JSON list of the structures to take from folder (name, file, "
        "sha256); others there are left.",
    )
    primitive: bool = Field(False, description="Reduce each to its primitive cell.")
    symprec: float = Field(1e-5, gt=0, description="Symmetry tolerance of that (A).")
    allow: tuple[str, ...] = Field((), description="Codes of structure checks to let pass.")

    _resolve = field_validator("folder", "manifest", mode="before")(resolved_paths)

    @field_validator("files", mode="before")
    @classmethod
    def _resolve_files(cls, value: Any, info: ValidationInfo) -> Any:
        resolved = resolved_paths(value, info)
        return [str(path) for path in resolved] if isinstance(resolved, list) else resolved

    @property
    def are_named(self) -> bool:
        """Whether there are any, beside those that a stage selects."""
        return bool(self.files) or self.folder is not None

    @model_validator(mode="after")
    def _manifest_has_a_folder(self) -> Structures:
        if self.manifest is not None and self.folder is None:
            raise ValueError("a manifest needs the folder that its files are in")
        return self


class CampaignPotential(CampaignModel):
    """A potential of the campaign: one that exists, or the one that a stage makes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    made_by: Literal["finetune"] | None = Field(
        None, alias="from", description="Stage that makes it, in place of model."
    )

    model: str | None = Field(
        None,
        description="demo, chgnet, sevennet-0, path of a MACE .model file, MACE foundation "
        "name, or module:callable of an ASE calculator.",
    )
    head: str | None = Field(None, description="Head of a multi-head MACE model.")
    dispersion: Literal["d3bj"] | None = Field(None, description="Add D3(BJ), PBE, no ATM.")
    device: str = Field("cpu", description="torch device of the worker, such as cuda.")
    dtype: Literal["float64", "float32"] = Field("float64", description="Precision.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of an ASE calculator."
    )

    seconds_per_atom: float | None = Field(
        None,
        gt=0,
        description="Measured seconds of one force evaluation for each atom, for estimates.",
    )

    @field_validator("model", mode="before")
    @classmethod
    def _resolve_file(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str) and value.endswith((".model", ".pt", ".pth")):
            return str(resolved_paths(value, info))
        return value

    @model_validator(mode="after")
    def _model_is_given(self) -> CampaignPotential:
        if (self.model is None) == (self.made_by is None):
            raise ValueError("a potential needs a model, or from: finetune")
        return self

    def spec(self) -> PotentialSpec:
        """Make the spec of a potential that exists."""
        fields = self.model_dump(exclude={"model", "seconds_per_atom", "made_by"})
        return PotentialSpec.from_name(str(self.model), **fields)

    def changes(self) -> dict[str, Any]:
        """Fields of the spec of a trained potential that this one sets."""
        names = {"head", "dispersion", "device", "dtype"}
        return self.model_dump(include=names & self.model_fields_set)

    def spec_of_costs(self) -> PotentialSpec:
        """Spec that costs are estimated from; a potential to be made is a MACE model."""
        if self.made_by is None:
            return self.spec()
        return PotentialSpec(family="mace", model="to be made", device=self.device)


class LatticeStage(Stage):
    """A stage that needs a structure and a potential."""

    relax: RelaxSettings | Literal[False] | None = Field(
        None, description="Relaxation before; that of the campaign if left out, false: none."
    )
    structure_from: StructureFrom = Field(
        "input", description="The structure of the file, or the one that stabilize ends with."
    )


class PhononStage(LatticeStage):
    """Relax, phonons, density of states, thermal properties."""

    settings: Phonons = Field(default_factory=PhononSettings, description="PhononSettings.")


class StabilizeStage(LatticeStage):
    """Elimination of imaginary modes."""

    settings: StabilizeSettings = Field(
        default_factory=StabilizeSettings, description="StabilizeSettings."
    )
    phonons: Phonons | None = Field(None, description="Those of stage phonons if left out.")
    structure_from: Literal["input"] = Field("input", description="The structure of the file.")


class BulkModulusStage(LatticeStage):
    """Bulk moduli from strained cells."""

    settings: BulkModulusSettings = Field(
        default_factory=BulkModulusSettings, description="BulkModulusSettings."
    )


class QhaStage(LatticeStage):
    """Thermal expansion in the quasi-harmonic approximation."""

    settings: QhaSettings = Field(default_factory=QhaSettings, description="QhaSettings.")
    phonons: Phonons | None = Field(None, description="Those of stage phonons if left out.")


class CustomStage(LatticeStage):
    """A stage of the user's: a Maker whose make(structure) gives a Flow or Job."""

    maker: str = Field(description="Import path module:Class of the Maker.")
    document_type: str | None = Field(None, description="Class name of its document.")
    summary: list[str] = Field(
        default_factory=list, description="Fields of its document for the table of results."
    )


class ReportStage(Stage):
    """One document with the key figures of all structures, and what failed."""


class Stages(CampaignModel):
    """The stages wanted; a stage that is not named is not run."""

    select: SelectStage | None = Field(None, description="Structures to train on.")
    sample: SampleStage | None = Field(None, description="Samples of them.")
    label: LabelStage | None = Field(None, description="Labels of the samples; the dataset.")
    finetune: FineTuneStage | None = Field(None, description="Training of a potential.")
    evaluate: EvaluateStage | None = Field(None, description="Errors of potentials.")
    extend: ExtendStage | None = Field(None, description="Extension of a potential.")
    phonons: PhononStage | None = Field(None, description="Phonons.")
    stabilize: StabilizeStage | None = Field(None, description="Imaginary modes.")
    bulk_modulus: BulkModulusStage | None = Field(
        None, alias="bulk-modulus", description="Bulk modulus."
    )
    qha: QhaStage | None = Field(None, description="Thermal expansion.")
    custom: dict[str, CustomStage] = Field(
        default_factory=dict, description="Stages of the user's, by name."
    )
    report: ReportStage | None = Field(None, description="Table of results.")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        """Let a stage without settings be written as ``qha:``, or all as a list of names."""
        if isinstance(value, list):
            value = dict.fromkeys(value)
        if isinstance(value, dict):
            return {key: {} if part is None else part for key, part in value.items()}
        return value

    @property
    def makes_a_potential(self) -> bool:
        """Whether there is a stage of training."""
        return any((self.sample, self.label, self.finetune, self.evaluate))


class CampaignSpec(CampaignModel):
    """A campaign: structures, potentials, the stages wanted and how."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$",
        description="Name; part of the metadata of every job.",
    )
    description: str = Field("", description="For people.")
    structures: Structures = Field(
        default_factory=Structures,
        description="The structures; those that stage select takes from its source where "
        "none are named.",
    )
    potentials: dict[str, CampaignPotential] = Field(description="Potentials, by name.")
    relax: RelaxSettings = Field(
        default_factory=RelaxSettings, description="Relaxation before each stage."
    )
    stages: Stages = Field(description="What is computed.")
    resources: Resources = Field(
        default_factory=Resources, description="Of all stages, where they do not say."
    )

    @model_validator(mode="after")
    def _structures_are_named(self) -> CampaignSpec:
        select = self.stages.select
        selected = select is not None and (select.source or select.document)
        if not self.structures.are_named and not selected:
            raise ValueError(
                "no structures are named: give files or folder, or stage select a source"
            )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> CampaignSpec:
        for name, stage in self.named_stages():
            unknown = set(stage.potentials or ()) - set(self.potentials)
            if unknown:
                raise ValueError(
                    f"stage {name} names potentials that the campaign does not have: "
                    f"{', '.join(sorted(unknown))}; it has {', '.join(self.potentials)}"
                )
            if getattr(stage, "structure_from", "input") == "stabilize":
                self._check_stabilized(name, stage)
        made = [name for name, each in self.potentials.items() if each.made_by]
        if made and self.stages.finetune is None:
            raise ValueError(
                f"the potential {made[0]} is made by finetune, which is not among the stages"
            )
        return self

    @model_validator(mode="after")
    def _extension_is_whole(self) -> CampaignSpec:
        extend = self.stages.extend
        if extend is None:
            return self
        if self.stages.label is None or self.stages.finetune is None:
            raise ValueError("stage extend needs the stages label and finetune")
        found = self.potentials.get(extend.current)
        if found is None or found.made_by is not None:
            raise ValueError(f"extend.current: there is no potential {extend.current}")
        return self

    def _check_stabilized(self, name: str, stage: Stage) -> None:
        if self.stages.stabilize is None:
            raise ValueError(
                f"stage {name} takes its structures from stabilize, which is not among the "
                "stages"
            )
        have = set(self.stages.stabilize.potentials or self.potentials)
        lacking = set(stage.potentials or self.potentials) - have
        if lacking:
            raise ValueError(
                f"stage {name} takes structures from stabilize, which is not run with "
                f"{', '.join(sorted(lacking))}"
            )

    def named_stages(self) -> Iterator[tuple[str, Stage]]:
        """Stages wanted, with their names, each after those it may need."""
        for name in (
            *("select", "sample", "label", "finetune", "evaluate", "extend"),
            *("stabilize", "phonons", "bulk-modulus", "qha"),
        ):
            stage = getattr(self.stages, name.replace("-", "_"))
            if stage is not None:
                yield name, stage
        yield from self.stages.custom.items()
        if self.stages.report is not None:
            yield "report", self.stages.report

    def import_paths(self) -> Iterator[tuple[str, str]]:
        """Import paths in the file, each with its place."""
        for name, potential in self.potentials.items():
            spec_model = str(potential.model)
            if (
                potential.made_by is None
                and ":" in spec_model
                and not Path(spec_model).exists()
            ):
                yield f"potentials.{name}.model", spec_model
        select = self.stages.select
        if select is not None and select.imports_a_function:
            yield "stages.select.model", str(select.model)
        label = self.stages.label
        if label is not None and label.dataset.fingerprint.function is not None:
            yield "stages.label.dataset.fingerprint", label.dataset.fingerprint.function
        for name, stage in self.named_stages():
            if stage.maker is not None:
                yield f"stages.{name}.maker", stage.maker
