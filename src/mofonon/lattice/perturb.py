"""One perturbation of a structure with imaginary modes, by any of the strategies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import NDArray
from phonopy import Phonopy
from pymatgen.core import Structure

from mofonon.errors import ImaginaryModesError
from mofonon.lattice.carried_hessian import CarriedHessian
from mofonon.lattice.commensurate_cells import commensurate_matrix
from mofonon.lattice.documents import to_structure
from mofonon.lattice.folded_hessian import perturbed_hessian
from mofonon.lattice.imaginary import (
    AmplitudeScan,
    Instability,
    find_instability,
    heat,
    leading_atoms,
    mode_patterns,
    pattern_curvature,
    rattle,
    scan_amplitude,
)
from mofonon.lattice.settings import PhononSettings
from mofonon.lattice.stabilize_schemas import StabilizeSettings
from mofonon.structures import average_over_operations

#: Tolerance of the symmetrization of a displaced structure (A): what rounding leaves.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Perturbation:
    """A perturbed structure and what was done to it.

    Attributes
    ----------
    structure : Structure
        The perturbed structure; a supercell where a mode off Gamma was followed.
    amplitude : float
        Largest displacement of an atom (A).
    q : tuple of float or None
        q-point of the mode followed (reduced coordinates).
    mode_frequency : float or None
        Its frequency (THz).
    scan_amplitudes, scan_energies : list of float
        Points of the energy scan (A, eV).
    hessian : CarriedHessian or None
        Of the structure before, in the cell of the perturbed one: relaxations begin with it.
    """

    structure: Structure
    amplitude: float
    q: tuple[float, float, float] | None = None
    mode_frequency: float | None = None
    scan_amplitudes: list[float] = field(default_factory=list)
    scan_energies: list[float] = field(default_factory=list)
    hessian: CarriedHessian | None = field(default=None, repr=False)


def perturb(
    phonon: Phonopy,
    atoms: Atoms,
    calculator: BaseCalculator,
    strategy: str,
    seed: int,
    settings: StabilizeSettings,
    threshold: float,
) -> Perturbation:
    """Perturb a structure by a strategy.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        Phonons of the structure.
    atoms : Atoms
        The structure.
    calculator : BaseCalculator
        The potential.
    strategy : str
        ``mode-mapping``, ``rattle`` or ``md``.
    seed : int
        Seed of random numbers.
    settings : StabilizeSettings
        Parameters of the strategies.
    threshold : float
        A frequency below minus this is imaginary (THz).

    Raises
    ------
    ImaginaryModesError
        When no mode can be followed, or following it does not lower the energy.
    """
    if strategy == "mode-mapping":
        return map_mode(phonon, calculator, threshold)
    if strategy == "rattle":
        chosen = None
        if settings.rattle_atoms == "modes":
            instability = find_instability(phonon, threshold)
            if instability is not None:
                chosen = leading_atoms(instability.atom_weights).tolist()
        moved = rattle(atoms, settings.rattle_deviation, seed, chosen)
    else:
        fixed = [i for i, a in enumerate(atoms) if a.symbol in settings.md_fixed_elements]
        moved, _ = heat(
            atoms,
            calculator,
            temperature=settings.md_temperature,
            steps=settings.md_steps,
            time_step=settings.md_time_step,
            seed=seed,
            fixed=fixed,
        )
    largest = float(np.linalg.norm(moved.positions - atoms.positions, axis=1).max())
    hessian = perturbed_hessian(phonon, np.eye(3, dtype=np.int64))
    return Perturbation(to_structure(moved), largest, hessian=hessian)


def map_mode(phonon: Phonopy, calculator: BaseCalculator, threshold: float) -> Perturbation:
    """Displace along the lowest imaginary mode to the minimum of the energy.

    Of degenerate modes several directions are scanned and the lowest is taken. The displaced
    structure is symmetrised to the subgroup that the mode leaves.

    Raises
    ------
    ImaginaryModesError
        When no mode at a q-point of the supercell is imaginary, or none of the directions
        lowers the energy (a false negative).
    """
    instability = find_instability(phonon, threshold)
    if instability is None:
        raise ImaginaryModesError(
            "no mode at a q-point of the supercell is imaginary: those found lie between, "
            "where force constants are interpolated",
            "use a larger --supercell",
        )
    matrix = commensurate_matrix(instability.q, phonon.primitive.cell)
    atoms, patterns = mode_patterns(phonon, instability, matrix)
    scans = [_scan(atoms, pattern, instability, calculator) for pattern in patterns]
    lowest = min(range(len(scans)), key=lambda i: scans[i].gain)
    scan = scans[lowest]
    if scan.best == 0:
        raise ImaginaryModesError(
            f"following the mode at {instability.frequency:.4f} THz does not lower the energy "
            f"(scanned to {min(scan.amplitudes):.1e} A)",
            "the mode is an artefact of the force constants: try another --displacement",
        )
    moved = atoms.copy()
    moved.positions += scan.best * patterns[lowest]
    structure, _ = average_over_operations(to_structure(moved), _ROUNDING)
    a, b, c = (float(x) for x in instability.q)
    return Perturbation(
        structure,
        scan.best,
        (a, b, c),
        instability.frequency,
        scan.amplitudes,
        scan.energies,
        perturbed_hessian(phonon, matrix, patterns[lowest]),
    )


def scaled_settings(
    settings: PhononSettings, old: NDArray[np.float64], new: NDArray[np.float64]
) -> PhononSettings:
    """Adapt settings to a cell that became a supercell: same supercell, same mesh density.

    Parameters
    ----------
    settings : PhononSettings
        Settings for the old cell.
    old, new : ndarray, shape (3, 3)
        Cell vectors in rows (A); relaxation may have strained the new one.
    """
    multiples = np.rint(new @ np.linalg.inv(old)).astype(int)
    if round(abs(np.linalg.det(multiples))) <= 1:
        return settings
    lengths = [np.linalg.norm(np.linalg.inv(cell), axis=0) for cell in (old, new)]
    mesh = np.maximum(1, np.rint(np.array(settings.mesh) * lengths[1] / lengths[0])).astype(int)
    update: dict[str, object] = {"mesh": tuple(int(n) for n in mesh)}
    if isinstance(settings.supercell, tuple):
        # rows of the supercell in old cells; phonopy's matrix has the vectors in columns
        rows = np.array(settings.supercell).T @ np.linalg.inv(multiples)
        if np.allclose(rows, np.rint(rows), atol=1e-6):
            whole = np.rint(rows).astype(int).T
            update["supercell"] = tuple(tuple(int(n) for n in row) for row in whole)
        else:
            supercell = settings.supercell_matrix(old).T @ old
            heights = 1 / np.linalg.norm(np.linalg.inv(supercell), axis=0)
            update["supercell"] = float(heights.min())
    return PhononSettings.model_validate({**settings.model_dump(), **update})


def _scan(
    atoms: Atoms,
    pattern: NDArray[np.float64],
    instability: Instability,
    calculator: BaseCalculator,
) -> AmplitudeScan:
    def energy(amplitude: float) -> float:
        moved = atoms.copy()
        moved.positions += amplitude * pattern
        moved.calc = calculator
        return float(moved.get_potential_energy())

    curvature = pattern_curvature(atoms.get_masses(), pattern, instability.frequency)
    return scan_amplitude(energy, curvature)
