"""Errors of energies, forces and stresses by several potentials (Tables 3 and 4 of the paper).

They come from `mofonon evaluate`: from its documents, or from the JSON that it prints.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from mofonon.benchmark.inputs import origin
from mofonon.benchmark.tables import Table, number
from mofonon.errors import ComparisonError
from mofonon.training.metrics import ElementErrors, Errors, SetErrors

#: What errors are given for: all frames of a set, or those of each MOF, origin, part, element.
Grouping = Literal["all", "mof", "origin", "split", "element"]


class ErrorRow(BaseModel):
    """Errors of a potential on a set of frames, or on some of them."""

    potential: str = Field(description="Name of the potential.")
    frames: str = Field(description="Name of the set of frames.")
    group: str = Field(description="MOF, origin, part or element; all.")
    n: int = Field(description="Frames; atoms where the group is an element.")
    energy_rmse: float = Field(description="RMSE of the energy per atom (meV/atom).")
    energy_mae: float | None = Field(None, description="MAE of the same (meV/atom).")
    forces_rmse: float = Field(description="RMSE of force components (meV/A).")
    forces_mae: float = Field(description="MAE of the same (meV/A).")
    forces_r2: float | None = Field(None, description="R^2 of the same.")
    stress_rmse: float | None = Field(
        None, description="RMSE of stress components (meV/A^3); None without stresses."
    )
    stress_mae: float | None = Field(None, description="MAE of the same (meV/A^3).")
    frames_sha256: str = Field(description="Hash of the frames.")
    source: str = Field(description="File, or id of the document.")
    document_id: str | None = Field(None, description="Id of the document in the store.")
    notice: str | None = Field(None, description="Set when a stand-in is involved.")


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read what ``mofonon evaluate --json`` printed.

    Raises
    ------
    ComparisonError
        The file is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ComparisonError(
            f"{path} cannot be read as JSON: {error}",
            "give the output of mofonon evaluate --json",
        ) from error
    if not isinstance(content, dict) or "evaluations" not in content:
        raise ComparisonError(
            f"{path} is no evaluation", "give the output of mofonon evaluate --json"
        )
    return content


def error_rows(evaluation: dict[str, Any], by: Grouping, source: str) -> list[ErrorRow]:
    """Errors of an evaluation, by groups.

    Parameters
    ----------
    evaluation : dict
        An EvaluationDoc, as the store or a file gives it.
    by : str
        Groups wanted.
    source : str
        File, or id of the document.

    Raises
    ------
    ComparisonError
        It is not an evaluation.
    """
    shared = {
        "source": source,
        "document_id": evaluation.get("document_id"),
        "notice": evaluation.get("notice"),
    }
    rows = []
    try:
        for entry in evaluation["evaluations"]:
            names = {
                "potential": entry["potential"],
                "frames": entry["frames"],
                "frames_sha256": evaluation["frames_sha256"][entry["frames"]],
                **shared,
            }
            if by == "element":
                elements = [ElementErrors.model_validate(e) for e in entry["elements"]]
                rows += [_of_element(errors, names) for errors in elements]
                continue
            rows += [
                _of_set(group["value"], SetErrors.model_validate(group["errors"]), names)
                for group in entry["groups"]
                if group["kind"] == by
            ]
    except (KeyError, TypeError, ValidationError) as error:
        raise ComparisonError(
            f"{source} is no evaluation: {error}",
            "give the output of mofonon evaluate --json of this version",
        ) from error
    return rows


def error_table(
    rows: Sequence[ErrorRow], by: Grouping, failed: Sequence[dict[str, str]] = ()
) -> Table:
    """Lay out errors: one row a potential, set of frames and group.

    Parameters
    ----------
    rows : sequence of ErrorRow
        The errors, of any number of evaluations.
    by : str
        What the groups are.
    failed : sequence of dict
        Inputs that could not be read: label, source, error, message, remedy.
    """
    sources = list(dict.fromkeys(origin(row.source, row.document_id) for row in rows))
    cells = [
        [
            row.potential,
            row.frames,
            *([] if by == "all" else [row.group]),
            str(row.n),
            number(row.energy_rmse, 2),
            number(row.energy_mae, 2),
            number(row.forces_rmse, 1),
            number(row.forces_mae, 1),
            number(row.stress_rmse, 3),
            f"[{sources.index(origin(row.source, row.document_id)) + 1}]",
        ]
        for row in rows
    ]
    header = ["potential", "frames", *([] if by == "all" else [by]), "n"]
    header += ["energy RMSE (meV/atom)", "MAE (meV/atom)"]
    header += ["forces RMSE (meV/\u00c5)", "MAE (meV/\u00c5)", "stress RMSE (meV/\u00c5\u00b3)"]
    notes = [
        *_differing_frames(rows),
        *(f"[{index + 1}] {source}" for index, source in enumerate(sources)),
        *sorted({row.notice for row in rows if row.notice}),
        *(f"{entry['label']}: failed, {entry['message']}" for entry in failed),
    ]
    return Table(
        name="errors",
        title="Errors of energies, forces and stresses against the labels",
        header=[*header, "source"],
        rows=cells,
        notes=notes,
        records=[row.model_dump() for row in rows],
        payload={
            "by": by,
            "errors": [row.model_dump() for row in rows],
            "failed": list(failed),
            "units": {"energy": "meV/atom", "forces": "meV/A", "stress": "meV/A^3"},
        },
    )


def _of_set(group: str, errors: SetErrors, names: dict[str, Any]) -> ErrorRow:
    stress: Errors | None = errors.stress
    return ErrorRow(
        **names,
        group=group,
        n=errors.n_frames,
        energy_rmse=errors.energy_per_atom.rmse,
        energy_mae=errors.energy_per_atom.mae,
        forces_rmse=errors.forces.rmse,
        forces_mae=errors.forces.mae,
        forces_r2=errors.forces.r2,
        stress_rmse=stress.rmse if stress else None,
        stress_mae=stress.mae if stress else None,
    )


def _of_element(errors: ElementErrors, names: dict[str, Any]) -> ErrorRow:
    return ErrorRow(
        **names,
        group=errors.element,
        n=errors.n_atoms,
        energy_rmse=errors.energy_per_atom_rmse,
        forces_rmse=errors.forces.rmse,
        forces_mae=errors.forces.mae,
        forces_r2=errors.forces.r2,
    )


def _differing_frames(rows: Sequence[ErrorRow]) -> list[str]:
    """Say which sets have one name and different frames: their errors do not compare."""
    hashes: dict[str, set[str]] = {}
    for row in rows:
        hashes.setdefault(row.frames, set()).add(row.frames_sha256)
    return [
        f"FLAG: the frames called {name} are not the same in all evaluations"
        for name, found in hashes.items()
        if len(found) > 1
    ]
