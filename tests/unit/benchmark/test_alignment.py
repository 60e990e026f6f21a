"""One crystal in the setting of another."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from mofonon.benchmark.alignment import align
from mofonon.benchmark.structures import fractional_rmsd
from mofonon.errors import ComparisonError

CELLS = {
    "as it is": np.eye(3, dtype=int),
    "permuted axes": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "two axes exchanged": [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
    "another basis": [[1, 1, 0], [0, 1, 0], [0, -1, -1]],
    "doubled": [[2, 0, 0], [0, 1, 0], [0, 0, 1]],
    "slanted supercell": [[1, 1, 0], [-1, 1, 0], [0, 0, 2]],
}


@pytest.fixture
def triclinic() -> Structure:
    """A crystal without symmetry, twelve atoms of three elements."""
    rng = np.random.default_rng(3)
    lattice = Lattice.from_parameters(6.1, 7.4, 9.2, 71, 83, 104)
    points = np.array(
        [[i / 2, j / 3, k / 2] for i in range(2) for j in range(3) for k in range(2)]
    )
    return Structure(
        lattice, ["Zn"] + ["O"] * 4 + ["C"] * 7, points + rng.uniform(-0.05, 0.05, points.shape)
    )


@pytest.mark.parametrize("cell", CELLS)
def test_a_known_deviation_is_found_in_any_description(triclinic, scramble, cell):
    rng = np.random.default_rng(1)
    deviations = rng.normal(0, 0.006, (12, 3))
    strained = Lattice(triclinic.lattice.matrix @ (np.eye(3) + 0.01 * rng.normal(size=(3, 3))))
    other = Structure(strained, triclinic.species, triclinic.frac_coords + deviations)

    found = align(triclinic, scramble(other, CELLS[cell], seed=7))

    expected = deviations - deviations.mean(axis=0)
    assert found.deviations == pytest.approx(expected, abs=1e-9)
    assert found.lattice.abc == pytest.approx(strained.abc)
    assert found.lattice.angles == pytest.approx(strained.angles)
    assert not found.mirrored
    # the rotation is undone but for the rotation that the strain holds
    turned = np.linalg.solve(triclinic.lattice.matrix, found.candidate.lattice.matrix)
    assert np.abs(turned - np.eye(3)).max() < 0.05


def test_the_setting_is_that_of_the_reference(triclinic, scramble):
    supercell = scramble(triclinic, CELLS["slanted supercell"], seed=2)
    found = align(supercell, triclinic)
    assert found.lattice.abc == pytest.approx(supercell.lattice.abc)
    assert found.lattice.angles == pytest.approx(supercell.lattice.angles)
    assert found.rmsd == pytest.approx(0, abs=1e-6)


def test_a_mirror_image_is_matched_and_named(triclinic):
    mirror = Structure(
        triclinic.lattice.matrix @ np.diag([1, 1, -1]), triclinic.species, triclinic.frac_coords
    )
    found = align(triclinic, mirror)
    assert found.mirrored
    assert found.rmsd == pytest.approx(0, abs=1e-9)
    assert not align(triclinic, triclinic).mirrored


@pytest.mark.parametrize("swapped", [False, True])
def test_a_cell_doubled_by_distortion(triclinic, scramble, swapped):
    """Translations that a distortion breaks are not mistaken for exact ones."""
    doubled = triclinic.copy()
    doubled.make_supercell([2, 1, 1])
    shift = np.zeros((24, 3))
    shift[::2, 2], shift[1::2, 2] = 0.004, -0.004
    distorted = Structure(doubled.lattice, doubled.species, doubled.frac_coords + shift)
    distorted = scramble(distorted, np.eye(3, dtype=int), seed=4)
    found = align(distorted, triclinic) if swapped else align(triclinic, distorted)
    assert len(found.deviations) == 24
    assert np.sqrt(np.mean(found.deviations[:, 2] ** 2)) == pytest.approx(0.004)
    assert found.deviations[:, :2] == pytest.approx(0, abs=1e-9)
    assert found.reference_multiple == (1 if swapped else 2)
    names = [site.specie.symbol for site in found.reference]
    assert sorted(names) == sorted(site.specie.symbol for site in distorted)


def test_the_order_leads_back_to_the_candidate(triclinic, scramble):
    other = scramble(triclinic, CELLS["another basis"], seed=5)
    found = align(triclinic, other)
    assert [other[int(i)].specie for i in found.order] == triclinic.species


def test_what_is_not_the_same_is_refused(triclinic):
    other = triclinic.copy()
    other.replace(0, "Mg")
    with pytest.raises(ComparisonError, match="not the same compound"):
        align(triclinic, other)
    stretched = Structure(
        Lattice(triclinic.lattice.matrix * 3), triclinic.species, triclinic.frac_coords
    )
    with pytest.raises(ComparisonError, match="cannot be brought to match"):
        align(triclinic, stretched)


@pytest.mark.parametrize("mof", ["MOF-5", "MOF-74"])
@pytest.mark.parametrize(
    "cell", [[[0, 1, 0], [1, 0, 0], [0, 0, 1]], [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]]
)
def test_descriptions_of_real_mofs_do_not_matter(optimized, scramble, mof, cell):
    reference, candidate = optimized(mof, "DFT"), optimized(mof, "MACE-MP-MOF0")
    plain = align(reference, candidate)
    scrambled = align(reference, scramble(candidate, cell, seed=11))
    # MOF-5 by DFT is cubic within 1e-5 A only
    assert fractional_rmsd(scrambled) == pytest.approx(fractional_rmsd(plain), abs=2e-6)
    assert scrambled.lattice.abc == pytest.approx(plain.lattice.abc, abs=1e-4)
    assert scrambled.lattice.angles == pytest.approx(plain.lattice.angles, abs=1e-3)
