"""What is behind a spec: hash, heads and elements, checked and fit for a document."""

from __future__ import annotations

import importlib
import json
import os
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase.data import atomic_numbers, chemical_symbols
from pydantic import BaseModel, Field

from mofonon.errors import MissingDependencyError, UnknownElementError, UnknownHeadError
from mofonon.potentials.mace_files import heads_of, load_mace, model_path
from mofonon.potentials.spec import BUNDLED_MODELS, PotentialSpec
from mofonon.potentials.stored import stored_notice
from mofonon.potentials.xtb import ELEMENTS, GFN1, require_tblite
from mofonon.provenance import file_sha256
from mofonon.settings import get_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

DEMO_NOTICE = "distilled demo model, not for science"

_PACKAGES = {
    "demo": "mace-torch",
    "mace": "mace-torch",
    "chgnet": "chgnet",
    "sevennet": "sevenn",
    "tblite": "tblite",
}


class PotentialDescription(BaseModel):
    """The potential of a document: enough to find, and to distrust, it again."""

    family: str = Field(description="demo, mace, chgnet, sevennet, tblite or ase.")
    label: str = Field(description="Short name for tables and figures.")
    model: str | None = Field(None, description="Foundation name, version or import path.")
    file_name: str | None = Field(None, description="Name of the weights file.")
    sha256: str | None = Field(None, description="sha256 of the weights file.")
    head: str | None = Field(None, description="Head used, for MACE models.")
    heads: list[str] = Field(default_factory=list, description="All heads of the model.")
    dtype: str = Field(description="Floating-point precision of the evaluation.")
    device: str = Field(description="Device it ran on.")
    dispersion: str | None = Field(
        None, description="Dispersion correction added to the potential, if any."
    )
    elements: list[str] | None = Field(
        None, description="Elements the model knows; None when the calculator does not say."
    )
    enable_cueq: bool = Field(False, description="Evaluated with cuequivariance.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of an ASE calculator."
    )
    package: str | None = Field(None, description="Package and version that evaluates it.")
    notice: str | None = Field(
        None, description="Set when the potential is a stand-in; shown wherever results are."
    )

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the numbers: two equal identities give equal results.

        The weights by hash, not by name or path; not the device.
        """
        accelerated = {"enable_cueq": True} if self.enable_cueq else {}
        return accelerated | {
            "family": "mace" if self.family == "demo" else self.family,
            "weights": self.sha256 or self.model,
            "head": self.head,
            "dtype": self.dtype,
            "dispersion": self.dispersion,
            "options": self.options,
            "package": self.package if self.sha256 is None else None,
        }


def describe_potential(spec: PotentialSpec) -> PotentialDescription:
    """Look behind a spec: find the file, hash it, check the head.

    Raises
    ------
    PotentialFileError
        When a model file is absent or damaged.
    UnknownHeadError
        When the model has no such head, or several and none was named.
    MissingDependencyError
        When the package of the potential is not installed.
    """
    fields: dict[str, Any] = {"model": spec.model, "package": _package(spec)}
    if spec.family in ("demo", "mace"):
        path = model_path(spec.model, spec.family)
        sha256 = file_sha256(path)
        heads, elements = _mace_metadata(str(path), sha256)
        fields |= {
            "model": path.stem,
            "file_name": path.name,
            "sha256": sha256,
            "heads": list(heads),
            "head": resolve_head(spec.head, list(heads), path.name),
            "elements": list(elements),
            "notice": DEMO_NOTICE if spec.family == "demo" else stored_notice(path),
        }
    elif spec.family == "ase":
        fields["sha256"] = None
    elif spec.family == "tblite":
        require_tblite()
        fields |= {"model": GFN1, "elements": list(ELEMENTS)}
    else:
        path, elements = _bundled(spec)
        fields |= {
            "model": spec.model or BUNDLED_MODELS[spec.family],
            "file_name": path.name,
            "sha256": file_sha256(path),
            "elements": list(elements),
        }
    return PotentialDescription(
        family=spec.family,
        label=spec.label,
        dtype=spec.dtype,
        device=spec.device,
        dispersion="D3(BJ), PBE, no ATM" if spec.dispersion else None,
        enable_cueq=spec.enable_cueq,
        options=spec.options,
        **fields,
    )


def resolve_head(head: str | None, heads: list[str], model: str) -> str:
    """Choose the head; never another one than was named.

    Raises
    ------
    UnknownHeadError
        When there is no such head, or there are several and none was named.
    """
    if head is None:
        default = [name for name in heads if name.lower() == "default"]
        if len(heads) == 1 or default:
            return heads[0] if len(heads) == 1 else default[0]
        raise UnknownHeadError(
            f"{model} has several heads: {', '.join(heads)}", "name one of them with --head"
        )
    if head not in heads:
        raise UnknownHeadError(
            f"{model} has no head {head!r}; it has {', '.join(heads)}",
            "name one of them with --head",
        )
    return head


def check_elements(elements: Iterable[str], potential: PotentialDescription) -> None:
    """Check that the potential knows all elements of a structure.

    Raises
    ------
    UnknownElementError
        Naming the elements it lacks and those it has.
    """
    if potential.elements is None:
        return
    missing = sorted(set(elements) - set(potential.elements), key=lambda e: atomic_numbers[e])
    if missing:
        raise UnknownElementError(
            f"{potential.label} does not know {', '.join(missing)}; "
            f"it knows {', '.join(potential.elements)}",
            "choose a potential that was trained on these elements with --model",
        )


@lru_cache(maxsize=8)
def _mace_metadata(path: str, sha256: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Heads and element symbols of a model file.

    They are kept on disk by the hash of the file: loading a model takes seconds, most of them
    to import torch, and half the jobs of a campaign need no more of it than this.
    """
    kept = get_settings().checkpoints / "models" / f"{sha256}.json"
    try:
        heads, symbols = json.loads(kept.read_text(encoding="utf-8"))
        return tuple(heads), tuple(symbols)
    except (OSError, ValueError):
        pass
    model: Any = load_mace(Path(path), "cpu")
    symbols = tuple(chemical_symbols[int(number)] for number in model.atomic_numbers)
    found = tuple(heads_of(model)), symbols
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(kept)
    return found


