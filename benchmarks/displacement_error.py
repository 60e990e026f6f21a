"""Frequency error against the displacement, for several ways to displace.

All frequencies at Gamma of a structure relaxed with each potential, against central
differences of 1e-4 A in float64: one-sided in generic directions (the default), the same
without subtracting the undisplaced forces, phonopy's displacements both ways where symmetry
calls for it (the paper's way, at 1e-3 A), and both of them in float32. Writes the figure of
docs/phonons.md.

    python benchmarks/displacement_error.py [--potentials demo chgnet]

CHGNet's second derivatives are rough: central differences of 1e-4 A are no reference for it,
and what is shown is how much its frequencies depend on the scheme.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from common import ROOT, primitive, save, set_threads

set_threads()

import numpy as np

from mofonon.lattice.mesh import gamma_modes
from mofonon.lattice.phonons import (
    displaced_supercells,
    set_force_constants,
    supercell_forces,
)
from mofonon.lattice.relax import relax
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import PotentialSpec, make_calculator

SUPERCELL = {"Zn(CN)2.cif": 2, "Zn-MOF-74.cif": 1, "MOF-5.cif": 1}
LENGTHS = [1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7]
SCHEMES: dict[str, dict[str, Any]] = {
    "one-sided, generic directions": {"plus_minus": False},
    "one-sided, undisplaced forces not subtracted": {"plus_minus": False, "residual": True},
    "phonopy's, both ways where needed": {"plus_minus": "auto"},
    "phonopy's, always both ways": {"plus_minus": True},
    "one-sided, generic directions, float32": {"plus_minus": False, "dtype": "float32"},
    "phonopy's, always both ways, float32": {"plus_minus": True, "dtype": "float32"},
}

NOTE = (
    "All modes at Gamma against central differences of 1e-4 A in float64; figure in "
    "docs/phonons.md. CHGNet's second derivatives are rough: its figures say how much its "
    "frequencies depend on the scheme."
)


def frequencies(atoms: Any, calculator: Any, size: int, length: float, scheme: dict) -> Any:
    """Frequencies at Gamma (THz) and the number of evaluations."""
    settings = PhononSettings(
        supercell=tuple(tuple(row) for row in (size * np.eye(3, dtype=int)).tolist()),
        displacement=length,
        plus_minus=scheme["plus_minus"],
    )
    phonon = displaced_supercells(atoms, settings)
    forces = supercell_forces(phonon, calculator)
    displaced = forces.displaced
    if scheme.get("residual") and forces.residual is not None:
        displaced = displaced + forces.residual
    set_force_constants(phonon, displaced)
    count = len(displaced) + (forces.residual is not None)
    return gamma_modes(phonon).frequencies, count


def scan(name: str, potential: str) -> list[dict[str, Any]]:
    """Errors of all schemes and lengths for a structure and a potential."""
    calculators = {
        dtype: make_calculator(PotentialSpec.from_name(potential, dtype=dtype))
        for dtype in ("float64", "float32")
    }
    size = SUPERCELL[name]
    relaxed = relax(primitive(name), calculators["float64"], fmax=1e-6).atoms
    central = SCHEMES["phonopy's, always both ways"]
    reference, _ = frequencies(relaxed, calculators["float64"], size, 1e-4, central)
    rows = []
    for label, scheme in SCHEMES.items():
        calculator = calculators[scheme.get("dtype", "float64")]
        for length in LENGTHS:
            found, count = frequencies(relaxed, calculator, size, length, scheme)
            error = np.abs(found - reference)
            row = {
                "structure": name.removesuffix(".cif"),
                "potential": potential,
                "scheme": label,
                "displacement A": length,
                "evaluations": count,
                "largest error THz": float(error.max()),
                "rms error THz": float(np.sqrt(np.mean(error**2))),
            }
            rows.append(row)
            print(*row.values(), file=sys.stderr, flush=True)
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw one panel for each structure and potential."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys((row["structure"], row["potential"]) for row in rows))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 4.2), sharey=True, squeeze=False
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        for label in SCHEMES:
            chosen = [
                row
                for row in rows
                if (row["structure"], row["potential"]) == panel and row["scheme"] == label
            ]
            style = "--" if "float32" in label else ":" if "not subtracted" in label else "-"
            axis.loglog(
                [row["displacement A"] for row in chosen],
                [row["largest error THz"] or np.nan for row in chosen],  # the reference itself
                style,
                marker="o",
                markersize=3.5,
                label=label,
            )
        axis.set_title(f"{panel[0]}, {'demo MACE' if panel[1] == 'demo' else 'CHGNet'}")
        axis.set_xlabel("displacement (\u00c5)")
        axis.axvline(1e-6, color="0.7", linewidth=0.8, zorder=0)
    axes[0][0].set_ylabel("largest error of a frequency at \u0393 (THz)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=3, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    figure.savefig(path, dpi=150)


def main() -> None:
    """Scan, draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--potentials", nargs="+", default=["demo", "chgnet"])
    parser.add_argument("--structures", nargs="+", default=["Zn(CN)2.cif", "Zn-MOF-74.cif"])
    parser.add_argument(
        "--figure", type=Path, default=ROOT / "docs/images/displacement-error.png"
    )
    options = parser.parse_args()
    rows = [
        row
        for potential in options.potentials
        for name in options.structures
        if potential == "demo" or name == options.structures[0]
        for row in scan(name, potential)
    ]
    draw(rows, options.figure)
    save(
        "displacement_error",
        "Frequency error against the displacement",
        [NOTE],
        {"errors": [row for row in rows if row["displacement A"] in (1e-3, 1e-5, 1e-6)]},
        raw=rows,
    )


if __name__ == "__main__":
    main()
