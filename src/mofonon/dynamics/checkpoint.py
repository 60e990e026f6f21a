"""Checkpoint of a trajectory: one file, replaced whole, so that a kill leaves the last one."""

from __future__ import annotations

import fcntl
import os
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from mofonon.errors import CheckpointError


class DynamicsCheckpoint:
    """Arrays and numbers of one trajectory in an ``.npz`` file, locked while in use.

    Parameters
    ----------
    path : Path
        The file; made at the first :meth:`write`. A lock file is kept beside it.
    key : str
        Identity of the calculation; a file of another is refused.

    Raises
    ------
    CheckpointError
        When the folder cannot be written, or another process uses the checkpoint.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_name(path.name + ".lock").open("a")
        except OSError as error:
            raise self._not_writable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise CheckpointError(
                f"another process is computing the same: {path} is locked",
                "wait for it to end, or stop it",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.close()

    def read(self) -> dict[str, Any] | None:
        """Read what was written last, or None.

        Raises
        ------
        CheckpointError
            When the file is damaged or of another calculation.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{self.path} is not a checkpoint of molecular dynamics: {error}",
                "remove it and start again",
            ) from error
        if str(state.pop("key", "")) != self.key:
            raise CheckpointError(
                f"{self.path} is the checkpoint of another structure or other settings",
                "give another file, or remove it",
            )
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Replace the file.

        Raises
        ------
        CheckpointError
            When the disk is full or gone; what was written before stays.
        """
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, key=np.array(self.key), **state)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise self._not_writable(error) from error

    def _not_writable(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"the checkpoint {self.path} cannot be written: {error.strerror}",
            "free some space, or set MOFONON_CHECKPOINTS to a folder that you can write to",
        )
