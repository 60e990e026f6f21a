"""Write docs/reference/vasp-inputs.md anew: the input sets of five MOFs beside MP's.

``python tools/write_vasp_inputs.py FOLDER`` takes the MOFs from FOLDER/curated-127, the
paper's structures.
"""

import sys
import warnings
from itertools import groupby
from pathlib import Path
from typing import Any

from pymatgen.io.vasp.sets import MPRelaxSet, MPStaticSet

from mofonon.dft.potcars import FUNCTIONAL
from mofonon.dft.sets import REASONS, MofRelaxSetGenerator, MofStaticSetGenerator
from mofonon.structures import read_structure

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "vasp-inputs.md"
MOFS = ("MOF-5", "UiO-66", "MOF-74", "MIL-53", "HKUST1")
ABSENT = "-"

HEAD = """# VASP input sets of five MOFs

Every tag of INCAR, the k-points and the POTCARs that `MofRelaxSetGenerator` and
`MofStaticSetGenerator` give for MOF-5, UiO-66, MOF-74, MIL-53 and HKUST1. Where `MPRelaxSet` or
`MPStaticSet` of pymatgen has another value it is in brackets, and the last column has the
reason; a dash is a tag that is not set. The structures are those of Elena et al., npj Comput.
Mater. 11, 125 (2025). `python tools/write_vasp_inputs.py FOLDER` writes this page; a test
compares it with the input sets.
"""


def shown(value: Any) -> str:
    """Write a value as INCAR has it; equal moments of neighbours as ``3*5``."""
    if value is None:
        return ABSENT
    if isinstance(value, list):
        runs = [(len(list(run)), each) for each, run in groupby(value)]
        texts = [f"{count}\\*{each:g}" if count > 1 else f"{each:g}" for count, each in runs]
        return " ".join(texts)
    return f"{value:g}" if isinstance(value, float) else str(value)


def tags(inputs: Any) -> dict[str, str]:
    """INCAR, k-points and POTCARs of an input set as text."""
    incar = {tag: shown(value) for tag, value in sorted(inputs.incar.items())}
    kpoints = inputs.kpoints
    mesh = "x".join(str(n) for n in kpoints.kpts[0])
    style = "Gamma" if kpoints.style.name == "Gamma" else "shifted"
    functional = FUNCTIONAL if "Mof" in type(inputs).__name__ else inputs.user_potcar_functional
    potcar = f"{functional}: {', '.join(inputs.potcar_symbols)}"
    return {**incar, "KPOINTS": f"{mesh} {style}", "POTCAR": potcar}


def table(folder: Path, ours: Any, theirs: Any) -> str:
    """One row a tag: each MOF's value, MP's in brackets where it is another, the reason."""
    columns = []
    for name in MOFS:
        structure = read_structure(folder / "curated-127" / f"{name}.cif")
        columns.append((tags(ours(structure.copy())), tags(theirs(structure.copy()))))
    names = sorted({tag for column in columns for side in column for tag in side})
    names.sort(key=lambda tag: tag in ("KPOINTS", "POTCAR"))
    rows = [f"| | {' | '.join(MOFS)} | why it differs |", "|---" * (len(MOFS) + 2) + "|"]
    for tag in names:
        cells, differs = [], False
        for here, there in columns:
            own, other = here.get(tag, ABSENT), there.get(tag, ABSENT)
            differs = differs or own != other
            cells.append(own if own == other else f"{own} ({other})")
        reason = f" {REASONS[tag]}" if differs else ""
        rows.append(f"| `{tag}` | {' | '.join(cells)} |{reason} |")
    return "\n".join(rows) + "\n"


def page(folder: Path) -> str:
    """Make the page from the paper's structures in a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        relaxation = table(folder, MofRelaxSetGenerator, MPRelaxSet)
        static = table(folder, MofStaticSetGenerator, MPStaticSet)
    return (
        f"{HEAD}\n## Relaxation (MPRelaxSet)\n\n{relaxation}\n"
        f"## Static calculation (MPStaticSet)\n\n{static}"
    )


if __name__ == "__main__":
    PAGE.write_text(page(Path(sys.argv[1])), encoding="utf-8")
