"""What ``mofonon stabilize`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mofonon.cli import structure_runs
from mofonon.cli.runs import StructureRun
from mofonon.cli.structure_runs import Calculation
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.lattice.stabilize import ImaginaryModeMaker
from mofonon.lattice.stabilize_schemas import StabilizeDoc, StabilizeSettings

#: Unit of each field of the JSON summary.
UNITS = {
    "min_frequency": "THz",
    "min_frequency_before": "THz",
    "energy_change_per_atom": "eV/atom",
    "amplitude": "A",
}


@dataclass(frozen=True)
class RunOptions(structure_runs.RunOptions):
    """The options of a run; it always relaxes."""

    relax: RelaxSettings
    phonons: PhononSettings
    stabilize: StabilizeSettings


@dataclass
class StabilizeRun(StructureRun[StabilizeDoc]):
    """One structure: its document and files, or the error that it ended with."""

    structure_file: Path | None = None

    def summary(self) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            return self.failure()
        doc = self.doc
        return {
            "file": self.name,
            "formula": doc.formula_pretty,
            "n_atoms": doc.nsites,
            "state": doc.state,
            "space_group": {"before": doc.space_group_before, "after": doc.space_group.symbol},
            "min_frequency_before": doc.min_frequency_before,
            "min_frequency": doc.min_frequency,
            "energy_change_per_atom": doc.energy_change_per_atom,
            "n_attempts": doc.n_attempts,
            "best_attempt": doc.best_attempt,
            "attempts": [attempt.model_dump(mode="json") for attempt in doc.attempts],
            "n_force_evaluations": doc.n_force_evaluations,
            "potential": doc.potential.model_dump(mode="json"),
            "notice": doc.notice,
            "warnings": doc.warnings,
            "phonon_document": doc.phonon_document,
            "document_id": self.document_id,
            "calculation_id": doc.calculation_id,
            "reused": self.reused,
            "structure_file": str(self.structure_file.resolve())
            if self.structure_file
            else None,
            "figure": str(self.figures[0].resolve()) if self.figures else None,
            "units": UNITS,
        }


def run_all(
    options: RunOptions, files: list[Path], store_path: Path | None
) -> list[StabilizeRun]:
    """Lead structures away from their imaginary modes."""
    todo = [StabilizeRun(str(path)) for path in files]
    calculation = Calculation(
        "stabilize",
        StabilizeDoc,
        maker=lambda potential: ImaginaryModeMaker(
            potential=potential,
            settings=options.stabilize,
            phonons=options.phonons,
            relax=options.relax,
        ),
        symprec=options.phonons.symprec,
    )
    structure_runs.run_structures(todo, calculation, options, store_path)
    return todo


def write_results(finished: list[StabilizeRun], folder: Path) -> None:
    """Write the best structure (CIF) and the ladder of attempts of each run."""
    from mofonon.report.attempts import write_attempts
    from mofonon.report.write import unique_stems

    done = [run for run in finished if run.doc is not None]
    for run, stem in zip(done, unique_stems([run.stem for run in done]), strict=True):
        if run.doc is not None:
            folder.mkdir(parents=True, exist_ok=True)
            run.structure_file = folder / f"{stem}-{run.doc.state}.cif"
            run.doc.structure.to(str(run.structure_file), significant_figures=15)
    structure_runs.write_figures(finished, lambda *drawn: [write_attempts(*drawn)], folder)
