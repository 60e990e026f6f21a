"""janus-core's phonons, with its own relaxation where asked for, and a QHA of them.

janus-core has no QHA. Its way is the one of the paper: relax, strain the cell as its equation
of state does, and at each volume its phonons, which relax first (L-BFGS, at fixed volume here).
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read
from janus_core.calculations.geom_opt import GeomOpt
from janus_core.calculations.phonons import Phonons
from qha_fit import expansion_at_300
from shared import folder_bytes, make_calculator, run


def _tight(**more: Any) -> dict[str, Any]:
    """Relax as tightly as the paper; symmetry is restored afterwards."""
    return {"fmax": 1e-6, "steps": 2000, "symmetrize": True, **more}


def _phonons(
    atoms: Atoms, options: dict[str, Any], minimize: dict[str, Any] | None, **more: Any
) -> Phonons:
    return Phonons(
        struct=atoms,
        supercell=options["supercell"],
        displacement=0.001,
        mesh=tuple(options["mesh"]),
        symmetrize=True,
        minimize=minimize is not None,
        minimize_kwargs=minimize,
        temp_step=10.0,
        track_carbon=False,
        **more,
    )


def phonons(options: dict[str, Any]) -> dict[str, Any]:
    """Bands, DOS and thermal properties, written to files as janus does."""
    os.chdir(options["folder"])
    atoms = read(options["structure"])
    atoms.calc = make_calculator(options["potential"], options["structure"])
    phonon = _phonons(
        atoms,
        options,
        _tight() if options["relax"] else None,
        calcs=("bands", "dos", "thermal"),
        dos_kwargs={"freq_pitch": options["pitch"]},
    )
    phonon.run()
    properties = phonon.results["thermal_properties"]
    return {
        "bytes": folder_bytes(Path.cwd()),
        "displacements": len(phonon.results["phonon"].displacements),
        "free_energy_300K": float(properties["free_energy"][30]),
    }


def qha(options: dict[str, Any]) -> dict[str, Any]:
    """Phonons and thermal properties at each volume, no bands or densities of states."""
    os.chdir(options["folder"])
    atoms = read(options["structure"])
    atoms.calc = make_calculator(options["potential"], options["structure"])
    relaxation = GeomOpt(atoms, track_carbon=False, **_tight())
    relaxation.run()
    atoms = relaxation.struct
    volumes, energies, thermal, displacements = [], [], [], []
    for strain in np.linspace(*options["strains"], options["volumes"]):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
        strained.calc = atoms.calc
        phonon = _phonons(
            strained,
            options,
            _tight(filter_kwargs={"constant_volume": True}),
            calcs=("thermal",),
            file_prefix=f"strain{strain:+.4f}",
        )
        phonon.run()
        volumes.append(phonon.struct.get_volume())
        energies.append(phonon.struct.get_potential_energy())
        thermal.append(phonon.results["thermal_properties"])
        displacements.append(len(phonon.results["phonon"].displacements))
    return {
        "bytes": folder_bytes(Path.cwd()),
        "displacements": displacements,
        "expansion_300K": expansion_at_300(volumes, energies, thermal),
    }


if __name__ == "__main__":
    run({"phonons": phonons, "qha": qha}, "janus-core")
