"""What ``mofonon phonons`` does for each structure, without the command line."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import Flow, JobStore, run_locally
from pymatgen.core import Structure

from mofonon import progress
from mofonon.cli.progress_bar import ProgressBar, note
from mofonon.errors import MofononError
from mofonon.lattice.flows import PhononMaker
from mofonon.lattice.jobs import RelaxMaker, analyse_phonopy_file, evaluation_log_path
from mofonon.lattice.phonopy_files import phonopy_calculation_id
from mofonon.lattice.schemas import PhononDoc
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.lattice.summary import summarize
from mofonon.potentials import PotentialSpec, check_elements, describe_potential
from mofonon.store import describe_store, find_documents, get_document, open_store
from mofonon.structures import read_structure, structure_hash, to_primitive, validate_structure


@dataclass(frozen=True)
class RunOptions:
    """The options of a run, as plain values where they need no checking yet."""

    potential: dict[str, Any]
    relax: RelaxSettings | None
    phonons: PhononSettings
    primitive: bool
    allow: tuple[str, ...]
    rerun: bool
    output: Path


@dataclass
class PhononRun:
    """One structure: its document, or the error that it ended with."""

    name: str
    doc: PhononDoc | None = None
    document_id: str | None = None
    error: MofononError | None = None
    reused: bool = False
    figures: list[Path] = field(default_factory=list)

    def summary(self, page: Path | None) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            message = self.error.message if self.error else "not run"
            remedy = self.error.remedy if self.error else ""
            kind = type(self.error).__name__ if self.error else None
            return {
                "file": self.name,
                "state": "failed",
                "error": kind,
                "message": message,
                "remedy": remedy,
            }
        return {
            "file": self.name,
            **summarize(self.doc, self.document_id),
            "reused": self.reused,
            "page": str(page.resolve()) if page else None,
            "figures": [str(path.resolve()) for path in self.figures],
        }


def run_all(
    options: RunOptions, files: list[Path], phonopy_file: Path | None, store_path: Path | None
) -> list[PhononRun]:
    """Run all structures; the failure of one does not stop the others."""
    store = open_store(store_path)
    note(f"store: {describe_store(store_path)}")
    spec = None
    if phonopy_file is None:
        name = options.potential["model"]
        rest = {key: value for key, value in options.potential.items() if key != "model"}
        spec = PotentialSpec.from_name(name, **rest)
        description = describe_potential(spec)
        note(f"potential: {description.label}")
        if description.notice:
            note(f"warning: {description.notice}")
    runs = []
    paths: list[Path | None] = [*files] or [None]
    for path in paths:
        run = PhononRun(name=str(path if path is not None else phonopy_file))
        runs.append(run)
        try:
            if spec is None and phonopy_file is not None:
                _run_phonopy_file(run, options, phonopy_file, path, store)
            elif spec is not None and path is not None:
                _run_structure(run, options, spec, path, store)
        except MofononError as error:
            run.error = error
    return runs


def write_results(runs: list[PhononRun], folder: Path) -> Path | None:
    """Write figures, tables and the page of the runs that succeeded."""
    done = [run for run in runs if run.doc is not None and run.document_id is not None]
    if not done:
        return None
    from mofonon.report import write_report
    from mofonon.report.write import file_stems

    docs = [run.doc for run in done if run.doc is not None]
    ids = [run.document_id for run in done if run.document_id is not None]
    names = [_stem(run.name) for run in done]
    page = write_report(docs, folder, document_ids=ids, names=names)
    for run, stem in zip(done, file_stems(docs, names), strict=True):
        run.figures = sorted((folder / "figures").glob(f"{stem}-*.png"))
    return page


def load_structure(
    path: Path, *, primitive: bool, symprec: float, allow: tuple[str, ...]
) -> Structure:
    """Read and check a structure; tell the user what is doubtful."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        structure = read_structure(path)
    for warning in caught:
        note(f"warning: {warning.message}")
    for issue in validate_structure(structure, allow=allow):
        note(f"warning: {path.name}: {issue.message}")
    reduced = to_primitive(structure, symprec)
    if primitive:
        return reduced
    if len(reduced) < len(structure):
        note(
            f"warning: {path.name} holds {len(structure) // len(reduced)} primitive cells; "
            "bands are folded and energies are per mole of the larger cell (--primitive "
            "reduces it)"
        )
    return structure


def _run_structure(
    run: PhononRun, options: RunOptions, spec: PotentialSpec, path: Path, store: JobStore
) -> None:
    structure = load_structure(
        path,
        primitive=options.primitive,
        symprec=options.phonons.symprec,
        allow=options.allow,
    )
    potential = describe_potential(spec)
    check_elements({element.symbol for element in structure.composition.elements}, potential)
    relaxer = None
    if options.relax is not None:
        relaxer = RelaxMaker(settings=options.relax)
    maker = PhononMaker(potential=spec, settings=options.phonons, relax_maker=relaxer)
    if options.rerun:
        evaluation_log_path(structure_hash(structure), potential).unlink(missing_ok=True)
    elif _reuse(run, store, maker.calculation_id(structure)):
        return
    _execute(run, maker.make(structure), store)


def _run_phonopy_file(
    run: PhononRun, options: RunOptions, file: Path, path: Path | None, store: JobStore
) -> None:
    structure = None
    if path is not None:
        structure = load_structure(
            path,
            primitive=options.primitive,
            symprec=options.phonons.symprec,
            allow=options.allow,
        )
    calculation_id = phonopy_calculation_id(file, options.phonons, structure)
    if not options.rerun and _reuse(run, store, calculation_id):
        return
    job = analyse_phonopy_file(str(file.resolve()), options.phonons, structure)
    _execute(run, Flow([job], output=job.output, name="phonons"), store)


def _reuse(run: PhononRun, store: JobStore, calculation_id: str) -> bool:
    """Take the stored document of the same calculation, if there is one."""
    criteria = {"calculation_id": calculation_id, "state": "successful"}
    for found in find_documents(store, criteria, document_type="phonons", limit=1):
        run.document_id = found["document_id"]
        run.doc = PhononDoc.model_validate(
            get_document(store, found["document_id"], with_arrays=True)
        )
        run.reused = True
        note(f"{run.name}: already computed, document {run.document_id} (--rerun repeats it)")
        return True
    return False


def _execute(run: PhononRun, flow: Flow, store: JobStore) -> None:
    with ProgressBar(Path(run.name).name) as bar, progress.listening(bar):
        run_locally(flow, store=store, log=False, raise_immediately=True)
    run.document_id = flow.output.uuid
    run.doc = PhononDoc.model_validate(get_document(store, flow.output.uuid, with_arrays=True))


def _stem(name: str) -> str:
    stem = Path(name).name
    for suffix in (
        ".xz",
        ".gz",
        ".bz2",
        ".cif",
        ".json",
        ".extxyz",
        ".xyz",
        ".yaml",
        ".yml",
        ".vasp",
    ):
        stem = stem.removesuffix(suffix)
    return stem
