"""The stages that make a potential: their units, an extension, and all of it run."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from pymatgen.core import Structure
from typer.testing import CliRunner

from mofonon.campaign import CampaignMaker, load_campaign
from mofonon.campaign.extension import extension_document, require_accepted
from mofonon.cli import app
from mofonon.errors import CampaignError, DftSetupError, ExtensionRefused
from mofonon.store import find_documents, open_store

REPOSITORY = Path(__file__).parents[3]
WORKFLOWS = REPOSITORY / "workflows"
CYANIDE = REPOSITORY / "src" / "mofonon" / "data" / "structures" / "Zn(CN)2.cif"


def _units(path, name="campaign.yaml", folder=None, **changes):
    if changes or folder:
        content = yaml.safe_load(path.read_text())
        content |= changes
        path = folder / name
        path.write_text(yaml.safe_dump(content))
    return CampaignMaker().units(load_campaign(path))


def test_the_demo_is_the_whole_chain_and_every_reference_leads_to_a_job():
    units = _units(WORKFLOWS / "demo.yaml")
    stages = list(dict.fromkeys(unit.stage for unit in units))
    assert stages == [
        *("sample", "label", "dataset", "finetune", "evaluate"),
        *("phonons", "qha", "report"),
    ]
    assert [unit.error for unit in units] == [None] * len(units)
    known: set[str] = set()
    for unit in units:
        known |= {job.uuid for job in unit.jobs}
        for job in unit.jobs:
            assert set(job.input_uuids) <= known, (unit.label, job.name)
    again = _units(WORKFLOWS / "demo.yaml")
    assert [unit.job_ids for unit in units] == [unit.job_ids for unit in again]


def test_other_settings_of_training_change_the_potential_and_what_follows(tmp_path):
    content = yaml.safe_load((WORKFLOWS / "demo.yaml").read_text())
    structures = {"files": [str(CYANIDE)]}
    before = _units(WORKFLOWS / "demo.yaml", folder=tmp_path, structures=structures)
    content["stages"]["finetune"]["settings"]["max_epochs"] = 9
    after = _units(
        WORKFLOWS / "demo.yaml",
        folder=tmp_path,
        structures=structures,
        stages=content["stages"],
    )
    for one, other in zip(before, after, strict=True):
        same = one.stage in ("sample", "label", "dataset")
        assert (one.job_ids == other.job_ids) is same, one.stage


def test_the_campaign_of_the_paper_is_complete(tmp_path, reference_dir):
    """With the demo model for the foundation, which cannot be fetched everywhere."""
    text = (WORKFLOWS / "mace-mp-mof0.yaml").read_text()
    text = text.replace("medium-0b", "demo").replace("replay: mp", "replay: mp")
    content = yaml.safe_load(text)
    content["structures"]["folder"] = str(reference_dir / "curated-127")
    content["structures"]["manifest"] = str(WORKFLOWS / "mace-mp-mof0-structures.yaml")
    path = tmp_path / "paper.yaml"
    path.write_text(yaml.safe_dump(content))
    spec = load_campaign(path)
    settings = spec.stages.finetune.settings
    assert (settings.lr, settings.ema_decay, settings.batch_size) == (0.005, 0.995, 8)
    assert (settings.energy_weight, settings.forces_weight, settings.stress_weight) == (
        1,
        10,
        100,
    )
    assert spec.stages.finetune.launch.world_size == 16
    phonons = spec.stages.phonons.settings
    assert (phonons.displacement, phonons.mesh, phonons.dos_pitch) == (
        0.001,
        (11, 11, 11),
        0.01,
    )
    assert spec.stages.label.dataset.fractions == (0.85, 0.075, 0.075)
    from mofonon.campaign.structures import structure_files

    assert len(structure_files(spec.structures)) == 127


def test_a_manifest_refuses_another_file(tmp_path):
    (tmp_path / "a.cif").write_text("data_a\n")
    manifest = {"structures": [{"name": "a", "file": "a.cif", "sha256": "0" * 64}]}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(manifest))
    structures = {"folder": str(tmp_path), "manifest": str(tmp_path / "m.yaml")}
    with pytest.raises(CampaignError, match="is not the file of the manifest"):
        _units(WORKFLOWS / "screening.yaml", folder=tmp_path, structures=structures)


class _Errors:
    """As much of an EvaluationDoc as the verdict looks at."""

    calculation_id, notice = "id", None
    sets = dict.fromkeys(("old", "new"), 1)

    def __init__(self, old, new):
        self.forces = {("current", "old"): 10.0, ("current", "new"): 10.0}
        self.forces |= {("candidate", "old"): old, ("candidate", "new"): new}

    def get(self, potential, frames):
        from types import SimpleNamespace

        rmse = SimpleNamespace(rmse=self.forces[potential, frames])
        return SimpleNamespace(all=SimpleNamespace(energy_per_atom=rmse, forces=rmse))


@pytest.mark.parametrize(
    ("old", "new", "state", "reason"),
    [
        (10.4, 5.0, "accepted", "no worse on the old"),
        (10.6, 5.0, "refused", "worse on the old held-out frames: energy_per_atom 10 -> 10.6"),
        (9.0, 10.5, "refused", "new held-out frames did not become better"),
    ],
)
def test_an_extension_that_lost_something_is_refused(old, new, state, reason):
    verdict = extension_document(_Errors(old, new), "current", "candidate", 0.05)
    assert verdict.state == state
    assert reason in verdict.reason
    if state == "refused":
        with pytest.raises(ExtensionRefused, match="does not replace current"):
            require_accepted(verdict)
    else:
        require_accepted(verdict)


def test_without_vasp_nothing_is_begun(tmp_path, monkeypatch):
    """Its commands and POTCARs are asked for before the first sample."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATOMATE2_VASP_CMD", "no-such-vasp")
    done = CliRunner().invoke(app, ["run", str(WORKFLOWS / "demo.yaml")])
    assert isinstance(done.exception, DftSetupError)
    assert "POTCAR" in str(done.exception)
    assert not list(open_store().docs_store.query())


