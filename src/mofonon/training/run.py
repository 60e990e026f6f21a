"""A training in a folder: started, watched, stopped and gone on with.

First run and rerun are the same call. mace resumes from the newest checkpoint, but forgets
the best loss so far, takes a damaged checkpoint for none, and trains a finished model again;
here the best checkpoint is kept apart, the newest is checked, and a finished one is left alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mofonon import progress
from mofonon.errors import CheckpointError, TrainingError, TrainingInterrupted
from mofonon.provenance import file_sha256
from mofonon.settings import get_settings
from mofonon.training.effective import (
    EffectiveSettings,
    ExpectedSettings,
    check_error_table,
)
from mofonon.training.launch import Launch
from mofonon.training.mace_cli import die_with_parent
from mofonon.training.mace_config import NAME
from mofonon.training.mace_files import (
    EpochErrors,
    epoch_of,
    finite,
    load_weights,
    newest_checkpoint,
    read_results,
    whole,
)
from mofonon.training.processes import end, locked, sigterm
from mofonon.training.results_tail import ResultsTail

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class TrainingFolder:
    """Where a training lives; found again by its id."""

    path: Path
    seed: int

    @property
    def config(self) -> Path:
        """Options of mace."""
        return self.path / "config.yaml"

    @property
    def log(self) -> Path:
        """Everything that mace printed, over all starts."""
        return self.path / "mace.log"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints as mace keeps them."""
        return self.path / "checkpoints"

    @property
    def results(self) -> Path:
        """Losses and errors by epoch, JSON lines."""
        return self.path / "results" / f"{NAME}_run-{self.seed}_train.txt"

    @property
    def mace_model(self) -> Path:
        """The model that mace writes at its end."""
        return self.path / f"{NAME}.model"

    @property
    def model(self) -> Path:
        """The model of the best epoch over all starts."""
        return self.path / "final.model"

    @property
    def finished(self) -> Path:
        """Written when everything is done."""
        return self.path / "finished.json"

    @property
    def best(self) -> Path:
        """Copy of the best checkpoint so far."""
        return self.path / "best" / "best.pt"

    def log_text(self) -> str:
        """Read what mace printed."""
        return (
            self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        )


@dataclass
class TrainingRun:
    """What came of a training.

    Attributes
    ----------
    model : Path
        The model of the best epoch.
    curves : list of EpochErrors
        Validation errors by epoch and head.
    best_epoch : int
        Epoch of the model, by the validation loss of the last head.
    effective : EffectiveSettings
        Settings that mace ran with.
    starts : int
        How often mace was started.
    notes : list of str
        Restarts, damaged checkpoints: what the document should tell.
    seconds : float
        Wall time of this call.
    """

    model: Path
    curves: list[EpochErrors]
    best_epoch: int
    effective: EffectiveSettings
    starts: int
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


class BestCheckpoint:
    """The best checkpoint of all starts, kept where mace does not overwrite it."""

    def __init__(self, folder: TrainingFolder) -> None:
        self.folder = folder
        self._record = folder.best.with_suffix(".json")

    @property
    def record(self) -> dict[str, Any] | None:
        """Epoch and validation loss of the kept checkpoint, if it is whole."""
        if not (self._record.is_file() and whole(self.folder.best)):
            return None
        content: dict[str, Any] = json.loads(self._record.read_text())
        return content

    def update(self, losses: dict[int, float]) -> None:
        """Keep mace's newest checkpoint if its epoch has the lowest loss so far.

        Parameters
        ----------
        losses : dict of int to float
            Validation loss of the last head by epoch.
        """
        newest = newest_checkpoint(self.folder.checkpoints)
        if newest is None or epoch_of(newest) not in losses:
            return
        epoch = epoch_of(newest)
        kept = self.record
        if kept is not None and not losses[epoch] < kept["loss"]:
            return
        self.folder.best.parent.mkdir(parents=True, exist_ok=True)
        part = self.folder.best.with_suffix(".part")
        try:
            shutil.copyfile(newest, part)
        except FileNotFoundError:
            return  # mace replaced it meanwhile by a better one
        if whole(part):
            self._record.unlink(missing_ok=True)
            part.replace(self.folder.best)
            self._record.write_text(json.dumps({"epoch": epoch, "loss": losses[epoch]}))

    def restore(self) -> int | None:
        """Give the kept checkpoint back to mace; returns its epoch."""
        kept = self.record
        if kept is None:
            return None
        name = f"{NAME}_run-{self.folder.seed}_epoch-{kept['epoch']}.pt"
        shutil.copyfile(self.folder.best, self.folder.checkpoints / name)
        return int(kept["epoch"])


