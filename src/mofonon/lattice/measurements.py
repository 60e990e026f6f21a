"""What a second-order optimizer asks a potential about the Hessian where it stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mofonon.errors import RelaxationNotConverged
from mofonon.lattice.following import NegativeMode
from mofonon.lattice.hessian import (
    CHEAP,
    count_probes,
    finite_difference_hessian,
    plan_probes,
)
from mofonon.lattice.joint_coordinates import JointCoordinates
from mofonon.lattice.known_hessian import KnownHessian, Point, largest
from mofonon.lattice.phonons import are_single_precision
from mofonon.lattice.soft_modes import MeasuredHessian, measure_soft_modes
from mofonon.lattice.symmetry_actions import SymmetryActions

Floats = NDArray[np.float64]

#: Displacements and strains of the finite differences, and those of forces in single
#: precision (A). One-sided differences of 1e-3 A are wrong by 0.02 eV/A^2 in soft modes.
HESSIAN_STEP, SINGLE_STEP = 1e-4, 1e-3

#: Largest displacement of an atom by which a negative curvature is checked (A).
CHECK_STEP = 0.01

#: What to do where a potential gives no numbers.
BREAKS_DOWN = (
    "the potential breaks down here: look for atoms too close or elements that it was not "
    "trained on, or use another potential"
)


class HessianMeasurements:
    """Measure a Hessian, and put what was measured into the one that is known.

    Parameters
    ----------
    coordinates : JointCoordinates
        What may move.
    known : KnownHessian
        Takes what is measured, and counts the evaluations.
    evaluate : callable
        Gives the Point at rows, by one evaluation.
    """

    def __init__(
        self,
        coordinates: JointCoordinates,
        known: KnownHessian,
        evaluate: Callable[[Floats], Point],
    ) -> None:
        self.coordinates, self.known, self.evaluate = coordinates, known, evaluate

    @property
    def single_precision(self) -> bool:
        """Whether the forces are in single precision."""
        forces = getattr(self.coordinates.atoms.calc, "results", {}).get("forces")
        return forces is not None and are_single_precision(np.asarray(forces))

    @property
    def step(self) -> float:
        """Step of the differences, by the precision of the forces (A)."""
        return SINGLE_STEP if self.single_precision else HESSIAN_STEP

    def cost(self, actions: SymmetryActions) -> int:
        """Count the evaluations of the differences of all modes with these operations."""
        return count_probes(plan_probes(actions, self.coordinates.strains))

    def soft_modes_do(self, actions: SymmetryActions) -> bool:
        """Whether dear differences are made of soft modes only.

        Without symmetry there is nothing that steps do not reach.
        """
        return actions.order == 1 and self.cost(actions) > CHEAP

    def all_modes(self, point: Point, actions: SymmetryActions) -> None:
        """Replace the Hessian that is known by finite differences at a point.

        Parameters
        ----------
        point : Point
            Evaluated.
        actions : SymmetryActions
            Operations that it has.

        Raises
        ------
        RelaxationNotConverged
            When a gradient is not finite.
        """
        strains = self.coordinates.strains
        probes = plan_probes(actions, strains)
        self.known.n_evaluations += count_probes(probes)
        hessian = finite_difference_hessian(
            lambda rows: self._gradient_near(point, rows),
            point.rows,
            point.gradient,
            actions,
            strains,
            self.step,
            probes,
        )
        self.known.take(hessian, point.rows)

    def soft_modes(self, point: Point, actions: SymmetryActions) -> None:
        """Put the soft modes at a point into the Hessian; all modes where that takes as many.

        Parameters
        ----------
        point : Point
            Evaluated.
        actions : SymmetryActions
            Operations that it has.

        Raises
        ------
        RelaxationNotConverged
            When a gradient is not finite.
        """
        step = self.step
        measured = MeasuredHessian(self.known.now(), self.known.basis, actions)
        most = -(-self.cost(actions) // 2)  # beyond, all modes are had for little more
        enough = measure_soft_modes(
            measured, lambda pattern: self._product(point, pattern, step), most
        )
        self.known.n_evaluations += measured.n_products
        if enough or actions.order == 1:  # then steps reach whatever else there is
            self.known.take(measured.hessian(), point.rows if enough else None)
        else:
            self.all_modes(point, actions)

    def curvature(self, point: Point, mode: NegativeMode) -> float:
        """Curvature of a mode at a point (eV/A^2).

        By one evaluation, unless the Hessian is of there and in double precision: far from
        the minimum its modes are not those of the minimum.
        """
        if self.known.is_of(point) and not self.single_precision:
            return mode.curvature
        pattern = mode.vectors[0] / largest(mode.vectors[0])
        product = self._product(point, pattern, CHECK_STEP)
        return float(np.sum(product * pattern) / np.sum(pattern**2))

    def _product(self, point: Point, pattern: Floats, step: float) -> Floats:
        """Product of the Hessian at a point with a pattern, by one evaluation."""
        return (self._gradient_near(point, point.rows + step * pattern) - point.gradient) / step

    def _gradient_near(self, point: Point, rows: Floats) -> Floats:
        """Gradient at rows near a point; that it is not finite there is an error."""
        gradient = self.evaluate(rows).gradient
        if not np.isfinite(gradient).all():
            raise RelaxationNotConverged(
                f"forces {largest(rows - point.rows):.0e} A from the structure are not finite, "
                f"where its own are {point.largest_force:.1e} eV/A",
                BREAKS_DOWN,
            )
        return gradient
