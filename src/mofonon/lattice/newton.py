"""Trust-region Newton steps on positions and cell, as an ASE Optimizer.

The Hessian of all modes is taken at the start by finite differences that symmetry makes
few, or estimated from the distances of the atoms where they would be too many, and updated
from each step. Steps stay in what the operations of the crystal leave invariant; a mode of
lower symmetry with negative curvature is followed: energy scan along it, and on in the
subgroup that is left, with the same Hessian.

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
        return self._mode_to_follow(0.0) is None

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
        self.n_hessian_evaluations = count_probes(probes)
        hessian = finite_difference_hessian(
            lambda rows: self._evaluate(rows).gradient,
            point.rows,
            point.gradient,
            self.actions,
            strains,
            HESSIAN_STEP,
            probes,
        )
        if np.isfinite(hessian).all():
            self.hessian = hessian
        self._point = point
        self._modes_known = False
        self._look_at_modes()

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

        measured = self._curvature_along(mode, start)
        if measured > -NEGATIVE:
            self.followed.append(false_negative(mode, self.actions.order))
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
        self._point = self._best
        self._modes_known = False
        self._look_at_modes()

    def _curvature_along(self, mode: NegativeMode, start: Point) -> float:
        """Curvature along the first of the modes, by one evaluation (eV/A^2).

        The Hessian may be from another geometry: far from the minimum its modes are not
        those of the minimum.
        """
        pattern = mode.vectors[0] / np.linalg.norm(mode.vectors[0], axis=1).max()
        moved = self._evaluate(start.rows + CHECK_STEP * pattern)
        slope = float(np.sum((moved.gradient - start.gradient) * pattern))
        return slope / (CHECK_STEP * float(np.sum(pattern**2)))

    def _stiffen(self, mode: NegativeMode, curvature: float) -> None:
        """Put the curvature that was measured in place of a false negative."""
        flat = mode.vectors.reshape(len(mode.vectors), -1)
        rise = max(curvature, 2 * NEGATIVE) - mode.curvature
        self.hessian = self._hessian_now() + rise * flat.T @ flat
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
