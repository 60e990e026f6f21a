"""Generic displacement directions: counts by group theory, force constants by phonopy."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from pymatgen.symmetry.groups import PointGroup

from mofonon.errors import PotentialError, PrecisionError
from mofonon.lattice.acceleration import compare_frequencies
from mofonon.lattice.directions import generic_directions
from mofonon.lattice.jobs import check_precision
from mofonon.lattice.mesh import mesh_modes
from mofonon.lattice.phonons import (
    displaced_supercells,
    set_force_constants,
    single_displacements,
    supercell_forces,
)
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import PotentialSpec, describe_potential, make_calculator
from mofonon.structures import read_structure

#: The crystallographic point groups: as they act on a site.
_POINT_GROUPS = """
1 -1 2 m 2/m 222 mm2 mmm 4 -4 4/m 422 4mm -42m 4/mmm 3 -3 32 3m -3m 6 -6 6/m 622 6mm -6m2
6/mmm 23 m-3 432 -43m m-3m
"""

_HEXAGONAL = np.array([[1, -0.5, 0], [0, np.sqrt(0.75), 0], [0, 0, 1]])


def _rotations(symbol: str) -> np.ndarray:
    """Cartesian matrices of a point group, which pymatgen has in crystal axes."""
    matrices = np.array([op.rotation_matrix for op in PointGroup(symbol).symmetry_ops])
    orthogonal = np.allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(3))
    axes = np.eye(3) if orthogonal else _HEXAGONAL
    return np.array([axes @ matrix @ np.linalg.inv(axes) for matrix in matrices])


def _fewest(rotations: np.ndarray) -> int:
    """Directions that group theory asks for: multiplicities in the vector representation.

    The sum of squared multiplicities is the mean of the squared characters; with three
    dimensions it is 1, 2 or 3 where none occurs twice (over the reals a pair of complex
    conjugates counts as one), 5 for one that occurs twice, 9 for one that occurs thrice.
    """
    squared = round(float(np.mean(np.trace(rotations, axis1=1, axis2=2) ** 2)))
    return {1: 1, 2: 1, 3: 1, 5: 2, 9: 3}[squared]


@pytest.mark.parametrize("symbol", _POINT_GROUPS.split())
def test_as_few_directions_as_group_theory_allows(symbol):
    rotations = _rotations(symbol)
    directions = generic_directions(rotations)
    assert len(directions) == _fewest(rotations)
    assert np.allclose(directions @ directions.T, np.eye(len(directions)))
    images = np.einsum("gij,kj->gki", rotations, directions)
    projector = np.einsum("gki,gkj->ij", images, images) / len(rotations)
    # near the best possible conditioning, 1/3 for each direction
    assert np.linalg.eigvalsh(projector)[0] > 0.2 * len(directions)


def _frequencies(atoms, calculator, **settings):
    settings = PhononSettings(mesh=(3, 3, 3), **settings)
    phonon = displaced_supercells(atoms, settings)
    set_force_constants(phonon, supercell_forces(phonon, calculator).displaced)
    return mesh_modes(phonon, settings.mesh).frequencies, len(single_displacements(phonon))


def _crystals() -> dict[str, Atoms]:
    ordered = bulk("Cu", "fcc", a=3.8, cubic=True)
    ordered.symbols[:2] = "Au"
    skewed = ordered.copy()
    skewed.rattle(0.05, seed=4)
    return {"P4/mmm": ordered, "P1": skewed}


@pytest.mark.parametrize(("name", "fewer"), [("P4/mmm", (4, 4)), ("P1", (12, 24))])
def test_force_constants_are_those_of_central_differences(name, fewer):
    atoms = _crystals()[name]
    found, count = _frequencies(atoms, EMT())
    reference, both = _frequencies(atoms, EMT(), plus_minus=True, displacement=1e-4)
    assert count <= fewer[0]
    assert both >= fewer[1]
    assert np.abs(found - reference).max() < 1e-3


def test_the_demo_model_agrees_with_central_differences_to_a_milli_terahertz():
    """Zn(CN)2 as it is in the file, with its residual forces."""
    atoms = read_structure("src/mofonon/data/structures/Zn(CN)2.cif").to_ase_atoms(
        msonable=False
    )
    calculator = make_calculator(PotentialSpec(family="demo"))
    unit = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    found, count = _frequencies(atoms, calculator, supercell=unit)
    reference, both = _frequencies(
        atoms, calculator, supercell=unit, plus_minus=True, displacement=1e-4
    )
    assert count == 4 < both
    stable = np.abs(reference) > 0.5
    assert np.abs(found - reference)[stable].max() < 1e-3


def test_the_same_structure_gives_the_same_bytes():
    """The evaluation log finds displaced supercells by their exact positions."""
    atoms = _crystals()["P1"]
    first, second = (
        displaced_supercells(atoms, PhononSettings()).supercells_with_displacements
        for _ in range(2)
    )
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.positions, b.positions)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    [("MACE-MP-MOF0/MOF-5-opt.extxyz", 10), ("MACE-MP-MOF0/MOF-74-opt.extxyz", 27)],
)
def test_half_the_displacements_of_table_2(reference_dir, name, count):
    structure = read_structure(reference_dir / "optimized" / name)
    phonon = displaced_supercells(structure.to_ase_atoms(), PhononSettings())
    assert len(single_displacements(phonon)) == count


def test_small_displacements_in_single_precision_are_refused():
    single = describe_potential(PotentialSpec(family="demo", dtype="float32"))
    with pytest.raises(PrecisionError, match="drown in the noise") as caught:
        check_precision(single, PhononSettings())
    assert "--displacement 0.001" in caught.value.remedy
    check_precision(single, PhononSettings(displacement=0.001, plus_minus=True))
    check_precision(describe_potential(PotentialSpec(family="demo")), PhononSettings())


class _SinglePrecision(EMT):
    """EMT whose forces are rounded as those of a potential in single precision."""

    def calculate(self, *arguments, **options):
        super().calculate(*arguments, **options)
        self.results["forces"] = self.results["forces"].astype(np.float32)


def test_a_calculator_in_single_precision_is_noticed():
    """It does not say so; at the default displacement its phonons would be noise."""
    atoms = bulk("Cu", cubic=True)
    phonon = displaced_supercells(atoms, PhononSettings())
    with pytest.raises(PrecisionError, match="of 1e-06 A drown in the noise"):
        supercell_forces(phonon, _SinglePrecision())
    supercell_forces(phonon, EMT())
    larger = displaced_supercells(atoms, PhononSettings(displacement=0.001, plus_minus=True))
    supercell_forces(larger, _SinglePrecision())


class _Stiffer(EMT):
    """EMT with forces that are off by a factor, as of a wrong kernel."""

    factor = 1.0

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        self.results["forces"] = self.results["forces"] * self.factor


def test_an_acceleration_is_judged_by_frequencies():
    atoms, fast = bulk("Cu", "fcc", a=3.6), _Stiffer()
    settings = PhononSettings(mesh=(3, 3, 3))
    assert compare_frequencies(atoms, fast, EMT(), settings) < 1e-9
    fast.factor = 1 + 1e-4
    with pytest.raises(PotentialError, match="frequencies differ by"):
        compare_frequencies(atoms, _Stiffer(), EMT(), settings, tolerance=-1.0)
    with pytest.raises(PotentialError, match=r"more than 0\.0001 THz"):
        compare_frequencies(atoms, fast, EMT(), settings)
