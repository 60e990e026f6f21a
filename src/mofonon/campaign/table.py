"""The units of a campaign, remembered: status neither reads structures nor imports much.

They are kept for a campaign file as it is, together with the times and sizes of all files that
it names and of the folders they are in; where anything of that changed, they are made anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mofonon.campaign.state import UnitRow
from mofonon.provenance import content_hash
from mofonon.settings import get_settings

if TYPE_CHECKING:
    from mofonon.campaign.schema import CampaignSpec
    from mofonon.campaign.units import Unit


def remember(file: Path, spec: CampaignSpec, units: Sequence[Unit]) -> list[UnitRow]:
    """Keep the rows of the units until the campaign or a file of it changes.

    Parameters
    ----------
    file : Path
        The campaign file.
    spec : CampaignSpec
        What it says.
    units : sequence of Unit
        Its units.
    """
    rows = [UnitRow.of(unit) for unit in units]
    content = {
        "name": spec.name,
        "watched": {str(path): _stamp(path) for path in _watched(spec)},
        "rows": [asdict(row) for row in rows],
    }
    path = _path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
    return rows


def remembered(file: Path) -> tuple[str, list[UnitRow]] | None:
    """Name of a campaign and the rows that were kept; None where something has changed since.

    Parameters
    ----------
    file : Path
        The campaign file.
    """
    try:
        content = json.loads(_path(file).read_text(encoding="utf-8"))
        if any(_stamp(Path(path)) != stamp for path, stamp in content["watched"].items()):
            return None
        return content["name"], [UnitRow(**row) for row in content["rows"]]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _watched(spec: CampaignSpec) -> set[Path]:
    """Files that decide about the units, and the folders in which there may be more of them."""
    from mofonon.campaign.structures import structure_files

    files = structure_files(spec.structures).values() if spec.structures.are_named else ()
    folders = {path.parent for path in files}
    select = spec.stages.select
    if select is not None and select.source is not None and select.source.is_dir():
        # what else changes in its files is seen by run, submit and plan
        folders |= {select.source, *(p for p in select.source.rglob("*") if p.is_dir())}
    named = {Path(text) for text in _texts(spec.model_dump(mode="json")) if len(text) < 1000}
    return {*files, *folders, *(path for path in named if path.is_file())}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _stamp(path: Path) -> list[int]:
    """Size and time of a file; of a folder its time, which a file more or less changes."""
    found = path.stat()
    return [0 if path.is_dir() else found.st_size, found.st_mtime_ns]


def _path(file: Path) -> Path:
    from mofonon import __version__

    text = file.read_text(encoding="utf-8")
    key = content_hash({"path": str(file.resolve()), "text": text, "version": __version__})
    return get_settings().checkpoints / "campaigns" / f"{file.stem}-{key[:16]}.json"
