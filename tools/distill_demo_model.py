"""Distil the demo potential of mofonon, ``src/mofonon/data/demo.model``, on a laptop.

A small MACE student learns energies, forces and stresses from a pretrained universal
potential whose weights come inside a wheel, so nothing is downloaded. The recipe:

1. frames (``demo_frames.py``): many of the demo structures and a few simple cells, and a few
   each of some 160 cells over the 24 elements of the paper's MOFs, chosen by farthest points
   from a pool of 960 crystals, nodes of frameworks, coordination shells and linkers
   (``demo_cells.py``); every twelfth of these is held out with all its frames;
2. labels: SevenNet-0 averaged over spatial inversion (the network itself is not invariant
   under it). CHGNet was tried first: with it Zn(CN)2 has modes of -5 THz and symmetric
   MOF-5 is a saddle, probably for cusps at bond angles of 180 degrees;
3. training in float64 through ``mace_run_train``;
4. the parameters rounded to float32 (kept in float64 with all constants, so that the model is
   as smooth and equivariant as before) and the file deflated;
5. held-out errors, tight relaxations and Gamma frequencies of the three demo structures beside
   the teacher's, written next to the model as ``demo.json``.

The demo potential exists so that every workflow can be run anywhere, with phonons of the
right shape. It is not for science.

Example
-------
``python tools/distill_demo_model.py --work ~/.cache/mofonon-distill --threads 1``

The work folder keeps labels and models: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import importlib.metadata
import json
import logging
import os
import subprocess
import sys
import time
import warnings
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("MALLOC_MMAP_MAX_", "0")  # page faults are half of the cost otherwise
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**40))

import mace  # noqa: F401  (before other users of e3nn)
import numpy as np
import torch
import yaml
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from demo_frames import (
    FRAMEWORKS,
    REPOSITORY,
    SEED,
    chosen_cells,
    framework,
    framework_frames,
    harmonic_phonons,
    label,
    make_teacher,
    relax,
    wide_frames,
    write_whole,
)

ARCHITECTURE: dict[str, Any] = {
    "model": "MACE",
    "hidden_irreps": "32x0e + 32x1o",
    "r_max": 4.5,
    "num_interactions": 2,
    "correlation": 2,
    "max_ell": 2,
    "num_radial_basis": 8,
    "num_cutoff_basis": 5,
    "radial_MLP": "[32, 32]",
    "MLP_irreps": "16x0e",
    "scaling": "rms_forces_scaling",
}
OPTIMISER: dict[str, Any] = {
    "loss": "universal",
    "huber_delta": 0.02,
    "energy_weight": 1.0,
    "forces_weight": 10.0,
    "stress_weight": 100.0,
    "batch_size": 4,
    "valid_batch_size": 8,
    "weight_decay": 1e-8,
    "clip_grad": 10.0,
    "amsgrad": True,
    "ema": True,
    "ema_decay": 0.99,
    "scheduler": "ExponentialLR",
}
LEARNING_RATES = (0.01, 0.0006)
"""In the first and in the last epoch."""
logger = logging.getLogger("distill")


# --- the data ----------------------------------------------------------------------------


def split_frames(frames: list[Atoms]) -> dict[str, list[Atoms]]:
    """Train, valid and test parts, about 1/12 of each family in each of the last two."""
    rng = np.random.default_rng([SEED, 0, 7])
    parts: dict[str, list[Atoms]] = {"train": [], "valid": [], "test": []}
    order = sorted(rng.permutation(len(frames)), key=lambda i: str(frames[i].info["family"]))
    for place, index in enumerate(order):
        part = {5: "valid", 11: "test"}.get(place % 12, "train")
        parts[part].append(frames[index])
    return parts


def split_cells(frames: list[Atoms]) -> dict[str, list[Atoms]]:
    """Every twelfth cell is held out with all its frames; a fortieth of the rest validates."""
    parts: dict[str, list[Atoms]] = {"train": [], "valid": [], "test": []}
    families = list(dict.fromkeys(frame.info["family"] for frame in frames))
    for place, frame in enumerate(frames):
        if families.index(frame.info["family"]) % 12 == 7:
            parts["test"].append(frame)
        else:
            parts["valid" if place % 40 == 20 else "train"].append(frame)
    return parts


def reference_energies(frames: list[Atoms]) -> dict[int, float]:
    """Energy per element in eV, by least squares over the frames (no isolated atoms)."""
    elements = sorted({int(z) for frame in frames for z in frame.numbers})
    counts = np.array([[np.sum(f.numbers == z) for z in elements] for f in frames], dtype=float)
    energies = np.array([f.info["REF_energy"] for f in frames])
    size = counts.sum(axis=1, keepdims=True)
    solution = np.linalg.lstsq(counts / size, energies / size[:, 0], rcond=None)[0]
    return {z: round(float(e), 6) for z, e in zip(elements, solution, strict=True)}


# --- the student -------------------------------------------------------------------------


def train(parts: dict[str, list[Atoms]], folder: Path, *, epochs: int) -> Path:
    """Train with ``mace_run_train`` and return the model file.

    Parameters
    ----------
    parts : dict of str to list of Atoms
        Labelled frames for ``train``, ``valid`` and ``test``.
    folder : Path
        Where this training lives; a finished one is not repeated, a stopped one goes on.
    epochs : int
        Number of passes over the training part. mace evaluates epoch 0, 5, 10, ... and
        keeps the best of these.
    """
    model = folder / "student.model"
    if model.exists():
        return model
    folder.mkdir(parents=True, exist_ok=True)
    for part, frames in parts.items():
        write_whole(folder / f"{part}.xyz", frames)
    energies = reference_energies(parts["train"])
    config = ARCHITECTURE | OPTIMISER
    config |= {"name": "student", "work_dir": str(folder), "seed": SEED, "device": "cpu"}
    config |= {"default_dtype": "float64", "E0s": str(energies), "error_table": "PerAtomMAE"}
    config |= {f"{part}_file": str(folder / f"{part}.xyz") for part in ("train", "valid")}
    config |= {f"{what}_key": f"REF_{what}" for what in ("energy", "forces", "stress")}
    config |= {"compute_stress": True, "save_cpu": True, "plot": False, "eval_interval": 5}
    first, last = LEARNING_RATES
    config |= {"max_num_epochs": epochs, "patience": epochs, "lr": first}
    config["lr_scheduler_gamma"] = (last / first) ** (1 / epochs)
    config["restart_latest"] = True
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run_mace(folder)
    return model


def run_mace(folder: Path) -> None:
    """Run ``mace_run_train`` on ``config.yaml`` in ``folder``, its output in ``train.log``."""
    command = Path(sys.executable).with_name("mace_run_train")
    start = time.time()
    with (folder / "train.log").open("w") as log:
        subprocess.run(  # noqa: S603
            [str(command), "--config", str(folder / "config.yaml")],
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
            env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        )
    logger.info("trained %s in %.0f s", folder.name, time.time() - start)


def make_student(model: Path) -> Calculator:
    """ASE calculator of a MACE file in float64."""
    from mace.calculators import MACECalculator

    return MACECalculator(model_paths=str(model), device="cpu", default_dtype="float64")


def write_compact(model: Path, output: Path) -> None:
    """Round parameters to float32, keep everything in float64, and deflate the file.

    A model rounded and rebuilt in float64 has exact coupling coefficients; one saved in
    float32 would break rotations at the seventh digit. torch reads deflated archives.
    """
    network = torch.load(model, map_location="cpu", weights_only=False)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.float().double())
    loose = output.with_suffix(".part")
    torch.save(network, loose)
    with (
        zipfile.ZipFile(loose) as source,
        zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target,
    ):
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    loose.unlink()


# --- what it is worth --------------------------------------------------------------------


def held_out_errors(
    calculator: Calculator, frames: list[Atoms], cells: set[str]
) -> dict[str, dict[str, float]]:
    """Mean absolute errors against the teacher, by demo structure and for two groups.

    ``simple cells`` are the others of which some frames were learnt; of ``cells`` none was.
    """
    groups: dict[str, list[tuple[float, np.ndarray, np.ndarray]]] = defaultdict(list)
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        energy = abs(atoms.get_potential_energy() - frame.info["REF_energy"]) / len(atoms)
        forces = np.abs(atoms.get_forces() - frame.arrays["REF_forces"]).ravel()
        stress = np.abs(atoms.get_stress(voigt=False).ravel() - frame.info["REF_stress"])
        family = str(frame.info["family"])
        other = "cells never seen" if family in cells else "simple cells"
        groups[family if family in FRAMEWORKS else other].append((energy, forces, stress))
    return {
        name: {
            "frames": len(rows),
            "energy_mae_meV_per_atom": round(1e3 * float(np.mean([r[0] for r in rows])), 3),
            "forces_mae_meV_per_A": round(
                1e3 * float(np.concatenate([r[1] for r in rows]).mean()), 2
            ),
            "stress_mae_meV_per_A3": round(
                1e3 * float(np.concatenate([r[2] for r in rows]).mean()), 3
            ),
        }
        for name, rows in sorted(groups.items())
    }


def errors_by_element(calculator: Calculator, frames: list[Atoms]) -> dict[str, float]:
    """Mean absolute error of the force components on atoms of each element, meV/A."""
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        errors = np.abs(atoms.get_forces() - frame.arrays["REF_forces"])
        for symbol in set(atoms.symbols):
            found[symbol].append(errors[atoms.symbols == symbol].ravel())
    return {
        e: round(1e3 * float(np.concatenate(v).mean()), 1) for e, v in sorted(found.items())
    }


def gamma_frequencies(atoms: Atoms, calculator: Calculator, distance: float) -> np.ndarray:
    """Frequencies at Gamma of one cell in THz, ascending."""
    phonon = harmonic_phonons(atoms, calculator, distance=distance)
    return np.sort(phonon.get_frequencies([0, 0, 0]))


def teacher_frequencies(name: str, work: Path) -> np.ndarray:
    """Frequencies at Gamma of a demo structure by the teacher in THz, at its own minimum."""
    path = work / f"frequencies-{name}.json"
    if not path.exists():
        teacher = make_teacher()
        relaxed, _, evaluations = relax(framework(name), teacher, 2e-3, 200)
        frequencies = gamma_frequencies(relaxed, teacher, 0.01)
        logger.info("teacher: %s, %d evaluations, %s", name, evaluations, frequencies[:6])
        path.write_text(json.dumps(frequencies.tolist()))
    return np.array(json.loads(path.read_text()))


def without_acoustic(frequencies: np.ndarray) -> np.ndarray:
    """All but the three frequencies nearest to zero, ascending."""
    return np.sort(np.delete(frequencies, np.argsort(np.abs(frequencies))[:3]))


def framework_check(calculator: Calculator, name: str, work: Path) -> dict[str, Any]:
    """Relax as the paper does (L-BFGS, fmax 1e-6 eV/A, no constraints), then Gamma modes."""
    start = framework(name)
    relaxed, _, evaluations = relax(start, calculator, 1e-6, 1500)
    relaxed.calc = calculator
    forces = FrechetCellFilter(relaxed).get_forces()
    frequencies = gamma_frequencies(relaxed, calculator, 1e-3)
    optical = without_acoustic(frequencies)
    difference = optical - without_acoustic(teacher_frequencies(name, work))
    measured, computed = (conventional_lengths(atoms)[1] for atoms in (start, relaxed))
    return {
        "fmax_eV_per_A": float(np.linalg.norm(forces, axis=1).max()),
        "evaluations": evaluations,
        "space_group": conventional_lengths(relaxed)[0],
        "conventional_cell_A": [round(float(x), 4) for x in computed],
        "deviation_from_experiment_percent": [
            round(100 * float(x), 2) for x in computed / measured - 1
        ],
        "acoustic_gamma_THz": round(float(np.sort(np.abs(frequencies))[2]), 5),
        "lowest_optical_gamma_THz": [round(float(x), 3) for x in optical[:4]],
        "imaginary_gamma_modes": int(np.sum(optical < -1e-2)),
        "gamma_modes_35_to_60_THz": [
            round(float(x), 1)
            for x in np.unique(optical[(optical > 35) & (optical < 60)].round(1))
        ],
        "against_teacher_THz": {
            "root_mean_square": round(float(np.sqrt(np.mean(difference**2))), 3),
            "mean": round(float(difference.mean()), 3),
        },
        "highest_gamma_THz": round(float(frequencies[-1]), 2),
    }


def conventional_lengths(atoms: Atoms) -> tuple[str, np.ndarray]:
    """Space group (symprec 1e-3 A) and lengths of the standard conventional cell in A."""
    import spglib

    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    symmetry = spglib.get_symmetry_dataset(cell, symprec=1e-3)
    return symmetry.international, np.linalg.norm(symmetry.std_lattice, axis=1)


def write_card(
    model: Path, parts: dict[str, list[Atoms]], cells: set[str], output: Path, work: Path
) -> None:
    """Write the model to ``output`` and describe it in a JSON file next to it."""
    write_compact(model, output)
    calculator = make_student(output)
    errors = held_out_errors(calculator, parts["test"], cells)
    logger.info("held-out errors: %s", json.dumps(errors))
    checks = {}
    for name in FRAMEWORKS:
        checks[name] = framework_check(calculator, name, work)
        logger.info("%s: %s", name, json.dumps(checks[name]))
    frames = [frame for part in parts.values() for frame in part]
    packages = ("mace-torch", "sevenn", "torch", "e3nn", "ase", "phonopy", "numpy")
    card = {
        "name": "distilled demo model, not for science",
        "file": output.name,
        "sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
        "bytes": output.stat().st_size,
        "parameters": sum(p.numel() for p in calculator.models[0].parameters()),
        "teacher": "SevenNet-0 (11 July 2024, weights in the sevenn wheel), float32, averaged"
        " over inversion; labels are PBE-like, without dispersion",
        "elements": sorted({s for frame in frames for s in frame.get_chemical_symbols()}),
        "r_max_A": ARCHITECTURE["r_max"],
        "architecture": ARCHITECTURE,
        "training": OPTIMISER | {"learning_rate_first_last": LEARNING_RATES},
        "dtype": "float64, parameters rounded to float32",
        "seed": SEED,
        "frames": {part: len(members) for part, members in parts.items()},
        "frames_by_family": dict(sorted(Counter(f.info["family"] for f in frames).items())),
        "cells_held_out": sorted(cells),
        "held_out_errors": errors,
        "held_out_forces_mae_meV_per_A_by_element": errors_by_element(
            calculator, parts["test"]
        ),
        "frameworks": checks,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "made_by": "tools/distill_demo_model.py",
        "made_on": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    output.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def labelled_parts(work: Path) -> tuple[dict[str, list[Atoms]], set[str]]:
    """Label what is not labelled yet; the parts, and the cells held out as a whole."""
    parts: dict[str, list[Atoms]] = {"train": [], "valid": [], "test": []}
    cells: set[str] = set()
    teacher = make_teacher()
    for name, split in (("frameworks", split_frames), ("cells", split_cells)):
        path = work / f"labels-{name}.xyz"
        frames: list[Atoms] = []
        if not path.exists():
            frames = (
                framework_frames(teacher)
                if name == "frameworks"
                else wide_frames(chosen_cells(work), teacher)
            )
        found = split(label(frames, teacher, path))
        for part, members in found.items():
            parts[part] += members
        if name == "cells":
            cells = {str(frame.info["family"]) for frame in found["test"]}
    logger.info("frames: %s", {part: len(members) for part, members in parts.items()})
    return parts, cells


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mofonon-distill"
    default = REPOSITORY / "src" / "mofonon" / "data" / "demo.model"
    parser.add_argument(
        "--work", type=Path, default=cache, help="labels and models are kept here"
    )
    parser.add_argument("--epochs", type=int, default=60, help="passes over the frames")
    parser.add_argument("--output", type=Path, default=default, help="the model file to write")
    parser.add_argument(
        "--threads", type=int, default=1, help="more than the free cores make it much slower"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", force=True)
    logger.setLevel(logging.INFO)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    work = options.work.expanduser().resolve()
    work.mkdir(parents=True, exist_ok=True)
    start = time.time()
    parts, cells = labelled_parts(work)
    model = train(parts, work / f"training-{options.epochs}", epochs=options.epochs)
    write_card(model, parts, cells, options.output.resolve(), work)
    logger.info("wrote %s in %.0f s", options.output, time.time() - start)


if __name__ == "__main__":
    main()
