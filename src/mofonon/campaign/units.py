"""The units of a campaign: a stage applied to a structure with a potential."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jobflow import Flow, Job, OnMissing, OutputReference
from pymatgen.core import Structure

from mofonon.campaign.estimates import Estimate
from mofonon.campaign.identity import flat_jobs, identify_jobs, renamed
from mofonon.campaign.resources import queue_name
from mofonon.campaign.schema_base import Resources
from mofonon.errors import MofononError


@dataclass
class Unit:
    """One calculation of a campaign, with the jobs it consists of.

    Attributes
    ----------
    stage : str
        Name of the stage.
    structure : str
        Name of the structure; empty for what is made once for the campaign.
    potential : str
        Name of the potential; empty where there is none.
    jobs : list of Job
        Its jobs, each after those it refers to; jobs that an earlier unit has are not among
        them.
    job_ids : list of str
        Ids of all its jobs, shared ones too.
    output : OutputReference or None
        Its document; None where the unit cannot be made.
    error : MofononError or None
        Why it cannot be made.
    n_atoms : int
        Atoms in the cell; 0 where there is no structure.
    resources : Resources
        What its jobs ask for.
    estimate : callable
        Estimates the cost of its jobs by id; asked once, where somebody wants to know.
    whole_cost : callable or None
        Estimates the cost of all that the unit comes to, where that is not its jobs' alone:
        of jobs made while it runs, and by VASP (core-hours).
    hours_each : float or None
        Measured cost (core- or GPU-hours), in the place of the estimate.
    names : dict
        Ids that its jobs had before, to their ids.
    gathers : bool
        Whether it takes what there is of what other units made, and goes on without the rest.
    runs_vasp : bool
        Whether its jobs run VASP: each needs a folder of its own.
    vasp_of : Structure or None
        The structure that VASP is run on, where it is known.
    labels : list of str
        Ids of its documents with labels by VASP.
    label_maker : LabelMaker or None
        What runs calculations of them again.
    awaits : str
        Id of the selection without which its jobs cannot be made yet; empty otherwise.
    """

    stage: str
    structure: str
    potential: str
    jobs: list[Job] = field(default_factory=list)
    job_ids: list[str] = field(default_factory=list)
    output: OutputReference | None = None
    error: MofononError | None = None
    n_atoms: int = 0
    resources: Resources = field(default_factory=Resources)
    estimate: Callable[[], dict[str, Estimate]] = field(default=dict, compare=False)
    whole_cost: Callable[[], Sequence[Estimate]] | None = None
    hours_each: float | None = None
    gathers: bool = False
    runs_vasp: bool = False
    vasp_of: Structure | None = None
    labels: list[str] = field(default_factory=list)
    label_maker: Any = None
    awaits: str = ""
    names: dict[str, str] = field(default_factory=dict)

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Estimated cost of its jobs by id; to count displacements takes a while."""
        return self.estimate()

    @property
    def label(self) -> str:
        """Short name for people."""
        return " ".join(part for part in (self.structure, self.stage, self.potential) if part)

    @property
    def needs(self) -> set[str]:
        """Ids of the jobs of other units that it takes something from."""
        own = {job.uuid for job in self.jobs}
        inputs = {each for job in self.jobs for each in job.input_uuids}
        awaited = {self.awaits} if self.awaits else set()
        return (inputs | set(self.job_ids) | awaited) - own

    def metadata(self, campaign: str) -> dict[str, Any]:
        """Metadata of its jobs, by which they are found in any database."""
        return {
            "campaign": campaign,
            "stage": self.stage,
            "structure": self.structure,
            "potential": self.potential,
        }


def make_unit(unit: Unit, made: Flow | Job, campaign: str, taken: Mapping[str, object]) -> Unit:
    """Fill a unit with the jobs of a flow: content-addressed, labelled, shared ones left out.

    Parameters
    ----------
    unit : Unit
        Without jobs.
    made : Flow or Job
        What a Maker made; its output is the document of the unit.
    campaign : str
        Name of the campaign.
    taken : mapping
        Ids of the jobs of earlier units.
    """
    jobs = flat_jobs(made)
    names = unit.names = identify_jobs(jobs)
    unit.output = renamed(made.output, names)
    unit.job_ids = list(dict.fromkeys(job.uuid for job in jobs))
    fresh = {job.uuid: job for job in jobs if job.uuid not in taken}
    unit.jobs = list(fresh.values())
    for job in unit.jobs:
        job.hosts = []
        job.name = queue_name(job.name)
        # a failed parent must not block what only looks at what there is
        job.update_config({"on_missing_references": OnMissing.NONE}, dynamic=True)
        job.update_metadata(unit.metadata(campaign), dynamic=True)
    return unit
