"""The teacher of the demo model, and the frames that it labels.

Two sets: frames of the demo structures and a few simple cells, many of each, for smooth
phonons; and frames of cells over 24 elements chosen from the pool of ``demo_cells.py``, a few
of each, so that other frameworks of these elements are not beyond reach.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.geometry import get_distances
from ase.optimize import LBFGS
from demo_cells import ELEMENTS, VACUUM, named, pool, shipped

from mofonon.structures.descriptors import DescriptorCache, describe_frames
from mofonon.structures.farthest_point import farthest_point_sampling
from mofonon.structures.fingerprints import FingerprintSpec

REPOSITORY = Path(__file__).resolve().parents[1]
TEACHER = "7net-0"
SEED = 2026
FRAMEWORKS = ("Zn-MOF-74", "MOF-5", "Zn(CN)2")
SHARE = {"Zn-MOF-74": 1.0, "MOF-5": 0.6, "Zn(CN)2": 1.0}
"""Relative number of frames: one of MOF-5 has 106 atoms."""
MOLECULES = (
    *("H2", "N2", "CO", "CO2", "H2O", "NH3", "CH4", "HCN", "C2H2", "C2H4"),
    *("H2CO", "HCOOH", "CH3OH", "CH3COOH", "CH3CN", "NCCN", "C6H6", "terephthalic acid"),
)
FINGERPRINT = "chgnet"
"""Whose features span the pool: it knows all elements and is not the teacher."""
CHOSEN = {
    "nodes": 31, "clusters": 6, "arenes": 24, "crystals": 22, "shells": 56, "molecules": 20,
}  # fmt: skip
"""Cells chosen of each kind, one kind after the other."""
LEAST = 6
"""Cells that there are at least of each element."""

LARGEST_FORCE = 15.0
"""Frames with larger forces (eV/A) teach nothing."""

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

    Frames with two atoms within 0.6 A or a force above ``LARGEST_FORCE`` are left out: no model
    needs them. The labels are ``REF_energy`` (eV), ``REF_forces`` (eV/A) and ``REF_stress``
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
        if np.abs(forces).max() > LARGEST_FORCE:
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


def lengths(atoms: Atoms) -> str:
    """Cell lengths in A as text."""
    return " ".join(f"{x:.3f}" for x in atoms.cell.lengths())


def shortest_distance(atoms: Atoms) -> float:
    """Shortest interatomic distance in A, minimum image."""
    if len(atoms) < 2:
        return np.inf
    distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)[1]
    return float(distances[np.triu_indices(len(atoms), 1)].min())


# --- the cells ---------------------------------------------------------------------------


def framework(name: str) -> Atoms:
    """Primitive cell of one of the demo structures, as published."""
    return named(shipped(name), name)


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
        named(bulk("ZnO", "wurtzite", a=3.25, c=5.21), "ZnO wurtzite"),
        named(bulk("ZnO", "zincblende", a=4.58), "ZnO zincblende"),
        named(bulk("ZnO", "rocksalt", a=4.28), "ZnO rocksalt"),
        named(bulk("C", "diamond", a=3.57), "diamond"),
        named(dry_ice, "dry ice"),
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
        atoms.center(vacuum=VACUUM)
        atoms.pbc = True
        boxed.append(named(atoms, name))
    return boxed


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


# --- the sets ----------------------------------------------------------------------------


def framework_frames(teacher: Calculator) -> list[Atoms]:
    """Many frames of the demo structures and of a few simple cells."""
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
            named(cell, crystal.info["family"]), strains, (0.02, 0.05, 0.1, 0.15), rng
        )
    for boxed in boxed_molecules():
        relaxed, path, _ = relax(boxed, teacher, 0.01, 40, free_cell=False)
        frames += [*path[::3], *around(relaxed, (), (0.01, 0.03, 0.06, 0.1), rng, shear=0.0)]
    return frames


# --- cells chosen from the pool ----------------------------------------------------------


def choose(cells: list[Atoms], descriptors: np.ndarray, known: np.ndarray) -> list[int]:
    """Choose cells that span the pool: farthest points within each kind, then by element.

    Parameters
    ----------
    cells : list of Atoms
        The pool.
    descriptors : ndarray, shape (n_cells, n_features)
        Their fingerprints.
    known : ndarray, shape (n_known, n_features)
        Fingerprints of what is in the training set anyway.
    """
    chosen: list[int] = []

    def extend(rows: list[int], number: int) -> None:
        fixed = np.concatenate([known, descriptors[chosen]])
        keys = [cells[row].info["family"] for row in rows]
        found = farthest_point_sampling(
            descriptors[rows], min(number, len(rows)), fixed_points=fixed, keys=keys
        )
        chosen.extend(rows[int(i)] for i in found.indices)

    for kind, number in CHOSEN.items():
        extend([i for i, atoms in enumerate(cells) if atoms.info["kind"] == kind], number)
    for element in ELEMENTS:
        having = [i for i, atoms in enumerate(cells) if element in atoms.symbols]
        there = sum(i in chosen for i in having)
        if there < LEAST:
            extend([i for i in having if i not in chosen], LEAST - there)
    return chosen


def chosen_cells(work: Path) -> list[Atoms]:
    """Cells of the pool that the model learns from, in the order of choice."""
    cells = pool()
    spec = FingerprintSpec.from_name(FINGERPRINT)
    cache = DescriptorCache(work / "descriptors.sqlite")
    descriptors = describe_frames(cells, spec, batch_atoms=200, cache=cache)[:, 0]
    known = describe_frames([framework(name) for name in FRAMEWORKS], spec)[:, 0]
    chosen = [cells[i] for i in choose(cells, descriptors, known)]
    logger.info("%d of %d cells", len(chosen), len(cells))
    logger.info("elements: %s", Counter(e for c in chosen for e in sorted(set(c.symbols))))
    return chosen


def wide_frames(cells: list[Atoms], teacher: Calculator) -> list[Atoms]:
    """Give a few frames on the way to the teacher's minimum of each cell, and around it."""
    frames: list[Atoms] = []
    for number, atoms in enumerate(cells):
        rng = np.random.default_rng([SEED, 200, *atoms.info["family"].encode()])
        periodic = bool(atoms.info["periodic"])
        relaxed, path, _ = relax(atoms, teacher, 0.05, 14, free_cell=periodic)
        strains = np.array([-4, -1.5, 1.5, 4]) / 100 if atoms.info["kind"] == "crystals" else ()
        amplitudes = (0.01, 0.03, 0.06, 0.1) if len(atoms) < 40 else (0.02, 0.06)
        shear = 0.012 if periodic else 0.0
        frames += [*path[1::3], *around(relaxed, strains, amplitudes, rng, shear=shear)]
        if number % 10 == 0:
            logger.info("  relaxed %d/%d cells", number, len(cells))
    return frames
