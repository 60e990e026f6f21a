"""Symmetry: properties over space groups, settings, supercells and noise."""

import numpy as np
import pytest
import spglib
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from mofonon.errors import DisorderedStructureError, StructureError
from mofonon.structures import (
    average_over_operations,
    space_group,
    structure_hash,
    to_primitive,
)

QUARTZ = Structure.from_spacegroup(
    "P3_221",
    Lattice.hexagonal(4.913, 5.405),
    ["Si", "O"],
    [[0.4697, 0, 2 / 3], [0.4135, 0.2669, 0.7858]],
)
PROTOTYPES = {
    "diamond": Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.567), ["C"], [[0, 0, 0]]),
    "corundum": Structure.from_spacegroup(
        "R-3c",
        Lattice.hexagonal(4.759, 12.991),
        ["Al", "O"],
        [[0, 0, 0.35216], [0.30624, 0, 0.25]],
    ),
    "quartz": QUARTZ,
    "anatase": Structure.from_spacegroup(
        "I4_1/amd", Lattice.tetragonal(3.7845, 9.5143), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.2081]]
    ),
    "zirconia": Structure.from_spacegroup(
        "P2_1/c",
        Lattice.monoclinic(5.169, 5.232, 5.341, 99.25),
        ["Zr", "O", "O"],
        [[0.2758, 0.0411, 0.2082], [0.0703, 0.3359, 0.3406], [0.4423, 0.7549, 0.4789]],
    ),
    "cc": Structure.from_spacegroup(
        "Cc",
        Lattice.monoclinic(9.1, 6.3, 7.7, 107),
        ["Zn", "O"],
        [[0.1, 0.2, 0.3], [0.3, 0.1, 0.4]],
    ),
}


def cell_of(structure):
    return (
        structure.lattice.matrix.tolist(),
        structure.frac_coords.tolist(),
        list(structure.atomic_numbers),
    )


def count_operations(structure, symprec):
    return len(spglib.get_symmetry_dataset(cell_of(structure), symprec=symprec).rotations)


@st.composite
def settings_of_crystals(draw):
    """Draw a prototype in some rotated setting, supercell, origin and order of atoms."""
    structure = PROTOTYPES[draw(st.sampled_from(sorted(PROTOTYPES)))].copy()
    supercell = np.diag(draw(st.sampled_from([(1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 2, 2)])))
    for _ in range(draw(st.integers(0, 2))):
        row, other = draw(st.permutations(range(3)))[:2]
        shear = np.eye(3, dtype=int)
        shear[row, other] = draw(st.sampled_from([-1, 1]))
        supercell = shear @ supercell
    structure.make_supercell(supercell, to_unit_cell=False)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    order = rng.permutation(len(structure))
    return Structure(
        Lattice(structure.lattice.matrix @ rotation),
        [structure.species[index] for index in order],
        structure.frac_coords[order] + rng.normal(size=3),
    ), rng


def rattled(structure, rng, amplitude):
    """Atoms and lattice vectors moved by up to `amplitude` A."""
    matrix = structure.lattice.matrix
    noise = rng.uniform(-1, 1, size=(len(structure) + 3, 3)) * amplitude / np.sqrt(3)
    fractional = structure.frac_coords + noise[3:] @ np.linalg.inv(matrix)
    return Structure(Lattice(matrix + noise[:3]), structure.species, fractional)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("diamond", ("Fd-3m", 227)),
        ("corundum", ("R-3c", 167)),
        ("quartz", ("P3_221", 154)),
        ("anatase", ("I4_1/amd", 141)),
        ("zirconia", ("P2_1/c", 14)),
        ("cc", ("Cc", 9)),
    ],
)
def test_space_group(name, expected):
    assert space_group(PROTOTYPES[name], 1e-4) == expected


def test_space_group_depends_on_the_tolerance():
    distorted = PROTOTYPES["diamond"].copy()
    distorted.translate_sites([0], [1e-4, 2e-4, 3e-4], frac_coords=False)
    assert space_group(distorted, 1e-2) == ("Fd-3m", 227)
    assert space_group(distorted)[1] < 227


@given(crystal=settings_of_crystals())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_averaging_recovers_an_exact_crystal(crystal):
    structure, rng = crystal
    noisy = rattled(structure, rng, 1e-4)
    before = count_operations(noisy, 1e-3)
    symmetric, largest_move = average_over_operations(noisy, 1e-3)
    # exact: what was found at 1e-3 is there at 1e-8
    assert count_operations(symmetric, 1e-8) == count_operations(symmetric, 1e-3) >= before
    assert space_group(symmetric, 1e-8) == space_group(symmetric, 1e-3)
    # small, with order, setting and orientation kept
    moved = (symmetric.frac_coords - noisy.frac_coords) @ symmetric.lattice.matrix
    strained = symmetric.lattice.matrix - noisy.lattice.matrix
    lengths = np.linalg.norm(np.vstack([moved, strained]), axis=1)
    assert largest_move == pytest.approx(lengths.max(), rel=1e-12)
    assert largest_move < 1e-3
    assert symmetric.species == noisy.species
    assert np.abs(moved.mean(axis=0)).max() < 1e-12
    deformation = np.linalg.solve(noisy.lattice.matrix, symmetric.lattice.matrix)
    assert deformation == pytest.approx(deformation.T, abs=1e-12)
    # idempotent
    again, move_again = average_over_operations(symmetric, 1e-3)
    assert move_again < 1e-10
    assert again.lattice.matrix == pytest.approx(symmetric.lattice.matrix, abs=1e-10)


