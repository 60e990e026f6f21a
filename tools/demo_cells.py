"""Small cells and framework fragments over the 24 elements of the paper's MOFs.

A pool from which the demo model's training set is chosen by farthest points (see
``distill_demo_model.py``). Everything is built here from geometry, textbook lattice constants
and the three structures that ship with mofonon; distances need only be near, the teacher
relaxes what is chosen. Kinds of cells:

* crystals: binary oxides, halides, sulfides, nitrides, phosphides and carbides;
* frameworks that ship, with another divalent metal: M-MOF-74, M(CN)2;
* nodes of MOFs: M4O(HCOO)6 cut from MOF-5, M6O4(OH)4(HCOO)12 of UiO-66, chains
  M(X)(HCOO)2 of MIL-53, formates M(HCOO)3 of ReO3 type, pillars of [Zn(NCH)4][SiF6];
* coordination shells: one metal with anions and neutral ligands, in a box;
* linkers: benzene with one functional group, and closed-shell molecules of the G2 set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.collections import g2
from ase.spacegroup import crystal

STRUCTURES = Path(__file__).resolve().parents[1] / "src" / "mofonon" / "data" / "structures"
ELEMENTS = (
    *("H", "C", "N", "O", "F", "Mg", "Al", "Si", "P", "S", "Cl", "Ti", "Cu", "Zn", "Ga"),
    *("Br", "Sr", "Zr", "Cd", "In", "Sn", "I", "Ce", "Hf"),
)
"""The elements of the paper's 127 MOFs."""
METAL_OXYGEN = {
    "Mg": 2.08, "Al": 1.90, "Si": 1.75, "Ti": 1.95, "Cu": 1.97, "Zn": 2.05, "Ga": 1.97,
    "Sr": 2.55, "Zr": 2.15, "Cd": 2.28, "In": 2.15, "Sn": 2.08, "Ce": 2.35, "Hf": 2.13,
}  # fmt: skip
"""Distance of a metal from oxygen in A, near enough to relax from."""
CHARGE = {
    "Mg": 2, "Al": 3, "Si": 4, "Ti": 4, "Cu": 2, "Zn": 2, "Ga": 3,
    "Sr": 2, "Zr": 4, "Cd": 2, "In": 3, "Sn": 4, "Ce": 4, "Hf": 4,
}  # fmt: skip
COORDINATION = {
    "Mg": (6,), "Al": (6, 4), "Si": (4, 6), "Ti": (6,), "Cu": (4,), "Zn": (4, 6), "Ga": (6, 4),
    "Sr": (8,), "Zr": (8, 6), "Cd": (6, 4), "In": (6,), "Sn": (6, 4), "Ce": (8,), "Hf": (8,),
}  # fmt: skip
DIVALENT = ("Mg", "Cu", "Cd", "Sr")
TRIVALENT = ("Al", "Ga", "In")
TETRAVALENT = ("Zr", "Hf", "Ce")
ANIONS = ("OH", "F", "Cl", "Br", "I", "OCHO", "CN", "SH")
NEUTRALS = ("OH2", "NH3", "NCH", "OCH2", "NC5H5")
VACUUM = 4.0
"""Empty space in A on every side of a molecule or cluster."""


def pool() -> list[Atoms]:
    """All cells.

    Of each, ``info`` has a unique ``family``, its ``kind`` (crystals, nodes, clusters, shells,
    arenes, molecules) and ``periodic``: whether its cell means something, or is a box.
    """
    kinds = {
        "crystals": (list(_crystals()), True),
        "nodes": ([*_substituted(), *_formates(), *_chains(), *_pillars()], True),
        "clusters": ([*_tetranuclear(), *_hexanuclear()], False),
        "shells": (list(_shells()), False),
        "arenes": (list(_arenes()), False),
        "molecules": (list(_molecules()), False),
    }
    for kind, (members, periodic) in kinds.items():
        for atoms in members:
            atoms.info |= {"kind": kind, "periodic": periodic}
            if not periodic:
                atoms.center(vacuum=VACUUM)
                atoms.pbc = True
    return [atoms for members, _ in kinds.values() for atoms in members]


def named(atoms: Atoms, family: str) -> Atoms:
    """Note the name of a cell."""
    atoms.info["family"] = family
    return atoms


# --- crystals ----------------------------------------------------------------------------

