"""Jobs found again by content: what changes an id, and what does not."""

import json
import subprocess
import sys

import pytest
from monty.json import MontyDecoder, MontyEncoder

from mofonon.campaign import CampaignMaker, load_campaign
from mofonon.campaign.identity import flat_jobs
from mofonon.errors import CampaignError


def _ids(path):
    units = CampaignMaker().units(load_campaign(path, ["support"]))
    return {(unit.structure, unit.stage): unit.job_ids for unit in units}


def test_ids_are_the_same_when_made_again_and_in_another_process(campaign):
    path = campaign()
    ids = _ids(path)
    assert ids == _ids(path)
    code = f"""
import json
from pathlib import Path
from mofonon.campaign import CampaignMaker, load_campaign
units = CampaignMaker().units(load_campaign(Path({str(path)!r}), ["support"]))
print(json.dumps([unit.job_ids for unit in units]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout) == list(ids.values())


def test_names_and_resources_change_no_id(campaign):
    ids = _ids(campaign())
    renamed = campaign(name="other", resources={"worker": "gpu", "hours": 3})
    assert {k: v for k, v in _ids(renamed).items() if k[1] != "report"} == {
        k: v for k, v in ids.items() if k[1] != "report"
    }


def test_a_changed_setting_changes_what_depends_on_it_only(campaign):
    before = _ids(campaign())
    after = _ids(
        campaign(
            stages={
                "phonons": {"settings": {"mesh": [5, 5, 5], "dos_pitch": 0.1}},
                "bulk-modulus": {"settings": {"n_points": 5}},
                "report": {},
            }
        )
    )
    assert after["Al", "bulk-modulus"] == before["Al", "bulk-modulus"]
    relax, phonons = before["Al", "phonons"]
    assert after["Al", "phonons"][0] == relax
    assert after["Al", "phonons"][1] != phonons
    assert after["", "report"] != before["", "report"]


def test_a_changed_relaxation_changes_everything(campaign):
    before, after = _ids(campaign()), _ids(campaign(relax={"fmax": 1e-4}))
    for key, ids in before.items():
        assert not set(ids) & set(after[key])


def test_stages_share_their_relaxation(campaign):
    units = CampaignMaker().units(load_campaign(campaign(), ["support"]))
    phonons, bulk, _report = units
    assert [job.name for job in phonons.jobs] == ["relax", "phonons"]
    assert phonons.jobs[0].uuid in bulk.job_ids
    assert phonons.jobs[0].uuid not in {job.uuid for job in bulk.jobs}


def test_the_flow_is_whole_and_survives_serialization(campaign):
    flow = CampaignMaker().make(load_campaign(campaign(("Al", "Cu")), ["support"]))
    copy = json.loads(json.dumps(flow, cls=MontyEncoder), cls=MontyDecoder)
    jobs = {job.uuid: job for job in flat_jobs(copy)}
    assert len(jobs) == 2 * (2 + 6) + 1
    for job in jobs.values():
        assert set(job.input_uuids) <= set(jobs)
        assert job.metadata["campaign"] == "metals"
    report = next(job for job in jobs.values() if job.name == "report")
    assert len(set(report.input_uuids)) == 4


def test_an_input_without_identity_is_refused():
    from mofonon.campaign.identity import canonical

    with pytest.raises(CampaignError, match="has no identity"):
        canonical(object())
