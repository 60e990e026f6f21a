"""``mofonon label``: DFT labels by VASP, and what they will cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mofonon.cli.options import (
    AllowOption,
    ConfigOption,
    FilesArgument,
    JsonOption,
    PrimitiveOption,
    RerunOption,
    StoreOption,
    SymprecOption,
    ThreadsOption,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.cli.label_runs import LabelRun, RunOptions
    from mofonon.dft.setup import SetupProblem

_WHAT = ("relax", "eos", "static")


def label(
    files: FilesArgument = None,
    what: Annotated[
        str,
        typer.Option(
            help="What to calculate, joined by commas: relax (its steps are labels), eos "
            "(deformations, of the relaxed cell if relax is asked for), static."
        ),
    ] = "relax,eos",
    preset: Annotated[
        Literal["labels", "phonon"],
        typer.Option(help="labels: 520 eV, 1e-5 eV; phonon: 900 eV, 1e-8 eV, 1e-3 eV/\u00c5."),
    ] = "labels",
    spin: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(help="auto: where a metal may have an open shell."),
    ] = "auto",
    hubbard_u: Annotated[
        bool, typer.Option("--hubbard-u", help="The Materials Project's Hubbard U.")
    ] = False,
    eos_positions: Annotated[
        Literal["static", "relaxed"],
        typer.Option(help="Positions at each deformation: as strained, or relaxed."),
    ] = "static",
    max_linear_strain: Annotated[
        float, typer.Option(help="Largest strain of the cell vectors, both ways.")
    ] = 0.1,
    n_deformations: Annotated[int, typer.Option(help="Deformations.")] = 6,
    max_force: Annotated[
        float, typer.Option(help="Frames with a larger force are quarantined (eV/\u00c5).")
    ] = 50.0,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check the set-up and estimate the cost; run nothing."),
    ] = False,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Repeat the calculations that failed, and those alone."),
    ] = False,
    wall_time: Annotated[
        int | None,
        typer.Option(min=1, help="Seconds that there are; in a SLURM job it is known."),
    ] = None,
    symprec: SymprecOption = 1e-5,
    primitive: PrimitiveOption = False,
    allow: AllowOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of VASP's runs.")] = (
        Path("mofonon-label")
    ),
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Label structures with VASP at PBE-D3(BJ): energies, forces and stresses to train on.

    Start with --dry-run: it finds missing POTCARs and commands, and says what it will cost. The
    settings are those of Elena et al., npj Comput. Mater. 11, 125 (2025). On a cluster a
    campaign does the same through jobflow-remote; this command runs VASP here.
    """
    del config
    set_threads(threads)
    if not files:
        raise SettingsError("no structure was given", "mofonon label FILE...")
    with stdout_for_results():
        from mofonon.cli import label_runs

        options = _options(
            what=_kinds(what),
            preset=preset,
            spin=spin,
            hubbard_u=hubbard_u,
            eos_positions=eos_positions,
            max_linear_strain=_checked(max_linear_strain, n_deformations),
            n_deformations=n_deformations,
            max_force=max_force,
            wall_time=wall_time,
            primitive=primitive,
            allow=tuple(allow or ()),
            symprec=symprec,
            rerun=rerun,
            retry=retry,
        )
        loaded = label_runs.load_all(options, files)
        found = label_runs.problems(loaded) if dry_run else []
        if not dry_run:
            label_runs.run_all(options, loaded, store, output)
    if dry_run:
        _print_estimate(loaded, found, as_json=as_json)
    else:
        _print_results(loaded, as_json=as_json)


def _options(*, max_force: float, **options: Any) -> RunOptions:
    from pydantic import ValidationError

    from mofonon.cli.label_runs import RunOptions
    from mofonon.cli.options import option_error
    from mofonon.dft.schemas import QuarantineSettings

    try:
        return RunOptions(quarantine=QuarantineSettings(max_force=max_force), **options)
    except ValidationError as error:
        raise option_error(error, "mofonon label") from None


def _kinds(what: str) -> tuple[str, ...]:
    """Take --what apart."""
    kinds = tuple(word for word in what.replace(",", " ").split() if word)
    unknown = [kind for kind in kinds if kind not in _WHAT]
    if unknown or not kinds:
        raise SettingsError(
            f"--what: {', '.join(unknown) or 'nothing'} cannot be calculated",
            f"use some of {', '.join(_WHAT)}",
        )
    if "static" in kinds and len(kinds) > 1:
        raise SettingsError(
            "--what: static is not for relax and eos, which have it",
            "ask for static alone, or leave it out",
        )
    return kinds


def _checked(max_linear_strain: float, n_deformations: int) -> float:
    if not 0 < max_linear_strain < 0.5:
        raise SettingsError(
            f"--max-linear-strain: {max_linear_strain} is not between 0 and 0.5",
            "the paper has 0.1",
        )
    if n_deformations < 2:
        raise SettingsError(
            f"--n-deformations: {n_deformations} are too few", "two at least; the paper has six"
        )
    return max_linear_strain


def _print_estimate(
    loaded: list[LabelRun], found: list[SetupProblem], *, as_json: bool
) -> None:
    """Print the cost of each structure and in all, then what stands against running it."""
    from mofonon.cli import runs
    from mofonon.cli.label_tables import print_costs

    sizes = [run.size for run in loaded if run.size is not None]
    if as_json:
        content = {
            "structures": [
                {**size.model_dump(), "total_core_hours": size.total_core_hours}
                for size in sizes
            ],
            "total_core_hours": sum(size.total_core_hours for size in sizes),
            "problems": [
                {"message": problem.message, "remedy": problem.remedy} for problem in found
            ],
            "units": {"memory": "GB", "core_hours": "h"},
        }
        runs.print_json([content])
    else:
        print_costs(sizes)
        for problem in found:
            typer.secho("problem: ", fg="red", bold=True, nl=False)
            typer.echo(f"{problem.message}\n  remedy: {problem.remedy}")
        if not found:
            typer.secho("VASP and its POTCARs are there.", fg="green")
    if found:
        raise typer.Exit(1)


def _print_results(finished: list[LabelRun], *, as_json: bool) -> None:
    from mofonon.cli import runs

    if as_json:
        runs.print_json([run.summary() for run in finished])
    else:
        from mofonon.cli.label_tables import label_row
        from mofonon.cli.tables import print_summary_table

        print_summary_table("labels", finished, label_row)
    runs.end(finished)
    if any(run.doc is not None and run.doc.state != "successful" for run in finished):
        raise typer.Exit(1)
