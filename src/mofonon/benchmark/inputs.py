"""What is compared: files and documents of the store, each with the name of its method."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobflow import JobStore
from pymatgen.core import Structure

from mofonon.benchmark.structures import LabelledStructure
from mofonon.errors import ComparisonError, StructureReadError
from mofonon.store import get_document
from mofonon.structures import read_structure

_ID = re.compile(r"[0-9a-f][0-9a-f-]{5,35}$")
_SUFFIXES = {
    *(".xz", ".gz", ".bz2", ".cif", ".json", ".extxyz", ".xyz", ".vasp", ".yaml", ".yml"),
    *(".dat", ".csv"),
}


@dataclass(frozen=True)
class Source:
    """Something to compare, as the user named it.

    Attributes
    ----------
    label : str
        Name of the method.
    path : Path or None
        The file.
    document_id : str or None
        Id of a document, or its beginning; exactly one of the two is set.
    """

    label: str
    path: Path | None = None
    document_id: str | None = None

    @property
    def text(self) -> str:
        """The file's path, or the id."""
        return str(self.path) if self.path is not None else str(self.document_id)


def parse_sources(words: Sequence[str]) -> list[Source]:
    """Understand ``FILE``, ``LABEL=FILE``, ``ID`` and ``LABEL=ID``.

    Without a label, a file is named after its folder where the folders differ, and otherwise
    after itself; a document after its potential, once it is read.

    Raises
    ------
    ComparisonError
        A word is neither a file nor the id of a document.
    """
    parsed = [_parse(word) for word in words]
    nameless = [source.path for source in parsed if not source.label and source.path]
    folders = [path.resolve().parent.name for path in nameless]
    stems = [stem(path) for path in nameless]
    names = folders if len(set(folders)) == len(nameless) > 1 else stems
    if len(set(names)) < len(names):
        names = [str(path) for path in nameless]
    labels = iter(names)
    return [
        Source(next(labels), path=source.path) if not source.label and source.path else source
        for source in parsed
    ]


def labelled_structure(source: Source, store: JobStore | None) -> LabelledStructure:
    """Read the structure of a file or a document.

    Parameters
    ----------
    source : Source
        What to read.
    store : JobStore or None
        Needed for documents.

    Raises
    ------
    ComparisonError
        A document has no structure.
    StructureReadError, DocumentNotFoundError
        A file or a document cannot be read.
    """
    if source.path is not None:
        return LabelledStructure(source.label, read_structure(source.path), str(source.path))
    document = read_document(source, store)
    if not document.get("structure"):
        raise ComparisonError(
            f"document {source.document_id} has no structure",
            "name a relaxation, phonon, bulk-modulus or qha document",
        )
    return LabelledStructure(
        source.label or document_label(document),
        as_structure(document["structure"]),
        document["document_id"],
        document["document_id"],
        document_notice(document),
    )


def read_document(
    source: Source, store: JobStore | None, *, with_arrays: bool = False
) -> dict[str, Any]:
    """Get the document of a source."""
    if store is None or source.document_id is None:
        raise ComparisonError(f"{source.text} is not a document", "name the id of a document")
    return get_document(store, source.document_id, with_arrays=with_arrays)


def as_structure(value: Structure | dict[str, Any]) -> Structure:
    """Structure of a document, whichever way the store gives it."""
    return value if isinstance(value, Structure) else Structure.from_dict(value)


def document_label(document: dict[str, Any]) -> str:
    """Name of the method behind a document: its potential or its file."""
    potential = document.get("potential") or {}
    if label := potential.get("label"):
        return str(label)
    return str((document.get("source") or {}).get("file", document["document_id"][:8]))


def document_notice(document: dict[str, Any]) -> str | None:
    """Return what must be said of the numbers of a document, if anything."""
    notice = document.get("notice") or (document.get("potential") or {}).get("notice")
    return None if notice is None else str(notice)


def origin(source: str, document_id: str | None) -> str:
    """Where numbers come from, in words that lead there."""
    if document_id is not None:
        return f"document {document_id} (mofonon show {document_id[:8]})"
    return source


def stem(path: Path) -> str:
    """File name without the suffixes of formats and of compression."""
    while path.suffix.lower() in _SUFFIXES:
        path = path.with_suffix("")
    return path.name


def _parse(word: str) -> Source:
    if Path(word).is_file():
        return Source("", path=Path(word))
    label, equals, rest = word.partition("=")
    if not equals:
        label, rest = "", word
    if Path(rest).is_file():
        return Source(label, path=Path(rest))
    if _ID.match(rest):
        return Source(label, document_id=rest)
    raise StructureReadError(
        f"{rest} does not exist.",
        "Name a file or the id of a document (mofonon query), also as LABEL=FILE.",
    )
