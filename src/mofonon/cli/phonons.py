"""``mofonon phonons``: from a CIF to phonons in one command."""

from __future__ import annotations

import json
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
    set_threads,
    stdout_for_results,
)
from mofonon.errors import MofononError, SettingsError

if TYPE_CHECKING:
    from mofonon.cli.phonon_runs import PhononRun
    from mofonon.lattice.settings import PhononSettings, RelaxSettings


def phonons(
    files: FilesArgument = None,
    model: ModelOption = "demo",
    head: HeadOption = None,
    dispersion: DispersionOption = "none",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    from_phonopy: Annotated[
        Path | None,
        typer.Option(
            help="Analyse existing forces or force constants, without a potential: a "
            "phonopy.yaml (.xz, .gz), or FORCE_SETS, FORCE_CONSTANTS with FILE as structure."
        ),
    ] = None,
    supercell: Annotated[
        str,
        typer.Option(
            help="Three or nine integers, or one number: least distance between opposite "
            "faces (\u00c5)."
        ),
    ] = "2 2 2",
    displacement: Annotated[float, typer.Option(help="Displacement (\u00c5).")] = 0.001,
    plus_minus: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(help="Displace both ways: where symmetry needs it, always, never."),
    ] = "auto",
    mesh: Annotated[
        str, typer.Option(help="q-point mesh: one or three integers.")
    ] = "11 11 11",
    symprec: SymprecOption = 1e-5,
    fmax: FmaxOption = 1e-6,
    max_steps: MaxStepsOption = 2000,
    relax: Annotated[bool, typer.Option(help="Relax before the phonons.")] = True,
    cell: Annotated[
        Literal["free", "fixed-volume", "fixed"],
        typer.Option(help="What of the cell relaxes: all, its shape, nothing."),
    ] = "free",
    primitive: PrimitiveOption = False,
    dos_pitch: Annotated[float, typer.Option(help="Pitch of the DOS (THz).")] = 0.01,
    temperature_max: Annotated[float, typer.Option(help="Highest temperature (K).")] = 1000.0,
    temperature_step: Annotated[float, typer.Option(help="Temperature step (K).")] = 10.0,
    symmetrize: Annotated[
        bool, typer.Option(help="Symmetrize the force constants (acoustic sum rule).")
    ] = True,
    allow: AllowOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of figures, tables and the page.")
    ] = Path("mofonon-phonons"),
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Relax structures and compute their phonons: bands, DOS, thermal properties, one page.

    The defaults are those of Elena et al., npj Comput. Mater. 11, 125 (2025). A run that was
    stopped goes on where it was when the same command is given again.
    """
    del config
    set_threads(threads)
    if not files and from_phonopy is None:
        raise SettingsError(
            "no structure was given", "mofonon phonons FILE..., or --from-phonopy FILE"
        )
    with stdout_for_results():
        from mofonon.cli import phonon_runs

        options = phonon_runs.RunOptions(
            potential={
                "model": model,
                "head": head,
                "dispersion": None if dispersion == "none" else dispersion,
                "device": device,
                "dtype": dtype,
            },
            relax=_relax_settings(fmax=fmax, max_steps=max_steps, cell=cell) if relax else None,
            phonons=_phonon_settings(
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
            output=output,
        )
        runs = phonon_runs.run_all(options, files or [], from_phonopy, store)
        page = phonon_runs.write_results(runs, output)
    _print_results(runs, page, as_json=as_json)
    failed = [run for run in runs if run.error is not None]
    if len(runs) == 1 and failed and failed[0].error is not None:
        raise failed[0].error
    if failed:
        raise typer.Exit(1)


def _relax_settings(**settings: Any) -> RelaxSettings:
    from pydantic import ValidationError

    from mofonon.lattice.settings import RelaxSettings

    try:
        return RelaxSettings(**settings)
    except ValidationError as error:
        raise option_error(error, "mofonon phonons") from None


def _phonon_settings(
    *, supercell: str, plus_minus: str, mesh: str, **settings: Any
) -> PhononSettings:
    from pydantic import ValidationError

    from mofonon.lattice.settings import PhononSettings, parse_supercell

    points = parse_numbers(mesh)
    if len(points) == 1:
        points *= 3
    if len(points) != 3 or any(point != int(point) for point in points):
        raise SettingsError(f"a mesh cannot be made of {mesh}", "give one or three integers")
    try:
        return PhononSettings(
            supercell=parse_supercell(parse_numbers(supercell)),
            plus_minus="auto" if plus_minus == "auto" else plus_minus == "yes",
            mesh=(int(points[0]), int(points[1]), int(points[2])),
            **settings,
        )
    except ValidationError as error:
        raise option_error(error, "mofonon phonons") from None


def _print_results(runs: list[PhononRun], page: Path | None, *, as_json: bool) -> None:
    if as_json:
        summaries = [run.summary(page) for run in runs]
        typer.echo(json.dumps(summaries[0] if len(summaries) == 1 else summaries, indent=2))
        return
    from mofonon.cli.tables import print_summary_table

    done = [run for run in runs if run.doc is not None]
    if done:
        print_summary_table(done)
    for run in runs:
        if run.error is not None and len(runs) > 1:
            typer.secho(f"{run.name} failed: {run.error}", fg="red", err=True)
    if page is not None:
        typer.echo(f"page: {page}")


__all__ = ["MofononError", "phonons"]
