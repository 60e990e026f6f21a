"""The sparse tetrahedron density of states against phonopy and sum rules."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mofonon.lattice.analysis import density_of_states
from mofonon.lattice.mesh import mesh_modes
from mofonon.lattice.phonons import displaced_supercells, set_force_constants, supercell_forces
from mofonon.lattice.settings import PhononSettings
from mofonon.lattice.tetrahedron import _cross_section, frequency_points


def _phonon(atoms):
    phonon = displaced_supercells(atoms, PhononSettings())
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    return phonon


def _alloy(*, low_symmetry):
    alloy = bulk("Cu", "fcc", a=3.7, cubic=True)
    alloy.symbols[0] = "Au"
    if low_symmetry:
        alloy.set_cell([[3.7, 0, 0], [0.2, 3.8, 0], [0.1, 0.3, 3.65]], scale_atoms=True)
    return alloy


@pytest.fixture(scope="module", params=["fcc", "ordered alloy", "low symmetry"])
def phonon(request):
    if request.param == "fcc":
        return _phonon(bulk("Al", "fcc", a=3.9949))
    return _phonon(_alloy(low_symmetry=request.param == "low symmetry"))


def test_total_and_projected_equal_phonopys_on_the_full_mesh(phonon):
    mesh = (5, 6, 7) if len(phonon.primitive) > 1 else (7, 7, 7)
    modes = mesh_modes(phonon, mesh)
    points = frequency_points(modes.frequencies, 0.02)
    ours = density_of_states(modes, 0.02, points)
    phonon.run_mesh(mesh, is_mesh_symmetry=False, with_eigenvectors=True)
    limits = {"freq_min": points[0], "freq_max": points[-1], "freq_pitch": 0.02}
    theirs = phonon.run_total_dos(**limits)
    projected = phonon.run_projected_dos(**limits)
    assert np.allclose(theirs.frequency_points, points)
    scale = theirs.dos.max()
    assert np.abs(ours.total - theirs.dos).max() < 1e-10 * scale
    for index, element in enumerate(ours.elements):
        atoms = [i for i, symbol in enumerate(phonon.primitive.symbols) if symbol == element]
        expected = projected.projected_dos[atoms].sum(axis=0)
        assert np.abs(ours.by_element[index] - expected).max() < 1e-10 * scale


def test_projections_sum_to_the_total(phonon):
    dos = density_of_states(mesh_modes(phonon, (4, 4, 4)), 0.01)
    assert np.allclose(dos.by_element.sum(axis=0), dos.total, atol=1e-10)


def test_it_integrates_to_the_number_of_bands():
    """Where no band is exactly flat: a flat one is a line that no sampling sees."""
    phonon = _phonon(_alloy(low_symmetry=True))
    dos = density_of_states(mesh_modes(phonon, (6, 6, 6)), 0.002)
    assert np.isclose(
        np.trapezoid(dos.total, dos.frequencies), 3 * len(phonon.primitive), rtol=2e-3
    )


@pytest.mark.parametrize("seed", range(5))
def test_one_tetrahedron_integrates_to_one_and_its_mean_weights(seed):
    """Integral of the density 1, of each vertex's share 1/4: exact for linear bands."""
    vertices = np.sort(np.random.default_rng(seed).uniform(1, 5, 4))
    omega = np.linspace(0.5, 5.5, 200_001)
    density, shares = _cross_section(omega, np.tile(vertices, (len(omega), 1)))
    assert np.isclose(np.trapezoid(density, omega), 1, rtol=1e-6)
    assert np.allclose(np.trapezoid(density[:, None] * shares, omega, axis=0), 0.25, rtol=1e-5)


@pytest.mark.parametrize(
    "vertices",
    [[1, 1, 2, 3], [1, 2, 2, 3], [1, 2, 3, 3], [1, 1, 1, 2], [1, 1, 2, 2], [1, 2, 2, 2]],
)
def test_degenerate_vertices(vertices):
    omega = np.linspace(0.9, 3.1, 220_001)
    density, shares = _cross_section(omega, np.tile(np.array(vertices, float), (len(omega), 1)))
    assert np.isfinite(density).all()
    assert np.isfinite(shares).all()
    assert np.isclose(np.trapezoid(density, omega), 1, rtol=1e-4)


def test_a_flat_band_is_no_division_by_zero():
    density, shares = _cross_section(np.array([1.0, 2.0]), np.full((2, 4), 2.0))
    assert np.array_equal(density, [0, 0])
    assert np.isfinite(shares).all()
