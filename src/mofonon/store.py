"""Job stores and queries over them: embedded by default, MongoDB when configured."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mofonon.errors import DocumentNotFoundError, StoreError
from mofonon.settings import get_settings

if TYPE_CHECKING:
    from jobflow import JobStore

#: Fields of the job store document that are not below ``output``.
_ENVELOPE = ("uuid", "index", "name", "metadata", "hosts", "completed_at")

_PASSWORD = re.compile(r"(?i)(password|passwd|pwd)(['\"]?\s*[=:]\s*)['\"]?[^\s,'\"}&]+")

#: Short names of document classes, as ``--type`` takes them.
DOCUMENT_TYPES = {
    "phonons": "PhononDoc",
    "relax": "RelaxDoc",
    "bulk-modulus": "BulkModulusDoc",
    "qha": "QhaDoc",
    "expansion-md": "MdExpansionDoc",
    "stabilize": "StabilizeDoc",
    "model": "PotentialDoc",
    "evaluation": "EvaluationDoc",
    "sample": "SampleDoc",
    "dataset": "DatasetDoc",
    "labels": "LabelDoc",
    "campaign": "CampaignDoc",
    "extension": "ExtensionDoc",
    "selection": "SelectionDoc",
}


def open_store(path: Path | str | None = None) -> JobStore:
    """Open and connect the job store.

    Parameters
    ----------
    path : Path, optional
        Folder of an embedded store. Without it: the store of ``JOBFLOW_CONFIG_FILE`` when
        that is set, else the embedded store of the user (``MOFONON_STORE``).

    Raises
    ------
    StoreError
        When the store cannot be opened, with the reason and the remedy.
    """
    if path is None and os.environ.get("JOBFLOW_CONFIG_FILE"):
        return _configured_store(Path(os.environ["JOBFLOW_CONFIG_FILE"]))
    return _embedded_store(Path(path) if path is not None else get_settings().store)


def describe_store(path: Path | str | None = None) -> str:
    """Say which store :func:`open_store` would open, without opening it."""
    if path is None and os.environ.get("JOBFLOW_CONFIG_FILE"):
        return f"job store of {os.environ['JOBFLOW_CONFIG_FILE']}"
    return f"embedded store {path if path is not None else get_settings().store}"


def _embedded_store(folder: Path) -> JobStore:
    """SQLite through MontyDB: documents and arrays in one folder, several processes."""
    from jobflow import JobStore

    from mofonon.embedded_store import EmbeddedStore

    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"the store {folder} cannot be written: {error.strerror}",
            "give another folder with --store or MOFONON_STORE",
        ) from error

    def collection(name: str, key: str) -> EmbeddedStore:
        return EmbeddedStore(
            name, database_path=str(folder), database_name="mofonon", storage="sqlite", key=key
        )

    store = JobStore(
        collection("documents", "uuid"),
        additional_stores={"data": collection("data", "blob_uuid")},
    )
    store.connect()
    return store


def _configured_store(config: Path) -> JobStore:
    """Store of a jobflow configuration file, such as MongoDB with GridFS."""
    if not config.is_file():
        raise StoreError(
            f"JOBFLOW_CONFIG_FILE names {config}, which does not exist",
            "correct the variable, or unset it to use the embedded store",
        )
    try:
        store: JobStore = _jobflow_settings(config).JOB_STORE
        store.connect()
        store.docs_store.count()
    except Exception as error:  # each store backend raises its own kinds
        raise StoreError(
            f"the job store of {config} cannot be opened: {without_credentials(str(error))}",
            "check that the database runs and that host, port and credentials in the file "
            "are right",
        ) from error
    if "data" not in vars(store)["additional_stores"]:
        raise StoreError(
            f"the job store of {config} has no additional store called 'data'",
            "add one for arrays: a GridFSStore, as in the documentation of mofonon",
        )
    return store


def _jobflow_settings(config: Path) -> Any:
    from jobflow.settings import JobflowSettings

    settings: Any = JobflowSettings
    return settings(CONFIG_FILE=str(config))


def without_credentials(text: str, *, whole: bool = False) -> str:
    """Text of an error, fit to be shown: user and password in addresses blotted out.

    Parameters
    ----------
    text : str
        The text.
    whole : bool
        All of it, not the beginning of its first line.
    """
    shown = text if whole else "".join(text.splitlines()[:1])[:300]
    shown = re.sub(r"://[^@/\s]+@", "://***@", shown)
    return _PASSWORD.sub(r"\1\2***", shown)


def build_indexes(store: JobStore) -> None:
    """Index what documents are looked for by; MongoDB only, quick where they are there."""
    if not _is_mongo(store):
        return
    collection = store.docs_store._collection  # noqa: SLF001 - maggma's indexes have one key
    for keys in (
        [("uuid", 1), ("index", -1)],
        [("output.@class", 1), ("output.completed_at", -1)],
        [("output.calculation_id", 1)],
        [("metadata.campaign", 1)],
    ):
        collection.create_index(keys, background=True)


def _is_mongo(store: JobStore) -> bool:
    """Whether documents are in a MongoDB, which sorts and has indexes."""
    from maggma.stores.mongolike import MongoStore, MontyStore

    return isinstance(store.docs_store, MongoStore) and not isinstance(
        store.docs_store, MontyStore
    )


def find_documents(
    store: JobStore,
    criteria: dict[str, Any] | None = None,
    *,
    document_type: str | Sequence[str] | None = None,
    properties: list[str] | None = None,
    limit: int = 0,
) -> Iterator[dict[str, Any]]:
    """Find mofonon documents, newest first.

    Parameters
    ----------
    store : JobStore
        An open store.
    criteria : dict, optional
        MongoDB criteria on fields of the document (``{"min_frequency": {"$lt": 0}}``).
    document_type : str or sequence of str, optional
        Keys of :data:`DOCUMENT_TYPES`; all kinds if None.
    properties : list of str, optional
        Fields wanted; all (without arrays) if None.
    limit : int
        At most so many; 0 for all.

    Yields
    ------
    dict
        The document, with its ``uuid`` as ``document_id``.
    """
    kinds = [document_type] if isinstance(document_type, str) else document_type
    names = [DOCUMENT_TYPES[kind] for kind in kinds or DOCUMENT_TYPES]
    query: dict[str, Any] = {"output.@class": {"$in": names}}
    if criteria:
        query = {"$and": [query, prefix_criteria(criteria)]}
    wanted = None
    if properties is not None:
        wanted = ["uuid", "output.completed_at", *(prefix_field(name) for name in properties)]
    if _is_mongo(store):
        newest: dict[str, Any] = {"output.completed_at": -1}  # an index: see build_indexes
        for entry in store.docs_store.query(query, wanted, sort=newest, limit=limit):
            yield {**entry.get("output", {}), "document_id": entry["uuid"]}
        return
    # sorted here: MontyDB's sort reads everything anyway
    found = list(store.docs_store.query(query, wanted))
    found.sort(key=lambda entry: str(entry.get("output", {}).get("completed_at")), reverse=True)
    for entry in found[: limit or None]:
        yield {**entry.get("output", {}), "document_id": entry["uuid"]}


def get_document(
    store: JobStore, document_id: str, *, with_arrays: bool = False
) -> dict[str, Any]:
    """Get one document by its id or the unique beginning of it.

    Raises
    ------
    DocumentNotFoundError
        When none or several documents have it.
    """
    pattern = f"^{re.escape(document_id)}"
    entries = list(
        store.query({"uuid": {"$regex": pattern}}, load=with_arrays or None)
        if with_arrays
        else store.docs_store.query({"uuid": {"$regex": pattern}})
    )
    uuids = {entry["uuid"] for entry in entries}
    if len(uuids) != 1:
        problem = "no document has" if not uuids else f"{len(uuids)} documents have"
        raise DocumentNotFoundError(
            f"{problem} the id {document_id}", "list the documents with: mofonon query"
        )
    latest = max(entries, key=lambda entry: entry["index"])
    if latest["output"].get("@class") == "OutputReference":
        # a job that was replaced points to the one that gave its output
        return get_document(store, latest["output"]["uuid"], with_arrays=with_arrays)
    return {**latest["output"], "document_id": latest["uuid"]}


def prefix_field(name: str) -> str:
    """Name of a document field in the job store, which keeps documents under ``output``."""
    root = name.split(".", maxsplit=1)[0]
    return name if root == "output" or root in _ENVELOPE[:5] else f"output.{name}"


def prefix_criteria(criteria: dict[str, Any]) -> dict[str, Any]:
    """Criteria on document fields as criteria on the job store."""
    prefixed: dict[str, Any] = {}
    for name, condition in criteria.items():
        if name.startswith("$"):
            prefixed[name] = [prefix_criteria(part) for part in condition]
        else:
            prefixed[prefix_field(name)] = condition
    return prefixed
