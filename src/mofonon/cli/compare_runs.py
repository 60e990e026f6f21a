"""What ``mofonon compare`` does, without the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jobflow import Flow, JobStore

from mofonon.benchmark.evaluations import (
    ErrorRow,
    Grouping,
    error_rows,
    error_table,
    read_evaluation,
)
from mofonon.benchmark.inputs import (
    Source,
    document_label,
    labelled_structure,
    parse_sources,
    read_document,
)
from mofonon.benchmark.literature import Literature, literature
from mofonon.benchmark.mechanics import (
    ExpansionSeries,
    PropertyValue,
    add_literature,
    properties_of_document,
    published_expansion,
    read_properties,
    with_deviations,
)
from mofonon.benchmark.mechanics_table import mechanics_table
from mofonon.benchmark.phonon_table import phonon_table
from mofonon.benchmark.phonons import (
    MethodPhonons,
    PhononOptions,
    compare_phonons,
    merge,
    read_phonons,
)
from mofonon.benchmark.structure_table import structure_table
from mofonon.benchmark.structures import (
    LabelledStructure,
    StructureComparison,
    Supercell,
    compare_structure,
    structure_facts,
)
from mofonon.benchmark.tables import Table, write_table
from mofonon.cli import runs
from mofonon.cli.progress_bar import note
from mofonon.errors import MofononError
from mofonon.lattice.documents import relax_calculation_id
from mofonon.lattice.jobs import RelaxMaker
from mofonon.lattice.schemas import RelaxDoc
from mofonon.lattice.settings import RelaxSettings
from mofonon.structures import structure_hash


@dataclass(frozen=True)
class LiveOptions:
    """Potentials that relax the reference now."""

    potentials: tuple[str, ...]
    cell: str
    fmax: float
    rerun: bool


@dataclass(frozen=True)
class Drawing:
    """Where tables and figures go, and how figures look."""

    folder: Path
    formats: tuple[str, ...]
    style: str | None

    def write(self, table: Table, draw: Callable[[Path, tuple[str, ...]], object]) -> None:
        """Write the tables, then the figures in the style asked for."""
        from mofonon.report.style import check_formats, using_style

        check_formats(self.formats)
        with runs.writing(self.folder), using_style(self.style):
            write_table(table, self.folder)
            draw(self.folder, self.formats)


def compare_structure_files(
    words: Sequence[str],
    live: LiveOptions,
    *,
    symprec: float,
    supercell: Supercell,
    expected: str | None,
    store_path: Path | None,
    drawing: Drawing,
) -> Table:
    """Compare structures, write tables and figure, and return the table."""
    sources = parse_sources(words)
    store = open_if_needed(sources, store_path, needed=bool(live.potentials))
    reference = labelled_structure(sources[0], store)
    facts = structure_facts(reference, symprec=symprec, supercell=supercell, expected=expected)
    tasks: list[tuple[str, str, Callable[[], LabelledStructure]]] = [
        (source.label, source.text, partial(labelled_structure, source, store))
        for source in sources[1:]
    ]
    tasks += [
        (name, "", partial(relax_live, reference, name, live, store))
        for name in live.potentials
    ]
    compared: list[StructureComparison] = []
    failed = []
    for label, source, read in tasks:
        try:
            candidate = _named_apart(read(), [reference.label, *(c.label for c in compared)])
            compared.append(compare_structure(reference, facts, candidate))
        except MofononError as error:
            failed.append(failure(label, source, error))
    table = structure_table(facts, compared, failed)

    def draw(folder: Path, formats: tuple[str, ...]) -> None:
        if compared:
            from mofonon.report.comparison import write_structure_figure

            write_structure_figure(facts, compared, folder, formats)

    drawing.write(table, draw)
    return table


def _named_apart(candidate: LabelledStructure, labels: Sequence[str]) -> LabelledStructure:
    """Add the document to a label that another candidate, from a file, has too."""
    if candidate.label not in labels or candidate.document_id is None:
        return candidate
    return replace(candidate, label=f"{candidate.label} ({candidate.document_id[:8]})")


def compare_phonon_inputs(
    words: Sequence[str], options: PhononOptions, store_path: Path | None, drawing: Drawing
) -> Table:
    """Compare phonons, write tables and figures, and return the table."""
    sources = parse_sources(words)
    store = open_if_needed(sources, store_path)
    read: list[MethodPhonons] = []
    failed = []
    for index, source in enumerate(sources):
        try:
            read.append(read_phonons(source, store, options.settings))
        except MofononError as error:
            if index == 0:
                raise
            failed.append(failure(source.label, source.text, error))
    reference, *candidates = merge(read)
    facts, compared = compare_phonons(reference, candidates, options)
    table = phonon_table(facts, compared, options, failed)

    def draw(folder: Path, formats: tuple[str, ...]) -> None:
        from mofonon.report.phonon_comparison import write_phonon_figures

        methods = [reference, *candidates]
        write_phonon_figures(methods, folder, low=options.low, formats=formats)

    drawing.write(table, draw)
    return table


def compare_mechanics(
    words: Sequence[str],
    *,
    reference: str,
    temperature: float,
    with_literature: bool,
    mofs: Sequence[str],
    store_path: Path | None,
    drawing: Drawing,
) -> Table:
    """Compare bulk moduli and thermal expansion, write tables and figures."""
    sources = parse_sources(words)
    store = open_if_needed(sources, store_path)
    known = literature()
    values: list[PropertyValue] = []
    series: list[ExpansionSeries] = []
    failed = []
    for source in sources:
        try:
            found = _properties(source, store, known)
        except MofononError as error:
            failed.append(failure(source.label, source.text, error))
            continue
        values += found[0]
        series += found[1]
    if with_literature:
        values = add_literature(values, [*mofs, *(value.mof for value in values)], known)
    bulk_moduli = with_deviations(values, reference) if values else []
    expansion = []
    for one in series:
        try:
            expansion.append(one.at(temperature))
        except MofononError as error:
            failed.append(failure(f"{one.mof}, {one.method}", one.source, error))
    if with_literature:
        expansion += published_expansion(
            [*mofs, *(one.mof for one in series if one.document_id)], temperature, known
        )
    table = mechanics_table(bulk_moduli, expansion, series, reference, failed)

    def draw(folder: Path, formats: tuple[str, ...]) -> None:
        from mofonon.report.comparison import write_mechanics_figures

        write_mechanics_figures(bulk_moduli, series, reference, folder, formats)

    drawing.write(table, draw)
    return table


def compare_errors(
    words: Sequence[str], by: Grouping, store_path: Path | None, output: Path
) -> Table:
    """Compare errors of evaluations, write tables, and return the table."""
    sources = parse_sources(words)
    store = open_if_needed(sources, store_path)
    rows: list[ErrorRow] = []
    failed = []
    for source in sources:
        try:
            content = (
                read_evaluation(source.path)
                if source.path is not None
                else read_document(source, store)
            )
            rows += error_rows(content, by, source.text)
        except MofononError as error:
            failed.append(failure(source.label, source.text, error))
    table = error_table(rows, by, failed)
    with runs.writing(output):
        write_table(table, output)
    return table


def _properties(
    source: Source, store: JobStore | None, known: Literature
) -> tuple[list[PropertyValue], list[ExpansionSeries]]:
    """Read the properties of a table or of a document."""
    if source.path is not None:
        return read_properties(source.path, source.label)
    document = read_document(source, store)
    return properties_of_document(document, source.label or document_label(document), known)


def failure(label: str, source: str, error: MofononError) -> dict[str, str]:
    """Plain data of a candidate that could not be compared."""
    return {
        "label": label or source,
        "source": source,
        "error": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
    }


def open_if_needed(
    sources: Sequence[Source], path: Path | None, *, needed: bool = False
) -> JobStore | None:
    """Open the store where something is asked of it."""
    if needed or any(source.document_id is not None for source in sources):
        return runs.open_noted_store(path)
    return None


def relax_live(
    reference: LabelledStructure, name: str, live: LiveOptions, store: JobStore | None
) -> LabelledStructure:
    """Relax the reference with a potential, or take the document of it from the store."""
    if store is None:
        raise RuntimeError("a relaxation needs a store")
    spec, potential = runs.noted_potential({"model": name})
    runs.check_known(reference.structure, potential)
    cell = live.cell
    if cell == "auto":
        cell = "fixed" if spec.family == "tblite" else "free"
    if cell == "fixed":
        note(f"{name}: relaxation of positions only, in the cell of {reference.label}")
    settings = RelaxSettings.model_validate({"fmax": live.fmax, "cell": cell})
    maker = RelaxMaker(potential=spec, settings=settings)
    run: runs.StructureRun[RelaxDoc] = runs.StructureRun(f"{reference.label} with {name}")
    identity = relax_calculation_id(structure_hash(reference.structure), potential, settings)
    if live.rerun or not runs.reuse(run, store, identity, "relax", RelaxDoc):
        job = maker.make(reference.structure)
        runs.execute(run, Flow([job], output=job.output), store, RelaxDoc)
    if run.doc is None or run.document_id is None:
        raise RuntimeError("a relaxation ended without a document")
    return LabelledStructure(
        potential.label, run.doc.structure, run.document_id, run.document_id, run.doc.notice
    )
