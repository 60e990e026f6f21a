"""(5) Scaling with atoms and displacements: what everything costs besides the model.

For MOFs of the paper's set (28 to 760 atoms; MOFONON_REFERENCE names the folder of the paper's
data) and the shipped ones: displaced supercells by the default and by the paper's way, and the
CPU seconds of displacements, force constants and analysis with springs for forces (a toy of
milliseconds an evaluation), and of one displaced supercell by a model. The supercell is the
cell itself above 200 atoms, 2x2x2 below.

    python benchmarks/scaling.py [--mesh 3] [--largest 400] [--model demo]
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import ROOT, STRUCTURES, clock, peak_memory_gb, save, set_threads

set_threads()
sys.path.insert(0, str(ROOT / "benchmarks" / "workers"))

import numpy as np
from phonopy import Phonopy
from shared import Springs

from mofonon.errors import MofononError
from mofonon.lattice.analysis import analyse_phonons
from mofonon.lattice.phonons import (
    displaced_supercells,
    set_force_constants,
    single_displacements,
    supercell_forces,
    to_atoms,
)
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.structures import read_structure, to_primitive

ONE, TWO = (((n, 0, 0), (0, n, 0), (0, 0, n)) for n in (1, 2))


def evaluation(phonon: Phonopy, potential: Any) -> float | None:
    """CPU seconds of one displaced supercell, after another; None of unknown elements."""
    first, second = (to_atoms(cell) for cell in phonon.supercells_with_displacements[:2])
    try:
        first.calc = potential
        first.get_forces()
    except MofononError as error:
        print(error.message, file=sys.stderr)
        return None
    second.calc = potential
    with clock() as evaluating:
        second.get_forces()
    return evaluating.cpu


def measure(path: Path, mesh: int, potential: Any) -> dict[str, Any]:
    """One structure."""
    structure = to_primitive(read_structure(path))
    atoms = structure.to_ase_atoms(msonable=False)
    settings = PhononSettings(
        supercell=ONE if len(atoms) > 200 else TWO, mesh=(mesh,) * 3, band_points=2
    )
    paper = settings.model_copy(update={"displacement": 0.001, "plus_minus": "auto"})
    with tempfile.TemporaryDirectory() as folder:
        cell = Path(folder) / "cell.extxyz"
        atoms.write(cell)
        calculator = Springs(str(cell))
    with clock() as displacing:
        phonon = displaced_supercells(atoms, settings)
    with clock() as forcing:
        forces = supercell_forces(phonon, calculator)
    with clock() as solving:
        set_force_constants(phonon, forces.displaced)
    with clock() as analysing:
        analyse_phonons(phonon, settings)
    return {
        "structure": path.stem,
        "atoms": len(atoms),
        "supercell atoms": len(phonon.supercell),
        "displacements": len(single_displacements(phonon)),
        "the paper's way": len(single_displacements(displaced_supercells(atoms, paper))),
        "displacing CPU s": displacing.cpu,
        "toy forces CPU s": forcing.cpu,
        "force constants CPU s": solving.cpu,
        "analysis CPU s": analysing.cpu,
        "evaluation CPU s": evaluation(phonon, potential),
        "peak memory GB": peak_memory_gb(),
    }


def chosen(count: int, largest: int) -> list[Path]:
    """Structures over the sizes of the paper's set, and the shipped ones."""
    reference = Path(os.environ.get("MOFONON_REFERENCE", ROOT.parent / "shared" / "reference"))
    sized = []
    for path in sorted((reference / "curated-127").glob("*.cif")):
        try:
            sized.append((len(to_primitive(read_structure(path))), path))
        except MofononError as error:
            print(path.name, error.message, file=sys.stderr)
    sized = sorted(item for item in sized if item[0] <= largest)
    places = np.linspace(0, len(sized) - 1, count).round().astype(int) if sized else []
    shipped = [
        (len(to_primitive(read_structure(each))), each) for each in STRUCTURES.glob("*.cif")
    ]
    return [path for _, path in sorted([*shipped, *(sized[place] for place in places)])]


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mesh", type=int, default=3)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--largest", type=int, default=760)
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    potential = make_calculator(PotentialSpec.from_name(options.model))
    rows = []
    for path in chosen(options.count, options.largest):
        rows.append(measure(path, options.mesh, potential))
        rows.sort(key=lambda row: row["atoms"])
        notes = [
            *NOTES,
            f"Evaluation: of one displaced supercell by {options.model}, a stand-in.",
        ]
        save("scaling", "Scaling with atoms and displacements", notes, {"structures": rows})


NOTES = [
    "Forces by springs, a toy: the evaluations of a model come on top, one a displacement and",
    "one more. Peak memory: of the process so far, the model with it, in the order of sizes.",
]

if __name__ == "__main__":
    main()
