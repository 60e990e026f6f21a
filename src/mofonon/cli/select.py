"""``mofonon select`` and ``mofonon coverage``: which MOFs to train on, and what they cover."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mofonon.cli.options import (
    AllowOption,
    ConfigOption,
    DeviceOption,
    JsonOption,
    RerunOption,
    StoreOption,
    ThreadsOption,
    option_error,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.cli.select_runs import Selected
    from mofonon.structures.coverage import CoverageReport
    from mofonon.structures.curation import StructureRecord

SourceArgument = Annotated[
    Path | None,
    typer.Argument(help="Folder of CIF files (with its folders), or a .zip or .tar of them."),
]
FingerprintOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Whose features are taken: demo (not for science), chgnet, a MACE .model file or "
        "foundation name, or module:factory of a function.",
    ),
]
ProcessesOption = Annotated[int, typer.Option(min=1, help="Worker processes.")]


def select(
    source: SourceArgument = None,
    table: Annotated[
        Path | None,
        typer.Option(help="CSV or JSON table of properties by id; QMOF's is recognised."),
    ] = None,
    model: FingerprintOption = "demo",
    device: DeviceOption = "cpu",
    number: Annotated[
        int, typer.Option("--number", "-n", help="Structures to choose, fixed ones too.")
    ] = 127,
    method: Annotated[Literal["fps", "random"], typer.Option(help="How to choose.")] = "fps",
    space: Annotated[
        Literal["all", "nodes", "linkers", "nodes-linkers"],
        typer.Option(help="Atoms that descriptors are averaged over."),
    ] = "all",
    fixed: Annotated[
        str, typer.Option(help="Ids that are in the set whatever else is, with commas between.")
    ] = "",
    stratify: Annotated[
        bool, typer.Option(help="See to it that every element and crystal system appears.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of the method random.")] = 0,
    closed_shell: Annotated[bool, typer.Option(help="Refuse open-shell structures.")] = True,
    min_pore: Annotated[
        float,
        typer.Option(help="Pore limiting diameter must be above this (\u00c5); 0: any."),
    ] = 3.6,
    max_atoms: Annotated[int, typer.Option(help="Most atoms in a cell.")] = 800,
    elements: Annotated[
        str, typer.Option(help="Elements allowed, with commas between; all if empty.")
    ] = "",
    exclude_elements: Annotated[str, typer.Option(help="Elements refused.")] = "",
    symprec: Annotated[float, typer.Option(help="Symmetry tolerance (\u00c5).")] = 1e-3,
    allow: AllowOption = None,
    projection: Annotated[
        Literal["pca", "umap"], typer.Option(help="Maps on the page.")
    ] = "pca",
    manifest: Annotated[
        Path | None,
        typer.Option(help="Choose nothing: take the structures of this manifest again."),
    ] = None,
    document: Annotated[
        str | None,
        typer.Option(
            help="Choose nothing: write what stage select of a campaign chose, by its document."
        ),
    ] = None,
    store: StoreOption = None,
    processes: ProcessesOption = 1,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of results.")] = Path(
        "mofonon-select"
    ),
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Choose MOFs that span a collection: filters, descriptors, farthest-point sampling.

    Writes a manifest, from which the same set is made again, the chosen files, the record of
    every file, and a page. A run that was stopped goes on where it was.
    """
    del config
    set_threads(threads)
    if document is not None:
        _write_document(document, store, output)
        return
    if source is None:
        raise SettingsError("no collection was given", "mofonon select FOLDER")
    if manifest is not None:
        from mofonon.cli.select_runs import collect_again

        paths = collect_again(manifest, source, output)
        typer.echo(f"{len(paths)} structures, each with the hash of the manifest: {output}")
        return
    with stdout_for_results():
        from mofonon.cli import runs, select_runs
        from mofonon.structures.fingerprints import FingerprintSpec

        curation, selection = _settings(
            {
                "closed_shell": closed_shell,
                "min_pore": min_pore,
                "max_atoms": max_atoms,
                "elements": _words(elements) or None,
                "exclude_elements": _words(exclude_elements),
                "allow": tuple(allow or ()),
                "symprec": symprec,
            },
            {
                "n_structures": number,
                "method": method,
                "space": space,
                "fixed": _words(fixed),
                "stratify": stratify,
                "seed": seed,
            },
        )
        options = select_runs.SelectOptions(
            source=source,
            table=table,
            fingerprint=FingerprintSpec.from_name(model, device=device),
            curation=curation,
            selection=selection,
            projection=projection,
            processes=processes,
            output=output,
            rerun=rerun,
        )
        with runs.writing(output):
            selected = select_runs.run_selection(options)
    if as_json:
        runs.print_json([selected.summary()])
    else:
        _print_selection(selected)


