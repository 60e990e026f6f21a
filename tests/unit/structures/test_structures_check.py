"""Checks: real chemistry passes, broken structures fail with the right error and words."""

import time

import numpy as np
import pytest
from ase.build import molecule
from ase.collections import g2
from pymatgen.analysis.dimensionality import get_dimensionality_larsen
from pymatgen.analysis.graphs import StructureGraph
from pymatgen.core import Element, Lattice, Molecule, Structure

from mofonon.errors import (
    DisorderedStructureError,
    MissingHydrogenError,
    OverlappingAtomsError,
    SettingsError,
    StructureError,
    UnphysicalDensityError,
)
from mofonon.structures import check_structure, validate_structure
from mofonon.structures.bonds import bonds, fragments
from mofonon.structures.hydrogens import carbons_lacking_hydrogen

BOX = Lattice.cubic(12)


def codes(structure):
    return [issue.code for issue in check_structure(structure)]


def boxed(name: str) -> Structure:
    """Put a molecule of ASE's G2 set in a box."""
    atoms = molecule(name)
    atoms.center(about=(6.0, 6.0, 6.0))
    return Structure(
        BOX, atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True
    )


def pair(first: str, second: str, distance: float, box: float = 4.5) -> Structure:
    """Two atoms in a small box, so that the density is that of a solid."""
    sites = [[0, 0, 0], [distance / box, 0, 0]]
    return Structure(Lattice.cubic(box), [first, second], sites)


def add_molecule(structure: Structure, name: str, centre) -> Structure:
    atoms = molecule(name)
    atoms.positions += np.asarray(centre) - atoms.positions.mean(axis=0)
    filled = structure.copy()
    for symbol, position in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True):
        filled.append(symbol, position, coords_are_cartesian=True)
    return filled


def only_error(structure, kind):
    with pytest.raises(kind) as caught:
        validate_structure(structure)
    assert type(caught.value) is kind
    return caught.value


def test_mof5_passes(mof5):
    assert validate_structure(mof5) == []


def test_large_cell_is_fast(mof5):
    mof5.make_supercell([2, 1, 1])
    start = time.perf_counter()
    check_structure(mof5)
    assert len(mof5) == 848
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("H", "H", 0.74),
        ("C", "H", 1.09),
        ("C", "H", 0.93),  # X-ray
        ("O", "H", 0.97),
        ("O", "H", 0.75),  # X-ray
        ("N", "N", 1.10),
        ("C", "O", 1.13),
        ("C", "N", 1.15),
        ("C", "C", 1.20),
        ("C", "C", 1.20 * 0.9),  # equation of state at -10 %
        ("V", "O", 1.58),
        ("U", "O", 1.75),
        ("Mo", "Mo", 2.06),
        ("Cr", "Cr", 1.83),
        ("Cr", "Cr", 1.83 * 0.9),
        ("Cu", "Cu", 2.62),
    ],
)
def test_real_bonds_pass(first, second, distance):
    assert "overlapping-atoms" not in codes(pair(first, second, distance))


@pytest.mark.parametrize("first", ["H", "C", "O", "Zn", "Zr"])
@pytest.mark.parametrize("second", ["H", "C", "Cu"])
def test_a_third_of_an_angstrom_fails(first, second):
    error = only_error(pair(first, second, 0.3, box=3.5), OverlappingAtomsError)
    assert error.message == f"{first}0 and {second}1 are 0.300 A apart (2 atoms overlap)."
    assert error.remedy.startswith("Remove duplicate atoms")


def test_overlap_across_the_cell_boundary_and_in_one_place(mof5):
    mof5.append("O", mof5[5].frac_coords + np.array([1, 0, -1]), validate_proximity=False)
    error = only_error(mof5, OverlappingAtomsError)
    assert error.message == "Zn5 and O424 are 0.000 A apart (2 atoms overlap)."
    assert [issue.code for issue in validate_structure(mof5, allow=["overlapping-atoms"])] == [
        "overlapping-atoms"
    ]


def test_mof5_without_hydrogen(mof5):
    mof5.remove_species(["H"])
    error = only_error(mof5, MissingHydrogenError)
    ring = [index for index, site in enumerate(mof5) if site.specie == Element("C")][-96:]
    assert error.message == (
        "96 carbon atoms without the hydrogen that the geometry calls for: "
        f"C{ring[0]}, C{ring[1]}, C{ring[2]}, C{ring[3]}, ...."
    )
    assert error.remedy.startswith("Add the hydrogen atoms")


