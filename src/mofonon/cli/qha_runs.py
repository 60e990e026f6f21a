"""What ``mofonon qha`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobflow import JobStore
from pymatgen.core import Structure

from mofonon.cli import structure_runs
from mofonon.cli.runs import StructureRun
from mofonon.cli.structure_runs import Calculation
from mofonon.lattice.documents import relax_calculation_id
from mofonon.lattice.jobs import evaluation_log_path
from mofonon.lattice.qha import QhaMaker
from mofonon.lattice.qha_schemas import QhaDoc, QhaSettings
from mofonon.lattice.qha_summary import summarize_qha
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import PotentialDescription
from mofonon.store import find_documents
from mofonon.structures import structure_hash


@dataclass(frozen=True)
class RunOptions(structure_runs.RunOptions):
    """The options of a run."""

    qha: QhaSettings
    phonons: PhononSettings


@dataclass
class QhaRun(StructureRun[QhaDoc]):
    """One structure: its document and figures, or the error that it ended with."""

    def summary(self) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            return self.failure()
        return {
            "file": self.name,
            **summarize_qha(self.doc, self.document_id),
            "reused": self.reused,
            "figures": [str(path.resolve()) for path in self.figures],
        }


def run_all(options: RunOptions, files: list[Path], store_path: Path | None) -> list[QhaRun]:
    """Relax structures, compute phonons at volumes around them, fit the free energies."""
    todo = [QhaRun(str(path)) for path in files]
    calculation = Calculation(
        "qha",
        QhaDoc,
        maker=lambda potential: QhaMaker(
            potential=potential,
            settings=options.qha,
            phonons=options.phonons,
            relax_maker=options.relax_maker,
        ),
        symprec=options.phonons.symprec,
        logs=_logs,
    )
    structure_runs.run_structures(todo, calculation, options, store_path)
    return todo


def write_figures(finished: list[QhaRun], folder: Path) -> None:
    """Write the figures of the runs that succeeded."""
    from mofonon.report.quasi_harmonic import write_qha_figures

    structure_runs.write_figures(finished, write_qha_figures, folder)


def _logs(
    maker: QhaMaker, structure: Structure, potential: PotentialDescription, store: JobStore
) -> list[Path]:
    """Find the logs of the relaxation and, where it was made before, of the volumes."""
    input_hash = structure_hash(structure)
    logs = [evaluation_log_path(input_hash, potential)]
    if maker.relax_maker is None:
        logs += maker.evaluation_logs(structure)
    else:
        earlier = relax_calculation_id(input_hash, potential, maker.relax_maker.settings)
        for found in find_documents(
            store,
            {"calculation_id": earlier},
            document_type="relax",
            properties=["structure"],
        ):
            logs += maker.evaluation_logs(Structure.from_dict(found["structure"]))
    return logs
