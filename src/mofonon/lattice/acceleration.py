"""Check of an accelerated evaluation by what counts: the frequencies."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from mofonon.errors import PotentialError
from mofonon.lattice.mesh import mesh_modes
from mofonon.lattice.phonons import displaced_supercells, set_force_constants, supercell_forces
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import PotentialSpec, make_calculator

#: Largest difference of a frequency that an acceleration may make (THz).
TOLERANCE = 1e-4


def check_acceleration(
    atoms: Atoms,
    spec: PotentialSpec,
    settings: PhononSettings,
    tolerance: float = TOLERANCE,
) -> float:
    """Compare frequencies with and without cuequivariance on the mesh.

    Parameters
    ----------
    atoms : Atoms
        A relaxed cell.
    spec : PotentialSpec
        A MACE model; whether its ``enable_cueq`` is set does not matter.
    settings : PhononSettings
        Supercell, displacements, mesh.
    tolerance : float
        Largest difference allowed (THz).

    Returns
    -------
    float
        The largest difference (THz).

    Raises
    ------
    MissingDependencyError
        When cuequivariance is not installed.
    PotentialError
        When a frequency differs by more.
    """
    fast, plain = (
        make_calculator(spec.model_copy(update={"enable_cueq": enabled}))
        for enabled in (True, False)
    )
    return compare_frequencies(atoms, fast, plain, settings, tolerance)


def compare_frequencies(
    atoms: Atoms,
    calculator: BaseCalculator,
    reference: BaseCalculator,
    settings: PhononSettings,
    tolerance: float = TOLERANCE,
) -> float:
    """Largest difference of the frequencies of two calculators on the mesh (THz).

    Raises
    ------
    PotentialError
        When it is above ``tolerance`` (THz).
    """
    frequencies = []
    for each in (calculator, reference):
        phonon = displaced_supercells(atoms, settings)
        set_force_constants(phonon, supercell_forces(phonon, each).displaced)
        frequencies.append(mesh_modes(phonon, settings.mesh).frequencies)
    difference = float(np.abs(frequencies[0] - frequencies[1]).max())
    if not difference <= tolerance:
        raise PotentialError(
            f"frequencies differ by {difference:.1e} THz, more than {tolerance:g} THz",
            "evaluate without the acceleration (leave --cueq out)",
        )
    return difference
