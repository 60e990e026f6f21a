"""Where newton and L-BFGS end in different minima: what are they, and why.

    python benchmarks/minima.py qmof-3b672a9 qmof-df82873 [--model demo] [--judge sevennet]

For CIFs of the paper's curated set (MOFONON_REFERENCE names the folder of its data), in the
primitive cell, all free, to 1e-6 eV/A: the end of newton, of newton within the symmetry of the
CIF (``--symmetry keep``), without symmetry (``--symmetry none``), of L-BFGS, and of newton from
where L-BFGS ended. At each the Hessian of all positions and strains by central differences of
1e-3 A, one coordinate after the other: no symmetry and nothing of the optimizer in it. A second
potential (``--judge``) gives its energies of the same structures: whether it agrees which of
them is the lowest.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

from common import save, set_threads

set_threads()

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from numpy.typing import NDArray
from pymatgen.io.ase import AseAtomsAdaptor
from relaxation import FMAX, path_of, variants

from mofonon.errors import RelaxationNotConverged
from mofonon.lattice.joint_coordinates import JointCoordinates
from mofonon.lattice.relax import RelaxResult, relax
from mofonon.lattice.symmetry_actions import SymmetryActions
from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.structures import space_group
from mofonon.structures.bonds import bonds

Floats = NDArray[np.float64]

STEP = 1e-3
NEGATIVE = -1e-3
WAYS: dict[str, dict[str, Any]] = {
    "newton": {},
    "newton, symmetry keep": {"symmetry": "keep"},
    "newton, symmetry none": {"symmetry": "none"},
    "lbfgs": {"method": "lbfgs"},
}


def curvatures(atoms: Atoms, calculator: Any) -> Floats:
    """Eigenvalues of the Hessian of positions and strains, translations left out (eV/A^2)."""
    system = atoms.copy()
    system.calc = calculator
    target = FrechetCellFilter(system)
    coordinates = JointCoordinates.of(target)
    origin = coordinates.rows(target.get_positions())

    def gradient(rows: Floats) -> Floats:
        target.set_positions(coordinates.x(rows).reshape(-1, 3))
        return coordinates.gradient(-target.get_forces()).ravel()

    basis = coordinates.basis(SymmetryActions.trivial(len(system)))
    columns = []
    for vector in np.asarray(basis.T).reshape(-1, *origin.shape):
        ahead, behind = gradient(origin + STEP * vector), gradient(origin - STEP * vector)
        columns.append(basis.T @ (ahead - behind) / (2 * STEP))
    hessian = np.array(columns)
    return np.asarray(np.linalg.eigvalsh((hessian + hessian.T) / 2))


def bonded(atoms: Atoms) -> set[tuple[int, int]]:
    """Pairs of atoms that are bonded by covalent radii, images not told apart."""
    pairs = bonds(AseAtomsAdaptor.get_structure(atoms))
    return {(min(i, j), max(i, j)) for i, j in zip(pairs.first, pairs.second, strict=True)}


def moved(atoms: Atoms, start: Atoms) -> float:
    """Largest displacement of an atom, the strain and a rigid translation left out (A)."""
    shift = atoms.get_scaled_positions(wrap=False) - start.get_scaled_positions(wrap=False)
    shift -= np.rint(shift)
    shift -= shift.mean(axis=0)
    return float(np.linalg.norm(shift @ start.cell.array, axis=1).max())


def energy(atoms: Atoms, calculator: Any) -> float:
    """Energy of an atom of a structure (eV)."""
    system = atoms.copy()
    system.calc = calculator
    return float(system.get_potential_energy()) / len(system)


def row(
    name: str, end: str, atoms: Atoms, start: Atoms, potential: Any, judge: Any
) -> dict[str, Any]:
    """One end of a relaxation."""
    values = curvatures(atoms, potential)
    lost, made = bonded(start) - bonded(atoms), bonded(atoms) - bonded(start)
    return {
        "structure": name,
        "end of": end,
        "E": energy(atoms, potential),
        "E of the judge": energy(atoms, judge),
        "volume (A^3)": f"{atoms.get_volume():.1f}",
        "cell (A, deg)": " ".join(f"{value:.2f}" for value in atoms.cell.cellpar()),
        "space group at 0.01 A": space_group(AseAtomsAdaptor.get_structure(atoms), 0.01)[0],
        "moved (A)": f"{moved(atoms, start):.2f}",
        "bonds lost, made": f"{len(lost)}, {len(made)}",
        "lowest (eV/A^2)": f"{values[0]:+.4f}",
        "negative": int((values < NEGATIVE).sum()),
    }


def ends(start: Atoms, potential: Any, steps: int) -> dict[str, RelaxResult]:
    """Relax by all ways; those that do not arrive are left out."""
    found = {}
    for end, options in WAYS.items():
        try:
            found[end] = relax(start, potential, FMAX, max_steps=steps, **options)
        except RelaxationNotConverged as error:
            print(f"{end}: {error.message}", flush=True)
    if "lbfgs" in found:
        found["newton from there"] = relax(found["lbfgs"].atoms, potential, FMAX)
    return found


def relative(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Energies over that of the first, in meV of an atom."""
    first = {name: rows[0][name] for name in ("E", "E of the judge")}
    return [
        {
            f"{key} (meV/atom)" if key in first else key: f"{1000 * (value - first[key]):+.3f}"
            if key in first
            else value
            for key, value in one.items()
        }
        for one in rows
    ]


def main() -> None:
    """Relax, look at the ends, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--judge", default="sevennet")
    parser.add_argument("--max-steps", type=int, default=1500)
    parser.add_argument("--structures", type=Path, help="Folder to write the ends to.")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    potential = make_calculator(PotentialSpec.from_name(options.model))
    judge = make_calculator(PotentialSpec.from_name(options.judge))
    rows: list[dict[str, Any]] = []
    for name in options.names:
        start = variants(path_of(name), 0)[0][1]
        of_name = []
        for end, result in ends(start, potential, options.max_steps).items():
            of_name.append(row(name, end, result.atoms, start, potential, judge))
            print(of_name[-1], flush=True)
            if options.structures:
                options.structures.mkdir(parents=True, exist_ok=True)
                result.atoms.write(options.structures / f"{name}_{end.replace(' ', '-')}.cif")
        rows += relative(of_name)
        save(
            "minima",
            f"Minima where newton and L-BFGS differ, {options.model}",
            [*NOTES, f"Potential: {options.model}, a stand-in; the judge is {options.judge}."],
            {"Ends of relaxations from the CIF": rows},
        )


NOTES = [
    "Energies are relative to newton's end. Moved: largest displacement of an atom from the",
    "CIF, strain left out; bonds by covalent radii, against the CIF. Lowest and the number of",
    "negative eigenvalues: of the Hessian of all positions and strains by central differences.",
]

if __name__ == "__main__":
    main()
