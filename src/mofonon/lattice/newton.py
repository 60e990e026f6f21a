"""Trust-region Newton steps on positions and cell, as an ASE Optimizer.

The Hessian of all modes is taken at the start by finite differences that symmetry makes
few, or estimated from the distances of the atoms where they would be too many, and updated
from each step. Steps stay in what the operations of the crystal leave invariant; a mode of
lower symmetry with negative curvature is followed: energy scan along it, and on in the
subgroup that is left, with the same Hessian. Steps within the symmetry leave what the Hessian
says of other modes as it was where it was taken: at the end the softest of them are measured.

References
----------
Rational-function steps: A. Banerjee, N. Adams, J. Simons, R. Shepard, J. Phys. Chem. 89, 52
(1985). Trust region: J. Nocedal, S. Wright, Numerical Optimization (2006), chapter 4.
Updates: A. R. Conn, N. I. M. Gould, P. L. Toint, Math. Program. 50, 177 (1991); J. M. Bofill,
J. Comput. Chem. 15, 1 (1994).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Literal, cast

import numpy as np
from ase import units
from ase.optimize.optimize import Optimizer
from numpy.typing import NDArray

from mofonon.lattice.following import (
    LEAST_GAIN,
    NEGATIVE,
    FollowedMode,
    NegativeMode,
    false_negative,
    follow_mode,
)
from mofonon.lattice.hessian import CHEAP, DifferencePlan
from mofonon.lattice.joint_coordinates import JointCoordinates
from mofonon.lattice.known_hessian import UNMOVED, KnownHessian, Point, largest
from mofonon.lattice.measurements import HessianMeasurements
from mofonon.lattice.model_hessian import model_hessian
from mofonon.lattice.newton_log import HEADER, line, shown
from mofonon.lattice.settings import SymmetryMode
from mofonon.lattice.symmetry_actions import SymmetryActions, find_actions
from mofonon.lattice.trust_region import (
    FIRST_RADIUS,
    TrustRadius,
    trust_region_step,
)

Floats = NDArray[np.float64]


#: Where the Hessian at the start comes from.
HessianSource = Literal["finite-difference", "model"]

#: A mode of negative curvature is followed when no force is larger than this (eV/A): at
#: larger ones modes are followed that are none at the end, to symmetries lower than need be.
FOLLOW_BELOW = 0.02

#: Changes of the energy below this, relative to it, are taken from the gradients: rounding
#: (of single precision too) leaves little of them.
_ROUNDING = 1e-7

#: Rounding of an energy in single precision, relative to it: of its terms, which cancel.
SINGLE_ROUNDING = 1e-6


class TrustRegionNewton(Optimizer):
    """Newton steps in a trust region on Atoms or a filter of them.

    Parameters
    ----------
    atoms : Atoms or Filter
        What to relax. Symmetry counts where it is exact to 1e-5 A (make it so with
        :func:`~mofonon.structures.average_over_operations`) and the potential has it too.
    restart : path, optional
        File that the Hessian is written to after each step and read from at the start.
    logfile : path or file, optional
        A line for each step; ``-`` for stdout.
    trajectory : path or Trajectory, optional
        As in any ASE optimizer.
    symmetry : str
        ``follow`` modes of negative curvature into subgroups, ``keep`` the symmetry, or
        ``none``: steps are not symmetrised, nothing is followed.
    hessian : str or ndarray, shape (n, n)
        ``finite-difference``, ``model``, or a Hessian over flattened rows as
        :attr:`hessian` gives it.
    radius : float
        Trust radius at the start: largest displacement of an atom in a step (A).
    know_modes : bool
        Do not end before the differences were made, however dear: symmetry may hide a
        saddle point.

    Attributes
    ----------
    n_evaluations : int
        Evaluations asked for.
    followed : list of FollowedMode
        Modes that were followed, or found to be false negatives.
    """

    def __init__(
        self,
        atoms: Any,
        restart: str | Path | None = None,
        logfile: IO[str] | str | Path | None = None,
        trajectory: Any = None,
        *,
        symmetry: SymmetryMode = "follow",
        hessian: HessianSource | Floats = "finite-difference",
        radius: float = FIRST_RADIUS,
        know_modes: bool = False,
        **keywords: Any,
    ) -> None:
        self.coordinates = JointCoordinates.of(atoms)
        self.symmetry = symmetry
        self.source = hessian if isinstance(hessian, str) else "given"
        self.trust = TrustRadius(radius)
        self.know_modes = know_modes
        self.n_evaluations = 0
        self.followed: list[FollowedMode] = []
        self.actions = SymmetryActions.trivial(len(self.coordinates.atoms))
        self._point: Point | None = None
        self._best: Point | None = None
        self._basis: Floats | None = None
        self._full = self.coordinates.basis(self.actions)
        given = None if isinstance(hessian, str) else np.array(hessian)
        self._known = KnownHessian(self._full, given)
        self._ask = HessianMeasurements(self.coordinates, self._known, self._evaluate)
        self._plan: DifferencePlan | None = None
        self._due = False
        self._check_due = False
        super().__init__(atoms, restart, cast("Any", logfile), trajectory, **keywords)

    def read(self) -> None:
        """Read the Hessian of an earlier run."""
        from ase.io.jsonio import read_json

        self._known.matrix = np.array(read_json(self.restart)["hessian"])
        self.source = "given"

    @property
    def hessian(self) -> Floats | None:
        """Present Hessian over the rows of :class:`JointCoordinates` (eV/A^2)."""
        return self._known.matrix

    @property
    def n_hessian_evaluations(self) -> int:
        """Evaluations by which all modes, or the soft ones, were measured."""
        return self._known.n_evaluations

    def lowest_curvature(self) -> float | None:
        """Lowest eigenvalue of the Hessian as it is now, without translations (eV/A^2)."""
        if self.hessian is None:
            return None
        self._known.lowest_modes(anew=True)
        return self._known.lowest

    @property
    def modes_are_measured(self) -> bool:
        """Whether the soft modes of all were measured at the lowest point."""
        return self._best is not None and self._known.is_of(self._best)

    def step(self) -> None:
        """Take a step, or follow a mode of negative curvature and then take one."""
        point = self._look()
        if self._best is None:
            self._begin(point)
        self._learn(point)
        due, ask = self._wants_differences(), self._ask
        if due and not ask.soft_modes_do(self.actions):
            self._measure(ask.all_modes)
        elif due or self._check_due or self._wants_new_modes():
            self._measure(ask.soft_modes)
        step = self._next_step()
        if largest(step) < UNMOVED / 10 and self._needs_check():
            self._measure(ask.soft_modes)
            step = self._next_step()
        self.optimizable.set_x(self.coordinates.x(self._here().rows + step))
        self.dump({"hessian": self._known.now()})

    def _next_step(self) -> Floats:
        """Rows of the next step, a mode of negative curvature followed before."""
        mode = self._mode_to_follow(self._here().largest_force)
        if mode is not None:
            self._follow(mode)
        if self._is_stuck():
            self._drop_symmetry()
        basis = self._basis_now()
        hessian = basis.T @ self._known.now() @ basis
        slopes = basis.T @ self._here().gradient.ravel()
        step, self.trust.predicted, _ = trust_region_step(
            hessian, slopes, basis, self.trust.radius
        )
        return step.reshape(-1, 3)

    def gradient_converged(self, gradient: Floats) -> bool:
        """Whether forces are small and no mode of negative curvature is left to follow."""
        if not self.optimizable.converged(gradient, self.fmax):
            return False
        if self.source == "finite-difference" and self.know_modes and not self._differences():
            self._due = True
            return False
        if self.symmetry != "follow" or self.source == "model":
            return True
        if self._best is None:
            if self.source != "given":
                return False  # it may be a saddle point: the Hessian of the first step says
            self._begin(self._look())
        self._learn(self._look())
        if self._mode_to_follow(0.0) is not None:
            return False
        self._check_due = self._needs_check()
        return not self._check_due

    def _needs_check(self) -> bool:
        """Whether what the Hessian says of modes outside the symmetry is out of date."""
        if self.symmetry != "follow" or self._is_model() or self._known.is_of(self._here()):
            return False
        negative = self._known.lowest_modes(anew=True) is not None
        return negative or (self.source != "given" and self.actions.order > 1)

    def log(self, gradient: Floats) -> None:
        """Write a line for the present point."""
        point = self._look()
        if self._best is not None:
            self._learn(point)
        if self.nsteps == 0:
            self.logfile.write(HEADER)
        entries = (
            f"{self.nsteps}",
            f"{self.n_evaluations}",
            f"{point.energy:.8f}",
            f"{self.optimizable.gradient_norm(gradient):.2e}",
            shown(self._pressure(point), ".2e"),
            shown(self._known.lowest, ".4f"),
            f"{self.trust.radius:.4f}",
            shown(self.trust.ratio, ".3f"),
        )
        self.logfile.write(line(entries))

    def _pressure(self, point: Point) -> float | None:
        """Largest component of the stress (GPa)."""
        if not self.coordinates.has_strain_rows:
            return None
        volume = self.coordinates.atoms.get_volume()
        stress = point.gradient[-3:] * self.coordinates.length / volume
        return float(np.abs(stress).max() / units.GPa)

    def _look(self) -> Point:
        """Evaluate where the target is; the same place is evaluated once."""
        x = self.optimizable.get_x()
        rows = self.coordinates.rows(x)
        if self._point is None or not np.array_equal(rows, self._point.rows):
            gradient = self.coordinates.gradient(self.optimizable.get_gradient())
            energy = float(self.optimizable.get_value())
            self.n_evaluations += 1
            self._point = Point(rows, energy, gradient)
        return self._point

    def _evaluate(self, rows: Floats) -> Point:
        self.optimizable.set_x(self.coordinates.x(rows))
        return self._look()

    def _here(self) -> Point:
        if self._best is None:
            raise RuntimeError("the optimizer has not begun")
        return self._best

    def _basis_now(self) -> Floats:
        if self._basis is None:
            free = self.symmetry == "none"
            self._basis = self._full if free else self.coordinates.basis(self.actions)
        return self._basis

    def _begin(self, point: Point) -> None:
        """Find the symmetry and take the Hessian."""
        self._best = point
        found = find_actions(self.coordinates.atoms)
        found = found.preserving(self.coordinates.strains)
        tolerance = 1e-3 if self.symmetry == "none" else self._noise()
        self.actions = found.leaving(point.gradient, tolerance)
        self._basis = None
        if self.hessian is None:
            coordinates = self.coordinates
            length = coordinates.length if coordinates.has_strain_rows else None
            self._known.matrix = model_hessian(coordinates.atoms, length)

    def go_back(self) -> None:
        """Put the target at the lowest point."""
        if self._best is not None:
            self._evaluate(self._best.rows)

    def _differences(self) -> bool:
        """Whether the differences were made, or there is nothing to make them of."""
        return bool(self.n_hessian_evaluations) or not self._full.shape[1]

    def _wants_differences(self) -> bool:
        if self.source != "finite-difference" or self._differences():
            return False
        if self._plan is None:
            soft = self._ask.soft_modes_do(self.actions)
            self._plan = DifferencePlan(CHEAP if soft else self._ask.cost(self.actions))
        return self._due or self._plan.is_due(self._here().largest_force, self.n_evaluations)

    def _measure(self, ask: Callable[[Point, SymmetryActions], None]) -> None:
        """Measure all modes or the soft ones here."""
        point, self._check_due = self._here(), False
        ask(point, self.actions)  # operations may have gone since it was planned
        self._point = point

    def _wants_new_modes(self) -> bool:
        """Whether a mode was followed, to where the others are to be followed or not."""
        if self._known.believed or self.symmetry != "follow" or self.actions.order == 1:
            return False
        return self._here().largest_force < FOLLOW_BELOW

    def _noise(self) -> float:
        """Asymmetry of a gradient that does not matter (eV/A)."""
        return 0.1 * (self.fmax or 1e-6)

    def _learn(self, point: Point) -> None:
        """Update Hessian and trust radius from a new point; go on from the lower one."""
        best = self._here()
        if point is best or not point.is_finite:
            return
        self._known.learn(best, point)
        length = largest(point.rows - best.rows)
        actual = point.energy - best.energy
        if abs(self.trust.predicted) < _ROUNDING * abs(best.energy):
            middle = (point.gradient + best.gradient) / 2
            actual = float(np.sum((point.rows - best.rows) * middle))
        if self.trust.judge(actual, length):
            self._best = point

    def _is_model(self) -> bool:
        """Whether the Hessian outside the steps made is a guess."""
        return self.source != "given" and not self.n_hessian_evaluations

    def _mode_to_follow(self, force: float) -> NegativeMode | None:
        if self.symmetry != "follow" or self._is_model() or force > FOLLOW_BELOW:
            return None
        return self._known.lowest_modes() if self._known.believed else None

    def _follow(self, mode: NegativeMode) -> None:
        """Go along a mode to the lowest energy, and learn from the points on the way."""
        start = self._here()
        points: list[Point] = []

        def energy(displacement: Floats) -> float:
            if not displacement.any():
                return start.energy
            points.append(self._evaluate(start.rows + displacement))
            return points[-1].energy

        measured = self._ask.curvature(start, mode)
        if measured > -NEGATIVE:
            self.followed.append(false_negative(mode, self.actions.order))
            self._known.believed = self._known.is_of(start)
            self._known.stiffen(mode, measured)
            return
        confirmed = NegativeMode(measured, mode.vectors)
        least = (
            SINGLE_ROUNDING * abs(start.energy) if self._ask.single_precision else LEAST_GAIN
        )
        followed, displacement, left = follow_mode(confirmed, self.actions, energy, least)
        self.followed.append(followed)
        if followed.amplitude == 0:
            self._known.stiffen(mode, -measured)
            return
        rows = start.rows + displacement
        self.actions, self._basis = left, None
        self._best = min(points, key=lambda point: np.abs(point.rows - rows).max())
        near = [start, *points]
        near.sort(key=lambda point: -float(np.linalg.norm(point.rows - rows)))
        for before, after in pairwise(near):
            self._known.learn(before, after)
        self._known.believed = False  # the other modes may be others here
        self._known.lowest_modes(anew=True)
        self.trust = TrustRadius()
        self._point = self._best

    def _is_stuck(self) -> bool:
        """Whether only what steps within the symmetry do not reach is above the threshold."""
        here, basis, fmax = self._here(), self._basis_now(), self.fmax or 0.0
        symmetric = basis @ (basis.T @ here.gradient.ravel())
        return here.largest_force >= fmax and largest(symmetric.reshape(-1, 3)) < fmax / 2

    def _drop_symmetry(self) -> None:
        """Go on without the operations that the potential does not have."""
        self.actions = self.actions.leaving(self._here().gradient, self._noise())
        self._basis = None
