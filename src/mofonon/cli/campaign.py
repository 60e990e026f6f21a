"""``mofonon run|submit|status|retry`` and ``mofonon campaign``: many structures, one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mofonon.cli.options import (
    JsonOption,
    StoreOption,
    ThreadsOption,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.campaign.plan import StagePlan
    from mofonon.campaign.units import Unit

CampaignArgument = Annotated[Path, typer.Argument(help="Campaign file (YAML).")]
ImportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-import", help="Package whose code the campaign may name; may be repeated."
    ),
]
ProjectOption = Annotated[
    str | None, typer.Option("--project", "-p", help="jobflow-remote project.")
]
ManagerOption = Annotated[
    Literal["jobflow-remote", "fireworks"], typer.Option(help="Who runs the jobs.")
]
LaunchpadOption = Annotated[
    Path | None, typer.Option(help="LaunchPad file, with --manager fireworks.")
]

campaign_app = typer.Typer(
    name="campaign", help="Look at a campaign file without running it.", no_args_is_help=True
)


@campaign_app.command("schema")
def schema() -> None:
    """Print the JSON schema of campaign files: all fields, with units and defaults."""
    with stdout_for_results():
        from mofonon.campaign.schema import CampaignSpec

        text = json.dumps(CampaignSpec.model_json_schema(), indent=2)
    typer.echo(text)


@campaign_app.command("check")
def check(
    file: CampaignArgument,
    project: ProjectOption = None,
    store: StoreOption = None,
    allow_import: ImportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate a campaign file, read its structures, and say what cannot be done."""
    set_threads(None)
    with stdout_for_results():
        from mofonon.cli import campaign_runs, campaign_status

        opener = campaign_status.store_opener(project, store)
        units = campaign_runs.load(file, allow_import, opener).units
        warnings = campaign_runs.vasp_warnings(units, project)
        impossible = [unit for unit in units if unit.error is not None]
    if as_json:
        problems = {unit.label: str(unit.error) for unit in impossible}
        found = {"n_units": len(units), "impossible": problems, "warnings": warnings}
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo(f"{len(units)} units, {sum(len(unit.jobs) for unit in units)} jobs")
        for error, labels in _by_error(impossible).items():
            typer.secho(f"{', '.join(labels)}: {error}", fg="yellow")
        _print_warnings(warnings)
    if impossible:
        raise typer.Exit(1)


