"""Input sets against the Materials Project's: every difference has a reason."""

import runpy
import warnings
from pathlib import Path

import pytest
from pymatgen.core import Structure
from pymatgen.io.vasp.sets import MPRelaxSet, MPStaticSet

from mofonon.dft.sets import (
    REASONS,
    MofRelaxSetGenerator,
    MofStaticSetGenerator,
    differences,
    gamma_mesh,
    is_gamma_only,
)
from mofonon.structures import read_structure

REPOSITORY = Path(__file__).parents[3]
DOCS = REPOSITORY / "docs" / "labels.md"

#: The Gamma-centred mesh of each, and the tags beyond those common to all.
MOFS = {
    "MOF-5": ([1, 1, 1], {}),
    "UiO-66": ([1, 1, 1], {}),
    "MOF-74": ([3, 1, 1], {}),
    "MIL-53": ([3, 2, 2], {"ISMEAR": (0, -5)}),
    "HKUST1": ([1, 1, 1], {}),
}
RELAX = {
    "EDIFFG": (-0.02, None),
    "IVDW": (12, None),
    "LCHARG": (False, None),
    "LWAVE": (True, False),
    "NSW": (200, 99),
}
STATIC = {"IVDW": (12, None), "LCHARG": (False, True)}

#: The whole INCAR of a relaxation of a closed-shell MOF without d electrons.
MIL_53_RELAX = {
    "ALGO": "Fast",
    "EDIFF": 1e-5,
    "EDIFFG": -0.02,
    "ENCUT": 520,
    "IBRION": 2,
    "ISIF": 3,
    "ISMEAR": 0,
    "ISPIN": 1,
    "IVDW": 12,
    "LASPH": True,
    "LCHARG": False,
    "LORBIT": 11,
    "LREAL": "Auto",
    "LWAVE": True,
    "NELM": 100,
    "NSW": 200,
    "PREC": "Accurate",
    "SIGMA": 0.05,
}


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reference(reference_dir, name: str) -> Structure:
    return read_structure(reference_dir / "curated-127" / f"{name}.cif")


@pytest.mark.parametrize("name", MOFS)
def test_relaxation_against_mprelaxset(reference_dir, name):
    structure = reference(reference_dir, name)
    ours, theirs = MofRelaxSetGenerator(structure.copy()), MPRelaxSet(structure.copy())
    mesh, more = MOFS[name]
    found = differences(dict(ours.incar), dict(theirs.incar))
    assert found.pop("EDIFF") == (1e-5, pytest.approx(5e-5 * len(structure)))
    if name == "HKUST1":
        assert ours.incar["ISPIN"] == 2, "copper(II)"
        assert ours.incar["MAGMOM"] == theirs.incar["MAGMOM"]
    else:
        assert found.pop("ISPIN") == (1, 2)
        assert found.pop("MAGMOM")[0] is None
    assert found == {**RELAX, **more}
    assert set(found) <= set(REASONS)
    assert list(ours.kpoints.kpts[0]) == mesh == list(theirs.kpoints.kpts[0])
    assert ours.kpoints.style.name == "Gamma"
    assert is_gamma_only(ours.kpoints) == (mesh == [1, 1, 1])


@pytest.mark.parametrize("name", MOFS)
def test_static_against_mpstaticset(reference_dir, name):
    structure = reference(reference_dir, name)
    ours, theirs = MofStaticSetGenerator(structure.copy()), MPStaticSet(structure.copy())
    found = differences(dict(ours.incar), dict(theirs.incar))
    assert set(found) <= set(REASONS)
    for tag in ("EDIFF", "ISPIN", "MAGMOM", "ISMEAR"):
        found.pop(tag, None)
    assert found == STATIC
    assert ours.incar["ISMEAR"] == 0
    assert list(ours.kpoints.kpts[0]) == MOFS[name][0]
    assert ours.kpoints.style.name == "Gamma"


def test_the_whole_incar(reference_dir):
    structure = reference(reference_dir, "MIL-53")
    assert dict(MofRelaxSetGenerator(structure).incar) == MIL_53_RELAX


