"""What ``mofonon evaluate`` does, without the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from jobflow import Flow

from mofonon.cli import runs
from mofonon.cli.progress_bar import note
from mofonon.errors import SettingsError
from mofonon.potentials import PotentialSpec
from mofonon.training.evaluation import EvaluationMaker, evaluation_id, load_sets
from mofonon.training.evaluation_schemas import EvaluationDoc, EvaluationSettings
from mofonon.training.metrics import SetErrors
from mofonon.training.naming import Dispersion, parse_potential


@dataclass(frozen=True)
class RunOptions:
    """The options of a run."""

    dispersion: Dispersion
    settings: dict[str, Any]
    device: str
    dtype: str
    output: Path
    rerun: bool


@dataclass
class EvaluationRun:
    """An evaluation and its figures."""

    doc: EvaluationDoc
    document_id: str | None
    figures: list[Path]

    def as_json(self) -> str:
        """Plain data for ``--json``, without arrays."""
        content = self.doc.model_dump(mode="json", exclude={"arrays"})
        content |= {
            "document_id": self.document_id,
            "figures": [str(path.resolve()) for path in self.figures],
        }
        return json.dumps(content, indent=2)

    def print_tables(self, by: str) -> None:
        """Print errors, then speed, then what should be known."""
        from rich.console import Console

        console = Console()
        if not console.is_terminal:
            console.width = 200
        console.print(error_table(self.doc, by))
        if self.doc.speed:
            console.print(speed_table(self.doc))
        for potential in self.doc.potentials:
            for text in potential.notes:
                console.print(f"{potential.name}: {text}", highlight=False)
        for text in self.doc.warnings:
            console.print(text, style="yellow", highlight=False)
        if self.doc.notice:
            console.print(f"notice: {self.doc.notice}", style="red", highlight=False)
        for path in self.figures:
            typer.echo(f"figure: {path}")


def run(
    potentials: list[str], frames: list[str], options: RunOptions, store_path: Path | None
) -> EvaluationRun:
    """Evaluate, or find the same evaluation in the store; write the figures."""
    from mofonon.report.evaluation import write_parity

    store = runs.open_noted_store(store_path)
    specs: dict[str, PotentialSpec] = {}
    notes: dict[str, list[str]] = {}
    for text in potentials:
        name, spec, said = parse_potential(
            text,
            dispersion=options.dispersion,
            store=store,
            device=options.device,
            dtype=options.dtype,
        )
        if name in specs:
            raise SettingsError(f"two potentials are called {name}", "write NAME=MODEL")
        specs[name], notes[name] = spec, said
        note(f"potential: {name}" + "".join(f"; {line}" for line in said))
    paths = _named(frames)
    settings = EvaluationSettings(**options.settings)
    identity = evaluation_id(specs, load_sets(paths), settings)
    this: runs.StructureRun[EvaluationDoc] = runs.StructureRun("evaluate")
    if options.rerun or not runs.reuse(this, store, identity, "evaluation", EvaluationDoc):
        job = EvaluationMaker(settings=settings).make(
            specs, {name: str(path) for name, path in paths.items()}, notes
        )
        runs.execute(this, Flow([job], output=job.output), store, EvaluationDoc)
    if this.doc is None:
        raise this.error or RuntimeError("the evaluation left no document")
    with runs.writing(options.output):
        figures = write_parity(this.doc, options.output / "figures")
    return EvaluationRun(this.doc, this.document_id, figures)


def error_table(doc: EvaluationDoc, by: str) -> Any:
    """Make the table of errors: potentials by sets and groups, in and out of sample."""
    from rich.table import Table

    table = Table(title="errors against the labels" + (", aligned" if doc.aligned else ""))
    for header in ("potential", "frames", by if by != "all" else "", "n"):
        table.add_column(header)
    columns = ("energy RMSE", "MAE (meV/atom)", "R\u00b2", "forces RMSE", "MAE (meV/\u00c5)")
    for header in (*columns, "R\u00b2", "stress RMSE", "MAE (meV/\u00c5\u00b3)"):
        table.add_column(header, justify="right")
    for entry in doc.evaluations:
        if by == "element":
            for found in entry.elements:
                table.add_row(
                    *(entry.potential, entry.frames, found.element, str(found.n_atoms)),
                    *(f"{found.energy_per_atom_rmse:.2f}", "-", "-"),
                    *(f"{found.forces.rmse:.1f}", f"{found.forces.mae:.1f}"),
                    *(_r2(found.forces.r2), "-", "-"),
                )
            continue
        for group in entry.groups:
            if group.kind == by:
                value = "" if by == "all" else group.value
                numbers = _cells(group.errors)
                table.add_row(
                    entry.potential, entry.frames, value, str(group.errors.n_frames), *numbers
                )
    return table


def speed_table(doc: EvaluationDoc) -> Any:
    """Make the table of times per atom and evaluation."""
    from rich.table import Table

    sizes = ", ".join(str(n) for n in doc.speed[0].n_atoms)
    table = Table(title=f"speed, energy and forces and stress of {sizes} atoms")
    table.add_column("potential")
    table.add_column("ms per atom", justify="right")
    table.add_column("relative to the first", justify="right")
    for line in doc.speed:
        table.add_row(
            line.potential, f"{1e3 * line.seconds_per_atom:.4f}", f"{line.relative:.2f}"
        )
    return table


def _cells(errors: SetErrors) -> list[str]:
    energy, forces, stress = errors.energy_per_atom, errors.forces, errors.stress
    return [
        *(f"{energy.rmse:.2f}", f"{energy.mae:.2f}", _r2(energy.r2)),
        *(f"{forces.rmse:.1f}", f"{forces.mae:.1f}", _r2(forces.r2)),
        *((f"{stress.rmse:.2f}", f"{stress.mae:.2f}") if stress else ("-", "-")),
    ]


def _r2(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _named(frames: list[str]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for text in frames:
        name, equals, rest = text.partition("=")
        path = Path(rest if equals else text)
        title = name if equals else path.stem
        if title in named:
            raise SettingsError(f"two sets of frames are called {title}", "write NAME=FILE")
        named[title] = path.resolve()
    return named
