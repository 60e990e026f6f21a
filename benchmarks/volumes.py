"""Evaluations at each volume of a QHA: from the carried Hessian against L-BFGS.

    python benchmarks/volumes.py [NAME...] --volumes 6

Fixed volume, positions and shape free, to 1e-6 eV/A. Ours starts each volume from the relaxed
structure with its Hessian; L-BFGS from the relaxed structure of the volume before, scaled.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

from common import primitive, save, set_threads

set_threads()

import numpy as np
from ase import Atoms

from mofonon.errors import RelaxationNotConverged
from mofonon.lattice.relax import RelaxResult, relax
from mofonon.lattice.second_order import WarmStart
from mofonon.potentials import LoggedCalculator, PotentialSpec, make_calculator

FMAX = 1e-6


def strained(atoms: Atoms, strain: float) -> Atoms:
    """Scale a cell with its atoms."""
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
    return scaled


def at_volumes(
    name: str, potential: Any, strains: list[float], steps: int
) -> list[dict[str, Any]]:
    """One line a volume."""
    relaxed = relax(primitive(f"{name}.cif"), LoggedCalculator(potential), FMAX)
    record = relaxed.second_order
    if record is None or record.hessian is None:
        raise SystemExit(f"{name} has no Hessian to carry")
    rows = []
    neighbour, before = relaxed.atoms, 0.0
    for strain in strains:
        start = WarmStart(record.hessian, strain)
        ours = relax(
            strained(relaxed.atoms, strain),
            LoggedCalculator(potential),
            FMAX,
            cell="fixed-volume",
            start=start,
        )
        theirs = by_lbfgs(
            strained(neighbour, (1 + strain) / (1 + before) - 1), potential, steps
        )
        row = {"structure": name, "linear strain %": 100 * strain}
        row["newton"] = ours.n_force_evaluations
        row["lbfgs"] = f">{steps}" if theirs is None else theirs.n_force_evaluations
        count = steps if theirs is None else theirs.n_force_evaluations
        row["lbfgs/newton"] = count / ours.n_force_evaluations
        if theirs is not None:
            gap = (ours.energy - theirs.energy) / len(ours.atoms)
            row["E(newton) - E(lbfgs) (eV/atom)"] = f"{gap:+.1e}"
        rows.append(row)
        print(row, flush=True)
        neighbour, before = (ours if theirs is None else theirs).atoms, strain
    return rows


def by_lbfgs(atoms: Atoms, potential: Any, steps: int) -> RelaxResult | None:
    """Relax by L-BFGS; None where it does not arrive."""
    try:
        return relax(
            atoms,
            LoggedCalculator(potential),
            FMAX,
            cell="fixed-volume",
            method="lbfgs",
            max_steps=steps,
        )
    except RelaxationNotConverged:
        return None


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", default=["MOF-5", "Zn-MOF-74"])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--volumes", type=int, default=5, help="Besides the relaxed one.")
    parser.add_argument("--largest", type=float, default=0.015, help="Linear strain.")
    parser.add_argument("--max-steps", type=int, default=1500)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    potential = make_calculator(PotentialSpec.from_name(options.model))
    strains = np.linspace(0, options.largest, options.volumes + 1)[1:].tolist()
    tables, notes = {}, []
    for name in options.names:
        rows = at_volumes(name, potential, strains, options.max_steps)
        tables[f"{name}, {options.model}"] = rows
        mean = float(np.exp(np.mean(np.log([row["lbfgs/newton"] for row in rows]))))
        notes.append(f"{name}: geometric mean of lbfgs/newton {mean:.2f}.")
        save("volumes", "Relaxation at the volumes of a QHA", [*notes, NOTE], tables)


NOTE = (
    "Fixed volume, positions and shape free, to 1e-6 eV/A. The potential is a stand-in. Newton "
    "starts each volume from the relaxed structure and its Hessian, L-BFGS from its relaxed "
    "structure at the volume before."
)

if __name__ == "__main__":
    main()
