"""``mofonon dataset``: build, show, export and compare datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mofonon.cli.options import (
    ConfigOption,
    DeviceOption,
    JsonOption,
    RerunOption,
    StoreOption,
    ThreadsOption,
    option_error,
    parse_numbers,
    set_threads,
    stdout_for_results,
)
from mofonon.errors import SettingsError

if TYPE_CHECKING:
    from mofonon.cli.dataset_runs import StoredDataset
    from mofonon.dataset.diff import DatasetDiff
    from mofonon.dataset.schemas import DatasetSettings

app = typer.Typer(
    name="dataset",
    help="Datasets of labelled frames: build, show, export, compare.",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="Name of a dataset, or id of its document.")]


@app.command("build")
def build(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Labelled frames: extended XYZ, or JSON of the paper's layout."),
    ] = None,
    from_store: Annotated[
        bool, typer.Option("--from-store", help="Take the LabelDocs of the store too.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the dataset.")] = "dataset",
    description: Annotated[str, typer.Option(help="What it is, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Licence, for the card.")] = "",
    fractions: Annotated[
        str, typer.Option(help="Shares of train, valid and test.")
    ] = "0.85 0.075 0.075",
    seed: Annotated[int, typer.Option(help="Seed of random and by-MOF split.")] = 0,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Descriptors of splits and leak reports: demo (not for science), chgnet, a "
            "MACE model, or module:factory.",
        ),
    ] = "demo",
    device: DeviceOption = "cpu",
    max_relax_frames: Annotated[
        int, typer.Option(help="Most frames of one relaxation, chosen by farthest points.")
    ] = 10,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Keep quarantined frames.")
    ] = False,
    e0s: Annotated[
        Path | None,
        typer.Option(help="JSON of isolated-atom energies (eV); fitted without it."),
    ] = None,
    store: StoreOption = None,
    rerun: RerunOption = False,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make a dataset of labelled frames: three splits, leak reports, a card."""
    del config
    set_threads(threads)
    with stdout_for_results():
        from mofonon.cli import dataset_runs

        options = dataset_runs.BuildOptions(
            files=list(files or []),
            from_store=from_store,
            name=name,
            description=description,
            licence=licence,
            isolated_atoms=e0s,
            settings=_settings(
                fractions=tuple(parse_numbers(fractions)),
                seed=seed,
                model=(model, device),
                max_relax_frames=max_relax_frames,
                drop_quarantined=not quarantined,
            ),
            rerun=rerun,
        )
        stored = dataset_runs.build(options, store)
    _print_dataset(stored, as_json=as_json)


