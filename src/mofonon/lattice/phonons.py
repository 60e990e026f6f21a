"""Displaced supercells, their forces, force constants: phonopy with one potential.

Three steps that a script can call one by one::

    phonon = displaced_supercells(atoms, PhononSettings())
    forces = supercell_forces(phonon, calculator)
    set_force_constants(phonon, forces)
    modes = analyse_phonons(phonon, PhononSettings())
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from mofonon import progress
from mofonon.errors import ForceConstantsError, PrecisionError
from mofonon.lattice.analysis import analyse_phonons
from mofonon.lattice.directions import generic_displacements
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials.evaluations import LoggedCalculator

__all__ = [
    "SupercellForces",
    "analyse_phonons",
    "are_single_precision",
    "displaced_supercells",
    "needs_undisplaced_forces",
    "require_double_precision",
    "set_force_constants",
    "shortest_supercell_height",
    "single_displacements",
    "supercell_forces",
    "symmetrize_force_constants",
    "to_atoms",
    "to_phonopy_atoms",
]

#: Least displacement for which single precision is accepted (A).
LEAST_SINGLE_DISPLACEMENT = 1e-3

#: Forces that are not zero from which their precision is told.
_TELLING = 6


@dataclass(frozen=True)
class SupercellForces:
    """Forces on displaced supercells.

    Attributes
    ----------
    displaced : ndarray, shape (n_displacements, n_supercell_atoms, 3)
        Forces with the displacement (eV/A), those of the undisplaced supercell subtracted
        where it was evaluated.
    residual : ndarray, shape (n_supercell_atoms, 3), or None
        Forces of the undisplaced supercell (eV/A); None if it was not needed.
    """

    displaced: NDArray[np.float64]
    residual: NDArray[np.float64] | None


def to_phonopy_atoms(atoms: Atoms) -> PhonopyAtoms:
    """Convert; masses are phonopy's standard ones."""
    return PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(wrap=False),
    )


def to_atoms(cell: PhonopyAtoms) -> Atoms:
    """Convert to periodic ASE atoms."""
    return Atoms(
        symbols=cell.symbols, cell=cell.cell, scaled_positions=cell.scaled_positions, pbc=True
    )


def displaced_supercells(atoms: Atoms, settings: PhononSettings) -> Phonopy:
    """Make the supercell and its symmetry-inequivalent displacements.

    One-sided displacements (``plus_minus=False``, the default) go in generic directions, as
    few as the symmetry of each site allows; the others are phonopy's, along axes and
    diagonals. The phonons are those of the cell given: the primitive matrix is the identity,
    so that energies and heat capacities are per mole of that cell.

    Parameters
    ----------
    atoms : Atoms
        The relaxed cell.
    settings : PhononSettings
        Supercell, displacement, symmetry tolerance.

    Returns
    -------
    phonopy.Phonopy
        With its ``dataset`` of displacements.
    """
    phonon = Phonopy(
        to_phonopy_atoms(atoms),
        supercell_matrix=settings.supercell_matrix(atoms.cell.array),
        primitive_matrix="P",
        symprec=settings.symprec,
    )
    if settings.plus_minus is False:
        displacements = generic_displacements(
            phonon.supercell, phonon.symmetry, settings.displacement
        )
        phonon.dataset = {
            "natom": len(phonon.supercell),
            "first_atoms": [
                {"number": number, "displacement": displacement}
                for number, displacement in displacements
            ],
        }
    else:
        phonon.generate_displacements(
            distance=settings.displacement, is_plusminus=settings.plus_minus
        )
    return phonon


def single_displacements(phonon: Phonopy) -> list[dict[str, Any]]:
    """Displacements of single atoms: number, displacement (A), forces (eV/A) if known.

    Empty when phonopy holds none, or a set of random displacements of all atoms.
    """
    dataset: Any = phonon.dataset
    return list(dataset.get("first_atoms", [])) if dataset else []


def needs_undisplaced_forces(phonon: Phonopy) -> bool:
    """Tell whether some displacement lacks its opposite.

    A residual force drops out of the force constants when each displacement comes with its
    opposite. phonopy leaves the opposite out where symmetry supplies it, and with
    ``plus_minus=False`` everywhere; in either case the undisplaced forces are subtracted,
    at the price of one evaluation.
    """
    moves = {
        (int(entry["number"]), *np.round(np.asarray(entry["displacement"]), 12))
        for entry in single_displacements(phonon)
    }
    return any((number, *(-np.array(move) + 0.0)) not in moves for number, *move in moves)


