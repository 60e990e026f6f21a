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
Updates: J. M. Bofill, J. Comput. Chem. 15, 1 (1994).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Literal, cast

import numpy as np
from ase import units
from ase.optimize.optimize import Optimizer
from numpy.typing import NDArray

from mofonon.lattice.following import (
    NEGATIVE,
    FollowedMode,
    NegativeMode,
    false_negative,
    follow_mode,
    lowest_modes,
)
from mofonon.lattice.hessian import (
    DifferencePlan,
    count_probes,
    finite_difference_hessian,
    plan_probes,
)
from mofonon.lattice.joint_coordinates import JointCoordinates
from mofonon.lattice.model_hessian import model_hessian
from mofonon.lattice.settings import SymmetryMode
from mofonon.lattice.soft_modes import MeasuredHessian, measure_soft_modes
from mofonon.lattice.symmetry_actions import SymmetryActions, find_actions
from mofonon.lattice.trust_region import (
    FIRST_RADIUS,
    TrustRadius,
    trust_region_step,
    update_hessian,
)

Floats = NDArray[np.float64]


#: Where the Hessian at the start comes from.
HessianSource = Literal["finite-difference", "model"]

#: Displacements and strains of the finite differences (A).
HESSIAN_STEP = 1e-3

#: Largest displacement of an atom by which a negative curvature is checked (A).
CHECK_STEP = 0.01

#: A Hessian of all modes is that of a point where nothing has moved further since (A).
UNMOVED = 1e-3

#: A mode of negative curvature is followed when no force is larger than this (eV/A).
FOLLOW_BELOW = 0.02

#: Changes of the energy below this, relative to it, are taken from the gradients: rounding
#: (of single precision too) leaves little of them.
_ROUNDING = 1e-7

_COLUMNS = (
    ("step", 5),
    ("evaluations", 12),
    ("energy(eV)", 18),
    ("fmax(eV/A)", 12),
    ("stress(GPa)", 12),
    ("lowest(eV/A^2)", 15),
    ("radius(A)", 10),
    ("ratio", 8),
)


