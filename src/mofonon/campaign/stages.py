"""What each stage is: which Maker, which document, which figures go into the table."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

from jobflow import Maker

from mofonon.campaign.schema import (
    BulkModulusStage,
    CampaignSpec,
    CustomStage,
    LatticeStage,
    PhononStage,
    QhaStage,
    StabilizeStage,
)
from mofonon.errors import CampaignError
from mofonon.lattice import (
    BulkModulusMaker,
    ImaginaryModeMaker,
    PhononMaker,
    PhononSettings,
    QhaMaker,
    RelaxMaker,
    RelaxSettings,
)
from mofonon.potentials import PotentialSpec

#: Fields of the document of each stage that the table of results shows.
SUMMARY_FIELDS: dict[str, tuple[str, ...]] = {
    "select": ("n_files", "n_accepted", "n_chosen"),
    "sample": (),
    "label": ("n_frames", "n_good"),
    "dataset": ("n_frames",),
    "finetune": ("n_epochs", "best_epoch"),
    "evaluate": (),
    "extend": ("state", "reason"),
    "stabilize": ("state", "min_frequency", "n_attempts"),
    "phonons": ("min_frequency", "has_imaginary_modes", "nsites"),
    "bulk-modulus": ("bulk_modulus", "equilibrium_volume", "nsites"),
    "qha": ("cte_linear_300K", "cte_volumetric_300K", "bulk_modulus_300K", "nsites"),
}

#: A field that every document of a stage has, where that is not ``nsites``.
FOUND_BY = {
    "select": "n_chosen",
    "sample": "n_failed",
    "label": "n_frames",
    "dataset": "n_frames",
    "finetune": "n_epochs",
    "evaluate": "completed_at",
    "extend": "reason",
}


def stage_maker(spec: CampaignSpec, stage: LatticeStage, potential: PotentialSpec) -> Maker:
    """Make the Maker of a stage for one potential.

    Parameters
    ----------
    spec : CampaignSpec
        The campaign, for what the stage leaves to it.
    stage : LatticeStage
        The stage.
    potential : PotentialSpec
        The potential.

    Raises
    ------
    CampaignError
        When a Maker of the user's cannot be made.
    """
    default, options = _maker_options(spec, stage)
    cls = default if stage.maker is None else import_maker(stage.maker)
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    given = {"potential": potential, **options, **stage.options}
    if stage.maker is not None:
        # a Maker of the user's takes of mofonon's arguments what it has
        given = {
            key: value for key, value in given.items() if key in known or key in stage.options
        }
    try:
        made: Maker = cls(**given)
    except TypeError as error:
        raise CampaignError(
            f"the Maker {cls.__name__} cannot be made: {error}",
            f"options it takes: {', '.join(sorted(known))}",
        ) from error
    return made


def import_maker(path: str) -> type[Maker]:
    """Import the class of a Maker.

    Raises
    ------
    CampaignError
        When there is none.
    """
    module, _, name = path.partition(":")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CampaignError(
            f"the Maker {path} cannot be imported: {error}",
            "write it as module:Class, and install its package where the campaign is made and "
            "where it runs",
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Maker) and dataclasses.is_dataclass(cls)):
        raise CampaignError(f"{path} is not a Maker", "subclass jobflow.Maker as a dataclass")
    return cls


def _maker_options(
    spec: CampaignSpec, stage: LatticeStage
) -> tuple[Callable[..., Maker], dict[str, Any]]:
    relax = spec.relax if stage.relax is None else stage.relax
    relax_maker = RelaxMaker(settings=relax) if isinstance(relax, RelaxSettings) else None
    if isinstance(stage, PhononStage):
        return PhononMaker, {"settings": stage.settings, "relax_maker": relax_maker}
    if isinstance(stage, BulkModulusStage):
        return BulkModulusMaker, {"settings": stage.settings, "relax_maker": relax_maker}
    if isinstance(stage, QhaStage):
        return QhaMaker, {
            "settings": stage.settings,
            "phonons": _phonons(spec, stage.phonons),
            "relax_maker": relax_maker,
        }
    if isinstance(stage, StabilizeStage):
        options = {"settings": stage.settings, "phonons": _phonons(spec, stage.phonons)}
        return ImaginaryModeMaker, options | ({"relax": relax} if relax else {})
    if isinstance(stage, CustomStage):
        return Maker, {"relax_maker": relax_maker, "phonons": _phonons(spec, None)}
    raise CampaignError(
        f"{type(stage).__name__} is not a stage with a structure",
        "subclass CustomStage for a stage of your own",
    )


def _phonons(spec: CampaignSpec, own: PhononSettings | None) -> PhononSettings:
    if own is not None:
        return own
    return spec.stages.phonons.settings if spec.stages.phonons else PhononSettings()


def summary_fields(name: str, stage: Any = None) -> tuple[str, ...]:
    """Fields of the documents of a stage for the table of results."""
    return tuple(stage.summary) if isinstance(stage, CustomStage) else SUMMARY_FIELDS[name]
