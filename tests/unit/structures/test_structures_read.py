"""Reading: every format gives the same crystal, everything else a typed error."""

import bz2
import gzip
import json
import lzma
import re
import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from mofonon.errors import DisorderedStructureError, StructureError, StructureReadError
from mofonon.structures import StructureReadWarning, read_structure, space_group

WHOLE_FILE = "Get the file again from where it came, or write it anew."

RUTILE = Structure.from_spacegroup(
    "P4_2/mnm",
    Lattice.tetragonal(4.59373, 2.95874),
    ["Ti", "O"],
    [[0, 0, 0], [0.30478] * 2 + [0]],
)

HEAD = """data_test
_cell_length_a 2.46
_cell_length_b 2.46
_cell_length_c 6.7
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
loop_
_symmetry_equiv_pos_as_xyz
"""
P1 = HEAD + "'x, y, z'\n"
# The operations of P-6 (174).
HEXAGONAL = HEAD + "".join(
    f"'{operation}'\n"
    for xy in ("x, y", "-y, x-y", "-x+y, -x")
    for operation in (f"{xy}, z", f"{xy}, -z")
)
SITES = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


def texts(structure: Structure) -> dict[str, str]:
    """One structure in every format, by file name."""
    xyz = AseAtomsAdaptor.get_atoms(structure)
    columns = " ".join(f"{x:.12f}" for x in xyz.cell.array.ravel())
    rows = "".join(
        f"{symbol} {x:.12f} {y:.12f} {z:.12f}\n"
        for symbol, (x, y, z) in zip(xyz.get_chemical_symbols(), xyz.positions, strict=True)
    )
    return {
        "a.cif": str(CifWriter(structure, significant_figures=12)),
        "POSCAR": Poscar(structure).get_str(significant_figures=12),
        "a.extxyz": f'{len(xyz)}\nLattice="{columns}" pbc="T T T"\n{rows}',
        "a.json": json.dumps(structure.as_dict()),
    }


RUTILE_TEXTS = texts(RUTILE)


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path, kind=StructureReadError):
    with pytest.raises(kind) as caught:
        read_structure(path)
    assert type(caught.value) is kind
    return caught.value


