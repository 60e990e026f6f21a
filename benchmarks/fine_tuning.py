"""Fine-tuning measured: multi-head against naive, killed against uninterrupted, phonons.

Needs the frames that ``fine_tuning_frames.py`` writes. The foundation is the distilled demo
model, the labels are its teacher's with D3(BJ): stand-ins both, so that the whole loop runs in
minutes without a GPU. What is printed says how the machinery works, not how good MACE is.

Parts may be run one after the other in the same folder: a finished training is not repeated,
and ``report`` collects what there is for docs/benchmarks.md.

Example
-------
``python benchmarks/fine_tuning.py --work build/ft multihead naive killed phonons report``
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from common import ROOT, save, set_threads

set_threads()

from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.training import FineTuneMaker, FineTuneSpec
from mofonon.training.flows import run_training
from mofonon.training.frames import read_frames
from mofonon.training.mace_files import read_results
from mofonon.training.metrics import SetErrors, set_errors
from mofonon.training.predict import labels_of, predict
from mofonon.training.schemas import PotentialDoc

SOFT_THZ = 15.0
EPOCHS = 20
#: Learning rate in the end, as a part of that at the start.
LAST_LR = 0.06
#: Structures relaxed by teacher + D3: a MOF trained on, and the held-out one of the family.
PHONON_MOFS = {"qmof-f75eb5a": "trained MOF", "qmof-2a5ad82": "in family"}

Row = dict[str, Any]

NOTES = (
    "Foundation: the distilled demo model. Labels of the new frames: its teacher (SevenNet-0, "
    "averaged over inversion) with D3(BJ), a stand-in for PBE-D3(BJ); replay frames: the "
    "teacher alone. Frames of benchmarks/fine_tuning_frames.py. No frame of these tables was "
    "trained on or chose the epoch; in family and other are MOFs without any such frame. "
    "Fall: RMSE of the foundation's forces over that of the model."
)


def spec(kind: str, work: Path, epochs: int) -> FineTuneSpec:
    """How each of the models is trained."""
    naive = kind == "naive"
    return FineTuneSpec(
        mode="naive" if naive else "multihead",
        foundation="demo",
        replay=None if naive else str(work / "replay.extxyz"),
        replay_filter="none",
        max_epochs=epochs,
        batch_size=2,
        valid_batch_size=4,
        lr=0.008,
        lr_decay=round(LAST_LR ** (1 / epochs), 3),
        ema_decay=0.99,
    )


def train(kind: str, work: Path, epochs: int) -> PotentialDoc:
    """Train one model; one that is finished is not trained again."""
    os.environ["MOFONON_CHECKPOINTS"] = str(work / f"checkpoints-{kind}")
    maker = FineTuneMaker(name=kind, spec=spec(kind, work, epochs))
    return run_training(maker.prepare(work), kind)


def train_killed(work: Path, epochs: int) -> PotentialDoc:
    """Train once more in another folder, killed at a random epoch, and run again."""
    os.environ["MOFONON_CHECKPOINTS"] = str(work / "checkpoints-killed")
    maker = FineTuneMaker(name="killed", spec=spec("killed", work, epochs))
    folder = maker.prepare(work).folder
    epoch = random.SystemRandom().randint(epochs // 5, 3 * epochs // 5)
    if not folder.finished.exists():
        command = [sys.executable, __file__, "--work", str(work), "--epochs", str(epochs)]
        process = subprocess.Popen([*command, "killed-child"])  # noqa: S603 - this program
        while not any(e.epoch >= epoch for e in read_results(folder.results)):
            if process.poll() is not None:
                raise SystemExit("the training that was to be killed ended by itself")
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        print(f"killed with -9 in epoch {epoch}", flush=True)
    return train("killed", work, epochs)


def measure(potential: PotentialSpec, work: Path) -> dict[str, SetErrors]:
    """Errors on each group of held-out frames."""
    groups: dict[str, list[Any]] = {}
    for frame in read_frames(work / "test.extxyz"):
        groups.setdefault(f"{frame.info['family']}", []).append(frame)
    groups["replay"] = read_frames(work / "replay-test.extxyz")
    calculator = make_calculator(potential)
    return {
        name: set_errors(predict(frames, calculator), labels_of(frames))
        for name, frames in groups.items()
    }


def rows(model: str, head: str, found: dict[str, SetErrors], work: Path) -> list[Row]:
    """One row for each group, with the fall against the foundation."""
    foundation = read(work, "foundation")
    before = {row["frames"]: row["forces meV/A"] for row in foundation}
    return [
        {
            "model": model,
            "head": head,
            "frames": group,
            "number": errors.n_frames,
            "forces meV/A": errors.forces.rmse,
            "energy meV/atom": errors.energy_per_atom.rmse,
            "stress meV/A^3": errors.stress.rmse if errors.stress else None,
            "fall of forces": before.get(group, errors.forces.rmse) / errors.forces.rmse,
        }
        for group, errors in found.items()
    ]


def keep(work: Path, name: str, found: list[Row]) -> None:
    """Print rows and keep them for the report."""
    print("\n".join(json.dumps(row) for row in found), flush=True)
    path = work / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1))


def read(work: Path, name: str) -> list[Row]:
    """Read rows that were kept; none if there are none."""
    path = work / "results" / f"{name}.json"
    found: list[Row] = json.loads(path.read_text()) if path.exists() else []
    return found


def measure_foundation(work: Path) -> None:
    """Errors of the foundation on the same frames."""
    found = measure(PotentialSpec(family="demo"), work)
    keep(work, "foundation", rows("foundation", "", found, work))


def run(kind: str, work: Path, epochs: int) -> None:
    """Train one model and measure its heads."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    doc = train_killed(work, epochs) if kind == "killed" else train(kind, work, epochs)
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    print(kind, doc.potential_spec.model, doc.notes, doc.warnings, flush=True)
    found = []
    for head in doc.heads:
        potential = doc.potential_spec.model_copy(update={"head": head})
        found += rows(kind, head, measure(potential, work), work)
    keep(work, kind, found)
    if cpu > 1:  # a finished training is not repeated
        about = {"training": kind, "epochs": doc.n_epochs, "epoch of the model": doc.best_epoch}
        about |= {"starts": doc.n_starts, "CPU s of mace": cpu, "wall s": doc.seconds}
        keep(work, f"{kind}-training", [about])


