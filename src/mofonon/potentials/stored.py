"""Models by their hash: from a folder that workers share, or from the job store."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mofonon.errors import DocumentNotFoundError, PotentialFileError
from mofonon.provenance import file_sha256
from mofonon.settings import get_settings

_SHORTEST = 8


def stored_model(sha256: str) -> Path:
    """Find a model file by its hash, or the beginning of it.

    It is looked for in the folder ``MOFONON_MODELS``, then in the documents of the job store
    (the one that commands use by default), from which it is copied into that folder.

    Parameters
    ----------
    sha256 : str
        At least eight hexadecimal digits.

    Returns
    -------
    Path
        The file, whose hash was checked.

    Raises
    ------
    PotentialFileError
        When there is no such model, several begin like this, or the file is damaged.
    """
    if len(sha256) < _SHORTEST or not set(sha256) <= set("0123456789abcdef"):
        raise PotentialFileError(
            f"sha256:{sha256} does not name a model",
            f"give at least {_SHORTEST} hexadecimal digits, as mofonon model list shows them",
        )
    found = sorted(get_settings().models.glob(f"{sha256}*.model"))
    if len(found) > 1:
        raise PotentialFileError(
            f"{len(found)} models begin with {sha256}", "give more digits of the sha256"
        )
    path = found[0] if found else _from_store(sha256)
    if file_sha256(path) != path.stem:
        raise PotentialFileError(
            f"the model {path} is damaged: its hash is not its name",
            "remove it; it is then taken from the store again",
        )
    return path


def stored_notice(path: Path) -> str | None:
    """Notice that belongs to a model of the folder: set when a stand-in is behind it."""
    beside = path.with_suffix(".notice")
    return beside.read_text(encoding="utf-8") if beside.is_file() else None


def keep_model(data: bytes, notice: str | None = None) -> Path:
    """Put a model into the folder of models, under its hash; returns its path.

    Parameters
    ----------
    data : bytes
        The model file.
    notice : str, optional
        What must be said wherever results of the model appear.

    Raises
    ------
    PotentialFileError
        When the folder cannot be written.
    """
    folder = get_settings().models
    path = folder / f"{hashlib.sha256(data).hexdigest()}.model"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if notice is not None:
            path.with_suffix(".notice").write_text(notice, encoding="utf-8")
        if path.is_file():
            return path
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise PotentialFileError(
            f"the model {path} cannot be written: {error.strerror}",
            "set MOFONON_MODELS to a folder that all workers share",
        ) from error
    return path


def _from_store(sha256: str) -> Path:
    from mofonon.arrays import EncodedArray
    from mofonon.store import describe_store, find_documents, get_document, open_store

    store = open_store()
    hits = find_documents(
        store, {"files.sha256": {"$regex": f"^{sha256}"}}, document_type="model", limit=1
    )
    for hit in hits:
        document = get_document(store, hit["document_id"], with_arrays=True)
        for file in document["files"]:
            if file["sha256"].startswith(sha256):
                contents = file["contents"]
                if isinstance(contents, dict):
                    contents = EncodedArray.from_dict(contents)
                return keep_model(contents.decode().tobytes(), document.get("notice"))
    raise PotentialFileError(
        f"no model has a sha256 that begins with {sha256}: neither in "
        f"{get_settings().models} nor in the {describe_store()}",
        "see mofonon model list; on a machine without the database, set MOFONON_MODELS to a "
        "folder with the model, written there by mofonon model export",
    ) from DocumentNotFoundError(sha256)