ROCKSALT = {
    "MgO": 4.21, "SrO": 5.16, "CdO": 4.70, "TiC": 4.33, "ZrC": 4.70, "HfC": 4.64, "TiN": 4.24,
    "ZrN": 4.58, "HfN": 4.53, "CeN": 5.02, "MgS": 5.20, "SrS": 6.02, "TiO": 4.18, "CeS": 5.78,
    "SnO": 5.00, "CdS": 5.50, "InN": 4.70,
}  # fmt: skip
ZINCBLENDE = {
    "ZnO": 4.58, "ZnS": 5.41, "CdS": 5.83, "CuCl": 5.42, "CuBr": 5.69, "CuI": 6.05, "GaN": 4.50,
    "AlN": 4.38, "InN": 4.98, "AlP": 5.46, "GaP": 5.45, "InP": 5.87, "SiC": 4.36, "SnC": 5.10,
}  # fmt: skip
FLUORITE = {
    "ZrO2": 5.09, "HfO2": 5.06, "CeO2": 5.41, "SrF2": 5.80, "SrCl2": 6.98, "CdF2": 5.39,
    "MgF2": 5.00, "SnO2": 4.95, "SiO2": 4.55, "TiO2": 4.80,
}  # fmt: skip
RUTILE = {
    "TiO2": (4.59, 2.96), "SnO2": (4.74, 3.19), "SiO2": (4.18, 2.67), "MgF2": (4.62, 3.05),
    "ZnF2": (4.70, 3.13),
}  # fmt: skip
CORUNDUM = {"Al2O3": (4.76, 12.99), "Ga2O3": (4.98, 13.43), "In2O3": (5.49, 14.51)}
TRIFLUORIDES = {"AlF3": 3.58, "GaF3": 3.70, "InF3": 4.05, "TiF3": 3.86, "AlO3H3": 3.72}
LAYERED = {
    "MgCl2": (3.64, 5.93), "CdCl2": (3.85, 5.85), "CdBr2": (3.99, 6.20), "CdI2": (4.24, 6.84),
    "ZnBr2": (3.70, 6.10), "SnS2": (3.65, 5.90), "MgBr2": (3.81, 6.26), "MgI2": (4.15, 6.88),
    "TiS2": (3.41, 5.70), "ZrS2": (3.66, 5.82), "HfS2": (3.63, 5.85), "SrI2": (4.80, 7.00),
}  # fmt: skip
TETRAHALIDES = {
    "SiF4": 1.56, "SiCl4": 2.02, "TiCl4": 2.17, "SnCl4": 2.28, "SnBr4": 2.44, "SnI4": 2.64,
    "ZrCl4": 2.33, "HfCl4": 2.32, "CBr4": 1.94, "CI4": 2.15, "SiBr4": 2.20, "TiBr4": 2.31,
}  # fmt: skip


def _crystals() -> Iterator[Atoms]:
    """Crystals of two elements at textbook (or near) lattice constants in A."""
    for name, a in ROCKSALT.items():
        yield named(bulk(name, "rocksalt", a=a, cubic=True), f"{name} rocksalt")
    for name, a in ZINCBLENDE.items():
        yield named(bulk(name, "zincblende", a=a, cubic=True), f"{name} zincblende")
    for name, a in FLUORITE.items():
        basis, cell = [(0, 0, 0), (0.25, 0.25, 0.25)], [a, a, a, 90, 90, 90]
        yield named(_spaced(name, basis, 225, cell), f"{name} fluorite")
    for name, (a, c) in RUTILE.items():
        basis, cell = [(0, 0, 0), (0.305, 0.305, 0)], [a, a, c, 90, 90, 90]
        yield named(_spaced(name, basis, 136, cell), f"{name} rutile")
    for name, (a, c) in CORUNDUM.items():
        basis, cell = [(0, 0, 0.352), (0.306, 0, 0.25)], [a, a, c, 90, 90, 120]
        yield named(_spaced(name, basis, 167, cell), f"{name} corundum")
    for name, (a, c) in LAYERED.items():
        basis, cell = [(0, 0, 0), (1 / 3, 2 / 3, 0.25)], [a, a, c, 90, 90, 120]
        yield named(_spaced(name, basis, 164, cell), f"{name} layers")
    for name, a in TRIFLUORIDES.items():
        yield named(_perovskite_like(name, a), f"{name} ReO3")


