"""janus-core's phonons, with its own relaxation where asked for."""

import os
from pathlib import Path
from typing import Any

from ase.io import read
from janus_core.calculations.phonons import Phonons
from shared import folder_bytes, make_calculator, run


def phonons(options: dict[str, Any]) -> dict[str, Any]:
    """Bands, DOS and thermal properties, written to files as janus does."""
    os.chdir(options["folder"])
    atoms = read(options["structure"])
    atoms.calc = make_calculator(options["potential"], options["structure"])
    phonon = Phonons(
        struct=atoms,
        calcs=("bands", "dos", "thermal"),
        supercell=options["supercell"],
        displacement=0.001,
        mesh=tuple(options["mesh"]),
        symmetrize=True,
        minimize=options["relax"],
        minimize_kwargs={"fmax": 1e-6, "steps": 2000} if options["relax"] else None,
        dos_kwargs={"freq_pitch": options["pitch"]},
        temp_step=10.0,
        track_carbon=False,
    )
    phonon.run()
    properties = phonon.results["thermal_properties"]
    return {
        "bytes": folder_bytes(Path.cwd()),
        "displacements": len(phonon.results["phonon"].displacements),
        "free_energy_300K": float(properties["free_energy"][30]),
    }


if __name__ == "__main__":
    run({"phonons": phonons}, "janus-core")
