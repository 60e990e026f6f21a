"""Where numbers come from: versions, identities of calculations, memory."""

from __future__ import annotations

import hashlib
import json
import platform
import resource
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "mofonon",
    "phonopy",
    "ase",
    "numpy",
    "torch",
    "mace-torch",
    "chgnet",
    "sevenn",
    "dftd3",
)


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that make numbers."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def utc_now() -> str:
    """Give the time in UTC, to the second: when a document was completed."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def content_hash(content: dict[str, Any]) -> str:
    """Hex sha256 of plain data, independent of key order."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def peak_memory() -> float:
    """Peak resident memory of this process so far (GB)."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if platform.system() == "Darwin" else 1024) / 1e9
