"""Datasets as files: extended XYZ for MACE, E0s, ASE database, Parquet table, card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from ase.data import atomic_numbers

from mofonon.dataset.card import card_markdown
from mofonon.dataset.extxyz import Weights, write_extxyz
from mofonon.dataset.schemas import PARTS, DatasetDoc
from mofonon.dft.schemas import LabelFrame
from mofonon.errors import SettingsError

Format = Literal["extxyz", "ase-db", "parquet", "card"]

FORMATS: tuple[Format, ...] = get_args(Format)


def export_dataset(
    doc: DatasetDoc,
    folder: Path,
    *,
    split: str = "random",
    formats: Sequence[Format] = FORMATS,
    head: str | None = None,
    weights: dict[str, Weights] | None = None,
) -> list[Path]:
    """Write a dataset into a folder.

    ``train.xyz``, ``valid.xyz``, ``test.xyz`` and ``E0s.json`` (by atomic number, as MACE's
    ``--E0s`` takes it), ``dataset.db`` (ASE), ``frames.parquet``, ``README.md`` and
    ``card.json``.

    Parameters
    ----------
    doc : DatasetDoc
        With its frames.
    folder : Path
        Made if absent.
    split : str
        random, fps or by-mof.
    formats : sequence of str
        Those wanted.
    head : str, optional
        Head of a multi-head model that frames are for.
    weights : dict, optional
        Weights by origin.

    Returns
    -------
    list of Path
        The files.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise SettingsError(
            f"no format is called {unknown[0]!r}", f"use some of {', '.join(FORMATS)}"
        )
    doc.split(split)
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    if "extxyz" in formats:
        for part in PARTS:
            path = folder / f"{part}.xyz"
            write_extxyz(path, doc.part(split, part), head=head, weights=weights)
            files.append(path)
        files.append(_write_isolated_atoms(doc, folder / "E0s.json"))
    if "ase-db" in formats:
        files.append(write_ase_db(doc, folder / "dataset.db", split))
    if "parquet" in formats:
        files.append(write_parquet(doc, folder / "frames.parquet"))
    if "card" in formats:
        readme, data = folder / "README.md", folder / "card.json"
        readme.write_text(card_markdown(doc.card), encoding="utf-8")
        data.write_text(doc.card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        files += [readme, data]
    return files


def _write_isolated_atoms(doc: DatasetDoc, path: Path) -> Path:
    energies = {
        str(atomic_numbers[element]): energy
        for element, energy in doc.card.isolated_atom_energies.items()
    }
    path.write_text(json.dumps(energies, indent=1) + "\n", encoding="utf-8")
    return path


def write_ase_db(doc: DatasetDoc, path: Path, split: str) -> Path:
    """Write all frames into an ASE database (SQLite), with energies, forces and stress.

    The part of the split, MOF, origin, step and hash of each frame are key-value pairs.
    """
    from ase.db import connect

    part_of = _parts(doc, split)
    path.unlink(missing_ok=True)
    with connect(path) as database:
        for index, frame in enumerate(doc.frames):
            database.write(
                frame.to_atoms(),
                mof_id=frame.mof_id,
                origin=frame.origin,
                step=frame.step,
                part=part_of[index],
                frame_id=doc.frame_ids[index],
            )
    return path


def write_parquet(doc: DatasetDoc, path: Path) -> Path:
    """Write a table of metadata, one row a frame: no positions, no forces."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_row(frame, doc.frame_ids[i]) for i, frame in enumerate(doc.frames)]
    columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in rows[0]}
    for split in doc.splits:
        part_of = _parts(doc, split.name)
        columns[f"part_{split.name.replace('-', '_')}"] = [
            part_of[index] for index in range(len(rows))
        ]
    pq.write_table(pa.table(columns), path)
    return path


def _parts(doc: DatasetDoc, split: str) -> dict[int, str]:
    chosen = doc.split(split)
    return {index: part for part in PARTS for index in chosen.part(part)}


def _row(frame: LabelFrame, frame_id: str) -> dict[str, Any]:
    """Make the row of a frame; energies in eV, forces in eV/A, stress in eV/A^3."""
    return {
        "frame_id": frame_id,
        "mof_id": frame.mof_id,
        "origin": frame.origin,
        "step": frame.step,
        "linear_strain": frame.linear_strain,
        "n_atoms": frame.n_atoms,
        "elements": sorted(set(frame.elements)),
        "volume": abs(float(np.linalg.det(np.asarray(frame.lattice)))),
        "energy": frame.energy,
        "energy_per_atom": frame.energy_per_atom,
        "max_force": frame.max_force,
        "stress_trace": float(np.trace(np.asarray(frame.stress))) if frame.stress else None,
        "code": frame.provenance.code,
        "job_uuid": frame.provenance.job_uuid,
        "parent": frame.parent,
        "notice": frame.notice,
        "quarantine": "; ".join(frame.quarantine),
    }
