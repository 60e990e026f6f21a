"""Training: fine-tuning MACE potentials as a job, and measuring what they are worth."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofonon.training.flows import FineTuneMaker
    from mofonon.training.frames import TrainingSet
    from mofonon.training.launch import Launch
    from mofonon.training.schemas import PotentialDoc
    from mofonon.training.spec import FineTuneSpec

__all__ = ["FineTuneMaker", "FineTuneSpec", "Launch", "PotentialDoc", "TrainingSet"]

_HOMES = {
    "FineTuneMaker": "flows",
    "FineTuneSpec": "spec",
    "Launch": "launch",
    "PotentialDoc": "schemas",
    "TrainingSet": "frames",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are used: the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mofonon.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
