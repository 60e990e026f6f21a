"""Extending a potential to new structures without losing the old ones."""

from __future__ import annotations

from typing import Any, Literal

from jobflow import job
from pydantic import BaseModel, Field

from mofonon.errors import ExtensionRefused
from mofonon.provenance import utc_now
from mofonon.training.evaluation_schemas import EvaluationDoc

#: Names of the sets of frames in the evaluation of an extension.
OLD, NEW = "old", "new"


class ExtensionRow(BaseModel):
    """Errors of both potentials on one set of held-out frames."""

    frames: str = Field(description="old or new.")
    quantity: Literal["energy_per_atom", "forces"] = Field(
        description="What the errors are of."
    )
    before: float = Field(description="RMSE of the current potential (meV/atom or meV/A).")
    after: float = Field(description="RMSE of the candidate (meV/atom or meV/A).")


class ExtensionDoc(BaseModel):
    """Whether a potential that was trained on more may replace the current one."""

    state: Literal["accepted", "refused"] = Field(
        description="refused when it is worse on the old held-out frames, by more than the "
        "tolerance, or not better on the new ones."
    )
    reason: str = Field(description="Why.")
    rows: list[ExtensionRow] = Field(description="Errors before and after.")
    tolerance: float = Field(description="Relative increase of an RMSE that is let pass.")
    current: str = Field(description="Name of the current potential.")
    candidate: str = Field(description="Name of the candidate.")
    evaluation_id: str = Field(description="Id of the calculation of the evaluation.")
    notice: str | None = Field(None, description="Set when a stand-in is involved.")
    completed_at: str = Field(
        default_factory=utc_now,
        description="UTC time of completion.",
    )


@job(output_schema=ExtensionDoc)
def judge_extension(
    evaluation: EvaluationDoc, current: str, candidate: str, tolerance: float
) -> ExtensionDoc:
    """Compare a candidate with the current potential on old and new held-out frames.

    Parameters
    ----------
    evaluation : EvaluationDoc
        Of both potentials on both sets.
    current, candidate : str
        Their names in it.
    tolerance : float
        Relative increase of an RMSE on old frames that is let pass.
    """
    return extension_document(
        EvaluationDoc.model_validate(evaluation), current, candidate, tolerance
    )


def extension_document(
    evaluation: EvaluationDoc, current: str, candidate: str, tolerance: float
) -> ExtensionDoc:
    """Make the document of an extension."""
    rows = []
    for frames in evaluation.sets:
        before = evaluation.get(current, frames).all
        after = evaluation.get(candidate, frames).all
        rows += [
            ExtensionRow(
                frames=frames,
                quantity="energy_per_atom",
                before=before.energy_per_atom.rmse,
                after=after.energy_per_atom.rmse,
            ),
            ExtensionRow(
                frames=frames,
                quantity="forces",
                before=before.forces.rmse,
                after=after.forces.rmse,
            ),
        ]
    worse = [
        row
        for row in rows
        if row.frames.startswith(OLD) and row.after > row.before * (1 + tolerance)
    ]
    gains = [
        row.after < row.before
        for row in rows
        if row.frames.startswith(NEW) and row.quantity == "forces"
    ]
    if worse:
        told = "; ".join(f"{r.quantity} {r.before:.3g} -> {r.after:.3g}" for r in worse)
        reason = f"worse on the old held-out frames: {told}"
    elif not all(gains):
        reason = "forces on the new held-out frames did not become better"
    else:
        reason = "no worse on the old held-out frames, better on the new ones"
    return ExtensionDoc(
        state="refused" if worse or not all(gains) else "accepted",
        reason=reason,
        rows=rows,
        tolerance=tolerance,
        current=current,
        candidate=candidate,
        evaluation_id=evaluation.calculation_id,
        notice=evaluation.notice,
    )


def require_accepted(verdict: Any) -> None:
    """Refuse to go on with a candidate that was refused.

    Raises
    ------
    ExtensionRefused
        With the reason.
    """
    if verdict is None:
        return
    found = ExtensionDoc.model_validate(verdict)
    if found.state == "refused":
        raise ExtensionRefused(
            f"the extended potential does not replace {found.current}: {found.reason}",
            "label more of the old structures again, train with replay of the old frames, or "
            "raise extend.tolerance if that is acceptable",
        )
