"""Fine-tuning measured: multi-head against naive, killed against uninterrupted, phonons.

Needs the frames that ``fine_tuning_frames.py`` writes. The foundation is the distilled demo
model, the labels are its teacher's with D3(BJ): stand-ins both, so that the whole loop runs in
minutes without a GPU. What is printed says how the machinery works, not how good MACE is.

Example
-------
``python benchmarks/fine_tuning.py --work build/ft multihead naive killed phonons``
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.training import FineTuneMaker, FineTuneSpec
from mofonon.training.flows import run_training
from mofonon.training.frames import read_frames
from mofonon.training.mace_files import read_results
from mofonon.training.metrics import SetErrors, set_errors
from mofonon.training.predict import labels_of, predict
from mofonon.training.schemas import PotentialDoc

SOFT_THZ = 15.0

#: Learning rate in the end, as a part of that at the start.
LAST_LR = 0.06

COMMON: dict[str, Any] = {
    "foundation": "demo",
    "max_epochs": 20,
    "batch_size": 2,
    "valid_batch_size": 4,
    "lr": 0.008,
    "lr_decay": 0.87,
    "ema_decay": 0.99,
}


def set_epochs(epochs: int) -> None:
    """Train for so long, the learning rate falling to the same part of itself."""
    COMMON.update(max_epochs=epochs, lr_decay=round(LAST_LR ** (1 / epochs), 3))


def maker(kind: str, work: Path, seed: int = 2025) -> FineTuneMaker:
    """How each of the models is trained."""
    replay = None if kind == "naive" else str(work / "replay.extxyz")
    mode = "naive" if kind == "naive" else "multihead"
    spec = FineTuneSpec(**COMMON, mode=mode, replay=replay, replay_filter="none", seed=seed)
    return FineTuneMaker(name=kind, spec=spec)


def train(kind: str, work: Path) -> PotentialDoc:
    """Train one model; one that is finished is not trained again."""
    this = maker(kind, work)
    return run_training(this.prepare(work), this.name)


def killed(work: Path) -> PotentialDoc:
    """Train once more in another folder, killed at a random epoch, and run again."""
    os.environ["MOFONON_CHECKPOINTS"] = str(work / "killed")
    ready = maker("killed", work).prepare(work)
    epochs = COMMON["max_epochs"]
    epoch = random.SystemRandom().randint(epochs // 5, 3 * epochs // 5)
    if not ready.folder.finished.exists():
        command = [sys.executable, __file__, "--work", str(work), "killed-child"]
        command += ["--epochs", str(epochs)]
        process = subprocess.Popen(command)  # noqa: S603 - this program
        while not any(e.epoch >= epoch for e in read_results(ready.folder.results)):
            if process.poll() is not None:
                raise SystemExit("the training that was to be killed ended by itself")
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        print(f"killed with -9 in epoch {epoch}", flush=True)
    return run_training(ready, "killed")


def families(work: Path) -> dict[str, list[Any]]:
    """Frames that no model was trained on, by what they are."""
    groups: dict[str, list[Any]] = {}
    for frame in read_frames(work / "test.extxyz"):
        groups.setdefault(f"{frame.info['family']}", []).append(frame)
    groups["replay"] = read_frames(work / "replay-test.extxyz")
    return groups


def measure(spec: PotentialSpec, work: Path) -> dict[str, SetErrors]:
    """Errors on each group of held-out frames."""
    calculator = make_calculator(spec)
    return {
        name: set_errors(predict(frames, calculator), labels_of(frames))
        for name, frames in families(work).items()
    }


def print_errors(title: str, errors: dict[str, SetErrors]) -> None:
    """Print one line a group."""
    for name, found in errors.items():
        stress = found.stress.rmse if found.stress else float("nan")
        print(
            f"{title:34s} {name:12s} {found.n_frames:3d} frames  forces "
            f"{found.forces.rmse:8.1f} meV/A  energy {found.energy_per_atom.rmse:7.2f} meV/atom"
            f"  stress {stress:6.2f} meV/A^3",
            flush=True,
        )


def print_ratios(title: str, found: dict[str, SetErrors], other: dict[str, SetErrors]) -> None:
    """Print force errors as parts of those of the training in one go."""
    for name, errors in found.items():
        ratio = errors.forces.rmse / other[name].forces.rmse
        print(f"{title:34s} {name:12s} forces {ratio:.3f} of those of one go", flush=True)


def head_specs(kind: str, doc: PotentialDoc) -> dict[str, PotentialSpec]:
    """Give the heads of a model as potentials."""
    return {
        f"{kind}, head {head}": doc.potential_spec.model_copy(update={"head": head})
        for head in doc.heads
    }


def teacher_with_dispersion() -> Any:
    """Make the calculator behind the labels, for ``mofonon phonons --model``."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
    from ase.calculators.mixing import SumCalculator
    from distill_demo_model import make_teacher

    from mofonon.potentials.factory import d3_calculator

    return SumCalculator([make_teacher(), d3_calculator()])


