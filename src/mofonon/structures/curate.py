"""A whole collection through curation: streamed, in processes, on record as it goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mofonon import progress
from mofonon.errors import CurationError, MissingDependencyError, MofononError
from mofonon.provenance import content_hash
from mofonon.structures.collection import StructureFile, count_files, iterate_collection
from mofonon.structures.curation import (
    CurationSettings,
    StructureRecord,
    curate_file,
    refuse_duplicates,
)
from mofonon.structures.descriptors import GROUPS, DescriptorCache, average
from mofonon.structures.fingerprints import Fingerprint, FingerprintSpec, make_fingerprint
from mofonon.structures.property_table import KnownProperties
from mofonon.structures.read import read_structure_content
from mofonon.structures.workers import BoundedPool, WorkerDied

_Task = tuple[StructureFile, KnownProperties | None]


class RecordLog:
    """Records of files as they are finished, a line of JSON each, so that a run goes on.

    Parameters
    ----------
    path : Path
        The file; made if absent. A line cut short by a kill is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._known: dict[str, StructureRecord] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self._load(path)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise CurationError(
                f"{path} cannot be written: {error.strerror}", "give another --output"
            ) from error

    def _load(self, path: Path) -> None:
        whole = 0
        with path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    self._known[entry["key"]] = StructureRecord(**entry["record"])
                except (ValueError, KeyError, TypeError):
                    break
                whole += len(line)
        if whole < path.stat().st_size:
            with path.open("r+b") as file:
                file.truncate(whole)

    def get(self, key: str) -> StructureRecord | None:
        """Return the record under a key, or None."""
        return self._known.get(key)

    def put(self, key: str, record: StructureRecord) -> None:
        """Keep a record."""
        line = {"key": key, "record": record.model_dump(mode="json")}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def curate_collection(
    source: Path,
    settings: CurationSettings,
    *,
    table: Mapping[str, KnownProperties] | None = None,
    log: Path,
    processes: int = 1,
) -> list[StructureRecord]:
    """Apply the filters to all files of a collection.

    Files are read one by one and worked on in processes; nothing but the records is held.

    Parameters
    ----------
    source : Path
        Folder or archive.
    settings : CurationSettings
        The filters.
    table : mapping, optional
        Known properties by id.
    log : Path
        Where records are kept as they are finished; files that are in it under the same
        settings and properties are not worked on again.
    processes : int
        Worker processes.

    Returns
    -------
    list of StructureRecord
        Sorted by id; independent of the number of processes and the order of files.

    Raises
    ------
    CurationError
        There is no collection, or nothing in it.
    MissingDependencyError
        Pore diameters have to be computed and pyzeo is not installed.
    """
    table = table or {}
    records: list[StructureRecord] = []
    total = count_files(source)
    journal = RecordLog(log)
    pool = BoundedPool(_curate_task, processes, _begin_curation, (settings,))

    def keep(record: StructureRecord) -> None:
        records.append(record)
        progress.report("curation", len(records), total)

    def unknown() -> Iterator[_Task]:
        for file in iterate_collection(source):
            properties = table.get(file.id)
            known = journal.get(_record_key(file, properties, settings))
            if known is None:
                yield file, properties
            else:
                keep(known)

    try:
        for (file, properties), outcome in pool.map(unknown()):
            if isinstance(outcome, MissingDependencyError):
                raise outcome
            record = _lost(file) if isinstance(outcome, WorkerDied) else outcome
            journal.put(_record_key(file, properties, settings), record)
            keep(record)
    finally:
        journal.close()
    if not records:
        raise CurationError(
            f"{source} has no structure files", "give a folder or archive of CIF files"
        )
    return refuse_duplicates(records)


def _record_key(
    file: StructureFile, properties: KnownProperties | None, settings: CurationSettings
) -> str:
    return content_hash(
        {
            "name": file.name,
            "file": hashlib.sha256(file.content).hexdigest(),
            "properties": properties.model_dump() if properties else None,
            "settings": settings.model_dump(mode="json"),
        }
    )


