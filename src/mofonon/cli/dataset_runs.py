"""What ``mofonon dataset`` does, without the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobflow import Flow, JobStore, run_locally

from mofonon import progress
from mofonon.cli.progress_bar import ProgressBar, note
from mofonon.cli.runs import open_noted_store
from mofonon.dataset.build import dataset_id
from mofonon.dataset.extxyz import read_frames
from mofonon.dataset.flows import build_from_frames
from mofonon.dataset.frames import (
    check_isolated_atom_energies,
    fit_isolated_atom_energies,
    prepare_frames,
)
from mofonon.dataset.schemas import DatasetDoc, DatasetSettings
from mofonon.dft.schemas import LabelDoc, LabelFrame
from mofonon.errors import DatasetError, DocumentNotFoundError
from mofonon.store import find_documents, get_document


@dataclass(frozen=True)
class BuildOptions:
    """The options of ``mofonon dataset build``."""

    files: list[Path]
    from_store: bool
    name: str
    description: str
    licence: str
    isolated_atoms: Path | None
    settings: DatasetSettings
    rerun: bool


@dataclass(frozen=True)
class StoredDataset:
    """A dataset and where it is."""

    doc: DatasetDoc
    document_id: str
    reused: bool = False

    def summary(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        doc = self.doc
        return {
            "document_id": self.document_id,
            "name": doc.name,
            "calculation_id": doc.calculation_id,
            "n_frames": doc.n_frames,
            "n_quarantined": doc.n_quarantined,
            "n_duplicates": doc.n_duplicates,
            "n_thinned": doc.n_thinned,
            "leaks": {name: leaks.model_dump() for name, leaks in doc.leaks.items()},
            "card": doc.card.model_dump(),
            "notice": doc.notice,
            "warnings": doc.warnings,
            "completed_at": doc.completed_at,
            "reused": self.reused,
        }


def build(options: BuildOptions, store_path: Path | None) -> StoredDataset:
    """Read frames, make the dataset, store it; an equal one in the store is taken."""
    store = open_noted_store(store_path)
    frames, sources = _frames(options, store)
    given = _isolated_atoms(options.isolated_atoms)
    with ProgressBar(options.name) as bar, progress.listening(bar):
        if not options.rerun and (found := _known(options, store, frames, given)) is not None:
            return found
        job = build_from_frames(
            frames,
            options.name,
            options.settings,
            given,
            options.description,
            options.licence,
            sources,
        )
        flow = Flow([job], output=job.output, name="dataset")
        run_locally(flow, store=store, log=False, raise_immediately=True)
    return load(job.uuid, store)


def _frames(options: BuildOptions, store: JobStore) -> tuple[list[LabelFrame], list[str]]:
    frames: list[LabelFrame] = []
    sources: list[str] = []
    for path in options.files:
        found = read_frames(path)
        note(f"{path}: {len(found)} frames")
        frames += found
        sources.append(path.name)
    if options.from_store:
        query = {"output.@class": "LabelDoc"}
        for entry in store.query(query, load=True):
            doc = LabelDoc.model_validate(entry["output"])
            frames += doc.frames
            sources.append(f"labels of {doc.mof_id}")
        note(f"store: {len(sources) - len(options.files)} documents of labels")
    if not frames:
        raise DatasetError(
            "there are no labelled frames",
            "name extended XYZ files, or --from-store after mofonon label",
        )
    return frames, sources


def _isolated_atoms(path: Path | None) -> dict[str, float] | None:
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): float(value) for key, value in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            f"{path} cannot be read as isolated-atom energies: {error}",
            'write JSON: {"6": -1.2, "Zn": -0.4} (eV)',
        ) from error


def _known(
    options: BuildOptions,
    store: JobStore,
    frames: Sequence[LabelFrame],
    given: dict[str, float] | None,
) -> StoredDataset | None:
    """Find the same dataset in the store."""
    settings = options.settings
    prepared = prepare_frames(
        frames,
        settings.fingerprint,
        max_relax_frames=settings.max_relax_frames,
        drop_quarantined=settings.drop_quarantined,
    )
    energies = (
        fit_isolated_atom_energies(prepared.frames)[0]
        if given is None
        else check_isolated_atom_energies(given, prepared.frames)
    )
    wanted = {
        "calculation_id": dataset_id(prepared.ids, settings, energies),
        "output.name": options.name,
        "card.licence": options.licence,
        "card.description": options.description,
    }
    for entry in find_documents(
        store, wanted, document_type="dataset", properties=["n_frames"], limit=1
    ):
        note(f"already in the store, document {entry['document_id']} (--rerun repeats it)")
        found = load(entry["document_id"], store)
        return StoredDataset(found.doc, found.document_id, reused=True)
    return None


def load(name: str, store: JobStore) -> StoredDataset:
    """Load a dataset by the id of its document, or by its name (the newest of it).

    Raises
    ------
    DocumentNotFoundError
        There is none.
    DatasetError
        The document is something else.
    """
    named = list(
        find_documents(
            store,
            {"output.name": name},
            document_type="dataset",
            properties=["n_frames"],
            limit=1,
        )
    )
    try:
        document = get_document(
            store, named[0]["document_id"] if named else name, with_arrays=True
        )
    except DocumentNotFoundError as error:
        raise DocumentNotFoundError(
            f"no dataset has the name or id {name}", "list them: mofonon dataset show"
        ) from error
    if document.get("@class") != "DatasetDoc":
        raise DatasetError(
            f"the document {name} is a {document.get('@class')}, not a dataset",
            "list datasets: mofonon dataset show",
        )
    return StoredDataset(DatasetDoc.model_validate(document), document["document_id"])


def list_datasets(store: JobStore) -> list[dict[str, Any]]:
    """Name, size and time of all datasets, newest first."""
    wanted = ["output.name", "n_frames", "completed_at", "card.n_mofs", "notice"]
    return list(find_documents(store, document_type="dataset", properties=wanted))