def test_labels_of_a_standin_are_other_jobs(monkeypatch):
    """So that VASP, once it is there, does not take them for its own."""
    vasp = _label_jobs()
    commands = ("/tests/standin/vasp_std", "/tests/standin/vasp_gam")
    monkeypatch.setattr("mofonon.dft.setup.vasp_commands", lambda: commands)
    standin = _label_jobs()
    assert not vasp & standin
    from mofonon.dft import MofStaticMaker

    monkeypatch.undo()
    maker = MofStaticMaker()
    monkeypatch.setattr("mofonon.dft.setup.vasp_commands", lambda: commands)
    with pytest.raises(DftSetupError, match="is a stand-in"):
        maker.make.original(maker, Structure.from_file(CYANIDE))


def _label_jobs():
    units = _units(WORKFLOWS / "demo.yaml")
    return {job.uuid for unit in units if unit.stage == "label" for job in unit.jobs}


def test_the_notices_of_a_campaign_name_each_stand_in_once():
    from mofonon.campaign.report import one_notice

    standin = "labels by a stand-in"
    notices = [None, standin, f"fine-tuned from: toy; labels: {standin}", f"toy; {standin}"]
    assert one_notice(notices) == f"{standin}; toy"
    assert one_notice([None]) is None


def test_what_needs_a_failed_training_is_blocked(tmp_path, monkeypatch):
    """And says what failed, not that an input is missing; status says the same as run."""
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((WORKFLOWS / "demo.yaml").read_text())
    content["structures"] = {"files": [str(CYANIDE)], "primitive": True}
    content["potentials"] = {
        "emt": {"model": "support.calculators:CountedEMT"},
        "tuned": {"from": "finetune"},
    }
    stages = content["stages"] = {
        name: content["stages"][name] for name in ("sample", "label", "finetune", "phonons")
    }
    stages["sample"] = {"potentials": ["emt"], "samplers": {"rattle": {"number_of_frames": 2}}}
    stages["label"] = {"by": "potential", "potentials": ["emt"]}  # knows no zinc
    Path("chain.yaml").write_text(yaml.safe_dump(content))
    units = {unit["stage"]: unit for unit in _call("run", "chain.yaml")}
    states = {stage: unit["state"] for stage, unit in units.items()}
    assert (states["finetune"], states["phonons"]) == ("blocked", "blocked"), units
    assert units["phonons"]["why"] == units["finetune"]["why"]
    done = CliRunner().invoke(
        app, ["status", "chain.yaml", "--json", "--allow-import", "support"]
    )
    assert {unit["stage"]: unit["state"] for unit in json.loads(done.stdout)} == states