def teacher_with_dispersion() -> Any:
    """Make the calculator behind the labels, for ``mofonon phonons --model``."""
    sys.path.insert(0, str(ROOT / "tools"))
    from ase.calculators.mixing import SumCalculator
    from demo_frames import make_teacher

    from mofonon.potentials.factory import d3_calculator

    return SumCalculator([make_teacher(), d3_calculator()])


def frequencies(cif: Path, model: list[str], work: Path) -> Any:
    """Frequencies (THz) of ``mofonon phonons``, sorted at each q-point."""
    import numpy as np

    from mofonon.arrays import EncodedArray
    from mofonon.store import get_document, open_store

    environment = {**os.environ, "MOFONON_STORE": str(work / "store")}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT / "benchmarks"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    command = [sys.executable, "-c", "from mofonon.cli import main; main()", "phonons"]
    command += [str(cif), *model, "--no-relax", "--supercell", "1,1,1", "--mesh", "2,2,2"]
    # the teacher computes in float32, and the structure has the symmetry of a relaxation by it
    command += ["--displacement", "0.01", "--plus-minus", "yes", "--symprec", "1e-3"]
    command += ["--json", "--primitive", "--output", str(work / "phonons")]
    done = subprocess.run(  # noqa: S603 - our own command
        command, env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    identity = json.loads(done.stdout)["document_id"]
    document = get_document(open_store(work / "store"), identity, with_arrays=True)
    encoded = document["arrays"]["frequencies"]
    if isinstance(encoded, dict):
        encoded = EncodedArray.from_dict(encoded)
    return np.sort(encoded.decode(), axis=-1)


def phonons(work: Path, epochs: int) -> None:
    """Compare frequencies of foundation and new head with those of teacher + D3."""
    doc = train("multihead", work, epochs)
    model = str(doc.potential_spec.model)
    potentials = {
        "foundation": ["--model", "demo"],
        "foundation + D3": ["--model", "demo", "--dispersion", "d3bj"],
        f"multihead, head {doc.head}": ["--model", model, "--head", str(doc.head)],
    }
    found = []
    for mof, family in PHONON_MOFS.items():
        cif = work / "relaxed" / f"{mof}.cif"
        reference = frequencies(cif, ["--model", "fine_tuning:teacher_with_dispersion"], work)
        for name, options in potentials.items():
            values = frequencies(cif, options, work)
            found.append(
                {"MOF": mof, "kind": family, "potential": name, **rmsd(values, reference)}
            )
    keep(work, "phonons", found)


def rmsd(values: Any, reference: Any) -> Row:
    """Root mean square differences of sorted frequencies (THz), and the lowest ones."""
    import numpy as np

    squares = (values - reference) ** 2
    return {
        "modes": values.size,
        "RMSD THz": float(np.sqrt(squares.mean())),
        f"RMSD below {SOFT_THZ:.0f} THz": float(np.sqrt(squares[reference < SOFT_THZ].mean())),
        "lowest THz": float(values.min()),
        "lowest of teacher + D3": float(reference.min()),
    }


def report(work: Path) -> None:
    """Write what was measured to ``results/fine_tuning.json``."""
    tables = {"Errors (RMSE) on frames held out": []}
    for name in ("foundation", "multihead", "naive", "killed"):
        tables["Errors (RMSE) on frames held out"] += read(work, name)
    trainings = [
        row for k in ("multihead", "naive", "killed") for row in read(work, f"{k}-training")
    ]
    tables[
        "Trainings; 'killed' is multihead, killed with -9 and run again (times: second start)"
    ] = trainings
    tables["Frequencies against teacher + D3, same structure and supercell"] = read(
        work, "phonons"
    )
    save("fine_tuning", "Fine-tuning", [NOTES], {k: v for k, v in tables.items() if v})


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, required=True, help="frames, models, results")
    parser.add_argument("what", nargs="+", help="multihead, naive, killed, phonons, report")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    work = options.work.resolve()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    os.environ["MOFONON_MODELS"] = str(work / "models")
    if options.what == ["killed-child"]:
        train("killed", work, options.epochs)
        return
    if not read(work, "foundation"):
        measure_foundation(work)
    for what in options.what:
        if what == "phonons":
            phonons(work, options.epochs)
        elif what == "report":
            report(work)
        else:
            run(what, work, options.epochs)


if __name__ == "__main__":
    main()
