"""What ``mofonon qha`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import JobStore
from pymatgen.core import Structure

from mofonon.cli import runs
from mofonon.cli.runs import StructureRun
from mofonon.lattice.documents import relax_calculation_id
from mofonon.lattice.jobs import RelaxMaker, evaluation_log_path
from mofonon.lattice.qha import QhaMaker
from mofonon.lattice.qha_schemas import QhaDoc, QhaSettings
from mofonon.lattice.qha_summary import summarize_qha
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.potentials import PotentialDescription, PotentialSpec
from mofonon.store import find_documents
from mofonon.structures import structure_hash


@dataclass(frozen=True)
class RunOptions:
    """The options of a run."""

    potential: dict[str, Any]
    relax: RelaxSettings | None
    qha: QhaSettings
    phonons: PhononSettings
    primitive: bool
    allow: tuple[str, ...]
    rerun: bool


@dataclass
class QhaRun(StructureRun[QhaDoc]):
    """One structure: its document and figures, or the error that it ended with."""

    figures: list[Path] = field(default_factory=list)

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


def run_structures(
    options: RunOptions, files: list[Path], store_path: Path | None
) -> list[QhaRun]:
    """Relax structures, compute phonons at volumes around them, fit the free energies."""
    store = runs.open_noted_store(store_path)
    spec, potential = runs.noted_potential(options.potential)
    todo = [QhaRun(str(path)) for path in files]
    runs.run_each(todo, lambda run: _run_structure(run, options, spec, potential, store))
    return todo


def write_figures(finished: list[QhaRun], folder: Path) -> None:
    """Write the figures of the runs that succeeded."""
    done = [run for run in finished if run.doc is not None]
    if not done:
        return
    from mofonon.report.quasi_harmonic import write_qha_figures
    from mofonon.report.write import unique_stems

    for run, stem in zip(done, unique_stems([run.stem for run in done]), strict=True):
        if run.doc is not None:
            run.figures = write_qha_figures(run.doc, folder / "figures", stem)


def _run_structure(
    run: QhaRun,
    options: RunOptions,
    spec: PotentialSpec,
    potential: PotentialDescription,
    store: JobStore,
) -> None:
    structure = runs.load_structure(
        Path(run.name),
        primitive=options.primitive,
        symprec=options.phonons.symprec,
        allow=options.allow,
    )
    runs.check_known(structure, potential)
    relaxer = RelaxMaker(settings=options.relax) if options.relax is not None else None
    maker = QhaMaker(
        potential=spec, settings=options.qha, phonons=options.phonons, relax_maker=relaxer
    )
    if options.rerun:
        _forget_evaluations(maker, structure, potential, store)
    elif runs.reuse(run, store, maker.calculation_id(structure), "qha", QhaDoc):
        return
    runs.execute(run, maker.make(structure), store, QhaDoc)


def _forget_evaluations(
    maker: QhaMaker, structure: Structure, potential: PotentialDescription, store: JobStore
) -> None:
    """Remove the logs of the relaxation and, where it was made before, of the volumes."""
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
    for log in logs:
        log.unlink(missing_ok=True)