@campaign_app.command("plan")
def plan(
    file: CampaignArgument,
    graph: Annotated[
        Path | None, typer.Option(help="Draw the stages into this file (png, svg, pdf).")
    ] = None,
    project: ProjectOption = None,
    store: StoreOption = None,
    allow_import: ImportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print jobs, dependencies, force evaluations and hours before anything runs.

    What follows from a selection is planned once that is in the store, or in the --project.
    """
    set_threads(None)
    with stdout_for_results():
        from mofonon.campaign.plan import draw_plan, plan_campaign
        from mofonon.cli import campaign_runs, campaign_status, runs

        opener = campaign_status.store_opener(project, store)
        units = campaign_runs.load(file, allow_import, opener).units
        plans, warnings = plan_campaign(units), campaign_runs.vasp_warnings(units, project)
        if project is None and any(unit.runs_vasp for unit in units):
            runs.note_standin()  # the hours are VASP's all the same
        if graph is not None:
            with runs.writing(graph.parent):
                graph.parent.mkdir(parents=True, exist_ok=True)
                draw_plan(plans).savefig(graph, dpi=150)
    if as_json:
        typer.echo(json.dumps([each.plain() for each in plans], indent=2))
    else:
        _print_plan(plans)
    _print_warnings(warnings)


def run(
    file: CampaignArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of tables, figures and the page."),
    ] = None,
    store: StoreOption = None,
    allow_import: ImportOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a campaign here. What is in the store already is not computed again.

    What failed before is left alone: see mofonon status and mofonon retry.
    """
    _run(file, output, store, allow_import, threads, as_json=as_json, retry=False)


def retry(
    file: CampaignArgument,
    project: ProjectOption = None,
    hours: Annotated[
        float | None,
        typer.Option(min=0.02, help="Wall time of the jobs run again (h), with --project."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of tables, figures and the page."),
    ] = None,
    store: StoreOption = None,
    allow_import: ImportOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run again what failed, and what waits for it; nothing that is done.

    With --project: in the queue of jobflow-remote, after clearing locks that a killed runner
    left behind.
    """
    if project is None:
        if hours is not None:
            raise SettingsError(
                "hours are those of jobs in a queue", "name its project: --project NAME"
            )
        _run(file, output, store, allow_import, threads, as_json=as_json, retry=True)
        return
    set_threads(threads)
    with stdout_for_results():
        from mofonon.cli import campaign_runs

        done = campaign_runs.retry_remote(file, project, allow_import, hours)
    if as_json:
        typer.echo(json.dumps(done, indent=2))
    else:
        for line in campaign_runs.retry_lines(done):
            typer.echo(line)


def submit(
    file: CampaignArgument,
    project: ProjectOption = None,
    manager: ManagerOption = "jobflow-remote",
    launchpad: LaunchpadOption = None,
    vasp_check: Annotated[
        bool,
        typer.Option(help="Look for VASP and POTCARs on the hosts of workers that run it."),
    ] = True,
    allow_import: ImportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a campaign into the queue of a cluster; submitting twice computes once."""
    set_threads(None)
    with stdout_for_results():
        from mofonon.cli import campaign_runs

        done = campaign_runs.submit(
            file, project, manager, launchpad, allow_import, vasp_check=vasp_check
        )
    if as_json:
        typer.echo(json.dumps(done, indent=2))
    else:
        for line in campaign_runs.submission_lines(done):
            typer.echo(line)


def extend(
    file: CampaignArgument,
    new: Annotated[Path, typer.Option(help="Folder of new structures.")],
    written: Annotated[
        Path | None,
        typer.Option(
            "--write", help="Campaign file that is written. Default: beside FILE, by NEW."
        ),
    ] = None,
    project: ProjectOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of tables, figures and the page."),
    ] = None,
    store: StoreOption = None,
    allow_import: ImportOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Extend a potential to new structures: label and train on what it does not cover.

    The campaign has a stage extend, which names the potential and its dataset. Old and new are
    evaluated again, and a candidate that got worse on the old is refused. What is run is also
    written as a campaign file, for mofonon status and mofonon retry. With --project it is
    submitted.
    """
    set_threads(threads)
    with stdout_for_results():
        from mofonon.cli import campaign_runs

        path = campaign_runs.write_extension(file, new, written, allow_import)
    if not as_json:
        typer.echo(f"campaign of the extension: {path}")
    if project is None:
        _run(path, output, store, allow_import, threads, as_json=as_json, retry=False)
    else:
        submit(path, project, allow_import=allow_import, as_json=as_json)


def status(
    file: CampaignArgument,
    project: ProjectOption = None,
    store: StoreOption = None,
    all_units: Annotated[
        bool, typer.Option("--all", help="Each structure, not only those with a problem.")
    ] = False,
    allow_import: ImportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of each structure and stage whether it waits, runs, is done or failed, and why."""
    set_threads(None)
    with stdout_for_results():
        from mofonon.cli import campaign_status

        states = campaign_status.states(file, project, store, allow_import)
    if as_json:
        typer.echo(json.dumps([state.plain() for state in states], indent=2))
    else:
        from mofonon.cli.campaign_tables import print_states

        print_states(states, all_units=all_units)


def _run(
    file: Path,
    output: Path | None,
    store: Path | None,
    allow_import: list[str] | None,
    threads: int | None,
    *,
    as_json: bool,
    retry: bool,
) -> None:
    set_threads(threads)
    with stdout_for_results():
        from mofonon.cli import campaign_runs, runs

        opened = runs.open_noted_store(store)
        states, folder = campaign_runs.run_here(file, allow_import, opened, output, retry=retry)
        with runs.writing(folder):
            page = campaign_runs.write_results(states, opened, folder)
            manifest = campaign_runs.write_selection(states, opened, folder)
    written = {"page": page, "selection": manifest}
    if as_json:
        files = {name: str(path) if path else None for name, path in written.items()}
        found = [state.plain() for state in states]
        typer.echo(json.dumps({"units": found, **files}, indent=2))
    else:
        from mofonon.cli.campaign_tables import print_results, print_states

        print_states(states, all_units=False)
        print_results(states, opened)
        for name, path in written.items():
            if path is not None:
                typer.echo(f"{name}: {path}")
    if any(state.state in ("failed", "blocked") for state in states):
        raise typer.Exit(1)


def _by_error(units: Sequence[Unit]) -> dict[str, list[str]]:
    """Names of units by what is wrong with them: each error is read once."""
    found: dict[str, list[str]] = {}
    for unit in units:
        found.setdefault(str(unit.error), []).append(unit.label)
    return found


def _print_warnings(warnings: list[str]) -> None:
    for warning in warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)


def _print_plan(plans: list[StagePlan]) -> None:
    from mofonon.cli.campaign_tables import print_plan

    print_plan(plans)
