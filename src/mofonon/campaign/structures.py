"""The structures of a campaign: names and files, read when needed, bad ones set aside."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from mofonon.campaign.schema import Structures
from mofonon.errors import CampaignError, MofononError
from mofonon.provenance import file_sha256
from mofonon.structures import read_structure, to_primitive, validate_structure

_SUFFIXES = (".cif", ".vasp", ".poscar", ".extxyz", ".xyz", ".json")
_COMPRESSED = (".xz", ".gz", ".bz2")


@dataclass(frozen=True)
class NamedStructure:
    """A structure of a campaign, or the reason why it cannot be used.

    Attributes
    ----------
    name : str
        Name within the campaign: that of the file without its suffixes.
    path : Path
        The file.
    structure : Structure or None
        None where it cannot be used.
    error : MofononError or None
        Why.
    """

    name: str
    path: Path
    structure: Structure | None = None
    error: MofononError | None = None


def structure_files(wanted: Structures) -> dict[str, Path]:
    """Files of the structures by name, in a stable order.

    Raises
    ------
    CampaignError
        When there are none, two have one name, or a manifest does not fit.
    """
    found = [Path(path) for pattern in wanted.files for path in _matches(pattern)]
    if wanted.folder is not None:
        if not wanted.folder.is_dir():
            raise CampaignError(
                f"there is no folder {wanted.folder}",
                "correct structures.folder; it is relative to the campaign file",
            )
        found += _of_folder(wanted.folder, wanted.manifest)
    if not found:
        raise CampaignError("the campaign has no structures", "correct structures.files")
    named: dict[str, Path] = {}
    for path in dict.fromkeys(found):
        name = structure_name(path)
        if name in named:
            raise CampaignError(
                f"{named[name]} and {path} would both be called {name}", "rename one of them"
            )
        named[name] = path
    return named


def structure_name(path: Path) -> str:
    """File name without the suffixes of structures and of compression."""
    name = path.name
    for suffixes in (_COMPRESSED, _SUFFIXES):
        for suffix in suffixes:
            if name.lower().endswith(suffix):
                name = name[: -len(suffix)]
    return name


def read_named(name: str, path: Path, wanted: Structures) -> NamedStructure:
    """Read, check and reduce a structure; an error becomes part of the result."""
    return named_structure(name, path, lambda: read_structure(path), wanted)


def named_structure(
    name: str, path: Path, read: Callable[[], Structure], wanted: Structures
) -> NamedStructure:
    """Check what is read, and reduce it where the campaign wants that; keep an error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            structure = read()
            validate_structure(structure, allow=wanted.allow)
            if wanted.primitive:
                structure = to_primitive(structure, wanted.symprec)
    except MofononError as error:
        return NamedStructure(name, path, error=error)
    return NamedStructure(name, path, structure)


def selected(name: str, patterns: list[str] | None) -> bool:
    """Whether a stage wants a structure."""
    return patterns is None or any(fnmatch(name, pattern) for pattern in patterns)


def _matches(pattern: str) -> list[str]:
    if Path(pattern).is_file():
        return [pattern]
    found = sorted(glob.glob(pattern))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise CampaignError(
            f"no file is called {pattern}",
            "correct structures.files; paths are relative to the campaign file",
        )
    return found


def _of_folder(folder: Path, manifest: Path | None) -> list[Path]:
    if manifest is None:
        return sorted(
            path
            for path in folder.iterdir()
            if path.name.lower().removesuffix(".xz").removesuffix(".gz").endswith(_SUFFIXES)
        )
    return [_checked(folder, entry, manifest) for entry in read_manifest(manifest)]


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """Entries of a manifest: a list, or the list under ``structures`` or ``selected``.

    Raises
    ------
    CampaignError
        When the file is not one.
    """
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CampaignError(
            f"the manifest {path} cannot be read: {error}",
            "give the manifest.yaml that mofonon select wrote",
        ) from error
    if isinstance(content, dict):
        content = content.get("structures", content.get("selected"))
    if not isinstance(content, list):
        raise CampaignError(
            f"{path} is not a manifest: it has no list of structures",
            "give what mofonon select wrote, or a list of names under structures",
        )
    return [entry if isinstance(entry, dict) else {"name": str(entry)} for entry in content]


def _checked(folder: Path, entry: dict[str, Any], manifest: Path) -> Path:
    name = str(entry.get("name") or entry.get("id") or "")
    path = folder / str(entry.get("file") or f"{name}.cif")
    if not path.is_file():
        raise CampaignError(
            f"{manifest} names {name}, and there is no {path}",
            "put the file there, or take the entry out",
        )
    expected = entry.get("sha256") or entry.get("file_hash")
    if expected and file_sha256(path) != expected:
        raise CampaignError(
            f"{path} is not the file of the manifest: its sha256 differs",
            "get the original file, or take sha256 out of the manifest to accept this one",
        )
    return path