def _lost(file: StructureFile) -> StructureRecord:
    return StructureRecord(
        id=file.id,
        file=file.name,
        file_sha256=hashlib.sha256(file.content).hexdigest(),
        refused_by="unreadable",
        message="the process that worked on it ended (memory, or an exit in C++)",
    )


_SETTINGS: list[CurationSettings] = []


def _begin_curation(settings: CurationSettings) -> None:
    _SETTINGS[:] = [settings]


def _curate_task(task: _Task) -> StructureRecord | MissingDependencyError:
    try:
        return curate_file(*task, _SETTINGS[0])
    except MissingDependencyError as error:
        return error


def describe_collection(
    source: Path,
    records: Sequence[StructureRecord],
    spec: FingerprintSpec,
    *,
    processes: int = 1,
) -> tuple[list[StructureRecord], NDArray[np.float32]]:
    """Describe the accepted structures of a collection.

    Parameters
    ----------
    source : Path
        Folder or archive.
    records : sequence of StructureRecord
        Of :func:`curate_collection`.
    spec : FingerprintSpec
        The fingerprint.
    processes : int
        Worker processes, each with the model in memory; structures are described one at a
        time, so that their number does not change a digit.

    Returns
    -------
    records : list of StructureRecord
        All of them; accepted ones that cannot be described are now refused.
    descriptors : ndarray of float32, shape (n_accepted, 3, n_features)
        Averages over all atoms, nodes and linkers, of the accepted ones in their order.
    """
    cache = DescriptorCache.of(spec)
    accepted = {record.file: record for record in records if record.accepted}
    rows = {
        name: row
        for name, record in accepted.items()
        if (row := cache.get(_descriptor_key(record))) is not None
    }
    problems: dict[str, str] = {}
    missing = set(accepted) - set(rows)
    if missing:
        files = (file for file in iterate_collection(source) if file.name in missing)
        pool = BoundedPool(_describe_task, processes, _begin_description, (spec,))
        for file, outcome in pool.map(files):
            if isinstance(outcome, WorkerDied | str):
                problems[file.name] = str(outcome)
            else:
                rows[file.name] = outcome
                cache.put({_descriptor_key(accepted[file.name]): outcome})
            progress.report("descriptors", len(rows) + len(problems), len(accepted))
    cache.close()
    result = [
        record.model_copy(
            update={"refused_by": "no-descriptor", "message": problems[record.file]}
        )
        if record.file in problems
        else record
        for record in records
    ]
    described = [rows[record.file] for record in result if record.accepted]
    if not described:
        raise CurationError(
            "no structure is left to choose from: "
            + next(iter(problems.values()), "all were refused"),
            "look at the funnel, and at the settings of the filters",
        )
    return result, np.stack(described)


def _descriptor_key(record: StructureRecord) -> bytes:
    return b"structure " + bytes.fromhex(str(record.structure_hash)) + b" all,nodes,linkers"


_SPECS: list[FingerprintSpec] = []
_MODELS: list[Fingerprint] = []


def _begin_description(spec: FingerprintSpec) -> None:
    _SPECS[:] = [spec]


def _describe_task(file: StructureFile) -> NDArray[np.float32] | str:
    """Descriptor of one file, or why there is none."""
    from pymatgen.io.ase import AseAtomsAdaptor

    if not _MODELS:
        _MODELS.append(make_fingerprint(_SPECS[0]))
    atoms = AseAtomsAdaptor.get_atoms(
        read_structure_content(file.content, file.name), msonable=False
    )
    try:
        features = _MODELS[0].features([atoms])[0]
    except MofononError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - one structure must not stop the others
        return f"{type(error).__name__}: {error}"
    if not np.isfinite(features).all():
        return "the fingerprint is not finite"
    return average(features, atoms, GROUPS)