@pytest.mark.slow
def test_the_whole_chain_and_an_extension_run(tmp_path, monkeypatch):
    """Sample, label, train, evaluate, phonons; then extend to a strained cell."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOFONON_MODELS", str(tmp_path / "models"))
    (tmp_path / "cifs").mkdir()
    (tmp_path / "cifs" / CYANIDE.name).write_text(CYANIDE.read_text())
    content = yaml.safe_load((WORKFLOWS / "demo.yaml").read_text())
    content["structures"] = {"folder": "cifs"}
    content["potentials"]["teacher"] = {"model": "demo", "dispersion": "d3bj"}
    stages = content["stages"]
    stages["label"] = {"by": "potential", "potentials": ["teacher"]}
    stages["evaluate"]["potentials"] = ["foundation", "tuned"]
    stages.pop("qha")
    stages["finetune"]["settings"]["max_epochs"] = 1
    stages["phonons"]["settings"] = {
        "mesh": [3, 3, 3],
        "supercell": [1, 1, 1],
        "dos_pitch": 0.1,
    }
    Path("chain.yaml").write_text(yaml.safe_dump(content))
    units = _call("run", "chain.yaml")
    assert {unit["state"] for unit in units} == {"done"}, units
    _phonons_are_of_the_trained_model()
    dataset = next(unit["document_id"] for unit in units if unit["stage"] == "dataset")
    assert {u["state"] for u in _call("run", "chain.yaml")} == {"done"}

    _write_strained(tmp_path / "new" / "strained.cif")
    stages["extend"] = {"current": "foundation", "dataset": dataset, "tolerance": 0.0}
    stages.pop("evaluate"), stages.pop("report")
    Path("extend.yaml").write_text(yaml.safe_dump(content))
    units = {u["stage"]: u for u in _call("extend", "extend.yaml", "--new", "new")}
    verdict = next(find_documents(open_store(), document_type="extension"))
    assert units["extend"]["state"] == "done"
    if verdict["state"] == "refused":
        assert units["phonons"]["state"] == "failed"
        assert "does not replace foundation" in units["phonons"]["why"]
    else:
        assert units["phonons"]["state"] == "done"
    assert {row["frames"] for row in verdict["rows"]} == {"old", "new"}
    written = yaml.safe_load(Path("extend-new.yaml").read_text())
    assert written["structures"]["files"] == [str(tmp_path / "new" / "strained.cif")]


def _call(*arguments):
    done = CliRunner().invoke(app, [*arguments, "--json", "--allow-import", "support"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return json.loads(done.stdout)["units"]


def _phonons_are_of_the_trained_model():
    store = open_store()
    model = next(find_documents(store, document_type="model"))
    phonons = next(find_documents(store, document_type="phonons"))
    assert phonons["potential"]["sha256"] == model["files"][0]["sha256"]
    assert phonons["notice"]
    assert np.isfinite(phonons["min_frequency"])


def _write_strained(path):
    from pymatgen.core import Structure

    path.parent.mkdir()
    Structure.from_file(CYANIDE).apply_strain(0.02, inplace=False).to(str(path))


@pytest.mark.slow
def test_an_extension_takes_what_the_training_set_does_not_cover(tmp_path, monkeypatch):
    """By the manifest of mofonon select; what its curation refuses is named."""
    monkeypatch.chdir(tmp_path)
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir(), new.mkdir()
    for name in ("MOF-5", "Zn-MOF-74"):
        (old / f"{name}.cif").write_bytes((CYANIDE.parent / f"{name}.cif").read_bytes())
    almost = Structure.from_file(old / "Zn-MOF-74.cif").apply_strain(0.001, inplace=False)
    almost.to(str(new / "almost.cif"))
    (new / "cyanide.cif").write_bytes(CYANIDE.read_bytes())
    (new / "broken.cif").write_text("data_nothing\n")
    select = ("select", "old", "-n", "2", "--min-pore", "0", "--output", "chosen")
    done = CliRunner().invoke(app, [*select, "--processes", "1"])
    assert done.exit_code == 0, done.output
    content = yaml.safe_load((WORKFLOWS / "extend.yaml").read_text())
    content["structures"] = {"folder": "old"}
    content["stages"]["extend"] |= {"dataset": "id", "manifest": "chosen/manifest.yaml"}
    Path("extend.yaml").write_text(yaml.safe_dump(content))
    from mofonon.cli.campaign_runs import write_extension

    said: list[str] = []
    monkeypatch.setattr("mofonon.cli.campaign_runs.note", said.append)
    written = write_extension(Path("extend.yaml"), new, None, None)
    files = yaml.safe_load(written.read_text())["structures"]["files"]
    assert files == [str(new / "cyanide.cif")]
    assert any("broken.cif is left out" in text for text in said)
    assert any(text.startswith("1 of 3 structures are not covered") for text in said)
