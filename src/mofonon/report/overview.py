"""What a store holds, structure by structure: the rows of the page of a campaign."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mofonon.store import DOCUMENT_TYPES, prefix_criteria

if TYPE_CHECKING:
    from jobflow import JobStore

#: Class name of the record of a failure, as campaigns put it into the store.
FAILURE = "CampaignFailure"

#: Numbers of a row: field of the row, kind of document, field of the document.
_NUMBERS = (
    ("min_frequency", "stabilize", "min_frequency"),
    ("min_frequency", "phonons", "min_frequency"),
    ("imaginary_modes", "phonons", "n_imaginary_modes"),
    ("zero_point_energy", "phonons", "thermal.zero_point_energy"),
    ("heat_capacity_300K", "phonons", "thermal.heat_capacity_300K"),
    ("bulk_modulus", "bulk-modulus", "bulk_modulus"),
    ("cte_linear_300K", "qha", "cte_linear_300K"),
)

#: Kinds of documents that belong to a structure.
_OF_STRUCTURES = ("phonons", "relax", "bulk-modulus", "qha", "expansion-md", "stabilize")

#: Stages whose flows have phonon documents of their own: of strained cells, of attempts.
_STAGES_WITH_PHONONS = ("qha", "stabilize")

_SHARED = (
    "@class",
    "state",
    "formula_pretty",
    "nsites",
    "input_hash",
    "volume",
    "space_group.symbol",
    "relaxation.space_group_after.symbol",
    "potential.label",
    "potential.notice",
    "notice",
    "completed_at",
    "message",
    "remedy",
    "attempt",
    "phonon_document",
    "stage",
    "error",
)


@dataclass
class OverviewRow:
    """One structure by one potential.

    Attributes
    ----------
    name : str
        Name in the campaign, or the formula.
    potential : str
        Label of the potential.
    state : str
        done or failed.
    formula, space_group : str or None
        As in the newest document.
    atoms : int or None
        Atoms of its cell.
    volume : float or None
        Volume of the cell (A^3).
    numbers : dict
        min_frequency (THz), imaginary_modes, zero_point_energy (kJ/mol),
        heat_capacity_300K (J/K/mol), bulk_modulus (GPa), cte_linear_300K (1e-6/K).
    documents : dict of str
        Id of the newest document of each kind.
    why, remedy : str
        Of a failure.
    notice : str or None
        Set when a stand-in is behind the numbers.
    """

    name: str
    potential: str
    state: str = "done"
    formula: str | None = None
    space_group: str | None = None
    atoms: int | None = None
    volume: float | None = None
    numbers: dict[str, float | None] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    why: str = ""
    remedy: str = ""
    notice: str | None = None


@dataclass
class Overview:
    """All structures of a store, and how far each stage is.

    Attributes
    ----------
    rows : list of OverviewRow
        Failures first, then by name.
    progress : dict
        Documents and failures by kind or stage: ``{"phonons": {"done": 10, "failed": 1}}``.
    """

    rows: list[OverviewRow]
    progress: dict[str, dict[str, int]]


def collect_overview(store: JobStore, criteria: dict[str, Any] | None = None) -> Overview:
    """Read the key figures of all documents, without their arrays.

    Parameters
    ----------
    store : JobStore
        An open store; it is only read.
    criteria : dict, optional
        MongoDB criteria on fields of the documents.
    """
    classes = [*DOCUMENT_TYPES.values(), FAILURE]
    query: dict[str, Any] = {"output.@class": {"$in": classes}}
    if criteria:
        query = {"$and": [query, prefix_criteria(criteria)]}
    fields = {*_SHARED, *(path for _, _, path in _NUMBERS)}
    wanted = ["uuid", "metadata", *(f"output.{name}" for name in sorted(fields))]
    volumes = {
        point["document_id"]
        for entry in store.docs_store.query({"output.@class": "QhaDoc"}, ["output.points"])
        for point in entry["output"].get("points") or ()
    }
    return overview(store.docs_store.query(query, wanted), volumes)


def overview(entries: Iterable[dict[str, Any]], parts: Container[str] = ()) -> Overview:
    """Make an overview of entries of a docs store.

    Parameters
    ----------
    entries : iterable of dict
        With ``uuid``, ``metadata`` and ``output``.
    parts : container of str
        Ids of phonon documents that are parts of others, such as the volumes of a
        quasi-harmonic calculation: they are left out.
    """
    kinds = {name: kind for kind, name in DOCUMENT_TYPES.items()}
    rows: dict[tuple[str, str, str], OverviewRow] = {}
    progress: dict[str, dict[str, int]] = {}
    ordered = sorted(entries, key=lambda e: str(e["output"].get("completed_at")))
    for entry in ordered:
        output = entry["output"]
        metadata = entry.get("metadata") or {}
        failed = output["@class"] == FAILURE or output.get("state") == "failed"
        kind = kinds.get(output["@class"], metadata.get("stage") or output.get("stage") or "")
        if _is_part(entry, kind, parts):
            continue
        count = progress.setdefault(kind, {"done": 0, "failed": 0})
        count["failed" if failed else "done"] += 1
        if kind not in _OF_STRUCTURES and output["@class"] != FAILURE:
            continue
        row = _row_of(rows, entry)
        if failed:
            row.state = "failed"
            row.why = str(output.get("message") or output.get("error") or "no reason on record")
            row.remedy = str(output.get("remedy") or "")
        if output["@class"] != FAILURE:
            _fill(row, kind, entry)
    found = sorted(rows.values(), key=lambda row: (row.state != "failed", row.name.lower()))
    return Overview(found, progress)


def _is_part(entry: dict[str, Any], kind: str, parts: Container[str]) -> bool:
    """Whether a phonon document is of a strained cell or of an attempt, not of a structure."""
    if kind != "phonons":
        return False
    stage = (entry.get("metadata") or {}).get("stage")
    in_flow = stage in _STAGES_WITH_PHONONS or entry["output"].get("attempt") is not None
    return in_flow or entry["uuid"] in parts


def _row_of(
    rows: dict[tuple[str, str, str], OverviewRow], entry: dict[str, Any]
) -> OverviewRow:
    output, metadata = entry["output"], entry.get("metadata") or {}
    formula = output.get("formula_pretty")
    named = metadata.get("structure")
    potential = metadata.get("potential") or _lookup(output, "potential.label") or "from files"
    if isinstance(output.get("potential"), str):
        potential = output["potential"]
    # without a campaign, structures are told apart by what was computed from
    key = (str(named or formula), "" if named else str(output.get("input_hash")), potential)
    return rows.setdefault(key, OverviewRow(str(named or formula or "?"), potential))


def _fill(row: OverviewRow, kind: str, entry: dict[str, Any]) -> None:
    output = entry["output"]
    row.documents[kind] = entry["uuid"]
    if kind == "stabilize" and output.get("phonon_document"):
        row.documents.setdefault("phonons", output["phonon_document"])
    row.formula = output.get("formula_pretty") or row.formula
    row.atoms = output.get("nsites") or row.atoms
    row.volume = output.get("volume") or row.volume
    row.space_group = (
        _lookup(output, "space_group.symbol")
        or _lookup(output, "relaxation.space_group_after.symbol")
        or row.space_group
    )
    row.notice = output.get("notice") or _lookup(output, "potential.notice") or row.notice
    for name, of_kind, path in _NUMBERS:
        if kind == of_kind:
            row.numbers[name] = _lookup(output, path)


def _lookup(document: dict[str, Any], path: str) -> Any:
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
