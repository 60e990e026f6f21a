"""What ``mofonon phonons`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobflow import Flow, JobStore

from mofonon.cli import runs, structure_runs
from mofonon.cli.runs import StructureRun
from mofonon.cli.structure_runs import Calculation
from mofonon.lattice.flows import PhononMaker
from mofonon.lattice.jobs import analyse_phonopy_file
from mofonon.lattice.phonopy_files import phonopy_calculation_id
from mofonon.lattice.schemas import PhononDoc
from mofonon.lattice.settings import PhononSettings
from mofonon.lattice.summary import summarize


@dataclass(frozen=True)
class RunOptions(structure_runs.RunOptions):
    """The options of a run."""

    phonons: PhononSettings


@dataclass
class PhononRun(StructureRun[PhononDoc]):
    """One structure: its document and figures, or the error that it ended with."""

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


def run_all(options: RunOptions, files: list[Path], store_path: Path | None) -> list[PhononRun]:
    """Relax structures and compute their phonons."""
    todo = [PhononRun(str(path)) for path in files]
    calculation = Calculation(
        "phonons",
        PhononDoc,
        maker=lambda potential: PhononMaker(
            potential=potential,
            settings=options.phonons,
            relax_maker=options.relax_maker,
        ),
        symprec=options.phonons.symprec,
    )
    structure_runs.run_structures(todo, calculation, options, store_path)
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


def _run_phonopy_file(
    run: PhononRun, options: RunOptions, file: Path, path: Path | None, store: JobStore
) -> None:
    structure = None
    if path is not None:
        structure = runs.load_structure(
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
