"""``mofonon expansion-md``: from a CIF to its classical thermal expansion in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mofonon.cli.options import (
    AllowOption,
    ConfigOption,
    DeviceOption,
    DispersionOption,
    DtypeOption,
    FilesArgument,
    FmaxOption,
    HeadOption,
    JsonOption,
    MaxStepsOption,
    ModelOption,
    PrimitiveOption,
    RerunOption,
    StoreOption,
    SymprecOption,
    ThreadsOption,
    option_error,
    parse_numbers,
    potential_options,
    relax_settings,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.cli.expansion_runs import ExpansionRun
    from mofonon.lattice.expansion_schemas import MdExpansionSettings


def expansion_md(
    files: FilesArgument = None,
    model: ModelOption = "demo",
    head: HeadOption = None,
    dispersion: DispersionOption = "none",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    temperatures: Annotated[
        str, typer.Option(help="Temperatures (K), separated by commas; two or more.")
    ] = "100,200,300,400,500",
    supercell: Annotated[
        str,
        typer.Option(
            help="Three integers, nine integers, or one least distance between opposite "
            "faces (\u00c5)."
        ),
    ] = "10",
    ensemble: Annotated[
        Literal["npt", "npt-isotropic"],
        typer.Option(help="What of the cell moves: all of it, its volume."),
    ] = "npt",
    pressure: Annotated[float, typer.Option(help="Pressure (GPa).")] = 0.0,
    steps: Annotated[
        int, typer.Option(help="Steps at each temperature; more of them go on from fewer.")
    ] = 20000,
    time_step: Annotated[
        float, typer.Option(help="Time step (fs): 0.5 with hydrogen, 1 without.")
    ] = 0.5,
    interval: Annotated[int, typer.Option(help="Steps from one sample to the next.")] = 10,
    thermostat_time: Annotated[
        float, typer.Option(help="Time constant of the thermostat (fs).")
    ] = 100.0,
    barostat_time: Annotated[
        float, typer.Option(help="Time constant of the barostat (fs).")
    ] = 1000.0,
    seed: Annotated[int, typer.Option(help="Seed of the velocities.")] = 0,
    min_effective_samples: Annotated[
        float,
        typer.Option(help="Leave out temperatures with fewer uncorrelated samples than this."),
    ] = 20.0,
    degree: Annotated[int, typer.Option(help="Degree of the polynomial fitted to ln V.")] = 1,
    symprec: SymprecOption = 1e-5,
    fmax: FmaxOption = 1e-6,
    max_steps: MaxStepsOption = 2000,
    relax: Annotated[bool, typer.Option(help="Relax cell and positions first.")] = True,
    primitive: PrimitiveOption = False,
    allow: AllowOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of figures.")] = Path(
        "mofonon-expansion-md"
    ),
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compute thermal expansion by molecular dynamics at constant pressure.

    All anharmonicity is in it and no quantum statistics: compare with mofonon qha. A
    trajectory that is not in equilibrium long enough, or explodes, is left out and listed. A
    run that was stopped goes on where it was when the same command is given again.
    """
    del config
    set_threads(threads)
    if not files:
        raise SettingsError("no structure was given", "mofonon expansion-md FILE...")
    with stdout_for_results():
        from mofonon.cli import expansion_runs, runs

        options = expansion_runs.RunOptions(
            potential=potential_options(model, head, dispersion, device, dtype),
            relax=relax_settings("mofonon expansion-md", fmax=fmax, max_steps=max_steps)
            if relax
            else None,
            expansion=_settings(
                {
                    "ensemble": ensemble,
                    "pressure": pressure,
                    "steps": steps,
                    "time_step": time_step,
                    "interval": interval,
                    "thermostat_time": thermostat_time,
                    "barostat_time": barostat_time,
                    "seed": seed,
                },
                temperatures=tuple(parse_numbers(temperatures)),
                supercell=supercell,
                min_effective_samples=min_effective_samples,
                degree=degree,
                symprec=symprec,
            ),
            primitive=primitive,
            allow=tuple(allow or ()),
            rerun=rerun,
        )
        finished = expansion_runs.run_all(options, files, store)
        with runs.writing(output):
            expansion_runs.write_figures(finished, output)
            runs.write_results_page(finished, output)
    _print_results(finished, as_json=as_json)


def _settings(
    dynamics: dict[str, Any], *, supercell: str, **settings: Any
) -> MdExpansionSettings:
    """Make the settings; errors name the options of the command."""
    from pydantic import ValidationError

    from mofonon.dynamics import DynamicsSettings
    from mofonon.lattice.expansion_schemas import MdExpansionSettings
    from mofonon.lattice.settings import parse_supercell

    try:
        return MdExpansionSettings(
            dynamics=DynamicsSettings(**dynamics),
            supercell=parse_supercell(parse_numbers(supercell)),
            **settings,
        )
    except ValidationError as error:
        raise option_error(error, "mofonon expansion-md") from None


def _print_results(finished: list[ExpansionRun], *, as_json: bool) -> None:
    from mofonon.cli import runs

    if as_json:
        runs.print_json([run.summary() for run in finished])
    else:
        from mofonon.cli.tables import print_summary_table
        from mofonon.lattice.expansion_summary import expansion_row

        print_summary_table("expansion by molecular dynamics", finished, expansion_row)
        for figure in (path for run in finished for path in run.figures):
            typer.echo(f"figure: {figure}")
    runs.end(finished)
