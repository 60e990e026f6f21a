"""matcalc's PhononCalc; its mesh is phonopy's default, not the one asked of the others."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read
from matcalc import PhononCalc
from shared import folder_bytes, make_calculator, run


def phonons(options: dict[str, Any]) -> dict[str, Any]:
    """Phonons with bands, DOS and phonopy's file."""
    os.chdir(options["folder"])
    calculation = PhononCalc(
        make_calculator(options["potential"], options["structure"]),
        atom_disp=0.001,
        supercell_matrix=np.diag(options["supercell"]).tolist(),
        fmax=1e-6,
        max_steps=2000,
        optimizer="LBFGS",
        relax_structure=options["relax"],
        write_band_structure="bands.yaml",
        write_total_dos="dos.dat",
    )
    result = calculation.calc(read(options["structure"]))
    return {
        "bytes": folder_bytes(Path.cwd()),
        "displacements": len(result["phonon"].displacements),
        "free_energy_300K": float(result["thermal_properties"]["free_energy"][30]),
    }


if __name__ == "__main__":
    run({"phonons": phonons}, "matcalc")
