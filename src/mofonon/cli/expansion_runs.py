"""What ``mofonon expansion-md`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mofonon.cli import structure_runs
from mofonon.cli.runs import StructureRun
from mofonon.cli.structure_runs import Calculation
from mofonon.lattice.expansion_schemas import MdExpansionDoc, MdExpansionSettings
from mofonon.lattice.expansion_summary import summarize_expansion
from mofonon.lattice.md_expansion import MdExpansionMaker


@dataclass(frozen=True)
class RunOptions(structure_runs.RunOptions):
    """The options of a run."""

    expansion: MdExpansionSettings


@dataclass
class ExpansionRun(StructureRun[MdExpansionDoc]):
    """One structure: its document and figures, or the error that it ended with."""

    def summary(self) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            return self.failure()
        return {
            "file": self.name,
            **summarize_expansion(self.doc, self.document_id),
            "reused": self.reused,
            "figures": [str(path.resolve()) for path in self.figures],
        }


def run_all(
    options: RunOptions, files: list[Path], store_path: Path | None
) -> list[ExpansionRun]:
    """Relax structures, run them at temperatures, fit the averages."""
    todo = [ExpansionRun(str(path)) for path in files]
    calculation = Calculation(
        "expansion-md",
        MdExpansionDoc,
        maker=lambda potential: MdExpansionMaker(
            potential=potential,
            settings=options.expansion,
            relax_maker=options.relax_maker,
        ),
        symprec=options.expansion.symprec,
        logs=lambda maker, structure, *_: maker.checkpoints(structure),
    )
    structure_runs.run_structures(todo, calculation, options, store_path)
    return todo


def write_figures(finished: list[ExpansionRun], folder: Path) -> None:
    """Write the figure of each run that succeeded."""
    from mofonon.report.expansion import write_expansion_figure

    structure_runs.write_figures(
        finished, lambda *drawn: [write_expansion_figure(*drawn)], folder
    )
