"""DFT labels: VASP at PBE-D3(BJ) through atomate2, harvested as labelled frames."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofonon.dft.eos import MofEosMaker
    from mofonon.dft.flows import LabelMaker
    from mofonon.dft.jobs import MofRelaxMaker, MofStaticMaker
    from mofonon.dft.schemas import (
        LabelDoc,
        LabelFrame,
        QuarantineSettings,
        UnlabelledFrame,
    )
    from mofonon.dft.sets import MofRelaxSetGenerator, MofStaticSetGenerator

__all__ = [
    "LabelDoc",
    "LabelFrame",
    "LabelMaker",
    "MofEosMaker",
    "MofRelaxMaker",
    "MofRelaxSetGenerator",
    "MofStaticMaker",
    "MofStaticSetGenerator",
    "QuarantineSettings",
    "UnlabelledFrame",
]

_HOMES = {
    "LabelDoc": "schemas",
    "LabelFrame": "schemas",
    "LabelMaker": "flows",
    "MofEosMaker": "eos",
    "MofRelaxMaker": "jobs",
    "MofRelaxSetGenerator": "sets",
    "MofStaticMaker": "jobs",
    "MofStaticSetGenerator": "sets",
    "QuarantineSettings": "schemas",
    "UnlabelledFrame": "schemas",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are used: the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mofonon.dft.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
