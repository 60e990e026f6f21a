"""From a finished training to its document."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from mofonon.arrays import EncodedArray
from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.potentials.mace_files import load_mace
from mofonon.potentials.stored import keep_model
from mofonon.provenance import file_sha256, software_versions
from mofonon.training.frames import elements_of, frames_sha256
from mofonon.training.mace_files import (
    EpochErrors,
    extract_head,
    head_energies,
    heads_of,
    symbols_of,
)
from mofonon.training.metrics import Values, set_errors
from mofonon.training.predict import labels_of, predict
from mofonon.training.prepare import PreparedTraining
from mofonon.training.run import TrainingRun
from mofonon.training.schemas import DataSummary, HeadErrors, ModelFile, PotentialDoc
from mofonon.training.spec import REPLAY_HEAD

_CURVE_EPOCHS = 300
_NO_ERROR = 0.1  # meV/A
#: Below this the replay head counts as kept (part of its force RMSE before).
FORGETTING_LIMIT = 0.10


def potential_document(
    prepared: PreparedTraining, run: TrainingRun, name: str, *, with_dispersion: bool
) -> PotentialDoc:
    """Make the document of a training: files, errors before and after, settings."""
    spec = prepared.expected.spec
    model = load_mace(run.model, "cpu")
    notice = _notice(prepared)
    files = [model_file(run.model, "model", f"{name}.model")]
    if spec.mode == "multihead":
        single = extract_head(run.model, spec.head, prepared.folder.path / "head.model")
        files.append(model_file(single, "head", f"{name}-{spec.head}.model"))
    for file in files:
        keep_model(file.contents.decode().tobytes(), notice)
    errors = errors_before_and_after(prepared, run.model)
    epochs = {entry.epoch for entry in run.curves if entry.epoch >= 0}
    return PotentialDoc(
        name=name,
        training_id=prepared.training_id,
        calculation_id=prepared.training_id,
        mode=spec.mode,
        head=spec.target_head,
        heads=heads_of(model),
        elements=symbols_of(prepared.expected.elements),
        files=files,
        potential_spec=PotentialSpec(
            family="mace",
            model=f"sha256:{files[0].sha256}",
            head=spec.target_head,
            dtype=spec.dtype,
        ),
        foundation=prepared.foundation.description if prepared.foundation else None,
        data=data_summary(prepared),
        spec=spec,
        effective=run.effective,
        E0s=head_energies(model),
        learning_curves=thinned(run.curves, run.best_epoch),
        best_epoch=run.best_epoch,
        n_epochs=len(epochs),
        n_starts=run.starts,
        errors=errors,
        with_dispersion=with_dispersion,
        notes=run.notes,
        warnings=_warnings(prepared, run, errors),
        notice=notice,
        seconds=run.seconds,
        software=software_versions(),
    )


def model_file(path: Path, role: str, name: str) -> ModelFile:
    """Encode a model file for the data store."""
    data = path.read_bytes()
    return ModelFile(
        role=role,
        name=name.replace(" ", "-"),
        sha256=file_sha256(path),
        n_bytes=len(data),
        heads=heads_of(load_mace(path, "cpu")),
        contents=EncodedArray.encode(np.frombuffer(data, np.uint8)),
    )


def errors_before_and_after(prepared: PreparedTraining, model: Path) -> list[HeadErrors]:
    """Errors of each head on its frames, of the foundation and of the trained model."""
    spec = prepared.expected.spec
    sets: list[tuple[str, str, list[Atoms]]] = [
        (spec.target_head, part, frames) for part, frames in prepared.data.parts.items()
    ]
    if prepared.replay is not None:
        sets += [
            (REPLAY_HEAD, "replay", prepared.replay.train),
            (REPLAY_HEAD, "replay valid", prepared.replay.valid),
        ]
    found = []
    for head, part, frames in sets:
        after = _predicted(
            PotentialSpec(
                family="mace",
                model=str(model),
                head=head,
                dtype=spec.dtype,
                device=spec.device,
            ),
            frames,
            part,
        )
        before = None
        if prepared.foundation is not None:
            foundation = prepared.foundation.spec.model_copy(update={"device": spec.device})
            before = set_errors(_predicted(foundation, frames, part), labels_of(frames))
        found.append(
            HeadErrors(
                head=head,
                part=part,
                before=before,
                after=set_errors(after, labels_of(frames)),
            )
        )
    return found


def _predicted(spec: PotentialSpec, frames: list[Atoms], part: str) -> Values:
    return predict(frames, make_calculator(spec), f"errors on {part}")


def data_summary(prepared: PreparedTraining) -> DataSummary:
    """Sizes and hashes of what was trained on."""
    parts = dict(prepared.data.parts)
    if prepared.replay is not None:
        parts |= {"replay": prepared.replay.train, "replay valid": prepared.replay.valid}
    names = {
        str(frame.info.get("mof_id") or frame.info.get("mof"))
        for frame in prepared.data.parts["train"]
        if frame.info.get("mof_id") or frame.info.get("mof")
    }
    return DataSummary(
        dataset_id=prepared.data.dataset_id,
        sha256={part: frames_sha256(frames) for part, frames in parts.items()},
        n_frames={part: len(frames) for part, frames in parts.items()},
        n_atoms={part: sum(len(f) for f in frames) for part, frames in parts.items()},
        elements=elements_of(prepared.data.parts["train"]),
        mofs=sorted(names),
        replay_method=prepared.replay.method if prepared.replay else None,
        notice=prepared.data.notice,
    )


def thinned(curves: list[EpochErrors], best_epoch: int) -> list[EpochErrors]:
    """Keep some hundred epochs of the learning curves, first, best and last among them."""
    epochs = sorted({entry.epoch for entry in curves})
    step = max(1, -(-len(epochs) // _CURVE_EPOCHS))
    kept = {*epochs[::step], epochs[0], epochs[-1], best_epoch} if epochs else set()
    return [entry for entry in curves if entry.epoch in kept]


def forgetting(errors: list[HeadErrors]) -> float | None:
    """By how much the force RMSE of the replay head grew on its validation frames.

    Returns
    -------
    float or None
        0.1 for ten percent; None without a replay head, and where the foundation itself made
        the labels, so that there was no error before.
    """
    for entry in errors:
        if entry.part == "replay valid" and entry.before is not None:
            before = entry.before.forces.rmse
            return entry.after.forces.rmse / before - 1 if before > _NO_ERROR else None
    return None


def _warnings(
    prepared: PreparedTraining, run: TrainingRun, errors: list[HeadErrors]
) -> list[str]:
    found = []
    lost = forgetting(errors)
    if lost is not None and lost > FORGETTING_LIMIT:
        found.append(
            f"the replay head lost {100 * lost:.0f} % of its accuracy (force RMSE on replay "
            "frames for validation)"
        )
    if "test" not in prepared.data.parts:
        found.append("no frames were held out: there are no test errors")
    epochs = [entry.epoch for entry in run.curves]
    if epochs and run.best_epoch == max(epochs) and run.best_epoch > 0:
        found.append("the validation loss still fell in the last epoch: train longer")
    return found


def _notice(prepared: PreparedTraining) -> str | None:
    """Say what stands in for something real behind the model."""
    parts = []
    if prepared.foundation is not None and prepared.foundation.description.notice:
        parts.append(f"fine-tuned from: {prepared.foundation.description.notice}")
    if prepared.data.notice:
        parts.append(f"labels: {prepared.data.notice}")
    return "; ".join(parts) or None
