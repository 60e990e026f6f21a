"""(1) Evaluations and seconds of relaxations to 1e-6 eV/A: ours against ASE's.

    python benchmarks/relaxation.py [FILE...] --by-symmetry --model chgnet

``--by-symmetry`` takes the structures from the paper's curated set by a rule that knows no
results: for each number of operations of the space group (at 0.01 A) the smallest primitive
cell of at most 120 atoms whose elements the potential knows; of equal ones the first by name.
With all elements these are ten, from P1 to Fd-3m. MOFONON_REFERENCE names the folder of the
paper's data.

Each structure is relaxed, cell and positions, as it is and rattled by 0.01 A (seeded), by

- newton: ``mofonon.lattice.relax`` with its defaults,
- lbfgs: L-BFGS on FrechetCellFilter, as in the paper and in janus-core,
- precon: ASE's PreconLBFGS (Exp); a crash of its line search is continued by L-BFGS,
- fix-symmetry: symmetrised at 0.01 A, then L-BFGS under FixSymmetry,
- fire: ASE's FIRE.

All on the same primitive cell, potential and threshold, in one process. A count of a method
that did not arrive within the steps allowed is a lower bound, marked with ``>``. Ratios are
evaluations of L-BFGS over those of newton. The last three run for the structures named by
``--all-methods``. Results are written after each structure.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import ROOT, STRUCTURES, save, set_threads

set_threads()

import numpy as np
from ase import Atoms
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from mofonon.errors import RelaxationNotConverged, UnknownElementError
from mofonon.lattice.relax import lbfgs, precon_lbfgs, relax
from mofonon.potentials import (
    LoggedCalculator,
    PotentialDescription,
    PotentialSpec,
    check_elements,
    describe_potential,
    make_calculator,
)
from mofonon.structures import (
    average_over_operations,
    read_structure,
    space_group,
    to_primitive,
)

FMAX = 1e-6
RATTLE = 0.01
LARGEST = 120
HEADING = "Evaluations and seconds"
METHODS = ("newton", "lbfgs", "precon", "fix-symmetry", "fire")


@dataclass(frozen=True)
class Outcome:
    """One relaxation."""

    converged: bool
    evaluations: int
    seconds: float
    atoms: Atoms
    energy: float
    source: str = ""


def by_newton(
    atoms: Atoms, calculator: LoggedCalculator, max_steps: int
) -> tuple[bool, Atoms, float, str]:
    """Relax by ours."""
    try:
        result = relax(atoms, calculator, FMAX, max_steps=max_steps)
    except RelaxationNotConverged:
        return False, atoms, float("nan"), ""
    record = result.second_order
    if record is None:
        return True, result.atoms, result.energy, result.method
    gain = sum(mode.gain for mode in record.followed)
    followed = sum(mode.amplitude > 0 for mode in record.followed)
    source = (
        f"{record.symmetrisation.order} operations, {record.n_hessian_evaluations} differences"
    )
    source += f", {followed} modes followed ({gain:.1e} eV)" if followed else ""
    return True, result.atoms, result.energy, source


def by_ase(
    minimize: Callable[..., bool],
    atoms: Atoms,
    calculator: LoggedCalculator,
    max_steps: int,
    *,
    symmetric: bool = False,
) -> tuple[bool, Atoms, float, str]:
    """Relax a cell filter by an optimizer of ASE."""
    system = atoms.copy()
    if symmetric:
        structure, _ = average_over_operations(AseAtomsAdaptor.get_structure(system), 0.01)
        system = AseAtomsAdaptor.get_atoms(structure, msonable=False)
        system.set_constraint(FixSymmetry(system, symprec=1e-5))
    system.calc = calculator
    converged = minimize(FrechetCellFilter(system), FMAX, max_steps, lambda _: None)
    return converged, system, float(system.get_potential_energy()), ""


def by_fire(
    target: FrechetCellFilter, fmax: float, max_steps: int, _: Callable[[float], None]
) -> bool:
    """Relax by FIRE."""
    return bool(FIRE(target, logfile=None).run(fmax=fmax, steps=max_steps))


def run(method: str, atoms: Atoms, potential: object, max_steps: int) -> Outcome:
    """Relax a structure by a method."""
    calculator = LoggedCalculator(potential)
    begin = time.perf_counter()
    if method == "newton":
        found = by_newton(atoms, calculator, max_steps)
    else:
        minimize = {"precon": precon_lbfgs, "fire": by_fire}.get(method, lbfgs)
        found = by_ase(
            minimize, atoms, calculator, max_steps, symmetric=method == "fix-symmetry"
        )
    converged, relaxed, energy, source = found
    seconds = time.perf_counter() - begin
    bare = Atoms(relaxed.numbers, cell=relaxed.cell, positions=relaxed.positions, pbc=True)
    return Outcome(converged, calculator.n_evaluations, seconds, bare, energy, source)


def difference(one: Atoms, other: Atoms) -> float:
    """Largest difference of a position or cell vector, rigid translation left out (A)."""
    shift = one.get_scaled_positions(wrap=False) - other.get_scaled_positions(wrap=False)
    shift -= np.rint(shift)
    moves = (shift - shift.mean(axis=0)) @ other.cell.array
    lengths = one.cell.cellpar()[:3] - other.cell.cellpar()[:3]
    return float(max(np.linalg.norm(moves, axis=1).max(), np.abs(lengths).max()))


def by_symmetry(potential: PotentialDescription) -> list[Path]:
    """Smallest structure of the paper's set for each number of operations, by size."""
    folder = reference() / "curated-127"
    smallest: dict[int, tuple[int, str, Path]] = {}
    too_large = (LARGEST + 1, "", folder)
    for path in sorted(folder.glob("*.cif")):
        structure = to_primitive(read_structure(path), 1e-5)
        order = len(SpacegroupAnalyzer(structure, 0.01).get_symmetry_operations())
        candidate = (len(structure), path.stem, path)
        if candidate >= smallest.get(order, too_large):
            continue
        try:
            check_elements((element.symbol for element in structure.composition), potential)
        except UnknownElementError:
            continue
        smallest[order] = candidate
    if not smallest:
        raise SystemExit(f"there are no CIFs under {folder}: set MOFONON_REFERENCE")
    return [path for _, _, path in sorted(smallest.values())]


