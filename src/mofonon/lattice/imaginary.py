"""Ways out of imaginary modes: follow the mode, rattle, or heat a little.

Pure functions on ASE atoms and phonopy objects; :mod:`mofonon.lattice.stabilize` makes jobs
of them.

References
----------
The three ways are those of Elena et al., npj Comput. Mater. 11, 125 (2025): mode mapping,
random displacements of 0.01 A, and 40 steps of NVE at 7.5 or 10 K.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

from mofonon.dynamics import draw_velocities, kinetic_temperature
from mofonon.lattice.commensurate_cells import supercell_of
from mofonon.lattice.mesh import dynamical_matrix, gamma_modes, signed_sqrt
from mofonon.lattice.phonons import to_atoms

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Modes closer than this are degenerate (THz).
_DEGENERATE = 1e-3

#: Largest atomic displacement of the first point of an amplitude scan (A).
_FIRST_AMPLITUDE = 0.1

#: No atom is displaced further than this in a scan (A).
_LARGEST_AMPLITUDE = 1.0


@dataclass(frozen=True)
class Instability:
    """The lowest imaginary mode that a supercell describes exactly.

    Attributes
    ----------
    q : ndarray, shape (3,)
        q-point (reduced coordinates), commensurate with the supercell of the force constants.
    frequency : float
        Frequency, negative (THz).
    eigenvectors : ndarray, shape (3 * n_atoms, n_degenerate)
        Eigenvectors of the degenerate modes.
    atom_weights : ndarray, shape (n_atoms,)
        Share of each atom in them; they sum to 1.
    """

    q: Floats
    frequency: float
    eigenvectors: NDArray[np.complex128] = field(repr=False)
    atom_weights: Floats = field(repr=False)


@dataclass(frozen=True)
class AmplitudeScan:
    """Energy along a displacement pattern.

    Attributes
    ----------
    amplitudes : list of float
        Largest atomic displacement of each point (A).
    energies : list of float
        Energy relative to the undisplaced cell (eV).
    best : float
        Amplitude of the lowest energy found (A); 0 when none was lower.
    """

    amplitudes: list[float]
    energies: list[float]
    best: float

    @property
    def gain(self) -> float:
        """Lowest energy relative to the undisplaced cell (eV); 0 when none was lower."""
        return min(0.0, *self.energies)


def find_instability(phonon: Phonopy, threshold: float = 1e-4) -> Instability | None:
    """Find the lowest imaginary mode at the q-points that the supercell holds.

    At those points force constants are exact; between them they are interpolated. The
    acoustic modes at Gamma are left out.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants; the primitive cell is the unit cell.
    threshold : float
        A frequency below minus this is imaginary (THz).

    Returns
    -------
    Instability or None
        None when no such mode is below the threshold.
    """
    acoustic = set(gamma_modes(phonon).acoustic_bands.tolist())
    found: Instability | None = None
    for q in get_commensurate_points(np.asarray(phonon.supercell_matrix)):
        a, b, c = (float(x) for x in q - np.rint(q - 1e-9))
        values, vectors = np.linalg.eigh(dynamical_matrix(phonon, (a, b, c)))
        frequencies = signed_sqrt(values)
        at_gamma = np.allclose((a, b, c), 0)
        bands = [i for i in range(len(values)) if not (at_gamma and i in acoustic)]
        lowest = float(min(frequencies[bands], default=0.0))
        if lowest >= -threshold or (
            found is not None and lowest >= found.frequency - _DEGENERATE
        ):
            continue
        chosen = vectors[:, [i for i in bands if frequencies[i] < lowest + _DEGENERATE]]
        weights = (np.abs(chosen) ** 2).sum(axis=1).reshape(-1, 3).sum(axis=1)
        found = Instability(np.array([a, b, c]), lowest, chosen, weights / weights.sum())
    return found


def mode_patterns(
    phonon: Phonopy, instability: Instability, matrix: Integers
) -> tuple[Atoms, list[Floats]]:
    """Displacement patterns of an imaginary mode in a commensurate supercell.

    Of degenerate modes the combinations that move the leading atom along one, two and three
    of the axes are given: isotropy subgroups of high symmetry are among them.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        The cell that the eigenvectors belong to.
    instability : Instability
        The mode.
    matrix : ndarray, shape (3, 3)
        Supercell, as :func:`commensurate_matrix` gives it.

    Returns
    -------
    atoms : Atoms
        The undisplaced supercell.
    patterns : list of ndarray, shape (n_atoms, 3)
        Real patterns whose largest atomic displacement is 1.
    """
    unit = to_atoms(phonon.primitive)
    atoms, index, positions = supercell_of(unit, matrix)
    phases = np.exp(2j * np.pi * positions @ instability.q)
    masses = np.sqrt(phonon.primitive.masses)[index]
    basis = [
        _real_pattern(vector.reshape(-1, 3)[index] * (phases / masses)[:, None])
        for vector in _aligned(instability).T
    ]
    patterns = [
        sum(basis[:count], np.zeros_like(basis[0])) for count in range(1, len(basis) + 1)
    ]
    return atoms, [pattern / np.linalg.norm(pattern, axis=1).max() for pattern in patterns]


def scan_amplitude(
    energy: Callable[[float], float], curvature: float, max_evaluations: int = 6
) -> AmplitudeScan:
    """Find the amplitude of the lowest energy along a pattern.

    The energy is taken as ``E0 - k a^2 + c a^4``: the parabola is known from the frequency,
    the quartic is fitted to the first point, and its minimum is evaluated next; then both,
    and with three points a sixth-order term, are fitted until the minimum stays.

    Parameters
    ----------
    energy : callable
        Energy (eV) at an amplitude (A).
    curvature : float
        Second derivative of the energy at 0 (eV/A^2), negative.
    max_evaluations : int
        Evaluations besides the one at 0.
    """
    reference = energy(0.0)
    amplitudes: list[float] = []
    energies: list[float] = []
    trial = _FIRST_AMPLITUDE
    for _ in range(max_evaluations):
        amplitudes.append(trial)
        energies.append(energy(trial) - reference)
        trial = _next_amplitude(amplitudes, energies, curvature)
        if min(abs(trial - done) for done in amplitudes) < 0.02 * trial:
            break
    lowest = int(np.argmin(energies))
    return AmplitudeScan(
        amplitudes, energies, amplitudes[lowest] if energies[lowest] < 0 else 0.0
    )


def pattern_curvature(phonon_masses: Floats, pattern: Floats, frequency: float) -> float:
    """Second derivative of the energy along a pattern (eV/A^2), from the frequency (THz).

    ``E'' = sign(nu) (2 pi nu)^2 sum_j m_j |u_j|^2`` for a pattern of one frequency.
    """
    unit = signed_sqrt(np.array([1.0]))[0]  # THz of 1 eV/A^2/u
    inertia = float(np.sum(phonon_masses[:, None] * pattern**2))
    return float(np.sign(frequency) * (frequency / unit) ** 2 * inertia)


def rattle(
    atoms: Atoms, standard_deviation: float, seed: int, chosen: Sequence[int] | None = None
) -> Atoms:
    """Displace atoms by normal random vectors, the centre of mass kept.

    Parameters
    ----------
    atoms : Atoms
        The structure; a copy is displaced.
    standard_deviation : float
        Of each Cartesian component (A).
    seed : int
        Seed of the random numbers.
    chosen : sequence of int, optional
        Atoms to displace; all if None.
    """
    rattled = atoms.copy()
    moves = np.random.default_rng(seed).normal(scale=standard_deviation, size=(len(atoms), 3))
    if chosen is not None:
        moves[np.setdiff1d(np.arange(len(atoms)), chosen)] = 0.0
    rattled.positions += moves
    if chosen is None:
        masses = rattled.get_masses()[:, None]
        rattled.positions -= (masses * moves).sum(axis=0) / masses.sum()
    return rattled


def heat(
    atoms: Atoms,
    calculator: BaseCalculator,
    *,
    temperature: float,
    steps: int,
    time_step: float,
    seed: int,
    fixed: Sequence[int] = (),
) -> tuple[Atoms, float]:
    """Run a short NVE trajectory from velocities of a temperature.

    Parameters
    ----------
    atoms : Atoms
        The structure; a copy moves.
    calculator : BaseCalculator
        The potential.
    temperature : float
        Temperature of the velocities drawn (K), momentum removed, reached exactly.
    steps : int
        Steps of velocity Verlet.
    time_step : float
        Time step (fs).
    seed : int
        Seed of the velocities.
    fixed : sequence of int
        Atoms that do not move.

    Returns
    -------
    atoms : Atoms
        The structure after the last step, without velocities.
    start_temperature : float
        Kinetic temperature at the start (K).

    Raises
    ------
    SettingsError
        For a temperature of zero, at which nothing would move.
    """
    system = atoms.copy()
    system.calc = calculator
    draw_velocities(system, temperature, seed, fixed)
    start_temperature = kinetic_temperature(system)
    VelocityVerlet(system, timestep=time_step * units.fs).run(steps)
    moved = atoms.copy()
    moved.set_cell(system.cell)
    moved.positions = system.positions
    return moved, start_temperature


def leading_atoms(weights: Floats, share: float = 0.9) -> Integers:
    """Smallest set of atoms that carries a share of the imaginary mode.

    Parameters
    ----------
    weights : ndarray, shape (n_atoms,)
        Share of each atom; they sum to 1.
    share : float
        Share that the set carries.
    """
    order = np.argsort(weights)[::-1]
    count = int(np.searchsorted(np.cumsum(weights[order]), share - 1e-12)) + 1
    return np.sort(order[:count]).astype(np.int64)


def _next_amplitude(
    amplitudes: Sequence[float], energies: Sequence[float], curvature: float
) -> float:
    """Minimum of an even polynomial through the points nearest to the lowest one (A).

    Quadratic and quartic term from the curvature and one point; with two points both are
    fitted, with three or more a sixth-order term too.
    """
    order = np.argsort(np.abs(np.array(amplitudes) - amplitudes[int(np.argmin(energies))]))[:3]
    s, e = np.array(amplitudes)[order] ** 2, np.array(energies)[order]
    if len(s) == 1:
        coefficients = np.array([curvature / 2, (e[0] - curvature / 2 * s[0]) / s[0] ** 2])
    else:
        coefficients = np.linalg.solve(np.stack([s ** (n + 1) for n in range(len(s))], 1), e)
    polynomial = np.polynomial.Polynomial([0.0, *coefficients])
    roots = np.asarray(polynomial.deriv().roots(), complex)
    stationary = [float(root.real) for root in roots if abs(root.imag) < 1e-9]
    minima = [x for x in stationary if x > 0 and polynomial.deriv(2)(x) > 0]
    if minima:
        best = min(minima, key=lambda x: float(polynomial(x)))
        return float(min(np.sqrt(best), _LARGEST_AMPLITUDE))
    if min(energies) >= 0:
        return min(amplitudes) / 2  # not lower so far: nearer to the start
    return min(2 * max(amplitudes), _LARGEST_AMPLITUDE)


def _aligned(instability: Instability) -> NDArray[np.complex128]:
    """Combine degenerate eigenvectors so that the leading atom moves along the axes."""
    vectors = instability.eigenvectors
    if vectors.shape[1] == 1:
        return vectors
    leader = int(np.argmax(instability.atom_weights))
    block = vectors[3 * leader : 3 * leader + 3]
    combinations, lengths, _ = np.linalg.svd(block.conj().T, full_matrices=False)
    rank = int((lengths > 1e-3 * lengths[0]).sum())
    if rank == vectors.shape[1] == 3:
        combinations = np.linalg.inv(block)
    aligned = vectors @ combinations[:, :rank]
    return aligned / np.linalg.norm(aligned, axis=0)


def _real_pattern(complex_pattern: NDArray[np.complex128]) -> Floats:
    """Real part at the phase that makes it largest."""
    phase = np.exp(-0.5j * np.angle(np.sum(complex_pattern**2)))
    real: Floats = np.real(complex_pattern * phase)
    return real / np.linalg.norm(real)
