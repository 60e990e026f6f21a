"""What ``mofonon status`` does, without the command line; few imports: it is called often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mofonon.campaign.state import UnitRow, UnitState, states_in_store
from mofonon.campaign.table import remembered
from mofonon.errors import SettingsError
from mofonon.store import open_store

if TYPE_CHECKING:
    from mofonon.campaign.remote import RemoteProject


def rows_of(file: Path, allow_import: Sequence[str] | None) -> tuple[str, list[UnitRow]]:
    """Name and rows of a campaign; structures are read again only where something changed."""
    known = remembered(file)
    if known is not None:
        return known
    from mofonon.cli.campaign_runs import load

    loaded = load(file, allow_import)
    return loaded.spec.name, loaded.rows


def states(
    file: Path,
    project: str | None,
    store_path: Path | None,
    allow_import: Sequence[str] | None,
) -> list[UnitState]:
    """States of all units: in the queue of a project, or in a store."""
    name, rows = rows_of(file, allow_import)
    if project is not None:
        return open_project(project).states(rows, name)
    return states_in_store(rows, open_store(store_path), name)


def open_project(name: str | None) -> RemoteProject:
    """Open a jobflow-remote project, that of JFREMOTE_PROJECT where none is named.

    Raises
    ------
    SettingsError
        When there is no name.
    """
    import os

    from mofonon.campaign.remote import RemoteProject

    if name is None and not os.environ.get("JFREMOTE_PROJECT"):
        raise SettingsError(
            "no project was named", "give --project NAME, or set JFREMOTE_PROJECT"
        )
    return RemoteProject(name)