def phonons(doc: PotentialDoc, cif: Path, work: Path) -> None:
    """Compare frequencies of foundation and new head with the teacher's, by the command."""
    import numpy as np

    from mofonon.arrays import EncodedArray
    from mofonon.store import get_document, open_store

    potentials = {
        "teacher + D3": ["--model", "fine_tuning:teacher_with_dispersion"],
        "foundation": ["--model", "demo"],
        "foundation + D3": ["--model", "demo", "--dispersion", "d3bj"],
        f"new head {doc.head}": ["--model", str(doc.potential_spec.model), "--head", doc.head],
    }
    folder = Path(__file__).parent
    environment = {**os.environ, "MOFONON_STORE": str(work / "store")}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    found = {}
    for name, model in potentials.items():
        command = [sys.executable, "-c", "from mofonon.cli import main; main()", "phonons"]
        command += [str(cif), *model, "--no-relax", "--supercell", "1,1,1", "--mesh", "2,2,2"]
        command += ["--displacement", "0.02", "--plus-minus", "yes", "--json", "--primitive"]
        command += ["--output", str(work / "phonons")]
        done = subprocess.run(  # noqa: S603 - our own command
            command, env=environment, stdout=subprocess.PIPE, check=True, text=True
        )
        store = open_store(work / "store")
        identity = json.loads(done.stdout)["document_id"]
        arrays = get_document(store, identity, with_arrays=True)["arrays"]
        encoded = arrays["frequencies"]
        if isinstance(encoded, dict):
            encoded = EncodedArray.from_dict(encoded)
        found[name] = np.sort(encoded.decode(), axis=-1)
    reference = found.pop("teacher + D3")
    for name, values in found.items():
        difference = values - reference
        soft = reference < SOFT_THZ
        print(
            f"{cif.stem:14s} {name:22s} frequency RMSD {np.sqrt(np.mean(difference**2)):6.3f} "
            f"THz, below {SOFT_THZ} THz {np.sqrt(np.mean(difference[soft] ** 2)):6.3f} THz",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, required=True, help="frames, models, results")
    parser.add_argument("what", nargs="+", help="multihead, naive, killed, phonons")
    parser.add_argument("--epochs", type=int, default=COMMON["max_epochs"])
    parser.add_argument("--cif", type=Path, nargs="*", default=[], help="for phonons")
    options = parser.parse_args()
    work = options.work.resolve()
    set_epochs(options.epochs)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    os.environ["MOFONON_MODELS"] = str(work / "models")
    os.environ["MOFONON_CHECKPOINTS"] = str(work / "checkpoints")
    if options.what == ["killed-child"]:
        os.environ["MOFONON_CHECKPOINTS"] = str(work / "killed")
        run_training(maker("killed", work).prepare(work), "killed")
        raise SystemExit
    results = {"foundation": measure(PotentialSpec(family="demo"), work)}
    print_errors("foundation", results["foundation"])
    for kind in options.what:
        if kind == "phonons":
            for cif in options.cif:
                phonons(train("multihead", work), cif.resolve(), work)
            continue
        doc = killed(work) if kind == "killed" else train(kind, work)
        print(kind, doc.potential_spec.model, "epoch", doc.best_epoch, doc.notes, doc.warnings)
        print(f"{doc.seconds:.0f} s", flush=True)
        for title, spec in head_specs(kind, doc).items():
            results[title] = measure(spec, work)
            print_errors(title, results[title])
            one_go = results.get(title.replace("killed", "multihead"))
            if kind == "killed" and one_go is not None:
                print_ratios(title, results[title], one_go)
    (work / "errors.json").write_text(
        json.dumps(
            {k: {g: e.model_dump() for g, e in v.items()} for k, v in results.items()}, indent=1
        )
    )
