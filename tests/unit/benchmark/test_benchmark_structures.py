"""Tables 2 and 7 of Elena et al., npj Comput. Mater. 11, 125 (2025), from its data."""

import csv
import json

import pytest
from pymatgen.core import Lattice, Structure

from mofonon.benchmark.structure_table import structure_table
from mofonon.benchmark.structures import (
    LabelledStructure,
    compare_structures,
    count_displacements,
    tolerance_of,
)
from mofonon.benchmark.tables import render

METHODS = ("GFN1-xTB", "MACE-MP-0b", "MACE-MP-MOF0", "MACE-MP-MOF0-v2")


@pytest.fixture(scope="module")
def compared(optimized):
    cache = {}

    def compare(mof):
        if mof not in cache:
            cache[mof] = compare_structures(
                LabelledStructure("DFT", optimized(mof, "DFT"), "a file"),
                [LabelledStructure(m, optimized(mof, m), "a file") for m in METHODS],
            )
        return cache[mof]

    return compare


@pytest.mark.parametrize(
    ("mof", "counts", "groups"),
    [
        ("MOF-5", [19, 318, 19, 19, 19], ["Fm-3m", "P-1", "Fm-3m", "Fm-3m", "Fm-3m"]),
        ("MOF-74", [162, 324, 54, 54, 54], ["P-1", "P1", "R-3", "R-3", "R-3"]),
    ],
)
def test_table_2(compared, mof, counts, groups):
    reference, candidates = compared(mof)
    assert [x.n_displacements for x in (reference, *candidates)] == counts
    assert [x.space_group for x in (reference, *candidates)] == groups
    assert reference.expected_space_group == {"MOF-5": "Fm-3m", "MOF-74": "R-3"}[mof]


def test_cells_of_table_2(compared, optimized):
    for mof in ("MOF-5", "MOF-74"):
        reference, candidates = compared(mof)
        dft = optimized(mof, "DFT").lattice
        assert reference.lengths == pytest.approx(dft.abc)
        for method, candidate in zip(METHODS, candidates, strict=True):
            lattice = optimized(mof, method).lattice
            assert candidate.lengths == pytest.approx(lattice.abc, abs=1e-6)
            assert candidate.angles == pytest.approx(lattice.angles, abs=1e-5)
            deviations = [100 * (a - b) / b for a, b in zip(lattice.abc, dft.abc, strict=True)]
            assert candidate.mean_length_deviation_percent == pytest.approx(
                sum(abs(x) for x in deviations) / 3, abs=1e-6
            )


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("MACE-MP-0b", {"Zn": 0.009, "C": 0.005, "H": 0.005, "O": 0.013}),
        ("MACE-MP-MOF0", {"Zn": 0.002, "C": 0.001, "H": 0.001, "O": 0.002}),
        ("MACE-MP-MOF0-v2", {"Zn": 0.003, "C": 0.002, "H": 0.001, "O": 0.004}),
    ],
)
def test_table_7(compared, method, expected):
    _, candidates = compared("MOF-74")
    found = candidates[METHODS.index(method)].fractional_rmsd
    assert {element: round(value, 3) for element, value in found.items()} == expected


def test_the_tolerance_of_a_space_group():
    rock_salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    rock_salt.translate_sites([0], [0.003 / 5.6, 0, 0])
    tolerance = tolerance_of(rock_salt, "Fm-3m")
    assert tolerance is not None
    assert 0.002 <= tolerance <= 0.01
    assert tolerance_of(rock_salt, "P6_3/mmc") is None


def test_displacements_follow_the_symmetry():
    rock_salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ).get_primitive_structure()
    assert count_displacements(rock_salt) == 2
    moved = rock_salt.copy()
    moved.translate_sites([0], [0.01, 0.02, 0.03])
    assert count_displacements(moved) == 2 * 3 * 2  # P1: each atom, three ways, both signs


def test_the_table_has_all_numbers_in_each_format(compared):
    reference, candidates = compared("MOF-74")
    table = structure_table(reference, candidates)
    assert table.header == ["", "DFT", *METHODS]
    payload = json.loads(render(table, "json"))
    assert payload["candidates"][2]["fractional_rmsd"]["Zn"] == pytest.approx(0.0018, abs=5e-5)
    assert payload["reference"]["n_displacements"] == 162
    assert "| displacements | 162 | 324 | 54 | 54 | 54 |" in render(table, "markdown")
    assert r"displacements & 162 & 324 & 54 & 54 & 54 \\" in render(table, "latex")
    record = next(csv.DictReader(render(table, "csv").splitlines()))
    assert record["n_displacements"] == "162"
    assert float(record["lengths_1"]) == pytest.approx(6.6649, abs=1e-4)
    assert all(any(m in note for note in table.notes) for m in METHODS)