def test_the_phonon_preset(reference_dir):
    structure = reference(reference_dir, "MIL-53")
    relax = MofRelaxSetGenerator(structure.copy(), preset="phonon").incar
    labels = MofRelaxSetGenerator(structure.copy()).incar
    assert differences(dict(relax), dict(labels)) == {
        "ENCUT": (900, 520),
        "EDIFF": (1e-8, 1e-5),
        "EDIFFG": (-0.001, -0.02),
        "LREAL": (False, "Auto"),
    }
    static = MofStaticSetGenerator(structure.copy(), preset="phonon").incar
    assert (static["ENCUT"], static["EDIFF"]) == (900, 1e-8)


def test_user_settings_win(reference_dir):
    structure = reference(reference_dir, "MIL-53")
    incar = MofRelaxSetGenerator(structure, user_incar_settings={"ISIF": 2, "IVDW": 0}).incar
    assert (incar["ISIF"], incar["IVDW"]) == (2, 0)


def nickel_oxide() -> Structure:
    return Structure.from_spacegroup("Fm-3m", [[4.2, 0, 0], [0, 4.2, 0], [0, 0, 4.2]],
                                     ["Ni", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])  # fmt: skip


def test_hubbard_u_and_moments_where_asked():
    plain = MofRelaxSetGenerator(nickel_oxide()).incar
    assert "LDAU" not in plain
    assert max(plain["MAGMOM"]) == 5, "MP's moment of nickel"
    with_u = MofRelaxSetGenerator(nickel_oxide(), hubbard_u=True).incar
    theirs = MPRelaxSet(nickel_oxide()).incar
    assert with_u["LDAUU"] == theirs["LDAUU"]
    off = MofRelaxSetGenerator(nickel_oxide(), spin="off").incar
    assert off["ISPIN"] == 1
    assert "MAGMOM" not in off


def test_no_axis_is_coarser_than_half_an_inverse_angstrom(reference_dir):
    """The claim of gamma_mesh, for every structure of the paper up to 60 atoms."""
    import numpy as np

    for path in sorted((reference_dir / "curated-127").glob("*.cif")):
        if path.stat().st_size > 6000:
            continue
        structure = read_structure(path)
        spacing = (
            2 * np.pi * np.array(structure.lattice.reciprocal_lattice_crystallographic.abc)
        )
        assert (spacing / gamma_mesh(structure).kpts[0]).max() < 0.65, path.name


def test_accepted_by_the_validation_of_the_materials_project(reference_dir):
    """pymatgen-io-validation objects to what REASONS explains, and to nothing else."""
    from pymatgen.io.validation.check_incar import CheckIncar
    from pymatgen.io.validation.common import VaspFiles, VaspInputSafe

    structure = reference(reference_dir, "MIL-53")
    generator = MofRelaxSetGenerator(structure)
    files = VaspFiles(
        user_input=VaspInputSafe(
            incar={**generator.incar, "GGA": "PE"},  # PBE said aloud: there are no POTCARs
            kpoints=generator.kpoints,
            structure=generator.structure,
        )
    )
    reasons: list[str] = []
    CheckIncar(fast=False).check(files, reasons, [])
    assert reasons == ["INPUT SETTINGS --> IVDW: is 12, but should be == 0."]


def test_the_documentation_lists_every_reason():
    text = DOCS.read_text()
    for tag, reason in REASONS.items():
        if not tag.startswith("LDAU") or tag == "LDAU":
            assert f"| `{tag}` | {reason} |" in text, tag


def test_the_page_of_input_sets_is_up_to_date(reference_dir):
    """Every tag, k-points and POTCARs of the five MOFs; a difference without a reason fails."""
    tool = runpy.run_path(str(REPOSITORY / "tools" / "write_vasp_inputs.py"))
    assert tool["PAGE"].read_text() == tool["page"](reference_dir), (
        f"python tools/write_vasp_inputs.py {reference_dir}"
    )
