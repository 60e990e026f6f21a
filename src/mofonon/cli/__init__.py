"""The ``mofonon`` command. Heavy libraries are imported by the commands that use them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mofonon import __version__
from mofonon.cli import (
    bulk_modulus,
    campaign,
    compare,
    dataset,
    doctor,
    evaluate,
    expansion_md,
    finetune,
    init,
    label,
    model,
    phonons,
    qha,
    query,
    report,
    select,
    stabilize,
)
from mofonon.cli.options import NumberListCommand
from mofonon.errors import MofononError

app = typer.Typer(
    name="mofonon",
    help="Phonons of metal-organic frameworks with machine-learned potentials.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("phonons", cls=NumberListCommand)(phonons.phonons)
app.command("stabilize", cls=NumberListCommand)(stabilize.stabilize)
app.command("bulk-modulus")(bulk_modulus.bulk_modulus)
app.command("qha", cls=NumberListCommand)(qha.qha)
app.add_typer(compare.app)
app.command("run")(campaign.run)
app.command("submit")(campaign.submit)
app.command("status")(campaign.status)
app.command("retry")(campaign.retry)
app.command("extend")(campaign.extend)
app.add_typer(campaign.campaign_app)
app.command("finetune")(finetune.finetune)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(model.app)
app.command("init")(init.init)
app.command("select")(select.select)
app.command("coverage")(select.coverage)
app.command("expansion-md", cls=NumberListCommand)(expansion_md.expansion_md)
app.add_typer(dataset.app)
app.command("label")(label.label)
app.command("report")(report.report)
app.command("serve")(report.serve)
app.command("query")(query.query)
app.command("show")(query.show)
app.command("doctor")(doctor.doctor)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"mofonon {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Phonons of metal-organic frameworks with machine-learned potentials."""


def main() -> None:
    """Run the command; a known error is printed with its remedy and exits with 1."""
    try:
        app()
    except MofononError as error:
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        typer.echo(str(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        sys.exit(130)
