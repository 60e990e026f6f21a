"""Lattice dynamics: relaxation, phonons and what follows from them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofonon.lattice.bulk_modulus import BulkModulusMaker
    from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc, BulkModulusSettings
    from mofonon.lattice.expansion_schemas import MdExpansionDoc, MdExpansionSettings
    from mofonon.lattice.flows import PhononMaker
    from mofonon.lattice.jobs import RelaxMaker
    from mofonon.lattice.md_expansion import MdExpansionMaker
    from mofonon.lattice.qha import QhaMaker
    from mofonon.lattice.qha_schemas import QhaDoc, QhaSettings
    from mofonon.lattice.schemas import PhononDoc, RelaxDoc
    from mofonon.lattice.settings import PhononSettings, RelaxSettings
    from mofonon.lattice.stabilize import ImaginaryModeMaker
    from mofonon.lattice.stabilize_schemas import StabilizeDoc, StabilizeSettings

__all__ = [
    "BulkModulusDoc",
    "BulkModulusMaker",
    "BulkModulusSettings",
    "ImaginaryModeMaker",
    "MdExpansionDoc",
    "MdExpansionMaker",
    "MdExpansionSettings",
    "PhononDoc",
    "PhononMaker",
    "PhononSettings",
    "QhaDoc",
    "QhaMaker",
    "QhaSettings",
    "RelaxDoc",
    "RelaxMaker",
    "RelaxSettings",
    "StabilizeDoc",
    "StabilizeSettings",
]

_HOMES = {
    "BulkModulusDoc": "bulk_modulus_schemas",
    "BulkModulusMaker": "bulk_modulus",
    "BulkModulusSettings": "bulk_modulus_schemas",
    "ImaginaryModeMaker": "stabilize",
    "MdExpansionDoc": "expansion_schemas",
    "MdExpansionMaker": "md_expansion",
    "MdExpansionSettings": "expansion_schemas",
    "PhononDoc": "schemas",
    "PhononMaker": "flows",
    "PhononSettings": "settings",
    "QhaDoc": "qha_schemas",
    "QhaMaker": "qha",
    "QhaSettings": "qha_schemas",
    "RelaxDoc": "schemas",
    "RelaxMaker": "jobs",
    "RelaxSettings": "settings",
    "StabilizeDoc": "stabilize_schemas",
    "StabilizeSettings": "stabilize_schemas",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are used: the command starts fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"mofonon.lattice.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