def _spaced(
    formula: str, basis: list[tuple[float, float, float]], number: int, cell: list[float]
) -> Atoms:
    """Primitive cell of a crystal of two elements in a space group."""
    return crystal(
        _two_symbols(formula), basis, spacegroup=number, cellpar=cell, primitive_cell=True
    )


def _two_symbols(formula: str) -> list[str]:
    """Give the two elements of a formula like SrCl2."""
    return list(Atoms(formula).symbols.formula.count())


def _perovskite_like(name: str, a: float) -> Atoms:
    """Make a cube: a metal at the corner, F or OH in the middle of each edge."""
    metal = next(iter(Atoms(name).symbols.formula.count()))
    atoms = Atoms(metal, [(0, 0, 0)], cell=[a] * 3, pbc=True)
    for axis in np.eye(3):
        side = np.roll(axis, 1)
        if name.endswith("H3"):
            atoms += Atoms("OH", [axis * a / 2 + 0.4 * side, axis * a / 2 + 1.37 * side])
        else:
            atoms += Atoms("F", [axis * a / 2])
    return atoms


# --- frameworks and their nodes ----------------------------------------------------------


def shipped(name: str) -> Atoms:
    """Primitive cell of a structure that ships with mofonon, as published."""
    from pymatgen.core import Structure
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = Structure.from_file(STRUCTURES / f"{name}.cif").get_primitive_structure()
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def _substituted() -> Iterator[Atoms]:
    """M-MOF-74 and M(CN)2 with the zinc replaced, the cell scaled by the metal's distance."""
    for metal in DIVALENT:
        for name, share in (("Zn-MOF-74", 0.25), ("Zn(CN)2", 0.4)):
            atoms = shipped(name)
            atoms.symbols[atoms.symbols == "Zn"] = metal
            longer = METAL_OXYGEN[metal] / METAL_OXYGEN["Zn"] - 1
            atoms.set_cell(atoms.cell[:] * (1 + share * longer), scale_atoms=True)
            yield named(atoms, name.replace("Zn", metal))


def _formates() -> Iterator[Atoms]:
    """M(HCOO)3: an octahedral metal, a formate along each edge of a cube (13 atoms)."""
    for metal in (*TRIVALENT, "Ti", "Ce"):
        length = 2 * METAL_OXYGEN[metal] + 2.0
        atoms = Atoms(metal, [(0, 0, 0)], cell=[length] * 3, pbc=True)
        for axis in np.eye(3):
            side = np.roll(axis, 1)
            for symbol, along, across in _FORMATE:
                atoms += Atoms(symbol, [(length / 2 + along) * axis + across * side])
        yield named(atoms, f"{metal}(HCOO)3")


_FORMATE = (("C", 0.0, 1.35), ("H", 0.0, 2.45), ("O", 1.1, 0.72), ("O", -1.1, 0.72))
"""Element, place along the bridge from its middle, and place beside it, in A."""


def _chains() -> Iterator[Atoms]:
    """M(X)(HCOO)2 chains of MIL-53: metals along x, X = OH or F and formates bridging them."""
    for metal in TRIVALENT:
        for bridge in ("OH", "F"):
            pitch, reach = 3.3 + 0.8 * (METAL_OXYGEN[metal] - 1.9), METAL_OXYGEN[metal]
            atoms = Atoms(cell=[2 * pitch, 10.0, 10.0], pbc=True)
            for step, sign in enumerate((1, -1)):
                middle = (step + 0.5) * pitch
                atoms += Atoms(metal, [(step * pitch, 0, 0)])
                height = np.sqrt(reach**2 - (pitch / 2) ** 2)
                places = [(middle, sign * height, 0), (middle, sign * (height + 0.97), 0)]
                atoms += Atoms(bridge, places[: len(bridge)])
                for side in (1, -1):
                    out = np.array([0, -1.1 * sign, 1.5 * side]) / np.hypot(1.1, 1.5)
                    radius = np.sqrt(reach**2 - (pitch / 2 - 1.1) ** 2)
                    for symbol, along, across in _FORMATE:
                        place = np.array([middle + along, 0, 0])
                        atoms += Atoms(symbol, [place + (radius - 0.72 + across) * out])
            yield named(atoms, f"{metal}({bridge})(HCOO)2 chain")


