"""``mofonon report`` and ``mofonon serve``: pages over a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mofonon.cli.options import ConfigOption, StoreOption, stdout_for_results


def report(
    conditions: Annotated[
        list[str] | None,
        typer.Argument(help="Conditions such as 'nsites >= 100'; all documents without."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the pages and figures.")
    ] = Path("mofonon-report"),
    title: Annotated[str, typer.Option(help="Title of the page.")] = "mofonon campaign",
    pages: Annotated[
        bool, typer.Option(help="A page for each structure, about 5 MB each.")
    ] = True,
    figures: Annotated[
        list[str] | None,
        typer.Option(help="Format of figures for papers: png, svg, pdf; may be repeated."),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(help="matplotlib style of the figures: a .mplstyle file or a name."),
    ] = None,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Write pages of all structures of the store: one of the campaign, one of each MOF.

    Each page is one file that asks the network for nothing.
    """
    del config
    with stdout_for_results():
        from mofonon import progress
        from mofonon.cli import runs
        from mofonon.cli.progress_bar import ProgressBar
        from mofonon.cli.query import build_criteria
        from mofonon.report.folder import write_folder

        opened = runs.open_noted_store(store)
        with runs.writing(output), ProgressBar("report") as bar, progress.listening(bar):
            page = write_folder(
                opened,
                output,
                title=title,
                criteria=build_criteria(conditions or []) or None,
                pages=pages,
                formats=tuple(figures or ()),
                style=style,
            )
    typer.echo(f"page: {page}")


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8050,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "mofonon campaign",
    campaign: Annotated[
        Path | None,
        typer.Option(help="Campaign file: show its units by stage, also those that wait."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option("--project", "-p", help="jobflow-remote project that runs the campaign."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Show the store in a browser, live while a campaign runs.

    The pages are to be read only, and served to this machine only (127.0.0.1). From another
    machine: ssh -L 8050:127.0.0.1:8050 HOST.
    """
    with stdout_for_results():
        from mofonon.cli import campaign_status
        from mofonon.report.server import ReportServer
        from mofonon.store import describe_store, open_store

        open_store(store)  # complains now, not at the first request

        def progress() -> dict[str, dict[str, int]]:
            from mofonon.campaign.state import counts

            if campaign is None:
                return {}
            states = campaign_status.states(campaign, project, store, None)
            return {stage: dict(found) for stage, found in counts(states).items()}

        progress()  # complains now, not at the first request
        server = ReportServer(
            lambda: open_store(store), port, title, progress if campaign else None
        )
    typer.echo(f"{describe_store(store)}: {server.address} (Ctrl+C ends)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("ended", err=True)
    finally:
        server.server_close()