def test_averaging_brings_back_the_unperturbed_lattice_constant():
    # An isotropic average: lattice vectors a(1+e) and a(1-e) average to a metric of a^2(1+e^2).
    strain = 1e-4
    matrix = np.diag([5.64 * (1 + strain), 5.64 * (1 - strain), 5.64])
    rocksalt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    strained = Structure(Lattice(matrix), rocksalt.species, rocksalt.frac_coords)
    symmetric, largest_move = average_over_operations(strained, 1e-2)
    expected = 5.64 * np.sqrt(1 + 2 / 3 * strain**2)
    assert symmetric.lattice.matrix == pytest.approx(expected * np.eye(3), abs=1e-12)
    assert largest_move == pytest.approx(5.64 * strain, rel=1e-3)


def test_averaging_keeps_site_properties_and_a_crystal_without_symmetry():
    rng = np.random.default_rng(1)
    structure = Structure(
        Lattice.from_parameters(5, 6, 7, 80, 95, 107), ["C", "N", "O"], rng.random((3, 3))
    )
    structure.add_site_property("magmom", [1.0, 2.0, 3.0])
    symmetric, largest_move = average_over_operations(structure)
    assert largest_move < 1e-12
    assert structure_hash(symmetric) == structure_hash(structure)
    assert symmetric.site_properties == structure.site_properties


@given(crystal=settings_of_crystals())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_primitive_cell_is_the_same_crystal_in_place(crystal):
    structure, rng = crystal
    noisy = rattled(structure, rng, 1e-5)
    assume(space_group(noisy, 1e-3) == space_group(structure, 1e-4))
    primitive = to_primitive(noisy, 1e-3)
    reference = SpacegroupAnalyzer(noisy, symprec=1e-3).find_primitive()
    assert len(primitive) == len(reference)
    assert primitive.volume == pytest.approx(reference.volume, rel=1e-4)
    assert StructureMatcher(primitive_cell=False, scale=False).fit(primitive, reference)
    # The lattice of the input is made of its vectors, and all atoms of the input lie on atoms.
    multiples = noisy.lattice.matrix @ np.linalg.inv(primitive.lattice.matrix)
    assert multiples == pytest.approx(np.rint(multiples), abs=1e-3)
    difference = (noisy.cart_coords @ np.linalg.inv(primitive.lattice.matrix))[:, None]
    difference = difference - primitive.frac_coords[None]
    distance = np.linalg.norm(
        (difference - np.rint(difference)) @ primitive.lattice.matrix, axis=2
    )
    assert distance.min(axis=1).max() < 1e-3
    alike = [
        site.specie == primitive[index].specie
        for site, index in zip(noisy, distance.argmin(axis=1), strict=True)
    ]
    assert all(alike)


def test_primitive_cell_of_a_primitive_cell_is_the_input():
    assert to_primitive(QUARTZ).lattice == QUARTZ.lattice
    assert structure_hash(to_primitive(QUARTZ)) == structure_hash(QUARTZ)
    assert to_primitive(QUARTZ) is not QUARTZ


def test_primitive_cell_of_mof5(mof5):
    primitive = to_primitive(mof5)
    assert len(primitive) == 106
    assert primitive.volume == pytest.approx(mof5.volume / 4, rel=1e-12)
    assert space_group(primitive) == ("Fm-3m", 225)
    assert primitive.lattice.angles == pytest.approx((60, 60, 60), abs=1e-9)


def test_primitive_cell_keeps_moments_that_agree():
    iron = Structure(Lattice.cubic(2.86), ["Fe", "Fe"], [[0, 0, 0], [0.5] * 3])
    ferromagnet = iron.copy(site_properties={"magmom": [2.2, 2.22]})
    assert to_primitive(ferromagnet).site_properties["magmom"] == pytest.approx([2.21])
    antiferromagnet = iron.copy(site_properties={"magmom": [2.2, -2.2]})
    with pytest.warns(UserWarning, match="Magnetic moments are left out"):
        assert "magmom" not in to_primitive(antiferromagnet).site_properties


def test_errors():
    twice = Structure(Lattice.cubic(5), ["C", "C"], [[0, 0, 0], [0, 0, 1e-7]])
    for function in (space_group, to_primitive, average_over_operations):
        with pytest.raises(StructureError, match="spglib finds no space group at a tolerance"):
            function(twice, 1e-5)
        with pytest.raises(DisorderedStructureError):
            function(Structure(Lattice.cubic(5), [{"C": 0.5}], [[0, 0, 0]]), 1e-5)
