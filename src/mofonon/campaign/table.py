"""The units of a campaign, remembered, so that status does not read every structure again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mofonon.campaign.state import UnitRow
from mofonon.provenance import content_hash
from mofonon.settings import get_settings

if TYPE_CHECKING:
    from mofonon.campaign.schema import CampaignSpec
    from mofonon.campaign.units import Unit


def remember(spec: CampaignSpec, units: Sequence[Unit]) -> list[UnitRow]:
    """Keep the rows of the units until the campaign or a file of it changes."""
    rows = [UnitRow.of(unit) for unit in units]
    path = _path(spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    partial.replace(path)
    return rows


def remembered(spec: CampaignSpec) -> list[UnitRow] | None:
    """Rows that were kept; None where there are none for the campaign as it is now."""
    path = _path(spec)
    try:
        return [UnitRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None


def _path(spec: CampaignSpec) -> Path:
    from mofonon import __version__
    from mofonon.campaign.structures import structure_files

    files = structure_files(spec.structures).values()
    models = [Path(str(each.model)) for each in spec.potentials.values()]
    stamps = {
        str(path): [path.stat().st_size, path.stat().st_mtime_ns]
        for path in (*files, *models)
        if path.is_file()
    }
    key = content_hash(
        {"campaign": spec.model_dump(mode="json"), "files": stamps, "version": __version__}
    )
    return get_settings().checkpoints / "campaigns" / f"{spec.name}-{key[:16]}.json"
