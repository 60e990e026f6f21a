"""Model card of a trained potential, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from mofonon.training.metrics import SetErrors
from mofonon.training.schemas import HeadErrors, PotentialDoc

_ERRORS = (
    "RMSE against the labels. Test frames were seen neither in training nor in the choice of "
    "the epoch; validation frames chose the epoch."
)

_MODES = {
    "multihead": "multi-head fine-tuning with replay",
    "naive": "naive fine-tuning (no replay)",
    "scratch": "training from scratch",
}


def model_card(doc: PotentialDoc, licence: str = "not stated") -> str:
    """Say what a model is for, what it was made of, how good it is, and its limits.

    Parameters
    ----------
    doc : PotentialDoc
        The document; the contents of its files are not needed.
    licence : str
        Licence of the weights: that of the foundation and of the data, as the owner states it.
    """
    sections = [
        f"# {doc.name}",
        *([f"**{doc.notice}**"] if doc.notice else []),
        _purpose(doc),
        "## Data\n\n" + _table(["part", "frames", "atoms", "sha256"], _data_rows(doc)),
        *([f"MOFs: {', '.join(doc.data.mofs)}."] if doc.data.mofs else []),
        "## Errors\n\n" + errors_table(doc.errors),
        _ERRORS,
        "## Settings as they took effect\n\n"
        + _table(["setting", "value"], _setting_rows(doc)),
        "## Limits\n\n" + "\n".join(f"- {line}" for line in _limits(doc)),
        "## Files\n\n"
        + _table(
            ["file", "heads", "bytes", "sha256"],
            [[f.name, ", ".join(f.heads), str(f.n_bytes), f.sha256] for f in doc.files],
        ),
        f"Licence of the weights: {licence}.",
        "Software: " + ", ".join(f"{name} {v}" for name, v in doc.software.items()) + ".",
        f"Training {doc.training_id}, completed {doc.completed_at}.",
    ]
    return "\n\n".join(sections) + "\n"


def errors_table(errors: Sequence[HeadErrors]) -> str:
    """Errors before and after training, by head and part, as a Markdown table."""
    headers = ["head", "part", "frames", "model", "energy (meV/atom)", "forces (meV/\u00c5)"]
    headers.append("stress (meV/\u00c5\u00b3)")
    rows = []
    for entry in errors:
        both = [("foundation", entry.before), ("trained", entry.after)]
        rows += [
            [entry.head, entry.part, str(found.n_frames), name, *_numbers(found)]
            for name, found in both
            if found is not None
        ]
    return _table(headers, rows)


def _numbers(errors: SetErrors) -> list[str]:
    return [
        f"{errors.energy_per_atom.rmse:.2f}",
        f"{errors.forces.rmse:.1f}",
        f"{errors.stress.rmse:.2f}" if errors.stress is not None else "-",
    ]


def _purpose(doc: PotentialDoc) -> str:
    start = f" of {doc.foundation.label}" if doc.foundation is not None else ""
    dispersion = (
        "Its labels contain dispersion: add none."
        if doc.with_dispersion
        else "Its labels contain no dispersion: add D3(BJ)."
    )
    return (
        f"A MACE potential for phonons of metal-organic frameworks, by {_MODES[doc.mode]}"
        f"{start}. Use head `{doc.head}`; the model has {', '.join(doc.heads)}. {dispersion} "
        f"Elements: {', '.join(doc.elements)}; new data for {', '.join(doc.data.elements)}."
    )


def _data_rows(doc: PotentialDoc) -> list[list[str]]:
    data = doc.data
    return [
        [part, str(data.n_frames[part]), str(data.n_atoms[part]), data.sha256[part][:16]]
        for part in data.n_frames
    ]


def _setting_rows(doc: PotentialDoc) -> list[list[str]]:
    found = doc.effective
    rows = [
        ["mode", _MODES[doc.mode]],
        ["loss", str(found.loss)],
        ["learning rate", str(found.lr)],
        ["EMA decay", str(found.ema_decay)],
        [
            "batch",
            f"{found.batch_size} on each of {found.world_size} process(es)",
        ],
        ["epochs", f"{doc.n_epochs}, model of epoch {doc.best_epoch}"],
        ["precision", doc.spec.dtype],
        ["seed", str(doc.spec.seed)],
        ["E0s", str(doc.spec.E0s)],
    ]
    if doc.foundation is not None:
        rows.insert(
            1, ["foundation", f"{doc.foundation.label}, sha256 {doc.foundation.sha256}"]
        )
    if doc.data.replay_method is not None:
        rows.append(["replay", doc.data.replay_method])
    return rows


def _limits(doc: PotentialDoc) -> list[str]:
    new = set(doc.data.elements)
    untouched = [element for element in doc.elements if element not in new]
    lines = list(doc.warnings)
    if untouched:
        lines.append(
            f"no new data for {', '.join(untouched)}: what became of them was not checked"
        )
    if doc.data.notice:
        lines.append(f"labels: {doc.data.notice}")
    lines.append(
        "errors hold for frames like those above; whether a new MOF is like them is what "
        "`mofonon coverage` measures"
    )
    return lines


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
