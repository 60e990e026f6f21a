"""Datasets: frames sampled, labelled, split, exported.

Makers sample structures that a potential should learn, the dft stage labels them, and a
DatasetDoc holds the labelled frames with their splits.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofonon.dataset.flows import DatasetMaker, PotentialLabelMaker
    from mofonon.dataset.samplers import (
        EosSampleMaker,
        MdSampleMaker,
        RattleSampleMaker,
        RelaxSampleMaker,
    )
    from mofonon.dataset.schemas import DatasetDoc, DatasetSettings, SampleDoc

__all__ = [
    "DatasetDoc",
    "DatasetMaker",
    "DatasetSettings",
    "EosSampleMaker",
    "MdSampleMaker",
    "PotentialLabelMaker",
    "RattleSampleMaker",
    "RelaxSampleMaker",
    "SampleDoc",
]

_HOMES = {
    "DatasetDoc": "schemas",
    "DatasetMaker": "flows",
    "DatasetSettings": "schemas",
    "EosSampleMaker": "samplers",
    "MdSampleMaker": "samplers",
    "PotentialLabelMaker": "flows",
    "RattleSampleMaker": "samplers",
    "RelaxSampleMaker": "samplers",
    "SampleDoc": "schemas",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are used: the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mofonon.dataset.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
