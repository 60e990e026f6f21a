"""``mofonon compare``: methods against a reference, as tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mofonon.cli.options import (
    ConfigOption,
    JsonOption,
    NumberListCommand,
    RerunOption,
    StoreOption,
    SymprecOption,
    ThreadsOption,
    parse_numbers,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.benchmark.structures import Supercell
    from mofonon.benchmark.tables import Table

app = typer.Typer(
    name="compare",
    help="Compare methods with a reference: structures, phonons, mechanics, errors.",
    no_args_is_help=True,
)

InputsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="REFERENCE CANDIDATE...",
        help="Files or ids of documents, as PATH, LABEL=PATH, ID or LABEL=ID; the reference "
        "first.",
    ),
]
OutputOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="Folder of the tables (CSV, JSON, LaTeX, Markdown) and figures."
    ),
]
FiguresOption = Annotated[
    list[str] | None,
    typer.Option(help="Format of the figures: png (default), svg, pdf; may be repeated."),
]
StyleOption = Annotated[
    str | None,
    typer.Option(help="matplotlib style of the figures: a .mplstyle file or a name."),
]
FormatOption = Annotated[
    Literal["table", "csv", "json", "latex", "markdown"],
    typer.Option("--format", "-f", help="What is printed."),
]


@app.command("structures", cls=NumberListCommand)
def structures(
    inputs: InputsArgument = None,
    relax_with: Annotated[
        list[str] | None,
        typer.Option(
            help="Potential that relaxes the reference now, as --model elsewhere; may be "
            "repeated. gfn1-xtb relaxes the positions only.",
        ),
    ] = None,
    cell: Annotated[
        Literal["auto", "free", "fixed-volume", "fixed"],
        typer.Option(help="What of the cell --relax-with relaxes; auto: all, by xTB nothing."),
    ] = "auto",
    fmax: Annotated[
        float, typer.Option(help="Force threshold of --relax-with (eV/\u00c5).")
    ] = 1e-4,
    supercell: Annotated[
        str, typer.Option(help="Supercell of the displacements: three or nine integers.")
    ] = "2 2 2",
    symprec: SymprecOption = 1e-5,
    expected: Annotated[
        str | None,
        typer.Option(
            help="Space group that is expected. Default: the reference's at 0.1 \u00c5."
        ),
    ] = None,
    output: OutputOption = Path("mofonon-compare"),
    figures: FiguresOption = None,
    style: StyleOption = None,
    output_format: FormatOption = "table",
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare relaxed structures: symmetry, cell, displacements, positions by element.

    Cells, orientations, origins and orders of atoms may differ: each candidate is brought into
    the setting of the reference first (Tables 2 and 7 of Elena et al., npj Comput. Mater. 11,
    125 (2025)).
    """
    del config
    set_threads(threads)
    if not inputs or len(inputs) + len(relax_with or ()) < 2:
        raise SettingsError(
            "there is nothing to compare", "mofonon compare structures REFERENCE CANDIDATE..."
        )
    with stdout_for_results():
        from mofonon.cli import compare_runs

        options = compare_runs.LiveOptions(tuple(relax_with or ()), cell, fmax, rerun)
        table = compare_runs.compare_structure_files(
            inputs,
            options,
            symprec=symprec,
            supercell=_supercell(supercell),
            expected=expected,
            store_path=store,
            drawing=compare_runs.Drawing(output, tuple(figures or ("png",)), style),
        )
    _print(table, "json" if as_json else output_format, output)
    _end(table)


