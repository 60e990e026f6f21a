"""The embedded store: where it is, what it keeps, how it is asked."""

import numpy as np
import pytest
from jobflow import job, run_locally

from mofonon.arrays import EncodedArray
from mofonon.cli.query import build_criteria, default_columns, kinds_with, parse_condition
from mofonon.errors import ArrayCodecError, DocumentNotFoundError, SettingsError, StoreError
from mofonon.store import find_documents, get_document, open_store, prefix_criteria


@job(data=[EncodedArray])
def _document(formula, minimum, label="toy"):
    return {
        "@module": "mofonon.lattice.schemas",
        "@class": "PhononDoc",
        "formula_pretty": formula,
        "elements": ["Zn", "O"] if "Zn" in formula else ["Mg", "O"],
        "min_frequency": minimum,
        "potential": {"label": label, "sha256": "ab12"},
        "completed_at": f"2026-01-0{abs(int(minimum)) + 1}",
        "arrays": {"frequencies": EncodedArray.encode(np.full((3, 2), minimum))},
    }


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "documents")
    for formula, minimum in (("ZnO", -1.5), ("MgO", 0.25), ("ZnO", 2.0)):
        run_locally(_document(formula, minimum), store=store, log=False, raise_immediately=True)
    return store


def test_documents_are_found_newest_first(store):
    found = list(find_documents(store))
    assert [entry["min_frequency"] for entry in found] == [2.0, -1.5, 0.25]
    assert len(list(find_documents(store, limit=2))) == 2
    assert list(find_documents(store, document_type="relax")) == []


@pytest.mark.parametrize(
    ("conditions", "keywords", "expected"),
    [
        (["min_frequency < 0"], {}, [-1.5]),
        (["min_frequency >= 0.25", "formula = ZnO"], {}, [2.0]),
        ([], {"formula": "Zn2O2"}, [2.0, -1.5]),
        ([], {"elements": "Mg,O"}, [0.25]),
        ([], {"potential": "toy"}, [2.0, -1.5, 0.25]),
        ([], {"potential": "ab1"}, [2.0, -1.5, 0.25]),
        ([], {"potential": "chgnet"}, []),
        (["formula != ZnO"], {}, [0.25]),
        (
            [],
            {"criteria": '{"$or": [{"min_frequency": {"$lt": -1}}, {"nelements": 9}]}'},
            [-1.5],
        ),
    ],
)
def test_queries(store, conditions, keywords, expected):
    criteria = build_criteria(conditions, **keywords)
    found = [entry["min_frequency"] for entry in find_documents(store, criteria)]
    assert sorted(found) == sorted(expected)


def test_only_the_fields_asked_for(store):
    found = next(find_documents(store, properties=["min_frequency"]))
    assert set(found) == {"min_frequency", "completed_at", "document_id"}


def test_arrays_stay_out_of_documents_until_asked_for(store):
    document_id = next(find_documents(store))["document_id"]
    plain = get_document(store, document_id)
    assert "data" not in plain["arrays"]["frequencies"]
    loaded = get_document(store, document_id[:12], with_arrays=True)
    array = EncodedArray.from_dict(loaded["arrays"]["frequencies"]).decode()
    assert np.array_equal(array, np.full((3, 2), 2.0))


def test_an_unknown_id(store):
    with pytest.raises(DocumentNotFoundError, match="no document has the id nothing"):
        get_document(store, "nothing")
    with pytest.raises(DocumentNotFoundError, match="3 documents have the id"):
        get_document(store, "")


def test_two_processes_share_the_store(store, tmp_path):
    """A second connection sees what the first wrote."""
    assert len(list(find_documents(open_store(tmp_path / "documents")))) == 3


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path / "file")
    assert str(caught.value) == (
        f"the store {tmp_path / 'file'} cannot be written: File exists\n"
        "  remedy: give another folder with --store or MOFONON_STORE"
    )


def test_a_read_only_store_path():
    with pytest.raises(StoreError, match="the store /proc/mofonon cannot be written: "):
        open_store("/proc/mofonon")


