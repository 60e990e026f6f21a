"""Labels of a campaign of which single VASP runs failed: only those run again."""

import json
from pathlib import Path

import pytest
import yaml

from mofonon.store import find_documents, open_store

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
CYANIDE = REPOSITORY / "src" / "mofonon" / "data" / "structures" / "Zn(CN)2.cif"


def _campaign() -> str:
    content = {
        "name": "labels",
        "structures": {"files": [str(CYANIDE)], "primitive": True},
        "potentials": {"demo": {"model": "demo"}},
        "stages": {
            "sample": {"potentials": ["demo"], "samplers": {"rattle": {"number_of_frames": 4}}},
            "label": {"by": "vasp", "dataset": {"fractions": [0.4, 0.3, 0.3]}},
        },
    }
    Path("labels.yaml").write_text(yaml.safe_dump(content))
    return "labels.yaml"


def test_a_single_failed_vasp_run_is_retried_alone(mofonon, standin):
    file = _campaign()

    def call(command: str, **environment: str) -> dict[str, dict]:
        done = mofonon(command, file, "--json", **standin.environment, **environment)
        content = json.loads(done.stdout)
        units = content if isinstance(content, list) else content["units"]
        return {unit["stage"]: unit for unit in units}

    ran = call("run", MOFONON_STANDIN_FAILURE="truncated@2")
    assert {unit["state"] for unit in ran.values()} == {"done"}, ran
    told = "incomplete, 1 of 4 calculations are missing: rattle 1: "
    assert told in ran["label"]["why"]
    assert "mofonon retry" in ran["label"]["remedy"]
    assert call("status")["label"]["why"] == ran["label"]["why"]
    assert _frames() == (3, 3)
    assert len(standin.runs()) == 4
    documents = _documents()

    call("run")  # leaves it as it is
    assert len(standin.runs()) == 4

    retried = call("retry")
    assert len(standin.runs()) == 5, "the failed one alone"
    assert retried["label"]["why"] == call("status")["label"]["why"] == ""
    assert _frames() == (4, 4), "and the dataset is made again"
    assert documents <= _documents()
    assert len(_documents()) == len(documents) + 1, "the calculation; nothing is doubled"
    call("retry")
    assert len(standin.runs()) == 5


def _frames() -> tuple[int, int]:
    store = open_store()
    (labels,) = find_documents(store, document_type="labels")
    (dataset,) = find_documents(store, document_type="dataset")
    return labels["n_good"], dataset["n_frames"]


def _documents() -> set[tuple[str, int]]:
    found = open_store().docs_store.query({}, ["uuid", "index"])
    keys = [(entry["uuid"], entry["index"]) for entry in found]
    assert len(keys) == len(set(keys))
    return set(keys)
