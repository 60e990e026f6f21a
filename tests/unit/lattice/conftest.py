"""Small crystals with exact or cheap lattice dynamics."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from phonopy import Phonopy

from mofonon.lattice.phonons import to_phonopy_atoms


@pytest.fixture(scope="session")
def aluminium() -> Atoms:
    """Aluminium in a primitive cell, at the minimum of ASE's EMT."""
    return bulk("Al", "fcc", a=3.9949)


@pytest.fixture(scope="session")
def spring_chain() -> Phonopy:
    """Linear chain of two masses and one spring along z, stiff bonds in x and y.

    Force constant 5 eV/A^2 between neighbours along the chain; none across chains.
    """
    masses = (20.0, 80.0)
    cell = Atoms("NaCl", cell=[30.0, 30.0, 4.0], positions=[[0, 0, 0], [0, 0, 2.0]], pbc=True)
    unit = to_phonopy_atoms(cell)
    unit.masses = masses
    phonon = Phonopy(unit, np.diag([1, 1, 6]), primitive_matrix="P")
    n_atoms = len(phonon.supercell)
    z = phonon.supercell.positions[:, 2]
    length = phonon.supercell.cell[2, 2]
    constants = np.zeros((n_atoms, n_atoms, 3, 3))
    for i in range(n_atoms):
        for j in range(n_atoms):
            distance = abs(z[i] - z[j])
            if np.isclose(min(distance, length - distance), 2.0):
                constants[i, j] = -np.diag([0.0, 0.0, 5.0])
        constants[i, i] = -constants[i].sum(axis=0)
    phonon.force_constants = constants
    return phonon