def _pillars() -> Iterator[Atoms]:
    """[M(NCH)4][AF6]: pillars of two octahedra along z, with HCN for the linkers."""
    for metal in ("Zn", "Cd", "Cu"):
        for centre, bond in (("Si", 1.70), ("Ti", 1.88), ("Sn", 1.98), ("Zr", 2.02)):
            height = 2 * (METAL_OXYGEN[metal] + bond)
            atoms = Atoms(cell=[10.5, 10.5, height], pbc=True)
            atoms += Atoms([metal, centre], [(0, 0, 0), (0, 0, height / 2)])
            for sign in (1, -1):
                atoms += Atoms("F", [(0, 0, height / 2 + sign * bond)])
                for across in (1, -1):
                    point = bond * np.array([sign, across, 0]) / np.sqrt(2)
                    atoms += Atoms("F", [point + np.array([0, 0, height / 2])])
            for axis in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)):
                first = METAL_OXYGEN[metal] + 0.08
                places = [np.array(axis) * (first + r) for r in (0, 1.16, 2.23)]
                atoms += Atoms("NCH", places)
            yield named(atoms, f"{metal}(NCH)4{centre}F6")


def _tetranuclear() -> Iterator[Atoms]:
    """M4O(HCOO)6, the node of MOF-5 (oxygen in the middle of a tetrahedron of metals)."""
    corners = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]) / np.sqrt(3)
    for metal in ("Zn", "Mg", "Cd"):
        reach = METAL_OXYGEN[metal] - 0.1
        atoms = Atoms("O", [(0, 0, 0)]) + Atoms(f"{metal}4", corners * reach)
        for i in range(4):
            for j in range(i):
                along = corners[j] - corners[i]
                along /= np.linalg.norm(along)
                out = corners[i] + corners[j]
                out /= np.linalg.norm(out)
                half = reach * np.linalg.norm(corners[i] - corners[j]) / 2
                depth = reach * np.linalg.norm(corners[i] + corners[j]) / 2
                rise = depth + np.sqrt(reach**2 - (half - 1.12) ** 2)
                for symbol, place, across in _FORMATE:
                    point = place / 1.1 * 1.12 * along + (rise - 0.72 + across) * out
                    atoms += Atoms(symbol, [point])
        yield named(atoms, f"{metal}4O(HCOO)6")


def _hexanuclear() -> Iterator[Atoms]:
    """M6O4(OH)4(HCOO)12, the node of UiO-66: an octahedron of metals with capped faces."""
    for metal in TETRAVALENT:
        scale = METAL_OXYGEN[metal] / METAL_OXYGEN["Zr"]
        atoms = Atoms()
        axes = np.concatenate([np.eye(3), -np.eye(3)])
        atoms += Atoms(f"{metal}6", 2.49 * axes)
        for signs in np.array(np.meshgrid(*[(1, -1)] * 3)).T.reshape(-1, 3):
            if signs.prod() > 0:
                atoms += Atoms("O", [1.10 * signs])
            else:
                atoms += Atoms("OH", [1.28 * signs, 1.84 * signs])
        for i in range(6):
            for j in range(i):
                if abs(axes[i] @ axes[j]) > 0:
                    continue
                p, q, c, h = 3.54, 1.95, 3.155, 3.93
                atoms += Atoms("OO", [p * axes[i] + q * axes[j], q * axes[i] + p * axes[j]])
                atoms += Atoms("CH", [c * (axes[i] + axes[j]), h * (axes[i] + axes[j])])
        atoms.positions *= scale
        yield named(atoms, f"{metal}6O4(OH)4(HCOO)12")


# --- coordination shells -----------------------------------------------------------------

