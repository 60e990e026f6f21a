"""Modes on the mesh, at Gamma and on the path, against closed forms and phonopy."""

import numpy as np
from phonopy.physical_units import get_physical_units

from mofonon.lattice.mesh import band_path, gamma_modes, mesh_modes

_TO_THZ = get_physical_units().DefaultToTHz


def _diatomic_chain(q):
    """Frequencies (THz) of the chain of masses 20 and 80 u with springs of 5 eV/A^2."""
    mass, other, spring = 20.0, 80.0, 5.0
    total = 1 / mass + 1 / other
    root = np.sqrt(total**2 - 4 * np.sin(np.pi * q) ** 2 / (mass * other))
    return np.sqrt(spring * (total + np.array([-root, root]))) * _TO_THZ


def test_mesh_frequencies_of_the_diatomic_chain(spring_chain):
    modes = mesh_modes(spring_chain, (1, 1, 6))
    for q, frequencies in zip(modes.qpoints, modes.frequencies, strict=True):
        expected = _diatomic_chain(q[2])
        assert np.allclose(frequencies[-2:], expected, atol=1e-6)
        assert np.allclose(frequencies[:-2], 0, atol=1e-4)
    assert modes.weights.sum() == 6


def test_element_shares_of_the_chain_at_gamma(spring_chain):
    """The optical mode at Gamma moves the atoms against each other: shares by other mass."""
    modes = mesh_modes(spring_chain, (1, 1, 1))
    assert modes.elements == ("Na", "Cl")
    assert np.allclose(modes.element_shares[0, -1], [80 / 100, 20 / 100], atol=1e-8)
    assert np.allclose(modes.element_shares.sum(axis=2), 1)


def test_a_soft_optical_mode_is_not_taken_for_an_acoustic_one(spring_chain):
    """The free transverse modes are at zero too; eigenvectors tell them apart."""
    gamma = gamma_modes(spring_chain)
    assert np.allclose(gamma.acoustic, 0, atol=1e-4)
    assert np.isclose(gamma.optical.max(), _diatomic_chain(0.0)[1])
    assert len(gamma.optical) == 3


def test_streamed_mesh_equals_phonopys(aluminium):
    from ase.calculators.emt import EMT

    from mofonon.lattice.phonons import (
        displaced_supercells,
        set_force_constants,
        supercell_forces,
    )
    from mofonon.lattice.settings import PhononSettings

    phonon = displaced_supercells(aluminium, PhononSettings())
    set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
    modes = mesh_modes(phonon, (5, 5, 5))
    theirs = phonon.run_mesh((5, 5, 5))
    assert np.allclose(modes.frequencies, theirs.frequencies, atol=1e-12)
    assert np.array_equal(modes.weights, theirs.weights)
    assert modes.gamma is not None
    assert np.allclose(modes.qpoints[modes.gamma], 0)


def test_band_path_of_a_face_centred_cell_in_any_orientation(aluminium):
    """Frequencies at X and L do not depend on how the cell is turned."""
    from ase.calculators.emt import EMT

    from mofonon.lattice.phonons import (
        displaced_supercells,
        set_force_constants,
        supercell_forces,
    )
    from mofonon.lattice.settings import PhononSettings

    turned = aluminium.copy()
    turned.rotate(37.0, (1, 2, 3), rotate_cell=True)
    found = []
    for atoms in (aluminium, turned):
        phonon = displaced_supercells(atoms, PhononSettings())
        set_force_constants(phonon, supercell_forces(phonon, EMT()).displaced)
        bands = band_path(phonon, 11, 1e-5)
        assert bands.labels[0] == ("Γ", "X")
        assert max(len(segment) for segment in bands.segments) == 11
        found.append(bands)
    for one, other in zip(found[0].segments, found[1].segments, strict=True):
        assert np.allclose(one, other, atol=1e-5)
    assert np.allclose(found[0].distances[-1], found[1].distances[-1])
