"""What ``mofonon label`` does for each structure, without the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jobflow import Flow, JobStore, run_locally
from pymatgen.core import Structure

from mofonon import progress
from mofonon.cli import runs
from mofonon.cli.progress_bar import ProgressBar, note
from mofonon.cli.runs import StructureRun
from mofonon.dft.eos import MofEosMaker
from mofonon.dft.estimate import CalculationSize, calculation_size
from mofonon.dft.flows import LabelMaker
from mofonon.dft.jobs import MofRelaxMaker, MofStaticMaker
from mofonon.dft.schemas import LabelDoc, QuarantineSettings
from mofonon.dft.sets import MofRelaxSetGenerator, MofStaticSetGenerator, Preset, Spin
from mofonon.dft.setup import SetupProblem, is_standin, require_none, setup_problems
from mofonon.errors import MofononError, SettingsError
from mofonon.store import find_documents


@dataclass(frozen=True)
class RunOptions:
    """The options of a run."""

    what: tuple[str, ...] = ("relax", "eos")
    preset: Preset = "labels"
    spin: Spin = "auto"
    hubbard_u: bool = False
    eos_positions: Literal["static", "relaxed"] = "static"
    max_linear_strain: float = 0.1
    n_deformations: int = 6
    wall_time: int | None = None
    quarantine: QuarantineSettings = field(default_factory=QuarantineSettings)
    primitive: bool = False
    allow: tuple[str, ...] = ()
    symprec: float = 1e-5
    rerun: bool = False
    retry: bool = False

    def maker(self) -> LabelMaker:
        """Make the Maker of these options."""
        sets: dict[str, Any] = {
            "preset": self.preset,
            "spin": self.spin,
            "hubbard_u": self.hubbard_u,
        }
        relax = MofRelaxMaker(
            input_set_generator=MofRelaxSetGenerator(**sets), wall_time=self.wall_time
        )
        static = MofStaticMaker(
            input_set_generator=MofStaticSetGenerator(**sets), wall_time=self.wall_time
        )
        if self.eos_positions == "relaxed":
            eos = MofEosMaker.with_relaxed_positions(relax)
        else:
            eos = MofEosMaker(eos_relax_maker=static)
        eos.linear_strain = (-self.max_linear_strain, self.max_linear_strain)
        eos.number_of_frames = self.n_deformations
        return LabelMaker(
            relax_maker=relax if "relax" in self.what else None,
            eos_maker=eos if "eos" in self.what else None,
            static_maker=static,
            settings=self.quarantine,
        )


@dataclass
class LabelRun(StructureRun[LabelDoc]):
    """One structure: its labels, or the error that it ended with."""

    structure: Structure | None = None
    size: CalculationSize | None = None

    @property
    def mof_id(self) -> str:
        """Name of the MOF: that of its file."""
        return self.stem

    def summary(self) -> dict[str, Any]:
        """Plain data of this run for ``--json``."""
        if self.doc is None:
            return self.failure()
        kept = self.doc.model_dump(
            mode="json",
            include={
                *("state", "mof_id", "n_frames", "n_good", "n_quarantined", "n_duplicates"),
                *("quarantine_reasons", "eos", "code_version", "notice", "warnings", "seconds"),
                *("calculation_id", "software"),
            },
        )
        tasks = [task.model_dump(mode="json", exclude={"structure"}) for task in self.doc.tasks]
        return {
            "file": self.name,
            **kept,
            "tasks": tasks,
            "document_id": self.document_id,
            "reused": self.reused,
        }


def load_all(options: RunOptions, files: Sequence[Path]) -> list[LabelRun]:
    """Read the structures and estimate their cost; those that cannot be are errors."""
    todo = [LabelRun(str(path)) for path in files]
    twice = [name for name, n in Counter(run.mof_id for run in todo).items() if n > 1]
    if twice:
        raise SettingsError(
            f"several files are called {', '.join(twice)}",
            "rename them: labels are kept by the name of the file",
        )
    maker = options.maker()

    def load(run: LabelRun) -> None:
        run.structure = runs.load_structure(
            Path(run.name),
            primitive=options.primitive,
            symprec=options.symprec,
            allow=options.allow,
        )
        alone = maker.relax_maker is None and maker.eos_maker is None
        run.size = calculation_size(
            run.structure,
            run.mof_id,
            relax=maker.relax_maker,
            eos=maker.eos_maker,
            static=maker.static_maker if alone else None,
        )

    runs.run_each(todo, load)
    return todo


def problems(loaded: Sequence[LabelRun]) -> list[SetupProblem]:
    """All that stands against calculating these structures here."""
    structures = [run.structure for run in loaded if run.structure is not None]
    elements = {el.symbol for structure in structures for el in structure.composition.elements}
    sizes = [run.size for run in loaded if run.size is not None]
    found = setup_problems(
        elements,
        gamma=any(size.gamma_only for size in sizes),
        std=any(not size.gamma_only for size in sizes) or not sizes,
    )
    unreadable = [run for run in loaded if run.error is not None and run.structure is None]
    return [
        *(SetupProblem(f"{run.name}: {_message(run)}", _remedy(run)) for run in unreadable),
        *found,
    ]


def run_all(
    options: RunOptions, loaded: Sequence[LabelRun], store_path: Path | None, folder: Path
) -> None:
    """Label all structures; the failure of one does not stop the others."""
    require_none(problems([run for run in loaded if run.error is None]))
    store = runs.open_noted_store(store_path)
    runs.note_standin()
    todo = [run for run in loaded if run.error is None]
    maker = options.maker()
    runs.run_each(todo, lambda run: _label(run, options, maker, store, folder))


def _label(
    run: LabelRun, options: RunOptions, maker: LabelMaker, store: JobStore, folder: Path
) -> None:
    structure = run.structure
    if structure is None:
        return
    if not options.rerun and _take_stored(run, store, maker.calculation_id(structure)):
        if run.doc is None or run.doc.state == "successful" or not options.retry:
            return
        bad = [task.name for task in run.doc.tasks if task.state != "successful"]
        note(f"{run.name}: again {', '.join(bad)}")
        flow, run.reused = maker.retry(run.doc), False
    elif options.retry:
        raise SettingsError(
            f"{run.name} has no labels with these settings to retry",
            "run without --retry, or with the options of the first run",
        )
    else:
        flow = maker.make(structure, run.mof_id)
    _execute(run, flow, store, folder)


def _take_stored(run: LabelRun, store: JobStore, calculation_id: str) -> bool:
    """Take the newest stored labels of the same calculation; a stand-in's only for one."""
    criteria: dict[str, Any] = {"calculation_id": calculation_id}
    if not is_standin():
        criteria["notice"] = None
    for entry in find_documents(
        store, criteria, document_type="labels", properties=["state"], limit=1
    ):
        runs.take(run, store, entry["document_id"], LabelDoc)
        run.reused = True
        state = run.doc.state if run.doc else ""
        advice = "--rerun" if state == "successful" else "--retry"
        note(f"{run.name}: labels are there, {state} ({advice} repeats)")
        return True
    return False


def _execute(run: LabelRun, flow: Flow, store: JobStore, folder: Path) -> None:
    """Run VASP here, each calculation in a folder of its own."""
    with runs.writing(folder):
        where = folder / run.mof_id
        where.mkdir(parents=True, exist_ok=True)
    with ProgressBar(Path(run.name).name) as bar, progress.listening(bar):
        run_locally(flow, store=store, log=False, create_folders=True, root_dir=where)
    runs.take(run, store, flow.output.uuid, LabelDoc)


def _message(run: LabelRun) -> str:
    return run.error.message if isinstance(run.error, MofononError) else "cannot be read"


def _remedy(run: LabelRun) -> str:
    return run.error.remedy if isinstance(run.error, MofononError) else ""