def _write_document(document_id: str, store: Path | None, output: Path) -> None:
    with stdout_for_results():
        from mofonon.campaign.selection import SelectionDoc
        from mofonon.cli import runs
        from mofonon.store import get_document, open_store

        found = get_document(open_store(store), document_id, with_arrays=True)
        if found.get("@class") != SelectionDoc.__name__:
            raise SettingsError(
                f"{document_id} is not the document of a selection",
                "list them: mofonon query --type selection",
            )
        with runs.writing(output):
            path = SelectionDoc.stored(found).write(output)
    typer.echo(f"manifest: {path}")


def coverage(
    source: SourceArgument = None,
    against: Annotated[
        Path | None, typer.Option(help="Manifest of the training set, of mofonon select.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The manifest's model file, where it is not beside it.")
    ] = None,
    device: DeviceOption = "cpu",
    quantile: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Outside is farther from the set than this share of what it was chosen from.",
        ),
    ] = 0.95,
    processes: ProcessesOption = 1,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of results.")] = Path(
        "mofonon-coverage"
    ),
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Find the new MOFs that lie outside what a training set covers."""
    del config
    set_threads(threads)
    if source is None or against is None:
        raise SettingsError(
            "new structures and a manifest are needed",
            "mofonon coverage NEW_SET --against MANIFEST",
        )
    with stdout_for_results():
        from mofonon.cli import runs, select_runs

        with runs.writing(output):
            report, records, path = select_runs.run_coverage(
                select_runs.CoverageOptions(
                    source, against, model, device, quantile, processes, output
                )
            )
    if as_json:
        runs.print_json([{**report.model_dump(), "file": str(path.resolve())}])
    else:
        _print_coverage(report, records)
        typer.echo(f"all of it: {path}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _settings(curation: dict[str, Any], selection: dict[str, Any]) -> tuple[Any, Any]:
    """Make the settings; errors name the options."""
    from pydantic import ValidationError

    from mofonon.structures.curation import CurationSettings
    from mofonon.structures.selection import SelectionSettings

    try:
        return CurationSettings(**curation), SelectionSettings(**selection)
    except ValidationError as error:
        raise option_error(error, "mofonon select") from None


def _print_selection(selected: Selected) -> None:
    from rich.console import Console

    from mofonon.cli.select_runs import funnel_rows, random_range

    manifest = selected.manifest
    console = Console()
    _print_table(
        console,
        "funnel",
        ("filter", "entered", "refused", "left"),
        funnel_rows(selected.records),
    )
    rows = [
        (name, f"{getattr(manifest.coverage, field):.4g}", random_range(manifest, field))
        for name, field in (
            ("covering radius", "covering_radius"),
            ("mean distance to the nearest chosen", "mean_distance"),
            ("elements", "n_elements"),
            ("crystal systems", "n_crystal_systems"),
        )
    ]
    title = f"{len(manifest.structures)} of {manifest.n_accepted} structures"
    header = ("coverage", "this set", f"{len(manifest.random_coverage)} random sets")
    _print_table(console, title, header, rows)
    if manifest.notice:
        console.print(f"stand-in: {manifest.notice}", style="yellow", highlight=False)
    for name in ("manifest", "page", "structures"):
        typer.echo(f"{name}: {selected.files[name]}")


def _print_coverage(report: CoverageReport, records: list[StructureRecord]) -> None:
    from rich.console import Console

    console = Console()
    rows = [
        (
            row.id,
            str(row.formula),
            f"{row.distance:.4g}",
            f"{row.ratio:.2f}" if row.ratio is not None else "",
            row.nearest,
            ", ".join(row.new_elements),
            "outside" if row.outside else "",
        )
        for row in report.rows[:40]
    ]
    header = ("id", "formula", "distance", "/ threshold", "nearest", "new elements", "")
    title = (
        f"{report.n_outside} outside, {report.n_inside} inside, {report.n_refused} refused; "
        f"threshold {report.threshold:.4g} (quantile {report.quantile:g})"
    )
    _print_table(console, title, header, rows)
    for record in records:
        if not record.accepted:
            console.print(
                f"{record.file}: refused ({record.refused_by}): {record.message}",
                style="yellow",
                highlight=False,
            )
    if report.notice:
        console.print(f"stand-in: {report.notice}", style="yellow", highlight=False)


def _print_table(
    console: Any, title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> None:
    from rich.table import Table

    table = Table(title=title)
    for number, name in enumerate(header):
        table.add_column(name, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
