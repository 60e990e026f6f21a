"""What ``mofonon status`` does, without the command line; few imports: it is called often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mofonon.campaign.labels import with_incomplete
from mofonon.campaign.state import UnitRow, UnitState, finished_jobs, states_in_store
from mofonon.campaign.table import remembered
from mofonon.errors import SettingsError
from mofonon.store import open_store

if TYPE_CHECKING:
    from jobflow import JobStore

    from mofonon.campaign.remote import RemoteProject


def rows_of(
    file: Path, allow_import: Sequence[str] | None, store: Callable[[], JobStore]
) -> tuple[str, list[UnitRow]]:
    """Name and rows of a campaign; structures are read again only where something changed.

    A selection that has been made since is such a change.
    """
    known = remembered(file)
    if known is not None:
        awaited = {row.awaits for row in known[1] if row.awaits}
        if not awaited or not finished_jobs(store(), awaited):
            return known
    from mofonon.cli.campaign_runs import load

    loaded = load(file, allow_import, store)
    return loaded.spec.name, loaded.rows


def states(
    file: Path,
    project: str | None,
    store_path: Path | None,
    allow_import: Sequence[str] | None,
) -> list[UnitState]:
    """States of all units: in the queue of a project, or in a store."""
    if project is not None:
        opened = open_project(project)
        name, rows = rows_of(file, allow_import, opened.open_store)
        return opened.states(rows, name)
    store = open_store(store_path)
    name, rows = rows_of(file, allow_import, lambda: store)
    return with_incomplete(states_in_store(rows, store, name), store)


def store_opener(project: str | None, store_path: Path | None) -> Callable[[], JobStore]:
    """Give what opens the store of a project, or a store; nothing is opened here."""
    if project is not None:
        return lambda: open_project(project).open_store()
    return lambda: open_store(store_path)


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
