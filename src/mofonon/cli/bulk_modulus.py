"""``mofonon bulk-modulus``: from a CIF to a bulk modulus in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mofonon.cli.options import (
    AllowOption,
    ConfigOption,
    CueqOption,
    DeviceOption,
    DispersionOption,
    DtypeOption,
    FilesArgument,
    FmaxOption,
    HeadOption,
    JsonOption,
    MaxStepsOption,
    MethodOption,
    ModelOption,
    PrimitiveOption,
    RerunOption,
    StoreOption,
    SymmetryOption,
    SymprecOption,
    ThreadsOption,
    option_error,
    potential_options,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.cli.bulk_modulus_runs import BulkModulusRun
    from mofonon.lattice.bulk_modulus_schemas import BulkModulusSettings
    from mofonon.lattice.settings import RelaxSettings


def bulk_modulus(
    files: FilesArgument = None,
    model: ModelOption = "demo",
    head: HeadOption = None,
    dispersion: DispersionOption = "none",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    cueq: CueqOption = False,
    max_linear_strain: Annotated[
        float, typer.Option(help="Largest strain of the cell vectors, both ways.")
    ] = 0.02,
    n_points: Annotated[int, typer.Option(help="Volumes, five or more.")] = 7,
    relax_strained: Annotated[
        Literal["positions", "positions-and-shape", "none"],
        typer.Option(help="What relaxes at each volume."),
    ] = "positions",
    equation_of_state: Annotated[
        Literal["birch-murnaghan", "vinet", "murnaghan"],
        typer.Option(help="The fit that gives the bulk modulus; all three are reported."),
    ] = "birch-murnaghan",
    symprec: SymprecOption = 1e-5,
    fmax: FmaxOption = 1e-6,
    max_steps: MaxStepsOption = 2000,
    method: MethodOption = "auto",
    symmetry: SymmetryOption = "follow",
    relax: Annotated[bool, typer.Option(help="Relax cell and positions first.")] = True,
    primitive: PrimitiveOption = False,
    allow: AllowOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of figures.")] = Path(
        "mofonon-bulk-modulus"
    ),
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Relax structures, strain them, and fit equations of state to their energies.

    The default, Birch-Murnaghan over strains of 2 % both ways, is that of Elena et al., npj
    Comput. Mater. 11, 125 (2025). The stresses give the bulk modulus once more, as a check. A
    run that was stopped goes on where it was when the same command is given again.
    """
    del config
    set_threads(threads)
    if not files:
        raise SettingsError("no structure was given", "mofonon bulk-modulus FILE...")
    with stdout_for_results():
        from mofonon.cli import bulk_modulus_runs, runs

        relax_settings, settings = _settings(
            {
                "fmax": fmax,
                "max_steps": max_steps,
                "method": method,
                "symmetry": symmetry,
            },
            max_linear_strain=max_linear_strain,
            n_points=n_points,
            relax=relax_strained,
            equation_of_state=equation_of_state.replace("-", "_"),
            symprec=symprec,
        )
        options = bulk_modulus_runs.RunOptions(
            potential=potential_options(model, head, dispersion, device, dtype, cueq=cueq),
            relax=relax_settings if relax else None,
            bulk_modulus=settings,
            primitive=primitive,
            allow=tuple(allow or ()),
            rerun=rerun,
        )
        finished = bulk_modulus_runs.run_all(options, files, store)
        with runs.writing(output):
            bulk_modulus_runs.write_figures(finished, output)
            runs.write_results_page(finished, output)
    _print_results(finished, as_json=as_json)


def _settings(
    threshold: dict[str, Any], **settings: Any
) -> tuple[RelaxSettings, BulkModulusSettings]:
    """Make the settings of relaxation and strained cells, with the same threshold."""
    from pydantic import ValidationError

    from mofonon.lattice.bulk_modulus_schemas import BulkModulusSettings
    from mofonon.lattice.settings import RelaxSettings

    try:
        return RelaxSettings(**threshold), BulkModulusSettings(**threshold, **settings)
    except ValidationError as error:
        raise option_error(error, "mofonon bulk-modulus") from None


def _print_results(finished: list[BulkModulusRun], *, as_json: bool) -> None:
    from mofonon.cli import runs

    if as_json:
        runs.print_json([run.summary() for run in finished])
    else:
        from mofonon.cli.tables import print_summary_table
        from mofonon.lattice.bulk_modulus_summary import bulk_modulus_row

        print_summary_table("bulk modulus", finished, bulk_modulus_row)
        for figure in (path for run in finished for path in run.figures):
            typer.echo(f"figure: {figure}")
    runs.end(finished)
