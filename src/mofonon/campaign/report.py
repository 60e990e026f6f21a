"""The last job of a campaign: one document with its key figures and its failures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from jobflow import job
from pydantic import BaseModel, Field

from mofonon.provenance import software_versions, utc_now


class CampaignRow(BaseModel):
    """One unit of a campaign in the table of results."""

    structure: str = Field(description="Name of the structure.")
    stage: str = Field(description="Stage.")
    potential: str = Field(description="Name of the potential in the campaign.")
    document_id: str = Field(description="Id of the document.")
    state: Literal["done", "failed"] = Field(description="failed when there is no document.")
    values: dict[str, Any] = Field(
        description="Key figures of the document; units as in its own fields."
    )


class CampaignDoc(BaseModel):
    """Results of a campaign: what was computed, what failed."""

    campaign: str = Field(description="Name of the campaign.")
    n_units: int = Field(description="Units asked for.")
    n_done: int = Field(description="Units with a document.")
    n_failed: int = Field(description="Units without one.")
    rows: list[CampaignRow] = Field(description="One row for each unit.")
    notice: str | None = Field(None, description="Set when a stand-in is involved.")
    remedy: str | None = Field(None, description="What to do where something failed.")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(
        default_factory=utc_now,
        description="UTC time of completion.",
    )


def one_notice(notices: Iterable[str | None]) -> str | None:
    """Put the notices of documents together, each stand-in named once.

    Examples
    --------
    >>> one_notice(["toy model", "fine-tuned from: toy model; labels: toy labels", None])
    'toy model; labels: toy labels'
    """
    parts = dict.fromkeys(part for notice in notices if notice for part in notice.split("; "))
    kept = [part for part in parts if not any(part.endswith(f": {other}") for other in parts)]
    return "; ".join(kept) or None


@job(output_schema=CampaignDoc)
def summarize_campaign(campaign: str, rows: list[dict[str, Any]]) -> CampaignDoc:
    """Make the document of a campaign from what there is; what is missing has failed.

    Parameters
    ----------
    campaign : str
        Name of the campaign.
    rows : list of dict
        Fields of :class:`CampaignRow` but ``state``; ``found`` refers to a field that every
        document of the kind has, and is None where there is no document; ``notice`` to that of
        the document.
    """
    table = []
    notice = one_notice(row.pop("notice", None) for row in rows)
    for row in rows:
        found = row.pop("found")
        state = "done" if found is not None else "failed"
        table.append(CampaignRow(state=state, **row))
    n_done = sum(row.state == "done" for row in table)
    failed = len(table) - n_done
    return CampaignDoc(
        campaign=campaign,
        n_units=len(table),
        n_done=n_done,
        n_failed=failed,
        rows=table,
        notice=notice,
        remedy="mofonon status FILE says why; mofonon retry FILE runs what failed again"
        if failed
        else None,
        software=software_versions(),
    )
