"""What ``mofonon select`` and ``mofonon coverage`` do, without the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mofonon import progress
from mofonon.cli.progress_bar import ProgressBar, note
from mofonon.errors import CurationError
from mofonon.structures.choosing import choose_structures
from mofonon.structures.coverage import CoverageReport, check_fingerprint, judge_coverage
from mofonon.structures.curate import curate_collection, describe_collection
from mofonon.structures.curation import CurationSettings, StructureRecord, funnel
from mofonon.structures.fingerprints import FingerprintSpec
from mofonon.structures.manifest import (
    SelectionManifest,
    collect_structures,
    read_descriptors,
    read_manifest,
    write_manifest,
)
from mofonon.structures.selection import SelectionSettings


@dataclass(frozen=True)
class SelectOptions:
    """The options of a selection."""

    source: Path
    table: Path | None
    fingerprint: FingerprintSpec
    curation: CurationSettings
    selection: SelectionSettings
    projection: str
    processes: int
    output: Path
    rerun: bool


@dataclass(frozen=True)
class Selected:
    """What a selection made."""

    manifest: SelectionManifest
    records: list[StructureRecord]
    files: dict[str, str]

    def summary(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "n_files": len(self.records),
            "n_accepted": self.manifest.n_accepted,
            "n_chosen": len(self.manifest.structures),
            "notice": self.manifest.notice,
            "funnel": [row.model_dump() for row in self.manifest.funnel],
            "coverage": self.manifest.coverage.model_dump(),
            "random_coverage": [each.model_dump() for each in self.manifest.random_coverage],
            "chosen": self.manifest.ids,
            **self.files,
        }


def run_selection(options: SelectOptions) -> Selected:
    """Curate, describe, choose; write manifest, records, page and the chosen files."""
    from mofonon.report.selection_page import write_selection_page

    if options.fingerprint.notice:
        note(f"warning: {options.fingerprint.notice}")
    output = options.output
    log = output / "records.jsonl"
    if options.rerun:
        log.unlink(missing_ok=True)
    with ProgressBar(options.source.name) as bar, progress.listening(bar):
        chosen = choose_structures(
            options.source,
            options.fingerprint,
            options.curation,
            options.selection,
            table=options.table,
            log=log,
            processes=options.processes,
        )
    manifest, records = chosen.manifest, chosen.records
    path = write_manifest(manifest, chosen.chosen_descriptors, output / "manifest.yaml")
    collect_structures(manifest, options.source, output / "structures")
    page = write_selection_page(
        manifest, records, chosen.descriptors, chosen.selection, output, options.projection
    )
    files = {
        "manifest": str(path.resolve()),
        "page": str(page.resolve()),
        "structures": str((output / "structures").resolve()),
        "records": str(log.resolve()),
    }
    return Selected(manifest, records, files)


def collect_again(manifest_path: Path, source: Path, output: Path) -> list[Path]:
    """Take the structures of a manifest from a collection, each checked by its hash."""
    return collect_structures(read_manifest(manifest_path), source, output / "structures")


@dataclass(frozen=True)
class CoverageOptions:
    """The options of a coverage report."""

    source: Path
    manifest: Path
    model: str | None
    device: str
    quantile: float
    processes: int
    output: Path


def run_coverage(
    options: CoverageOptions,
) -> tuple[CoverageReport, list[StructureRecord], Path]:
    """Curate and describe new structures as the manifest's were, and compare."""
    manifest = read_manifest(options.manifest)
    chosen = read_descriptors(manifest, options.manifest)
    spec = _spec(manifest, options)
    with ProgressBar(options.source.name) as bar, progress.listening(bar):
        records = curate_collection(
            options.source,
            manifest.curation,
            log=options.output / "coverage-records.jsonl",
            processes=options.processes,
        )
        records, descriptors = describe_collection(
            options.source, records, spec, processes=options.processes
        )
    accepted = [record for record in records if record.accepted]
    report = judge_coverage(accepted, descriptors, manifest, chosen, options.quantile)
    report.n_refused = len(records) - len(accepted)
    path = options.output / "coverage.json"
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return report, records, path


def _spec(manifest: SelectionManifest, options: CoverageOptions) -> FingerprintSpec:
    """Take the fingerprint of the manifest; a model file is named by the user."""
    spec = manifest.fingerprint_spec
    if options.model is not None:
        spec = FingerprintSpec.from_name(options.model, device=options.device)
    elif spec.potential is not None and spec.potential.family == "mace":
        beside = options.manifest.parent / str(spec.potential.model)
        if not beside.is_file():
            raise CurationError(
                f"the manifest's model is {spec.potential.model}",
                "name the file with --model",
            )
        spec = FingerprintSpec.from_name(str(beside), device=options.device)
    check_fingerprint(manifest, spec)
    return spec


def funnel_rows(records: Sequence[StructureRecord]) -> list[tuple[str, str, str, str]]:
    """Rows of the funnel table: filter, entered, refused, left."""
    return [
        (step.name, str(step.entered), str(step.refused), str(step.left))
        for step in funnel(records)
    ]


def random_range(manifest: SelectionManifest, field: str) -> str:
    """Lowest and highest figure of the random sets."""
    values = [getattr(each, field) for each in manifest.random_coverage]
    if not values:
        return ""
    form = "{:.4f}" if isinstance(values[0], float) else "{}"
    return f"{form.format(min(values))} to {form.format(np.max(values))}"
