"""Models, checkpoints and results that mace writes."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols
from pydantic import BaseModel, Field

from mofonon.errors import CheckpointError, UnknownHeadError
from mofonon.potentials.mace_files import heads_of, load_mace

__all__ = [
    "EpochErrors",
    "epoch_errors",
    "epoch_of",
    "extract_head",
    "head_energies",
    "heads_of",
    "load_weights",
    "newest_checkpoint",
    "read_results",
    "symbols_of",
    "whole",
]


class EpochErrors(BaseModel):
    """Validation errors of a head after an epoch."""

    epoch: int = Field(description="Epoch, from 0; -1 before training.")
    head: str = Field(description="Head.")
    loss: float = Field(description="Validation loss.")
    energy_rmse: float | None = Field(None, description="RMSE of energies (meV/atom).")
    forces_rmse: float | None = Field(None, description="RMSE of force components (meV/A).")
    stress_rmse: float | None = Field(None, description="RMSE of stress components (meV/A^3).")


def read_results(path: Path) -> list[EpochErrors]:
    """Read mace's ``results/*_train.txt``, JSON lines; a last line cut short is left out.

    An epoch that was repeated after a restart counts as it was the last time.
    """
    if not path.is_file():
        return []
    found: dict[tuple[int, str], EpochErrors] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            errors = epoch_errors(json.loads(line))
        except json.JSONDecodeError:
            continue
        if errors is None or (errors.epoch == -1 and (-1, errors.head) in found):
            continue  # a restart measures again; before training means the first time
        found[errors.epoch, errors.head] = errors
    return sorted(found.values(), key=lambda errors: errors.epoch)


def epoch_errors(entry: dict[str, Any]) -> EpochErrors | None:
    """Read validation errors from a line of mace's results; None from another kind."""
    if entry.get("mode") != "eval":
        return None
    return EpochErrors(
        epoch=-1 if entry.get("epoch") is None else int(entry["epoch"]),
        head=str(entry["head"]),
        loss=float(entry["loss"]),
        energy_rmse=_milli(entry.get("rmse_e_per_atom")),
        forces_rmse=_milli(entry.get("rmse_f")),
        stress_rmse=_milli(entry.get("rmse_stress")),
    )


def _milli(value: float | None) -> float | None:
    return None if value is None else 1e3 * float(value)


def symbols_of(numbers: Iterable[int]) -> list[str]:
    """Element symbols of atomic numbers."""
    return [chemical_symbols[int(number)] for number in numbers]


def head_energies(model: Any) -> dict[str, dict[str, float]]:
    """E0s of a model by head and element symbol (eV)."""
    symbols = symbols_of(model.atomic_numbers)
    table = model.atomic_energies_fn.atomic_energies.detach().cpu().reshape(-1, len(symbols))
    return {
        head: {symbol: float(e) for symbol, e in zip(symbols, row, strict=True)}
        for head, row in zip(heads_of(model), table, strict=True)
    }


def extract_head(path: Path, head: str, target: Path) -> Path:
    """Write the model of one head alone, by mace's own ``remove_pt_head``.

    Raises
    ------
    UnknownHeadError
        When the model has no such head.
    """
    import torch
    from mace.tools.scripts_utils import remove_pt_head

    model: Any = load_mace(path, "cpu")
    if head not in heads_of(model):
        raise UnknownHeadError(
            f"{path} has no head {head!r}; it has {', '.join(heads_of(model))}",
            "name one of them",
        )
    before = torch.get_default_dtype()
    torch.set_default_dtype(next(model.parameters()).dtype)
    try:
        single = remove_pt_head(model, head) if len(heads_of(model)) > 1 else model
    finally:
        torch.set_default_dtype(before)
    part = target.with_name(target.name + ".part")
    torch.save(single, part)
    part.replace(target)
    return target


# --- checkpoints ---------------------------------------------------------------------------


def epoch_of(checkpoint: Path) -> int:
    """Epoch after which a checkpoint was written, by its name."""
    found = re.search(r"_epoch-(\d+)(?:_swa)?\.pt$", checkpoint.name)
    return int(found[1]) if found else -1


def newest_checkpoint(folder: Path) -> Path | None:
    """Checkpoint of the highest epoch in a folder, which mace would resume from."""
    found = sorted(folder.glob("*_epoch-*.pt"), key=epoch_of) if folder.is_dir() else []
    return found[-1] if found else None


def whole(checkpoint: Path) -> bool:
    """Whether a checkpoint is complete: a zip archive whose parts pass their checksums.

    mace takes one that is cut short for none and silently starts again at epoch 0.
    """
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError):
        return False


def load_weights(model_file: Path, checkpoint: Path, target: Path) -> Path:
    """Write a model with the weights of a checkpoint of the same training.

    Raises
    ------
    CheckpointError
        When the checkpoint is damaged or of another model.
    """
    import torch

    model: Any = load_mace(model_file, "cpu")
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=False)
        model.load_state_dict(content["model"], strict=True)
    except Exception as error:  # torch raises a dozen kinds for a damaged file
        raise CheckpointError(
            f"the checkpoint {checkpoint} does not fit {model_file}: {error}",
            "remove the folder of the training and train again",
        ) from error
    part = target.with_name(target.name + ".part")
    torch.save(model, part)
    part.replace(target)
    return target


def finite(errors: Iterable[EpochErrors]) -> bool:
    """Whether all losses are numbers; mace ends with exit code 0 when they are not."""
    return all(math.isfinite(entry.loss) for entry in errors)
