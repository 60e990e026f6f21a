"""A campaign as one Flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jobflow import Flow, Job, Maker, OutputReference
from pymatgen.core import Structure

from mofonon.campaign.estimates import Cost, estimate_job
from mofonon.campaign.report import summarize_campaign
from mofonon.campaign.resources import merged
from mofonon.campaign.schema import CampaignSpec, LatticeStage
from mofonon.campaign.stages import stage_maker, summary_fields
from mofonon.campaign.structures import (
    NamedStructure,
    read_named,
    selected,
    structure_files,
)
from mofonon.campaign.units import Unit, make_unit
from mofonon.errors import CampaignError, MofononError
from mofonon.potentials import check_elements, describe_potential

Progress = Callable[[int, int], None]


@dataclass
class CampaignMaker(Maker):
    """Make the Flow of a campaign: a sub-flow for each stage, structure and potential.

    Jobs have ids that follow from their content, so that the same calculation is never made
    twice, within a campaign or between submissions. A failed structure does not stop the
    others: every job is told to run without missing inputs
    (``on_missing_references = none``), and the report at the end gathers what there is.

    Parameters
    ----------
    name : str
        Name of the Maker; that of the flow is the campaign's.

    Examples
    --------
    >>> from mofonon.campaign import CampaignMaker
    >>> CampaignMaker().name
    'campaign'
    """

    name: str = "campaign"

    def make(self, spec: CampaignSpec) -> Flow:
        """Make the flow.

        Parameters
        ----------
        spec : CampaignSpec
            A validated campaign, as :func:`mofonon.campaign.load_campaign` gives.
        """
        flows: list[Flow | Job] = [unit_flow(unit) for unit in self.units(spec) if unit.jobs]
        return Flow(flows, name=spec.name)

    def units(self, spec: CampaignSpec, on_structure: Progress | None = None) -> list[Unit]:
        """Make the units, each after those it takes something from.

        Parameters
        ----------
        spec : CampaignSpec
            A validated campaign.
        on_structure : callable, optional
            Called with the number of structures read and their total.
        """
        return list(_Assembly(spec, on_structure).units())


def unit_flow(unit: Unit, keep: Callable[[Job], bool] = lambda _: True) -> Flow:
    """Make a flow of the jobs of a unit that are still to be done."""
    jobs: list[Flow | Job] = [job for job in unit.jobs if keep(job)]
    for each in jobs:
        each.hosts = []
    return Flow(jobs, name=unit.label)


class _Assembly:
    """The state of one assembly: jobs taken, documents that later stages refer to."""

    def __init__(self, spec: CampaignSpec, on_structure: Progress | None) -> None:
        self.spec = spec
        self.on_structure = on_structure
        self.taken: dict[str, Unit] = {}
        self.specs = {name: each.spec() for name, each in spec.potentials.items()}
        self.descriptions = {
            name: describe_potential(each) for name, each in self.specs.items()
        }
        self.costs = {
            name: Cost.of(self.specs[name], each.seconds_per_atom)
            for name, each in spec.potentials.items()
        }
        self.stabilized: dict[tuple[str, str], OutputReference] = {}

    def units(self) -> Iterator[Unit]:
        """Yield the units: structure after structure, stage after stage; the report last."""
        files = structure_files(self.spec.structures)
        made: list[Unit] = []
        for number, (name, path) in enumerate(files.items(), 1):
            found = read_named(name, path, self.spec.structures)
            for unit in self._of_structure(found):
                made.append(unit)
                yield unit
            if self.on_structure is not None:
                self.on_structure(number, len(files))
        if self.spec.stages.report is not None:
            yield self._report(made)

    def _of_structure(self, found: NamedStructure) -> Iterator[Unit]:
        for stage_name, stage in self.spec.named_stages():
            if not isinstance(stage, LatticeStage) or not selected(
                found.name, stage.structures
            ):
                continue
            for potential in stage.potentials or self.spec.potentials:
                unit = Unit(stage_name, found.name, potential)
                try:
                    yield self._unit(unit, stage, found)
                except MofononError as error:
                    unit.error = error
                    yield unit

    def _unit(self, unit: Unit, stage: LatticeStage, found: NamedStructure) -> Unit:
        existing = stage.documents.get(found.name)
        if existing is not None:
            unit.output = OutputReference(existing)
            unit.job_ids = [existing]
            return self._remember(unit)
        if found.structure is None:
            raise found.error or MofononError(f"{found.path} holds no structure")
        unit.n_atoms = len(found.structure)
        check_elements(
            {element.symbol for element in found.structure.composition.elements},
            self.descriptions[unit.potential],
        )
        maker: Any = stage_maker(self.spec, stage, self.specs[unit.potential])
        structure = self._structure(unit, stage, found.structure)
        make_unit(unit, maker.make(structure), self.spec.name, self.taken)
        unit.resources = merged(stage.resources, self.spec.resources)
        cost = self.costs[unit.potential]
        unit.estimates = {
            job.uuid: estimate_job(job, found.structure, cost) for job in unit.jobs
        }
        return self._remember(unit)

    def _structure(self, unit: Unit, stage: LatticeStage, given: Structure) -> Any:
        if stage.structure_from == "input":
            return given
        before = self.stabilized.get((unit.structure, unit.potential))
        if before is None:
            raise CampaignError(
                f"stage {unit.stage} takes the structure that stabilize ends with, and that "
                f"stage cannot be made for {unit.structure}"
            )
        return before.structure

    def _remember(self, unit: Unit) -> Unit:
        self.taken |= dict.fromkeys(unit.job_ids, unit)
        if unit.stage == "stabilize" and unit.output is not None:
            self.stabilized[unit.structure, unit.potential] = unit.output
        return unit

    def _report(self, made: list[Unit]) -> Unit:
        stages = dict(self.spec.named_stages())
        rows = [
            report_row(unit, summary_fields(unit.stage, stages[unit.stage])) for unit in made
        ]
        job = summarize_campaign(self.spec.name, rows)
        job.name = "report"
        unit = make_unit(Unit("report", "", "", gathers=True), job, self.spec.name, self.taken)
        unit.resources = merged(stages["report"].resources, self.spec.resources)
        return self._remember(unit)


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
        row["found"] = unit.output.nsites if fields else unit.output
        row["values"] = {name: getattr(unit.output, name) for name in fields}
    return row
