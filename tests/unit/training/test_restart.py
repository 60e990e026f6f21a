"""Stopped, killed, damaged, finished: what a training does when it is run again."""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mofonon.errors import CheckpointError, TrainingError, TrainingInterrupted
from mofonon.training import FineTuneMaker
from mofonon.training.mace_files import newest_checkpoint, read_results, whole
from mofonon.training.prepare import LabelledParts, prepare
from mofonon.training.processes import locked
from mofonon.training.run import BestCheckpoint, TrainingFolder, prepare_restart, train
from support.labelled import small_spec

PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
from mofonon.training.prepare import LabelledParts, prepare
from mofonon.training.run import train
from mofonon.training.spec import FineTuneSpec
ready = prepare(FineTuneSpec.model_validate_json(sys.argv[1]), LabelledParts.load(sys.argv[2]))
train(ready.folder, ready.config, ready.expected)
"""


def start(spec, dataset) -> subprocess.Popen:
    """Train in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, spec.model_dump_json(), str(dataset)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_epoch(folder: TrainingFolder, epoch: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 240
    while not any(entry.epoch >= epoch for entry in read_results(folder.results)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "no epoch was trained"
        time.sleep(0.1)


@contextmanager
def sigterm_after(folder: TrainingFolder, epoch: int) -> Iterator[None]:
    """Send SIGTERM to this process, which trains, when an epoch is done.

    A signal that comes when the training has ended is lost, and the test with it.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            if any(entry.epoch >= epoch for entry in read_results(folder.results)):
                os.kill(os.getpid(), signal.SIGTERM)
                return

    thread = threading.Thread(target=watch, daemon=True)
    previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGTERM, previous)


def checkpoint(path: Path, value: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": {"weight": torch.full((2000,), value)}}, path)
    return path


def losses(folder: TrainingFolder, *pairs: tuple[int, float]) -> None:
    folder.results.parent.mkdir(parents=True, exist_ok=True)
    with folder.results.open("a") as file:
        for epoch, loss in pairs:
            entry = {"mode": "eval", "epoch": epoch, "head": "new", "loss": loss}
            file.write(json.dumps(entry) + "\n")


@pytest.fixture
def folder(tmp_path) -> TrainingFolder:
    return TrainingFolder(tmp_path / "training", 7)


def name(folder: TrainingFolder, epoch: int) -> Path:
    return folder.checkpoints / f"model_run-7_epoch-{epoch}.pt"


def test_the_best_checkpoint_survives_a_worse_one(folder):
    """After a restart mace takes its first epoch for the best."""
    best = BestCheckpoint(folder)
    checkpoint(name(folder, 5), 5.0)
    best.update({5: 0.2})
    checkpoint(name(folder, 6), 6.0)
    best.update({5: 0.2, 6: 0.3})
    assert best.record == {"epoch": 5, "loss": 0.2}
    best.update({5: 0.2, 6: 0.1})
    assert best.record == {"epoch": 6, "loss": 0.1}
    assert float(torch.load(folder.best)["model"]["weight"][0]) == 6.0


def test_a_truncated_checkpoint_is_put_aside_and_the_best_one_taken(folder):
    """Mace would start again at epoch 0 without a word."""
    losses(folder, (3, 0.5), (4, 0.4))
    checkpoint(name(folder, 3), 3.0)
    BestCheckpoint(folder).update({3: 0.5})
    cut = checkpoint(name(folder, 4), 4.0)
    cut.write_bytes(cut.read_bytes()[:-700])
    name(folder, 3).unlink()
    assert not whole(cut)
    notes = prepare_restart(folder, "new")
    assert notes == [
        f"checkpoint {cut.name} was damaged and put aside",
        "went on from the kept checkpoint of epoch 3",
    ]
    assert newest_checkpoint(folder.checkpoints) == name(folder, 3)
    assert whole(name(folder, 3))


def test_a_checkpoint_with_a_flipped_byte_is_damaged(folder):
    path = checkpoint(name(folder, 1))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert not whole(path)


def test_only_damaged_checkpoints_are_named(folder):
    checkpoint(name(folder, 2)).write_bytes(b"PK")
    notes = prepare_restart(folder, "new")
    assert notes[-1] == "no whole checkpoint was left: training began again"


def test_a_repeated_epoch_counts_as_it_was_last(folder):
    losses(folder, (0, 0.9), (1, 0.5), (1, 0.6))
    with folder.results.open("a") as file:
        file.write('{"mode": "eval", "epoch": 2, "he')
    assert [entry.loss for entry in read_results(folder.results)] == [0.9, 0.6]


def test_the_lock_of_a_run_that_was_killed_may_linger(tmp_path):
    """Its mace dies a moment after it, and has the lock until then."""
    path = tmp_path / "lock"
    with path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            pytest.raises(CheckpointError, match="another process trains the same"),
            locked(path, patience=0.0),
        ):
            pytest.fail("locked twice")
        release = threading.Timer(0.2, fcntl.flock, (held, fcntl.LOCK_UN))
        release.start()
        with locked(path, patience=20.0):
            release.join()


@pytest.mark.slow
def test_a_finished_training_is_not_trained_again(trained):
    folder = trained.prepared.folder
    before = (folder.log.stat().st_mtime_ns, folder.model.stat().st_mtime_ns)
    again = train(folder, trained.prepared.config, trained.prepared.expected)
    assert (folder.log.stat().st_mtime_ns, folder.model.stat().st_mtime_ns) == before
    assert again.starts == 1
    assert again.best_epoch == trained.doc.best_epoch


@pytest.mark.slow
def test_the_best_epoch_of_all_starts_is_the_model(trained, tmp_path):
    """Here the kept checkpoint is better than the last one that mace wrote."""
    import shutil

    from mofonon.potentials.mace_files import load_mace

    source = trained.prepared.folder
    folder = TrainingFolder(tmp_path / "copy", source.seed)
    shutil.copytree(source.path, folder.path)
    folder.finished.unlink()
    folder.model.unlink()
    content = torch.load(folder.best, weights_only=False)
    for key, values in content["model"].items():
        if values.is_floating_point() and values.ndim == 1 and len(values) > 100:
            content["model"][key] = 1.5 * values
    torch.save(content, folder.best)
    folder.best.with_suffix(".json").write_text('{"epoch": 0, "loss": 1e-9}')
    run = train(folder, trained.prepared.config, trained.prepared.expected)
    assert (run.best_epoch, run.starts) == (0, 1)
    state = load_mace(folder.model, "cpu").state_dict()
    assert all(torch.equal(state[key], value) for key, value in content["model"].items())


@pytest.mark.slow
def test_a_failure_of_mace_is_told(dataset):
    ready = prepare(small_spec(dataset), LabelledParts.load(dataset))
    with pytest.raises(TrainingError, match=r"mace_run_train ended with .*no_such_option"):
        train(ready.folder, ready.config | {"no_such_option": 1}, ready.expected)


@pytest.mark.slow
def test_kill_9_and_sigterm_lose_nothing(dataset):
    """Killed at a random epoch, then told to stop, then run to the end.

    That the errors in the end are those of one go is measured by
    benchmarks/fine_tuning.py, with a training long enough to converge.
    """
    spec = small_spec(dataset, max_epochs=12, lr_decay=0.9)
    ready = prepare(spec, LabelledParts.load(dataset))
    folder = ready.folder
    epoch = random.SystemRandom().randint(1, 3)
    process = start(spec, dataset)
    wait_for_epoch(folder, epoch, process)
    while newest_checkpoint(folder.checkpoints) is None:  # written after the results
        time.sleep(0.01)
    with (
        pytest.raises(CheckpointError, match="another process trains the same"),
        locked(folder.path / "lock", patience=0),  # it must not get far meanwhile
    ):
        pass
    process.kill()
    process.wait()

    with (
        sigterm_after(folder, epoch + 2),
        pytest.raises(TrainingInterrupted, match="told to stop"),
    ):
        train(folder, ready.config, ready.expected)

    run = train(folder, ready.config, ready.expected)
    assert run.starts == 3
    # from the kept one where the kill came while the newest was written
    assert sum("went on from the" in note for note in run.notes) == 2, run.notes
    last = max(entry.epoch for entry in run.curves)
    assert last == spec.max_epochs - 1
    errors = {e.epoch: e.forces_rmse for e in run.curves if e.head == "pbe_d3"}
    assert errors[run.best_epoch] < 0.5 * errors[-1]
    assert run.best_epoch > epoch
    newest = newest_checkpoint(folder.checkpoints)
    optimizer = torch.load(newest, weights_only=False)["optimizer"]
    reached = int(newest.stem.rpartition("-")[2])
    assert optimizer["param_groups"][0]["lr"] == pytest.approx(spec.lr * 0.9**reached)


@pytest.mark.slow
def test_two_ranks_train_with_gloo(dataset):
    from mofonon.training import Launch

    launch = Launch(
        launcher="torchrun", gpus_per_node=2, device="cpu", master_port=_free_port()
    )
    spec = small_spec(dataset, max_epochs=1, batch_size=2, replay_valid_fraction=0.3)
    ready = FineTuneMaker(spec=spec, launch=launch).prepare(dataset)
    run = train(ready.folder, ready.config, ready.expected, launch)
    assert run.effective.world_size == 2
    before, after = (
        next(e.forces_rmse for e in run.curves if e.head == "pbe_d3" and e.epoch == epoch)
        for epoch in (-1, run.best_epoch)
    )
    assert after != before
    assert launch.describe_batch(2) == "batch 2 on each of 2 process(es), 4 in all"


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