def supercell_forces(phonon: Phonopy, calculator: BaseCalculator) -> SupercellForces:
    """Evaluate the forces on all displaced supercells with one calculator.

    With a :class:`~mofonon.potentials.LoggedCalculator` that has a log, forces already in
    it are not computed again.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With displacements.
    calculator : BaseCalculator
        Evaluates forces in eV/A.

    Raises
    ------
    ForceConstantsError
        When there are no displacements or a force is not finite.
    PrecisionError
        When the forces are in single precision and the displacements too small for it.
    """
    displaced = phonon.supercells_with_displacements
    if not displaced:
        raise ForceConstantsError("there are no displaced supercells", "generate them first")
    with_reference = needs_undisplaced_forces(phonon)
    cells = ([phonon.supercell] if with_reference else []) + list(displaced)
    forces = np.empty((len(cells), len(phonon.supercell), 3))
    progress.report("displacements", 0, len(cells))
    logged = (
        calculator if isinstance(calculator, LoggedCalculator) else LoggedCalculator(calculator)
    )
    for index, results in enumerate(logged.evaluate([to_atoms(cell) for cell in cells])):
        forces[index] = results["forces"]
        if index == len(cells) - len(displaced) and are_single_precision(forces[index]):
            require_double_precision(_displacement_of(phonon))
        progress.report("displacements", index + 1, len(cells))
    if not np.isfinite(forces).all():
        raise ForceConstantsError(
            "the potential gave forces that are not finite",
            "check the relaxed structure; the potential may not be valid there",
        )
    if not with_reference:
        return SupercellForces(forces, None)
    return SupercellForces(forces[1:] - forces[0], forces[0])


def require_double_precision(displacement: float) -> None:
    """Refuse displacements (A) whose forces drown in the noise of single precision.

    Raises
    ------
    PrecisionError
        For less than 0.001 A.
    """
    if displacement < LEAST_SINGLE_DISPLACEMENT * (1 - 1e-9):  # its length is rounded
        raise PrecisionError(
            f"displacements of {displacement:g} A drown in the noise of single precision",
            "use a potential in double precision (without --dtype float32), or give "
            "--displacement 0.001 --plus-minus yes",
        )


def are_single_precision(forces: NDArray[np.float64]) -> bool:
    """Whether forces were computed in single precision: all of them fit into it exactly.

    An ASE calculator does not say its precision. Zeros say nothing, and of a few numbers any
    may be round: at least six that are not zero are looked at.
    """
    values = forces[forces != 0]
    return len(values) >= _TELLING and bool((values == values.astype(np.float32)).all())


def _displacement_of(phonon: Phonopy) -> float:
    """Length of the first displacement (A)."""
    return float(np.linalg.norm(phonon.displacements[0][1:]))


def set_force_constants(
    phonon: Phonopy, forces: NDArray[np.float64] | None, *, symmetrize: bool = True
) -> NDArray[np.float64]:
    """Make compact force constants from forces and give them to ``phonon``.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With displacements, and with forces when ``forces`` is None.
    forces : ndarray, shape (n_displacements, n_supercell_atoms, 3), or None
        Forces (eV/A).
    symmetrize : bool
        Impose translational invariance (acoustic sum rule) and permutation symmetry.

    Returns
    -------
    ndarray, shape (n_primitive_atoms, n_supercell_atoms, 3, 3)
        Force constants (eV/A^2).
    """
    if forces is not None:
        phonon.forces = forces
    phonon.produce_force_constants(calculate_full_force_constants=False, show_drift=False)
    if symmetrize:
        symmetrize_force_constants(phonon)
    return np.asarray(phonon.force_constants)


def symmetrize_force_constants(phonon: Phonopy) -> None:
    """Impose translational invariance and permutation symmetry on the force constants.

    phonopy applies the two in turn. Two rounds bring the acoustic modes of a MOF at Gamma
    below 1e-5 THz.
    """
    phonon.symmetrize_force_constants(level=2, show_drift=False)


def shortest_supercell_height(phonon: Phonopy) -> float:
    """Least distance between opposite faces of the supercell (A)."""
    return float(1 / np.linalg.norm(np.linalg.inv(phonon.supercell.cell), axis=0).max())
