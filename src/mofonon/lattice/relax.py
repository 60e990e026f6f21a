"""Tight relaxation of cell and positions: converged, or an error."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS
from ase.optimize.precon import Exp, PreconLBFGS
from numpy.typing import NDArray

from mofonon import progress
from mofonon.errors import PotentialError, RelaxationNotConverged, SettingsError
from mofonon.lattice.measurements import BREAKS_DOWN
from mofonon.lattice.second_order import (
    SecondOrderRecord,
    WarmStart,
    choose_optimizer,
    relax_second_order,
)
from mofonon.lattice.settings import (
    CellFreedom,
    Optimizer,
    RelaxMethod,
    RelaxSettings,
    SymmetryMode,
)
from mofonon.potentials import LoggedCalculator, PotentialSpec, make_calculator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RelaxResult:
    """A relaxed structure and how it was reached.

    Attributes
    ----------
    atoms : Atoms
        The structure at the end, without a calculator.
    converged : bool
        Always true for what :func:`relax` returns; it raises otherwise.
    n_force_evaluations : int
        Evaluations that the method took, those read from a log included.
    energy : float
        Potential energy of the cell (eV).
    forces : ndarray, shape (n_atoms, 3)
        Forces at the end (eV/A).
    stress : ndarray, shape (6,) or None
        Stress at the end (eV/A^3, Voigt, ASE sign); None if the potential has none.
    fmax : float
        What the convergence was judged by: the largest norm of a force or, with the cell
        free, of a row of the virial per atom, as ASE's FrechetCellFilter has it (eV/A).
    seconds : float
        Wall time.
    history : ndarray, shape (n_steps, 2)
        Energy (eV) and fmax (eV/A) of each step.
    method : str
        Optimizer that was used.
    second_order : SecondOrderRecord or None
        Symmetry, Hessian and modes followed, of the method ``newton``.
    """

    atoms: Atoms
    converged: bool
    n_force_evaluations: int
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None
    fmax: float
    seconds: float
    history: NDArray[np.float64] = field(repr=False)
    method: Optimizer = "lbfgs"
    second_order: SecondOrderRecord | None = field(default=None, repr=False)

    @property
    def max_force(self) -> float:
        """Largest force on an atom (eV/A)."""
        return float(np.linalg.norm(self.forces, axis=1).max())


#: An optimizer takes (target, fmax, max_steps, callback) and says whether it converged; the
#: target is Atoms or an ASE filter of them, the callback gets fmax after each step.
Minimizer = Callable[[Atoms | FrechetCellFilter, float, int, Callable[[float], None]], bool]


def relax(
    atoms: Atoms,
    potential: PotentialSpec | BaseCalculator,
    fmax: float = 1e-6,
    *,
    cell: CellFreedom = "free",
    max_steps: int = 2000,
    method: RelaxMethod = "auto",
    symmetry: SymmetryMode = "follow",
    symmetry_tolerance: float = 0.1,
    start: WarmStart | None = None,
    logfile: IO[str] | str | None = None,
) -> RelaxResult:
    """Relax positions and cell until no force exceeds ``fmax``.

    Parameters
    ----------
    atoms : Atoms
        The structure; it is not changed.
    potential : PotentialSpec or BaseCalculator
        A spec, any ASE calculator, or a :class:`~mofonon.potentials.LoggedCalculator`,
        whose log then restarts a killed relaxation where it stopped.
    fmax : float
        Convergence threshold (eV/A).
    cell : str
        What of the cell relaxes too, through ASE's FrechetCellFilter: ``free``,
        ``fixed-volume`` (the shape), or ``fixed``.
    max_steps : int
        Steps before giving up.
    method : str
        Optimizer: ``newton``, ``lbfgs`` or ``precon-lbfgs``; ``auto`` chooses by the
        structure (:func:`~mofonon.lattice.second_order.choose_optimizer`).
    symmetry : str
        Of ``newton``: ``follow`` modes of negative curvature to lower symmetry, ``keep`` the
        symmetry, or ``none``.
    symmetry_tolerance : float
        Of ``newton``: largest tolerance at which symmetry is recognised (A).
    start : WarmStart, optional
        Of ``newton``: Hessian, and the strain since, of a relaxed structure near this one.
    logfile : path or file, optional
        Of ``newton``: log of the steps; ``-`` for stdout.

    Raises
    ------
    RelaxationNotConverged
        When ``max_steps`` do not suffice or the energy is no longer finite.
    PotentialError
        When the cell is to be relaxed and the potential has no stress.

    Notes
    -----
    Where steps of ``newton`` do not go down any more, as with the rounding of single
    precision, L-BFGS goes on from the lowest point; the record says so.

    References
    ----------
    Method of the paper: L-BFGS on FrechetCellFilter without symmetry constraints.
    """
    settings = RelaxSettings(
        fmax=fmax,
        cell=cell,
        max_steps=max_steps,
        method=method,
        symmetry=symmetry,
        symmetry_tolerance=symmetry_tolerance,
    )
    calculator = _logged(potential)
    before = calculator.n_evaluations
    began = time.perf_counter()
    system = atoms.copy()
    system.calc = calculator
    history: list[tuple[float, float]] = []

    def follow(residual: float) -> None:
        history.append((system.get_potential_energy(), residual))
        progress.report(
            "relax", calculator.n_evaluations - before, detail=f"fmax {residual:.1e} eV/A"
        )

    optimizer, record = choose_optimizer(atoms, method), None
    if optimizer == "newton":

        def make_target(of: Atoms) -> Atoms | FrechetCellFilter:
            return _target(of, settings)

        converged, record = relax_second_order(
            system, settings, make_target, follow, start, logfile
        )
        if record.stalled_after is not None:
            logger.warning("newton went no lower after %d steps: L-BFGS", record.stalled_after)
            left = max(max_steps - record.stalled_after, 0)
            converged = lbfgs(_target(system, settings), fmax, left, follow)
    else:
        converged = _MINIMIZERS[optimizer](_target(system, settings), fmax, max_steps, follow)
    n_evaluations = calculator.n_evaluations - before
    if not converged:
        raise _not_converged(atoms, history[-1][1], n_evaluations, fmax)
    return RelaxResult(
        atoms=_bare(system),
        converged=True,
        n_force_evaluations=n_evaluations,
        energy=float(system.get_potential_energy()),
        forces=system.get_forces(),
        stress=calculator.results.get("stress"),
        fmax=history[-1][1],
        seconds=time.perf_counter() - began,
        history=np.array(history),
        method=optimizer,
        second_order=record,
    )


def _not_converged(
    atoms: Atoms, residual: float, n_evaluations: int, fmax: float
) -> RelaxationNotConverged:
    """Say where a relaxation ended, and what to do."""
    formula = atoms.get_chemical_formula()
    if not np.isfinite(residual):
        return RelaxationNotConverged(
            f"{formula}: forces are not finite after {n_evaluations} force evaluations",
            BREAKS_DOWN,
        )
    return RelaxationNotConverged(
        f"{formula}: fmax is {residual:.2e} eV/A after {n_evaluations} force evaluations, "
        f"above {fmax:.0e}",
        "allow more steps, start from a better structure, or raise --fmax; what was "
        "computed is kept, and a second run goes on from it",
    )


def lbfgs(
    target: Atoms | FrechetCellFilter,
    fmax: float,
    max_steps: int,
    follow: Callable[[float], None],
) -> bool:
    """Minimize with ASE's L-BFGS; stop early when the energy is not finite."""
    optimizer: Any = LBFGS(cast("Atoms", target), logfile=cast("str", None))
    for converged in optimizer.irun(fmax=fmax, steps=max_steps):
        residual = float(np.linalg.norm(target.get_forces(), axis=1).max())
        follow(residual)
        if converged:
            return True
        if not np.isfinite(residual):
            return False
    return False