def train(
    folder: TrainingFolder,
    config: dict[str, Any],
    expected: ExpectedSettings,
    launch: Launch | None = None,
) -> TrainingRun:
    """Train to the end, or go on where an earlier call was stopped.

    Parameters
    ----------
    folder : TrainingFolder
        Where the training lives.
    config : dict
        Options of ``mace_run_train``.
    expected : ExpectedSettings
        What mace must show that it does; checked when training begins and at the end.
    launch : Launch, optional
        How to start several processes; one if None.

    Raises
    ------
    TrainingMismatchError
        When mace does something else than it was told.
    TrainingInterrupted
        On SIGTERM; the same call goes on from the best checkpoint.
    TrainingError
        When mace fails.
    CheckpointError
        When another process trains in the folder.
    """
    begin = time.perf_counter()
    folder.path.mkdir(parents=True, exist_ok=True)
    with locked(folder.path / "lock") as lock:
        notes: list[str] = _read_notes(folder)
        if not _is_finished(folder):
            if not _mace_is_done(folder):
                notes += prepare_restart(folder, expected.spec.heads[-1])
                _write_notes(folder, notes)
                folder.config.write_text(yaml.safe_dump(config, sort_keys=False))
                _run(folder, expected, launch or Launch(), lock)
            _finish(folder, expected)
        run = _collect(folder, expected, notes)
    run.seconds = time.perf_counter() - begin
    return run


def prepare_restart(folder: TrainingFolder, head: str) -> list[str]:
    """Make sure that mace finds a whole checkpoint, if there ever was one.

    Parameters
    ----------
    folder : TrainingFolder
        Where the training lives.
    head : str
        Head whose validation loss checkpoints go by.

    Returns
    -------
    list of str
        What was found and done, for the document.
    """
    notes = []
    while (newest := newest_checkpoint(folder.checkpoints)) is not None and not whole(newest):
        newest.rename(newest.with_name(newest.name + ".damaged"))
        notes.append(f"checkpoint {newest.name} was damaged and put aside")
    best = BestCheckpoint(folder)
    newest = newest_checkpoint(folder.checkpoints)
    if newest is None:
        epoch = best.restore() if folder.checkpoints.is_dir() else None
        if epoch is not None:
            notes.append(f"went on from the kept checkpoint of epoch {epoch}")
        elif notes:
            notes.append("no whole checkpoint was left: training began again")
        return notes
    # the epochs since were in memory only when the training was stopped
    notes.append(f"went on from the checkpoint of epoch {epoch_of(newest)}")
    best.update(_losses(folder, head))
    return notes


def _run(folder: TrainingFolder, expected: ExpectedSettings, launch: Launch, lock: int) -> None:
    """Run mace until it ends, watching its results."""
    threads = str(get_settings().threads)
    environment = {
        "OMP_NUM_THREADS": threads,
        "PYTHONUNBUFFERED": "1",  # the log in the order in which things happened
        **os.environ,
        **launch.environment(),
    }
    with folder.log.open("ab") as log, sigterm() as stopped:
        offset = log.seek(0, 2)
        process = subprocess.Popen(  # noqa: S603 - our own command
            launch.command(folder.config),
            cwd=folder.path,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(lock,),
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no other threads hold locks here
        )
        try:
            _watch(process, folder, expected, offset, stopped)
        finally:
            end(process)
    if stopped.is_set():
        raise TrainingInterrupted(
            f"the training was told to stop; its checkpoints are in {folder.path}",
            "run the same again: it goes on from the last epoch that improved",
        )
    if process.returncode != 0:
        raise TrainingError(
            f"mace_run_train ended with {process.returncode}: {_last_line(folder)}",
            f"see {folder.log}",
        )


def _watch(
    process: subprocess.Popen[bytes],
    folder: TrainingFolder,
    expected: ExpectedSettings,
    offset: int,
    stopped: threading.Event,
) -> None:
    """Report progress, keep the best checkpoint, check the settings once training begins."""
    tail = ResultsTail(folder.results)
    tail.read()
    best = BestCheckpoint(folder)
    checked = False
    begin = time.monotonic()
    first_epoch = None
    running = True
    while running and not stopped.is_set():
        stopped.wait(_POLL_SECONDS)
        running = process.poll() is None
        if not checked and (found := _settings_so_far(folder, offset)) is not None:
            expected.check_log(found)
            checked = True
        if tail.read():
            first_epoch = tail.last_epoch if first_epoch is None else first_epoch
            _report(tail, expected, begin, first_epoch)
            best.update(tail.losses(expected.spec.heads[-1]))


