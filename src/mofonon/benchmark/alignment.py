"""One crystal in the setting of another: cell, origin and order of atoms.

Two descriptions of a crystal may differ in the choice and orientation of the cell, in its
size, in the origin and in the order of atoms, and besides in what is to be compared: the cell
and the positions themselves. All lattice mappings and origins are tried, and the one with the
least root mean square deviation of the atoms is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure
from pymatgen.util.coord import lattice_points_in_supercell
from scipy.linalg import polar
from scipy.optimize import linear_sum_assignment

from mofonon.errors import ComparisonError
from mofonon.structures import to_primitive

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Relative deviation of cell lengths, and deviation of angles (degrees), up to which cells
#: are taken for the same; the second pair is tried where the first finds nothing.
CELL_TOLERANCES = ((0.1, 5.0), (0.3, 15.0))

#: Deviations (A) that differ by less are alike: then the cell that deviates least wins.
TIE = 1e-6

#: The same, to keep the cell vectors as the candidate names them.
TIE_AS_IT_IS = 1e-3

#: How much worse (relative) an estimate by nearest neighbours may be and still be looked into.
MARGIN = 1.05

_SHIFT_STEPS = 3


@dataclass(frozen=True)
class Alignment:
    """A candidate in the setting of a reference.

    Attributes
    ----------
    reference : Structure
        Primitive cell of the reference, or a supercell of it where the candidate's
        primitive cell is larger.
    candidate : Structure
        The candidate in that setting: atoms in the order of ``reference``, each next to its
        partner, in its orientation. The deviations in cell and positions are all that is left.
    deviations : ndarray, shape (n_atoms, 3)
        Candidate minus reference in fractional coordinates of the reference as it was given,
        their mean removed.
    origin_shift : ndarray, shape (3,)
        The mean that was removed, in the same coordinates and between -1/2 and 1/2.
    lattice : Lattice
        Cell of the candidate in the setting of the reference as it was given.
    order : ndarray of int, shape (n_atoms,)
        Atom of the candidate's primitive cell that each atom is.
    rotation : ndarray, shape (3, 3)
        Orthogonal; row vectors of the candidate times it are in the frame of the reference.
    reference_multiple : int
        Primitive cells of the reference in ``reference``.
    """

    reference: Structure
    candidate: Structure
    deviations: Floats
    origin_shift: Floats
    lattice: Lattice
    order: Integers
    rotation: Floats
    reference_multiple: int

    @property
    def mirrored(self) -> bool:
        """Whether the candidate is the mirror image of the reference."""
        return bool(np.linalg.det(self.rotation) < 0)

    @property
    def rmsd(self) -> float:
        """Root mean square distance of partners in the cell of the reference (A)."""
        cart = self.reference.lattice.get_cartesian_coords(
            self.candidate.frac_coords - self.reference.frac_coords
        )
        return float(np.sqrt(np.mean(np.sum(cart**2, axis=1))))


@dataclass(frozen=True)
class _Problem:
    """Two sets of atoms that are to be matched, in whichever cell is the larger."""

    small: Structure
    big: Structure
    multiple: int
    groups: list[tuple[Integers, Integers]] = field(repr=False)
    """Indices of each element in the expanded small cell and in the big one, rarest first."""


@dataclass
class _Match:
    scale: Integers
    stretch: Floats
    expanded: Floats
    shift: Floats
    estimate: float
    deviations: Floats = field(default_factory=lambda: np.empty((0, 3)))
    order: Integers = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    rmsd: float = np.inf


def align(
    reference: Structure,
    candidate: Structure,
    symprec: float = 1e-5,
    *,
    primitive: bool = True,
) -> Alignment:
    """Bring a candidate into the setting of a reference.

    Both are reduced to primitive cells first, unless told otherwise. Then all lattice mappings
    with like lengths and angles are tried and, for each, all origins that bring an atom of the
    rarest element onto one of the reference; atoms are assigned to each other within elements,
    at the least sum of squared distances.

    Parameters
    ----------
    reference, candidate : Structure
        Ordered, of the same composition; in any cell, orientation, origin and order.
    symprec : float
        Tolerance (A) of the translations by which cells are reduced.
    primitive : bool
        Reduce both to primitive cells; otherwise the cells are compared as they are.

    Returns
    -------
    Alignment

    Raises
    ------
    ComparisonError
        The compositions differ, or no cells of the two are alike.
    """
    if reference.composition.reduced_composition != candidate.composition.reduced_composition:
        raise ComparisonError(
            f"{reference.composition.reduced_formula} and "
            f"{candidate.composition.reduced_formula} are not the same compound",
            "compare structures of the same composition",
        )
    ours, theirs = reference, candidate
    if primitive:
        ours, theirs = to_primitive(reference, symprec), to_primitive(candidate, symprec)
    problem = _problem(ours, theirs)
    best = _best_match(problem, ours)
    return _alignment(reference, ours, theirs, problem, best)


def _problem(ours: Structure, theirs: Structure) -> _Problem:
    small, big = (ours, theirs) if len(theirs) >= len(ours) else (theirs, ours)
    multiple, rest = divmod(len(big), len(small))
    if rest:
        raise ComparisonError(
            f"primitive cells of {len(ours)} and {len(theirs)} atoms cannot be compared",
            "give both as primitive cells, or use a larger symmetry tolerance (--symprec)",
        )
    symbols = np.repeat([site.specie.symbol for site in small], multiple)
    of_big = np.array([site.specie.symbol for site in big])
    elements = sorted(set(of_big), key=lambda name: (int(np.sum(of_big == name)), name))
    groups = [(np.flatnonzero(symbols == e), np.flatnonzero(of_big == e)) for e in elements]
    return _Problem(small, big, multiple, groups)


def _best_match(problem: _Problem, ours: Structure) -> _Match:
    """Least deviation over lattice mappings and origins; `ours` is the reference."""
    growth = problem.big.volume / (problem.small.volume * problem.multiple)
    for tolerances in CELL_TOLERANCES:
        if abs(np.log(growth)) > 3 * np.log(1 + tolerances[0]):
            continue
        starts = sorted(_starts(problem, *tolerances), key=lambda match: match.estimate)
        if starts:
            break
    else:
        raise ComparisonError(
            "the cells cannot be brought to match: lengths "
            f"{_numbers(problem.small.lattice.abc)} and {_numbers(problem.big.lattice.abc)}, "
            f"angles {_numbers(problem.small.lattice.angles)} and "
            f"{_numbers(problem.big.lattice.angles)} of the primitive cells",
            "check that both files hold the same structure",
        )
    # the rarest element alone gives a lower bound: what is worse by it need not be tried
    n_rarest, n_atoms = len(problem.groups[0][0]), len(problem.big)
    bound = np.inf
    refined = []
    for match in starts:
        if match.estimate * np.sqrt(n_rarest / n_atoms) > bound * MARGIN + TIE:
            break
        _refine_estimate(problem, match)
        bound = min(bound, match.estimate)
        refined.append(match)
    finalists = [match for match in refined if match.estimate <= bound * MARGIN + TIE]
    for match in finalists:
        _assign(problem, match)
    least = min(match.rmsd for match in finalists)
    return min(
        (
            match
            for match in finalists
            if match.rmsd <= least + (TIE_AS_IT_IS if _as_it_is(match) else TIE)
        ),
        key=lambda match: _strangeness(problem, match, ours),
    )


def _strangeness(
    problem: _Problem, match: _Match, ours: Structure
) -> tuple[bool, float, bool, float]:
    """How far a mapping is from leaving the cell as it is, in the basis of the reference.

    Mappings that a symmetry of the reference turns into each other fit alike: they name the
    vectors of a less symmetric candidate differently.
    """
    aligned = match.scale @ problem.small.lattice.matrix
    to_reference = np.linalg.solve(aligned.T, ours.lattice.matrix.T).T
    cells = [to_reference @ cell for cell in (aligned, problem.big.lattice.matrix)]
    one, other = (cell @ cell.T for cell in cells)
    mismatch = float(np.abs(one - other).max() / other.max())
    turned = float(np.abs(match.stretch - np.eye(3)).max())
    mirrored = bool(np.linalg.det(match.stretch) < 0)
    return not _as_it_is(match), round(mismatch, 5), mirrored, round(turned, 4)


def _as_it_is(match: _Match) -> bool:
    return np.array_equal(match.scale, np.eye(3))


def _starts(problem: _Problem, ltol: float, atol: float) -> Iterator[_Match]:
    """Lattice mappings and origins, judged by the rarest element alone."""
    in_small, in_big = problem.groups[0]
    target = problem.big.frac_coords[in_big]
    mappings = problem.small.lattice.find_all_mappings(problem.big.lattice, ltol, atol)
    for _, stretch, scale in mappings:
        if round(abs(np.linalg.det(scale))) != problem.multiple or stretch is None:
            continue
        expanded = _expand(problem.small.frac_coords, scale)
        group = expanded[in_small]
        for origin in target:
            shift = origin - group[0]
            deviations = _nearest(problem, group + shift, target)
            estimate = _rms(problem, deviations - deviations.mean(axis=0))
            yield _Match(scale, stretch, expanded, shift, estimate)


def _expand(fractional: Floats, scale: Integers) -> Floats:
    """Fractional coordinates in a supercell; the copies of an atom follow each other."""
    points = lattice_points_in_supercell(scale)
    inside = fractional @ np.linalg.inv(scale)
    return np.asarray((inside[:, None] + points[None]).reshape(-1, 3), dtype=np.float64)


def _nearest(problem: _Problem, atoms: Floats, targets: Floats) -> Floats:
    """Deviation of the nearest target from each atom, fractional."""
    difference = targets[None] - atoms[:, None]
    difference -= np.rint(difference)
    distance = np.sum((difference @ problem.big.lattice.matrix) ** 2, axis=2)
    nearest = distance.argmin(axis=1)
    return np.asarray(difference[np.arange(len(atoms)), nearest], dtype=np.float64)


def _rms(problem: _Problem, deviations: Floats) -> float:
    cart = deviations @ problem.big.lattice.matrix
    return float(np.sqrt(np.mean(np.sum(cart**2, axis=1))))


def _refine_estimate(problem: _Problem, match: _Match) -> None:
    """Estimate by nearest neighbours of all elements, the origin moved to their mean."""
    for _ in range(_SHIFT_STEPS):
        deviations = np.vstack(
            [
                _nearest(
                    problem, match.expanded[ours] + match.shift, problem.big.frac_coords[theirs]
                )
                for ours, theirs in problem.groups
            ]
        )
        mean = deviations.mean(axis=0)
        match.shift = match.shift + mean
        match.estimate = _rms(problem, deviations - mean)


def _assign(problem: _Problem, match: _Match) -> None:
    """Assign atoms one to one and take the mean deviation away."""
    deviations = np.empty((len(problem.big), 3))
    order = np.empty(len(problem.big), dtype=np.int64)
    for _ in range(_SHIFT_STEPS):
        for ours, theirs in problem.groups:
            difference = (
                problem.big.frac_coords[theirs][None]
                - (match.expanded[ours] + match.shift)[:, None]
            )
            difference -= np.rint(difference)
            cost = np.sum((difference @ problem.big.lattice.matrix) ** 2, axis=2)
            rows, columns = linear_sum_assignment(cost)
            deviations[ours[rows]] = difference[rows, columns]
            order[ours[rows]] = theirs[columns]
        mean = deviations.mean(axis=0)
        deviations -= mean
        match.shift = match.shift + mean
    match.deviations, match.order, match.rmsd = deviations, order, _rms(problem, deviations)


def _alignment(
    given: Structure, ours: Structure, theirs: Structure, problem: _Problem, match: _Match
) -> Alignment:
    """Write the match in the setting of the reference."""
    scale = match.scale.astype(float)
    rotation, _ = polar(match.stretch)  # small -> big, without strain
    if problem.small is ours:
        in_ours = np.linalg.solve(scale, theirs.lattice.matrix @ rotation.T)
        reference, lattice = _cell_of_mapping(ours, match, problem.multiple), in_ours
        basis_of_both = scale if problem.multiple > 1 else np.eye(3)
        candidate = Structure(
            basis_of_both @ in_ours,
            reference.species,
            reference.frac_coords + match.deviations @ scale @ np.linalg.inv(basis_of_both),
        )
        deviations = match.deviations @ scale
        shift, order, to_reference = match.shift @ scale, match.order, rotation.T
    else:
        reference = ours
        back = np.argsort(match.order)
        deviations = -match.deviations[back]
        lattice = scale @ theirs.lattice.matrix @ rotation
        candidate = Structure(lattice, ours.species, ours.frac_coords + deviations)
        shift, order, to_reference = -match.shift, back // problem.multiple, rotation
    # from the primitive cell of the reference to the cell that was given
    basis = np.rint(np.linalg.solve(ours.lattice.matrix.T, given.lattice.matrix.T).T)
    inverse = np.linalg.inv(basis)
    shift = shift @ inverse
    return Alignment(
        reference=reference,
        candidate=candidate,
        deviations=deviations @ inverse,
        origin_shift=shift - np.rint(shift),
        lattice=Lattice(basis @ lattice),
        order=order,
        rotation=np.asarray(to_reference, dtype=np.float64),
        reference_multiple=problem.multiple if problem.small is ours else 1,
    )


def _cell_of_mapping(primitive: Structure, match: _Match, multiple: int) -> Structure:
    """Supercell of the mapping; the primitive cell as it was where that is none."""
    if multiple == 1:
        return primitive
    symbols = [site.specie.symbol for site in primitive for _ in range(multiple)]
    return Structure(match.scale @ primitive.lattice.matrix, symbols, match.expanded)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
