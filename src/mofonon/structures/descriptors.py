"""Descriptors of structures: fingerprints of atoms averaged over all, nodes and linkers.

Nodes are the metal atoms and what is bonded to them, linkers all other atoms, as Figure 1 of
Elena et al., npj Comput. Mater. 11, 125 (2025) has it. Descriptors are kept in a cache by the
exact configuration and the hash of the model.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mofonon import progress
from mofonon.errors import CheckpointError, DescriptorError
from mofonon.potentials.evaluations import evaluation_key
from mofonon.settings import get_settings
from mofonon.structures.bonds import bonds, is_metal
from mofonon.structures.fingerprints import Fingerprint, FingerprintSpec, make_fingerprint

Group = Literal["all", "nodes", "linkers"]
"""Which atoms a descriptor is averaged over."""

GROUPS: tuple[Group, ...] = ("all", "nodes", "linkers")


def node_atoms(atoms: Atoms) -> NDArray[np.bool_]:
    """Which atoms are nodes: metals and all that is bonded to one, shape (n_atoms,)."""
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = AseAtomsAdaptor.get_structure(atoms)
    metals = is_metal(structure)
    nodes = metals.copy()
    if metals.any():
        bonded = bonds(structure)
        nodes[bonded.second[metals[bonded.first]]] = True
    return nodes


def average(
    features: NDArray[np.float32], atoms: Atoms, groups: Sequence[Group]
) -> NDArray[np.float32]:
    """Average the features of atoms over groups of them.

    Parameters
    ----------
    features : ndarray, shape (n_atoms, n_features) or (n_features,)
        Of atoms, or of the whole structure; then only the group ``all`` has numbers.
    atoms : Atoms
        The structure.
    groups : sequence of str
        ``all``, ``nodes``, ``linkers``.

    Returns
    -------
    ndarray of float32, shape (n_groups, n_features)
        NaN for a group without atoms.
    """
    result = np.full((len(groups), features.shape[-1]), np.nan, dtype=np.float32)
    nodes = None
    for row, group in enumerate(groups):
        if features.ndim == 1:
            if group == "all":
                result[row] = features
            continue
        if group == "all":
            members = np.ones(len(atoms), dtype=bool)
        else:
            nodes = node_atoms(atoms) if nodes is None else nodes
            members = nodes if group == "nodes" else ~nodes
        if members.any():
            result[row] = features[members].mean(axis=0, dtype=np.float64)
    return result


def describe_frames(
    frames: Iterable[Atoms],
    spec: FingerprintSpec,
    *,
    groups: Sequence[Group] = ("all",),
    batch_atoms: int = 0,
    cache: DescriptorCache | None = None,
    total: int | None = None,
) -> NDArray[np.float32]:
    """Descriptors of many frames, in their order.

    Frames may come from a generator: no more than one batch is held. The model is loaded when
    something is not in the cache.

    Parameters
    ----------
    frames : iterable of Atoms
        The frames.
    spec : FingerprintSpec
        The fingerprint.
    groups : sequence of str
        Atoms to average over: ``all``, ``nodes``, ``linkers``.
    batch_atoms : int
        Frames are evaluated together until they have so many atoms. 0: one at a time, so that
        no digit depends on what else is in a batch; on a CPU cells of 100 atoms gain nothing
        from batches, cells of 10 atoms gain much, and on a GPU everything does.
    cache : DescriptorCache, optional
        Where descriptors are looked up and kept.
    total : int, optional
        Number of frames, for the progress bar.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_groups, n_features)
        NaN for groups without atoms.

    Raises
    ------
    UnknownElementError
        The model does not know an element.
    DescriptorError
        There are no frames, or the model gives numbers that are not finite.
    """
    rows = list(iterate_descriptors(frames, spec, groups, batch_atoms, cache, total))
    if not rows:
        raise DescriptorError(
            "there are no structures to describe",
            "check the folder and what the filters let through",
        )
    return np.stack(rows)


def iterate_descriptors(
    frames: Iterable[Atoms],
    spec: FingerprintSpec,
    groups: Sequence[Group] = ("all",),
    batch_atoms: int = 0,
    cache: DescriptorCache | None = None,
    total: int | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Give the descriptor of one frame after the other; see :func:`describe_frames`."""
    model: Fingerprint | None = None
    done = 0
    for batch in _batches(frames, batch_atoms):
        keys = [descriptor_key(atoms, groups) for atoms in batch]
        known = [cache.get(key) if cache is not None else None for key in keys]
        missing = [i for i, row in enumerate(known) if row is None]
        if missing:
            model = make_fingerprint(spec) if model is None else model
            computed = model.features([batch[i] for i in missing])
            for i, features in zip(missing, computed, strict=True):
                known[i] = _checked(average(features, batch[i], groups), features, batch[i])
            if cache is not None:
                cache.put({keys[i]: row for i in missing if (row := known[i]) is not None})
        done += len(batch)
        progress.report("descriptors", done, total)
        yield from (row for row in known if row is not None)


