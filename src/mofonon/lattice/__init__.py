"""Lattice dynamics: relaxation, phonons and what follows from them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofonon.lattice.flows import PhononMaker
    from mofonon.lattice.jobs import RelaxMaker
    from mofonon.lattice.schemas import PhononDoc, RelaxDoc
    from mofonon.lattice.settings import PhononSettings, RelaxSettings

__all__ = [
    "PhononDoc",
    "PhononMaker",
    "PhononSettings",
    "RelaxDoc",
    "RelaxMaker",
    "RelaxSettings",
]

_HOMES = {
    "PhononDoc": "schemas",
    "PhononMaker": "flows",
    "PhononSettings": "settings",
    "RelaxDoc": "schemas",
    "RelaxMaker": "jobs",
    "RelaxSettings": "settings",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are used: the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mofonon.lattice.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
