"""Tight relaxation of cell and positions: converged, or an error."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS
from numpy.typing import NDArray

from mofonon import progress
from mofonon.errors import PotentialError, RelaxationNotConverged, SettingsError
from mofonon.lattice.settings import CellFreedom, RelaxSettings
from mofonon.potentials import LoggedCalculator, PotentialSpec, make_calculator


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
    method: str = "lbfgs",
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
        Optimizer: ``lbfgs``.

    Raises
    ------
    RelaxationNotConverged
        When ``max_steps`` do not suffice or the energy is no longer finite.
    PotentialError
        When the cell is to be relaxed and the potential has no stress.

    References
    ----------
    Method of the paper: L-BFGS on FrechetCellFilter without symmetry constraints.
    """
    settings = RelaxSettings.model_validate(
        {"fmax": fmax, "cell": cell, "max_steps": max_steps, "method": method}
    )
    calculator = _logged(potential)
    before = calculator.n_evaluations
    start = time.perf_counter()
    system = atoms.copy()
    system.calc = calculator
    target = _target(system, settings)
    history: list[tuple[float, float]] = []

    def follow(residual: float) -> None:
        history.append((system.get_potential_energy(), residual))
        progress.report(
            "relax", calculator.n_evaluations - before, detail=f"fmax {residual:.1e} eV/A"
        )

    converged = _MINIMIZERS[settings.method](target, fmax, max_steps, follow)
    n_evaluations = calculator.n_evaluations - before
    if not converged:
        raise RelaxationNotConverged(
            f"{atoms.get_chemical_formula()}: fmax is {history[-1][1]:.2e} eV/A after "
            f"{n_evaluations} force evaluations, above {fmax:.0e}",
            "allow more steps, start from a better structure, or raise --fmax; what was "
            "computed is kept, and a second run goes on from it",
        )
    return RelaxResult(
        atoms=_bare(system),
        converged=True,
        n_force_evaluations=n_evaluations,
        energy=float(system.get_potential_energy()),
        forces=system.get_forces(),
        stress=calculator.results.get("stress"),
        fmax=history[-1][1],
        seconds=time.perf_counter() - start,
        history=np.array(history),
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


_MINIMIZERS: dict[str, Minimizer] = {"lbfgs": lbfgs}


def _logged(potential: PotentialSpec | BaseCalculator) -> LoggedCalculator:
    if isinstance(potential, LoggedCalculator):
        return potential
    if isinstance(potential, PotentialSpec):
        return LoggedCalculator(make_calculator(potential))
    if isinstance(potential, BaseCalculator):
        return LoggedCalculator(potential)
    raise SettingsError(
        f"a potential is a PotentialSpec or an ASE calculator, not {type(potential).__name__}"
    )


def _target(system: Atoms, settings: RelaxSettings) -> Atoms | FrechetCellFilter:
    if settings.cell == "fixed":
        return system
    system.get_potential_energy()
    if "stress" not in system.calc.results:
        raise PotentialError(
            f"the cell of {system.get_chemical_formula()} cannot be relaxed: the potential "
            "gives no stress",
            "relax positions only, or choose a potential with stress",
        )
    return FrechetCellFilter(system, constant_volume=settings.cell == "fixed-volume")


def _bare(system: Atoms) -> Atoms:
    atoms = system.copy()
    atoms.calc = None
    return atoms