def precon_lbfgs(
    target: Atoms | FrechetCellFilter,
    fmax: float,
    max_steps: int,
    follow: Callable[[float], None],
) -> bool:
    """Minimize with ASE's preconditioned L-BFGS; go on with plain L-BFGS where it gives up.

    Its line search compares energies and fails in the last digits ("Armijo linesearch
    failed"), where plain L-BFGS needs only forces. It takes no notice of forces that are
    not finite, and so ends here.

    References
    ----------
    D. Packwood et al., J. Chem. Phys. 144, 164109 (2016).
    """
    steps = 0
    try:
        optimizer: Any = PreconLBFGS(
            cast("Atoms", target), precon=Exp(), logfile=cast("str", None)
        )
        with warnings.catch_warnings(), _quiet("ase.utils.linesearcharmijo"):
            warnings.simplefilter("ignore")
            optimizer.smax = fmax  # ASE sets it in run() only
            for _ in optimizer.irun(fmax=fmax, steps=max_steps):
                steps = optimizer.nsteps
                residual = float(np.linalg.norm(target.get_forces(), axis=1).max())
                follow(residual)
                # its own criterion is another for the cell
                if residual < fmax:
                    return True
                if not np.isfinite(residual):
                    return False
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        logger.info("PreconLBFGS ended: %s; plain L-BFGS goes on", error)
    return lbfgs(target, fmax, max(max_steps - steps, 0), follow)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a logger from printing what is handled here."""
    log = logging.getLogger(name)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


_MINIMIZERS: dict[str, Minimizer] = {"lbfgs": lbfgs, "precon-lbfgs": precon_lbfgs}


def _logged(potential: PotentialSpec | BaseCalculator) -> LoggedCalculator:
    if isinstance(potential, LoggedCalculator):
        return potential
    if isinstance(potential, PotentialSpec):
        return LoggedCalculator(make_calculator(potential))
    if isinstance(potential, BaseCalculator):
        return LoggedCalculator(potential)
    raise SettingsError(
        f"a potential is a PotentialSpec or an ASE calculator, not {type(potential).__name__}",
        "make one with PotentialSpec.from_name, or pass an ASE calculator",
    )


def _check_stress(system: Atoms) -> None:
    system.get_potential_energy()
    if "stress" not in system.calc.results:
        raise PotentialError(
            f"the cell of {system.get_chemical_formula()} cannot be relaxed: the potential "
            "gives no stress",
            "relax positions only, or choose a potential with stress",
        )


def _target(system: Atoms, settings: RelaxSettings) -> Atoms | FrechetCellFilter:
    if settings.cell == "fixed":
        return system
    if system.calc is not None:  # not for a candidate that is only looked at
        _check_stress(system)
    return FrechetCellFilter(system, constant_volume=settings.cell == "fixed-volume")


def _bare(system: Atoms) -> Atoms:
    atoms = system.copy()
    atoms.calc = None
    return atoms
