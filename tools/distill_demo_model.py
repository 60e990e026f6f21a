"""Distil the demo potential of mofonon, ``src/mofonon/data/demo.model``, on a laptop.

A small MACE student learns energies, forces and stresses from a pretrained universal
potential whose weights come inside a wheel, so nothing is downloaded. The recipe:

1. cells: Zn-MOF-74, MOF-5 and Zn(CN)2 (the demo structures), ZnO, diamond, dry ice and
   small molecules in boxes; relaxed by the teacher, strained, rattled, thermally displaced;
2. labels: SevenNet-0 averaged over spatial inversion (the network itself is not invariant
   under it). CHGNet was tried first: with it Zn(CN)2 has modes of -5 THz and symmetric
   MOF-5 is a saddle, probably for cusps at bond angles of 180 degrees;
3. a first student, trained in float64 through ``mace_run_train``;
4. on request, active learning: the student relaxes and runs MD on the frameworks, the
   teacher labels where it went, the student goes on learning;
5. held-out errors, tight relaxations and Gamma frequencies of the three frameworks,
   written next to the model as ``demo.json``.

The shipped model is the first student. Three rounds of active learning (as with
``--epochs 40 20 30 15``, their settings still changing from round to round) brought the a
axis of Zn-MOF-74 from -1.8 to -0.3 % of experiment and its c axis from +2.8 to +2.4 %, but
gave MOF-5 an imaginary mode at Gamma (-0.7 THz), which the teacher does not have; the first
student has none, at Gamma or on a 5x5x5 mesh from 2x2x2 supercells.

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
import shutil
import subprocess
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("MALLOC_MMAP_MAX_", "0")  # page faults are half of the cost otherwise
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**40))

import ase.io
import mace  # noqa: F401  (before other users of e3nn)
import numpy as np
import torch
import yaml
from ase import Atoms, units
from ase.build import bulk, make_supercell, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.geometry import get_distances
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import LBFGS

REPOSITORY = Path(__file__).resolve().parents[1]
STRUCTURES = REPOSITORY / "src" / "mofonon" / "data" / "structures"
TEACHER = "7net-0"
SEED = 2026
FRAMEWORKS = ("Zn-MOF-74", "MOF-5", "Zn(CN)2")
SHARE = {"Zn-MOF-74": 1.0, "MOF-5": 0.6, "Zn(CN)2": 1.0}
"""Relative number of frames: one of MOF-5 has 106 atoms."""
MOLECULES = (
    *("H2", "N2", "CO", "CO2", "H2O", "NH3", "CH4", "HCN", "C2H2", "C2H4"),
    *("H2CO", "HCOOH", "CH3OH", "CH3COOH", "CH3CN", "NCCN", "C6H6", "terephthalic acid"),
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

LATER: dict[str, Any] = {"stress_weight": 3000.0}
"""What active learning changes: at 100 the stress is 1 % of the loss of a trained model."""

logger = logging.getLogger("distill")


# --- the teacher -------------------------------------------------------------------------


class InversionAveraged(Calculator):
    """A calculator averaged over a structure and its mirror image through the origin.

    Parameters
    ----------
    calculator : ase.calculators.calculator.Calculator
        Rotation invariant, but not invariant under inversion.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]

    def __init__(self, calculator: Calculator) -> None:
        super().__init__()
        self.calculator = calculator

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy (eV), forces (eV/A) and stress (eV/A^3) of ``atoms``."""
        super().calculate(atoms, properties, system_changes)
        results = []
        for sign in (1, -1):
            image = self.atoms.copy()
            image.set_constraint()
            image.positions *= sign
            image.calc = self.calculator
            forces = sign * np.asarray(image.get_forces(), dtype=float)
            results.append((image.get_potential_energy(), forces, image.get_stress()))
        energy, forces, stress = (
            np.mean(values, axis=0) for values in zip(*results, strict=True)
        )
        self.results = {"energy": float(energy), "forces": forces, "stress": stress}


def make_teacher() -> Calculator:
    """SevenNet-0 (weights in the sevenn wheel), averaged over inversion."""
    from sevenn.calculator import SevenNetCalculator

    return InversionAveraged(SevenNetCalculator(TEACHER, device="cpu"))


def label(frames: list[Atoms], teacher: Calculator, path: Path) -> list[Atoms]:
    """Label frames with the teacher, or read them from ``path`` if that was done before.

    Frames with two atoms within 0.6 A or a force above 60 eV/A are left out: no model needs
    them. The labels are ``REF_energy`` (eV), ``REF_forces`` (eV/A) and ``REF_stress``
    (eV/A^3, ASE sign, flat 9-vector).
    """
    if path.exists():
        return ase.io.read(path, ":")
    labelled, start = [], time.time()
    for number, frame in enumerate(frames):
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
        atoms.info["family"] = frame.info["family"]
        if shortest_distance(atoms) < 0.6:
            continue
        atoms.calc = teacher
        forces = atoms.get_forces()
        if np.abs(forces).max() > 60:
            continue
        atoms.info["REF_energy"] = atoms.get_potential_energy()
        atoms.info["REF_stress"] = atoms.get_stress(voigt=False).ravel()
        atoms.arrays["REF_forces"] = forces
        atoms.calc = None
        labelled.append(atoms)
        if number % 50 == 0:
            logger.info("  label %d/%d, %.0f s", number, len(frames), time.time() - start)
    write_whole(path, labelled)
    return labelled


def write_whole(path: Path, frames: list[Atoms]) -> None:
    """Write an extxyz file that is either there as a whole or not at all."""
    part = path.with_suffix(".part")
    ase.io.write(part, frames, format="extxyz")
    part.rename(path)


def shortest_distance(atoms: Atoms) -> float:
    """Shortest interatomic distance in A, minimum image."""
    if len(atoms) < 2:
        return np.inf
    distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)[1]
    return float(distances[np.triu_indices(len(atoms), 1)].min())


# --- the cells ---------------------------------------------------------------------------


def framework(name: str) -> Atoms:
    """Primitive cell of one of the demo structures, as published."""
    from pymatgen.core import Structure
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = Structure.from_file(STRUCTURES / f"{name}.cif").get_primitive_structure()
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    return tagged(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True), name)


def simple_crystals() -> list[Atoms]:
    """Three forms of ZnO, diamond and dry ice (Pa-3), at textbook lattice constants."""
    a, u, v = 5.62, 0.0, 1.16 / 5.62 / np.sqrt(3)
    axes = {(0, 0, 0): (1, 1, 1), (0, 1, 1): (-1, -1, 1), (1, 0, 1): (1, -1, -1)}
    axes[1, 1, 0] = (-1, 1, -1)
    dry_ice = Atoms(cell=[a] * 3, pbc=True)
    for centre, axis in axes.items():
        middle = np.array(centre) / 2 + u
        points = [middle, middle + v * np.array(axis), middle - v * np.array(axis)]
        dry_ice += Atoms("CO2", np.array(points) * a)
    return [
        tagged(bulk("ZnO", "wurtzite", a=3.25, c=5.21), "ZnO wurtzite"),
        tagged(bulk("ZnO", "zincblende", a=4.58), "ZnO zincblende"),
        tagged(bulk("ZnO", "rocksalt", a=4.28), "ZnO rocksalt"),
        tagged(bulk("C", "diamond", a=3.57), "diamond"),
        tagged(dry_ice, "dry ice"),
    ]


def terephthalic_acid() -> Atoms:
    """Benzene with two carboxyl groups in para position, planar."""
    ring = molecule("C6H6")
    carbon = ring.positions[0] / np.linalg.norm(ring.positions[0])
    side = np.cross([0, 0, 1] if abs(carbon[2]) < 0.5 else [1, 0, 0], carbon)
    kept = [i for i, atom in enumerate(ring) if atom.symbol == "C"]
    kept += [
        atom.index
        for atom in ring
        if atom.symbol == "H"
        and abs(atom.position @ carbon) / np.linalg.norm(atom.position) < 0.9
    ]
    acid = ring[kept]
    for sign in (1, -1):
        along_side = ((2.88, 0.0), (3.49, 1.06), (3.54, -1.17), (4.50, -1.05))
        places = [sign * (along * carbon + across * side) for along, across in along_side]
        acid += Atoms("COOH", places)
    return acid


def boxed_molecules() -> list[Atoms]:
    """Small molecules, each alone in a periodic box with 4 A of vacuum on every side."""
    boxed = []
    for name in MOLECULES:
        atoms = terephthalic_acid() if name == "terephthalic acid" else molecule(name)
        atoms.center(vacuum=4.0)
        atoms.pbc = True
        boxed.append(tagged(atoms, name))
    return boxed


def tagged(atoms: Atoms, family: str) -> Atoms:
    """Note in ``atoms.info`` which family of cells a frame belongs to."""
    atoms.info["family"] = family
    return atoms


# --- frames around a cell ----------------------------------------------------------------


def strained(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """Copy with a homogeneous strain (3x3, dimensionless), atoms moving with the cell."""
    copy = atoms.copy()
    copy.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    return copy


def rattled(atoms: Atoms, amplitude: float, rng: np.random.Generator) -> Atoms:
    """Copy with normally distributed displacements of standard deviation ``amplitude`` (A)."""
    copy = atoms.copy()
    copy.positions += rng.normal(scale=amplitude, size=(len(atoms), 3))
    return copy


def random_strain(scale: float, rng: np.random.Generator) -> np.ndarray:
    """Symmetric 3x3 strain, components normally distributed with ``scale``."""
    strain = rng.normal(scale=scale, size=(3, 3))
    return (strain + strain.T) / 2


def around(
    atoms: Atoms,
    isotropic: Iterable[float],
    amplitudes: Iterable[float],
    rng: np.random.Generator,
    shear: float = 0.012,
) -> list[Atoms]:
    """Isotropic strains of a cell, and rattles (A) on top of small random strains."""
    frames = [strained(atoms, e * np.eye(3)) for e in isotropic]
    return frames + [
        rattled(strained(atoms, random_strain(shear, rng)), a, rng) for a in amplitudes
    ]


def relax(
    atoms: Atoms, calculator: Calculator, fmax: float, steps: int, *, free_cell: bool = True
) -> tuple[Atoms, list[Atoms], int]:
    """L-BFGS to ``fmax`` (eV/A), in the cell's full strain space if ``free_cell``.

    Returns
    -------
    tuple
        The last structure, up to 8 frames on the way, and the number of evaluations.
    """
    mobile = atoms.copy()
    mobile.calc = calculator
    path: list[Atoms] = []
    target = FrechetCellFilter(mobile) if free_cell else mobile
    with LBFGS(target, logfile=None) as optimiser:
        optimiser.attach(lambda: path.append(mobile.copy()))
        optimiser.run(fmax=fmax, steps=steps)
        evaluations = optimiser.nsteps + 1
    last = mobile.copy()
    chosen = sorted({round(x) for x in np.geomspace(1, len(path), 8)})
    return last, [path[i - 1] for i in chosen], evaluations


def harmonic_phonons(atoms: Atoms, calculator: Calculator, distance: float = 0.01) -> Any:
    """Force constants of one cell (phonopy, 1x1x1), displacements of ``distance`` A."""
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        numbers=atoms.numbers, cell=atoms.cell[:], scaled_positions=atoms.get_scaled_positions()
    )
    phonon = Phonopy(cell, np.eye(3), symprec=1e-3, log_level=0)
    phonon.generate_displacements(distance=distance, is_plusminus=True)
    forces = []
    for displaced in phonon.supercells_with_displacements:
        copy = atoms.copy()
        copy.positions = displaced.positions
        copy.calc = calculator
        forces.append(copy.get_forces())
    phonon.forces = np.array(forces)
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


def thermal(
    atoms: Atoms, calculator: Calculator, temperatures: Iterable[float], count: int, seed: int
) -> list[Atoms]:
    """Snapshots of the harmonic canonical ensemble: soft modes move most, as they do in MD."""
    phonon = harmonic_phonons(atoms, calculator)
    phonon.init_random_displacements(cutoff_frequency=0.3, max_distance=0.35)
    frames = []
    for temperature in temperatures:
        for displacements in phonon.get_random_displacements_at_temperature(
            temperature, count, random_seed=seed
        ):
            copy = atoms.copy()
            copy.positions += displacements
            frames.append(copy)
    return frames


def molecular_dynamics(
    atoms: Atoms, calculator: Calculator, temperature: float, frames: int, seed: int
) -> list[Atoms]:
    """Langevin dynamics at ``temperature`` (K), 1 fs steps, a frame every 25 fs."""
    mobile = atoms.copy()
    mobile.calc = calculator
    rng = np.random.RandomState(seed)
    MaxwellBoltzmannDistribution(mobile, temperature_K=2 * temperature, rng=rng)
    dynamics = Langevin(
        mobile, units.fs, temperature_K=temperature, friction=0.01 / units.fs, rng=rng
    )
    path: list[Atoms] = []
    dynamics.attach(lambda: path.append(mobile.copy()), interval=25)
    dynamics.run(25 * frames)
    return path[1:]


# --- the data sets -----------------------------------------------------------------------


def first_frames(teacher: Calculator) -> list[Atoms]:
    """Everything the first student learns from."""
    frames: list[Atoms] = []
    for number, name in enumerate(FRAMEWORKS):
        rng = np.random.default_rng([SEED, number])
        share = SHARE[name]
        relaxed, path, evaluations = relax(framework(name), teacher, 5e-3, 80)
        logger.info(
            "teacher relaxed %s: %s A, %d evaluations", name, lengths(relaxed), evaluations
        )
        strains = np.array([-10, -7, -4, -2.5, -1.5, -0.7, 0.7, 1.5, 2.5, 4, 7, 10]) / 100
        amplitudes = np.repeat([0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15], round(3 * share))
        frames += [*path, *around(relaxed, strains, amplitudes, rng)]
        warm = thermal(relaxed, teacher, (30, 150, 300), round(8 * share), SEED)
        frames += [strained(w, random_strain(0.008, rng)) for w in warm]
    rng = np.random.default_rng([SEED, 100])
    for crystal in simple_crystals():
        cell = make_supercell(crystal, np.diag([1, 1, 2])) if len(crystal) < 4 else crystal
        strains = np.array([-10, -5, -2, 0, 2, 5, 10]) / 100
        frames += around(
            tagged(cell, crystal.info["family"]), strains, (0.02, 0.05, 0.1, 0.15), rng
        )
    for boxed in boxed_molecules():
        relaxed, path, _ = relax(boxed, teacher, 0.01, 40, free_cell=False)
        frames += [*path[::3], *around(relaxed, (), (0.01, 0.03, 0.06, 0.1), rng, shear=0.0)]
    return frames


def student_frames(model: Path, teacher: Calculator, stage: int) -> list[Atoms]:
    """Where the student goes when it relaxes and heats the frameworks, and around that.

    The teacher's way back from the student's minimum to its own is what corrects the soft
    combinations of cell and positions that rattles do not reach.
    """
    calculator = make_student(model)
    frames: list[Atoms] = []
    for number, name in enumerate(FRAMEWORKS):
        rng = np.random.default_rng([SEED, stage, number])
        share = SHARE[name]
        relaxed, path, evaluations = relax(framework(name), calculator, 1e-3, 250)
        logger.info(
            "student relaxed %s: %s A, %d evaluations", name, lengths(relaxed), evaluations
        )
        amplitudes = np.repeat([0.005, 0.01, 0.02, 0.04, 0.08], round(3 * share))
        strains = np.array([-3, -1.5, -0.5, 0, 0.5, 1.5, 3]) / 100
        back = relax(relaxed, teacher, 5e-3, 40)[1]
        frames += [*path, *back, *around(relaxed, strains, amplitudes, rng, shear=0.006)]
        frames += thermal(relaxed, calculator, (30, 300), round(4 * share), SEED + stage)
        frames += molecular_dynamics(relaxed, calculator, 300, round(10 * share), SEED + stage)
    return frames


def split(frames: list[Atoms], stage: int) -> dict[str, list[Atoms]]:
    """Train, valid and test parts, about 1/12 of each family in each of the last two."""
    rng = np.random.default_rng([SEED, stage, 7])
    parts: dict[str, list[Atoms]] = {"train": [], "valid": [], "test": []}
    order = sorted(rng.permutation(len(frames)), key=lambda i: str(frames[i].info["family"]))
    for place, index in enumerate(order):
        part = {5: "valid", 11: "test"}.get(place % 12, "train")
        parts[part].append(frames[index])
    return parts


def weighted(frame: Atoms) -> Atoms:
    """Copy with weights for the loss: soft frames count most, energies of molecules little.

    A frame with a root mean square force of 0.5 eV/A weighs half as much as one at rest.
    Phonons and cells need the soft end; the hard end is there to keep the student sane.
    """
    copy = frame.copy()
    soft = 1 / (1 + np.mean(frame.arrays["REF_forces"] ** 2) * 3 / 0.5**2)
    own = frame.info["family"] in FRAMEWORKS
    copy.info["config_energy_weight"] = soft if own else 0.05 * soft
    copy.info["config_forces_weight"] = copy.info["config_stress_weight"] = soft
    return copy


def reference_energies(frames: list[Atoms]) -> dict[int, float]:
    """Energy per element in eV, by least squares over the frames (no isolated atoms)."""
    elements = sorted({int(z) for frame in frames for z in frame.numbers})
    counts = np.array([[np.sum(f.numbers == z) for z in elements] for f in frames], dtype=float)
    energies = np.array([f.info["REF_energy"] for f in frames])
    size = counts.sum(axis=1, keepdims=True)
    solution = np.linalg.lstsq(counts / size, energies / size[:, 0], rcond=None)[0]
    return {z: round(float(e), 6) for z, e in zip(elements, solution, strict=True)}


# --- the student -------------------------------------------------------------------------


def train(
    parts: dict[str, list[Atoms]],
    folder: Path,
    energies: dict[int, float],
    *,
    epochs: int,
    lr: tuple[float, float],
    start: Path | None = None,
) -> Path:
    """Train with ``mace_run_train`` and return the model file.

    Parameters
    ----------
    parts : dict of str to list of Atoms
        Labelled frames for ``train``, ``valid`` and ``test``.
    folder : Path
        Where this training lives; a finished one is not repeated.
    energies : dict of int to float
        Reference energy per atomic number, eV.
    epochs : int
        Number of passes over the training part. mace evaluates epoch 0, 10, 20, ... and
        keeps the best of these.
    lr : tuple of float
        Learning rate in the first and in the last epoch.
    start : Path, optional
        A model to go on from: frames are weighted and settings changed by ``LATER``.
    """
    model = folder / "student.model"
    if model.exists():
        return model
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part, frames in parts.items():
        chosen = frames if start is None else [weighted(frame) for frame in frames]
        write_whole(folder / f"{part}.xyz", chosen)
    config = ARCHITECTURE | OPTIMISER
    config |= {"name": "student", "work_dir": str(folder), "seed": SEED, "device": "cpu"}
    config |= {"default_dtype": "float64", "E0s": str(energies), "error_table": "PerAtomMAE"}
    config |= {f"{part}_file": str(folder / f"{part}.xyz") for part in ("train", "valid")}
    config |= {f"{what}_key": f"REF_{what}" for what in ("energy", "forces", "stress")}
    config |= {"compute_stress": True, "save_cpu": True, "plot": False, "eval_interval": 10}
    config |= {"max_num_epochs": epochs, "patience": epochs, "lr": lr[0]}
    config["lr_scheduler_gamma"] = float((lr[1] / lr[0]) ** (1 / epochs))
    if start is not None:
        config |= LATER | {"foundation_model": str(start), "multiheads_finetuning": False}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run_mace(folder)
    shutil.copy(folder / "student.model", folder / "trained.model")
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


# --- what it is worth --------------------------------------------------------------------


def held_out_errors(model: Path, frames: list[Atoms]) -> dict[str, dict[str, float]]:
    """Mean absolute errors against the teacher by family and over all held-out frames."""
    calculator = make_student(model)
    groups: dict[str, list[tuple[float, np.ndarray, np.ndarray]]] = defaultdict(list)
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        energy = abs(atoms.get_potential_energy() - frame.info["REF_energy"]) / len(atoms)
        forces = np.abs(atoms.get_forces() - frame.arrays["REF_forces"]).ravel()
        stress = np.abs(atoms.get_stress(voigt=False).ravel() - frame.info["REF_stress"])
        family = frame.info["family"]
        for name in ("all", family if family in FRAMEWORKS else "other"):
            groups[name].append((energy, forces, stress))
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


def framework_check(model: Path, name: str) -> dict[str, Any]:
    """Relax as the paper does (L-BFGS, fmax 1e-6 eV/A, no constraints), then Gamma modes."""
    calculator = make_student(model)
    start = framework(name)
    relaxed, _, evaluations = relax(start, calculator, 1e-6, 1500)
    relaxed.calc = calculator
    forces = FrechetCellFilter(relaxed).get_forces()
    phonon = harmonic_phonons(relaxed, calculator, distance=1e-3)
    frequencies = np.sort(phonon.get_frequencies([0, 0, 0]))
    optical = np.delete(frequencies, np.argsort(np.abs(frequencies))[:3])
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
        "highest_gamma_THz": round(float(frequencies[-1]), 2),
    }


def conventional_lengths(atoms: Atoms) -> tuple[str, np.ndarray]:
    """Space group (symprec 1e-3 A) and lengths of the standard conventional cell in A."""
    import spglib

    cell = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
    symmetry = spglib.get_symmetry_dataset(cell, symprec=1e-3)
    return symmetry.international, np.linalg.norm(symmetry.std_lattice, axis=1)


def lengths(atoms: Atoms) -> str:
    """Cell lengths in A as text."""
    return " ".join(f"{x:.3f}" for x in atoms.cell.lengths())


def write_card(
    model: Path, parts: dict[str, list[Atoms]], output: Path, epochs: list[int]
) -> None:
    """Copy the model to ``output`` and describe it in a JSON file next to it."""
    errors = held_out_errors(model, parts["test"])
    logger.info("held-out errors: %s", json.dumps(errors))
    checks = {}
    for name in FRAMEWORKS:
        checks[name] = framework_check(model, name)
        logger.info("%s: %s", name, json.dumps(checks[name]))
    shutil.copy(model, output)
    frames = [frame for part in parts.values() for frame in part]
    packages = ("mace-torch", "sevenn", "torch", "e3nn", "ase", "phonopy", "numpy")
    card = {
        "name": "distilled demo model, not for science",
        "file": output.name,
        "sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
        "bytes": output.stat().st_size,
        "teacher": "SevenNet-0 (11 July 2024, weights in the sevenn wheel), float32, averaged"
        " over inversion; labels are PBE-like, without dispersion",
        "elements": sorted({s for frame in frames for s in frame.get_chemical_symbols()}),
        "r_max_A": ARCHITECTURE["r_max"],
        "architecture": ARCHITECTURE,
        "training": OPTIMISER,
        "dtype": "float64",
        "seed": SEED,
        "epochs_of_the_trainings": epochs,
        "frames": {part: len(members) for part, members in parts.items()},
        "frames_by_family": dict(sorted(Counter(f.info["family"] for f in frames).items())),
        "held_out_errors": errors,
        "frameworks": checks,
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "made_by": "tools/distill_demo_model.py",
        "made_on": dt.datetime.now(dt.UTC).date().isoformat(),
    }
    output.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def distill(work: Path, epochs: tuple[int, ...]) -> tuple[Path, dict[str, list[Atoms]]]:
    """Run the whole recipe in ``work``; one training per entry of ``epochs``."""
    parts: dict[str, list[Atoms]] = {"train": [], "valid": [], "test": []}
    teacher = make_teacher()
    model: Path | None = None
    energies: dict[int, float] = {}
    for stage, count in enumerate(epochs):
        path = work / f"labels-{stage}.xyz"
        frames: list[Atoms] = []
        if not path.exists():
            frames = (
                first_frames(teacher)
                if model is None
                else student_frames(model, teacher, stage)
            )
        labelled = label(frames, teacher, path)
        for part, members in split(labelled, stage).items():
            parts[part] += members
        energies = energies or reference_energies(labelled)
        sizes = {part: len(members) for part, members in parts.items()}
        logger.info("stage %d: %s frames, %d epochs", stage, sizes, count)
        lr = (0.003, 0.0003) if stage else (0.01, 0.002)
        model = train(
            parts, work / f"stage-{stage}", energies, epochs=count, lr=lr, start=model
        )
    if model is None:
        raise ValueError("at least one training is needed")
    return model, parts


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mofonon-distill"
    default = REPOSITORY / "src" / "mofonon" / "data" / "demo.model"
    parser.add_argument(
        "--work", type=Path, default=cache, help="labels and models are kept here"
    )
    parser.add_argument(
        "--epochs", type=int, nargs="+", default=[40], help="first, then per active learning"
    )
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
    model, parts = distill(work, tuple(options.epochs))
    write_card(model, parts, options.output.resolve(), options.epochs)
    logger.info("wrote %s in %.0f s", options.output, time.time() - start)


if __name__ == "__main__":
    main()