@dataclass(frozen=True)
class Point:
    """An evaluated point: rows (A), energy (eV), gradient (eV/A)."""

    rows: Floats
    energy: float
    gradient: Floats


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
    hessian : ndarray, shape (n, n) or None
        Present Hessian over the rows of :class:`JointCoordinates` (eV/A^2).
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
        self.hessian: Floats | None = None if isinstance(hessian, str) else np.array(hessian)
        self.source = hessian if isinstance(hessian, str) else "given"
        self.trust = TrustRadius(radius)
        self.know_modes = know_modes
        self.n_evaluations = 0
        self.n_hessian_evaluations = 0
        self.followed: list[FollowedMode] = []
        self.actions = SymmetryActions.trivial(len(self.coordinates.atoms))
        self.lowest: float | None = None
        self._point: Point | None = None
        self._best: Point | None = None
        self._basis: Floats | None = None
        self._full = self.coordinates.basis(self.actions)
        self._negative: NegativeMode | None = None
        self._modes_known = False
        self._plan: DifferencePlan | None = None
        self._due = False
        self._measured_at: Floats | None = None
        self._check_due = False
        self._believed = True
        super().__init__(atoms, restart, cast("Any", logfile), trajectory, **keywords)

    def read(self) -> None:
        """Read the Hessian of an earlier run."""
        from ase.io.jsonio import read_json

        self.hessian = np.array(read_json(self.restart)["hessian"])
        self.source = "given"

    def lowest_curvature(self) -> float | None:
        """Lowest eigenvalue of the Hessian as it is now, without translations (eV/A^2)."""
        if self.hessian is None:
            return None
        self._modes_known = False
        self._look_at_modes()
        return self.lowest

    def step(self) -> None:
        """Take a step, or follow a mode of negative curvature and then take one."""
        point = self._look()
        if self._best is None:
            self._begin(point)
        self._learn(point)
        if self._wants_differences():
            self._take_differences()
        elif self._check_due or self._wants_new_modes():
            self._measure_soft_modes()
        mode = self._mode_to_follow(self._largest(self._here().gradient))
        if mode is not None:
            self._follow(mode)
        if not self._settled() and self._stuck():
            self._drop_symmetry()
        here, basis = self._here(), self._basis_now()
        hessian = basis.T @ self._hessian_now() @ basis
        slopes = basis.T @ here.gradient.ravel()
        step, predicted, _ = trust_region_step(hessian, slopes, basis, self.trust.radius)
        self.trust.predicted = predicted
        self.optimizable.set_x(self.coordinates.x(here.rows + step.reshape(-1, 3)))
        self.dump({"hessian": self._hessian_now()})

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

    @property
    def modes_are_measured(self) -> bool:
        """Whether the Hessian of all modes was measured here, none within steps alone."""
        if self._measured_at is None or self._best is None:
            return False
        return self._largest(self._best.rows - self._measured_at) < UNMOVED

    def _needs_check(self) -> bool:
        """Whether what the Hessian says of modes outside the symmetry is out of date."""
        if self._is_model() or self.modes_are_measured:
            return False
        self._modes_known = False
        negative = self._look_at_modes() is not None
        return negative or (self.source != "given" and self.actions.order > 1)

    def log(self, gradient: Floats) -> None:
        """Write a line for the present point."""
        point = self._look()
        if self._best is not None:
            self._learn(point)
        if self.nsteps == 0:
            self.logfile.write("".join(f"{name:>{width}}" for name, width in _COLUMNS) + "\n")
        entries = (
            f"{self.nsteps}",
            f"{self.n_evaluations}",
            f"{point.energy:.8f}",
            f"{self.optimizable.gradient_norm(gradient):.2e}",
            _shown(self._pressure(point), ".2e"),
            _shown(self.lowest, ".4f"),
            f"{self.trust.radius:.4f}",
            _shown(self.trust.ratio, ".3f"),
        )
        widths = (width for _, width in _COLUMNS)
        line = "".join(f"{e:>{w}}" for e, w in zip(entries, widths, strict=True))
        self.logfile.write(line + "\n")

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

    def _hessian_now(self) -> Floats:
        if self.hessian is None:
            raise RuntimeError("the optimizer has no Hessian yet")
        return self.hessian

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
            self.hessian = model_hessian(coordinates.atoms, length)

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
            probes = plan_probes(self.actions, self.coordinates.strains)
            self._plan = DifferencePlan(probes)
        here = self._here().gradient
        return self._due or self._plan.is_due(self._largest(here), self.n_evaluations)

    def _take_differences(self) -> None:
        """Replace the model by the Hessian of the potential here."""
        point, strains = self._here(), self.coordinates.strains
        probes = plan_probes(self.actions, strains)  # operations may have gone since
        self.n_hessian_evaluations += count_probes(probes)
        hessian = finite_difference_hessian(
            lambda rows: self._evaluate(rows).gradient,
            point.rows,
            point.gradient,
            self.actions,
            strains,
            HESSIAN_STEP,
            probes,
        )
        self._point, self._measured_at, self._believed = point, point.rows, True
        self._know(hessian if np.isfinite(hessian).all() else self._hessian_now())

    def _wants_new_modes(self) -> bool:
        """Whether a mode was followed, to where the others are to be followed or not."""
        if self._believed or self.symmetry != "follow" or self.actions.order == 1:
            return False
        return self._largest(self._here().gradient) < FOLLOW_BELOW

    def _measure_soft_modes(self) -> None:
        """Put the soft modes here into the Hessian; all modes where that takes as many."""
        point, self._check_due = self._here(), False
        known = MeasuredHessian(self._hessian_now(), self._full, self.actions)
        most = count_probes(plan_probes(self.actions, self.coordinates.strains))
        enough = measure_soft_modes(
            known, lambda pattern: self._product(point, pattern, HESSIAN_STEP), most
        )
        self.n_hessian_evaluations += known.n_products
        if not enough:
            self._take_differences()
            return
        self._point, self._measured_at, self._believed = point, point.rows, True
        self._know(known.hessian())

    def _product(self, point: Point, pattern: Floats, step: float) -> Floats:
        """Product of the Hessian at a point with a pattern, by one evaluation."""
        moved = self._evaluate(point.rows + step * pattern)
        return (moved.gradient - point.gradient) / step

    def _noise(self) -> float:
        """Asymmetry of a gradient that does not matter (eV/A)."""
        return 0.1 * (self.fmax or 1e-6)

    def _learn(self, point: Point) -> None:
        """Update Hessian and trust radius from a new point; go on from the lower one."""
        best = self._here()
        if point is best or not np.isfinite(point.energy):
            return
        step = (point.rows - best.rows).ravel()
        change = (point.gradient - best.gradient).ravel()
        self.hessian = update_hessian(self._hessian_now(), step, change)
        length = float(np.linalg.norm(step.reshape(-1, 3), axis=1).max())
        actual = point.energy - best.energy
        if abs(self.trust.predicted) < _ROUNDING * abs(best.energy):
            middle = (point.gradient + best.gradient) / 2
            actual = float(np.sum((point.rows - best.rows) * middle))
        if self.trust.judge(actual, length):
            self._best = point

    def _is_model(self) -> bool:
        """Whether the Hessian outside the steps made is a guess."""
        return self.source != "given" and not self.n_hessian_evaluations

    def _look_at_modes(self) -> NegativeMode | None:
        """Lowest modes of all; steps within the symmetry leave those outside as they are."""
        if not self._modes_known:
            self.lowest, self._negative = lowest_modes(self._hessian_now(), self._full)
            self._modes_known = True
        return self._negative

    def _mode_to_follow(self, force: float) -> NegativeMode | None:
        if self.symmetry != "follow" or self._is_model() or force > FOLLOW_BELOW:
            return None
        if not self._believed:
            return None
        if self._negative is not None:
            self._modes_known = False  # steps may have changed it, if it is symmetric
        return self._look_at_modes()

    def _largest(self, gradient: Floats) -> float:
        return float(np.linalg.norm(gradient, axis=1).max())

    def _follow(self, mode: NegativeMode) -> None:
        """Go along a mode to the lowest energy, and learn from the points on the way."""
        start = self._here()
        points: list[Point] = []

        def energy(displacement: Floats) -> float:
            if not displacement.any():
                return start.energy
            points.append(self._evaluate(start.rows + displacement))
            return points[-1].energy

        # the Hessian may be from another geometry: far from the minimum its modes are others
        pattern = mode.vectors[0] / np.linalg.norm(mode.vectors[0], axis=1).max()
        product = self._product(start, pattern, CHECK_STEP)
        measured = float(np.sum(product * pattern) / np.sum(pattern**2))
        if measured > -NEGATIVE:
            self.followed.append(false_negative(mode, self.actions.order))
            self._believed = self.modes_are_measured
            self._stiffen(mode, measured)
            return
        confirmed = NegativeMode(measured, mode.vectors)
        followed, displacement, left = follow_mode(confirmed, self.actions, energy)
        self.followed.append(followed)
        if followed.amplitude == 0:
            self._stiffen(mode, -measured)
            return
        rows = start.rows + displacement
        self.actions, self._basis = left, None
        self._best = min(points, key=lambda point: np.abs(point.rows - rows).max())
        near = [start, *points]
        near.sort(key=lambda point: -float(np.linalg.norm(point.rows - rows)))
        for before, after in pairwise(near):
            self.hessian = update_hessian(
                self._hessian_now(),
                (after.rows - before.rows).ravel(),
                (after.gradient - before.gradient).ravel(),
            )
        self.trust = TrustRadius()
        self._believed = False  # the other modes may be others here
        self._point = self._best
        self._modes_known = False
        self._look_at_modes()

    def _stiffen(self, mode: NegativeMode, curvature: float) -> None:
        """Give modes that lead nowhere a positive curvature."""
        flat = mode.vectors.reshape(len(mode.vectors), -1)
        rise = max(curvature, 2 * NEGATIVE) - mode.curvature
        self._know(self._hessian_now() + rise * flat.T @ flat)

    def _know(self, hessian: Floats) -> None:
        """Take a Hessian as that of all modes."""
        self.hessian = hessian
        self._modes_known = False
        self._look_at_modes()

    def _settled(self) -> bool:
        """Whether the symmetric part of the gradient is below the threshold."""
        basis = self._basis_now()
        symmetric = basis @ (basis.T @ self._here().gradient.ravel())
        return self._largest(symmetric.reshape(-1, 3)) >= 0.5 * (self.fmax or 0.0)

    def _stuck(self) -> bool:
        return self._largest(self._here().gradient) >= (self.fmax or 0.0)

    def _drop_symmetry(self) -> None:
        """Go on without the operations that the potential does not have."""
        self.actions = self.actions.leaving(self._here().gradient, self._noise())
        self._basis = None


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