@app.command("show")
def show(
    name: Annotated[
        str | None,
        typer.Argument(help="Name or document id of a dataset; all are listed without it."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is in a dataset, or list all of the store."""
    with stdout_for_results():
        from mofonon.cli import dataset_runs
        from mofonon.store import open_store

        opened = open_store(store)
        found = dataset_runs.list_datasets(opened) if name is None else []
        stored = dataset_runs.load(name, opened) if name is not None else None
    if stored is not None:
        _print_dataset(stored, as_json=as_json)
    elif as_json:
        from mofonon.cli.runs import print_json

        print_json([{"datasets": found}])
    else:
        _print_list(found)


@app.command("export")
def export(
    name: NameArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of files.")] = Path(
        "mofonon-dataset"
    ),
    split: Annotated[
        Literal["random", "fps", "by-mof"], typer.Option(help="Which split.")
    ] = "random",
    formats: Annotated[
        str, typer.Option("--formats", help="Some of extxyz, ase-db, parquet, card.")
    ] = "extxyz,ase-db,parquet,card",
    head: Annotated[
        str | None, typer.Option(help="Head of a multi-head model that frames are for.")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(help="config_weight by origin, such as md=1,relax=0.5; 1 for others."),
    ] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Write a dataset as files for MACE and others."""
    del config
    with stdout_for_results():
        from mofonon.cli import dataset_runs, runs
        from mofonon.dataset.export import export_dataset
        from mofonon.store import open_store

        stored = dataset_runs.load(name, open_store(store))
        wanted: Any = [word for word in formats.replace(",", " ").split() if word]
        with runs.writing(output):
            files = export_dataset(
                stored.doc,
                output,
                split=split,
                formats=wanted,
                head=head,
                weights=_weights(weights),
            )
    if as_json:
        runs.print_json([{"files": [str(path.resolve()) for path in files]}])
    else:
        for path in files:
            typer.echo(str(path))


@app.command("diff")
def diff(
    first: NameArgument,
    second: NameArgument,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what one dataset has that another has not, and what was labelled anew."""
    with stdout_for_results():
        from mofonon.cli import dataset_runs, runs
        from mofonon.dataset.diff import diff_datasets
        from mofonon.store import open_store

        opened = open_store(store)
        found = diff_datasets(
            dataset_runs.load(first, opened).doc, dataset_runs.load(second, opened).doc
        )
    if as_json:
        runs.print_json([found.model_dump()])
    else:
        _print_diff(found, first, second)


def _settings(*, model: tuple[str, str], **settings: Any) -> DatasetSettings:
    from pydantic import ValidationError

    from mofonon.dataset.schemas import DatasetSettings
    from mofonon.structures.fingerprints import FingerprintSpec

    fingerprint = FingerprintSpec.from_name(model[0], device=model[1])
    try:
        return DatasetSettings(fingerprint=fingerprint, **settings)
    except ValidationError as error:
        raise option_error(error, "mofonon dataset build") from None


def _weights(text: str) -> dict[str, Any]:
    from mofonon.dataset.extxyz import Weights

    found = {}
    for word in text.replace(",", " ").split():
        origin, _, value = word.partition("=")
        try:
            found[origin] = Weights(frame=float(value))
        except ValueError:
            raise SettingsError(
                f"{word!r} is no weight of an origin", "write --weights md=1,relax=0.5"
            ) from None
    return found


def _print_dataset(stored: StoredDataset, *, as_json: bool) -> None:
    from mofonon.cli import runs

    if as_json:
        runs.print_json([stored.summary()])
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.table import Table

    from mofonon.dataset.card import card_markdown

    console, doc = Console(), stored.doc
    console.print(Markdown(card_markdown(doc.card)))
    table = Table(title="leaks of valid and test")
    for header in (
        "split",
        "frames",
        "of MOFs in train",
        "near one in train",
        "identical",
        "median distance",
    ):
        table.add_column(header, justify="left" if header == "split" else "right")
    for name, leaks in doc.leaks.items():
        table.add_row(
            name,
            str(leaks.n_test),
            str(leaks.n_same_mof),
            str(leaks.n_near),
            str(leaks.n_identical),
            f"{leaks.median_distance:.4g}",
        )
    console.print(table)
    near = next(iter(doc.leaks.values())).near_distance
    console.print(f"near: nearer than {near:.4g}, as frames of a MOF are to each other")
    console.print(
        f"left out: {doc.n_quarantined} quarantined, {doc.n_duplicates} duplicates, "
        f"{doc.n_thinned} of relaxations",
        highlight=False,
    )
    for warning in doc.warnings:
        console.print(warning, style="yellow", highlight=False)
    typer.echo(f"document: {stored.document_id}")


def _print_list(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="datasets")
    for header in ("name", "frames", "MOFs", "made (UTC)", "document"):
        table.add_column(header, no_wrap=header == "document")
    for entry in found:
        table.add_row(
            entry["name"],
            str(entry["n_frames"]),
            str(entry["card"]["n_mofs"]),
            entry["completed_at"],
            entry["document_id"],
        )
    Console().print(table)


def _print_diff(found: DatasetDiff, first: str, second: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{first} and {second}")
    table.add_column("")
    table.add_column("", justify="right")
    for title, value in (
        ("frames in both", found.n_common),
        (f"only in {first}", found.n_only_first),
        (f"only in {second}", found.n_only_second),
        ("labelled anew", found.n_relabelled),
        ("largest change of energy (eV/atom)", f"{found.largest_energy_change:.3g}"),
        ("largest change of a force (eV/\u00c5)", f"{found.largest_force_change:.3g}"),
        (f"elements only in {first}", ", ".join(found.elements_only_first)),
        (f"elements only in {second}", ", ".join(found.elements_only_second)),
        *((f"common frames in another part, {k}", n) for k, n in found.moved.items()),
    ):
        table.add_row(title, str(value))
    console = Console()
    console.print(table)
    for name, mofs in ((first, found.mofs_only_first), (second, found.mofs_only_second)):
        if mofs:
            listed = ", ".join(f"{mof} ({n})" for mof, n in mofs.items())
            console.print(f"frames only in {name}: {listed}", highlight=False)
