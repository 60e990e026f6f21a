"""Progress of long work, reported by the science functions and shown by whoever wants to.

A function that works for long calls :func:`report`; by default nothing happens. The
command line installs a listener that draws a bar, a worker may install one that logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a stage has come.

    Attributes
    ----------
    stage : str
        What is being done, such as ``relax`` or ``displacements``.
    done : int
        Units finished; force evaluations where the stage makes them.
    total : int or None
        Units in all; None where it cannot be known, as in a relaxation.
    detail : str
        One figure worth seeing, such as the largest force with its unit.
    """

    stage: str
    done: int
    total: int | None = None
    detail: str = ""


Listener = Callable[[Progress], None]

_LISTENER: ContextVar[Listener | None] = ContextVar("mofonon_progress", default=None)


def report(stage: str, done: int, total: int | None = None, detail: str = "") -> None:
    """Tell the listener, if there is one, how far a stage has come."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(Progress(stage, done, total, detail))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the reports made inside the ``with`` block to a listener."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
