"""Collections of structure files: folders and archives, read one file at a time."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mofonon.errors import CurationError

_SUFFIXES = (".cif", ".vasp", ".poscar")
_COMPRESSED = (".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class StructureFile:
    """A file of a collection.

    Attributes
    ----------
    name : str
        Path within the collection, with forward slashes.
    content : bytes
        As it is in the file.
    error : str
        Why it could not be read; empty when it could.
    """

    name: str
    content: bytes
    error: str = ""

    @property
    def id(self) -> str:
        """File name without suffixes."""
        return identifier(self.name)


def identifier(name: str) -> str:
    """File name without the suffixes of structures and of compression."""
    base = PurePosixPath(name).name
    for suffix in _COMPRESSED:
        base = base.removesuffix(suffix)
    for suffix in _SUFFIXES:
        base = base.removesuffix(suffix)
    return base


def iterate_collection(path: Path) -> Iterator[StructureFile]:
    """Read the structure files of a folder (with its folders), zip or tar archive.

    Of a folder and a zip archive in the order of their names, of a tar archive in its own.

    Raises
    ------
    CurationError
        There is no such collection, or the archive is damaged.
    """
    if path.is_dir():
        yield from _of_folder(path)
    elif path.is_file() and zipfile.is_zipfile(path):
        yield from _of_zip(path)
    elif path.is_file() and _is_tar(path):
        yield from _of_tar(path)
    elif path.is_file() and _is_structure(path.name):
        yield StructureFile(path.name, path.read_bytes())
    else:
        raise CurationError(
            f"{path} is no folder, archive or structure file",
            "give a folder of CIF files, or a .zip or .tar archive of them",
        )


def count_files(path: Path) -> int | None:
    """Count the structure files of a collection; None where that takes reading all of it."""
    if path.is_dir():
        return sum(1 for each in path.rglob("*") if _is_structure(each.name))
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return sum(1 for name in archive.namelist() if _is_structure(name))
    return None


def _is_structure(name: str) -> bool:
    base = PurePosixPath(name).name.lower()
    for suffix in _COMPRESSED:
        base = base.removesuffix(suffix)
    return base.endswith(_SUFFIXES) and not base.startswith(".")


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except OSError:
        return False


def _of_folder(folder: Path) -> Iterator[StructureFile]:
    names = sorted(
        each.relative_to(folder).as_posix()
        for each in folder.rglob("*")
        if _is_structure(each.name) and not each.is_dir()
    )
    for name in names:
        try:
            yield StructureFile(name, (folder / name).read_bytes())
        except OSError as error:
            yield StructureFile(name, b"", f"cannot be opened: {error.strerror}")


def _of_zip(path: Path) -> Iterator[StructureFile]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(filter(_is_structure, archive.namelist())):
            try:
                yield StructureFile(name, archive.read(name))
            except (zipfile.BadZipFile, OSError, RuntimeError, EOFError) as error:
                yield StructureFile(name, b"", f"cannot be taken from the archive: {error}")


def _of_tar(path: Path) -> Iterator[StructureFile]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None and _is_structure(member.name):
                    yield StructureFile(member.name.removeprefix("./"), stream.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise CurationError(
            f"the archive {path} is damaged: {error}", "get it again, or unpack what is whole"
        ) from error
