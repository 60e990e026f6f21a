"""Potentials as they are named for an evaluation, and whether dispersion is to be added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mofonon.errors import SettingsError
from mofonon.potentials import PotentialSpec
from mofonon.potentials.mace_files import STORED

if TYPE_CHECKING:
    from jobflow import JobStore

Dispersion = Literal["auto", "none"]


def parse_potential(
    text: str,
    *,
    dispersion: Dispersion = "auto",
    store: JobStore | None = None,
    device: str = "cpu",
    dtype: str = "float64",
) -> tuple[str, PotentialSpec, list[str]]:
    """Make a potential from ``[NAME=]MODEL[@HEAD][+d3bj|+none]``.

    Parameters
    ----------
    text : str
        Such as ``demo``, ``ours=sha256:0123abcd@pbe_d3`` or ``my.model@pbe_d3+none``.
    dispersion : str
        auto: D3(BJ) is added to potentials trained without it (those by name: foundations,
        chgnet, sevennet-0, demo) and not to models of the store whose labels have it. none:
        only where ``+d3bj`` is written.
    store : JobStore, optional
        Where the documents of trained models are.
    device, dtype : str
        Where and in which precision it runs.

    Returns
    -------
    tuple
        Name for tables, spec, and what to tell of it.

    Raises
    ------
    SettingsError
        When it cannot be understood.
    """
    title, equals, rest = text.partition("=")
    name = rest if equals else text
    name, plus, wanted = name.partition("+")
    model, _, head = name.partition("@")
    if plus and wanted not in ("d3bj", "none"):
        raise SettingsError(
            f"{text!r}: {wanted!r} is no dispersion", "write MODEL@HEAD+d3bj or +none"
        )
    document = trained_document(model, store)
    fields: dict[str, Any] = {"device": device, "dtype": dtype}
    if document is not None:
        fields["head"] = head or document["head"]
    elif head:
        fields["head"] = head
    notes = []
    if wanted == "d3bj":
        fields["dispersion"] = "d3bj"
    elif not wanted and dispersion == "auto":
        added, note = _dispersion_of(model, document, fields.get("head"))
        fields["dispersion"] = "d3bj" if added else None
        notes = [note]
    spec = PotentialSpec.from_name(model, **fields)
    return (title if equals else spec.label), spec, notes


def trained_document(model: str, store: JobStore | None) -> dict[str, Any] | None:
    """Document of a model of the store, or None for others."""
    if not model.startswith(STORED) or store is None:
        return None
    from mofonon.store import find_documents

    pattern = f"^{model.removeprefix(STORED)}"
    found = find_documents(
        store,
        {"files.sha256": {"$regex": pattern}},
        document_type="model",
        properties=["head", "heads", "with_dispersion", "name", "notice"],
        limit=1,
    )
    try:
        return next(iter(found))
    except StopIteration:
        return None


def _dispersion_of(
    model: str, document: dict[str, Any] | None, head: str | None
) -> tuple[bool, str]:
    if document is not None:
        own = document["with_dispersion"] and head != "pt_head"
        said = "its labels have dispersion" if own else "trained without dispersion"
        return not own, f"{said}: {'no D3 added' if own else 'D3(BJ) added'}"
    spec = PotentialSpec.from_name(model)
    if spec.family in ("demo", "chgnet", "sevennet") or (
        spec.family == "mace" and not str(spec.model).startswith(("/", STORED))
    ):
        return True, "trained without dispersion: D3(BJ) added"
    return False, "unknown whether it was trained with dispersion: none added (+d3bj adds it)"
