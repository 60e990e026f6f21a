"""The units that make a potential: samples and labels of each MOF, then one of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import Flow, OutputReference
from pymatgen.core import Structure

from mofonon.campaign.extension import NEW, OLD, judge_extension
from mofonon.campaign.resources import merged
from mofonon.campaign.schema_training import (
    EvaluateStage,
    ExtendStage,
    FineTuneStage,
    LabelStage,
    SampleStage,
)
from mofonon.campaign.stage_costs import (
    evaluation_cost,
    label_frames,
    sample_estimates,
    sampled_frames,
    training_cost,
    vasp_cost,
)
from mofonon.campaign.stages import import_maker
from mofonon.campaign.structures import NamedStructure, read_manifest, selected
from mofonon.campaign.training import evaluate_on, fine_tune, label_samples
from mofonon.campaign.units import Unit
from mofonon.dataset.flows import PotentialLabelMaker, build_from_labels, gather_frames
from mofonon.dataset.samplers import (
    EosSampleMaker,
    MdSampleMaker,
    RattleSampleMaker,
    RelaxSampleMaker,
)
from mofonon.dataset.schemas import PARTS
from mofonon.errors import CampaignError, MofononError
from mofonon.potentials import PotentialSpec
from mofonon.provenance import file_sha256
from mofonon.training.evaluation import EvaluationMaker
from mofonon.training.flows import FineTuneMaker
from mofonon.training.spec import FineTuneSpec

if TYPE_CHECKING:
    from mofonon.campaign.assembly import Assembly

_SAMPLERS: dict[str, Any] = {
    "eos": EosSampleMaker,
    "md": MdSampleMaker,
    "relax": RelaxSampleMaker,
    "rattle": RattleSampleMaker,
}


class TrainingAssembly:
    """Makes these units within the assembly of a campaign.

    Parameters
    ----------
    assembly : Assembly
        The campaign's.
    structures : sequence of NamedStructure
        All structures.
    """

    def __init__(self, assembly: Assembly, structures: Sequence[NamedStructure]) -> None:
        self.assembly = assembly
        self.stages = assembly.spec.stages
        self.structures = structures
        self.labels: list[OutputReference] = []
        #: Frames that samplers are asked for, by structure, and those labelled with atoms each.
        self.sampled: dict[str, int] = {}
        self.frames: list[tuple[int, int]] = []

    def units(self) -> Iterator[Unit]:
        """Yield them: sample and label of each structure, dataset, finetune, evaluate."""
        label = self.stages.label
        dataset: OutputReference | None = None
        if self.assembly.awaited and label is not None and label.document is None:
            yield from self._to_come()
            return
        if label is not None:
            if label.document is None:
                yield from self._samples_and_labels(label)
            unit = self._dataset(label)
            dataset = unit.output
            yield unit
        if self.stages.finetune is not None:
            unit = self._fine_tune(self.stages.finetune, dataset)
            self.assembly.trained = unit.output
            yield unit
        if self.stages.evaluate is not None or self.stages.extend is not None:
            unit = self._evaluate(dataset)
            yield unit
            if self.stages.extend is not None:
                verdict = self._judge(self.stages.extend, unit.output)
                self.assembly.verdict = verdict.output
                yield verdict

    def _to_come(self) -> Iterator[Unit]:
        """Units in the place of those of structures that are yet to be chosen."""
        stages = self.stages
        kept = stages.finetune is not None and stages.finetune.document is not None
        if stages.finetune is not None and kept:
            unit = self._fine_tune(stages.finetune, None)
            self.assembly.trained = unit.output
            yield unit
        for name, wanted in (
            ("sample", stages.sample),
            ("label", stages.label),
            ("dataset", stages.label),
            ("finetune", None if kept else stages.finetune),
            ("evaluate", stages.evaluate or stages.extend),
            ("extend", stages.extend),
        ):
            if wanted is not None:
                unit = self.assembly.to_come(name)
                unit.resources = merged(wanted.resources, self.assembly.spec.resources)
                unit.runs_vasp = name == "label" and getattr(wanted, "by", "") == "vasp"
                yield unit

    def _samples_and_labels(self, label: LabelStage) -> Iterator[Unit]:
        chosen = self._chosen()
        for found in self.structures:
            if not selected(found.name, label.structures) or found.name not in chosen:
                continue
            sample = Unit("sample", found.name, "")
            labelled = Unit("label", found.name, "")
            try:
                frames = None
                if self.stages.sample is not None:
                    yield self._sample(sample, self.stages.sample, found)
                    frames = sample.output
                yield self._label(labelled, label, found, frames)
            except MofononError as error:
                for unit in (sample, labelled):
                    if unit.output is None and (unit is labelled or self.stages.sample):
                        unit.error = error
                        yield unit

    def _chosen(self) -> set[str]:
        """Names of the structures that a manifest of mofonon select has, or of all."""
        names = {found.name for found in self.structures}
        path = self.stages.select.manifest if self.stages.select is not None else None
        if path is None:
            return names
        entries = read_manifest(path)
        chosen = {str(entry.get("name") or entry.get("id")) for entry in entries}
        if not chosen <= names:
            raise CampaignError(
                f"the manifest {path} names {', '.join(sorted(chosen - names)[:5])}, which the "
                "campaign does not have",
                "add the structures, or select from those of the campaign",
            )
        return chosen

    def _sample(self, unit: Unit, stage: SampleStage, found: NamedStructure) -> Unit:
        from mofonon.campaign.assembly import usable

        structure = usable(found)
        unit.n_atoms = len(structure)
        samplers = []
        for name, options in stage.samplers.items():
            cls = _SAMPLERS[name]
            given = dict(options)
            if "potential" in cls.__dataclass_fields__:
                given["potential"] = self._potential_of(stage.potentials, "sample")
            if "dynamics" in given:
                from mofonon.dynamics import DynamicsSettings

                given["dynamics"] = DynamicsSettings(**given["dynamics"])
            samplers.append(cls(**given).make(structure, mof_id=found.name))
        for sampler in samplers:
            sampler.append_name(f" {found.name}")
        gathered = gather_frames([sampler.output for sampler in samplers])
        gathered.name = f"samples {found.name}"
        self.sampled[found.name] = sampled_frames([sampler.maker for sampler in samplers])
        unit = self.assembly.fill(
            unit, stage, Flow([*samplers, gathered], output=gathered.output)
        )
        costs = {spec.label: self.assembly.costs[n] for n, spec in self.assembly.specs.items()}
        unit.estimates = sample_estimates(unit.jobs, unit.n_atoms, costs)
        return unit

    def _label(
        self,
        unit: Unit,
        stage: LabelStage,
        found: NamedStructure,
        frames: OutputReference | None,
    ) -> Unit:
        from mofonon.campaign.assembly import usable

        structure = usable(found)
        unit.n_atoms = len(structure)
        unit.runs_vasp, unit.vasp_of = stage.by == "vasp", structure
        maker = self._label_maker(stage)
        made = []
        if stage.label_structures or frames is None:
            made.append(maker.make(structure, mof_ids=found.name))
        if frames is not None:
            made.append(_label_frames(maker, frames["frames"], found.name))
        outputs = [each.output for each in made]
        if len(made) > 1:
            # the document of the unit is that of the samples; both go into the dataset
            names = Flow(made, output=outputs[-1], name=f"label {found.name}")
            filled = self.assembly.fill(unit, stage, names)
            documents = [renamed_output(each, filled) for each in outputs]
        else:
            filled = self.assembly.fill(unit, stage, made[0])
            documents = [filled.output] if filled.output is not None else []
        self.labels += documents
        if unit.runs_vasp and hasattr(maker, "retry"):
            unit.labels, unit.label_maker = [each.uuid for each in documents], maker
        self._estimate_labels(unit, stage, maker, structure)
        return filled

    def _estimate_labels(
        self, unit: Unit, stage: LabelStage, maker: Any, structure: Structure
    ) -> None:
        """Count the labelled frames, and say how their cost is estimated."""
        n_frames = self.sampled.get(unit.structure, 0)
        whole = stage.label_structures or self.stages.sample is None
        most = stage.dataset.max_relax_frames
        labelled = label_frames(maker, n_frames, with_structure=whole, most_relax=most)
        self.frames.append((labelled, len(structure)))
        if isinstance(maker, PotentialLabelMaker):
            cost = self.assembly.costs[(stage.potentials or [""])[0]]
            evaluated = cost.estimate([(labelled, len(structure))])
            unit.estimates = dict.fromkeys([job.uuid for job in unit.jobs][-1:], evaluated)
        elif unit.label_maker is not None:
            unit.whole_cost = lambda: [
                vasp_cost(
                    structure,
                    unit.structure,
                    maker,
                    n_frames,
                    with_structure=whole,
                    assumptions=stage.cost,
                )
            ]

    def _label_maker(self, stage: LabelStage) -> Any:
        if stage.maker is not None:
            return import_maker(stage.maker)(**stage.options)
        if stage.by == "potential":
            teacher = self._potential_of(stage.potentials, "label")
            return PotentialLabelMaker(potential=teacher)
        from mofonon.dft import LabelMaker

        return LabelMaker(**stage.options)

    def _dataset(self, label: LabelStage) -> Unit:
        unit = Unit("dataset", "", "", gathers=True)
        if label.document is not None:
            return self.assembly.take_existing(unit, label.document)
        built = build_from_labels(
            self.labels,
            self.assembly.spec.name,
            label.dataset,
            label.isolated_atoms,
            self.assembly.spec.description,
            label.licence,
        )
        built.name = "dataset"
        return self.assembly.fill(unit, label, built)

    def _fine_tune(self, stage: FineTuneStage, dataset: OutputReference | None) -> Unit:
        unit = Unit("finetune", "", "")
        if stage.document is not None:
            return self.assembly.take_existing(unit, stage.document)
        if dataset is None:
            raise CampaignError(
                "stage finetune needs a dataset", "add stage label, or name its document"
            )
        maker = FineTuneMaker(
            name=self.assembly.spec.name,
            spec=stage.settings,
            launch=stage.launch,
            with_dispersion=stage.with_dispersion,
        )
        datasets = [dataset]
        if self.stages.extend is not None:
            datasets.insert(0, OutputReference(self.stages.extend.dataset))
        made = fine_tune(datasets, stage.split, maker, named_files(stage.settings))
        made.name = "finetune"
        unit = self.assembly.fill(unit, stage, made)
        if self.frames:
            share = self._fractions()["train"]
            unit.whole_cost = lambda: [training_cost(stage.settings, self.frames, share)]
        return unit

    def _fractions(self) -> dict[str, float]:
        label = self.stages.label or LabelStage(by="vasp")
        return dict(zip(PARTS, label.dataset.fractions, strict=True))

    def _evaluate(self, dataset: OutputReference | None) -> Unit:
        stage = self.stages.evaluate or EvaluateStage()
        if dataset is None:
            raise CampaignError(
                "stage evaluate needs a dataset", "add stage label, or name its document"
            )
        extend = self.stages.extend
        datasets: dict[str, OutputReference] = {stage.part: dataset}
        if extend is not None:
            datasets = {OLD: OutputReference(extend.dataset), NEW: dataset}
        potentials: dict[str, Any] = {}
        files = None
        for name in stage.potentials or self.assembly.spec.potentials:
            if name in self.assembly.specs:
                potentials[name] = self.assembly.specs[name]
            elif self.assembly.trained is not None:
                potentials[name] = self.assembly.trained.potential_spec
                files = self.assembly.trained.files
        made = evaluate_on(
            datasets, stage.split, stage.part, EvaluationMaker(), potentials, files
        )
        made.name = "evaluate"
        unit = self.assembly.fill(Unit("evaluate", "", ""), stage, made)
        if self.frames:
            costs = [self.assembly.costs[name] for name in potentials]
            share = self._fractions()[stage.part]
            unit.whole_cost = lambda: evaluation_cost(costs, self.frames, share)
        return unit

    def _judge(self, stage: ExtendStage, evaluation: OutputReference | None) -> Unit:
        candidates = [n for n, p in self.assembly.spec.potentials.items() if p.made_by]
        if evaluation is None or not candidates:
            raise CampaignError(
                "stage extend needs the potential that finetune makes",
                "add it to potentials, with from: finetune",
            )
        made = judge_extension(evaluation, stage.current, candidates[0], stage.tolerance)
        made.name = "extend"
        return self.assembly.fill(Unit("extend", "", ""), stage, made)

    def _potential_of(self, names: list[str] | None, stage: str) -> PotentialSpec:
        existing = self.assembly.specs
        wanted = names or list(existing)[:1]
        if len(wanted) != 1 or wanted[0] not in existing:
            raise CampaignError(
                f"stage {stage} needs one potential that exists",
                f"potentials: [{', '.join(existing)}]",
            )
        return existing[wanted[0]]


def _label_frames(maker: Any, frames: OutputReference, name: str) -> Any:
    """Make the job or flow that labels the samples of a MOF; its output is one LabelDoc."""
    from mofonon.dft import LabelMaker

    if not isinstance(maker, LabelMaker):
        return maker.make(frames, mof_ids=name)
    started = label_samples(maker, frames, name)
    started.name = f"label {name}"
    return started


def named_files(settings: FineTuneSpec) -> dict[str, str]:
    """Hashes of the files that settings of a training name, by their fields."""
    found = {"foundation": settings.foundation, "replay": settings.replay}
    return {
        name: file_sha256(Path(path))
        for name, path in found.items()
        if path is not None and Path(path).is_file()
    }


def renamed_output(output: OutputReference, unit: Unit) -> OutputReference:
    """Find the reference to an output among the final ids of the jobs of a unit."""
    names = unit.names
    return replace_uuid(output, names.get(output.uuid, output.uuid))


def replace_uuid(output: OutputReference, uuid: str) -> OutputReference:
    """Copy of a reference to another job."""
    return OutputReference(uuid, output.attributes, output.output_schema)