@app.command("phonons", cls=NumberListCommand)
def phonons(
    inputs: InputsArgument = None,
    mesh: Annotated[
        str, typer.Option(help="q-point mesh of the modes: one or three integers.")
    ] = "11 11 11",
    broadening: Annotated[
        float, typer.Option(help="Gaussian of the overlap of densities of states (THz).")
    ] = 0.25,
    low: Annotated[
        float, typer.Option(help="Upper end of the low frequencies, also of figures (THz).")
    ] = 10.0,
    temperature: Annotated[
        float, typer.Option(help="Temperature of the thermal properties (K).")
    ] = 300.0,
    output: OutputOption = Path("mofonon-compare"),
    figures: FiguresOption = None,
    style: StyleOption = None,
    output_format: FormatOption = "table",
    store: StoreOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare phonons: modes on a mesh and at Gamma, densities of states, bands, heat.

    Files: phonopy.yaml with forces, total_dos.dat, band.yaml, thermal_properties.yaml, plain or
    compressed. Several with the same LABEL= belong to one method.
    """
    del config
    set_threads(threads)
    if not inputs or len(inputs) < 2:
        raise SettingsError(
            "there is nothing to compare", "mofonon compare phonons REFERENCE CANDIDATE..."
        )
    with stdout_for_results():
        from mofonon.benchmark.phonons import PhononOptions
        from mofonon.cli import compare_runs
        from mofonon.cli.options import phonon_settings

        settings = phonon_settings(
            "mofonon compare phonons", supercell="2 2 2", plus_minus="auto", mesh=mesh
        )
        options = PhononOptions(settings.mesh, broadening, low, temperature, settings)
        table = compare_runs.compare_phonon_inputs(
            inputs,
            options,
            store,
            compare_runs.Drawing(output, tuple(figures or ("png",)), style),
        )
    _print(table, "json" if as_json else output_format, output)
    _end(table)


@app.command("mechanics")
def mechanics(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="CSV tables, or ids of bulk-modulus and qha documents, as PATH, LABEL=PATH, "
            "ID or LABEL=ID.",
        ),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Method that bulk moduli are compared with.")
    ] = "DFT",
    temperature: Annotated[
        float, typer.Option(help="Temperature of the expansion (K), interpolated.")
    ] = 300.0,
    literature: Annotated[
        bool,
        typer.Option(
            help="Add published values of the same MOFs, by methods not among the inputs."
        ),
    ] = True,
    mof: Annotated[
        list[str] | None,
        typer.Option(help="Add published values of this MOF too; may be repeated."),
    ] = None,
    output: OutputOption = Path("mofonon-compare"),
    figures: FiguresOption = None,
    style: StyleOption = None,
    output_format: FormatOption = "table",
    store: StoreOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare bulk moduli and thermal expansion with DFT and experiment.

    Published values come with their source and conditions (Figure 6 and Table 6 of Elena et
    al., npj Comput. Mater. 11, 125 (2025)).
    """
    del config
    if not inputs and not mof:
        raise SettingsError(
            "there is nothing to compare",
            "mofonon compare mechanics TABLE.csv DOCUMENT..., or --mof MOF-5",
        )
    with stdout_for_results():
        from mofonon.cli import compare_runs

        table = compare_runs.compare_mechanics(
            inputs or [],
            reference=reference,
            temperature=temperature,
            with_literature=literature,
            mofs=tuple(mof or ()),
            store_path=store,
            drawing=compare_runs.Drawing(output, tuple(figures or ("png",)), style),
        )
    _print(table, "json" if as_json else output_format, output)
    _end(table)


@app.command("errors")
def errors(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Ids of evaluation documents, or files that mofonon evaluate --json printed.",
        ),
    ] = None,
    by: Annotated[
        Literal["all", "mof", "origin", "split", "element"],
        typer.Option(help="All frames of a set, or those of each MOF, origin, part, element."),
    ] = "all",
    output: OutputOption = Path("mofonon-compare"),
    output_format: FormatOption = "table",
    store: StoreOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare errors of energies, forces and stresses by several evaluations.

    Tables 3 and 4 of Elena et al., npj Comput. Mater. 11, 125 (2025).
    """
    del config
    if not inputs:
        raise SettingsError("there is nothing to compare", "mofonon compare errors INPUT...")
    with stdout_for_results():
        from mofonon.cli import compare_runs

        table = compare_runs.compare_errors(inputs, by, store, output)
    _print(table, "json" if as_json else output_format, output)
    _end(table)


def _supercell(text: str) -> Supercell:
    from mofonon.lattice.settings import parse_supercell

    matrix = parse_supercell(parse_numbers(text))
    if isinstance(matrix, float):
        raise SettingsError(
            f"a supercell cannot be made of {text}", "give three or nine integers"
        )
    return matrix


def _print(
    table: Table,
    output_format: Literal["table", "csv", "json", "latex", "markdown"],
    output: Path,
) -> None:
    if output_format == "table":
        from mofonon.cli.tables import print_comparison

        print_comparison(table)
        typer.echo(f"tables and figures: {output}")
        return
    from mofonon.benchmark.tables import render

    typer.echo(render(table, output_format), nl=False)


def _end(table: Table) -> None:
    """Exit with 1 if something could not be compared."""
    failed = table.payload.get("failed", [])
    for entry in failed:
        text = f"{entry['label']} failed: {entry['message']}\n  remedy: {entry['remedy']}"
        typer.secho(text, fg="red", err=True)
    if failed:
        raise typer.Exit(1)
