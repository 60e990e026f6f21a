"""``mofonon stabilize``: away from imaginary modes, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mofonon.cli.options import (
    AllowOption,
    ConfigOption,
    CueqOption,
    DeviceOption,
    DispersionOption,
    DisplacementOption,
    DtypeOption,
    FilesArgument,
    FmaxOption,
    HeadOption,
    JsonOption,
    MaxStepsOption,
    MethodOption,
    ModelOption,
    PlusMinusOption,
    PrimitiveOption,
    RerunOption,
    StoreOption,
    SymmetryOption,
    SymprecOption,
    ThreadsOption,
    option_error,
    phonon_settings,
    potential_options,
    relax_settings,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.cli.stabilize_runs import StabilizeRun
    from mofonon.lattice.stabilize_schemas import StabilizeSettings


def stabilize(
    files: FilesArgument = None,
    model: ModelOption = "demo",
    head: HeadOption = None,
    dispersion: DispersionOption = "none",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    cueq: CueqOption = False,
    strategies: Annotated[
        str,
        typer.Option(help="mode-mapping, rattle, md: those to try, in this order."),
    ] = "mode-mapping,rattle,md",
    max_attempts: Annotated[int, typer.Option(help="Attempts before giving up.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed of rattles and velocities.")] = 0,
    rattle_deviation: Annotated[
        float, typer.Option(help="Standard deviation of a rattle (\u00c5).")
    ] = 0.01,
    rattle_atoms: Annotated[
        Literal["all", "modes"],
        typer.Option(help="Rattle all atoms, or those that carry the imaginary modes."),
    ] = "all",
    md_temperature: Annotated[
        float, typer.Option(help="Temperature of the NVE run (K).")
    ] = 7.5,
    md_steps: Annotated[int, typer.Option(help="Steps of the NVE run.")] = 40,
    supercell: Annotated[
        str, typer.Option(help="As of mofonon phonons, for the structure given.")
    ] = "2 2 2",
    displacement: DisplacementOption = 1e-6,
    plus_minus: PlusMinusOption = "no",
    mesh: Annotated[
        str, typer.Option(help="q-point mesh: one or three integers.")
    ] = "11 11 11",
    threshold: Annotated[
        float, typer.Option(help="A frequency below minus this is imaginary (THz).")
    ] = 1e-4,
    symprec: SymprecOption = 1e-5,
    fmax: FmaxOption = 1e-6,
    max_steps: MaxStepsOption = 2000,
    method: MethodOption = "auto",
    symmetry: SymmetryOption = "follow",
    primitive: PrimitiveOption = False,
    allow: AllowOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of structures and figures.")
    ] = Path("mofonon-stabilize"),
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Eliminate imaginary modes: perturb, relax tightly, compute phonons, check; again.

    The three strategies and their defaults are those of Elena et al., npj Comput. Mater. 11,
    125 (2025). Every attempt is on record; a structure that stays unstable is reported as
    one. A run that was stopped repeats no evaluation when the same command is given again.
    """
    del config
    set_threads(threads)
    if not files:
        raise SettingsError("no structure was given", "mofonon stabilize FILE...")
    with stdout_for_results():
        from mofonon.cli import runs, stabilize_runs

        options = stabilize_runs.RunOptions(
            potential=potential_options(model, head, dispersion, device, dtype, cueq=cueq),
            relax=relax_settings(
                "mofonon stabilize",
                fmax=fmax,
                max_steps=max_steps,
                method=method,
                symmetry=symmetry,
            ),
            phonons=phonon_settings(
                "mofonon stabilize",
                supercell=supercell,
                displacement=displacement,
                plus_minus=plus_minus,
                mesh=mesh,
                symprec=symprec,
                imaginary_threshold=threshold,
            ),
            stabilize=_settings(
                strategies=tuple(name for name in strategies.replace(",", " ").split()),
                max_attempts=max_attempts,
                seed=seed,
                rattle_deviation=rattle_deviation,
                rattle_atoms=rattle_atoms,
                md_temperature=md_temperature,
                md_steps=md_steps,
            ),
            primitive=primitive,
            allow=tuple(allow or ()),
            rerun=rerun,
        )
        finished = stabilize_runs.run_all(options, files, store)
        with runs.writing(output):
            stabilize_runs.write_results(finished, output)
            runs.write_results_page(finished, output)
    _print_results(finished, as_json=as_json)


def _settings(**settings: object) -> StabilizeSettings:
    from pydantic import ValidationError

    from mofonon.lattice.stabilize_schemas import StabilizeSettings

    try:
        return StabilizeSettings.model_validate(settings)
    except ValidationError as error:
        raise option_error(error, "mofonon stabilize") from None


def _print_results(finished: list[StabilizeRun], *, as_json: bool) -> None:
    from mofonon.cli import runs

    if as_json:
        runs.print_json([run.summary() for run in finished])
    else:
        for run in finished:
            if run.doc is not None:
                _print_attempts(run)
    runs.end(finished)


def _print_attempts(run: StabilizeRun) -> None:
    """Print the ladder of attempts, a line each: energy change, lowest frequency."""
    from rich.console import Console
    from rich.table import Table

    if run.doc is None:
        return
    doc = run.doc
    table = Table(title=f"{run.stem}: {doc.state}", box=None, padding=(0, 2, 0, 0))
    for header in (
        "attempt",
        "strategy",
        "amplitude\n(\u00c5)",
        "energy\n(meV/atom)",
        "lowest\n(THz)",
        "space\ngroup",
        "evaluations",
    ):
        table.add_column(header, justify="left" if header == "strategy" else "right")
    for attempt in doc.attempts:
        change = attempt.energy_change_per_atom
        table.add_row(
            str(attempt.number) + (" *" if attempt.number == doc.best_attempt else ""),
            (attempt.strategy or "as given") + (" (failed)" if attempt.error else ""),
            "" if attempt.amplitude is None else f"{attempt.amplitude:.4f}",
            "" if change is None else f"{1000 * change:.4f}",
            "" if attempt.lowest_after is None else f"{attempt.lowest_after:.4f}",
            attempt.space_group or "",
            str(attempt.n_force_evaluations),
        )
    console = Console()
    console.print(table)
    for attempt in doc.attempts:
        for mode in attempt.followed_in_relaxation:
            console.print(
                f"attempt {attempt.number}: the relaxation followed {mode.degeneracy} mode(s) "
                f"of curvature {mode.curvature:.4f} eV/\u00c5\u00b2, "
                f"{mode.operations_before} to {mode.operations_after} operations",
                highlight=False,
            )
    for warning in doc.warnings:
        console.print(f"{run.name}: {warning}", style="yellow", highlight=False)
    console.print(f"* best structure: {run.structure_file}", highlight=False, soft_wrap=True)
