"""What ``mofonon bulk-modulus`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobflow import JobStore

from mofonon.cli import runs
from mofonon.cli.runs import StructureRun
from mofonon.lattice.bulk_modulus import BulkModulusMaker
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc, BulkModulusSettings
from mofonon.lattice.bulk_modulus_summary import summarize_bulk_modulus
from mofonon.lattice.jobs import RelaxMaker
from mofonon.lattice.settings import RelaxSettings
from mofonon.potentials import PotentialDescription, PotentialSpec


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
class BulkModulusRun(StructureRun[BulkModulusDoc]):
    """One structure: its document and figure, or the error that it ended with."""

    figure: Path | None = None

    def summary(self) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            return self.failure()
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
    store = runs.open_noted_store(store_path)
    spec, potential = runs.noted_potential(options.potential)
    todo = [BulkModulusRun(str(path)) for path in files]
    runs.run_each(todo, lambda run: _run_structure(run, options, spec, potential, store))
    return todo


def write_figures(finished: list[BulkModulusRun], folder: Path) -> None:
    """Write the figure of each run that succeeded."""
    done = [run for run in finished if run.doc is not None]
    if not done:
        return
    from mofonon.report.energy_volume import write_energy_volume
    from mofonon.report.write import unique_stems

    for run, stem in zip(done, unique_stems([run.stem for run in done]), strict=True):
        if run.doc is not None:
            run.figure = write_energy_volume(run.doc, folder / "figures", stem)


def _run_structure(
    run: BulkModulusRun,
    options: RunOptions,
    spec: PotentialSpec,
    potential: PotentialDescription,
    store: JobStore,
) -> None:
    structure = runs.load_structure(
        Path(run.name),
        primitive=options.primitive,
        symprec=options.bulk_modulus.symprec,
        allow=options.allow,
    )
    runs.check_known(structure, potential)
    relaxer = RelaxMaker(settings=options.relax) if options.relax is not None else None
    maker = BulkModulusMaker(potential=spec, settings=options.bulk_modulus, relax_maker=relaxer)
    if options.rerun:
        for log in maker.evaluation_logs(structure):
            log.unlink(missing_ok=True)
    elif runs.reuse(
        run, store, maker.calculation_id(structure), "bulk-modulus", BulkModulusDoc
    ):
        return
    runs.execute(run, maker.make(structure), store, BulkModulusDoc)
