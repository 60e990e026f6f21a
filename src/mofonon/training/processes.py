"""Processes of a training: its lock, SIGTERM, and the end of mace."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from mofonon.errors import CheckpointError

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 20.0
_LOCK_SECONDS = 5.0


def end(process: subprocess.Popen[bytes]) -> None:
    """End mace if it still runs: first by asking, then by force."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def sigterm() -> Iterator[threading.Event]:
    """Event that SIGTERM sets, where signals can be received (the main thread)."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    previous: Callable[..., Any] | int | None = signal.signal(signal.SIGTERM, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def locked(path: Path, patience: float = _LOCK_SECONDS) -> Iterator[int]:
    """Lock a folder for one training; mace inherits the lock.

    Parameters
    ----------
    path : Path
        The file to lock; made if it is not there.
    patience : float
        How long to ask again (s). The mace of a run that was killed has the lock for the moment
        it takes to die.

    Yields
    ------
    int
        Descriptor of the locked file.

    Raises
    ------
    CheckpointError
        When another process has the lock.
    """
    deadline = time.monotonic() + patience
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise CheckpointError(
                        f"another process trains the same: {path} is locked",
                        "wait for it to end, or stop it",
                    ) from error
                time.sleep(_POLL_SECONDS)
        yield file.fileno()