def test_one_missing_hydrogen_is_found(mof5):
    hydrogen = mof5.indices_from_symbol("H")[7]
    carbon = min(
        mof5.indices_from_symbol("C"), key=lambda index: mof5.get_distance(index, hydrogen)
    )
    mof5.remove_sites([hydrogen])
    issue = check_structure(mof5)[0]
    assert (issue.code, issue.sites) == ("missing-hydrogen", (carbon,))


def test_of_the_g2_set_only_radicals_and_carbenes_lack_hydrogen():
    organic = [name for name in g2.names if "C" in molecule(name).get_chemical_symbols()]
    lacking = {name for name in organic if carbons_lacking_hydrogen(boxed(name)) != ([], [])}
    assert len(organic) > 70
    assert lacking == {"CH", "CH2_s1A1d", "CH2_s3B1d", "C2H3", "CH3CO", "HCO"}


def test_no_molecule_of_the_g2_set_overlaps():
    assert not [name for name in g2.names if "overlapping-atoms" in codes(boxed(name))]


@pytest.mark.parametrize(
    ("name", "certain", "suspected"),
    [
        ("C6H6", 6, 0),
        ("CH3CONH2", 1, 0),  # methyl: one neighbour at a single bond
        ("C5H5N", 5, 0),
        ("HCOOH", 1, 0),  # formate: bent O-C-O
        ("isobutane", 3, 1),  # CHR3: a pyramid
        ("C2H2", 0, 0),  # a bare acetylide is left to the user
        ("CH3OCH3", 2, 0),
    ],
)
def test_molecules_without_their_hydrogens(name, certain, suspected):
    bare = boxed(name)
    bare.remove_species(["H"])
    assert tuple(map(len, carbons_lacking_hydrogen(bare))) == (certain, suspected)


def test_carbon_bound_to_a_metal_is_not_judged():
    ring = boxed("C6H6")
    ring.remove_species(["H"])
    assert len(carbons_lacking_hydrogen(ring)[0]) == 6
    outward = ring[0].coords - ring.cart_coords.mean(axis=0)
    copper = ring[0].coords + 1.95 * outward / np.linalg.norm(outward)
    ring.append("Cu", copper, coords_are_cartesian=True)
    assert carbons_lacking_hydrogen(ring)[0] == [1, 2, 3, 4, 5]


def test_fullerene_is_complete():
    atoms = molecule("C60")
    atoms.center(about=(8.0, 8.0, 8.0))
    cage = Structure(
        Lattice.cubic(16),
        atoms.get_chemical_symbols(),
        atoms.positions,
        coords_are_cartesian=True,
    )
    assert carbons_lacking_hydrogen(cage) == ([], [])


def test_isolated_water_and_acetonitrile(mof5):
    a = mof5.lattice.a
    filled = add_molecule(mof5, "H2O", [0, 0, 0])
    filled = add_molecule(filled, "H2O", [a / 2, 0, 0])
    filled = add_molecule(filled, "CH3CN", [0, a / 2, 0])
    (issue,) = validate_structure(filled)
    assert issue.code == "isolated-molecules"
    assert issue.severity == "warning"
    assert issue.message == "Not bonded to the framework: 1 C2H3N, 2 H2O."
    assert issue.remedy == (
        "Remove it if it is solvent; keep it if it is a counter-ion or an adsorbate."
    )
    assert issue.sites == tuple(range(len(mof5), len(mof5) + 12))


def test_hydrogen_bonded_water_is_isolated_and_coordinated_water_is_not():
    # A chain of zinc and oxygen; water 1.7 A from an oxygen, or its oxygen 2.1 A from zinc.
    chain = Structure(
        Lattice.orthorhombic(3.9, 9, 9), ["Zn", "O"], [[0, 0.5, 0.5], [0.5, 0.5, 0.5]]
    )
    bridge, zinc = chain[1].coords, chain[0].coords
    bonded, isolated = chain.copy(), chain.copy()
    for structure, oxygen in (
        (isolated, bridge + np.array([0, 0, 2.67])),
        (bonded, zinc + np.array([0, 0, 2.1])),
    ):
        hydrogens = [[0, 0, -0.97]] if structure is isolated else [[0, 0.76, 0.59]]
        for symbol, shift in [("O", [0, 0, 0]), ("H", hydrogens[0]), ("H", [0, -0.76, 0.59])]:
            structure.append(symbol, oxygen + np.array(shift), coords_are_cartesian=True)
    assert codes(bonded) == []
    assert [issue.message for issue in check_structure(isolated)] == [
        "Not bonded to the framework: 1 H2O."
    ]


