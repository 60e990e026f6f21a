"""Phonons from phonopy's own files: how DFT references come in, without a potential.

Either a phonopy.yaml that holds forces or force constants (plain or compressed), or
FORCE_SETS / FORCE_CONSTANTS / force_constants.hdf5 with a structure and a supercell.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from phonopy import Phonopy
from phonopy import load as phonopy_load
from phonopy.interface.calculator import get_calculator_physical_units
from phonopy.structure.atoms import PhonopyAtoms
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.errors import ForceConstantsError
from mofonon.lattice.analysis import analyse_phonons
from mofonon.lattice.documents import phonon_document, to_structure
from mofonon.lattice.phonons import (
    set_force_constants,
    single_displacements,
    symmetrize_force_constants,
    to_atoms,
    to_phonopy_atoms,
)
from mofonon.lattice.schemas import PhononDoc
from mofonon.lattice.settings import PhononSettings
from mofonon.provenance import content_hash, file_sha256
from mofonon.structures import structure_hash

_OPENERS: dict[str, Callable[..., Any]] = {
    ".xz": lzma.open,
    ".gz": gzip.open,
    ".bz2": bz2.open,
}


def phonons_from_phonopy(
    path: Path, settings: PhononSettings, structure: Structure | None = None
) -> PhononDoc:
    """Analyse forces or force constants that phonopy or a DFT code left behind.

    Parameters
    ----------
    path : Path
        phonopy.yaml with forces or force constants (also .xz, .gz, .bz2); or FORCE_SETS,
        FORCE_CONSTANTS or force_constants.hdf5.
    settings : PhononSettings
        Mesh, pitch, symmetrization; the supercell too, where the file has none.
    structure : Structure, optional
        The unit cell, for files that do not hold it.

    Returns
    -------
    PhononDoc
        With ``potential`` None and the file in ``source``.

    Raises
    ------
    ForceConstantsError
        When the file is absent or holds neither forces nor force constants.
    """
    start = time.perf_counter()
    phonon = load_phonopy(path, settings, structure)
    if phonon.force_constants is None:
        set_force_constants(phonon, None, symmetrize=settings.symmetrize_force_constants)
    elif settings.symmetrize_force_constants:
        symmetrize_force_constants(phonon)
    analysis = analyse_phonons(phonon, settings)
    cell = to_structure(to_atoms(phonon.primitive))
    source = {"file": path.name, "sha256": file_sha256(path)}
    input_hash = structure_hash(cell)
    return phonon_document(
        cell,
        phonon,
        None,
        analysis,
        settings,
        input_hash=input_hash,
        calculation_id=phonopy_calculation_id(path, settings, structure),
        source=source,
        n_force_evaluations=0,
        seconds={"analysis": analysis.seconds, "total": time.perf_counter() - start},
        warnings=[f"forces or force constants were read from {path.name}, not computed here"],
    )


def phonopy_calculation_id(
    path: Path, settings: PhononSettings, structure: Structure | None
) -> str:
    """Identity of an analysis of files: their content and the settings.

    Raises
    ------
    ForceConstantsError
        When the file does not exist.
    """
    if not path.is_file():
        raise ForceConstantsError(
            f"there is no file {path}", "check the path of --from-phonopy"
        )
    return content_hash(
        {
            "kind": "phonopy",
            "file": file_sha256(path),
            "structure": None if structure is None else structure_hash(structure),
            "settings": settings.model_dump(mode="json"),
        }
    )


def load_phonopy(
    path: Path, settings: PhononSettings, structure: Structure | None = None
) -> Phonopy:
    """Read a phonopy calculation; the primitive cell is what the file says.

    Raises
    ------
    ForceConstantsError
        When the file holds neither forces nor force constants, or cannot be read.
    """
    with _decompressed(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # phonopy speaks of the primitive matrix set below
        try:
            phonon = (
                _from_yaml(file)
                if _base_name(path).endswith((".yaml", ".yml"))
                else _from_forces(file, _base_name(path), settings, structure)
            )
        except ForceConstantsError:
            raise
        except Exception as error:  # phonopy's parsers raise whatever comes
            raise ForceConstantsError(
                f"{path} cannot be read by phonopy ({type(error).__name__}: {error})",
                "give a phonopy.yaml with forces or force constants, FORCE_SETS, "
                "FORCE_CONSTANTS or force_constants.hdf5",
            ) from error
    _refuse_other_units(phonon, path)
    if phonon.force_constants is None and not _has_forces(phonon):
        raise ForceConstantsError(
            f"{path} holds neither forces nor force constants",
            "write them with phonopy's save(settings={'force_sets': True}), or give "
            "FORCE_SETS or FORCE_CONSTANTS with the structure",
        )
    return phonon


def _refuse_other_units(phonon: Phonopy, path: Path) -> None:
    """Refuse files of codes whose lengths are not in A or forces not in eV/A."""
    units = get_calculator_physical_units(phonon.calculator)
    if (units.length_unit, units.force_unit) != ("angstrom", "eV/angstrom"):
        raise ForceConstantsError(
            f"{path} is in the units of {phonon.calculator}: {units.length_unit} and "
            f"{units.force_unit}",
            "convert it to A and eV/A, for instance through phonopy's "
            "--calculator vasp interface",
        )


def _from_yaml(file: Path) -> Phonopy:
    from phonopy.interface.phonopy_yaml import PhonopyYaml

    said = PhonopyYaml()
    said.read(str(file))
    return phonopy_load(
        str(file), primitive_matrix=_primitive_matrix(said), produce_fc=False, log_level=0
    )


def _primitive_matrix(said: Any) -> Any:
    """Primitive matrix that a phonopy.yaml states, directly or by its primitive cell."""
    if said.primitive_matrix is not None:
        return np.asarray(said.primitive_matrix).tolist()
    if said.primitive is None or said.unitcell is None:
        return "P"
    # cells are in rows: primitive = matrix^T unitcell
    return (said.primitive.cell @ np.linalg.inv(said.unitcell.cell)).T.tolist()


def _from_forces(
    file: Path, name: str, settings: PhononSettings, structure: Structure | None
) -> Phonopy:
    if structure is None:
        raise ForceConstantsError(
            f"{name} holds no structure",
            "give the structure too: mofonon phonons POSCAR --from-phonopy FORCE_SETS "
            "--supercell 2 2 2",
        )
    unitcell: PhonopyAtoms = to_phonopy_atoms(
        AseAtomsAdaptor.get_atoms(structure, msonable=False)
    )
    kind = "force_constants_filename" if "CONSTANTS" in name.upper() else "force_sets_filename"
    forces: dict[str, Any] = {kind: str(file)}
    return phonopy_load(
        unitcell=unitcell,
        supercell_matrix=settings.supercell_matrix(unitcell.cell),
        primitive_matrix="P",
        symprec=settings.symprec,
        produce_fc=False,
        log_level=0,
        **forces,
    )


def _has_forces(phonon: Phonopy) -> bool:
    if displaced := single_displacements(phonon):
        return all("forces" in entry for entry in displaced)
    dataset: Any = phonon.dataset
    return bool(dataset) and "forces" in dataset


def _base_name(path: Path) -> str:
    return path.stem if path.suffix in _OPENERS else path.name


@contextmanager
def _decompressed(path: Path) -> Iterator[Path]:
    """Give the file as it is, or a decompressed copy for as long as it is read."""
    if not path.is_file():
        raise ForceConstantsError(
            f"there is no file {path}", "check the path of --from-phonopy"
        )
    if path.suffix not in _OPENERS:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.stem
        try:
            with _OPENERS[path.suffix](path) as packed:
                copy.write_bytes(packed.read())
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise ForceConstantsError(
                f"{path} cannot be decompressed: {error}", "the file is damaged: copy it again"
            ) from error
        yield copy
