"""What ``mofonon expansion-md`` does for each structure, without the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import JobStore

from mofonon.cli import runs
from mofonon.cli.runs import StructureRun
from mofonon.lattice.expansion_schemas import MdExpansionDoc, MdExpansionSettings
from mofonon.lattice.expansion_summary import summarize_expansion
from mofonon.lattice.jobs import RelaxMaker
from mofonon.lattice.md_expansion import MdExpansionMaker
from mofonon.lattice.settings import RelaxSettings
from mofonon.potentials import PotentialDescription, PotentialSpec


@dataclass(frozen=True)
class RunOptions:
    """The options of a run."""

    potential: dict[str, Any]
    relax: RelaxSettings | None
    expansion: MdExpansionSettings
    primitive: bool
    allow: tuple[str, ...]
    rerun: bool


@dataclass
class ExpansionRun(StructureRun[MdExpansionDoc]):
    """One structure: its document and figures, or the error that it ended with."""

    figures: list[Path] = field(default_factory=list)

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
    """Run all structures; the failure of one does not stop the others."""
    store = runs.open_noted_store(store_path)
    spec, potential = runs.noted_potential(options.potential)
    todo = [ExpansionRun(str(path)) for path in files]
    runs.run_each(todo, lambda run: _run_structure(run, options, spec, potential, store))
    return todo


def write_figures(finished: list[ExpansionRun], folder: Path) -> None:
    """Write the figure of each run that succeeded."""
    done = [run for run in finished if run.doc is not None]
    if not done:
        return
    from mofonon.report.expansion import write_expansion_figure
    from mofonon.report.write import unique_stems

    for run, stem in zip(done, unique_stems([run.stem for run in done]), strict=True):
        if run.doc is not None:
            run.figures = [write_expansion_figure(run.doc, folder / "figures", stem)]


def _run_structure(
    run: ExpansionRun,
    options: RunOptions,
    spec: PotentialSpec,
    potential: PotentialDescription,
    store: JobStore,
) -> None:
    structure = runs.load_structure(
        Path(run.name),
        primitive=options.primitive,
        symprec=options.expansion.symprec,
        allow=options.allow,
    )
    runs.check_known(structure, potential)
    relaxer = RelaxMaker(settings=options.relax) if options.relax is not None else None
    maker = MdExpansionMaker(potential=spec, settings=options.expansion, relax_maker=relaxer)
    if options.rerun:
        for path in maker.checkpoints(structure):
            path.unlink(missing_ok=True)
    elif runs.reuse(
        run, store, maker.calculation_id(structure), "expansion-md", MdExpansionDoc
    ):
        return
    runs.execute(run, maker.make(structure), store, MdExpansionDoc)