def structure_or_typed_error(path) -> Structure | None:
    """Read a damaged file; any error but StructureError fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read_structure(path)
        except StructureError:
            return None


def same_crystal(first: Structure, second: Structure, tolerance: float) -> bool:
    """Compare lattices, and see that each atom of one is on an atom of the other."""
    assert first.lattice.matrix == pytest.approx(second.lattice.matrix, abs=tolerance)
    distances = first.lattice.get_all_distances(first.frac_coords, second.frac_coords)
    partner = distances.argmin(axis=1)
    alike = [a.specie == second[j].specie for a, j in zip(first, partner, strict=True)]
    return len(first) == len(second) and all(alike) and distances.min(axis=1).max() < tolerance


@pytest.mark.parametrize("name", sorted(RUTILE_TEXTS))
@pytest.mark.parametrize(
    ("ending", "compress"),
    [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_every_format_and_compression_gives_the_same_crystal(tmp_path, name, ending, compress):
    path = write(tmp_path, name + ending, compress(RUTILE_TEXTS[name].encode()))
    assert same_crystal(read_structure(path), RUTILE, 1e-9)


@pytest.mark.parametrize("name", sorted(RUTILE_TEXTS))
def test_format_by_content_when_the_name_says_nothing(tmp_path, name):
    path = write(tmp_path, "structure.dat", RUTILE_TEXTS[name])
    assert same_crystal(read_structure(str(path)), RUTILE, 1e-9)


@pytest.mark.parametrize("name", ["a.vasp", "a.poscar", "CONTCAR", "POSCAR.relaxed", "x.VASP"])
def test_names_of_poscars(tmp_path, name):
    assert len(read_structure(write(tmp_path, name, RUTILE_TEXTS["POSCAR"]))) == 6


def test_line_ends_byte_order_mark_and_latin1(tmp_path):
    text = "# Müller\n" + RUTILE_TEXTS["a.cif"]
    for content in (
        text.replace("\n", "\r\n").encode("latin-1"),
        text.replace("\n", "\r").encode("latin-1"),
        text.encode("utf-8-sig"),
    ):
        assert same_crystal(read_structure(write(tmp_path, "a.cif", content)), RUTILE, 1e-9)


def test_agrees_with_ase_on_a_cif_with_symmetry(tmp_path, mof5):
    path = write(tmp_path, "a.cif", str(CifWriter(mof5, symprec=1e-3)))
    ours = read_structure(path)
    theirs = AseAtomsAdaptor.get_structure(ase.io.read(path))
    assert space_group(ours) == ("Fm-3m", 225)
    assert ours.composition.formula == "Zn32 H96 C192 O104"
    assert same_crystal(ours, theirs, 1e-6)


def test_positions_are_as_written_without_symmetry(tmp_path):
    path = write(tmp_path, "a.cif", P1 + SITES + "C1 C 0.3333 0.66667 0.25000001 1\n")
    assert read_structure(path).frac_coords.tolist() == [[0.3333, 0.66667, 0.25000001]]


def test_thirds_are_exact_with_symmetry(tmp_path):
    path = write(tmp_path, "a.cif", HEXAGONAL + SITES + "C1 C 0.3333 0.6667 0 1\n")
    assert read_structure(path).frac_coords == pytest.approx(
        np.array([[1 / 3, 2 / 3, 0]]), abs=1e-15
    )


def test_precise_positions_near_a_third_stay_with_symmetry(tmp_path):
    row = "C1 C 0.33334500 0.10000001 0.00000000 1\n"
    structure = read_structure(write(tmp_path, "a.cif", HEXAGONAL + SITES + row))
    assert np.abs(structure.frac_coords - [0.333345, 0.10000001, 0]).max(axis=1).min() < 1e-12


def test_rounded_special_positions_do_not_multiply(tmp_path):
    # (x, 2x) rounded to four digits: its mirror image is 0.0001 away.
    text = str(
        CifWriter(
            Structure.from_spacegroup(
                "P6/mmm", Lattice.hexagonal(10, 5), ["Si"], [[0.1234, 0.2468, 0]]
            ),
            symprec=1e-3,
        )
    )
    text = re.sub(r"(Si\s+Si0\s+\d+\s+)\S+\s+\S+", r"\g<1>0.1234 0.2469", text)
    assert "0.1234 0.2469" in text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StructureReadWarning)
        assert len(read_structure(write(tmp_path, "a.cif", text))) == 6


def test_oxidation_states_and_other_properties_are_dropped(tmp_path):
    structure = RUTILE.copy()
    structure.add_oxidation_state_by_element({"Ti": 4, "O": -2})
    structure.add_site_property("forces", [[0, 0, 0]] * 6)
    structure.add_site_property("magmom", [1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    dictionary = structure.as_dict()
    for content in (dictionary, [{"structure": dictionary, "energy": -1.0}]):
        read = read_structure(write(tmp_path, "a.json", json.dumps(content)))
        assert [str(element) for element in read.species] == ["Ti"] * 2 + ["O"] * 4
        assert read.site_properties == {"magmom": [1.0, -1.0, 0.0, 0.0, 0.0, 0.0]}
    read = read_structure(write(tmp_path, "a.cif", str(CifWriter(structure))))
    assert {str(element) for element in read.species} == {"Ti", "O"}


def test_last_frame_of_several_with_a_warning_as_ase_does(tmp_path):
    frames = [Atoms("He", cell=[length] * 3, pbc=True) for length in (4.0, 5.0, 6.0)]
    frames[-1].calc = SinglePointCalculator(frames[-1], magmoms=[0.5])
    path = tmp_path / "a.extxyz"
    ase.io.write(path, frames)
    with pytest.warns(StructureReadWarning) as caught:
        structure = read_structure(path)
    assert str(caught[0].message) == f"{path} has 3 frames; the last is read."
    assert structure.volume == pytest.approx(ase.io.read(path).get_volume(), rel=1e-12)
    assert structure.site_properties == {"magmom": [0.5]}


def test_first_block_with_atoms_of_several_with_a_warning(tmp_path):
    text = "data_global\n_journal_name x\n" + P1 + SITES + "Ar1 Ar 0 0 0 1\n"
    text += P1.replace("data_test", "data_other") + SITES + "Xe1 Xe 0 0 0 1\n"
    path = write(tmp_path, "a.cif", text)
    with pytest.warns(StructureReadWarning) as caught:
        structure = read_structure(path)
    assert structure.formula == "Ar1"
    assert str(caught[0].message) == (
        f"{path} has 2 data blocks with atoms; the first, data_test, is read."
    )


@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.xyz", "a.json", "a.dat", "a.cif.gz"])
@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_empty_file(tmp_path, name, content):
    if name.endswith(".gz") and content:
        content = gzip.compress(content)
    path = write(tmp_path, name, content)
    assert str(refusal(path)) == f"{path} is empty.\n  remedy: {WHOLE_FILE}"


def test_no_such_file_and_a_directory(tmp_path):
    absent = tmp_path / "absent.cif"
    assert refusal(absent).message == f"{absent} does not exist."
    assert refusal(tmp_path).message == f"{tmp_path} is not a file."


@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.xyz", "a.json", "a.dat"])
def test_binary_garbage(tmp_path, name):
    garbage = np.random.default_rng(0).bytes(4096)
    path = write(tmp_path, name, garbage)
    assert refusal(path).message == f"{path} is not a text file."


def test_text_that_is_no_structure(tmp_path):
    path = write(tmp_path, "notes", "buy milk\n")
    assert refusal(path).message == f"{path} is in no format that is known here."
    path = write(tmp_path, "a.cif", "buy milk\n")
    assert refusal(path).message == (
        f"{path} is not a CIF with atoms: no data block has _atom_site_fract_x."
    )


def test_truncated_compressed_file(tmp_path):
    for ending, compress in (
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
    ):
        content = compress(RUTILE_TEXTS["a.cif"].encode())[:-20]
        path = write(tmp_path, "a.cif" + ending, content)
        assert refusal(path).message.startswith(
            f"{path} cannot be decompressed, it may be truncated: "
        )


def test_cif_truncated_within_and_between_rows(tmp_path):
    lines = RUTILE_TEXTS["a.cif"].rstrip("\n").split("\n")
    path = write(tmp_path, "a.cif", "\n".join(lines)[:-20])
    assert refusal(path).message.startswith(
        f"{path} cannot be read as CIF, it may be truncated: "
    )
    path = write(tmp_path, "a.cif", "\n".join(lines[:-1]) + "\n")
    assert refusal(path).message == f"{path} is cut short: it has O3 Ti2 of O4 Ti2."


def test_formula_of_a_refinement_that_lacks_hydrogen_is_a_warning(tmp_path):
    text = P1 + "_chemical_formula_sum 'C1 H4'\n_refine_ls_R_factor_all 0.05\n"
    path = write(tmp_path, "a.cif", text + SITES + "C1 C 0 0 0 1\n")
    with pytest.warns(StructureReadWarning, match=r"says C H4, its atoms are C: hydrogen or"):
        assert len(read_structure(path)) == 1


@given(name=st.sampled_from(sorted(RUTILE_TEXTS)), fraction=st.floats(0, 1))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_cut_gives_a_structure_or_a_typed_error(tmp_path, name, fraction):
    text = RUTILE_TEXTS[name]
    path = write(tmp_path, name, text[: int(fraction * len(text))])
    structure = structure_or_typed_error(path)
    assert structure is None or len(structure) == len(RUTILE)


@given(data=st.data(), name=st.sampled_from(sorted(RUTILE_TEXTS)))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_damaged_word_gives_a_structure_or_a_typed_error(tmp_path, data, name):
    words = re.split(r"(\s+)", RUTILE_TEXTS[name])
    index = data.draw(st.integers(0, len(words) - 1))
    words[index] = data.draw(st.sampled_from(["", "?", ".", "-1", "x", "1e400", "{", "'", "0"]))
    path = write(tmp_path, name, "".join(words))
    structure = structure_or_typed_error(path)
    assert structure is None or structure.is_ordered


def test_half_occupancy(tmp_path):
    rows = "C1 C 0 0 0 1\nC2A C 0.1 0 0 0.5\nC2B C 0.15 0 0 0.50(2)\n"
    path = write(tmp_path, "a.cif", P1 + SITES + rows)
    error = refusal(path, DisorderedStructureError)
    assert error.message == f"{path} has 2 partially occupied sites: C2A (0.5), C2B (0.5)."
    assert error.remedy.startswith("Choose one of the disordered arrangements")


def test_half_occupancy_in_json(tmp_path):
    structure = Structure(Lattice.cubic(4), [{"Ti": 0.5, "Zr": 0.5}], [[0, 0, 0]])
    path = write(tmp_path, "a.json", json.dumps(structure.as_dict()))
    assert refusal(path, DisorderedStructureError).message == (
        f"{path} has a disordered site: Zr:0.5, Ti:0.5 (site 0)."
    )


def test_sites_that_a_parser_would_lose(tmp_path):
    path = write(tmp_path, "a.cif", P1 + SITES + "C1 C 0 0 0 1\nH1 H ? ? ? 1\n")
    assert refusal(path).message == f"{path} has sites without coordinates: H1."
    path = write(tmp_path, "a.cif", P1 + SITES + "C1 C 0 0 0 1\nO1 OH 0 0 0.5 1\n")
    assert refusal(path).message == f"{path} has sites that are not one element: OH."
    path = write(tmp_path, "a.cif", P1 + SITES + "C1 C 0 0 0 1\nO1 O 0 0 0.5 .\n")
    assert refusal(path).message == f"{path} has '.' as an occupancy."
    path = write(tmp_path, "a.cif", P1 + SITES + "C1 C 0 0 0 1\nX1 X 0 0 0.5 0\n")
    with pytest.warns(StructureReadWarning, match=r"occupancy 0, which are left out: X1\.$"):
        assert read_structure(path).formula == "C1"


def test_same_position_twice(tmp_path):
    path = write(tmp_path, "a.cif", P1 + SITES + "C1 C 0 0 0 1\nC2 C 0 0 0 1\n")
    assert refusal(path).message == f"{path} has several atoms on one position."
    # All atoms of the cell, and operations that make them again.
    path = write(tmp_path, "b.cif", HEXAGONAL + SITES + "C1 C 0.1 0 0 1\nC2 C 0 0.1 0 1\n")
    assert refusal(path).message == f"{path} has several atoms on one position."


def test_cif_without_labels(tmp_path):
    text = (P1 + SITES + "C 0 0 0 1\n").replace("_atom_site_label\n", "")
    path = write(tmp_path, "a.cif", text)
    assert refusal(path).message == f"{path} has no _atom_site_label."


def test_cif_of_a_refinement(tmp_path):
    # Uncertainties, a text field with a line that looks like a block, the group by name only.
    text = HEXAGONAL.partition("loop_")[0].replace(" 90", " 90.00(1)")
    text += "_refine_special_details\n;\n _atom_site_fract_x is refined\n;\n"
    text += "_symmetry_space_group_name_H-M 'P -6'\n"
    path = write(tmp_path, "a.cif", text + SITES + "C1 C 0.3333 0.6667 0.1234(5) 1\n")
    with pytest.warns(StructureReadWarning, match="Spacegroup from _symmetry_space_group_name"):
        structure = read_structure(path)
    heights = sorted(structure.frac_coords[:, 2])
    assert heights == pytest.approx([0.1234, 0.8766], abs=1e-12)
    assert structure.frac_coords[:, :2] == pytest.approx(np.array([[1 / 3, 2 / 3]] * 2))


@pytest.mark.parametrize("comment", ["", "energy=1.0"])
def test_xyz_without_lattice(tmp_path, comment):
    path = write(tmp_path, "a.xyz", f"1\n{comment}\nHe 0 0 0\n")
    assert str(refusal(path)) == (
        f"{path} has no lattice.\n  remedy: Give the cell in the comment line: "
        'Lattice="ax ay az bx by bz cx cy cz" pbc="T T T" (A).'
    )


def test_xyz_of_a_slab_or_cut_short(tmp_path):
    text = RUTILE_TEXTS["a.extxyz"]
    path = write(tmp_path, "a.xyz", text.replace("T T T", "T T F"))
    assert refusal(path).message == f"{path} has no periodicity in all directions."
    path = write(tmp_path, "a.xyz", "".join(text.splitlines(keepends=True)[:-2]))
    assert refusal(path).message == (
        f"{path} cannot be read as extended XYZ, it may be truncated: "
        "the last frame lacks 2 of 6 atoms"
    )


def test_poscar_without_elements(tmp_path):
    lines = RUTILE_TEXTS["POSCAR"].splitlines()
    lines = lines[:5] + [re.sub(r"\s+(Ti|O)$", "", line) for line in lines[6:]]
    path = write(tmp_path, "POSCAR", "\n".join(lines))
    assert refusal(path).message == f"{path} does not name its elements (VASP 4 format)."


def test_json_of_something_else(tmp_path):
    path = write(tmp_path, "a.json", '{"energy": 1.0}')
    assert refusal(path).message == f"{path} has no pymatgen Structure."
    path = write(tmp_path, "a.json", "[{}, {}]")
    assert refusal(path).message == f"{path} has a list of 2 entries."
