"""The summary table of a page and the section of each structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mofonon.lattice.schemas import CellParameters, ImaginaryModeEntry, PhononDoc
from mofonon.report.curves import (
    PER_CM,
    Bands,
    bands_of,
    classical_limit,
    low_windows,
    notice_of,
    origin_of,
    thermal_caveat_of,
)
from mofonon.report.markup import Html, escape, fixed, formula, join, scientific, table, tag
from mofonon.report.palette import element_colours
from mofonon.report.provenance import provenance
from mofonon.report.structure_view import view

_SHOWN_TEMPERATURES = (0, 100, 200, 300, 400, 500, 700, 1000)
CV = Html("<var>C</var><sub>V</sub>")


@dataclass(frozen=True)
class Entry:
    """A document on a page."""

    number: int
    doc: PhononDoc
    name: str
    repeat: int = 1
    document_id: str | None = None

    @property
    def anchor(self) -> str:
        """Id of the section."""
        return f"structure-{self.number}"

    @property
    def label(self) -> Html:
        """Name, numbered if others before it have the same."""
        named = self.name != self.doc.formula_pretty
        name = escape(self.name) if named else formula(self.name)
        return join((name, f" ({self.repeat})")) if self.repeat > 1 else name

    @property
    def text(self) -> str:
        """The label without markup."""
        return f"{self.name} ({self.repeat})" if self.repeat > 1 else self.name


def summary(entries: Sequence[Entry]) -> Html:
    """One row for each structure."""
    header = [
        "Structure",
        "Atoms",
        "Space group",
        "Lowest frequency (THz)",
        "Imaginary modes",
        "Zero-point energy (kJ/mol)",
        join((CV, " at 300\u00a0K (J/K/mol)")),
        join((tag("var", "a"), ", ", tag("var", "b"), ", ", tag("var", "c"), " (\u00c5)")),
        "\u03b1, \u03b2, \u03b3 (\u00b0)",
        "Force evaluations",
        "Time (s)",
        "Potential",
    ]
    rows = [_summary_row(entry) for entry in entries]
    caption = "Summary; energies and heat capacities are per mole of the cell"
    if any(entry.doc.relaxation for entry in entries):
        caption += "; \u2192 leads from before to after relaxation"
    return table(caption, header, rows, class_="summary")


def _summary_row(entry: Entry) -> list[object]:
    doc = entry.doc
    relaxation = doc.relaxation
    before, after = (relaxation.cell_before if relaxation else None), doc.cell
    group = f"{doc.space_group.symbol} ({doc.space_group.number})"
    old = relaxation.space_group_before if relaxation else None
    name = tag("a", entry.label, href=f"#{entry.anchor}")
    if entry.name != doc.formula_pretty:
        name = join((name, tag("span", formula(doc.formula_pretty), class_="minor")))
    if notice_of(doc):
        name = join((name, tag("span", notice_of(doc), class_="minor alarm-text")))
    return [
        name,
        len(doc.structure),
        _changed(f"{old.symbol} ({old.number})" if old else None, group),
        f"{doc.min_frequency:.4f}",
        _imaginary_words(doc),
        f"{doc.thermal.zero_point_energy:.2f}",
        _capacity_300(doc),
        _changed(_lengths(before), _lengths(after)),
        _changed(_angles(before), _angles(after)),
        doc.n_force_evaluations,
        f"{doc.seconds['total']:.1f}" if "total" in doc.seconds else None,
        origin_of(doc),
    ]


def _changed(before: str | None, after: str | None) -> Html:
    if before is None:
        return escape(after)
    if before == after:
        return join((after, tag("span", "unchanged", class_="minor")))
    return join(
        (tag("span", before, class_="before"), tag("span", f"\u2192 {after}", class_="after"))
    )


def _lengths(cell: CellParameters | None) -> str | None:
    return f"{cell.a:.4f}, {cell.b:.4f}, {cell.c:.4f}" if cell else None


def _angles(cell: CellParameters | None) -> str | None:
    return f"{cell.alpha:.3f}, {cell.beta:.3f}, {cell.gamma:.3f}" if cell else None


def _capacity_300(doc: PhononDoc) -> str | None:
    value = doc.thermal.heat_capacity_300K
    return None if value is None else f"{value:.2f}"


def _imaginary_words(doc: PhononDoc) -> Html:
    if not doc.has_imaginary_modes:
        return Html("no")
    count = tag("strong", f"yes: {doc.n_imaginary_modes}", class_="alarm-text")
    if not doc.imaginary_modes:
        return count
    where = f"lowest at {_point(bands_of(doc), doc.imaginary_modes[0])}"
    return join((count, tag("span", where, class_="minor")))


def _point(bands: Bands, mode: ImaginaryModeEntry) -> str:
    q = ", ".join(f"{x:.4g}" for x in mode.q)
    name = bands.name_of(mode.q)
    return f"{name} ({q})" if name else f"({q})"


def section(entry: Entry) -> Html:
    """Everything about one structure."""
    doc = entry.doc
    bands = bands_of(doc)
    heading = tag("h2", entry.label, id=f"{entry.anchor}-title")
    subtitle = join(
        (
            formula(doc.structure.composition.reduced_formula),
            f", {len(doc.structure)} atoms in the cell, {doc.space_group.symbol}, ",
            origin_of(doc),
        )
    )
    content = (
        heading,
        tag("p", subtitle, class_="subtitle"),
        _banners(doc),
        _key_numbers(doc),
        tag("h3", "Structure and modes"),
        view(entry.anchor, entry.text, doc),
        tag("h3", "Bands and density of states"),
        _bands_figure(entry, bands),
        tag("h3", "Thermal properties"),
        _thermal_figure(entry),
        _thermal_table(doc),
        tag("h3", "Cell and modes"),
        tag("div", join((_cell_table(doc), _gamma_table(doc))), class_="columns"),
        _imaginary_table(doc, bands),
        tag("h3", "Provenance"),
        provenance(doc, entry.document_id),
        tag("p", tag("a", "Back to the summary", href="#summary"), class_="back"),
    )
    return tag(
        "section", join(content, "\n"), id=entry.anchor, aria_labelledby=f"{entry.anchor}-title"
    )


def _banners(doc: PhononDoc) -> Html:
    notice = notice_of(doc)
    parts = []
    if notice:
        words = join((tag("strong", f"Stand-in: {notice}."), " Do not use these numbers."))
        parts.append(tag("p", words, class_="banner alarm"))
    warnings = [text for text in doc.warnings if text != notice]
    if warnings:
        items = join(tag("li", _sentence(text)) for text in warnings)
        words = join((tag("strong", "What to know"), tag("ul", items)))
        parts.append(tag("div", words, class_="banner", role="note"))
    return join(parts)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _key_numbers(doc: PhononDoc) -> Html:
    imaginary = f"{doc.n_imaginary_modes} below zero" if doc.has_imaginary_modes else "none"
    capacity = _capacity_300(doc)
    numbers: list[tuple[object, object, str]] = [
        ("Lowest frequency", f"{doc.min_frequency:.4f}", "THz"),
        ("Imaginary modes", imaginary, ""),
        ("Highest frequency", f"{doc.max_frequency:.3f}", "THz"),
        ("Zero-point energy", f"{doc.thermal.zero_point_energy:.2f}", "kJ/mol"),
        (join((CV, " at 300\u00a0K")), capacity, "J/K/mol" if capacity else ""),
        ("Volume", f"{doc.cell.volume:.2f}", "\u00c5\u00b3"),
    ]
    items = join(
        tag(
            "div",
            join(
                (
                    tag("dt", name),
                    tag("dd", join((value, tag("span", f" {unit}", class_="unit")))),
                )
            ),
        )
        for name, value, unit in numbers
    )
    return tag("dl", items, class_="key")


def _bands_figure(entry: Entry, bands: Bands) -> Html:
    doc = entry.doc
    n_bands = bands.frequencies[0].shape[1]
    words = (
        f"{n_bands} bands along {bands.path}, from {fixed(doc.min_frequency_on_path, 3)} to "
        f"{max(float(f.max()) for f in bands.frequencies):.3f} THz, and density of states "
        f"projected on {', '.join(doc.dos_elements)}. "
        f"{'Imaginary frequencies are drawn below zero. ' if doc.has_imaginary_modes else ''}"
    )
    hint = "Drag to zoom, double-click to go back; point at a line for THz and cm\u207b\u00b9."
    label = f"Phonon bands and density of states of {entry.text}"
    return _figure(
        entry,
        "bands",
        label,
        join((words, tag("span", hint, class_="pointer"))),
        _controls(entry),
    )


def _controls(entry: Entry) -> Html:
    windows = low_windows(entry.doc)
    buttons = [tag("button", "All", type="button", data_top="", aria_pressed="true")]
    for top in windows:
        text = f"Below {top:g}\u00a0THz"
        buttons.append(
            tag("button", text, type="button", data_top=f"{top:g}", aria_pressed="false")
        )
    boxes = []
    for element, colour in element_colours(entry.doc.dos_elements).items():
        box = Html(f'<input type="checkbox" checked data-element="{escape(element)}">')
        style = f"--light:{colour.light};--dark:{colour.dark}"
        boxes.append(
            tag("label", join((box, tag("span", "", class_="swatch", style=style), element)))
        )
    ranges = tag(
        "div", join(buttons), role="group", aria_label="Frequency range", class_="buttons"
    )
    shown = join((tag("legend", "Projected density"), *boxes))
    parts = [ranges] if windows else []
    return tag("div", join((*parts, tag("fieldset", shown))), class_="controls", hidden="")


def _thermal_figure(entry: Entry) -> Html:
    doc = entry.doc
    caveat = thermal_caveat_of(doc)
    words = join(
        (
            Html(
                "Vibrational free energy <var>F</var>, entropy <var>S</var> and heat capacity "
            ),
            "at constant volume ",
            CV,
            " in the harmonic approximation, per mole of the cell of ",
            f"{len(doc.structure)} atoms. Dashed: the limit of Dulong and Petit, ",
            f"{classical_limit(doc):.1f} J/K/mol.",
            tag("strong", f" {_sentence(caveat)}", class_="alarm-text") if caveat else "",
        )
    )
    label = f"Thermal properties of {entry.text}"
    return _figure(entry, "thermal", label, words, Html(""))


def _figure(entry: Entry, kind: str, label: str, words: object, controls: Html) -> Html:
    ident = f"{entry.anchor}-{kind}"
    plot = tag(
        "div",
        tag("p", "Drawn when it comes into view.", class_="waiting"),
        class_=f"plot {kind}",
        id=ident,
        data_source=f"data-{entry.anchor}",
        role="group",
        aria_label=label,
        aria_describedby=f"{ident}-text",
    )
    caption = tag("figcaption", words, id=f"{ident}-text")
    return tag("figure", join((controls, plot, caption)))


def _thermal_table(doc: PhononDoc) -> Html:
    thermal = doc.thermal
    rows = [
        (f"{t:g}", f"{f:.3f}", f"{s:.3f}", f"{c:.3f}")
        for t, f, s, c in zip(
            thermal.temperatures,
            thermal.free_energies,
            thermal.entropies,
            thermal.heat_capacities,
            strict=True,
        )
        if round(t, 6) in _SHOWN_TEMPERATURES
    ]
    header = [
        Html("<var>T</var> (K)"),
        Html("<var>F</var> (kJ/mol)"),
        Html("<var>S</var> (J/K/mol)"),
        join((CV, " (J/K/mol)")),
    ]
    caveat = thermal_caveat_of(doc)
    caption = "Thermal properties per mole of the cell" + (f"; {caveat}" if caveat else "")
    return table(caption, header, rows)


def _cell_table(doc: PhononDoc) -> Html:
    after = doc.cell
    before = doc.relaxation.cell_before if doc.relaxation else None
    names = ("a", "b", "c", "alpha", "beta", "gamma", "volume")
    units = ("\u00c5",) * 3 + ("\u00b0",) * 3 + ("\u00c5\u00b3",)
    greek = dict(zip(names[3:], ("\u03b1", "\u03b2", "\u03b3", "V"), strict=True))
    rows: list[list[object]] = []
    for name, unit in zip(names, units, strict=True):
        new = getattr(after, name)
        row: list[object] = [
            join((tag("var", greek.get(name, name)), f" ({unit})")),
            f"{new:.4f}",
        ]
        if before is not None:
            old = getattr(before, name)
            row[1:] = [f"{old:.4f}", f"{new:.4f}", fixed(100 * (new / old - 1), 3)]
        rows.append(row)
    if before is None:
        return table("Cell, not relaxed here", ["Parameter", "Value"], rows)
    return table("Cell", ["Parameter", "Input", "Relaxed", "Change (%)"], rows)


def _gamma_table(doc: PhononDoc) -> Html:
    gamma = doc.gamma
    rows = [
        (f"Acoustic {index + 1}", scientific(f), scientific(f * PER_CM))
        for index, f in enumerate(gamma.acoustic)
    ]
    for name, f in (("Lowest optical", gamma.min_optical), ("Highest", gamma.max_frequency)):
        if f is not None:
            rows.append((name, f"{f:.4f}", f"{f * PER_CM:.2f}"))
    caption = (
        "Modes at \u0393; share of rigid translation in the acoustic ones at least "
        f"{100 * gamma.translation_overlap:.2f} %"
    )
    return table(caption, ["Mode", "Frequency (THz)", "Wavenumber (cm\u207b\u00b9)"], rows)


def _imaginary_table(doc: PhononDoc, bands: Bands) -> Html:
    modes = doc.imaginary_modes
    if not modes:
        return Html("")
    rows = []
    for index, mode in enumerate(modes):
        q = ", ".join(f"{x:.4f}" for x in mode.q)
        numbers = (f"{mode.frequency:.4f}", f"{mode.frequency * PER_CM:.2f}")
        rows.append((index + 1, bands.name_of(mode.q), q, mode.band + 1, *numbers))
    caption = (
        f"Imaginary modes on the mesh and at \u0393 (negative frequencies): the lowest "
        f"{len(modes)} of {doc.n_imaginary_modes} over irreducible q-points"
    )
    header = [
        "No.",
        "Point",
        "q (reduced)",
        "Band (from 1)",
        "Frequency (THz)",
        "Wavenumber (cm\u207b\u00b9)",
    ]
    return table(caption, header, rows, class_="tall")
