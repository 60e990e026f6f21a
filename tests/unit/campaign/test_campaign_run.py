"""Campaigns in the embedded store: everything once, failures on record, the rest goes on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mofonon.cli import app
from mofonon.store import open_store

OPTIONS = ("--allow-import", "support")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call mofonon with --json; count the evaluations it made."""
    monkeypatch.chdir(tmp_path)
    counter = tmp_path / "evaluations"
    monkeypatch.setenv("COUNT_EVALUATIONS", str(counter))

    def run(*arguments):
        counter.write_text("")
        done = CliRunner().invoke(app, [*map(str, arguments), *OPTIONS, "--json"])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        run.evaluations = len(counter.read_text().splitlines())
        run.exit_code = done.exit_code
        return json.loads(done.stdout)

    return run


def _by_unit(units):
    return {(unit["structure"], unit["stage"]): unit for unit in units}


@pytest.mark.slow
def test_one_failure_stops_nothing_else_and_nothing_runs_twice(campaign, call, tmp_path):
    path = campaign(("Al", "Zn"))  # EMT knows no Zn
    units = _by_unit(call("run", path)["units"])
    assert call.exit_code == 1
    assert units["Al", "phonons"]["state"] == units["Al", "bulk-modulus"]["state"] == "done"
    assert units["Zn", "phonons"]["state"] == "failed"
    assert "NotImplementedError: No EMT-potential for Zn" in units["Zn", "phonons"]["why"]
    assert units["Zn", "bulk-modulus"]["state"] == "blocked"
    assert units["", "report"]["state"] == "done"
    assert call.evaluations > 10
    assert _by_unit(call("status", path)) == {
        key: {**unit, "remedy": unit["remedy"]} for key, unit in units.items()
    }
    documents = _uuids()
    again = _by_unit(call("run", path)["units"])
    assert _states(again) == _states(units)
    assert call.evaluations == 0
    assert _uuids() == documents
    store = open_store()
    report = store.docs_store.query_one({"uuid": units["", "report"]["document_id"]})["output"]
    assert (report["n_done"], report["n_failed"]) == (2, 2)
    assert report["rows"][0]["values"]["min_frequency"] > 0
    assert Path("mofonon-metals/page.html").is_file()


@pytest.mark.slow
def test_retry_runs_what_failed_and_the_report_again(campaign, call, monkeypatch):
    path = campaign(("Al", "Cu"))
    monkeypatch.setenv("FAIL_FOR", "Cu")
    units = _by_unit(call("run", path)["units"])
    assert units["Cu", "phonons"]["state"] == "failed"
    monkeypatch.delenv("FAIL_FOR")
    assert _by_unit(call("run", path)["units"])["Cu", "phonons"]["state"] == "failed"
    assert call.evaluations == 0
    done_before = _stamps()
    units = _by_unit(call("retry", path)["units"])
    assert {unit["state"] for unit in units.values()} == {"done"}
    assert call.exit_code == 0
    assert call.evaluations > 0
    changed = {uuid for uuid, stamp in done_before.items() if _stamps().get(uuid) != stamp}
    assert changed == {units["", "report"]["document_id"]} | {
        uuid for uuid in done_before if uuid.startswith("failure-")
    }
    report = open_store().docs_store.query_one({"uuid": units["", "report"]["document_id"]})
    assert report["output"]["n_failed"] == 0


@pytest.mark.slow
def test_a_bad_file_ends_in_the_table_and_not_in_a_crash(campaign, call, tmp_path):
    path = campaign(("Al",), stages={"phonons": {"settings": {"mesh": [3, 3, 3]}}})
    (tmp_path / "structures" / "broken.json").write_text("{")
    plan = call("campaign", "plan", path)
    assert (plan[0]["n_units"], plan[0]["n_impossible"]) == (2, 1)
    units = _by_unit(call("run", path)["units"])
    assert units["broken", "phonons"]["state"] == "failed"
    assert "broken.json" in units["broken", "phonons"]["why"]
    assert units["Al", "phonons"]["state"] == "done"


def test_check_says_each_error_once_and_counts_no_displacements(campaign, monkeypatch):
    """A structure that cannot be used is in many units, and hours are for plan alone."""
    path = campaign(("Al",))
    (path.parent / "structures" / "broken.json").write_text("{")

    def _no_estimates(*_):
        raise AssertionError("estimates of displacements were made")

    monkeypatch.setattr("mofonon.campaign.estimates._displacements", _no_estimates)
    done = CliRunner().invoke(app, ["campaign", "check", str(path), *OPTIONS])
    assert (done.exit_code, str(done.exception)) == (1, "1")
    (line,) = [line for line in done.stdout.splitlines() if "broken.json" in line]
    assert line.startswith("broken phonons emt, broken bulk-modulus emt: ")
    plan = CliRunner().invoke(app, ["campaign", "plan", str(path), *OPTIONS])
    assert "estimates of displacements were made" in str(plan.exception)


@pytest.mark.slow
def test_status_knows_what_changed_since_it_was_last_asked(campaign, call, tmp_path):
    """It remembers the units of a campaign, without reading its structures again."""
    path = campaign(("Al",))
    assert {unit["structure"] for unit in call("status", path)} == {"Al", ""}
    (table,) = (tmp_path / "checkpoints" / "campaigns").glob("*.json")
    written = table.stat().st_mtime_ns
    call("status", path)
    assert table.stat().st_mtime_ns == written
    campaign(("Al", "Cu"))  # one more in the folder
    assert {unit["structure"] for unit in call("status", path)} == {"Al", "Cu", ""}
    before = {unit["document_id"] for unit in call("status", path)}
    for file in (tmp_path / "structures").iterdir():  # another structure in the same file
        file.write_text((tmp_path / "structures" / "Cu.json").read_text())
    ids = [unit["document_id"] for unit in call("status", path) if unit["structure"]]
    assert len(set(ids)) == 2
    assert before - set(ids)


def test_the_plan_counts_what_is_then_computed(campaign, call):
    path = campaign(("Al",), stages={"phonons": {"settings": {"mesh": [3, 3, 3]}}})
    plan = call("campaign", "plan", path)
    assert call.evaluations == 0
    assert plan[0]["n_jobs"] == 2
    assert plan[0]["n_evaluations"] == 60 + 1  # one displacement of fcc
    call("run", path)
    document = open_store().docs_store.query_one({"output.@class": "PhononDoc"})["output"]
    assert document["n_displacements"] == 1


def _states(units):
    return {key: unit["state"] for key, unit in units.items()}


def _uuids():
    return sorted(
        (entry["uuid"], entry["index"])
        for entry in open_store().docs_store.query({}, ["uuid", "index"])
    )


def _stamps():
    return {
        entry["uuid"]: entry["completed_at"]
        for entry in open_store().docs_store.query({"completed_at": {"$ne": None}})
    } | {
        entry["uuid"]: entry["output"]["completed_at"]
        for entry in open_store().docs_store.query({"name": "failure"})
    }


def test_status_imports_little():
    """It is called often: neither pymatgen nor the schema of campaigns."""
    code = "import sys, mofonon.cli.campaign_status; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"pymatgen", "torch", "jobflow", "mofonon.campaign.schema", "mofonon.dft"}
    assert not heavy & set(done.stdout.split())
