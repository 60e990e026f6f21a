"""Second-order relaxation: the same minimum, less often asked for; out of saddle points."""

import io

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter, UnitCellFilter
from ase.optimize import LBFGS
from hypothesis import given, settings
from hypothesis import strategies as st

from mofonon.errors import RelaxationNotConverged
from mofonon.lattice.following import NegativeMode, directions
from mofonon.lattice.hessian import DifferencePlan, count_probes, plan_probes
from mofonon.lattice.joint_coordinates import JointCoordinates
from mofonon.lattice.known_hessian import KnownHessian, Point
from mofonon.lattice.measurements import HessianMeasurements
from mofonon.lattice.newton import TrustRegionNewton
from mofonon.lattice.relax import relax
from mofonon.lattice.second_order import choose_optimizer
from mofonon.lattice.symmetry_actions import SymmetryActions, find_actions
from mofonon.lattice.trust_region import rational_shift, trust_region_step, update_hessian
from mofonon.potentials import EvaluationLog, LoggedCalculator


def _alloy():
    """Ordered Cu3Au in a distorted cell, atoms off their places."""
    atoms = bulk("Cu", cubic=True, a=3.8)
    atoms.numbers[0] = 79
    atoms.set_cell(atoms.cell.array @ np.diag([1.02, 1.0, 0.99]), scale_atoms=True)
    atoms.rattle(0.05, seed=2)
    return atoms


@pytest.mark.parametrize("cell", ["free", "fixed-volume", "fixed"])
@pytest.mark.parametrize("symmetry", ["follow", "keep", "none"])
def test_the_minimum_is_that_of_lbfgs(cell, symmetry):
    atoms = _alloy()
    expected = relax(atoms, EMT(), 1e-7, cell=cell, method="lbfgs")
    found = relax(atoms, EMT(), 1e-7, cell=cell, method="newton", symmetry=symmetry)
    assert np.isclose(found.energy, expected.energy, atol=4e-8)
    assert np.allclose(found.atoms.cell.cellpar(), expected.atoms.cell.cellpar(), atol=1e-4)
    distances = [each.atoms.get_all_distances(mic=True) for each in (found, expected)]
    assert np.allclose(*distances, atol=1e-4)
    assert found.fmax < 1e-7
    assert found.n_force_evaluations < expected.n_force_evaluations
    if cell != "free":
        assert np.isclose(found.atoms.get_volume(), atoms.get_volume(), rtol=1e-10)


@pytest.mark.parametrize(
    "make_target",
    [
        lambda atoms: atoms,
        FrechetCellFilter,
        UnitCellFilter,
        lambda atoms: FrechetCellFilter(atoms, constant_volume=True),
        lambda atoms: FrechetCellFilter(atoms, hydrostatic_strain=True),
        lambda atoms: FrechetCellFilter(atoms, mask=[1, 1, 0, 0, 0, 0]),
    ],
)
def test_it_is_an_optimizer_of_atoms_and_filters(make_target):
    energies = []
    for optimizer in (TrustRegionNewton, LBFGS):
        atoms = _alloy()
        atoms.calc = EMT()
        target = make_target(atoms)
        with optimizer(target, logfile=None) as relaxation:
            assert relaxation.run(fmax=1e-5, steps=500)
        energies.append(atoms.get_potential_energy())
    assert np.isclose(*energies, atol=1e-7)


def test_held_atoms_stay():
    from ase.constraints import FixAtoms

    atoms = _alloy()
    atoms.set_constraint(FixAtoms([0]))
    before = atoms.positions[0].copy()
    atoms.calc = EMT()
    assert TrustRegionNewton(atoms, logfile=None).run(fmax=1e-6, steps=200)
    assert np.array_equal(atoms.positions[0], before)


def test_the_log_has_a_line_for_each_step():
    atoms = _alloy()
    atoms.calc = EMT()
    log = io.StringIO()
    optimizer = TrustRegionNewton(FrechetCellFilter(atoms), logfile=log)
    optimizer.run(fmax=1e-6, steps=200)
    header, *lines = log.getvalue().splitlines()
    for word in ("evaluations", "fmax", "stress", "lowest", "radius", "ratio"):
        assert word in header
    assert len(lines) == optimizer.nsteps + 1
    assert int(lines[-1].split()[1]) == optimizer.n_evaluations
    assert float(lines[-1].split()[3]) < 1e-6


