"""A campaign as one Flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobflow import Flow, Job, Maker

from mofonon.campaign.assembly import Assembly, Progress
from mofonon.campaign.schema import CampaignSpec
from mofonon.campaign.selection import FindDocument
from mofonon.campaign.units import Unit


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

    def make(self, spec: CampaignSpec, find_document: FindDocument | None = None) -> Flow:
        """Make the flow.

        Parameters
        ----------
        spec : CampaignSpec
            A validated campaign, as :func:`mofonon.campaign.load_campaign` gives.
        find_document : callable, optional
            Gives the document of a selection that has been made; without it the flow ends
            with the selection, where the campaign makes one to train on.
        """
        units = self.units(spec, find_document=find_document)
        flows: list[Flow | Job] = [unit_flow(unit) for unit in units if unit.jobs]
        return Flow(flows, name=spec.name)

    def units(
        self,
        spec: CampaignSpec,
        on_structure: Progress | None = None,
        find_document: FindDocument | None = None,
    ) -> list[Unit]:
        """Make the units, each after those it takes something from.

        Parameters
        ----------
        spec : CampaignSpec
            A validated campaign.
        on_structure : callable, optional
            Called with the number of structures read and their total.
        find_document : callable, optional
            Gives the document of a selection that has been made.
        """
        return list(Assembly(spec, on_structure, find_document).units())


def unit_flow(unit: Unit, keep: Callable[[Job], bool] = lambda _: True) -> Flow:
    """Make a flow of the jobs of a unit that are still to be done."""
    jobs: list[Flow | Job] = [job for job in unit.jobs if keep(job)]
    for each in jobs:
        each.hosts = []
    return Flow(jobs, name=unit.label)