def test_molecular_crystal_has_no_framework():
    benzene = boxed("C6H6")
    (issue,) = check_structure(benzene)
    assert (issue.code, issue.message) == (
        "no-framework",
        "No bonds connect the cell with its neighbours: 1 C6H6.",
    )


@pytest.mark.parametrize("keep", [(0, 1, 2), (0, 1), (0,), ()])
def test_dimension_of_fragments_agrees_with_pymatgen(keep):
    # Carbon chains along some axes of a cube, cut along the others.
    lengths = np.array([3.0 if axis in keep else 9.0 for axis in range(3)])
    symbols, positions = ["C"], [[0.0, 0.0, 0.0]]
    for axis in keep:
        symbols.append("C")
        positions.append(list(np.eye(3)[axis] * 1.5))
    crystal = Structure(
        Lattice.orthorhombic(*lengths), symbols, positions, coords_are_cartesian=True
    )
    (fragment,) = fragments(crystal)
    bonded = bonds(crystal)
    edges = {
        (int(i), int(j), (0, 0, 0), tuple(int(x) for x in image)): None
        for i, j, image in zip(bonded.first, bonded.second, bonded.image, strict=True)
        if i <= j
    }
    graph = StructureGraph.from_edges(crystal, edges)
    assert fragment.dimension == len(keep) == get_dimensionality_larsen(graph)


def test_interpenetrated_frameworks_are_frameworks(mof5):
    twin = mof5.copy()
    twin.translate_sites(range(len(twin)), [0.125, 0.125, 0.125])
    both = Structure.from_sites([*mof5, *twin])
    dimensions = [fragment.dimension for fragment in fragments(both)]
    assert set(dimensions) == {3}


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (3.0, "The density is 0.022 g/cm^3; solids have 0.05 to 25."),
        (0.25, "The density is 38 g/cm^3; solids have 0.05 to 25."),
    ],
)
def test_absurd_density(mof5, scale, message):
    mof5.scale_lattice(mof5.volume * scale**3)
    issue = check_structure(mof5)[0]
    assert (issue.code, issue.severity, issue.message) == (
        "unphysical-density",
        "error",
        message,
    )
    assert only_error(mof5, UnphysicalDensityError).message == message


def test_absurd_volume_per_atom():
    dense = Structure(Lattice.cubic(1.5), ["He"], [[0, 0, 0]])
    message = "The volume per atom is 2.5 A^3; solids have 3 to 500."
    dense.scale_lattice(2.5)
    assert only_error(dense, UnphysicalDensityError).message == message


def test_partial_occupancy():
    mixed = Structure(BOX, [{"Zr": 0.5, "Hf": 0.5}, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    error = only_error(mixed, DisorderedStructureError)
    assert error.message == ("1 site partially or multiply occupied: Hf:0.5, Zr:0.5 (site 0).")


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (Structure(BOX, [], []), "The structure has no atoms."),
        (
            Structure(BOX, ["C"], [[np.nan, 0, 0]]),
            "The cell or the positions have values that are not finite numbers.",
        ),
        (
            Structure(Lattice([[5, 0, 0], [0, 5, 0], [5, 5, 1e-4]]), ["C"], [[0, 0, 0]]),
            "The cell is flat: opposite faces are 0.0001 A apart (volume 0.0025 A^3).",
        ),
        (
            Structure(Lattice(np.eye(3) * 5, pbc=(True, True, False)), ["C"], [[0, 0, 0]]),
            "The structure is not periodic in all three directions.",
        ),
    ],
)
def test_cells_that_are_none(structure, message):
    assert only_error(structure, StructureError).message == message


def test_a_check_that_does_not_exist(mof5):
    with pytest.raises(SettingsError, match="No check is named 'overlap'") as caught:
        validate_structure(mof5, allow=["overlap"])
    assert "overlapping-atoms" in caught.value.remedy


def test_allowed_errors_do_not_hide_the_next():
    structure = pair("C", "C", 0.3)
    structure.scale_lattice(structure.volume * 500)
    with pytest.raises(UnphysicalDensityError):
        validate_structure(structure)
    crowded = Structure(Lattice.cubic(4.5), ["C", "C"], [[0, 0, 0], [0.05, 0, 0]])
    with pytest.raises(OverlappingAtomsError):
        validate_structure(crowded, allow=["unphysical-density", "missing-hydrogen"])


def test_molecule_formulas_are_those_of_pymatgen():
    water = Molecule(["O", "H", "H"], [[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
    box = water.get_boxed_structure(4, 4, 4)
    (issue,) = check_structure(box)
    assert issue.message.endswith(f": 1 {water.composition.hill_formula.replace(' ', '')}.")
