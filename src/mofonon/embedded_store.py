"""The embedded store: MontyDB on SQLite, which finds documents instead of decoding all.

MontyDB reads and decodes every document of a collection for every query and for every write.
Here SQLite leaves out those that cannot match before they are decoded: documents that do not
hold a text that the criteria ask for, and arrays of another key. MontyDB still decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from maggma.stores.mongolike import MontyStore
from montydb.storage.sqlite import SQLITE_DB_EXT, SQLITE_RECORD_TABLE, SQLiteKVEngine
from montydb.types import bson

#: More texts than this are not looked for one by one.
_MOST_TEXTS = 16


class EmbeddedStore(MontyStore):
    """MontyStore on SQLite with documents of a known key found directly.

    The parameters are those of maggma's MontyStore. Where ``key`` is ``blob_uuid``, it is the
    primary key in SQLite too.
    """

    def connect(self, force_reset: bool = False) -> None:
        """Connect, and read through an engine that can be told what to leave out."""
        super().connect(force_reset)
        storage = self._collection.database.client._storage  # noqa: SLF001
        if not isinstance(storage._conn, NarrowingEngine):  # noqa: SLF001
            storage._conn = NarrowingEngine(storage._config)  # noqa: SLF001
        self._engine: NarrowingEngine = storage._conn  # noqa: SLF001

    def query(self, criteria: Any = None, *arguments: Any, **keywords: Any) -> Iterator[Any]:
        """Query as maggma's stores do."""
        with self._engine.only(required_texts(criteria), keyed=self._is_keyed(criteria)):
            found = list(super().query(criteria, *arguments, **keywords))
        yield from found

    def update(self, docs: Any, key: Any = None) -> None:
        """Write documents as maggma's stores do."""
        documents = docs if isinstance(docs, list) else [docs]
        with self._engine.held_open(self._file()):
            self._update_each(documents, key)

    def _file(self) -> Path:
        folder = Path(self.database_path) / self.database_name
        return folder / f"{self.collection_name}{SQLITE_DB_EXT}"

    def _update_each(self, documents: list[Any], key: Any) -> None:
        for doc in documents:
            keys = key or self.key
            names = keys if isinstance(keys, list) else [keys]
            criteria = {name: doc[name] for name in names}
            written = doc
            if self._is_keyed(criteria):
                written = {**doc, "_id": doc["blob_uuid"]}
            with self._engine.only(required_texts(criteria), keyed=self._is_keyed(criteria)):
                super().update(written, key=key)

    def _is_keyed(self, criteria: Any) -> bool:
        return self.key == "blob_uuid" and list(criteria or {}) == ["blob_uuid"]


class NarrowingEngine(SQLiteKVEngine):
    """SQLite tables of MontyDB, of which only some rows are read."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._texts: list[str] = []
        self._keyed = False
        self._held: Any = None

    @contextmanager
    def only(self, texts: list[str], *, keyed: bool) -> Iterator[None]:
        """Read, for the time being, rows with one of these texts.

        Parameters
        ----------
        texts : list of str
            All rows where it is empty.
        keyed : bool
            The texts are the primary key. Rows of older stores, whose key is an ObjectId,
            are looked through where not all are found.
        """
        before = self._texts, self._keyed
        self._texts, self._keyed = texts if len(texts) <= _MOST_TEXTS else [], keyed
        try:
            yield
        finally:
            self._texts, self._keyed = before

    @contextmanager
    def held_open(self, db_file: Path) -> Iterator[None]:
        """Use one connection for all that is read and written within."""
        if not db_file.is_file():
            yield
            return
        with self._connect(str(db_file)) as connection:
            self._held = connection
            try:
                yield
            finally:
                self._held = None

    def _connect(self, db_file: str, wconcern: Any = None) -> Any:
        """Open a connection, or take the one that is held open."""
        if self._held is not None:
            return nullcontext(self._held)
        return super()._connect(db_file, wconcern)

    def read_all(self, db_file: str, limit: int) -> list[tuple[bytes]]:
        """Rows that may match."""
        if not self._texts or limit or not Path(db_file).is_file():
            rows: list[tuple[bytes]] = super().read_all(db_file, limit)
            return rows
        where = " OR ".join(["instr(v, ?)"] * len(self._texts))
        texts = [text.encode() for text in self._texts]
        with self._connect(db_file) as connection, connection:
            if self._keyed:
                marks = ", ".join("?" * len(texts))
                keys = [bson.id_encode(text) for text in self._texts]
                found = _select(connection, f"k IN ({marks})", keys)
                if len(found) == len(keys) or not _has_object_ids(connection):
                    return found
            return _select(connection, where, texts)


def required_texts(criteria: Any) -> list[str]:
    """Texts of which a document that matches criteria has at least one; none if unknown.

    Only what is sure: fields that equal a text, or one of several (``$in``).
    """
    for field, condition in (criteria or {}).items():
        if field == "$and":
            for part in condition:
                if found := required_texts(part):
                    return found
        elif field.startswith("$"):
            continue
        elif isinstance(condition, str) and condition:
            return [condition]
        elif isinstance(condition, dict) and list(condition) == ["$in"]:
            texts = condition["$in"]
            if texts and all(isinstance(text, str) and text for text in texts):
                return list(texts)
    return []


def _select(connection: Any, where: str, values: list[bytes]) -> list[tuple[bytes]]:
    query = f"SELECT v FROM [{SQLITE_RECORD_TABLE}] WHERE {where}"  # noqa: S608 - only marks
    rows: list[tuple[bytes]] = connection.execute(query, values).fetchall()
    return rows


def _has_object_ids(connection: Any) -> bool:
    """Whether some rows have a key of the twelve bytes that an ObjectId has."""
    type_of_object_id = bson.id_encode(bson.ObjectId())[:1]
    query = f"SELECT 1 FROM [{SQLITE_RECORD_TABLE}] WHERE substr(k, 1, 1) = ? LIMIT 1"  # noqa: S608
    return connection.execute(query, [type_of_object_id]).fetchone() is not None
