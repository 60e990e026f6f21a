"""Names, provenance and refusals of potentials."""

from pathlib import Path

import pytest

from mofonon.errors import (
    PotentialError,
    PotentialFileError,
    UnknownElementError,
    UnknownHeadError,
)
from mofonon.potentials import (
    PotentialSpec,
    check_elements,
    describe_potential,
    make_calculator,
)
from mofonon.potentials.describe import resolve_head
from mofonon.potentials.mace_files import foundation_urls, model_path


@pytest.mark.parametrize(
    ("name", "family", "model"),
    [
        ("demo", "demo", None),
        ("chgnet", "chgnet", None),
        ("sevennet-0", "sevennet", None),
        ("gfn1-xtb", "tblite", "GFN1-xTB"),
        ("medium-0b", "mace", "medium-0b"),
        ("ase.calculators.emt:EMT", "ase", "ase.calculators.emt:EMT"),
    ],
)
def test_names_that_users_type(name, family, model):
    spec = PotentialSpec.from_name(name)
    assert (spec.family, spec.model) == (family, model)


def test_a_path_is_a_mace_model(tmp_path):
    file = tmp_path / "my.model"
    file.write_bytes(b"x")
    spec = PotentialSpec.from_name(str(file), head="pbe_d3", dispersion="d3bj")
    assert (spec.family, spec.model, spec.head) == ("mace", str(file), "pbe_d3")


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(PotentialError, match=r"no potential is called 'chgent'") as caught:
        PotentialSpec.from_name("chgent")
    assert "chgnet" in caught.value.remedy
    assert "medium-0b" in caught.value.remedy


def test_a_missing_file():
    with pytest.raises(PotentialFileError, match=r"there is no model file nowhere/my\.model"):
        PotentialSpec.from_name("nowhere/my.model")


def test_the_foundation_names_are_those_of_the_installed_mace():
    from mace.calculators.foundations_models import mace_mp_urls

    assert foundation_urls() == mace_mp_urls


def test_a_foundation_model_in_the_cache_is_found_where_mace_puts_it(tmp_path, monkeypatch):
    """The file name is the one that mace's own download would use."""
    from mace.calculators import foundations_models

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    url = foundation_urls()["medium-0b"]
    name = "".join(c for c in Path(url).name if c.isalnum() or c == "_")
    (tmp_path / "mace").mkdir()
    (tmp_path / "mace" / name).write_bytes(b"weights")
    monkeypatch.setattr(foundations_models, "get_cache_dir", lambda: tmp_path / "mace")
    theirs = foundations_models.download_mace_mp_checkpoint("medium-0b")
    assert model_path("medium-0b", "mace") == Path(theirs)


def test_a_foundation_model_is_downloaded_whole(tmp_path, monkeypatch):
    """Fetched from a local file in place of the network."""
    from mofonon.potentials.mace_files import fetch_foundation

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    weights = tmp_path / "served.model"
    weights.write_bytes(b"0123456789" * 300_000)
    target = fetch_foundation("served", weights.as_uri())
    assert target.read_bytes() == weights.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["servedmodel"]


def test_a_failed_download_says_where_to_put_the_file(tmp_path, monkeypatch):
    from mofonon.potentials.mace_files import fetch_foundation

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(PotentialFileError, match="cannot be downloaded") as caught:
        fetch_foundation("absent", (tmp_path / "absent.model").as_uri())
    assert str(tmp_path / "mace" / "absentmodel") in caught.value.remedy
    assert not list((tmp_path / "mace").iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"PK\x03\x04 not really", "cannot be read as a MACE model")],
)
def test_a_damaged_model_file(tmp_path, content, message):
    file = tmp_path / "my.model"
    file.write_bytes(content)
    with pytest.raises(PotentialFileError, match=message):
        describe_potential(PotentialSpec(family="mace", model=str(file)))


def test_a_truncated_mace_file(tmp_path):
    whole = model_path(None, "demo").read_bytes()
    file = tmp_path / "cut.model"
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PotentialFileError, match="cannot be read as a MACE model") as caught:
        describe_potential(PotentialSpec(family="mace", model=str(file)))
    assert caught.value.remedy.startswith("the file is truncated or of another kind")


def test_a_file_that_holds_something_else(tmp_path):
    import torch

    file = tmp_path / "weights.model"
    torch.save({"a": torch.zeros(3)}, file)
    with pytest.raises(PotentialFileError, match="holds a dict, not a MACE model"):
        describe_potential(PotentialSpec(family="mace", model=str(file)))


def test_heads():
    assert resolve_head(None, ["Default"], "m") == "Default"
    assert resolve_head(None, ["pt_head", "default"], "m") == "default"
    assert resolve_head("b", ["a", "b"], "m") == "b"
    with pytest.raises(UnknownHeadError, match="m has no head 'c'; it has a, b"):
        resolve_head("c", ["a", "b"], "m")
    with pytest.raises(UnknownHeadError, match="m has several heads: a, b"):
        resolve_head(None, ["a", "b"], "m")


def test_a_wrong_head_of_the_demo_model():
    with pytest.raises(UnknownHeadError, match=r"demo\.model has no head 'mof'; it has"):
        make_calculator(PotentialSpec(family="demo", head="mof"))


def test_a_head_of_something_without_heads():
    with pytest.raises(PotentialError, match="which has no heads"):
        PotentialSpec(family="chgnet", head="x")


def test_an_element_that_the_potential_lacks():
    demo = describe_potential(PotentialSpec(family="demo"))
    check_elements(["Zn", "O", "C", "H"], demo)
    with pytest.raises(UnknownElementError, match="does not know Pu; it knows H, ") as caught:
        check_elements(["O", "Pu"], demo)
    assert "--model" in caught.value.remedy


def test_the_demo_model_is_called_what_it_is():
    demo = describe_potential(PotentialSpec(family="demo"))
    assert demo.notice == "distilled demo model, not for science"
    assert demo.dtype == "float64"
    assert len(demo.sha256 or "") == 64
    assert model_path(None, "demo").stat().st_size < 1e6


def test_equal_weights_are_one_identity_whatever_the_file_is_called(tmp_path):
    copy = tmp_path / "other.model"
    copy.write_bytes(model_path(None, "demo").read_bytes())
    demo = describe_potential(PotentialSpec(family="demo"))
    mine = describe_potential(PotentialSpec.from_name(str(copy), device="cpu"))
    assert demo.identity == mine.identity
    assert mine.notice is None
    other = describe_potential(PotentialSpec.from_name(str(copy), dispersion="d3bj"))
    assert other.identity != mine.identity


def test_an_import_path_that_leads_nowhere():
    with pytest.raises(PotentialError, match="cannot be imported"):
        make_calculator(PotentialSpec.from_name("ase.calculators.emt:NoSuch"))


def test_options_reach_an_ase_calculator():
    spec = PotentialSpec(
        family="ase", model="ase.calculators.lj:LennardJones", options={"sigma": 2.5}
    )
    assert make_calculator(spec).parameters["sigma"] == 2.5
