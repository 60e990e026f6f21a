"""The page of a campaign: progress, failures first, and a table to sort and filter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from string import Template
from typing import Any

import mofonon
from mofonon.report.markup import Html, escape, join, tag
from mofonon.report.overview import Overview, OverviewRow
from mofonon.report.page import package_text, script_hash
from mofonon.report.payload import script_safe

#: Columns of the table: key in the data, header with unit, decimals (None for text).
COLUMNS: tuple[tuple[str, str, int | None], ...] = (
    ("name", "Structure", None),
    ("state", "State", None),
    ("formula", "Formula", None),
    ("atoms", "Atoms", 0),
    ("space_group", "Space group", None),
    ("potential", "Potential", None),
    ("min_frequency", "Lowest frequency (THz)", 4),
    ("imaginary_modes", "Imaginary modes", 0),
    ("zero_point_energy", "Zero-point energy (kJ/mol of cell)", 2),
    ("heat_capacity_300K", "Cv at 300 K (J/K/mol of cell)", 2),
    ("bulk_modulus", "Bulk modulus (GPa)", 2),
    ("cte_linear_300K", "Linear expansion at 300 K (1e-6/K)", 3),
    ("volume", "Volume (\u00c5\u00b3)", 1),
)


def campaign_data(overview: Overview, links: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Give columns and rows as arrays, compact for a thousand structures.

    Parameters
    ----------
    overview : Overview
        The rows.
    links : mapping of str, optional
        Address of the page of a structure by the id of one of its documents.
    """
    return {
        "columns": [list(column) for column in COLUMNS],
        "rows": [_values(row) for row in overview.rows],
        "links": [_link(row, links or {}) for row in overview.rows],
        "why": {
            index: [row.why, row.remedy]
            for index, row in enumerate(overview.rows)
            if row.state == "failed"
        },
        "progress": overview.progress,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def render_campaign(
    overview: Overview,
    title: str,
    *,
    links: Mapping[str, str] | None = None,
    live: bool = False,
) -> str:
    """Make the page as one HTML text that asks the network for nothing.

    Parameters
    ----------
    overview : Overview
        What the store holds.
    title : str
        Title of the page.
    links : mapping of str, optional
        Address of the page of a structure by the id of one of its documents.
    live : bool
        Ask the server that gave the page for news, every few seconds.
    """
    from plotly.offline import get_plotlyjs

    plotly = get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")
    script = package_text("campaign.js")
    notices = sorted({row.notice for row in overview.rows if row.notice})
    data = json.dumps(campaign_data(overview, links), ensure_ascii=True, separators=(",", ":"))
    return Template(package_text("campaign.html")).substitute(
        title=escape(title),
        hashes=" ".join(f"'{script_hash(text)}'" for text in (plotly, script)),
        connect="connect-src 'self'; " if live else "",
        live="yes" if live else "no",
        style=package_text("page.css") + package_text("campaign.css"),
        version=escape(mofonon.__version__),
        notices=_notices(notices),
        data=Html(script_safe(data)),
        plotly=plotly,
        script=script,
    )


def _notices(notices: list[str]) -> Html:
    return join(
        tag(
            "p",
            join((tag("strong", f"Stand-in: {notice}."), " Behind some of the numbers.")),
            class_="banner alarm",
        )
        for notice in notices
    )


def _values(row: OverviewRow) -> list[Any]:
    out: list[Any] = []
    for key, _, digits in COLUMNS:
        value = row.numbers[key] if key in row.numbers else getattr(row, key, None)
        if digits is not None and isinstance(value, float):
            value = round(value, digits + 2)
        out.append(value)
    return out


def _link(row: OverviewRow, links: Mapping[str, str]) -> str:
    found = (links[identity] for identity in row.documents.values() if identity in links)
    return next(found, "")
