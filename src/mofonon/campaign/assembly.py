"""From a campaign to its units: which Maker, of which structure, with which potential."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from jobflow import Flow, Job, OutputReference
from pymatgen.core import Structure

from mofonon.campaign.estimates import Cost, Estimate, estimate_job, total
from mofonon.campaign.identity import flat_jobs
from mofonon.campaign.report import summarize_campaign
from mofonon.campaign.resources import merged
from mofonon.campaign.schema import CampaignSpec, LatticeStage
from mofonon.campaign.schema_base import Stage
from mofonon.campaign.selection import FindDocument
from mofonon.campaign.stages import FOUND_BY, SUMMARY_FIELDS, stage_maker, summary_fields
from mofonon.campaign.structures import (
    NamedStructure,
    read_named,
    selected,
    structure_files,
)
from mofonon.campaign.units import Unit, make_unit
from mofonon.errors import CampaignError, MofononError
from mofonon.potentials import PotentialSpec, check_elements, describe_potential

#: Called with the number of structures read and their total.
Progress = Callable[[int, int], None]


class Assembly:
    """The state of one assembly: jobs taken, documents that later stages refer to.

    Parameters
    ----------
    spec : CampaignSpec
        The campaign.
    on_structure : callable, optional
        Called with the number of structures read and their total.
    find_document : callable, optional
        Gives the document of a selection that has been made.
    """

    def __init__(
        self,
        spec: CampaignSpec,
        on_structure: Progress | None,
        find_document: FindDocument | None = None,
    ) -> None:
        self.spec = spec
        self.on_structure = on_structure
        self.find_document = find_document
        self.taken: dict[str, Unit] = {}
        #: Potentials that exist; those that a stage makes are not among them.
        self.specs = {
            name: each.spec() for name, each in spec.potentials.items() if not each.made_by
        }
        self.descriptions = {
            name: describe_potential(each) for name, each in self.specs.items()
        }
        self.costs = {
            name: Cost.of(each.spec_of_costs(), each.seconds_per_atom)
            for name, each in spec.potentials.items()
        }
        self.stabilized: dict[tuple[str, str], OutputReference] = {}
        #: Document of the trained potential, once a unit makes it.
        self.trained: OutputReference | None = None
        #: Document that says whether it may replace another.
        self.verdict: OutputReference | None = None
        #: Id of the selection that training waits for; empty where it waits for none.
        self.awaited = ""

    def units(self) -> Iterator[Unit]:
        """Yield the units: training first, then structure after structure; the report last."""
        with _schemas_once():
            yield from self._units()

    def _units(self) -> Iterator[Unit]:
        made: list[Unit] = []
        for unit in self._all_but_the_report():
            made.append(unit)
            yield unit
        if self.spec.stages.report is not None:
            yield self._report(made)

    def _all_but_the_report(self) -> Iterator[Unit]:
        stages, named = self.spec.stages, self.spec.structures.are_named
        chosen: list[NamedStructure] | None = None
        if stages.select is not None and stages.select.manifest is None:
            from mofonon.campaign.assembly_selection import select

            unit, chosen = select(self, stages.select)
            yield unit
        structures: Any = chosen or []
        if named:
            structures = self._read(structure_files(self.spec.structures))
        if stages.makes_a_potential:
            from mofonon.campaign.assembly_training import TrainingAssembly

            structures = list(structures)
            of_training = structures if stages.select is None or chosen is None else chosen
            yield from TrainingAssembly(self, of_training).units()
        if not named and chosen is None:
            yield from self._of_structures_to_come()
        for found in structures:
            yield from self._of_structure(found)

    def _of_structures_to_come(self) -> Iterator[Unit]:
        """Units in the place of those of structures that are yet to be chosen."""
        for stage_name, stage in self.spec.named_stages():
            if isinstance(stage, LatticeStage):
                for potential in stage.potentials or self.spec.potentials:
                    yield self.to_come(stage_name, "", potential)

    def to_come(self, stage: str, structure: str = "", potential: str = "") -> Unit:
        """Make a unit without jobs, in the place of those that follow from the selection."""
        return Unit(stage, structure, potential, awaits=self.awaited)

    def _read(self, files: dict[str, Any]) -> Any:
        for number, (name, path) in enumerate(files.items(), 1):
            yield read_named(name, path, self.spec.structures)
            if self.on_structure is not None:
                self.on_structure(number, len(files))

    def fill(
        self,
        unit: Unit,
        stage: Stage,
        made: Flow | Job,
        structure: Structure | None = None,
    ) -> Unit:
        """Fill a unit with the jobs of a Maker, their resources and estimates."""
        make_unit(unit, made, self.spec.name, self.taken)
        unit.resources = merged(stage.resources, self.spec.resources)
        unit.hours_each = stage.hours_each
        cost = self.costs.get(unit.potential)
        if cost is not None:
            jobs = list(unit.jobs)
            unit.estimate = lambda: {
                job.uuid: estimate_job(job, structure, cost) for job in jobs
            }
        return self.remember(unit)

    def take_existing(self, unit: Unit, document_id: str) -> Unit:
        """Fill a unit with a document that exists."""
        unit.output = OutputReference(document_id)
        unit.job_ids = [document_id]
        return self.remember(unit)

    def remember(self, unit: Unit) -> Unit:
        """Let later units share its jobs and refer to its document."""
        self.taken |= dict.fromkeys(unit.job_ids, unit)
        if unit.stage == "stabilize" and unit.output is not None:
            self.stabilized[unit.structure, unit.potential] = unit.output
        return unit

    def _of_structure(self, found: NamedStructure) -> Iterator[Unit]:
        for stage_name, stage in self.spec.named_stages():
            if not isinstance(stage, LatticeStage) or not selected(
                found.name, stage.structures
            ):
                continue
            for potential in stage.potentials or self.spec.potentials:
                unit = Unit(stage_name, found.name, potential)
                if self._is_to_come(unit, stage):
                    yield self.to_come(stage_name, found.name, potential)
                    continue
                try:
                    yield self._lattice(unit, stage, found)
                except MofononError as error:
                    unit.error = error
                    yield unit

    def _is_to_come(self, unit: Unit, stage: LatticeStage) -> bool:
        """Whether its potential will be trained on structures that are yet to be chosen."""
        trained = unit.potential not in self.specs and self.trained is None
        return bool(self.awaited) and trained and unit.structure not in stage.documents

    def _lattice(self, unit: Unit, stage: LatticeStage, found: NamedStructure) -> Unit:
        existing = stage.documents.get(found.name)
        if existing is not None:
            return self.take_existing(unit, existing)
        structure = usable(found)
        unit.n_atoms = len(structure)
        given = self._structure(unit, stage, structure)
        if unit.potential in self.specs:
            self.check_elements(unit.potential, structure)
            maker: Any = stage_maker(self.spec, stage, self.specs[unit.potential])
            return self.fill(unit, stage, maker.make(given), structure)
        maker = stage_maker(self.spec, stage, PotentialSpec(family="demo"))
        unit = self.fill(unit, stage, self._with_trained(unit, maker, given))
        unit.estimate = lambda: self._with_trained_estimate(unit, maker, structure)
        return unit

    def _with_trained_estimate(
        self, unit: Unit, maker: Any, structure: Structure
    ) -> dict[str, Estimate]:
        """Estimate the job that starts a stage as all that it starts."""
        cost = self.costs[unit.potential]
        parts = [estimate_job(job, structure, cost) for job in flat_jobs(maker.make(structure))]
        return {job.uuid: total(parts) for job in unit.jobs[:1]}

    def _with_trained(self, unit: Unit, maker: Any, structure: Any) -> Job:
        """Make the job that starts a stage with the potential that finetune makes."""
        from mofonon.campaign.training import with_potential_of

        if self.trained is None:
            raise CampaignError(
                f"the potential {unit.potential} is made by finetune, which cannot be made",
                "see why finetune cannot be made: mofonon campaign check",
            )
        changes = self.spec.potentials[unit.potential].changes()
        return with_potential_of(maker, structure, self.trained, changes, self.verdict)

    def check_elements(self, potential: str, structure: Structure) -> None:
        """Check that a potential that exists knows the elements of a structure."""
        elements = {element.symbol for element in structure.composition.elements}
        check_elements(elements, self.descriptions[potential])

    def _structure(self, unit: Unit, stage: LatticeStage, given: Structure) -> Any:
        if stage.structure_from == "input":
            return given
        before = self.stabilized.get((unit.structure, unit.potential))
        if before is None:
            raise CampaignError(
                f"stage {unit.stage} takes the structure that stabilize ends with, and that "
                f"stage cannot be made for {unit.structure}",
                "see why stabilize cannot be made: mofonon campaign check",
            )
        return before.structure

    def _report(self, made: list[Unit]) -> Unit:
        if any(unit.awaits for unit in made):
            return self.to_come("report")
        stages = dict(self.spec.named_stages())
        rows = [
            report_row(unit, summary_fields(unit.stage, stages.get(unit.stage)))
            for unit in made
        ]
        job = summarize_campaign(self.spec.name, rows)
        job.name = "report"
        return self.fill(Unit("report", "", "", gathers=True), stages["report"], job)


@contextmanager
def _schemas_once() -> Iterator[None]:
    """Let jobflow make the JSON schema of a document once, not at each access to a field.

    Making it takes four fifths of the time of assembling a campaign (jobflow 0.4: 12 ms for
    each field of an OutputReference).
    """
    from jobflow.core import reference

    original = reference.validate_schema_access
    reference.validate_schema_access = lru_cache(maxsize=None)(original)
    try:
        yield
    finally:
        reference.validate_schema_access = original


def usable(found: NamedStructure) -> Structure:
    """Give the structure, or raise what is wrong with it."""
    if found.structure is None:
        raise found.error or MofononError(
            f"{found.path} holds no structure", "check the file with mofonon campaign check"
        )
    return found.structure


def report_row(unit: Unit, fields: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a row of the report, with references to the document of a unit."""
    row: dict[str, Any] = {
        "structure": unit.structure,
        "stage": unit.stage,
        "potential": unit.potential,
        "document_id": "",
        "found": None,
        "values": {},
    }
    if unit.output is not None:
        row["document_id"] = unit.output.uuid
        # a small field that every document of the stage has, not the document with its arrays
        known = FOUND_BY.get(unit.stage, "nsites" if "nsites" in fields else "")
        if unit.stage == "sample":
            row["found"] = unit.output[known]  # a dict, not a document
        else:
            row["found"] = getattr(unit.output, known) if known else unit.output
        if unit.stage in SUMMARY_FIELDS and unit.stage != "sample":
            row["notice"] = unit.output.notice
        row["values"] = {name: getattr(unit.output, name) for name in fields}
    return row
