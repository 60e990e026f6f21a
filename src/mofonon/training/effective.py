"""What mace really did: read from its log, its results and the model, against the spec.

mace changes settings silently (see :mod:`mofonon.training.mace_config`), so that what it was
told proves nothing. Everything that decides a training is read back: a value that cannot be
found counts as different.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from mofonon.errors import TrainingMismatchError
from mofonon.training.mace_files import head_energies, heads_of, symbols_of
from mofonon.training.spec import REPLAY_HEAD, FineTuneSpec

#: Head to number of frames.
Counts = dict[str, int]


class EffectiveSettings(BaseModel):
    """Settings that a training ran with, as its log shows them."""

    lr: float | None = Field(None, description="Learning rate at the start.")
    weight_decay: float | None = Field(None, description="Weight decay.")
    ema_decay: float | None = Field(None, description="Decay of the averaged weights, if any.")
    batch_size: int | None = Field(None, description="Frames of a batch, on each rank.")
    world_size: int = Field(1, description="Processes.")
    loss: str | None = Field(None, description="Loss, as mace prints it, with its weights.")
    energy_weight: float | None = Field(None, description="Weight of energies.")
    forces_weight: float | None = Field(None, description="Weight of forces.")
    stress_weight: float | None = Field(None, description="Weight of stresses.")
    multihead: bool = Field(False, description="Whether it was multi-head fine-tuning.")
    heads: list[str] = Field(
        default_factory=list,
        description="Heads in the order of validation; the last decides on checkpoints.",
    )
    elements: list[int] = Field(
        default_factory=list, description="Atomic numbers that the model keeps."
    )
    train_frames: Counts = Field(default_factory=dict, description="Frames trained on by head.")
    train_stresses: Counts = Field(
        default_factory=dict, description="Those with a stress, by head."
    )
    valid_frames: Counts = Field(default_factory=dict, description="Validation, by head.")
    from_foundation: bool = Field(False, description="Whether a foundation was loaded.")

    @classmethod
    def from_log(cls, log: str) -> EffectiveSettings:
        """Read the settings of the last start of a training from mace's log."""
        start = log.rfind("VERIFYING SETTINGS")
        text = log[max(start, 0) :]
        loss = re.search(r"INFO: (\w+Loss\(.*\))", text)
        weights = dict(re.findall(r"(\w+)_weight=([\d.eE+-]+)", loss[1] if loss else ""))
        trained, stresses, valid = _counts(text)
        initial = re.findall(r"Initial: head: (\S+), loss", text)
        return cls(
            lr=_number(text, r"INFO: Learning rate: ([^\s,]+), weight decay"),
            weight_decay=_number(text, r"INFO: Learning rate: \S+ weight decay: (\S+)"),
            ema_decay=_number(text, r"Exponential Moving Average with decay: (\S+)"),
            batch_size=_integer(text, r"INFO: Batch size: (\d+)"),
            world_size=_integer(text, r"INFO: Processes: (\d+)") or 1,
            loss=loss[1] if loss else None,
            energy_weight=float(weights["energy"]) if "energy" in weights else None,
            forces_weight=float(weights["forces"]) if "forces" in weights else None,
            stress_weight=float(weights["stress"]) if "stress" in weights else None,
            multihead="Using multiheads finetuning mode====" in text,
            heads=initial or _listed_heads(text),
            elements=_integers(text, r"Atomic Numbers used: \[(.*)\]"),
            train_frames=trained,
            train_stresses=stresses,
            valid_frames=valid,
            from_foundation="Loading FOUNDATION model" in text,
        )