def variants(path: Path, seed: int) -> list[tuple[str, Atoms]]:
    """Primitive cell as it is, and rattled."""
    atoms = AseAtomsAdaptor.get_atoms(to_primitive(read_structure(path), 1e-5), msonable=False)
    moves = np.random.default_rng(seed).normal(scale=RATTLE, size=atoms.positions.shape)
    rattled = atoms.copy()
    rattled.positions += moves
    return [("CIF", atoms), ("rattled", rattled)]


def entry(outcome: Outcome | None) -> str | None:
    """Format evaluations and seconds, with > where it did not arrive."""
    if outcome is None:
        return None
    return f"{'' if outcome.converged else '>'}{outcome.evaluations} ({outcome.seconds:.0f} s)"


def row(name: str, kind: str, atoms: Atoms, found: dict[str, Outcome]) -> dict[str, Any]:
    """One line of the table."""
    symbol, _ = space_group(AseAtomsAdaptor.get_structure(atoms), 0.01)
    ours, theirs = found["newton"], found["lbfgs"]
    ratio = theirs.evaluations / ours.evaluations
    # newton's count is a lower bound only where it failed, and then there is no ratio
    shown = f"{'' if theirs.converged else '>'}{ratio:.1f}" if ours.converged else "failed"
    both = ours.converged and theirs.converged
    per_atom = (ours.energy - theirs.energy) / len(atoms)
    return {
        "structure": name,
        "atoms": len(atoms),
        "start": f"CIF, {symbol}" if kind == "CIF" else "rattled",
        **{method: entry(found.get(method)) for method in METHODS},
        "lbfgs/newton": shown,
        "E(newton) - E(lbfgs) (eV/atom)": f"{per_atom:+.1e}" if both else None,
        "difference (A)": f"{difference(ours.atoms, theirs.atoms):.0e}" if both else None,
        "newton took": ours.source,
    }


def mean_ratio(kind: str, rows: list[dict[str, Any]], method: str = "lbfgs") -> str:
    """Geometric mean and least ratio of a set, failures of newton named."""
    arrived = [one for one in rows if one["lbfgs/newton"] != "failed"]
    ratios = [_count(one[method]) / _count(one["newton"]) for one in arrived]
    if not ratios:
        return f"{kind}: newton did not arrive"
    mean = float(np.exp(np.mean(np.log(ratios))))
    failed = len(rows) - len(arrived)
    bounds = sum(one[method].startswith(">") for one in arrived)
    return (
        f"{kind}: geometric mean of {method}/newton {mean:.2f}, least {min(ratios):.2f}, over "
        f"{len(ratios)} structures, {bounds} of them lower bounds ({method} did not arrive)"
        + (f"; newton failed on {failed}." if failed else ".")
    )


def _count(shown: str) -> int:
    return int(shown.lstrip(">").split()[0])


