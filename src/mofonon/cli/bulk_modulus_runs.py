"""What ``mofonon bulk-modulus`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mofonon.cli import structure_runs
from mofonon.cli.runs import StructureRun
from mofonon.cli.structure_runs import Calculation
from mofonon.lattice.bulk_modulus import BulkModulusMaker
from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc, BulkModulusSettings
from mofonon.lattice.bulk_modulus_summary import summarize_bulk_modulus


@dataclass(frozen=True)
class RunOptions(structure_runs.RunOptions):
    """The options of a run."""

    bulk_modulus: BulkModulusSettings


@dataclass
class BulkModulusRun(StructureRun[BulkModulusDoc]):
    """One structure: its document and figure, or the error that it ended with."""

    def summary(self) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            return self.failure()
        return {
            "file": self.name,
            **summarize_bulk_modulus(self.doc, self.document_id),
            "reused": self.reused,
            "figure": str(self.figures[0].resolve()) if self.figures else None,
        }


def run_all(
    options: RunOptions, files: list[Path], store_path: Path | None
) -> list[BulkModulusRun]:
    """Relax structures, strain them, fit equations of state."""
    todo = [BulkModulusRun(str(path)) for path in files]
    calculation = Calculation(
        "bulk-modulus",
        BulkModulusDoc,
        maker=lambda potential: BulkModulusMaker(
            potential=potential,
            settings=options.bulk_modulus,
            relax_maker=options.relax_maker,
        ),
        symprec=options.bulk_modulus.symprec,
        logs=lambda maker, structure, *_: maker.evaluation_logs(structure),
    )
    structure_runs.run_structures(todo, calculation, options, store_path)
    return todo


def write_figures(finished: list[BulkModulusRun], folder: Path) -> None:
    """Write the figure of each run that succeeded."""
    from mofonon.report.energy_volume import write_energy_volume

    structure_runs.write_figures(finished, lambda *drawn: [write_energy_volume(*drawn)], folder)
