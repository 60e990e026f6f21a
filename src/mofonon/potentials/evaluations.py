"""Evaluations of a potential: counted, and remembered on disk.

An optimizer started again from the same structure asks for the same evaluations in the
same order, and so do the displaced supercells of a phonon calculation. A log of all
evaluations, found by the exact bytes of cell, positions and species, therefore restarts
any calculation where it was killed, to the last digit, whatever the method: what was
evaluated is read, what was not is computed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, runtime_checkable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    BaseCalculator,
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)
from numpy.typing import NDArray

from mofonon.errors import CheckpointError, PotentialError

_MAGIC = b"mofonon evaluations 1\n"
_HEADER = struct.Struct("<32sQI")  # key, payload length in bytes, crc32 of the payload


class EvaluationLog:
    """Append-only file of evaluations: energy (eV), stress (eV/A^3), forces (eV/A).

    Each record carries a checksum. A record cut short by a kill or a power failure is
    dropped when the log is opened again, and everything before it is kept.

    Parameters
    ----------
    path : Path
        The file; made if absent.

    Raises
    ------
    CheckpointError
        When the file cannot be written, is no evaluation log, or is in use by another
        process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets: dict[bytes, tuple[int, int]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b")
        except OSError as error:
            raise CheckpointError(
                f"the checkpoint {path} cannot be written: {error.strerror}",
                "set MOFONON_CHECKPOINTS to a folder that you can write to",
            ) from error
        self._lock()
        try:
            self._read_index()
        except OSError as error:
            with suppress(OSError):  # what could not be written is tried again, in vain
                self._file.close()
            raise self._unwritable(error) from error

    def __len__(self) -> int:
        return len(self._offsets)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()

    def get(self, key: bytes) -> NDArray[np.float64] | None:
        """Return the payload recorded under a key, or None."""
        if key not in self._offsets:
            return None
        offset, length = self._offsets[key]
        self._file.seek(offset)
        return np.frombuffer(self._file.read(length), dtype="<f8").copy()

    def put(self, key: bytes, payload: NDArray[np.float64]) -> None:
        """Record a payload; it is safe from a kill when this returns.

        Raises
        ------
        CheckpointError
            When the disk is full or gone; what was recorded before stays readable.
        """
        data = np.ascontiguousarray(payload, dtype="<f8").tobytes()
        end = self._file.seek(0, 2)
        try:
            self._file.write(_HEADER.pack(key, len(data), zlib.crc32(data)) + data)
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        self._offsets[key] = (end + _HEADER.size, len(data))

    def _unwritable(self, error: OSError) -> CheckpointError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return CheckpointError(
            f"the checkpoint {self.path} cannot be written: {error.strerror}",
            ("free some space or " if full else "")
            + "set MOFONON_CHECKPOINTS to another folder and copy the checkpoint there; "
            f"the {len(self)} evaluations made so far are kept",
        )

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise CheckpointError(
                f"another process is computing the same: {self.path} is locked",
                "wait for it to end, or stop it",
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise  # a file system without locks is used without them

    def _read_index(self) -> None:
        """Find the whole records and cut off what follows them."""
        size = self._file.seek(0, 2)
        self._file.seek(0)
        magic = self._file.read(len(_MAGIC))
        if not _MAGIC.startswith(magic):
            self._file.close()
            raise CheckpointError(
                f"{self.path} is not an evaluation log", "move it away and start again"
            )
        if magic != _MAGIC:
            self._file.truncate(0)
            self._file.write(_MAGIC)
            self._file.flush()
            return
        end = len(_MAGIC)
        while end + _HEADER.size <= size:
            key, length, checksum = _HEADER.unpack(self._file.read(_HEADER.size))
            data = self._file.read(length) if length <= size - end else b""
            if len(data) != length or zlib.crc32(data) != checksum:
                break
            self._offsets[key] = (end + _HEADER.size, length)
            end += _HEADER.size + length
        if end < size:
            self._file.truncate(end)


def evaluation_key(atoms: Atoms) -> bytes:
    """Key of a configuration: sha256 over species, cell, positions and periodicity."""
    digest = hashlib.sha256()
    for array, dtype in (
        (atoms.numbers, "<i4"),
        (atoms.pbc, "|b1"),
        (atoms.cell.array, "<f8"),
        (atoms.positions, "<f8"),
    ):
        digest.update(np.ascontiguousarray(array, dtype=dtype).tobytes())
    return digest.digest()


@runtime_checkable
class BatchPotential(Protocol):
    """A calculator that evaluates several cells at once."""

    def calculate_many(self, cells: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Evaluate cells; each dict is as ASE's ``results``."""

    def batch_size(self, n_atoms: int) -> int:
        """Cells of ``n_atoms`` that may be evaluated at once."""


class LoggedCalculator(Calculator):
    """A calculator that counts its evaluations and takes known ones from a log.

    Parameters
    ----------
    calculator : BaseCalculator
        The potential, or a function without arguments that makes it; the function is
        called when an evaluation is first needed, so that a finished calculation is read
        from its log without loading a model.
    log : EvaluationLog, optional
        Where evaluations are kept; without it they are only counted.

    Attributes
    ----------
    n_evaluations : int
        Evaluations asked for, from the log or computed: what the method costs.
    n_computed : int
        Those of them that were computed in this process.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(
        self,
        calculator: BaseCalculator | Callable[[], BaseCalculator],
        log: EvaluationLog | None = None,
    ) -> None:
        super().__init__()
        self._calculator = calculator
        self.log = log
        self.n_evaluations = 0
        self.n_computed = 0
        self.seconds = 0.0

    @property
    def potential(self) -> BaseCalculator:
        """The calculator behind the log, made when first needed."""
        if not isinstance(self._calculator, BaseCalculator):
            self._calculator = self._calculator()
        return self._calculator

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate energy, forces and, where the potential has it, stress."""
        super().calculate(atoms, properties, system_changes)
        (self.results,) = self.evaluate([self._copy_of_atoms()])

    def evaluate(self, cells: Sequence[Atoms]) -> Iterator[dict[str, Any]]:
        """Evaluate cells one after the other, or in batches where the potential can.

        Parameters
        ----------
        cells : sequence of Atoms
            Cells with the same elements.

        Yields
        ------
        dict
            As ASE's ``results``: energy (eV), forces (eV/A), stress (eV/A^3, Voigt).
        """
        todo = list(cells)
        while todo:
            size = self._batch_size(todo[0])
            batch, todo = todo[:size], todo[size:]
            keys = [evaluation_key(atoms) for atoms in batch]
            payloads = self._known(keys)
            missing = [index for index, key in enumerate(keys) if key not in payloads]
            computed = self._compute([batch[index] for index in missing]) if missing else []
            for index, payload in zip(missing, computed, strict=True):
                payloads[keys[index]] = payload
                if self.log is not None:
                    self.log.put(keys[index], payload)
            for key in keys:
                self.n_evaluations += 1
                yield _unpack(payloads[key])

    def _copy_of_atoms(self) -> Atoms:
        if self.atoms is None:
            raise PotentialError(
                "there are no atoms to evaluate",
                "pass atoms to the calculator, or set atoms.calc",
            )
        return self.atoms.copy()

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float64]]:
        """Payloads of the configurations that are in the log."""
        if self.log is None:
            return {}
        found = {key: self.log.get(key) for key in keys}
        return {key: payload for key, payload in found.items() if payload is not None}

    def _batch_size(self, atoms: Atoms) -> int:
        """Cells at once: 1 unless a potential that is loaded says otherwise."""
        if isinstance(self._calculator, BatchPotential):
            return self._calculator.batch_size(len(atoms))
        return 1

    def _compute(self, cells: Sequence[Atoms]) -> list[NDArray[np.float64]]:
        potential = self.potential
        start = time.perf_counter()
        if isinstance(potential, BatchPotential):
            results = potential.calculate_many(cells)
        else:
            results = [_evaluate_by_ase(atoms, potential) for atoms in cells]
        self.seconds += time.perf_counter() - start
        self.n_computed += len(cells)
        return [_pack(result) for result in results]


def _evaluate_by_ase(atoms: Atoms, potential: BaseCalculator) -> dict[str, Any]:
    """Evaluate; forces first, with which most potentials give everything else."""
    atoms.calc = potential
    results = {"forces": atoms.get_forces(), "energy": atoms.get_potential_energy()}
    with contextlib.suppress(PropertyNotImplementedError):
        results["stress"] = atoms.get_stress(voigt=True)
    return results


def _pack(results: dict[str, Any]) -> NDArray[np.float64]:
    stress = np.asarray(results.get("stress", np.full(6, np.nan)), float)
    forces = np.asarray(results["forces"], float)
    return np.concatenate([[float(results["energy"])], stress, forces.reshape(-1)])


def _unpack(payload: NDArray[np.float64]) -> dict[str, Any]:
    results: dict[str, Any] = {
        "energy": float(payload[0]),
        "free_energy": float(payload[0]),
        "forces": payload[7:].reshape(-1, 3),
    }
    if not np.isnan(payload[1:7]).any():
        results["stress"] = payload[1:7]
    return results
