"""Structure files to ordered pymatgen structures, or a typed error that says what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pymatgen.core import Element, Structure

from mofonon.errors import DisorderedStructureError, MofononError, StructureReadError
from mofonon.structures.cif import (
    DISORDER_REMEDY,
    FULL_OCCUPANCY_TOLERANCE,
    StructureReadWarning,
    structure_from_cif,
)

WHOLE_FILE_REMEDY = "Get the file again from where it came, or write it anew."

_DECOMPRESS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
}


def read_structure(path: str | Path) -> Structure:
    """Read a crystal structure from a file.

    CIF, POSCAR (also CONTCAR and .vasp), extended XYZ and pymatgen JSON, plain or compressed
    by gzip, bzip2 or xz. The format follows from the name (``.cif``, ``.vasp``, ``.poscar``,
    ``POSCAR*``, ``CONTCAR*``, ``.xyz``, ``.extxyz``, ``.json``), or else from the content.

    Positions are as precise as the file. Of a CIF, only one with symmetry operations has
    thirds made exact, and atoms are sorted by electronegativity as pymatgen does; other
    formats keep the order. Of several frames in extended XYZ the last is read, as
    ``ase.io.read`` does. JSON is a Structure dict, or a dict with one under ``structure``, or
    a list of one such dict.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    Structure
        Ordered, periodic in three directions, without oxidation states; the only site
        property is ``magmom`` (Bohr magnetons), where the file has it.

    Raises
    ------
    StructureReadError
        The file is absent, empty, not text, truncated or not a crystal structure.
    DisorderedStructureError
        Sites are partially or multiply occupied.

    Warns
    -----
    StructureReadWarning
        Several frames or data blocks, or a formula that does not fit the atoms.
    """
    path = Path(path)
    return read_structure_content(_read_bytes(path), str(path))


def read_structure_content(content: bytes, name: str) -> Structure:
    """Read a crystal structure from the content of a file, such as a member of an archive.

    Parameters
    ----------
    content : bytes
        As it is in the file, compressed or not.
    name : str
        Name of the file, which says the format, and what messages call it.

    Raises
    ------
    StructureReadError, DisorderedStructureError
        As :func:`read_structure`.
    """
    path = Path(name)
    text = _text(content, path)
    file_format = _format_of_name(path) or _format_of_content(text)
    if file_format is None:
        raise StructureReadError(
            f"{path} is in no format that is known here.",
            "Write it as CIF, POSCAR, extended XYZ or pymatgen JSON.",
        )
    try:
        structure = _READERS[file_format](text, str(path))
    except MofononError:
        raise
    except Exception as error:  # parsers raise whatever malformed text leads them to
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise StructureReadError(
            f"{path} cannot be read as {file_format}, it may be truncated: {reason[0]}",
            WHOLE_FILE_REMEDY,
        ) from error
    return _plain(structure, str(path))


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise StructureReadError(f"{path} does not exist.", "Check the path.")
    if not path.is_file():
        raise StructureReadError(f"{path} is not a file.", "Name one structure file.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise StructureReadError(
            f"{path} cannot be opened: {error.strerror}.", "Check its permissions."
        ) from error


def _text(content: bytes, path: Path) -> str:
    """Decompressed text of a file, with line feeds as line ends."""
    for magic, decompress in _DECOMPRESS.items():
        if content.startswith(magic):
            try:
                content = decompress(content)
            except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
                raise StructureReadError(
                    f"{path} cannot be decompressed, it may be truncated: {error}",
                    WHOLE_FILE_REMEDY,
                ) from error
            break
    if not content.strip():
        raise StructureReadError(f"{path} is empty.", WHOLE_FILE_REMEDY)
    if re.search(rb"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]", content):
        raise StructureReadError(
            f"{path} is not a text file.",
            "Write the structure as CIF, POSCAR, extended XYZ or pymatgen JSON, in UTF-8.",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _format_of_name(path: Path) -> str | None:
    """Format by file name, None when the name says nothing."""
    name = re.sub(r"\.(gz|bz2|xz)$", "", path.name.lower())
    suffix = Path(name).suffix
    if suffix in {".cif", ".mcif"}:
        return "CIF"
    if suffix in {".xyz", ".extxyz"}:
        return "extended XYZ"
    if suffix == ".json":
        return "JSON"
    if suffix in {".vasp", ".poscar"} or name.startswith(("poscar", "contcar")):
        return "POSCAR"
    return None


def _format_of_content(text: str) -> str | None:
    """Format by what the text looks like, None when it looks like nothing known."""
    lines = text.lstrip().splitlines()
    if lines[0][0] in "{[":
        return "JSON"
    if re.search(r"^\s*data_", text, flags=re.MULTILINE | re.IGNORECASE):
        return "CIF"
    if lines[0].strip().isdecimal():
        return "extended XYZ"
    number = r"\s*[-+]?[\d.]+([eEdD][-+]?\d+)?"
    if re.match(rf".*\n{number}\s*\n({number}{number}{number}[^\n]*\n){{3}}", text):
        return "POSCAR"
    return None


def _structure_from_poscar(text: str, name: str) -> Structure:
    from pymatgen.io.vasp import Poscar

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        poscar = Poscar.from_str(text, read_velocities=False)
    if not poscar.true_names:
        raise StructureReadError(
            f"{name} does not name its elements (VASP 4 format).",
            "Add a line with the element symbols above the line with the numbers of atoms.",
        )
    return poscar.structure


def _structure_from_json(text: str, name: str) -> Structure:
    content = json.loads(text)
    if isinstance(content, list):
        if len(content) != 1:
            raise StructureReadError(
                f"{name} has a list of {len(content)} entries.", "Write one structure a file."
            )
        content = content[0]
    if isinstance(content, dict) and "structure" in content:
        content = content["structure"]
    if not isinstance(content, dict) or "lattice" not in content or "sites" not in content:
        raise StructureReadError(
            f"{name} has no pymatgen Structure.",
            "Write the output of Structure.as_dict(), alone or under the key 'structure'.",
        )
    return Structure.from_dict(content)


def _structure_from_xyz(text: str, name: str) -> Structure:
    import ase.io

    frames = _count_frames(text.rstrip("\n").splitlines())
    if frames > 1:
        warnings.warn(
            f"{name} has {frames} frames; the last is read.", StructureReadWarning, stacklevel=3
        )
    atoms = ase.io.read(io.StringIO(text), index=-1, format="extxyz")
    if isinstance(atoms, list):
        raise TypeError("more than one frame")
    if not atoms.cell.any() or not atoms.pbc.all():
        lacks = "no lattice" if not atoms.cell.any() else "no periodicity in all directions"
        raise StructureReadError(
            f"{name} has {lacks}.",
            'Give the cell in the comment line: Lattice="ax ay az bx by bz cx cy cz" '
            'pbc="T T T" (A).',
        )
    magnetic_moments = atoms.get_initial_magnetic_moments()
    if atoms.calc is not None and "magmoms" in atoms.calc.results:
        magnetic_moments = atoms.calc.results["magmoms"]
    properties = {"magmom": magnetic_moments.tolist()} if magnetic_moments.any() else {}
    return Structure(
        atoms.cell.array,
        atoms.get_chemical_symbols(),
        atoms.positions,
        coords_are_cartesian=True,
        site_properties=properties,
    )


def _count_frames(lines: list[str]) -> int:
    """Count the frames of an XYZ file and see that the last is whole."""
    frames = start = 0
    while start < len(lines):
        atoms = int(lines[start])
        start += atoms + 2
        frames += 1
    if start > len(lines):
        raise ValueError(f"the last frame lacks {start - len(lines)} of {atoms} atoms")
    return frames


_READERS: dict[str, Callable[[str, str], Structure]] = {
    "CIF": structure_from_cif,
    "POSCAR": _structure_from_poscar,
    "JSON": _structure_from_json,
    "extended XYZ": _structure_from_xyz,
}


def _plain(structure: Structure, name: str) -> Structure:
    """Elements, positions and magnetic moments only."""
    symbols = []
    for index, site in enumerate(structure):
        full = abs(site.species.num_atoms - 1) <= FULL_OCCUPANCY_TOLERANCE
        if len(site.species) != 1 or not full:
            raise DisorderedStructureError(
                f"{name} has a disordered site: {site.species_string} (site {index}).",
                DISORDER_REMEDY,
            )
        symbol = next(iter(site.species)).symbol
        if not Element.is_valid_symbol(symbol):
            raise StructureReadError(
                f"{name} has an atom that is no element: {symbol} (site {index}).",
                "Remove dummy atoms and centroids.",
            )
        symbols.append(symbol)
    if not symbols:
        raise StructureReadError(f"{name} has no atoms.", WHOLE_FILE_REMEDY)
    moments = structure.site_properties.get("magmom")
    known = moments is not None and all(moment is not None for moment in moments)
    return Structure(
        structure.lattice.matrix,
        symbols,
        np.asarray(structure.frac_coords),
        site_properties={"magmom": moments} if known else {},
    )
