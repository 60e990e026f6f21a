"""The paper's 127 MOFs: each is accepted or refused for the reason in the table.

Data: Elena et al., npj Comput. Mater. 11, 125 (2025), CC BY 4.0. The verdicts are discussed in
docs/reference-structures.md.
"""

import warnings

import pytest

from mofonon.errors import OverlappingAtomsError
from mofonon.structures import (
    StructureReadWarning,
    check_structure,
    read_structure,
    space_group,
    structure_hash,
    validate_structure,
)

ISSUES = {
    # Methyl groups with one hydrogen 0.52 A from carbon.
    "UiO66ZrCH3": [
        (
            "overlapping-atoms",
            "error",
            "H42 and C48 are 0.517 A apart (12 atoms overlap).",
        )
    ],
    # Indium analogue of NOTT-300 loaded with hydrogen.
    "qmof-d08b9c2": [
        ("isolated-molecules", "warning", "Not bonded to the framework: 4 H2."),
    ],
}


@pytest.fixture(scope="module")
def structures(reference_dir):
    with warnings.catch_warnings():
        warnings.simplefilter("error", StructureReadWarning)
        paths = sorted((reference_dir / "curated-127").glob("*.cif"))
        return {path.stem: read_structure(path) for path in paths}


def test_all_127_are_accepted_or_refused_for_the_known_reasons(structures):
    assert len(structures) == 127
    found = {
        name: [(issue.code, issue.severity, issue.message) for issue in issues]
        for name, structure in structures.items()
        if (issues := check_structure(structure))
    }
    assert found == ISSUES


def test_the_refused_one_and_how_to_allow_it(structures):
    with pytest.raises(OverlappingAtomsError):
        validate_structure(structures["UiO66ZrCH3"])
    issues = validate_structure(structures["UiO66ZrCH3"], allow=["overlapping-atoms"])
    assert [issue.code for issue in issues] == ["overlapping-atoms"]


def test_no_two_are_the_same(structures):
    assert len({structure_hash(structure) for structure in structures.values()}) == 127


def test_without_hydrogen_the_aromatic_ones_are_refused(structures):
    for name in ("MOF-5", "UiO-66", "MOF-74", "HKUST1", "MIL-53", "JUK-8cp"):
        bare = structures[name].copy()
        bare.remove_species(["H"])
        assert check_structure(bare)[0].code == "missing-hydrogen", name


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("DFT/MOF-5_geom-opt.json", "Fm-3m"),
        ("DFT/MOF-74_geom-opt.json", "P-1"),
        ("MACE-MP-0b/MOF-5-opt.extxyz", "Fm-3m"),
        ("MACE-MP-0b/MOF-74-opt.extxyz", "R-3"),
        ("MACE-MP-MOF0/MOF-5-opt.extxyz", "Fm-3m"),
        ("MACE-MP-MOF0/MOF-74-opt.extxyz", "R-3"),
        ("MACE-MP-MOF0-v2/MOF-5-opt.extxyz", "Fm-3m"),
        ("MACE-MP-MOF0-v2/MOF-74-opt.extxyz", "R-3"),
        ("GFN1-xTB/MOF-5.cif", "P-1"),
        ("GFN1-xTB/MOF-74.cif", "P1"),
    ],
)
def test_optimized_structures_are_read_and_accepted(reference_dir, path, group):
    structure = read_structure(reference_dir / "optimized" / path)
    assert validate_structure(structure) == []
    assert structure.site_properties == {}
    assert len(structure) == (106 if "MOF-5" in path else 54)
    assert space_group(structure)[0] == group
