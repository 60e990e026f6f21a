"""The table of a comparison of structures."""

from __future__ import annotations

from collections.abc import Sequence

from mofonon.benchmark.inputs import origin
from mofonon.benchmark.structures import StructureComparison, StructureFacts
from mofonon.benchmark.tables import Table, number, signed

#: Units of the fields, for JSON.
UNITS = {
    "lengths": "A",
    "lengths_as_given": "A",
    "angles": "degrees",
    "angles_as_given": "degrees",
    "volume": "A^3",
    "symprec": "A",
    "expected_from_symprec": "A",
    "rmsd": "A",
    "largest_deviation": "A",
    "angle_deviations": "degrees",
    "fractional_rmsd": "fractional",
    "origin_shift": "fractional",
}


def structure_table(
    reference: StructureFacts,
    candidates: Sequence[StructureComparison],
    failed: Sequence[dict[str, str]] = (),
) -> Table:
    """Lay out a comparison: one column a structure, the reference first.

    Parameters
    ----------
    reference : StructureFacts
        The reference.
    candidates : sequence of StructureComparison
        What is compared with it.
    failed : sequence of dict
        Candidates that could not be compared: label, source, error, message, remedy.
    """
    everything: list[StructureFacts] = [reference, *candidates]
    rows = [
        ["space group", *(facts.space_group for facts in everything)],
        [
            f"{reference.expected_space_group} from (\u00c5)",
            *(_tolerance(facts) for facts in everything),
        ],
    ]
    for index, name in enumerate(("a", "b", "c")):
        rows.append([f"{name} (\u00c5)", *_lengths(reference, candidates, index)])
    for index, name in enumerate(("\u03b1", "\u03b2", "\u03b3")):
        rows.append([f"{name} (\u00b0)", *(number(f.angles[index], 2) for f in everything)])
    rows += [
        [
            "mean |\u0394| of a, b, c (%)",
            "\u2013",
            *(number(c.mean_length_deviation_percent, 3) for c in candidates),
        ],
        [
            "\u0394 volume (%)",
            "\u2013",
            *(signed(c.volume_deviation_percent, 2) for c in candidates),
        ],
        ["displacements", *(str(facts.n_displacements) for facts in everything)],
    ]
    for element in dict.fromkeys(e for c in candidates for e in c.fractional_rmsd):
        values = (c.fractional_rmsd.get(element) for c in candidates)
        rows.append(
            [f"RMSD {element} (fractional)", "\u2013", *(number(value, 4) for value in values)]
        )
    rows.append(["RMSD (\u00c5)", "\u2013", *(number(c.rmsd, 4) for c in candidates)])
    return Table(
        name="structures",
        title=f"Structures of {reference.formula} against {reference.label}",
        header=["", *(facts.label for facts in everything)],
        rows=rows,
        notes=[*_notes(everything), *(f"{f['label']}: failed, {f['message']}" for f in failed)],
        records=[
            {"role": "reference", **reference.model_dump()},
            *({"role": "candidate", **c.model_dump()} for c in candidates),
        ],
        payload={
            "reference": reference.model_dump(),
            "candidates": [candidate.model_dump() for candidate in candidates],
            "failed": list(failed),
            "units": UNITS,
        },
    )


def _tolerance(facts: StructureFacts) -> str:
    value = facts.expected_from_symprec
    return "never" if value is None else f"{value:g}"


def _lengths(
    reference: StructureFacts, candidates: Sequence[StructureComparison], index: int
) -> list[str]:
    return [
        number(reference.lengths[index], 3),
        *(
            f"{number(c.lengths[index], 3)} ({signed(c.length_deviations_percent[index], 2)} %)"
            for c in candidates
        ),
    ]


def _notes(everything: Sequence[StructureFacts]) -> list[str]:
    matrix = everything[0].supercell
    diagonal = all(matrix[i][j] == 0 for i in range(3) for j in range(3) if i != j)
    supercell = "\u00d7".join(str(matrix[i][i]) for i in range(3)) if diagonal else str(matrix)
    conditions = (
        f"space groups at {everything[0].symprec:g} \u00c5; displacements of 0.001 \u00c5 in a "
        f"{supercell} supercell; RMSD of fractional coordinates over atoms and components, a "
        "common shift removed"
    )
    notes = [conditions]
    for facts in everything:
        notes.append(f"{facts.label}: {origin(facts.source, facts.document_id)}")
        if facts.notice:
            notes.append(f"{facts.label}: {facts.notice}")
        if isinstance(facts, StructureComparison):
            notes += [f"{facts.label}: {warning}" for warning in facts.warnings]
    return notes
