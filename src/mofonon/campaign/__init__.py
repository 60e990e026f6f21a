"""Campaigns: one file, many structures, the whole chain as one Flow."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofonon.campaign.load import load_campaign
    from mofonon.campaign.maker import CampaignMaker
    from mofonon.campaign.schema import CampaignSpec
    from mofonon.campaign.units import Unit

__all__ = ["CampaignMaker", "CampaignSpec", "Unit", "load_campaign"]

_HOMES = {
    "CampaignMaker": "maker",
    "CampaignSpec": "schema",
    "Unit": "units",
    "load_campaign": "load",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are used: the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mofonon.campaign.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
