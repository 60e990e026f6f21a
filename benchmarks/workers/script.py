"""Bare phonopy and ASE: what someone writes for one structure; also a janus-style QHA loop."""

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.optimize import LBFGS
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from qha_fit import expansion_at_300
from shared import folder_bytes, make_calculator, run


def harmonic(atoms: Atoms, calculator: Any, options: dict[str, Any]) -> Phonopy:
    """Displace, evaluate, solve, mesh, thermal properties."""
    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
    )
    phonon = Phonopy(cell, np.diag(options["supercell"]), primitive_matrix=np.eye(3))
    phonon.generate_displacements(distance=0.001)
    forces = []
    for displaced in phonon.supercells_with_displacements:
        system = Atoms(
            displaced.symbols, cell=displaced.cell, positions=displaced.positions, pbc=True
        )
        system.calc = calculator
        forces.append(system.get_forces())
    phonon.forces = forces
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    phonon.run_mesh(options["mesh"])
    # at Gamma they are zero but for noise, and the sums diverge there
    phonon.run_thermal_properties(t_min=0, t_max=1000, t_step=10, exclude_gamma_acoustic=True)
    return phonon


def phonons(options: dict[str, Any]) -> dict[str, Any]:
    """Phonons, and phonopy's file of them."""
    calculator = make_calculator(options["potential"], options["structure"])
    atoms = read(options["structure"])
    if options["relax"]:
        atoms = relaxed(atoms, calculator)
    phonon = harmonic(atoms, calculator, options)
    phonon.auto_band_structure()
    phonon.run_total_dos(freq_pitch=options["pitch"])
    folder = Path(options["folder"])
    phonon.save(folder / "phonopy.yaml", settings={"force_constants": True})
    properties = phonon.thermal_properties
    return {
        "bytes": folder_bytes(folder),
        "displacements": len(phonon.displacements),
        "free_energy_300K": float(properties.free_energy[30]),
    }


def relaxed(atoms: Atoms, calculator: Any, *, constant_volume: bool = False) -> Atoms:
    """Relax to 1e-6 eV/A as the paper and janus-core do."""
    atoms = atoms.copy()
    atoms.calc = calculator
    optimizer = LBFGS(FrechetCellFilter(atoms, constant_volume=constant_volume), logfile=None)
    optimizer.run(fmax=1e-6, steps=2000)
    return atoms


def qha(options: dict[str, Any]) -> dict[str, Any]:
    """Relax, then phonons at each volume, its cell relaxed at fixed volume; phonopy's fit."""
    calculator = make_calculator(options["potential"], options["structure"])
    atoms = relaxed(read(options["structure"]), calculator)
    volumes, energies, thermal = [], [], []
    for strain in np.linspace(*options["strains"], options["volumes"]):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
        strained = relaxed(strained, calculator, constant_volume=True)
        phonon = harmonic(strained, calculator, options)
        volumes.append(strained.get_volume())
        energies.append(strained.get_potential_energy())
        thermal.append(phonon.get_thermal_properties_dict())
    return {"expansion_300K": expansion_at_300(volumes, energies, thermal)}


if __name__ == "__main__":
    run({"phonons": phonons, "qha": qha}, "phonopy")
