"""``mofonon model``: trained potentials in the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mofonon.cli.options import JsonOption, StoreOption
from mofonon.errors import DocumentNotFoundError

if TYPE_CHECKING:
    from mofonon.training.schemas import PotentialDoc

app = typer.Typer(name="model", help="Trained potentials: list, show, export, card.")

ModelArgument = Annotated[
    str, typer.Argument(help="Document id, name, or sha256 of the model; or its beginning.")
]


@app.command("list")
def list_models(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the trained potentials of the store, newest first."""
    from rich.console import Console
    from rich.table import Table

    from mofonon.store import open_store

    found = list(_documents(open_store(store)))
    rows = [_row(document) for document in found]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table()
    for header in rows[0] if rows else ("document", "name"):
        table.add_column(header)
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)


@app.command("show")
def show_model(
    model: ModelArgument, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Show a trained potential: data, settings as they took effect, errors."""
    import yaml

    doc = _load(model, store, with_files=False)
    for name in ("files", "learning_curves"):
        for entry in doc[name]:
            entry.pop("contents", None)
    text = json.dumps(doc, default=str)
    if as_json:
        typer.echo(json.dumps(json.loads(text), indent=2))
    else:
        doc.pop("learning_curves")
        typer.echo(yaml.safe_dump(json.loads(json.dumps(doc, default=str)), sort_keys=False))


@app.command("export")
def export_model(
    model: ModelArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of model files, card and figure.")
    ] = Path(),
    store: StoreOption = None,
) -> None:
    """Write model files (checked by sha256), card and learning curves."""
    from mofonon.cli import runs
    from mofonon.cli.finetune_runs import write_model

    doc = _validated(_load(model, store, with_files=True))
    with runs.writing(output):
        for path in write_model(doc, output):
            typer.echo(str(path))


@app.command("card")
def model_card_command(
    model: ModelArgument,
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "not stated",
    store: StoreOption = None,
) -> None:
    """Print the model card, in Markdown."""
    from mofonon.training.card import model_card

    doc = _validated(_load(model, store, with_files=True))
    typer.echo(model_card(doc, licence).rstrip())


def _validated(document: dict[str, Any]) -> PotentialDoc:
    from mofonon.training.schemas import PotentialDoc

    return PotentialDoc.model_validate(document)


def _documents(store: Any) -> Any:
    from mofonon.store import find_documents

    return find_documents(store, document_type="model")


def _load(model: str, store_path: Path | None, *, with_files: bool) -> dict[str, Any]:
    """Find a document by its id, the name of its model, or the hash of one of its files."""
    from mofonon.store import get_document, open_store

    store = open_store(store_path)
    wanted = model.removeprefix("sha256:")
    hits = [
        document["document_id"]
        for document in _documents(store)
        if str(document["document_id"]).startswith(wanted)
        or document["name"] == model
        or any(file["sha256"].startswith(wanted) for file in document["files"])
    ]
    if not hits:
        raise DocumentNotFoundError(f"no model is called {model}", "see mofonon model list")
    if len(hits) > 1 and not any(hit.startswith(wanted) for hit in hits):
        raise DocumentNotFoundError(
            f"{len(hits)} models are called {model}: {', '.join(hit[:8] for hit in hits)}",
            "give the document id",
        )
    return get_document(store, hits[0], with_arrays=with_files)


def _row(document: dict[str, Any]) -> dict[str, Any]:
    errors = {
        entry["part"]: entry["after"]
        for entry in document["errors"]
        if entry["head"] == document["head"]
    }
    part = "test" if "test" in errors else "valid"
    return {
        "document": document["document_id"][:8],
        "name": document["name"],
        "mode": document["mode"],
        "head": document["head"],
        "sha256": document["files"][0]["sha256"][:12],
        "frames": document["data"]["n_frames"]["train"],
        "force RMSE (meV/\u00c5)": f"{errors[part]['forces']['rmse']:.1f} ({part})",
        "completed": document["completed_at"][:16],
        "notice": document["notice"],
    }