def test_a_killed_relaxation_reads_what_it_evaluated(tmp_path):
    """The log of evaluations restarts it: the same steps, nothing computed twice."""
    with EvaluationLog(tmp_path / "log") as log:
        first = LoggedCalculator(EMT(), log)
        with pytest.raises(RelaxationNotConverged):
            relax(_alloy(), first, 1e-7, method="newton", max_steps=4)
        again = LoggedCalculator(EMT(), log)
        result = relax(_alloy(), again, 1e-7, method="newton")
    whole = relax(_alloy(), EMT(), 1e-7, method="newton")
    assert again.n_evaluations - again.n_computed == first.n_computed
    assert np.array_equal(result.atoms.positions, whole.atoms.positions)
    assert result.n_force_evaluations == whole.n_force_evaluations


def test_the_hessian_restarts_from_its_file(tmp_path):
    atoms = _alloy()
    atoms.calc = EMT()
    restart = tmp_path / "hessian.json"
    optimizer = TrustRegionNewton(atoms, restart=restart, logfile=None)
    optimizer.run(fmax=1e-7, steps=200)
    atoms.rattle(0.001, seed=5)
    second = TrustRegionNewton(atoms, restart=restart, logfile=None)
    second.run(fmax=1e-7, steps=200)
    assert second.n_hessian_evaluations == 0
    assert second.n_evaluations < optimizer.n_evaluations


