"""Campaign files: what is refused, with which line and which remedy."""

import pytest

from mofonon.campaign import load_campaign
from mofonon.errors import CampaignError

GOOD = """\
name: x
structures:
  files: [a.cif]
potentials:
  demo: {model: demo}
stages:
  phonons:
    settings:
      mesh: [5, 5, 5]
"""


def _problem(tmp_path, text, **options):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(CampaignError) as caught:
        load_campaign(path, **options)
    return str(caught.value).replace(str(tmp_path), ".")


def test_a_good_file_is_read_with_paths_relative_to_it(tmp_path):
    (tmp_path / "x.yaml").write_text(GOOD)
    spec = load_campaign(tmp_path / "x.yaml")
    assert spec.structures.files == [str(tmp_path / "a.cif")]
    assert spec.stages.phonons.settings.mesh == (5, 5, 5)
    assert [name for name, _ in spec.named_stages()] == ["phonons"]


@pytest.mark.parametrize(
    ("line", "replacement", "told"),
    [
        ("      mesh: [5, 5, 5]", "      mesch: 5", "x.yaml:9: stages.phonons.settings.mesch"),
        ("name: x", "name: x y", "x.yaml:1: name: String should match"),
        ("  demo: {model: demo}", "  demo: {}", "x.yaml:5: potentials.demo: a potential needs"),
        (
            "  phonons:",
            "  phonons:\n    potentials: [other]",
            "names potentials that the campaign does not have: other; it has demo",
        ),
        ("  files: [a.cif]", "  folder: null", "no structures are named"),
    ],
)
def test_errors_name_the_line_and_the_field(tmp_path, line, replacement, told):
    assert line in GOOD
    message = _problem(tmp_path, GOOD.replace(line, replacement))
    assert told in message
    assert "remedy: the allowed fields: mofonon campaign schema" in message


def test_a_key_given_twice_is_an_error(tmp_path):
    message = _problem(tmp_path, GOOD + "name: y\n")
    assert "x.yaml:10 is not plain YAML: the key 'name' is given twice" in message


@pytest.mark.parametrize(
    "attack",
    [
        "!!python/object/apply:os.system ['touch PWNED']",
        "!!python/name:os.system",
        "!!python/object/new:subprocess.Popen [['touch', 'PWNED']]",
    ],
)
def test_yaml_cannot_run_code(tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    message = _problem(tmp_path, GOOD + f"description: {attack}\n")
    assert "is not plain YAML" in message
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    ("old", "new", "package"),
    [
        ("{model: demo}", "{model: 'evil.module:call'}", "evil"),
        ("  phonons:", "  phonons:\n    maker: shutil:rmtree", "shutil"),
        ("  phonons:", "  custom: {own: {maker: 'os:Maker'}}\n  phonons:", "os"),
    ],
)
def test_import_paths_need_permission(tmp_path, old, new, package):
    message = _problem(tmp_path, GOOD.replace(old, new))
    assert f"code of {package} would run" in message
    assert f"--allow-import {package}" in message
    path = tmp_path / "x.yaml"
    assert load_campaign(path, [package]).name == "x"


def test_calculators_of_ase_need_none(tmp_path):
    (tmp_path / "x.yaml").write_text(GOOD.replace("demo}", "'ase.calculators.emt:EMT'}"))
    assert load_campaign(tmp_path / "x.yaml").potentials["demo"].spec().family == "ase"


def test_a_stage_without_settings_may_be_bare(tmp_path):
    (tmp_path / "x.yaml").write_text(GOOD + "  qha:\n  report:\n")
    spec = load_campaign(tmp_path / "x.yaml")
    assert [name for name, _ in spec.named_stages()] == ["phonons", "qha", "report"]


def test_every_field_of_the_schema_says_what_it_is():
    from mofonon.campaign import CampaignSpec

    schema = CampaignSpec.model_json_schema()
    for part in [schema, *schema["$defs"].values()]:
        for name, field in part.get("properties", {}).items():
            described = "description" in field or "$ref" in field
            assert described, f"{part['title']}.{name}"
