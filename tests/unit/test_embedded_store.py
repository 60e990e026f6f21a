"""The embedded store finds what MontyDB would, and decodes little for it."""

import pytest
from maggma.stores.mongolike import MontyStore

from mofonon.embedded_store import EmbeddedStore, required_texts


def _collection(kind, folder, key="uuid"):
    store = kind("c", database_path=str(folder), database_name="d", storage="sqlite", key=key)
    store.connect()
    return store


_DOCUMENTS = [
    {
        "uuid": "one",
        "index": 1,
        "kind": "relax",
        "elements": ["Zn", "O"],
        "more": {"name": "ä"},
    },
    {"uuid": "one", "index": 2, "kind": "relax", "elements": ["Mg"], "more": {"name": "b"}},
    {"uuid": "two", "index": 1, "kind": "phonons", "elements": ["Zn"], "more": {"name": "one"}},
]


@pytest.mark.parametrize(
    ("criteria", "count"),
    [
        ({}, 3),
        (None, 3),
        ({"uuid": "one"}, 2),
        ({"uuid": "one", "index": 2}, 1),
        ({"uuid": {"$in": ["two", "three"]}}, 1),
        ({"uuid": {"$regex": "^t"}}, 1),
        ({"elements": "Zn"}, 2),
        ({"more.name": "ä"}, 1),
        ({"more.name": {"$ne": "ä"}}, 2),
        ({"$and": [{"index": {"$gt": 0}}, {"kind": "phonons"}]}, 1),
        ({"$or": [{"uuid": "two"}, {"index": 2}]}, 2),
        ({"kind": {"$in": []}}, 0),
        ({"kind": "none"}, 0),
    ],
)
def test_what_is_found_is_what_montydb_finds(tmp_path, criteria, count):
    ours = _collection(EmbeddedStore, tmp_path)
    ours.update(_DOCUMENTS, key=["uuid", "index"])
    found = list(ours.query(criteria, sort={"uuid": 1, "index": 1}))
    theirs = _collection(MontyStore, tmp_path).query(criteria, sort={"uuid": 1, "index": 1})
    assert found == list(theirs)
    assert len(found) == count


def test_a_document_is_replaced(tmp_path):
    store = _collection(EmbeddedStore, tmp_path)
    store.update(_DOCUMENTS, key=["uuid", "index"])
    store.update({"uuid": "one", "index": 2, "kind": "new"}, key=["uuid", "index"])
    assert store.count() == 3
    assert store.query_one({"uuid": "one", "index": 2})["kind"] == "new"
    assert store.query_one({"uuid": "one", "index": 1})["kind"] == "relax"


def test_only_what_may_match_is_decoded(tmp_path, monkeypatch):
    store = _collection(EmbeddedStore, tmp_path, key="blob_uuid")
    store.update([{"blob_uuid": f"blob-{n}", "data": n} for n in range(20)])
    read = []
    engine = type(store._engine)
    before = engine.read_all

    def count(self, *arguments):
        rows = before(self, *arguments)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(engine, "read_all", count)
    criteria = {"blob_uuid": {"$in": ["blob-3", "blob-17"]}}
    assert sorted(doc["data"] for doc in store.query(criteria)) == [3, 17]
    store.update([{"blob_uuid": "blob-new", "data": 0}, {"blob_uuid": "blob-3", "data": -3}])
    assert store.query_one({"blob_uuid": "blob-3"})["data"] == -3
    assert read == [2, 0, 1, 1]


def test_stores_written_before_are_read_and_updated(tmp_path):
    """Their primary keys are ObjectIds."""
    old = _collection(MontyStore, tmp_path, key="blob_uuid")
    old.update([{"blob_uuid": f"blob-{n}", "data": n} for n in range(5)])
    store = _collection(EmbeddedStore, tmp_path, key="blob_uuid")
    assert store.query_one({"blob_uuid": "blob-4"})["data"] == 4
    store.update([{"blob_uuid": "blob-4", "data": 40}, {"blob_uuid": "blob-5", "data": 5}])
    assert store.count() == 6
    assert store.query_one({"blob_uuid": "blob-4"})["data"] == 40


def test_what_criteria_require():
    assert required_texts({"a": 1, "b": "x"}) == ["x"]
    assert required_texts({"a": {"$in": ["x", 1]}}) == []
    assert required_texts({"$or": [{"a": "x"}]}) == []
    assert required_texts({"a": {"$not": {"$in": ["x"]}}}) == []
