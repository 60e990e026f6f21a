"""``mofonon phonons``: from a CIF to phonons in one command."""

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
    phonon_settings,
    potential_options,
    relax_settings,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.cli.phonon_runs import PhononRun


def phonons(
    files: FilesArgument = None,
    model: ModelOption = "demo",
    head: HeadOption = None,
    dispersion: DispersionOption = "none",
    device: DeviceOption = "cpu",
    dtype: DtypeOption = "float64",
    cueq: CueqOption = False,
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

    The defaults are those of Elena et al., npj Comput. Mater. 11, 125 (2025), but for the
    displacements (theirs: --displacement 0.001 --plus-minus auto). A run that was
    stopped goes on where it was when the same command is given again.
    """
    del config
    set_threads(threads)
    if not files and from_phonopy is None:
        raise SettingsError(
            "no structure was given", "mofonon phonons FILE..., or --from-phonopy FILE"
        )
    with stdout_for_results():
        from mofonon.cli import phonon_runs, runs

        options = phonon_runs.RunOptions(
            potential=potential_options(model, head, dispersion, device, dtype, cueq=cueq),
            relax=relax_settings(
                "mofonon phonons",
                fmax=fmax,
                max_steps=max_steps,
                method=method,
                symmetry=symmetry,
                cell=cell,
            )
            if relax
            else None,
            phonons=phonon_settings(
                "mofonon phonons",
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
        if from_phonopy is not None:
            structure = files[0] if files else None
            done = phonon_runs.run_phonopy_file(options, from_phonopy, structure, store)
        else:
            done = phonon_runs.run_all(options, files or [], store)
        with runs.writing(output):
            page = phonon_runs.write_results(done, output)
    _print_results(done, page, as_json=as_json)


def _print_results(finished: list[PhononRun], page: Path | None, *, as_json: bool) -> None:
    from mofonon.cli import runs

    if as_json:
        runs.print_json([run.summary(page) for run in finished])
    else:
        from mofonon.cli.tables import print_summary_table
        from mofonon.lattice.summary import table_row

        print_summary_table("phonons", finished, table_row)
        if page is not None:
            typer.echo(f"page: {page}")
    runs.end(finished)
