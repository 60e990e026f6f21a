"""Labelled frames for the benchmark of fine-tuning: teacher + D3(BJ) in place of DFT.

The frames to fine-tune on are of small MOFs of the paper that the demo foundation has never
seen, labelled by the teacher of the demo model (SevenNet-0, averaged over inversion) with
D3(BJ) added: a stand-in for PBE-D3(BJ). The replay frames are of the three frameworks that the
demo foundation was distilled on, labelled as it was, without dispersion.

All cells are relaxed first by what labels them (positions only), then strained by about 1 %
and rattled by 0.01 to 0.06 A, which is about as far as atoms go at 300 K.

Example
-------
``python benchmarks/fine_tuning_frames.py --reference ../shared/reference --work build/ft``
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.mixing import SumCalculator
from demo_frames import (
    framework,
    make_teacher,
    random_strain,
    rattled,
    relax,
    strained,
)
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from mofonon.potentials.factory import d3_calculator

SEED = 2026
#: MOFs to train on, with frames of each: zinc azolates, with all that the held-out one of the
#: family is made of. ZnN4 nodes with 5-aminotetrazolate; ZnN3O nodes with
#: 3-amino-1,2,4-triazolate and carbonate; ZnN6 with 1,2,4-triazolate; ZnN5 with a bistetrazole;
#: Zn4O with pyrazolate-carboxylate; ZnN3O with purinate and acetate.
TRAIN = {
    "qmof-f75eb5a": 40,
    "qmof-4cd6b6d": 40,
    "qmof-1339fce": 20,
    "qmof-4333405": 20,
    "qmof-15f1bb8": 10,
    "qmof-7979b73": 20,
}
#: MOFs held out. In the family: the node of the first of those above with the linker of the
#: second; no frame of it. Others: Zn4O with small carboxylates, Zn2 paddle wheels with
#: naphthalene.
TEST_IN_FAMILY = {"qmof-2a5ad82": 10}
TEST_OTHER = {"qmof-95ec286": 6, "qmof-e300fed": 4}
#: What the demo foundation was distilled on.
REPLAY = {"Zn(CN)2": 36, "Zn-MOF-74": 15, "MOF-5": 6}
AMPLITUDES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06)
#: Relaxation before: largest force (eV/A) and steps.
FMAX, STEPS = 0.02, 60


def relaxed(work: Path, name: str, published: Atoms, calculator: Calculator) -> Atoms:
    """Relax positions by what labels them; the result is kept as ``relaxed/NAME.cif``."""
    atoms, _, evaluations = relax(published, calculator, FMAX, STEPS, free_cell=False)
    print(name, "relaxed in", evaluations, "evaluations", flush=True)
    path = work / "relaxed" / f"{name}.cif"
    path.parent.mkdir(parents=True, exist_ok=True)
    CifWriter(AseAtomsAdaptor.get_structure(atoms), significant_figures=10).write_file(path)
    return atoms


def around(atoms: Atoms, count: int, seed: list[int]) -> list[Atoms]:
    """Rattled (A) and strained (about 1 %) copies, reproducible."""
    rng = np.random.default_rng([SEED, *seed])
    return [
        rattled(
            strained(atoms, random_strain(0.012, rng)), AMPLITUDES[i % len(AMPLITUDES)], rng
        )
        for i in range(count)
    ]


def labelled(frames: list[Atoms], calculator: Calculator, **info: str) -> list[Atoms]:
    """Label frames with mace's keys (eV, eV/A, eV/A^3 as nine numbers)."""
    done = []
    for frame in frames:
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
        atoms.calc = calculator
        forces = atoms.get_forces()
        atoms.info = {
            "REF_energy": atoms.get_potential_energy(),
            "REF_stress": atoms.get_stress(voigt=False).ravel(),
            **info,
        }
        atoms.arrays["REF_forces"] = forces
        atoms.calc = None
        done.append(atoms)
    return done


def reference_mof(reference: Path, name: str) -> Atoms:
    """Primitive cell of one of the paper's curated MOFs."""
    (path,) = (reference / "curated-127").glob(f"{name}.cif*")
    structure = Structure.from_file(path).get_primitive_structure()
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def write(path: Path, frames: list[Atoms]) -> None:
    """Write an extxyz file that is either there as a whole or not at all."""
    part = path.with_suffix(".part")
    ase.io.write(part, frames, format="extxyz")
    part.rename(path)


def make(reference: Path, work: Path) -> None:
    """Write ``train``, ``valid``, ``test``, ``replay`` and ``replay-test`` extxyz files."""
    work.mkdir(parents=True, exist_ok=True)
    teacher = make_teacher()
    with_d3 = SumCalculator([teacher, d3_calculator()])
    parts: dict[str, list[Atoms]] = {name: [] for name in ("train", "valid", "test")}
    for number, (name, count) in enumerate(TRAIN.items()):
        atoms = relaxed(work, name, reference_mof(reference, name), with_d3)
        frames = around(atoms, count, [number])
        done = labelled(frames, with_d3, mof=name, origin="rattle")
        for index, frame in enumerate(done):
            part = {4: "valid", 9: "test"}.get(index % 10, "train")
            frame.info["family"] = "trained MOF"
            parts[part].append(frame)
        print(name, flush=True)
    for start, family, mofs in (
        (100, "in family", TEST_IN_FAMILY),
        (150, "other", TEST_OTHER),
    ):
        for seed, (name, count) in enumerate(mofs.items(), start):
            atoms = relaxed(work, name, reference_mof(reference, name), with_d3)
            frames = around(atoms, count, [seed])
            parts["test"] += labelled(frames, with_d3, mof=name, origin="rattle", family=family)
            print(name, flush=True)
    replay: dict[str, list[Atoms]] = {"replay": [], "replay-test": []}
    for number, (name, count) in enumerate(REPLAY.items()):
        atoms = relaxed(work, name, framework(name), teacher)
        frames = around(atoms, count, [200 + number])
        for index, frame in enumerate(labelled(frames, teacher, mof=name, origin="rattle")):
            replay["replay-test" if index % 3 == 2 else "replay"].append(frame)
        print(name, flush=True)
    for part, members in {**parts, **replay}.items():
        write(work / f"{part}.extxyz", members)
        print(part, len(members), sum(map(len, members)), "atoms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--reference", type=Path, required=True, help="the paper's data")
    parser.add_argument("--work", type=Path, required=True, help="where the frames are written")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    make(options.reference, options.work)