class Wells(Calculator):
    """Each atom in a well around its site: ``sum_i c/2 x_i^2 + q/4 x_i^4`` over x, y, z.

    The mean of the displacements does not count: rigid translations cost nothing. With
    ``c < 0`` a double well along each axis, minima at ``sqrt(-c/q)``, depth
    ``c^2 / 4q`` for each axis.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, sites, c=(1.0, 1.0, -2.0), q=(0.0, 0.0, 50.0)):
        super().__init__()
        self.sites, self.c, self.q = np.array(sites), np.array(c), np.array(q)

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = atoms.positions - self.sites
        x = x - x.mean(axis=0)
        energy = np.sum(self.c / 2 * x**2 + self.q / 4 * x**4)
        forces = -(self.c * x + self.q * x**3)
        self.results = {"energy": float(energy), "forces": forces - forces.mean(axis=0)}


def _pair(c=4.0):
    """Two atoms whose opposite displacements break the symmetry between them."""
    sites = [[0.0, 0.0, 0.0], [2.0, 2.0, c / 2]]
    return Atoms("NaCl", cell=[4.0, 4.0, c], positions=sites, pbc=True)


def test_a_saddle_point_is_followed_to_the_double_well():
    """Atoms against each other along z; closed form of the minimum."""
    atoms = _pair(4.4)
    calculator = Wells(atoms.positions, c=(1.0, 1.0, -2.0), q=(0.0, 0.0, 50.0))
    result = relax(atoms, calculator, 1e-7, cell="fixed", method="newton")
    record = result.second_order
    assert record is not None
    assert np.isclose(result.energy, -2 * 2.0**2 / (4 * 50.0), atol=1e-10)
    moves = result.atoms.positions - atoms.positions
    assert np.allclose(np.abs(moves[:, 2]), np.sqrt(2.0 / 50.0), atol=1e-6)
    assert [mode.gain < 0 for mode in record.followed] == [True]
    assert record.followed[0].operations_after < record.followed[0].operations_before
    assert record.lowest_curvature is not None
    assert record.lowest_curvature > 0
    assert result.n_force_evaluations < 20


class Bending(Calculator):
    """A linear chain B-A-B along z that bends where it is short.

    With ``d`` half the distance of the ends beyond ``d0`` and ``x`` the transverse shift of A,
    ``k/2 d^2 + (c + g d)/2 x^2 + q/4 x^4``: bending is stiff at ``d = 0.3`` and has negative
    curvature ``c`` at ``d = 0``, where the forces of the straight chain vanish. All other
    relative displacements have a curvature of about 1. Minimum: ``x^2 = -c / (q - g^2/2k)``,
    energy ``-c^2 / 4(q - g^2/2k)``.
    """

    implemented_properties = ("energy", "forces")
    k, c, g, q, d0 = 0.2, -1.0, 5.0, 200.0, 2.0

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        middle, lower, upper = atoms.positions
        shift = middle - (lower + upper) / 2
        apart = (upper - lower) / 2
        d, x = apart[2] - self.d0, shift[0]
        energy = self.k / 2 * d**2 + (self.c + self.g * d) / 2 * x**2 + self.q / 4 * x**4
        energy += (shift[1] ** 2 + shift[2] ** 2 + apart[0] ** 2 + apart[1] ** 2) / 2
        on_shift = np.array([(self.c + self.g * d) * x + self.q * x**3, shift[1], shift[2]])
        on_apart = np.array([apart[0], apart[1], self.k * d + self.g / 2 * x**2])
        gradient = [on_shift, -on_shift / 2 - on_apart / 2, -on_shift / 2 + on_apart / 2]
        self.results = {"energy": float(energy), "forces": -np.array(gradient)}


def test_a_mode_that_turns_negative_on_the_way_is_followed():
    """The Hessian of all modes was taken where the mode was stiff, and steps do not see it."""
    cell, half = [5.0, 6.0, 12.0], 2.3
    places = [[2.5, 3.0, 6.0], [2.5, 3.0, 6.0 - half], [2.5, 3.0, 6.0 + half]]
    atoms = Atoms("ONN", cell=cell, positions=places, pbc=True)
    result = relax(atoms, Bending(), 1e-7, cell="fixed", method="newton")
    stiff = Bending.q - Bending.g**2 / (2 * Bending.k)
    assert np.isclose(result.energy, -(Bending.c**2) / (4 * stiff), atol=1e-9)
    record = result.second_order
    assert record is not None
    assert sum(mode.gain < 0 for mode in record.followed) == 1
    assert record.lowest_curvature is not None
    assert record.lowest_curvature > 0
    assert record.modes_measured_at_end
    kept = relax(atoms, Bending(), 1e-7, cell="fixed", method="newton", symmetry="keep")
    assert np.isclose(kept.energy, 0, atol=1e-12)
    assert kept.second_order is not None
    assert not kept.second_order.modes_measured_at_end


def test_symmetry_is_kept_when_asked():
    atoms = _pair(4.4)
    calculator = Wells(atoms.positions)
    result = relax(atoms, calculator, 1e-7, cell="fixed", method="newton", symmetry="keep")
    assert result.energy == 0
    assert result.second_order is not None
    assert result.second_order.followed == []


def test_a_triply_degenerate_mode_takes_the_lowest_direction():
    """Wells along all axes: the body diagonal is lowest, three times the depth of an axis."""
    atoms = _pair()
    calculator = Wells(atoms.positions, c=(-2.0,) * 3, q=(50.0,) * 3)
    result = relax(atoms, calculator, 1e-7, cell="fixed", method="newton")
    assert np.isclose(result.energy, -3 * 2 * 2.0**2 / (4 * 50.0), atol=1e-9)
    assert result.second_order is not None
    assert result.second_order.followed[0].degeneracy == 3


def test_directions_of_a_cubic_vector_mode():
    """Axis, face diagonal and body diagonal, one of each."""
    atoms = _pair()
    actions = find_actions(atoms)
    assert actions.order == 48
    opposite = np.zeros((3, 2, 3))
    for axis in range(3):
        opposite[axis, :, axis] = [np.sqrt(0.5), -np.sqrt(0.5)]
    found = directions(NegativeMode(-1.0, opposite), actions)
    kinds = sorted(int((np.abs(pattern[0]) > 1e-6).sum()) for pattern in found)
    assert kinds == [1, 2, 3]
    for pattern in found:
        assert np.isclose(np.linalg.norm(pattern, axis=1).max(), 1)


def test_symmetry_is_recognised_only_where_the_potential_agrees():
    """Atoms 0.02 A off sites that lie in the minima of wells are put back; others are not."""
    atoms = _pair()
    atoms.positions += np.array([[0, 0, 0.01], [0, 0, -0.01]])
    stable = Wells(_pair().positions, c=(1.0,) * 3, q=(0.0,) * 3)
    record = relax(atoms, stable, 1e-7, cell="fixed", method="newton").second_order
    assert record is not None
    assert record.symmetrisation.order == 48
    assert record.symmetrisation.energy_change is not None
    assert record.symmetrisation.energy_change < 0
    unstable = Wells(_pair().positions)
    record = relax(atoms, unstable, 1e-7, cell="fixed", method="newton").second_order
    assert record is not None
    assert record.symmetrisation.order < 48


def test_a_potential_without_the_symmetry_of_the_crystal():
    """Sites off the symmetric ones: forces decide, not the operations of the input."""
    atoms = _pair()
    sites = atoms.positions + np.array([[0.0, 0.0, 0.02], [0.01, 0.0, -0.02]])
    calculator = Wells(sites, c=(1.0,) * 3, q=(0.0,) * 3)
    result = relax(atoms, calculator, 1e-7, cell="fixed", method="newton")
    moves = result.atoms.positions - sites
    assert np.allclose(moves - moves.mean(axis=0), 0, atol=1e-6)


def _disordered(repetitions):
    atoms = bulk("Cu", cubic=True, a=3.65).repeat(repetitions)
    atoms.numbers[[0, 5, 11]] = 47
    atoms.rattle(0.1, seed=4)
    return atoms


@pytest.mark.parametrize(
    ("repetitions", "fmax", "source"),
    [((2, 2, 1), 1e-6, "finite-difference"), ((3, 3, 2), 1e-4, "model")],
)
def test_no_symmetry_starts_from_a_model(repetitions, fmax, source):
    """Differences come late where they are dear, and never where they are too dear."""
    atoms = _disordered(repetitions)
    cell = "free" if fmax < 1e-5 else "fixed"
    expected = relax(atoms, EMT(), fmax, cell=cell, method="lbfgs")
    found = relax(atoms, EMT(), fmax, cell=cell)
    assert found.method == "newton"
    assert found.second_order is not None
    assert found.second_order.hessian_source == source
    assert (found.second_order.lowest_curvature is None) == (source == "model")
    assert np.isclose(found.energy, expected.energy, atol=1e-6)
    assert found.n_force_evaluations <= 1.2 * expected.n_force_evaluations


def test_differences_are_due_when_the_model_has_had_as_much():
    cost = count_probes(plan_probes(SymmetryActions.trivial(20), np.zeros((0, 3, 3))))
    assert cost == 60
    plan = DifferencePlan(cost)
    assert not plan.is_due(1.0, 40)  # far from the minimum, and dear
    assert not plan.is_due(0.01, 50)
    assert not plan.is_due(0.01, 64)
    assert plan.is_due(0.01, 65)


def test_too_many_atoms_take_preconditioned_lbfgs():
    atoms = Atoms("H1001", positions=np.zeros((1001, 3)))
    assert choose_optimizer(atoms, "auto") == "precon-lbfgs"
    assert choose_optimizer(atoms[:1000], "auto") == "newton"
    assert choose_optimizer(atoms[:10], "lbfgs") == "lbfgs"


class Stepped(EMT):
    """EMT with energies rounded and forces of another sign than the energy goes down.

    As bad as an inconsistent potential can be: no step of newton goes down.
    """

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.results["energy"] = -self.results["energy"]


def test_where_newton_goes_no_lower_lbfgs_goes_on():
    result = relax(_alloy(), Stepped(), 1e-6, cell="fixed", symmetry="none")
    assert result.second_order is not None
    assert result.second_order.stalled_after is not None
    expected = relax(_alloy(), EMT(), 1e-6, cell="fixed", method="lbfgs")
    assert np.isclose(result.energy, -expected.energy, atol=1e-7)


def test_energies_that_are_not_finite_end_it():
    class Breaks(EMT):
        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            self.results["forces"] = self.results["forces"] * np.nan
            self.results["energy"] = np.nan

    for method in ("newton", "lbfgs", "precon-lbfgs"):
        with pytest.raises(RelaxationNotConverged):
            relax(_alloy(), Breaks(), 1e-6, method=method, symmetry="none")


@pytest.mark.parametrize("rattled", [False, True])
def test_forces_that_are_not_finite_nearby_end_it_and_say_so(rattled):
    """In differences they passed for measured modes, in steps they went into the Hessian."""

    class BreaksNearby(EMT):
        """Without numbers where forces are small: at differences of a symmetric alloy."""

        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            if 1e-6 < np.abs(self.results["forces"]).max() < 1e-2:
                self.results["forces"] = self.results["forces"] * np.nan

    atoms = bulk("Cu", cubic=True, a=3.8)
    atoms.numbers[0] = 79
    with pytest.raises(RelaxationNotConverged, match="not finite"):
        relax(_alloy() if rattled else atoms, BreaksNearby(), 1e-6, cell="fixed")


def test_products_that_are_not_finite_are_an_error_without_symmetry():
    """There nothing replaces them: the old Hessian was kept, and each step asked again."""
    target = _alloy()
    coordinates = JointCoordinates.of(target)
    actions = SymmetryActions.trivial(len(target))
    rows = target.positions.copy()
    known = KnownHessian(coordinates.basis(actions), np.eye(rows.size))
    nowhere = Point(rows, 0.0, np.full_like(rows, np.nan))
    measure = HessianMeasurements(coordinates, known, lambda _: nowhere)
    with pytest.raises(RelaxationNotConverged, match="not finite"):
        measure.soft_modes(Point(rows, 0.0, np.zeros_like(rows)), actions)


def test_preconditioned_lbfgs():
    expected = relax(_alloy(), EMT(), 1e-6, method="lbfgs")
    found = relax(_alloy(), EMT(), 1e-6, method="precon-lbfgs")
    assert np.isclose(found.energy, expected.energy, atol=1e-8)


def test_a_failed_line_search_is_continued_by_plain_lbfgs(monkeypatch):
    from ase.optimize.precon import PreconLBFGS

    def fail(self, *arguments, **keywords):
        if self.nsteps >= 3:
            raise RuntimeError("Armijo linesearch failed after reset of Hessian, aborting")
        return search(self, *arguments, **keywords)

    search = PreconLBFGS.line_search
    monkeypatch.setattr(PreconLBFGS, "line_search", fail)
    expected = relax(_alloy(), EMT(), 1e-6, method="lbfgs")
    found = relax(_alloy(), EMT(), 1e-6, method="precon-lbfgs")
    assert found.converged
    assert np.isclose(found.energy, expected.energy, atol=1e-8)


def _matrix(seed, size):
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(size, size))
    return (matrix + matrix.T) / 2, random


@given(seed=st.integers(0, 10_000), size=st.integers(1, 4))
@settings(deadline=None)
def test_steps_go_down_and_stay_inside_the_radius(seed, size):
    hessian, random = _matrix(seed, 3 * size)
    gradient = random.normal(size=3 * size)
    step, predicted, lowest = trust_region_step(hessian, gradient, np.eye(3 * size), 0.2)
    assert np.linalg.norm(step.reshape(-1, 3), axis=1).max() < 0.2 * (1 + 1e-6)
    assert predicted < 0
    assert np.isclose(predicted, gradient @ step + step @ hessian @ step / 2)
    assert np.isclose(lowest, np.linalg.eigvalsh(hessian)[0])


@given(seed=st.integers(0, 10_000))
@settings(deadline=None)
def test_updated_hessians_map_the_step_on_the_change(seed):
    hessian, random = _matrix(seed, 6)
    step, change = random.normal(size=(2, 6))
    updated = update_hessian(hessian, step, change)
    assert np.allclose(updated @ step, change, atol=1e-6 * np.abs(updated).max())
    assert np.allclose(updated, updated.T)


@given(seed=st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_steps_on_a_quadratic_surface_teach_its_whole_hessian(seed):
    """As many steps as dimensions: each update keeps what those before it taught."""
    random = np.random.default_rng(seed)
    axes, steps = np.linalg.qr(random.normal(size=(2, 6, 6)))[0]
    true = axes @ np.diag(random.uniform(1, 1.5, 6)) @ axes.T
    hessian = 3 * np.eye(6)
    for step in steps:
        hessian = update_hessian(hessian, step, true @ step)
        assert np.linalg.eigvalsh(hessian)[0] > 0.9
    assert np.allclose(hessian, true, atol=1e-9)


@given(seed=st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_updates_by_positive_curvatures_make_none_negative(seed):
    random = np.random.default_rng(seed)
    factor, other = random.normal(size=(2, 6, 6))
    hessian, true = factor @ factor.T, other @ other.T
    for step in random.normal(size=(12, 6)):
        hessian = update_hessian(hessian, step, true @ step)
        assert np.linalg.eigvalsh(hessian)[0] > -1e-9


def test_the_rational_shift_is_the_lowest_root_of_the_secular_equation():
    values, slopes = np.array([-0.3, 0.5, 2.0]), np.array([0.2, -0.1, 0.4])
    shift = rational_shift(values, slopes)
    assert shift < -0.3
    assert np.isclose(shift, np.sum(slopes**2 / (shift - values)))


def test_a_single_atom_in_a_fixed_cell_has_nothing_to_relax():
    result = relax(bulk("Al", a=4.0), EMT(), 1e-6, cell="fixed", method="newton")
    assert result.second_order is not None
    assert result.second_order.lowest_curvature is None
    assert result.n_force_evaluations <= 2