class ExpectedSettings(BaseModel):
    """What a training must have run with."""

    spec: FineTuneSpec
    stress: bool = Field(description="Whether all frames have stresses.")
    elements: list[int] = Field(description="Atomic numbers that the model must keep.")
    train_frames: Counts = Field(description="Frames to train on by head.")
    valid_frames: Counts = Field(description="Validation frames by head.")
    energies: dict[str, dict[str, float]] = Field(
        description="E0s by head and element symbol (eV)."
    )
    world_size: int = Field(1, description="Processes.")

    def check_log(self, found: EffectiveSettings) -> None:
        """Compare with what the log shows.

        Raises
        ------
        TrainingMismatchError
            Naming everything that is different.
        """
        spec = self.spec
        stress_weight = spec.stress_weight if self.stress else 0.0
        wanted: dict[str, Any] = {
            "lr": spec.lr,
            "weight_decay": spec.weight_decay,
            "ema_decay": spec.ema_decay,
            "batch_size": spec.batch_size,
            "world_size": self.world_size,
            "energy_weight": spec.energy_weight,
            "forces_weight": spec.forces_weight,
            "stress_weight": stress_weight,
            "multihead": spec.mode == "multihead",
            "from_foundation": spec.mode != "scratch",
            "heads": list(spec.heads),
            "elements": self.elements,
            "train_frames": self.train_frames,
            "train_stresses": self.train_frames if self.stress else {},
            "valid_frames": self.valid_frames,
        }
        differences = [
            f"{name} is {getattr(found, name)}, not {value}"
            for name, value in wanted.items()
            if not _same(getattr(found, name), value)
        ]
        if not (found.loss or "").startswith("UniversalLoss"):
            differences.append(f"the loss is {found.loss}, not UniversalLoss")
        _refuse(differences)

    def check_model(self, path: Path) -> None:
        """Compare with the finished model: heads, elements, E0s of every head, precision.

        Raises
        ------
        TrainingMismatchError
            Naming everything that is different.
        """
        from mofonon.potentials.mace_files import load_mace

        model: Any = load_mace(path, "cpu")
        differences = []
        if heads_of(model) != list(self.spec.heads):
            differences.append(f"heads are {heads_of(model)}, not {list(self.spec.heads)}")
        numbers = [int(z) for z in model.atomic_numbers]
        if numbers != self.elements:
            differences.append(f"elements are {symbols_of(numbers)}")
        if not differences:
            differences += self._energy_differences(model)
        dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        if dtype != self.spec.dtype:
            differences.append(f"precision is {dtype}, not {self.spec.dtype}")
        if any(not np.isfinite(p.detach().numpy()).all() for p in model.parameters()):
            differences.append("weights are not finite")
        _refuse(differences)

    def _energy_differences(self, model: Any) -> list[str]:
        differences = []
        for head, found in head_energies(model).items():
            for symbol, wanted in self.energies.get(head, {}).items():
                if not np.isclose(found[symbol], wanted, rtol=1e-5, atol=1e-4):
                    differences.append(
                        f"E0 of {symbol} in head {head} is {found[symbol]:.6g} eV, "
                        f"not {wanted:.6g}"
                    )
        return differences


def check_error_table(log: str, spec: FineTuneSpec) -> None:
    """Check that the errors of every head are in mace's last table.

    Raises
    ------
    TrainingMismatchError
        When a head was left out, as mace does with the replay head by default.
    """
    table = log[log.rfind("Error-table on TRAIN and VALID") :]
    _refuse(
        [
            f"mace gives no errors of {row}"
            for head in spec.heads
            for row in (f"train_{head}", f"valid_{head}")
            if f"| {row} " not in table.replace("|  ", "| ").replace("|   ", "| ")
            and not re.search(rf"\|\s*{re.escape(row)}\s*\|", table)
        ]
    )


def _refuse(differences: list[str]) -> None:
    if differences:
        raise TrainingMismatchError(
            "mace did not train what it was told: " + "; ".join(differences),
            "this model is not what its settings say; compare mace's version with the one in "
            "constraints.txt and look into its log",
        )


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, float):
        return bool(np.isclose(found, wanted, rtol=1e-6, atol=5e-4 if wanted > 0.01 else 0))
    return bool(found == wanted)


def _counts(text: str) -> tuple[Counts, Counts, Counts]:
    """Frames, frames with stress, and validation frames by head.

    The size of the data set is what is trained on: repeated frames, which mace adds when
    there are few, are in it and not in the numbers printed on reading.
    """
    trained = {
        h: int(n) for h, n in re.findall(r"Head '(\S+)' training dataset size: (\d+)", text)
    }
    stresses: Counts = {}
    valid: Counts = {}
    for section in re.split(r"Processing head ", text)[1:]:
        head = section.split(maxsplit=1)[0]
        for kind, target in (("Training", stresses), ("Validation", valid)):
            lines = re.findall(
                rf"(?:Total|Random Split) {kind} set \[energy: (\d+), stress: (\d+)", section
            )
            if lines:
                energy, stress = (int(n) for n in lines[-1])
                if target is valid:
                    valid[head] = energy
                elif stress:
                    stresses[head] = stress
    return trained, stresses, valid


def _listed_heads(text: str) -> list[str]:
    """Heads before training has begun, in the order that mace will use them."""
    listed = re.search(r"Using heads: \[(.*)\]", text)
    heads = re.findall(r"'([^']+)'", listed[1]) if listed else []
    return sorted(heads, key=lambda head: head != REPLAY_HEAD)


def _number(text: str, pattern: str) -> float | None:
    found = re.search(pattern, text)
    return float(found[1]) if found else None


def _integer(text: str, pattern: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) if found else None


def _integers(text: str, pattern: str) -> list[int]:
    found = re.search(pattern, text)
    if found is None:
        return []
    # numpy numbers are printed as np.int64(6)
    plain = re.sub(r"np\.int64\((\d+)\)", r"\1", found[1])
    return [int(number) for number in re.findall(r"\d+", plain)]
