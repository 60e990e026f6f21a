"""What ``mofonon finetune`` does, without the command line."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mofonon.cli import runs
from mofonon.cli.progress_bar import note
from mofonon.training.card import errors_table, model_card
from mofonon.training.flows import FineTuneMaker
from mofonon.training.launch import BatchScript, Launch
from mofonon.training.prepare import PreparedTraining
from mofonon.training.schemas import PotentialDoc
from mofonon.training.spec import FineTuneSpec


@dataclass
class FineTuneRun:
    """One training, as the command was told."""

    dataset: Path
    spec: FineTuneSpec
    launch: Launch
    name: str
    with_dispersion: bool
    output: Path

    @property
    def maker(self) -> FineTuneMaker:
        """The Maker of this training."""
        return FineTuneMaker(
            name=self.name,
            spec=self.spec,
            launch=self.launch,
            with_dispersion=self.with_dispersion,
        )

    def dry_run(
        self,
        *,
        walltime: str,
        partition: str | None,
        account: str | None,
        config: Path | None,
    ) -> str:
        """Check data and settings; give mace's options and, for SLURM, the batch script."""
        prepared = self.maker.prepare(self.dataset)
        text = "# options of mace_run_train\n" + yaml.safe_dump(
            prepared.config, sort_keys=False
        )
        text += f"# {self.launch.describe_batch(self.spec.batch_size)}\n"
        text += f"# {' '.join(self.launch.command(prepared.folder.config))}\n"
        if self.launch.launcher != "slurm":
            return text
        words = [word for word in sys.argv[1:] if word != "--dry-run"]
        script = BatchScript(walltime=walltime, partition=partition, account=account)
        del config
        return (
            text
            + "\n# batch script: save it and give it to sbatch\n"
            + script.render(self.launch, ["mofonon", *words], batch_size=self.spec.batch_size)
        )

    def execute(self, store_path: Path | None, *, rerun: bool, as_json: bool) -> str:
        """Train, store, write model, card and figure; give the text to print."""
        store = runs.open_noted_store(store_path)
        prepared = self.maker.prepare(self.dataset)
        _tell(prepared)
        run: runs.StructureRun[PotentialDoc] = runs.StructureRun(self.name)
        if rerun:
            shutil.rmtree(prepared.folder.path, ignore_errors=True)
            prepared = self.maker.prepare(self.dataset)
        known = not rerun and runs.reuse(
            run, store, prepared.training_id, "model", PotentialDoc
        )
        if not known:
            from jobflow import Flow

            job = self.maker.make(str(self.dataset))
            runs.execute(run, Flow([job], output=job.output), store, PotentialDoc)
        doc = run.doc
        if doc is None:
            raise run.error or RuntimeError("the training left no document")
        with runs.writing(self.output):
            written = write_model(doc, self.output)
        if as_json:
            return json.dumps(summary(doc, run.document_id, written), indent=2)
        return "\n".join(
            [
                errors_table(doc.errors),
                *(f"warning: {text}" for text in doc.warnings),
                *(f"note: {text}" for text in doc.notes),
                *([f"notice: {doc.notice}"] if doc.notice else []),
                f"use it: --model {doc.potential_spec.model} --head {doc.head}",
                *(f"written: {path}" for path in written),
            ]
        )


def write_model(doc: PotentialDoc, folder: Path) -> list[Path]:
    """Write model files, card and learning curves into a folder."""
    from mofonon.report.evaluation import write_learning_curves

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file in doc.files:
        path = folder / file.name
        path.write_bytes(file.contents.decode().tobytes())
        written.append(path)
    stem = Path(doc.files[0].name).stem
    card = folder / f"{stem}.md"
    card.write_text(model_card(doc), encoding="utf-8")
    return [*written, card, write_learning_curves(doc, folder / "figures", stem)]


def summary(doc: PotentialDoc, document_id: str | None, written: list[Path]) -> dict[str, Any]:
    """Plain data of a training for ``--json``."""
    return {
        "document_id": document_id,
        "name": doc.name,
        "state": doc.state,
        "model": doc.potential_spec.model,
        "head": doc.head,
        "heads": doc.heads,
        "best_epoch": doc.best_epoch,
        "errors": [entry.model_dump() for entry in doc.errors],
        "effective": doc.effective.model_dump(),
        "warnings": doc.warnings,
        "notes": doc.notes,
        "notice": doc.notice,
        "files": [str(path.resolve()) for path in written],
    }


def _tell(prepared: PreparedTraining) -> None:
    parts = ", ".join(f"{len(f)} {part}" for part, f in prepared.data.parts.items())
    note(f"frames: {parts}")
    if prepared.replay is not None:
        note(f"replay: {prepared.replay.method}")
    if prepared.foundation is not None:
        note(f"foundation: {prepared.foundation.description.label}")
        if prepared.foundation.description.notice:
            note(f"warning: {prepared.foundation.description.notice}")
    note(prepared.launch.describe_batch(prepared.expected.spec.batch_size))
    note(f"training folder: {prepared.folder.path}")
