"""``mofonon qha``: from a CIF to its thermal expansion in one command."""

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
    from mofonon.cli.qha_runs import QhaRun
    from mofonon.lattice.qha_schemas import QhaSettings


def qha(
    files: FilesArgument = None,
    model: ModelOption = "demo",
    head: HeadOption = None,
    dispersion: DispersionOption = "none",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    cueq: CueqOption = False,
    n_volumes: Annotated[int, typer.Option(help="Volumes, six or more.")] = 11,
    max_linear_strain: Annotated[
        float,
        typer.Option(help="Largest strain of the cell vectors, both ways; grows if need be."),
    ] = 0.02,
    cell: Annotated[
        Literal["fixed-volume", "fixed"],
        typer.Option(help="What of the cell relaxes at each volume: its shape, nothing."),
    ] = "fixed-volume",
    min_volumes: Annotated[
        int, typer.Option(help="Fail when fewer volumes have no imaginary modes.")
    ] = 6,
    allow_imaginary: Annotated[
        bool,
        typer.Option(
            "--allow-imaginary",
            help="Use volumes with imaginary modes, with only their real modes; every output "
            "is marked.",
        ),
    ] = False,
    max_extensions: Annotated[
        int, typer.Option(help="How many times volumes are added to a range too small.")
    ] = 2,
    equation_of_state: Annotated[
        Literal["vinet", "birch-murnaghan", "murnaghan"],
        typer.Option(help="Fitted to the free energies at each temperature."),
    ] = "vinet",
    supercell: Annotated[
        str,
        typer.Option(
            help="Three integers, nine integers, or one least distance between opposite "
            "faces (\u00c5)."
        ),
    ] = "2 2 2",
    displacement: DisplacementOption = 1e-6,
    plus_minus: PlusMinusOption = "no",
    mesh: Annotated[
        str, typer.Option(help="q-point mesh: one or three integers.")
    ] = "11 11 11",
    symprec: SymprecOption = 1e-5,
    fmax: FmaxOption = 1e-6,
    max_steps: MaxStepsOption = 2000,
    method: MethodOption = "auto",
    symmetry: SymmetryOption = "follow",
    relax: Annotated[bool, typer.Option(help="Relax cell and positions first.")] = True,
    primitive: PrimitiveOption = False,
    dos_pitch: Annotated[float, typer.Option(help="Pitch of the DOS (THz).")] = 0.01,
    temperature_max: Annotated[float, typer.Option(help="Highest temperature (K).")] = 1000.0,
    temperature_step: Annotated[float, typer.Option(help="Temperature step (K).")] = 10.0,
    symmetrize: Annotated[
        bool, typer.Option(help="Symmetrize the force constants (acoustic sum rule).")
    ] = True,
    allow: AllowOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of figures.")] = Path(
        "mofonon-qha"
    ),
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compute thermal expansion in the quasi-harmonic approximation.

    Phonons at volumes around the minimum; where the expansion leaves them, more are added.
    Volumes with imaginary modes are left out. A run that was stopped goes on where it was when
    the same command is given again.
    """
    del config
    set_threads(threads)
    if not files:
        raise SettingsError("no structure was given", "mofonon qha FILE...")
    with stdout_for_results():
        from mofonon.cli import qha_runs, runs

        threshold: dict[str, Any] = {
            "fmax": fmax,
            "max_steps": max_steps,
            "method": method,
            "symmetry": symmetry,
        }
        options = qha_runs.RunOptions(
            potential=potential_options(model, head, dispersion, device, dtype, cueq=cueq),
            relax=relax_settings("mofonon qha", **threshold) if relax else None,
            qha=_qha_settings(
                n_volumes=n_volumes,
                max_linear_strain=max_linear_strain,
                cell=cell,
                min_volumes=min_volumes,
                allow_imaginary=allow_imaginary,
                max_extensions=max_extensions,
                equation_of_state=equation_of_state.replace("-", "_"),
                **threshold,
            ),
            phonons=phonon_settings(
                "mofonon qha",
                supercell=supercell,
                displacement=displacement,
                plus_minus=plus_minus,
                mesh=mesh,
                symprec=symprec,
                dos_pitch=dos_pitch,
                temperature_max=temperature_max,
                temperature_step=temperature_step,
                symmetrize_force_constants=symmetrize,
            ),
            primitive=primitive,
            allow=tuple(allow or ()),
            rerun=rerun,
        )
        finished = qha_runs.run_all(options, files, store)
        with runs.writing(output):
            qha_runs.write_figures(finished, output)
            runs.write_results_page(finished, output)
    _print_results(finished, as_json=as_json)


def _qha_settings(**settings: Any) -> QhaSettings:
    from pydantic import ValidationError

    from mofonon.lattice.qha_schemas import QhaSettings

    try:
        return QhaSettings(**settings)
    except ValidationError as error:
        raise option_error(error, "mofonon qha") from None


def _print_results(finished: list[QhaRun], *, as_json: bool) -> None:
    from mofonon.cli import runs

    if as_json:
        runs.print_json([run.summary() for run in finished])
    else:
        from mofonon.cli.tables import print_summary_table
        from mofonon.lattice.qha_summary import qha_row

        print_summary_table("quasi-harmonic approximation", finished, qha_row)
        for figure in (path for run in finished for path in run.figures):
            typer.echo(f"figure: {figure}")
    runs.end(finished)
