"""One calculation of the ``lattice`` stage for each structure that a command was given.

The commands differ in their Maker, its document and what is drawn of it; reading, checking,
reusing and running are here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from jobflow import Flow, JobStore
from pydantic import BaseModel
from pymatgen.core import Structure

from mofonon.cli import runs
from mofonon.cli.runs import StructureRun
from mofonon.lattice.jobs import RelaxMaker, evaluation_log_path
from mofonon.lattice.settings import RelaxSettings
from mofonon.potentials import PotentialDescription, PotentialSpec
from mofonon.structures import structure_hash

Doc = TypeVar("Doc", bound=BaseModel)


class StructureMaker(Protocol):
    """A Maker that tells what its calculation of a structure will be known by."""

    def calculation_id(self, structure: Structure, /) -> str:
        """Identity of the calculation: input structure, potential and settings."""

    def make(self, structure: Structure, /) -> Flow:
        """Make the flow of a structure."""


AnyMaker = TypeVar("AnyMaker", bound=StructureMaker)
LogPaths = Callable[[AnyMaker, Structure, PotentialDescription, JobStore], list[Path]]


def log_of_input(
    _maker: StructureMaker,
    structure: Structure,
    potential: PotentialDescription,
    _store: JobStore,
) -> list[Path]:
    """Name the log of the input: of a calculation that keeps all its evaluations there."""
    return [evaluation_log_path(structure_hash(structure), potential)]


@dataclass(frozen=True)
class RunOptions:
    """What all commands take.

    Attributes
    ----------
    potential : dict
        ``model`` and the options that go with it.
    relax : RelaxSettings or None
        How to relax first; None to take structures as they are.
    primitive : bool
        Whether to reduce to the primitive cell.
    allow : tuple of str
        Failed checks of structures to accept.
    rerun : bool
        Whether to compute again what was computed before.
    """

    potential: dict[str, Any]
    relax: RelaxSettings | None
    primitive: bool
    allow: tuple[str, ...]
    rerun: bool

    @property
    def relax_maker(self) -> RelaxMaker | None:
        """The Maker of the relaxation that comes first."""
        return RelaxMaker(settings=self.relax) if self.relax is not None else None


@dataclass(frozen=True)
class Calculation(Generic[AnyMaker, Doc]):
    """What a command computes.

    Attributes
    ----------
    document_type : str
        Type of its documents in the store.
    doc : type
        Their class.
    maker : callable
        The Maker, for a potential.
    symprec : float
        Tolerance of the primitive cell (A).
    logs : callable
        Files with what was evaluated of a structure, for ``--rerun`` to remove.
    """

    document_type: str
    doc: type[Doc]
    maker: Callable[[PotentialSpec], AnyMaker]
    symprec: float
    logs: LogPaths[AnyMaker] = log_of_input


def run_structures(
    todo: Sequence[StructureRun[Doc]],
    calculation: Calculation[AnyMaker, Doc],
    options: RunOptions,
    store_path: Path | None,
) -> None:
    """Run a calculation for each structure; the failure of one does not stop the others."""
    store = runs.open_noted_store(store_path)
    spec, potential = runs.noted_potential(options.potential)
    maker = calculation.maker(spec)

    def compute(run: StructureRun[Doc]) -> None:
        structure = runs.load_structure(
            Path(run.name),
            primitive=options.primitive,
            symprec=calculation.symprec,
            allow=options.allow,
        )
        runs.check_known(structure, potential)
        if options.rerun:
            for path in calculation.logs(maker, structure, potential, store):
                path.unlink(missing_ok=True)
        elif runs.reuse(
            run,
            store,
            maker.calculation_id(structure),
            calculation.document_type,
            calculation.doc,
        ):
            return
        runs.execute(run, maker.make(structure), store, calculation.doc)

    runs.run_each(todo, compute)


def write_figures(
    finished: Sequence[StructureRun[Doc]],
    write: Callable[[Doc, Path, str], list[Path]],
    folder: Path,
) -> None:
    """Write the figures of each run that succeeded."""
    from mofonon.report.write import unique_stems

    done = [run for run in finished if run.doc is not None]
    for run, stem in zip(done, unique_stems([run.stem for run in done]), strict=True):
        if run.doc is not None:
            run.figures = write(run.doc, folder / "figures", stem)
