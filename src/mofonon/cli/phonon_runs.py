"""What ``mofonon phonons`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import Flow, JobStore

from mofonon.cli import runs
from mofonon.cli.runs import StructureRun, load_structure
from mofonon.lattice.flows import PhononMaker
from mofonon.lattice.jobs import RelaxMaker, analyse_phonopy_file, evaluation_log_path
from mofonon.lattice.phonopy_files import phonopy_calculation_id
from mofonon.lattice.schemas import PhononDoc
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.lattice.summary import summarize
from mofonon.potentials import PotentialDescription, PotentialSpec
from mofonon.structures import structure_hash


@dataclass(frozen=True)
class RunOptions:
    """The options of a run."""

    potential: dict[str, Any]
    relax: RelaxSettings | None
    phonons: PhononSettings
    primitive: bool
    allow: tuple[str, ...]
    rerun: bool


@dataclass
class PhononRun(StructureRun[PhononDoc]):
    """One structure: its document and figures, or the error that it ended with."""

    figures: list[Path] = field(default_factory=list)

    def summary(self, page: Path | None) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            return self.failure()
        return {
            "file": self.name,
            **summarize(self.doc, self.document_id),
            "reused": self.reused,
            "page": str(page.resolve()) if page else None,
            "figures": [str(path.resolve()) for path in self.figures],
        }


def run_structures(
    options: RunOptions, files: list[Path], store_path: Path | None
) -> list[PhononRun]:
    """Relax structures and compute their phonons."""
    store = runs.open_noted_store(store_path)
    spec, potential = runs.noted_potential(options.potential)
    todo = [PhononRun(str(path)) for path in files]
    runs.run_each(todo, lambda run: _run_structure(run, options, spec, potential, store))
    return todo


def run_phonopy_file(
    options: RunOptions, file: Path, structure_path: Path | None, store_path: Path | None
) -> list[PhononRun]:
    """Analyse forces or force constants that are there already."""
    store = runs.open_noted_store(store_path)
    todo = [PhononRun(str(structure_path or file))]
    runs.run_each(
        todo, lambda run: _run_phonopy_file(run, options, file, structure_path, store)
    )
    return todo


def write_results(finished: list[PhononRun], folder: Path) -> Path | None:
    """Write figures, tables and the page of the runs that succeeded."""
    done = [run for run in finished if run.doc is not None and run.document_id is not None]
    if not done:
        return None
    from mofonon.report import write_report
    from mofonon.report.write import file_stems

    docs = [run.doc for run in done if run.doc is not None]
    ids = [run.document_id for run in done if run.document_id is not None]
    names = [run.stem for run in done]
    page = write_report(docs, folder, document_ids=ids, names=names)
    for run, stem in zip(done, file_stems(docs, names), strict=True):
        run.figures = sorted((folder / "figures").glob(f"{stem}-*.png"))
    return page


def _run_structure(
    run: PhononRun,
    options: RunOptions,
    spec: PotentialSpec,
    potential: PotentialDescription,
    store: JobStore,
) -> None:
    structure = load_structure(
        Path(run.name),
        primitive=options.primitive,
        symprec=options.phonons.symprec,
        allow=options.allow,
    )
    runs.check_known(structure, potential)
    relaxer = RelaxMaker(settings=options.relax) if options.relax is not None else None
    maker = PhononMaker(potential=spec, settings=options.phonons, relax_maker=relaxer)
    if options.rerun:
        evaluation_log_path(structure_hash(structure), potential).unlink(missing_ok=True)
    elif runs.reuse(run, store, maker.calculation_id(structure), "phonons", PhononDoc):
        return
    runs.execute(run, maker.make(structure), store, PhononDoc)


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
    if not options.rerun and runs.reuse(run, store, calculation_id, "phonons", PhononDoc):
        return
    job = analyse_phonopy_file(str(file.resolve()), options.phonons, structure)
    runs.execute(run, Flow([job], output=job.output, name="phonons"), store, PhononDoc)
