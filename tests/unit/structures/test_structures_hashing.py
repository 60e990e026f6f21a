"""The hash: fixed values, what changes it and what does not."""

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from mofonon.errors import DisorderedStructureError, StructureError
from mofonon.structures import structure_hash

SALT = Structure(Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_hash_is_the_documented_bytes():
    numbers = [56_400_000_000 * (i == j) for i in range(3) for j in range(3)]
    numbers += [0, 0, 0] + [5_000_000_000] * 3
    content = b"mofonon structure 1\nNa,Cl\n" + struct.pack("<15q", *numbers)
    assert structure_hash(SALT) == hashlib.sha256(content).hexdigest()


def test_hash_does_not_change_between_versions():
    assert structure_hash(SALT) == (
        "f86f91868cd94739ba4c703c5c9b43694f6f81a7c5255f9d76dd59aca9ba0dea"
    )


@given(
    images=st.lists(st.integers(-3, 3), min_size=6, max_size=6),
    noise=st.lists(st.floats(-4e-11, 4e-11), min_size=6, max_size=6),
)
def test_cells_apart_and_noise_hash_alike(images, noise):
    shift = np.array(images).reshape(2, 3) + np.array(noise).reshape(2, 3)
    moved = Structure(SALT.lattice, SALT.species, SALT.frac_coords + shift)
    assert structure_hash(moved) == structure_hash(SALT)


@pytest.mark.parametrize(
    "other",
    [
        Structure(SALT.lattice, ["Cl", "Na"], SALT.frac_coords),
        Structure(SALT.lattice, SALT.species, SALT.frac_coords[::-1]),
        Structure(SALT.lattice, SALT.species, SALT.frac_coords + 1e-9),
        Structure(Lattice.cubic(5.64 + 1e-9), SALT.species, SALT.frac_coords),
        Structure(Lattice(SALT.lattice.matrix[[1, 2, 0]]), SALT.species, SALT.frac_coords),
    ],
)
def test_what_changes_the_hash(other):
    assert structure_hash(other) != structure_hash(SALT)


def test_site_properties_and_labels_do_not_change_the_hash():
    other = SALT.copy(site_properties={"magmom": [1.0, 2.0]})
    assert structure_hash(other) == structure_hash(SALT)
    assert structure_hash(Structure.from_dict(SALT.as_dict())) == structure_hash(SALT)


def test_no_hash_for_disorder_or_nan():
    with pytest.raises(DisorderedStructureError):
        structure_hash(Structure(SALT.lattice, [{"Na": 0.5}], [[0, 0, 0]]))
    with pytest.raises(StructureError, match="not finite"):
        structure_hash(Structure(SALT.lattice, ["Na"], [[np.nan, 0, 0]]))