LIGANDS: dict[str, tuple[tuple[str, float, float, float], ...]] = {
    "F": (("F", 0, 0, 0),),
    "Cl": (("Cl", 0, 0, 0.4),),
    "Br": (("Br", 0, 0, 0.55),),
    "I": (("I", 0, 0, 0.75),),
    "OH": (("O", 0, 0, 0), ("H", 0.85, 0, 0.45)),
    "SH": (("S", 0, 0, 0.4), ("H", 1.30, 0, 0.6)),
    "CN": (("C", 0, 0, 0.1), ("N", 0, 0, 1.27)),
    "OH2": (("O", 0, 0, 0.1), ("H", 0.77, 0, 0.7), ("H", -0.77, 0, 0.7)),
    "NH3": (
        *(("N", 0, 0, 0.1), ("H", 0.94, 0, 0.48)),
        *(("H", -0.47, 0.81, 0.48), ("H", -0.47, -0.81, 0.48)),
    ),
    "NCH": (("N", 0, 0, 0.1), ("C", 0, 0, 1.26), ("H", 0, 0, 2.33)),
    "OCH2": (("O", 0, 0, 0.1), ("C", 0.5, 0, 1.2), ("H", 1.6, 0, 1.25), ("H", -0.1, 0, 2.13)),
    "OCHO": (("O", 0, 0, 0), ("C", 0.6, 0, 1.1), ("H", 0.05, 0, 2.05), ("O", 1.82, 0, 1.2)),
    "NC5H5": (
        *(("N", 0, 0, 0.1), ("C", 1.14, 0, 0.80), ("C", -1.14, 0, 0.80)),
        *(("C", 1.20, 0, 2.19), ("C", -1.20, 0, 2.19), ("C", 0, 0, 2.90)),
        *(("H", 2.06, 0, 0.2), ("H", -2.06, 0, 0.2), ("H", 2.15, 0, 2.72)),
        *(("H", -2.15, 0, 2.72), ("H", 0, 0, 3.98)),
    ),
}
"""Element and place (A) of each atom, the donor near the origin, the metal towards -z."""


def _vertices(number: int) -> np.ndarray:
    """Directions of a tetrahedron, octahedron or square antiprism."""
    if number == 4:
        points = np.array([(1, 1, 1), (-1, -1, 1), (-1, 1, -1), (1, -1, -1)], dtype=float)
    elif number == 6:
        points = np.concatenate([np.eye(3), -np.eye(3)])
    else:
        turns = np.arange(8) * np.pi / 4
        points = np.array(
            [(np.cos(t), np.sin(t), 0.7 * (-1) ** k) for k, t in enumerate(turns)]
        )
    return points / np.linalg.norm(points, axis=1)[:, None]


def _shells() -> Iterator[Atoms]:
    """Each metal with as many anions as its charge, filled up with a neutral ligand."""
    rng = np.random.default_rng(24)
    for metal, charge in CHARGE.items():
        for number in COORDINATION[metal]:
            for anion in ANIONS:
                for neutral in NEUTRALS:
                    filled = number - charge
                    if (filled == 0 and neutral != NEUTRALS[0]) or (
                        neutral == "NC5H5" and filled > 2
                    ):
                        continue
                    ligands = [anion] * charge + [neutral] * filled
                    yield named(
                        _shell(metal, ligands, rng),
                        f"{metal}({anion}){charge}"
                        + (f"({neutral}){filled}" if filled else ""),
                    )


def _shell(metal: str, ligands: list[str], rng: np.random.Generator) -> Atoms:
    """Place ligands at the vertices, turned about their bonds so that they are far apart."""
    atoms = Atoms(metal, [(0, 0, 0)])
    order = rng.permutation(len(ligands))
    for direction, ligand in zip(_vertices(len(ligands))[order], ligands, strict=True):
        tries = [_placed(ligand, direction, METAL_OXYGEN[metal], turn) for turn in range(12)]
        others = atoms.positions
        atoms += max(tries, key=lambda piece: _nearest(piece.positions, others))
    return atoms


def _placed(ligand: str, direction: np.ndarray, distance: float, turn: int) -> Atoms:
    """Place a ligand, its donor at ``distance``, turned about the bond by 30 degrees a turn."""
    symbols = [row[0] for row in LIGANDS[ligand]]
    piece = Atoms(symbols, [row[1:] for row in LIGANDS[ligand]])
    piece.rotate(30 * turn, "z")
    piece.rotate((0, 0, 1), direction)
    piece.positions += distance * direction
    return piece


def _nearest(points: np.ndarray, others: np.ndarray) -> float:
    """Shortest distance between two sets of points in A."""
    return float(np.linalg.norm(points[:, None] - others[None], axis=-1).min())


# --- linkers -----------------------------------------------------------------------------

