"""The YAML of ``mace_run_train`` that does what a spec says, and nothing else.

What mace 0.3.16 does silently otherwise, and what is set against it (each is checked again in
:mod:`mofonon.training.effective` against what mace did):

* ``force_mh_ft_lr``: without it learning rate and EMA decay become 1e-4 and 0.99999;
* ``pt_train_file``: without it multi-head fine-tuning becomes one head without stress;
* the replay set is chosen before: with a path mace ignores ``num_samples_pt`` and the rest;
* ``pt_valid_file``: without it a random tenth of the replay set is split off;
* ``E0s`` of every head: ``average`` gives 0 to elements that a head lacks;
* ``foundation_model_elements``: without it only elements of the data stay in the model;
* ``real_pt_data_ratio_threshold: 0``: otherwise few new frames are repeated without being
  asked for;
* ``skip_evaluate_heads``: by default the replay head is left out of the errors;
* the new head is last: checkpoints, scheduler and patience go by the last head alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers

from mofonon.errors import SettingsError, TrainingDataError
from mofonon.training.spec import ONLY_HEAD, REPLAY_HEAD, Architecture, FineTuneSpec

NAME = "model"

_LOSS = "universal"


@dataclass(frozen=True)
class TrainingFiles:
    """What a training reads, in its working folder.

    Attributes
    ----------
    train, valid : Path
        New frames.
    replay_train, replay_valid : Path or None
        Replay frames, of multi-head fine-tuning.
    foundation : Path or None
        The model to start from.
    """

    train: Path
    valid: Path
    replay_train: Path | None = None
    replay_valid: Path | None = None
    foundation: Path | None = None


def mace_config(
    spec: FineTuneSpec,
    files: TrainingFiles,
    work: Path,
    *,
    E0s: dict[str, float] | None = None,  # noqa: N803 - the field's name
    stress: bool = True,
    distributed: str | None = None,
) -> dict[str, Any]:
    """Render a spec as the options of ``mace_run_train``.

    Parameters
    ----------
    spec : FineTuneSpec
        What to train.
    files : TrainingFiles
        Frames and foundation.
    work : Path
        Working folder; checkpoints, results and logs are below it.
    E0s : dict of str to float, optional
        Energies of isolated atoms of the new head (eV) where they are not the foundation's.
    stress : bool
        Whether the frames have stresses to train on.
    distributed : str, optional
        Launcher of several processes: ``slurm`` or ``torchrun``.

    Raises
    ------
    SettingsError
        When ``spec.mace`` has an option that is decided here.
    """
    config: dict[str, Any] = {
        "name": NAME,
        "work_dir": str(work),
        "seed": spec.seed,
        "device": spec.device,
        "default_dtype": spec.dtype,
        "loss": _LOSS,
        "energy_weight": spec.energy_weight,
        "forces_weight": spec.forces_weight,
        "stress_weight": spec.stress_weight if stress else 0.0,
        "huber_delta": spec.huber_delta,
        "compute_stress": True,
        "error_table": "PerAtomRMSEstressvirials",
        "lr": spec.lr,
        "weight_decay": spec.weight_decay,
        "clip_grad": spec.clip_grad,
        "scheduler": "ReduceLROnPlateau" if spec.lr_decay is None else "ExponentialLR",
        "lr_scheduler_gamma": spec.lr_decay or 1.0,
        "scheduler_patience": spec.scheduler_patience,
        "lr_factor": spec.lr_factor,
        "batch_size": spec.batch_size,
        "valid_batch_size": spec.valid_batch_size,
        "max_num_epochs": spec.max_epochs,
        "patience": spec.patience or spec.max_epochs + 1,
        "eval_interval": 1,
        "restart_latest": True,
        "save_cpu": True,
        "plot": False,
        "pin_memory": spec.device != "cpu",
        "energy_key": "REF_energy",
        "forces_key": "REF_forces",
        "stress_key": "REF_stress",
    }
    if spec.ema_decay is not None:
        config |= {"ema": True, "ema_decay": spec.ema_decay}
    if distributed is not None:
        config |= {"distributed": True, "launcher": distributed}
    config |= _data(spec, files, E0s)
    taken = sorted(set(spec.mace) & (set(config) | _DECIDED))
    if taken:
        raise SettingsError(
            f"mace options that the spec decides: {', '.join(taken)}",
            "set the fields of FineTuneSpec instead",
        )
    return config | spec.mace


#: Options that change what a training is; never passed through.
_DECIDED = {
    *("foundation_model", "multiheads_finetuning", "pt_train_file", "pt_valid_file", "heads"),
    *("force_mh_ft_lr", "E0s", "train_file", "valid_file", "test_file", "ema", "ema_decay"),
    *("foundation_model_elements", "foundation_filter_elements", "skip_evaluate_heads"),
    *("real_pt_data_ratio_threshold", "num_samples_pt", "filter_type_pt", "subselect_pt"),
    *("weight_pt_head", "distributed", "launcher", "swa", "start_swa", "lbfgs", "dry_run"),
    *("keep_checkpoints", "save_all_checkpoints", "checkpoints_dir", "results_dir", "log_dir"),
    *("model_dir", "statistics_file", "pseudolabel_replay", "lora", "foundation_model_readout"),
}


def _data(
    spec: FineTuneSpec, files: TrainingFiles, energies: dict[str, float] | None
) -> dict[str, Any]:
    """Options of foundation, heads, files and E0s."""
    reference = "foundation" if energies is None else mace_energies(energies)
    frames = {"train_file": str(files.train), "valid_file": str(files.valid)}
    if spec.mode == "scratch":
        architecture = spec.architecture or Architecture()
        return {
            "model": "ScaleShiftMACE",
            **architecture.model_dump(),
            **frames,
            "E0s": reference,
        }
    config: dict[str, Any] = {
        "foundation_model": str(files.foundation),
        "foundation_model_elements": spec.keep_elements,
    }
    if spec.foundation_head is not None:
        config["foundation_head"] = spec.foundation_head
    if spec.mode == "naive":
        return config | {"multiheads_finetuning": False, **frames, "E0s": reference}
    if files.replay_train is None or files.replay_valid is None:
        raise TrainingDataError(
            "multi-head fine-tuning was given no replay frames",
            "give replay frames, or set mode: naive",
        )
    return config | {
        "multiheads_finetuning": True,
        "force_mh_ft_lr": True,
        "pt_train_file": str(files.replay_train),
        "pt_valid_file": str(files.replay_valid),
        "real_pt_data_ratio_threshold": 0.0,
        "skip_evaluate_heads": "",
        "E0s": "foundation",
        "heads": {spec.head: {**frames, "E0s": reference}},
    }


def mace_energies(energies: dict[str, float]) -> str:
    """E0s (eV by element symbol) as mace reads them: a dict by atomic number, as text."""
    by_number = {atomic_numbers[symbol]: float(e) for symbol, e in energies.items()}
    return str(dict(sorted(by_number.items())))


def check_energies(energies: dict[str, float], elements: list[str]) -> None:
    """Check that E0s cover all elements of the model to be.

    Raises
    ------
    TrainingDataError
        Naming the elements without E0, to which mace would give zero.
    """
    missing = [element for element in elements if element not in energies]
    if missing:
        raise TrainingDataError(
            f"E0s lack {', '.join(missing)}; mace would take 0 eV for them",
            "give the energy of every element of the model, or use the foundation's",
        )


__all__ = [
    "NAME",
    "ONLY_HEAD",
    "REPLAY_HEAD",
    "TrainingFiles",
    "check_energies",
    "mace_config",
    "mace_energies",
]