def test_a_configuration_file_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("JOBFLOW_CONFIG_FILE", str(tmp_path / "none.yaml"))
    with pytest.raises(StoreError, match="which does not exist"):
        open_store()


def test_a_configured_store_must_have_a_place_for_arrays(monkeypatch, tmp_path):
    config = tmp_path / "jobflow.yaml"
    config.write_text("JOB_STORE:\n  docs_store:\n    type: MemoryStore\n")
    monkeypatch.setenv("JOBFLOW_CONFIG_FILE", str(config))
    with pytest.raises(StoreError, match="no additional store called 'data'"):
        open_store()


def test_an_unreachable_database_does_not_leak_its_password(monkeypatch, tmp_path):
    config = tmp_path / "jobflow.yaml"
    config.write_text(
        "JOB_STORE:\n  docs_store:\n    type: MongoURIStore\n    collection_name: docs\n"
        "    uri: mongodb://elena:secret@127.0.0.1:1/db?serverSelectionTimeoutMS=200\n"
        "  additional_stores:\n    data:\n      type: MemoryStore\n"
    )
    monkeypatch.setenv("JOBFLOW_CONFIG_FILE", str(config))
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        open_store()
    assert "secret" not in str(caught.value)


def test_criteria_reach_the_output():
    assert prefix_criteria({"min_frequency": {"$lt": 0}}) == {
        "output.min_frequency": {"$lt": 0}
    }
    assert prefix_criteria({"uuid": "x"}) == {"uuid": "x"}
    nested = prefix_criteria({"$and": [{"a.b": 1}, {"$or": [{"c": 2}]}]})
    assert nested == {"$and": [{"output.a.b": 1}, {"$or": [{"output.c": 2}]}]}


@pytest.mark.parametrize("text", ["min_frequency", "< 3", "a ~ 3", ""])
def test_conditions_that_make_no_sense(text):
    with pytest.raises(SettingsError, match="cannot be understood"):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nsites = 4", 4),
        ("volume = 4.5", 4.5),
        ("state = failed", "failed"),
        ("has_imaginary_modes = no", False),
    ],
)
def test_values_keep_their_type(text, value):
    assert next(iter(parse_condition(text).values())) == value


def test_a_bad_formula_and_bad_json():
    with pytest.raises(SettingsError, match="is not a chemical formula"):
        build_criteria([], formula="Zz9!")
    with pytest.raises(SettingsError, match="--criteria is not JSON"):
        build_criteria([], criteria="{")


def test_a_damaged_array_in_the_store_is_noticed(store):
    document_id = next(find_documents(store))["document_id"]
    blobs = store.additional_stores["data"]
    blob = blobs.query_one({"data.@class": "EncodedArray"})
    for entry in blobs.query({}):
        entry["data"]["sha256"] = "0" * 64
        blobs.update(entry)
    assert blob is not None
    loaded = get_document(store, document_id, with_arrays=True)
    with pytest.raises(ArrayCodecError, match="fails its checksum"):
        EncodedArray.from_dict(loaded["arrays"]["frequencies"]).decode()


@pytest.mark.parametrize(
    ("field", "kinds"),
    [
        ("min_frequency", ["phonons"]),
        ("nsites", ["phonons"]),
        ("relaxation.fmax", ["phonons"]),
        ("cte_linear_300K", ["qha", "expansion-md"]),
        ("cte_linear_error", ["expansion-md"]),
        ("bulk_modulus", ["bulk-modulus"]),
        ("energy_change_per_atom", ["stabilize"]),
    ],
)
def test_conditions_choose_the_kinds_that_have_their_fields(field, kinds):
    assert kinds_with([field]) == kinds
    columns = default_columns(kinds, [field]).split(",")
    assert len(kinds) == 1 or {"type", field} <= set(columns)


def test_a_field_of_no_kind_is_an_error():
    with pytest.raises(SettingsError, match="no kind of document has all of nonsense"):
        kinds_with(["nonsense"])
