"""Small labelled frames for tests of training: Zn(CN)2, 10 atoms, labelled in seconds.

The "new method" is the demo model with all forces and stresses 1.2 times as large, and
energies to match: a stand-in that a fine-tuning of the demo model learns in a few epochs, made
for tests of the machinery alone.
"""

from pathlib import Path

import numpy as np
from ase import Atoms
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.training import FineTuneSpec
from mofonon.training.frames import write_frames

STRUCTURE = (
    Path(__file__).parents[2] / "src" / "mofonon" / "data" / "structures" / "Zn(CN)2.cif"
)
FACTOR = 1.2


def zinc_cyanide() -> Atoms:
    """The published structure."""
    cell = AseAtomsAdaptor.get_atoms(Structure.from_file(STRUCTURE), msonable=False)
    return Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=True)


def zinc_cyanide_frames(count: int, seed: int) -> list[Atoms]:
    """Rattled and strained cells without labels."""
    rng = np.random.default_rng(seed)
    cell = zinc_cyanide()
    frames = []
    for number in range(count):
        atoms = cell.copy()
        strain = rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.rattle(0.03, rng=rng)
        atoms.info.update(mof_id="Zn(CN)2", origin="md" if number % 2 else "rattle")
        frames.append(atoms)
    return frames


def labelled(frames: list[Atoms], *, new_method: bool) -> list[Atoms]:
    """Label frames by the demo model, or by the new method."""
    calculator = make_calculator(PotentialSpec(family="demo"))
    rest = zinc_cyanide()
    rest.calc = calculator
    at_rest = rest.get_potential_energy()
    factor = FACTOR if new_method else 1.0
    done = []
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        energy = at_rest + factor * (atoms.get_potential_energy() - at_rest)
        forces, stress = factor * atoms.get_forces(), factor * atoms.get_stress(voigt=False)
        atoms.calc = None
        atoms.info.update(REF_energy=energy, REF_stress=stress.ravel())
        atoms.arrays["REF_forces"] = forces
        done.append(atoms)
    return done


def write_dataset(folder: Path, sizes: tuple[int, int, int] = (12, 4, 4)) -> Path:
    """Write train, valid and test of the new method, and ``replay.extxyz`` of the old."""
    frames = labelled(zinc_cyanide_frames(sum(sizes), 1), new_method=True)
    start = 0
    for part, size in zip(("train", "valid", "test"), sizes, strict=True):
        write_frames(folder / f"{part}.extxyz", frames[start : start + size])
        start += size
    old = labelled(zinc_cyanide_frames(12, 2), new_method=False)
    write_frames(folder / "replay.extxyz", old)
    return folder


def small_spec(dataset: Path, **changes: object) -> FineTuneSpec:
    """Multi-head fine-tuning of the demo model for a few epochs."""
    settings: dict[str, object] = {
        "foundation": "demo",
        "replay": str(dataset / "replay.extxyz"),
        "max_epochs": 4,
        "batch_size": 4,
        "lr": 0.002,
        "ema_decay": 0.9,
    }
    return FineTuneSpec(**(settings | changes))
