"""What the commands that compute have in common: a run for each structure.

A run ends with a document or with the error that stopped it; the failure of one structure
does not stop the others.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import typer
from jobflow import Flow, JobStore, run_locally
from pydantic import BaseModel
from pymatgen.core import Structure

from mofonon import progress
from mofonon.cli.progress_bar import ProgressBar, note
from mofonon.errors import MofononError, OutputError, StoreError
from mofonon.potentials import (
    PotentialDescription,
    PotentialSpec,
    check_elements,
    describe_potential,
)
from mofonon.store import describe_store, find_documents, get_document, open_store
from mofonon.structures import read_structure, to_primitive, validate_structure

Doc = TypeVar("Doc", bound=BaseModel)

_SUFFIXES = {
    *(".xz", ".gz", ".bz2", ".cif", ".json", ".extxyz", ".xyz", ".vasp", ".yaml", ".yml"),
}


@dataclass
class StructureRun(Generic[Doc]):
    """One structure: its document, or the error that it ended with.

    Attributes
    ----------
    name : str
        The file, as the user gave it.
    doc : Doc or None
        The document, of the class that the command makes.
    document_id : str or None
        Its id in the store.
    error : MofononError or None
        What stopped the run.
    reused : bool
        Whether the document was in the store already.
    figures : list of Path
        Figures of it that were written.
    """

    name: str
    doc: Doc | None = None
    document_id: str | None = None
    error: MofononError | None = None
    reused: bool = False
    figures: list[Path] = field(default_factory=list)

    def failure(self) -> dict[str, Any]:
        """Plain data of a run that failed, for ``--json``."""
        return {
            "file": self.name,
            "state": "failed",
            "error": type(self.error).__name__ if self.error else None,
            "message": self.error.message if self.error else "not run",
            "remedy": self.error.remedy if self.error else "",
        }

    @property
    def stem(self) -> str:
        """File name without the suffixes of structures and of compression."""
        path = Path(Path(self.name).name)
        while path.suffix.lower() in _SUFFIXES:
            path = path.with_suffix("")
        return path.name


Run = TypeVar("Run", bound=StructureRun[Any])


def open_noted_store(path: Path | None) -> JobStore:
    """Open the store and tell the user which one it is."""
    store = open_store(path)
    note(f"store: {describe_store(path)}")
    return store


def noted_potential(options: dict[str, Any]) -> tuple[PotentialSpec, PotentialDescription]:
    """Make the spec of ``--model`` and its options; tell the user what it is."""
    rest = {key: value for key, value in options.items() if key != "model"}
    spec = PotentialSpec.from_name(options["model"], **rest)
    description = describe_potential(spec)
    note(f"potential: {description.label}")
    if description.notice:
        note(f"warning: {description.notice}")
    return spec, description


def note_standin() -> None:
    """Say so where the configured VASP is a stand-in."""
    from mofonon.dft.harvest import STANDIN_NOTICE
    from mofonon.dft.setup import is_standin

    if is_standin():
        note(f"warning: {STANDIN_NOTICE}")


def run_each(runs: Sequence[Run], compute: Callable[[Run], None]) -> None:
    """Compute run after run; an error is kept with its run."""
    for run in runs:
        try:
            compute(run)
        except MofononError as error:
            run.error = error


def load_structure(
    path: Path, *, primitive: bool, symprec: float, allow: tuple[str, ...]
) -> Structure:
    """Read and check a structure; tell the user what is doubtful."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        structure = read_structure(path)
    for warning in caught:
        note(f"warning: {warning.message}")
    for issue in validate_structure(structure, allow=allow):
        note(f"warning: {path.name}: {issue.message}")
    reduced = to_primitive(structure, symprec)
    if primitive:
        return reduced
    if len(reduced) < len(structure):
        note(
            f"warning: {path.name} holds {len(structure) // len(reduced)} primitive cells; "
            "bands are folded and energies are per mole of the larger cell (--primitive "
            "reduces it)"
        )
    return structure


def check_known(structure: Structure, potential: PotentialDescription) -> None:
    """Check that the potential knows the elements, before anything is computed."""
    check_elements({element.symbol for element in structure.composition.elements}, potential)


def execute(run: StructureRun[Doc], flow: Flow, store: JobStore, kind: type[Doc]) -> None:
    """Run a flow here, with a progress bar, and take its document."""
    try:
        with ProgressBar(Path(run.name).name) as bar, progress.listening(bar):
            run_locally(flow, store=store, log=False, raise_immediately=True)
    except sqlite3.Error as error:
        raise StoreError(
            f"the store cannot be written: {error}",
            "check the space and the permissions there, or give another --store; no "
            "evaluation is lost, and the same command goes on from here",
        ) from error
    take(run, store, flow.output.uuid, kind)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to write results into an error that says they are safe in the store."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the folder {folder} cannot be written: {error.strerror or error}",
            "give another with --output; the documents are in the store, and the same command "
            "computes nothing again",
        ) from error


def reuse(
    run: StructureRun[Doc],
    store: JobStore,
    calculation_id: str,
    document_type: str,
    kind: type[Doc],
) -> bool:
    """Take the stored document of the same calculation, if there is one."""
    found = find_documents(
        store,
        {"calculation_id": calculation_id, "state": {"$ne": "failed"}},
        document_type=document_type,
        properties=["state"],
        limit=1,
    )
    for entry in found:
        take(run, store, entry["document_id"], kind)
        run.reused = True
        note(f"{run.name}: already computed, document {run.document_id} (--rerun repeats it)")
        return True
    return False


def take(run: StructureRun[Doc], store: JobStore, document_id: str, kind: type[Doc]) -> None:
    """Load a document into a run, its arrays too."""
    document = get_document(store, document_id, with_arrays=True)
    run.document_id = document["document_id"]
    run.doc = kind.model_validate(document)


def write_results_page(finished: Sequence[StructureRun[Any]], folder: Path) -> None:
    """Write ``page.html`` with the figures of the runs that succeeded; note where it is."""
    done: list[Any] = [run for run in finished if run.doc is not None]
    if not done:
        return
    from mofonon.report.results_page import write_results_page as write_page

    page = write_page(
        [run.doc for run in done],
        folder / "page.html",
        names=[run.stem for run in done],
        document_ids=[run.document_id for run in done],
    )
    note(f"page: {page}")


def print_json(summaries: list[dict[str, Any]]) -> None:
    """Print one object for one structure, a list for several."""
    typer.echo(json.dumps(summaries[0] if len(summaries) == 1 else summaries, indent=2))


def end(runs: Sequence[StructureRun[Any]]) -> None:
    """Raise the error of a single run; exit with 1 if one of several failed."""
    failed = [run for run in runs if run.error is not None]
    if len(runs) == 1 and failed and failed[0].error is not None:
        raise failed[0].error
    for run in failed:
        typer.secho(f"{run.name} failed: {run.error}", fg="red", err=True)
    if failed:
        raise typer.Exit(1)