def main() -> None:
    """Measure, print and keep a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="CIFs; none: as --shipped.")
    parser.add_argument("--by-symmetry", action="store_true", help="See above.")
    parser.add_argument("--shipped", action="store_true", help="Those of src/mofonon/data too.")
    parser.add_argument("--model", default="demo")
    parser.add_argument(
        "--all-methods", nargs="*", default=[], help="Names of structures; without, all."
    )
    parser.add_argument("--kinds", nargs="+", default=["CIF", "rattled"])
    parser.add_argument("--max-steps", type=int, default=1500)
    parser.add_argument(
        "--peer-steps", type=int, default=1500, help="Of precon, fix-symmetry and fire."
    )
    parser.add_argument(
        "--most-times", type=int, help="Stop the others at so many times newton's evaluations."
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--append",
        nargs="*",
        type=Path,
        default=[],
        help="Results of earlier runs of this script whose rows are kept; without structures, "
        "only their tables are joined.",
    )
    parser.add_argument(
        "--fill",
        type=Path,
        help="Results of an earlier run with the same potential: the methods that its rows "
        "lack are run, nothing else.",
    )
    parser.add_argument("--note", action="append", default=[], help="Kept with the results.")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    spec = PotentialSpec.from_name(arguments.model)
    potential = make_calculator(spec)
    if arguments.fill:
        fill(arguments, potential)
        return
    rows = [row for path in arguments.append for row in earlier_rows(path)]
    for path in chosen(arguments, describe_potential(spec)):
        every = not arguments.all_methods or path.stem in arguments.all_methods
        for kind, atoms in variants(path, arguments.seed):
            if kind not in arguments.kinds:
                continue
            found = measure(atoms, potential, METHODS if every else METHODS[:2], arguments)
            rows.append(row(path.stem, kind, atoms, found))
            print(rows[-1], flush=True)
            keep(arguments, rows)
    keep(arguments, rows)


def chosen(arguments: argparse.Namespace, potential: PotentialDescription) -> list[Path]:
    """Choose the files of a run: those named, those of the rule, those that are shipped."""
    files = list(arguments.files)
    if arguments.by_symmetry:
        files += by_symmetry(potential)
    if arguments.shipped or not (files or arguments.append):
        files += sorted(STRUCTURES.glob("*.cif"))
    return files


def fill(arguments: argparse.Namespace, potential: Any) -> None:
    """Run the methods that rows of an earlier run lack, from the same starts."""
    rows = earlier_rows(arguments.fill)
    for one in rows:
        kind = one["start"].split(",")[0]
        lacking = [method for method in METHODS if one[method] is None]
        if kind not in arguments.kinds or not lacking:
            continue
        atoms = dict(variants(path_of(one["structure"]), arguments.seed))[kind]
        steps = arguments.peer_steps
        if arguments.most_times:
            steps = min(steps, arguments.most_times * _count(one["newton"]))
        for method in lacking:
            one[method] = entry(run(method, atoms, potential, steps))
        print(one, flush=True)
        keep(arguments, rows)


def path_of(name: str) -> Path:
    """File of a structure, shipped or of the paper's set."""
    shipped = STRUCTURES / f"{name}.cif"
    return shipped if shipped.exists() else reference() / "curated-127" / f"{name}.cif"


def reference() -> Path:
    """Folder of the paper's data."""
    return Path(os.environ.get("MOFONON_REFERENCE", ROOT.parent / "shared" / "reference"))


def measure(
    atoms: Atoms, potential: Any, methods: tuple[str, ...], arguments: argparse.Namespace
) -> dict[str, Outcome]:
    """Relax a structure by methods, newton first."""
    found: dict[str, Outcome] = {}
    for method in methods:
        steps = arguments.max_steps if method in METHODS[:2] else arguments.peer_steps
        if found and found["newton"].converged and arguments.most_times:
            steps = min(steps, arguments.most_times * found["newton"].evaluations)
        found[method] = run(method, atoms, potential, steps)
    return found


def earlier_rows(path: Path) -> list[dict[str, Any]]:
    """Rows that an earlier run left."""
    return list(json.loads(path.read_text())["tables"][HEADING])


def keep(arguments: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Print and write what there is so far."""
    sets = {
        kind: [one for one in rows if one["start"].startswith(kind)]
        for kind in ("CIF", "rattled")
    }
    notes = []
    for method in METHODS[1:]:
        for kind, of_kind in sets.items():
            measured = [one for one in of_kind if one[method] is not None]
            if measured:
                notes.append(mean_ratio(kind, measured, method))
    notes += arguments.note
    notes.append(
        f"Potential: {arguments.model}, a stand-in. Evaluations (wall seconds) to {FMAX:.0e} "
        "eV/A; a > marks runs that were stopped at the count it is before, and makes a lower "
        "bound of their ratio. What is not in src/mofonon/data is of the paper's curated set."
    )
    save(
        f"relaxation_{arguments.model}",
        f"Relaxation of cell and positions, {arguments.model}",
        notes,
        {HEADING: rows},
    )


if __name__ == "__main__":
    main()