def _bundled(spec: PotentialSpec) -> tuple[Path, tuple[str, ...]]:
    """Weights file and elements of a potential that ships in its own wheel."""
    try:
        if spec.family == "chgnet":
            root = Path(str(importlib.import_module("chgnet").__file__)).parent
            found = sorted((root / "pretrained" / (spec.model or "0.3.0")).glob("*.pth.tar"))
            elements = tuple(chemical_symbols[1:95])
            names = [folder.name for folder in sorted((root / "pretrained").iterdir())]
        else:
            importlib.import_module(
                "mace"
            )  # lets e3nn 0.4 read its constants with torch >= 2.6
            root = Path(str(importlib.import_module("sevenn").__file__)).parent
            util = importlib.import_module("sevenn.util")
            name = spec.model or BUNDLED_MODELS["sevennet"]
            names = [
                folder.name for folder in sorted((root / "pretrained_potentials").iterdir())
            ]
            found = [Path(util.pretrained_name_to_path(name))]
            elements = _sevennet_elements(str(found[0]))
    except (ModuleNotFoundError, ValueError) as error:
        raise _missing(spec, error) from error
    if not found:
        raise MissingDependencyError(
            f"{spec.family} has no model {spec.model!r}", f"it has {', '.join(names)}"
        )
    return found[0], elements


@lru_cache(maxsize=2)
def _sevennet_elements(path: str) -> tuple[str, ...]:
    import torch

    config = torch.load(path, map_location="cpu", weights_only=False)["config"]
    return tuple(chemical_symbols[number] for number in sorted(config["_type_map"]))


def _missing(spec: PotentialSpec, error: Exception) -> MissingDependencyError:
    extra = {"chgnet": "chgnet", "sevennet": "sevennet"}[spec.family]
    return MissingDependencyError(
        f"the potential {spec.label} cannot be used: {error}",
        f"pip install 'mofonon[{extra}]'",
    )


def _package(spec: PotentialSpec) -> str | None:
    if spec.family == "ase":
        name = str(spec.model).split(":", maxsplit=1)[0].split(".", maxsplit=1)[0]
    else:
        name = _PACKAGES[spec.family]
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None
