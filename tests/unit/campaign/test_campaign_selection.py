"""The stage select: structures chosen by a job, and what is made of them afterwards."""

import json
import tarfile
import warnings
from pathlib import Path

import pytest
import yaml
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter
from typer.testing import CliRunner

from mofonon.campaign import CampaignMaker, load_campaign
from mofonon.cli import app
from mofonon.errors import CampaignError, DftSetupError
from mofonon.store import find_documents, open_store
from mofonon.structures.manifest import read_manifest

REPOSITORY = Path(__file__).parents[3]
OPTIONS = ("--allow-import", "support")
SELECT = {
    "model": "support.calculators:moments",
    "curation": {"closed_shell": False, "min_pore": 0, "refuse_warnings": []},
    "settings": {"n_structures": 2},
}


@pytest.fixture
def cifs(tmp_path, monkeypatch):
    """Six metals in a folder, two of them in a folder within."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifs"
    (folder / "more").mkdir(parents=True)
    for number, (symbol, a) in enumerate(
        [("Al", 3.9), ("Al", 4.0), ("Al", 4.1), ("Cu", 3.5), ("Cu", 3.6), ("Cu", 3.7)]
    ):
        structure = AseAtomsAdaptor.get_structure(bulk(symbol, "fcc", a=a))
        place = folder / "more" if number in (2, 5) else folder
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CifWriter(structure).write_file(place / f"{symbol}{a}.cif")
    return folder


def _write(path="chain.yaml", select=SELECT, structures=None, **stages):
    content = {
        "name": "chosen",
        "structures": structures or {},
        "potentials": {"emt": {"model": "ase.calculators.emt:EMT"}},
        "stages": {
            "select": {**select, **({} if structures else {"source": "cifs"})},
            "sample": {"potentials": ["emt"], "samplers": {"rattle": {"number_of_frames": 2}}},
            "label": {
                "by": "potential",
                "potentials": ["emt"],
                "dataset": {
                    "fingerprint": {"function": "support.calculators:moments"},
                    "fractions": [0.5, 0.25, 0.25],
                },
            },
            "phonons": {"settings": {"mesh": [3, 3, 3], "dos_pitch": 0.1}},
            "report": {},
            **stages,
        },
    }
    content["structures"] or content.pop("structures")
    Path(path).write_text(yaml.safe_dump(content))
    return Path(path)


def _call(*arguments, code=0):
    done = CliRunner().invoke(app, [*map(str, arguments), *OPTIONS, "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def _states(units):
    return {(unit["stage"], unit["structure"]): unit["state"] for unit in units}


@pytest.mark.slow
def test_a_run_goes_on_with_what_its_selection_chose(cifs):
    path = _write()
    plans = {plan["stage"]: plan for plan in _call("campaign", "plan", path)}
    later = ["sample", "label", "dataset", "phonons", "report"]
    assert [stage for stage in plans if plans[stage]["awaits_selection"]] == later
    assert plans["sample"]["after"] == ["select"]
    waiting = _call("status", path)
    assert {unit["state"] for unit in waiting} == {"waiting"}
    assert "yet to be chosen" in waiting[1]["why"]

    ran = _call("run", path)
    chosen = read_manifest(Path(ran["selection"])).ids
    assert len(chosen) == 2
    assert {name[:2] for name in chosen} == {"Al", "Cu"}  # strata: every element
    wanted = {("select", ""), ("dataset", ""), ("report", "")}
    wanted |= {(stage, name) for stage in ("sample", "label", "phonons") for name in chosen}
    assert _states(ran["units"]) == dict.fromkeys(wanted, "done")
    assert _call("status", path) == ran["units"]

    documents = _uuids()
    assert _states(_call("run", path)["units"]) == dict.fromkeys(wanted, "done")
    assert _uuids() == documents
    plans = {plan["stage"]: plan for plan in _call("campaign", "plan", path)}
    assert (plans["sample"]["n_units"], plans["sample"]["after"]) == (2, ["select"])

    found = next(find_documents(open_store(), document_type="selection"))
    assert (found["n_files"], found["n_accepted"], found["n_chosen"]) == (6, 6, 2)
    arguments = ("select", "--document", found["document_id"], "--output", "again")
    assert CliRunner().invoke(app, arguments).exit_code == 0
    again = Path("again")
    assert (again / "manifest.yaml").read_bytes() == Path(ran["selection"]).read_bytes()
    written = sorted((again / "structures").iterdir())
    originals = {each.name: each.read_bytes() for each in cifs.rglob("*.cif")}
    assert {each.name: each.read_bytes() for each in written}.items() <= originals.items()


def _uuids():
    return sorted(entry["uuid"] for entry in open_store().docs_store.query({}, ["uuid"]))


@pytest.mark.slow
def test_chosen_otherwise_the_same_structures_are_not_computed_again(cifs):
    """By a manifest, by more settings, by the document, out of an archive."""
    units = _call("run", _write())["units"]
    samples = {u["structure"]: u["document_id"] for u in units if u["stage"] == "sample"}
    selection = next(u["document_id"] for u in units if u["stage"] == "select")

    def ids(path):
        found = _call("status", path)
        return {u["structure"]: u["document_id"] for u in found if u["stage"] == "sample"}

    manifest = {"manifest": "mofonon-chosen/select/manifest.yaml"}
    by_manifest = _write("m.yaml", manifest, {"files": ["cifs/*.cif", "cifs/more/*.cif"]})
    assert ids(by_manifest) == samples
    by_document = _write("d.yaml", {"document": selection}, {"folder": "cifs"})
    assert ids(by_document) == samples
    with tarfile.open("cifs.tar", "w") as archive:
        archive.add("cifs", "")
    archived = _write("t.yaml", {**SELECT, "source": "cifs.tar"}, {"folder": "cifs"})
    assert ids(archived) == samples
    more = {**SELECT, "settings": {"n_structures": 3}}
    ran = _call("run", _write("more.yaml", more))["units"]
    assert (
        samples.items()
        <= {u["structure"]: u["document_id"] for u in ran if u["stage"] == "sample"}.items()
    )


@pytest.mark.slow
def test_a_selection_that_fails_blocks_what_needs_it_and_nothing_else(cifs):
    """Then it is corrected and retried."""
    nothing = {**SELECT, "curation": {**SELECT["curation"], "max_atoms": 1, "elements": ["Zn"]}}
    path = _write(select=nothing, structures={"folder": "cifs"})
    ran = _call("run", path, code=1)["units"]
    states = _states(ran)
    assert states["select", ""] == "failed"
    assert states["phonons", "Al4.0"] == "done"
    assert {states[stage, ""] for stage in ("sample", "label", "dataset", "report")} == {
        "blocked"
    }
    assert _states(_call("status", path)) == states
    told = {unit["stage"]: unit["why"] for unit in ran}
    assert told["label"] == told["select"]
    assert "no structure is left to choose from" in told["select"]
    (cifs / "Zn.cif").write_text((cifs / "Cu3.6.cif").read_text().replace("Cu", "Zn"))
    path = _write(
        select={**nothing, "settings": {"n_structures": 1}}, structures={"folder": "cifs"}
    )
    states = _states(_call("retry", path, code=1)["units"])
    assert states["sample", "Zn"] == "done"
    assert states["label", "Zn"] == "failed"  # EMT knows no zinc


def test_without_vasp_nothing_is_chosen_to_be_labelled(cifs, monkeypatch):
    del cifs
    commands = ("no-such-vasp", "no-such-vasp-gamma")
    monkeypatch.setattr("mofonon.dft.setup.vasp_commands", lambda: commands)
    path = _write(label={"by": "vasp"})
    done = CliRunner().invoke(app, ["run", str(path), *OPTIONS])
    assert isinstance(done.exception, DftSetupError)
    assert "no-such-vasp" in str(done.exception)
    assert not _uuids()


def test_another_file_or_setting_is_another_selection_and_another_place_is_not(cifs):
    def job_id():
        (unit, *_) = CampaignMaker().units(load_campaign(_write(), ["support"]))
        assert unit.stage == "select"
        assert unit.error is None
        return unit.job_ids

    before = job_id()
    cifs.rename("elsewhere")
    units = CampaignMaker().units(load_campaign(_write(), ["support"]))
    assert "is no folder, archive" in str(units[0].error)
    Path("elsewhere").rename(cifs)
    assert job_id() == before
    file = cifs / "Al4.0.cif"
    file.write_text(file.read_text().replace("data_Al", "data_aluminium"))
    assert job_id() != before


def test_a_worker_that_sees_other_files_says_so(cifs):
    from mofonon.campaign.schema_training import SelectStage
    from mofonon.campaign.selection import Collection

    stage = SelectStage(model="demo", source=cifs)
    collection = Collection.of(stage, None)
    collection.require_unchanged()
    (cifs / "Al4.0.cif").unlink()
    with pytest.raises(CampaignError, match="is not what it was"):
        collection.require_unchanged()


@pytest.mark.parametrize(
    ("select", "told"),
    [
        ({}, "give one of the three, not none"),
        ({"model": "demo", "manifest": "m.yaml"}, "not manifest and model"),
        ({"manifest": "m.yaml", "source": "cifs"}, "source and table are for a selection"),
        ({"model": "demo", "settings": {"number": 3}}, "there is no such field"),
    ],
)
def test_what_a_selection_is_of_must_be_clear(cifs, select, told):
    del cifs
    with pytest.raises(CampaignError, match=told):
        load_campaign(_write(select=select, structures={"folder": "cifs"}), ["support"])


def test_code_of_a_fingerprint_must_be_allowed(cifs):
    del cifs
    select = {**SELECT, "model": "evil.module:factory"}
    path = _write(select=select)
    with pytest.raises(CampaignError, match=r"stages\.select.model names evil.module:factory"):
        load_campaign(path, ["support"])
    with pytest.raises(CampaignError, match=r"stages\.label.dataset.fingerprint names support"):
        load_campaign(_write(select={"model": "demo"}, phonons={}))


def test_an_extension_takes_the_new_structures_without_choosing_among_them(cifs):
    from mofonon.cli.campaign_runs import write_extension

    content = yaml.safe_load((REPOSITORY / "workflows" / "extend.yaml").read_text())
    content["structures"] = {"folder": "cifs"}
    content["stages"]["select"] = {"manifest": "manifest.yaml"}
    content["stages"]["extend"] = {
        "current": next(iter(content["potentials"])),
        "dataset": "id",
    }
    Path("extend.yaml").write_text(yaml.safe_dump(content))
    written = yaml.safe_load(
        write_extension(Path("extend.yaml"), cifs / "more", None, None).read_text()
    )
    assert "select" not in written["stages"]
    assert len(written["structures"]["files"]) == 2
