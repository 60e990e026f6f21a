"""DFT labels: VASP at PBE-D3(BJ) through atomate2, harvested as labelled frames."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofonon.dft.schemas import LabelDoc, LabelFrame, UnlabelledFrame

__all__ = ["LabelDoc", "LabelFrame", "UnlabelledFrame"]

_HOMES = {
    "LabelDoc": "schemas",
    "LabelFrame": "schemas",
    "UnlabelledFrame": "schemas",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are used: the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mofonon.dft.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