def descriptor_key(atoms: Atoms, groups: Sequence[Group]) -> bytes:
    """Key of a configuration and the groups averaged over."""
    return evaluation_key(atoms) + ",".join(groups).encode()


def _checked(
    row: NDArray[np.float32], features: NDArray[np.float32], atoms: Atoms
) -> NDArray[np.float32]:
    if not np.isfinite(features).all():
        raise DescriptorError(
            f"the fingerprint of {atoms.get_chemical_formula()} is not finite",
            "check the structure for overlapping atoms, and the model",
        )
    return row


def _batches(frames: Iterable[Atoms], batch_atoms: int) -> Iterator[list[Atoms]]:
    batch: list[Atoms] = []
    count = 0
    for atoms in frames:
        if batch and count + len(atoms) > batch_atoms:
            yield batch
            batch, count = [], 0
        batch.append(atoms)
        count += len(atoms)
    if batch:
        yield batch


class DescriptorCache:
    """Descriptors on disk (SQLite), by configuration and model; several processes may share it.

    Parameters
    ----------
    path : Path
        The file; made if absent.

    Raises
    ------
    CheckpointError
        The file cannot be written or is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60)
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS descriptors "
                "(key BLOB PRIMARY KEY, n_groups INTEGER, data BLOB)"
            )
        except (OSError, sqlite3.Error) as error:
            raise CheckpointError(
                f"the cache of descriptors {path} cannot be used: {error}",
                "set MOFONON_CHECKPOINTS to a folder that you can write to, or move the file "
                "away",
            ) from error

    @classmethod
    def of(cls, spec: FingerprintSpec) -> DescriptorCache:
        """Open the user's cache of a fingerprint, in the folder ``MOFONON_CHECKPOINTS``."""
        return cls(get_settings().checkpoints / "descriptors" / f"{spec.key()}.sqlite")

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        """Return the descriptor under a key, shape (n_groups, n_features), or None."""
        query = "SELECT n_groups, data FROM descriptors WHERE key = ?"
        with closing(self._connection.execute(query, (key,))) as cursor:
            row = cursor.fetchone()
        if row is None:
            return None
        return np.frombuffer(row[1], dtype="<f4").reshape(row[0], -1).copy()

    def put(self, rows: dict[bytes, NDArray[np.float32]]) -> None:
        """Keep descriptors; they are safe from a kill when this returns.

        Raises
        ------
        CheckpointError
            The disk is full or gone.
        """
        values = [
            (key, len(row), np.ascontiguousarray(row, "<f4").tobytes())
            for key, row in rows.items()
        ]
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO descriptors VALUES (?, ?, ?)", values
                )
        except sqlite3.Error as error:
            raise CheckpointError(
                f"the cache of descriptors {self.path} cannot be written: {error}",
                "free some space or set MOFONON_CHECKPOINTS to another folder",
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
