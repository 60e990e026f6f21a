"""Second-order relaxation of a structure: symmetrise, Newton steps, follow negative modes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.arrays import EncodedArray
from mofonon.errors import StructureError
from mofonon.lattice.carried_hessian import MOST_ATOMS, CarriedHessian, follow_strain
from mofonon.lattice.documents import to_structure
from mofonon.lattice.following import FollowedMode
from mofonon.lattice.hessian import count_probes, plan_probes
from mofonon.lattice.joint_coordinates import JointCoordinates
from mofonon.lattice.newton import HessianSource, TrustRegionNewton
from mofonon.lattice.settings import Optimizer, RelaxMethod, RelaxSettings
from mofonon.lattice.symmetry_actions import EXACT, find_actions
from mofonon.structures import average_over_operations

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

#: Tolerances at which symmetry is looked for, after that of the settings (A).
TOLERANCES = (0.1, 0.03, 0.01, 1e-3, EXACT)

#: A symmetrisation that moves atoms by less needs no proof by the potential (A).
ROUNDING = 1e-4

#: Finite-difference Hessians that take more evaluations than this are too dear.
MOST_DIFFERENCES = 110

#: Late ones, where the model Hessian does not get there, may take more.
MOST_LATE_DIFFERENCES = 200

#: Dense matrices of more degrees of freedom than this are too dear.
MOST_DEGREES = 3000


def choose_optimizer(atoms: Atoms, method: RelaxMethod) -> Optimizer:
    """Choose the optimizer of ``auto``: newton where its matrices are affordable.

    Without symmetry newton starts from a model Hessian, which takes fewer evaluations than
    preconditioned L-BFGS (docs/performance.md); that takes over where dense matrices of all
    degrees of freedom are too dear.

    Parameters
    ----------
    atoms : Atoms
        The structure.
    method : str
        A method; all but ``auto`` are what they say, ``newton`` of too many atoms excepted.
    """
    if method == "lbfgs" or method == "precon-lbfgs":  # noqa: PLR1714 - narrows the type
        return method
    if 3 * len(atoms) <= MOST_DEGREES:
        return "newton"
    logger.info("%d atoms are too many for second-order steps: precon-lbfgs", len(atoms))
    return "precon-lbfgs"


@dataclass(frozen=True)
class WarmStart:
    """Where a relaxation near a relaxed structure begins.

    Attributes
    ----------
    hessian : CarriedHessian
        Of the relaxed structure.
    linear_strain : float
        Strain of the cell vectors since.
    """

    hessian: CarriedHessian
    linear_strain: float = 0.0


def warm_start(hessian: EncodedArray | None, linear_strain: float) -> WarmStart | None:
    """Begin with the stored Hessian of a relaxed structure; without one, afresh."""
    if hessian is None:
        return None
    return WarmStart(CarriedHessian.decode(hessian), linear_strain)


@dataclass(frozen=True)
class Symmetrisation:
    """Symmetry that was recognised in the input.

    Attributes
    ----------
    tolerance : float or None
        Tolerance at which it was (A); None when the input was left as it is.
    largest_move : float
        Largest change of a position or cell vector (A).
    energy_change : float or None
        Energy of the symmetrised structure over that of the input, not positive (eV); None
        where the move was rounding and the energies were not compared.
    order : int
        Operations, translations of a cell that is not primitive among them.
    """

    tolerance: float | None
    largest_move: float
    energy_change: float | None
    order: int


@dataclass(frozen=True)
class SecondOrderRecord:
    """How a second-order relaxation went.

    Attributes
    ----------
    symmetrisation : Symmetrisation
        Symmetry recognised in the input.
    hessian_source : str
        ``finite-difference``, ``model`` or ``given``.
    n_hessian_evaluations : int
        Evaluations of the finite differences.
    lowest_curvature : float or None
        Lowest eigenvalue of the Hessian of all modes, translations left out (eV/A^2); None
        where only a model of it is known.
    modes_measured_at_end : bool
        Whether that was measured where the relaxation ended.
    operations_after : int
        Operations that are left.
    followed : list of FollowedMode
        Modes that were followed, or found to be false negatives.
    hessian : CarriedHessian or None
        To start others from; None for structures too large.
    stalled_after : int or None
        Steps after which none went down any more; None where that did not happen.
    """

    symmetrisation: Symmetrisation
    hessian_source: str
    n_hessian_evaluations: int
    lowest_curvature: float | None
    modes_measured_at_end: bool
    operations_after: int
    followed: list[FollowedMode]
    hessian: CarriedHessian | None = field(repr=False)
    stalled_after: int | None = None


def relax_second_order(
    system: Atoms,
    settings: RelaxSettings,
    make_target: Callable[[Atoms], Any],
    follow: Callable[[float], None],
    start: WarmStart | None = None,
    logfile: IO[str] | str | None = None,
) -> tuple[bool, SecondOrderRecord]:
    """Relax a structure with its calculator in place.

    Parameters
    ----------
    system : Atoms
        With a calculator.
    settings : RelaxSettings
        Threshold, steps, freedom of the cell, what is made of symmetry.
    make_target : callable
        Makes what the optimizer sees (Atoms or a filter) of the atoms.
    follow : callable
        Gets fmax (eV/A) after each step.
    start : WarmStart, optional
        Hessian and strain to start from.
    logfile : path or file, optional
        Log of the steps.

    Returns
    -------
    converged : bool
        Whether the threshold was reached.
    record : SecondOrderRecord
        How.
    """
    if start is not None and start.linear_strain and settings.cell != "free":
        shape = settings.cell == "fixed-volume"
        follow_strain(system, start.hessian, start.linear_strain, shape=shape)
    symmetrisation = symmetrise(system, settings, make_target)
    target = make_target(system)
    optimizer = TrustRegionNewton(
        target,
        logfile=logfile,
        symmetry=settings.symmetry,
        hessian=_first_hessian(target, start),
        # moved onto symmetry, so that a saddle point may hide in it
        know_modes=symmetrisation.energy_change is not None,
    )
    converged = False
    for done in optimizer.irun(fmax=settings.fmax, steps=settings.max_steps):
        residual = float(np.linalg.norm(target.get_forces(), axis=1).max())
        follow(residual)
        converged = bool(done) and bool(np.isfinite(residual))
        if not np.isfinite(residual):
            break
        if optimizer.trust.stalled and not converged:
            optimizer.go_back()
            break
    return converged, _record(optimizer, symmetrisation, converged=converged)


def symmetrise(
    system: Atoms, settings: RelaxSettings, make_target: Callable[[Atoms], Any]
) -> Symmetrisation:
    """Make a structure exactly symmetric where the potential agrees.

    Symmetry is looked for at looser and tighter tolerances. It is taken where the Hessian
    of all modes is then affordable, so that a saddle point would be seen, and the energy is
    not higher than that of the input.

    Parameters
    ----------
    system : Atoms
        With a calculator; changed in place.
    settings : RelaxSettings
        What is made of symmetry, freedom of the cell.
    make_target : callable
        Makes what the optimizer sees of the atoms.
    """
    as_it_is = Symmetrisation(None, 0.0, None, 1)
    if settings.symmetry == "none" or not system.pbc.all() or system.constraints:
        return as_it_is
    energy: float | None = None
    tried: list[Floats] = []
    largest = settings.symmetry_tolerance
    for tolerance in (largest, *(each for each in TOLERANCES if each < largest)):
        candidate, move = _averaged(system, tolerance, settings.cell)
        if candidate is None or any(
            np.allclose(candidate.positions, known, atol=1e-9) for known in tried
        ):
            continue
        tried.append(candidate.positions.copy())
        order = find_actions(candidate).order
        if order == 1 or hessian_cost(make_target(candidate)) > MOST_DIFFERENCES:
            continue
        if move <= ROUNDING:
            _take(system, candidate)
            return Symmetrisation(tolerance, move, None, order)
        if energy is None:
            energy = float(system.get_potential_energy())
        candidate.calc = system.calc
        change = float(candidate.get_potential_energy()) - energy
        if change <= 0:
            _take(system, candidate)
            return Symmetrisation(tolerance, move, change, order)
    return as_it_is


def _averaged(system: Atoms, tolerance: float, cell: str) -> tuple[Atoms | None, float]:
    """Copy of a structure averaged over its operations, and the largest move (A)."""
    try:
        structure, move = average_over_operations(to_structure(system), tolerance)
    except StructureError:
        return None, 0.0
    averaged = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    candidate = system.copy()
    if cell == "free":
        candidate.set_cell(averaged.cell)
    elif cell == "fixed-volume":
        ratio = system.get_volume() / averaged.get_volume()
        candidate.set_cell(averaged.cell.array * np.cbrt(ratio))
    candidate.set_scaled_positions(averaged.get_scaled_positions(wrap=False))
    return candidate, move


def _take(system: Atoms, candidate: Atoms) -> None:
    system.set_cell(candidate.cell)
    system.positions = candidate.positions


def hessian_cost(atoms: Any) -> int:
    """Count the evaluations that the finite-difference Hessian of a target takes.

    Parameters
    ----------
    atoms : Atoms or Filter
        What is to be relaxed.
    """
    coordinates = JointCoordinates.of(atoms)
    actions = find_actions(coordinates.atoms)
    return count_probes(plan_probes(actions, coordinates.strains))


def _first_hessian(target: Any, start: WarmStart | None) -> HessianSource | Floats:
    if start is not None:
        return start.hessian.over(JointCoordinates.of(target))
    return "finite-difference" if hessian_cost(target) <= MOST_LATE_DIFFERENCES else "model"


def _record(
    optimizer: TrustRegionNewton, symmetrisation: Symmetrisation, *, converged: bool
) -> SecondOrderRecord:
    source = optimizer.source
    if source == "finite-difference" and not optimizer.n_hessian_evaluations:
        source = "model"
    carried = None
    if optimizer.hessian is not None and len(optimizer.coordinates.atoms) <= MOST_ATOMS:
        carried = CarriedHessian.of(optimizer.hessian, optimizer.coordinates)
    return SecondOrderRecord(
        stalled_after=optimizer.nsteps if optimizer.trust.stalled and not converged else None,
        symmetrisation=symmetrisation,
        hessian_source=source,
        n_hessian_evaluations=optimizer.n_hessian_evaluations,
        lowest_curvature=None if source == "model" else optimizer.lowest_curvature(),
        modes_measured_at_end=optimizer.modes_are_measured,
        operations_after=optimizer.actions.order,
        followed=optimizer.followed,
        hessian=carried,
    )
