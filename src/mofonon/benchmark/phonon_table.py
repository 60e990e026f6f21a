"""The table of a comparison of phonons."""

from __future__ import annotations

from collections.abc import Sequence

from mofonon.benchmark.inputs import origin
from mofonon.benchmark.phonons import PhononComparison, PhononFacts, PhononOptions
from mofonon.benchmark.tables import Table, number, signed

UNITS = {
    "min_frequency": "THz",
    "free_energy": "kJ/mol of cell",
    "entropy": "J/K/mol of cell",
    "heat_capacity": "J/K/mol of cell",
    "zero_point_energy": "kJ/mol of cell",
    "temperature": "K",
    "dos.wasserstein": "THz",
    "mesh": "THz",
    "gamma": "THz",
    "path": "THz",
}


def phonon_table(
    reference: PhononFacts,
    candidates: Sequence[PhononComparison],
    options: PhononOptions,
    failed: Sequence[dict[str, str]] = (),
) -> Table:
    """Lay out a comparison: one column a method, the reference first.

    Parameters
    ----------
    reference : PhononFacts
        The reference.
    candidates : sequence of PhononComparison
        What is compared with it.
    options : PhononOptions
        How it was compared.
    failed : sequence of dict
        Inputs that could not be read: label, source, error, message, remedy.
    """
    everything: list[PhononFacts] = [reference, *candidates]
    rows = [
        [
            "lowest frequency (THz)",
            *(number(facts.min_frequency, 4) for facts in everything),
        ],
        ["imaginary modes", *(_yes_no(facts.imaginary) for facts in everything)],
        ["states in the DOS", *(number(facts.states, 1) for facts in everything)],
        *_rows_of_deviations(candidates, options),
        *_rows_of_thermal(reference, candidates),
    ]
    return Table(
        name="phonons",
        title=f"Phonons against {reference.label}",
        header=["", *(facts.label for facts in everything)],
        rows=[row for row in rows if any(cell != "\u2013" for cell in row[1:])],
        notes=[
            *_notes(reference, candidates, options),
            *(f"{entry['label']}: failed, {entry['message']}" for entry in failed),
        ],
        records=[
            {"role": "reference", **reference.model_dump()},
            *({"role": "candidate", **c.model_dump()} for c in candidates),
        ],
        payload={
            "reference": reference.model_dump(),
            "candidates": [candidate.model_dump() for candidate in candidates],
            "mesh": list(options.mesh),
            "low": options.low,
            "failed": list(failed),
            "units": UNITS,
        },
    )


def _rows_of_deviations(
    candidates: Sequence[PhononComparison], options: PhononOptions
) -> list[list[str]]:
    values: list[tuple[str, int, tuple[str, str]]] = [
        ("RMSD on the mesh, sorted (THz)", 4, ("mesh", "rmsd_sorted")),
        ("RMSD on the mesh, matched (THz)", 4, ("mesh", "rmsd_matched")),
        ("overlap of matched modes", 3, ("mesh", "mean_overlap")),
        ("RMSD at \u0393, sorted (THz)", 4, ("gamma", "rmsd_sorted")),
        ("RMSD at \u0393, matched (THz)", 4, ("gamma", "rmsd_matched")),
        ("RMSD on the path, sorted (THz)", 4, ("path", "rmsd_sorted")),
        ("DOS distance (THz)", 3, ("dos", "wasserstein")),
        ("DOS overlap", 3, ("dos", "overlap")),
        (
            f"DOS distance to {options.low:g} THz (THz)",
            3,
            ("dos_low", "wasserstein"),
        ),
        (
            f"DOS overlap to {options.low:g} THz",
            3,
            ("dos_low", "overlap"),
        ),
    ]
    rows = [
        [name, "\u2013", *(number(_part(c, *field), digits) for c in candidates)]
        for name, digits, field in values
    ]
    for element in dict.fromkeys(e for c in candidates for e in c.dos_by_element):
        distances = (c.dos_by_element.get(element) for c in candidates)
        rows.append(
            [
                f"PDOS distance {element} (THz)",
                "\u2013",
                *(number(d.wasserstein if d else None, 3) for d in distances),
            ]
        )
    return rows


def _part(comparison: PhononComparison, part: str, name: str) -> float | None:
    """Field of a part of a comparison, None where the part is."""
    value: float | None = getattr(getattr(comparison, part), name, None)
    return value


def _rows_of_thermal(
    reference: PhononFacts, candidates: Sequence[PhononComparison]
) -> list[list[str]]:
    at = f"at {reference.temperature:g} K"
    rows = []
    for header, name in (
        (f"F {at} (kJ/mol)", "free_energy"),
        (f"S {at} (J/K/mol)", "entropy"),
        (f"Cv {at} (J/K/mol)", "heat_capacity"),
    ):
        cells = [number(getattr(reference, name), 2)]
        for candidate in candidates:
            deviation = getattr(candidate, f"{name}_deviation")
            text = number(getattr(candidate, name), 2)
            cells.append(text if deviation is None else f"{text} ({signed(deviation, 2)})")
        rows.append([header, *cells])
    rows.append(
        [
            "Cv RMSD over T (J/K/mol)",
            "\u2013",
            *(number(c.heat_capacity_rmsd, 3) for c in candidates),
        ]
    )
    return rows


def _notes(
    reference: PhononFacts, candidates: Sequence[PhononComparison], options: PhononOptions
) -> list[str]:
    notes = []
    if reference.imaginary:
        notes.append(
            f"FLAG: the reference {reference.label} has imaginary modes (lowest "
            f"{number(reference.min_frequency, 4)} THz): deviations may be its own fault"
        )
    if any(candidate.mesh for candidate in candidates):
        mesh = "\u00d7".join(str(n) for n in options.mesh)
        notes.append(f"modes on a {mesh} mesh")
    notes.append(
        f"DOS distance: area between cumulated densities, each "
        f"normalised; overlap after broadening by {options.broadening:g} THz; thermal "
        "properties per mole of the cell"
    )
    for facts in (reference, *candidates):
        if facts.document_id:
            notes.append(f"{facts.label}: {origin('', facts.document_id)}")
        else:
            notes.append(f"{facts.label}: {', '.join(facts.sources)}")
        if facts.notice:
            notes.append(f"{facts.label}: {facts.notice}")
        if isinstance(facts, PhononComparison):
            notes += [f"{facts.label}: {warning}" for warning in facts.warnings]
    return notes


def _yes_no(value: bool | None) -> str:
    return "\u2013" if value is None else "yes" if value else "no"