TETRAHEDRAL = np.array([(0.943, 0, 0.333), (-0.471, 0.816, 0.333), (-0.471, -0.816, 0.333)])
GROUPS: dict[str, tuple[float, tuple[str, float], tuple[str, ...]]] = {
    "CH3": (1.51, ("C", 1.09), ("H", "H", "H")),
    "CF3": (1.51, ("C", 1.35), ("F", "F", "F")),
    "CCl3": (1.52, ("C", 1.78), ("Cl", "Cl", "Cl")),
    "SiH3": (1.87, ("Si", 1.48), ("H", "H", "H")),
    "SiF3": (1.84, ("Si", 1.59), ("F", "F", "F")),
    "SnH3": (2.14, ("Sn", 1.72), ("H", "H", "H")),
    "SnCl3": (2.10, ("Sn", 2.32), ("Cl", "Cl", "Cl")),
    "SO3H": (1.77, ("S", 1.50), ("O", "O", "OH")),
    "PO3H2": (1.80, ("P", 1.54), ("O", "OH", "OH")),
    "NH2": (1.40, ("N", 1.01), ("H", "H")),
    "NO2": (1.47, ("N", 1.22), ("O", "O")),
    "PH2": (1.83, ("P", 1.42), ("H", "H")),
    "COOH": (1.48, ("C", 1.28), ("O", "OH")),
    "CHO": (1.47, ("C", 1.15), ("O", "H")),
    "CN": (1.44, ("C", 1.16), ("N",)),
    "SH": (1.77, ("S", 1.34), ("H",)),
    "OH": (1.36, ("O", 0.97), ("H",)),
    "F": (1.35, ("F", 0.0), ()),
    "Cl": (1.74, ("Cl", 0.0), ()),
    "Br": (1.90, ("Br", 0.0), ()),
    "I": (2.10, ("I", 0.0), ()),
}
"""Bond to the ring (A); the atom bound to it and its bonds (A); what it is bound to."""


def _arenes() -> Iterator[Atoms]:
    """Benzene with one functional group, or with two of them in para position."""
    for name in GROUPS:
        ring = molecule("C6H6")
        carbon = [atom.index for atom in ring if atom.symbol == "C"]
        for number in (1, 2):
            copy = ring.copy()
            for index in (carbon[0], _opposite(ring, carbon[0]))[:number]:
                copy = _with_group(copy, ring.positions[index], name)
            yield named(copy, f"C6H{6 - number}({name}){number}")


def _opposite(ring: Atoms, index: int) -> int:
    """Find the carbon atom across a ring that is centred at the origin."""
    distances = np.linalg.norm(ring.positions + ring.positions[index], axis=1)
    return int(np.argmin(np.where(ring.symbols == "C", distances, np.inf)))


def _with_group(atoms: Atoms, carbon: np.ndarray, name: str) -> Atoms:
    """Replace the hydrogen atom at a ring's carbon atom by a group."""
    away = carbon / np.linalg.norm(carbon)
    hydrogen = np.linalg.norm(atoms.positions - carbon - 1.09 * away, axis=1).argmin()
    kept = atoms[[i for i in range(len(atoms)) if i != hydrogen]]
    bond, (centre, length), arms = GROUPS[name]
    if len(arms) == 3:
        directions = TETRAHEDRAL
    elif len(arms) == 2:
        directions = np.array([(0.866, 0, 0.5), (-0.866, 0, 0.5)])
    else:
        directions = np.array([(0, 0, 1.0)]) if name == "CN" else np.array([(0.94, 0, 0.34)])
    group = Atoms(centre, [(0, 0, 0)])
    for arm, direction in zip(arms, directions, strict=False):
        upwards = np.array([0.3, 0.3, 1.0]) * (1, 1, 1 if len(arms) > 1 else 0)
        hydrogen_place = length * direction + 0.97 * upwards / np.linalg.norm(upwards)
        places = [length * direction, hydrogen_place]
        group += Atoms(arm, places[: 2 if arm == "OH" else 1])
    group.rotate((0, 0, 1), away)
    group.positions += carbon + bond * away
    return kept + group


def _molecules() -> Iterator[Atoms]:
    """Molecules of the G2 set without unpaired electrons, and tetrahedral halides."""
    for name in g2.names:
        if "s1A1d" in name:  # CH2 and SiH2
            continue
        atoms = molecule(name)
        paired = len(atoms) > 1 and not atoms.get_initial_magnetic_moments().any()
        if paired and set(atoms.symbols) <= set(ELEMENTS):
            yield named(Atoms(atoms.numbers, atoms.positions), name)
    for name, bond in TETRAHALIDES.items():
        centre, halogen = _two_symbols(name)
        yield named(
            Atoms(centre, [(0, 0, 0)]) + Atoms(f"{halogen}4", bond * _vertices(4)),
            f"{name} molecule",
        )
