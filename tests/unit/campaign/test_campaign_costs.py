"""Hours in the plan: of labels by VASP, of training, and what a campaign says of its own."""

from pathlib import Path

import pytest
import yaml

from mofonon.campaign import CampaignMaker, load_campaign
from mofonon.campaign.plan import plan_campaign
from mofonon.campaign.stage_costs import REPLAY_ATOMS, training_cost
from mofonon.dft import MofStaticMaker
from mofonon.dft.estimate import calculation_size
from mofonon.training.spec import FineTuneSpec

CYANIDE = Path(__file__).parents[3] / "src/mofonon/data/structures/Zn(CN)2.cif"


def _plans(folder, *, sample=True, label=None, finetune=None, **potential):
    stages = {"label": {"by": "vasp", **(label or {})}}
    if sample:
        samplers = {"rattle": {"number_of_frames": 3}, "md": {"dynamics": {"steps": 500}}}
        stages["sample"] = {"potentials": ["demo"], "samplers": samplers}
    if finetune:
        stages["finetune"] = finetune
    content = {
        "name": "costs",
        "structures": {"files": [str(CYANIDE)]},
        "potentials": {"demo": {"model": "demo", **potential}},
        "stages": stages,
    }
    path = folder / "costs.yaml"
    path.write_text(yaml.safe_dump(content))
    units = CampaignMaker().units(load_campaign(path))
    assert [unit.error for unit in units] == [None] * len(units)
    return {plan.stage: plan for plan in plan_campaign(units)}, units


def test_core_hours_of_labels_are_those_of_mofonon_label(tmp_path):
    plans, units = _plans(tmp_path)
    (unit,) = [unit for unit in units if unit.stage == "label"]
    size = calculation_size(unit.vasp_of, "", relax=None, eos=None, static=MofStaticMaker())
    n_frames = 3 + 10  # rattled, and MdSampleMaker's default
    assert plans["label"].core_hours == pytest.approx(n_frames * size.core_hours["static"])
    assert plans["label"].memory == pytest.approx(size.memory)
    assert plans["label"].runs_vasp
    seconds = plans["sample"].core_hours * 3600
    assert plans["sample"].n_evaluations == 500
    assert seconds == pytest.approx(500 * unit.n_atoms * 1.5e-3, abs=60)  # and the start


def test_relaxation_and_deformations_are_in_it(tmp_path):
    statics = _plans(tmp_path)[0]["label"].core_hours / 13
    plans, _ = _plans(tmp_path, sample=False)
    steps = 15 + 60 * 8 + 6 * 15
    assert plans["label"].core_hours == pytest.approx(statics / 15 * steps)


def test_a_campaign_says_what_it_has_measured(tmp_path):
    usual = _plans(tmp_path)[0]["label"].core_hours
    fast, _ = _plans(tmp_path, label={"cost": {"flops_per_core": 4e9}})
    assert fast["label"].core_hours == pytest.approx(usual / 4)
    told, _ = _plans(tmp_path, label={"hours_each": 7.5})
    assert told["label"].core_hours == 7.5
    slow, _ = _plans(tmp_path, seconds_per_atom=0.3)
    assert slow["sample"].core_hours == pytest.approx(500 * 10 * 0.3 / 3600, rel=0.1)


def test_training_costs_its_passes_over_all_atoms():
    def hours(**settings):
        spec = FineTuneSpec(foundation="x.model", mode="naive", **settings)
        return training_cost(spec, [(100, 50), (10, 200)], 0.5)

    ten = hours(max_epochs=10)
    assert hours(max_epochs=30).seconds == pytest.approx(3 * ten.seconds)
    assert not ten.on_gpu
    assert hours(max_epochs=10, device="cuda").on_gpu
    replayed = FineTuneSpec(
        foundation="x.model", mode="multihead", replay="mp", n_replay=200, max_epochs=10
    )
    more = training_cost(replayed, [(100, 50), (10, 200)], 0.5)
    atoms = 0.5 * (100 * 50 + 10 * 200)
    ratio = (atoms + 200 * REPLAY_ATOMS) / atoms
    assert more.seconds / ten.seconds == pytest.approx(ratio)
