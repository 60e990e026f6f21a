"""Hessian over positions and strain by finite differences, as few as symmetry allows.

A displacement of one atom along a generic direction gives, with the operations that leave
the atom in place, the response to all their images of the direction; where these span
space one displacement suffices. Atoms that symmetry makes equal follow. Strains alike,
with the operations of the point group. The gradients of a cell filter hold the stress, so
displacements give the coupling to the strain for nothing.

The differences are one-sided: the gradient at the origin is there anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mofonon.lattice.symmetry_actions import SymmetryActions

Floats = NDArray[np.float64]

#: Random directions tried for the best conditioned one.
_TRIALS = 200

#: Share of the best possible condition with which no better one is looked for.
_WELL_CONDITIONED = 0.7


@dataclass(frozen=True)
class Probe:
    """Generic displacements of one atom, or strains.

    Attributes
    ----------
    atom : int or None
        Representative of an orbit; None for strains.
    directions : ndarray, shape (n_directions, n_rows, 3)
        Rows of unit norm.
    """

    atom: int | None
    directions: Floats


#: Differences are made when no force is larger than this (eV/A): far from the minimum, as
#: with the short C-H bonds of X-ray structures, they say little about it.
DIFFERENCES_BELOW = 0.1

#: Evaluations that differences may take as soon as forces are small.
CHEAP = 45

#: Evaluations with the model Hessian after which cheap ones are made though forces are not.
MOST_MODEL_EVALUATIONS = 30


class DifferencePlan:
    """When finite differences replace a model Hessian.

    Cheap ones at once where forces are small. Dear ones when the model has had as many
    evaluations near the minimum as they take beyond the cheap: at worst about twice what
    the better of the two ways would have taken.

    Parameters
    ----------
    cost : int
        Evaluations of the differences.
    """

    def __init__(self, cost: int) -> None:
        self.cost = cost
        self._near_since: int | None = None

    def is_due(self, force: float, n_evaluations: int) -> bool:
        """Whether to make them now.

        Parameters
        ----------
        force : float
            Largest force (eV/A).
        n_evaluations : int
            Evaluations so far.
        """
        if self._near_since is None and force < DIFFERENCES_BELOW:
            self._near_since = n_evaluations
        if self._near_since is None:
            return self.cost <= CHEAP and n_evaluations > MOST_MODEL_EVALUATIONS
        return n_evaluations - self._near_since >= max(self.cost - CHEAP, 0)


def plan_probes(actions: SymmetryActions, strains: Floats) -> list[Probe]:
    """Choose the displacements and strains that determine a Hessian.

    Parameters
    ----------
    actions : SymmetryActions
        Operations of the crystal.
    strains : ndarray, shape (n_strains, 3, 3)
        Orthonormal basis of the strains that are free; empty with the cell fixed.

    Returns
    -------
    list of Probe
        The same for the same operations: a calculation that runs again evaluates the same.
    """
    n_atoms = actions.n_atoms
    n_rows = n_atoms + (3 if len(strains) else 0)
    probes = []
    for orbit in actions.orbits:
        atom = int(orbit[0])
        site = actions.rotations[actions.site_group(atom)]
        found = _generic(site, 3)
        rows = np.zeros((len(found), n_rows, 3))
        rows[:, atom] = found
        probes.append(Probe(atom, rows))
    if len(strains):
        flat = strains.reshape(len(strains), 9)
        rotated = np.einsum("gij,sjk,glk->gsil", actions.rotations, strains, actions.rotations)
        representation = np.einsum("gsx,tx->gts", rotated.reshape(*rotated.shape[:2], 9), flat)
        found = _generic(np.unique(representation.round(10), axis=0), len(strains))
        rows = np.zeros((len(found), n_rows, 3))
        rows[:, n_atoms:] = np.tensordot(found, strains, axes=1)
        probes.append(Probe(None, rows))
    return probes


def count_probes(probes: list[Probe]) -> int:
    """Count the evaluations that probes take, besides the one at the origin."""
    return sum(len(probe.directions) for probe in probes)


def finite_difference_hessian(
    gradient: Callable[[Floats], Floats],
    origin: Floats,
    gradient_at_origin: Floats,
    actions: SymmetryActions,
    strains: Floats,
    step: float,
    probes: list[Probe] | None = None,
) -> Floats:
    """Hessian of a function of rows that the operations leave invariant.

    Parameters
    ----------
    gradient : callable
        Gradient, shape (n_rows, 3), at rows.
    origin : ndarray, shape (n_rows, 3)
        Where the Hessian is taken; the operations leave it in place.
    gradient_at_origin : ndarray, shape (n_rows, 3)
        Gradient there.
    actions : SymmetryActions
        Operations of the crystal.
    strains : ndarray, shape (n_strains, 3, 3)
        Orthonormal basis of the strains that are free; empty with the cell fixed.
    step : float
        Norm of the displacements.
    probes : list of Probe, optional
        As :func:`plan_probes` gives them.

    Returns
    -------
    ndarray, shape (n, n)
        Symmetric, over flattened rows; zero for strains that are not free.
    """
    probes = probes if probes is not None else plan_probes(actions, strains)
    size = origin.size
    hessian = np.zeros((size, size))
    orbits = {int(orbit[0]): orbit for orbit in actions.orbits}
    for probe in probes:
        responses = np.array(
            [
                (gradient(origin + step * rows) - gradient_at_origin) / step
                for rows in probe.directions
            ]
        )
        if probe.atom is None:
            hessian[:, -9:] = _strain_columns(probe, responses, actions, strains)
        else:
            columns = _atom_columns(probe, responses, actions)
            for image in orbits[probe.atom]:
                operation = actions.carrier(probe.atom, int(image))
                moved = actions.apply(operation, columns.reshape(3, -1, 3)).reshape(3, size)
                hessian[:, 3 * image : 3 * image + 3] = (actions.rotations[operation] @ moved).T
    return _symmetric(hessian, len(strains) > 0, strains)


def _atom_columns(probe: Probe, responses: Floats, actions: SymmetryActions) -> Floats:
    """Response to a displacement of the atom along each axis, shape (3, n)."""
    assert probe.atom is not None  # noqa: S101 - for mypy: the caller has looked
    directions, images = [], []
    for operation in actions.site_group(probe.atom):
        rotation = actions.rotations[operation]
        directions.append(probe.directions[:, probe.atom] @ rotation.T)
        images.append(actions.apply(int(operation), responses).reshape(len(responses), -1))
    return _least_squares(np.concatenate(directions), np.concatenate(images))


def _strain_columns(
    probe: Probe, responses: Floats, actions: SymmetryActions, strains: Floats
) -> Floats:
    """Response to each component of a strain, shape (n, 9)."""
    directions, images = [], []
    for operation in range(actions.order):
        rotated = actions.apply(operation, probe.directions)[:, -3:].reshape(-1, 9)
        directions.append(rotated @ strains.reshape(-1, 9).T)
        images.append(actions.apply(operation, responses).reshape(len(responses), -1))
    columns = _least_squares(np.concatenate(directions), np.concatenate(images))
    return np.asarray(columns.T @ strains.reshape(-1, 9))


def _least_squares(directions: Floats, images: Floats) -> Floats:
    normal = directions.T @ directions
    return np.asarray(np.linalg.solve(normal, directions.T @ images))


def _symmetric(hessian: Floats, has_strain: bool, strains: Floats) -> Floats:
    """Leave out strains that are not free and average with the transpose."""
    if has_strain:
        flat = strains.reshape(-1, 9)
        hessian[-9:] = flat.T @ (flat @ hessian[-9:])
    return (hessian + hessian.T) / 2


def _generic(group: Floats, dimension: int) -> Floats:
    """Fewest unit vectors whose images under a group span the space, well conditioned.

    Parameters
    ----------
    group : ndarray, shape (n_operations, dimension, dimension)
        Orthogonal matrices.
    dimension : int
        Dimension of the space.
    """
    found = _generic_of(np.asarray(group, float).round(10).tobytes(), len(group), dimension)
    return found.copy()


@lru_cache(maxsize=512)
def _generic_of(group_bytes: bytes, order: int, dimension: int) -> Floats:
    """As :func:`_generic`; a crystal has few site groups, and asks for each several times."""
    group = np.frombuffer(group_bytes).reshape(order, dimension, dimension)
    random = np.random.default_rng(7)
    best, quality = np.zeros((0, dimension)), 0.0
    for count in range(-(-dimension // len(group)), dimension + 1):
        for _ in range(_TRIALS):
            trial = np.linalg.qr(random.normal(size=(dimension, count)))[0].T
            images = (group @ trial.T).transpose(0, 2, 1).reshape(-1, dimension)
            lowest = np.linalg.svd(images, compute_uv=False)[-1] / np.sqrt(len(group))
            if lowest > quality and lowest > 0.1:
                best, quality = trial, float(lowest)
            if quality > _WELL_CONDITIONED * np.sqrt(count / dimension):
                return best
        if quality > 0:
            return best
    return np.eye(dimension)
