"""What ``mofonon bulk-modulus`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jobflow import JobStore, run_locally

from mofonon import progress
from mofonon.cli.phonon_runs import load_structure
from mofonon.cli.progress_bar import ProgressBar, note
from mofonon.errors import MofononError
from mofonon.lattice.bulk_modulus import BulkModulusMaker
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc, BulkModulusSettings
from mofonon.lattice.bulk_modulus_summary import summarize_bulk_modulus
from mofonon.lattice.jobs import RelaxMaker
from mofonon.lattice.settings import RelaxSettings
from mofonon.potentials import PotentialSpec, check_elements, describe_potential
from mofonon.store import describe_store, find_documents, get_document, open_store

_SUFFIXES = {".xz", ".gz", ".bz2", ".cif", ".json", ".extxyz", ".xyz", ".vasp"}


@dataclass(frozen=True)
class RunOptions:
    """The options of a run."""

    potential: dict[str, Any]
    relax: RelaxSettings | None
    bulk_modulus: BulkModulusSettings
    primitive: bool
    allow: tuple[str, ...]
    rerun: bool


@dataclass
class BulkModulusRun:
    """One structure: its document, or the error that it ended with."""

    name: str
    doc: BulkModulusDoc | None = None
    document_id: str | None = None
    error: MofononError | None = None
    reused: bool = False
    figure: Path | None = None

    def summary(self) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            return {
                "file": self.name,
                "state": "failed",
                "error": type(self.error).__name__ if self.error else None,
                "message": self.error.message if self.error else "not run",
                "remedy": self.error.remedy if self.error else "",
            }
        return {
            "file": self.name,
            **summarize_bulk_modulus(self.doc, self.document_id),
            "reused": self.reused,
            "figure": str(self.figure.resolve()) if self.figure else None,
        }


def run_all(
    options: RunOptions, files: list[Path], store_path: Path | None
) -> list[BulkModulusRun]:
    """Run all structures; the failure of one does not stop the others."""
    store = open_store(store_path)
    note(f"store: {describe_store(store_path)}")
    rest = {key: value for key, value in options.potential.items() if key != "model"}
    spec = PotentialSpec.from_name(options.potential["model"], **rest)
    description = describe_potential(spec)
    note(f"potential: {description.label}")
    if description.notice:
        note(f"warning: {description.notice}")
    runs = []
    for path in files:
        run = BulkModulusRun(name=str(path))
        runs.append(run)
        try:
            _run_structure(run, options, spec, path, store)
        except MofononError as error:
            run.error = error
    return runs


def write_figures(runs: list[BulkModulusRun], folder: Path) -> None:
    """Write the figure of each run that succeeded."""
    done = [run for run in runs if run.doc is not None]
    if not done:
        return
    from mofonon.report.energy_volume import write_energy_volume
    from mofonon.report.write import file_stems

    docs = [run.doc for run in done if run.doc is not None]
    stems = file_stems(cast("Any", docs), [_stem(run.name) for run in done])
    for run, doc, stem in zip(done, docs, stems, strict=True):
        run.figure = write_energy_volume(doc, folder / "figures", stem)


def _run_structure(
    run: BulkModulusRun, options: RunOptions, spec: PotentialSpec, path: Path, store: JobStore
) -> None:
    structure = load_structure(
        path,
        primitive=options.primitive,
        symprec=options.bulk_modulus.symprec,
        allow=options.allow,
    )
    potential = describe_potential(spec)
    check_elements({element.symbol for element in structure.composition.elements}, potential)
    relaxer = RelaxMaker(settings=options.relax) if options.relax is not None else None
    maker = BulkModulusMaker(potential=spec, settings=options.bulk_modulus, relax_maker=relaxer)
    if options.rerun:
        for log in maker.evaluation_logs(structure):
            log.unlink(missing_ok=True)
    elif _reuse(run, store, maker.calculation_id(structure)):
        return
    flow = maker.make(structure)
    with ProgressBar(path.name) as bar, progress.listening(bar):
        run_locally(flow, store=store, log=False, raise_immediately=True)
    _take(run, store, flow.output.uuid)


def _reuse(run: BulkModulusRun, store: JobStore, calculation_id: str) -> bool:
    """Take the stored document of the same calculation, if there is one."""
    criteria = {"calculation_id": calculation_id, "state": "successful"}
    for found in find_documents(
        store, criteria, document_type="bulk-modulus", properties=["state"], limit=1
    ):
        _take(run, store, found["document_id"])
        run.reused = True
        note(f"{run.name}: already computed, document {run.document_id} (--rerun repeats it)")
        return True
    return False


def _take(run: BulkModulusRun, store: JobStore, document_id: str) -> None:
    run.document_id = document_id
    run.doc = BulkModulusDoc.model_validate(get_document(store, document_id))


def _stem(name: str) -> str:
    """File name without the suffixes of structures and of compression."""
    stem = Path(name)
    while stem.suffix.lower() in _SUFFIXES:
        stem = stem.with_suffix("")
    return stem.name