def _settings_so_far(folder: TrainingFolder, offset: int) -> EffectiveSettings | None:
    """Read the settings of the running start, once it has trained an epoch."""
    with folder.log.open("rb") as file:
        file.seek(offset)
        text = file.read().decode(errors="replace")
    if "Epoch " not in text and "Training complete" not in text:
        return None
    return EffectiveSettings.from_log(text)


def _report(
    tail: ResultsTail, expected: ExpectedSettings, begin: float, first_epoch: int
) -> None:
    total = expected.spec.max_epochs
    epoch = tail.last_epoch
    if tail.errors(epoch, expected.spec.heads[-1]) is None:
        return
    parts = [
        f"{head} {errors.forces_rmse:.1f}"
        for head in expected.spec.heads
        if (errors := tail.errors(epoch, head)) is not None and errors.forces_rmse is not None
    ]
    detail = f"force RMSE {', '.join(parts)} meV/\u00c5"
    done = epoch - first_epoch
    if done > 0:
        left = (total - epoch - 1) * (time.monotonic() - begin) / (done + 1)
        detail += f", {left / 60:.0f} min left"
    progress.report("fine-tuning", epoch + 1, total, detail)


def _finish(folder: TrainingFolder, expected: ExpectedSettings) -> None:
    """Take the best epoch of all starts, check the model, mark the training as finished."""
    log = folder.log_text()
    expected.check_log(EffectiveSettings.from_log(log))
    check_error_table(log, expected.spec)
    curves = read_results(folder.results)
    if not curves or not finite(curves):
        raise TrainingError(
            "the validation losses are not all finite",
            "lower the learning rate; with several processes no validation set may be smaller "
            f"than their number; see {folder.log}",
        )
    best = BestCheckpoint(folder)
    losses = _losses(folder, expected.spec.heads[-1])
    best.update(losses)
    newest = newest_checkpoint(folder.checkpoints)
    kept = best.record
    if newest is None or not whole(newest):
        raise CheckpointError(
            f"mace left no whole checkpoint in {folder.checkpoints}", f"see {folder.log}"
        )
    if kept is None or losses[epoch_of(newest)] <= kept["loss"]:
        kept = {"epoch": epoch_of(newest), "loss": losses[epoch_of(newest)]}
        shutil.copyfile(folder.mace_model, folder.model)
    else:
        load_weights(folder.mace_model, folder.best, folder.model)
    expected.check_model(folder.model)
    record = {"best_epoch": kept["epoch"], "model_sha256": file_sha256(folder.model)}
    part = folder.finished.with_suffix(".part")
    part.write_text(json.dumps(record))
    part.replace(folder.finished)


def _collect(
    folder: TrainingFolder, expected: ExpectedSettings, notes: list[str]
) -> TrainingRun:
    effective = EffectiveSettings.from_log(folder.log_text())
    expected.check_log(effective)
    record = json.loads(folder.finished.read_text())
    return TrainingRun(
        model=folder.model,
        curves=read_results(folder.results),
        best_epoch=int(record["best_epoch"]),
        effective=effective,
        starts=folder.log_text().count("VERIFYING SETTINGS"),
        notes=notes,
    )


def _is_finished(folder: TrainingFolder) -> bool:
    """Whether a finished model is there, as it was written."""
    if not (folder.finished.is_file() and folder.model.is_file()):
        return False
    record = json.loads(folder.finished.read_text())
    return bool(record["model_sha256"] == file_sha256(folder.model))


def _mace_is_done(folder: TrainingFolder) -> bool:
    """Whether mace came to its end; it would train on if it were started again."""
    log = folder.log_text()
    last = log[log.rfind("VERIFYING SETTINGS") :] if log else ""
    return folder.mace_model.is_file() and "INFO: Done" in last


def _losses(folder: TrainingFolder, head: str) -> dict[int, float]:
    """Give the validation loss by epoch of the head that checkpoints go by."""
    tail = ResultsTail(folder.results)
    tail.read()
    return tail.losses(head)


def _read_notes(folder: TrainingFolder) -> list[str]:
    path = folder.path / "notes.json"
    notes: list[str] = json.loads(path.read_text()) if path.is_file() else []
    return notes


def _write_notes(folder: TrainingFolder, notes: list[str]) -> None:
    (folder.path / "notes.json").write_text(json.dumps(notes))


def _last_line(folder: TrainingFolder) -> str:
    lines = [line for line in folder.log_text().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"
