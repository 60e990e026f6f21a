"""Where the numbers of a page come from, as tables."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from mofonon.lattice.schemas import PhononDoc
from mofonon.report.markup import Html, facts, join, scientific, tag

_HASH_LENGTH = 16
_CELL = {
    "free": "relaxed",
    "fixed-volume": "shape relaxed at fixed volume",
    "fixed": "fixed",
}


def provenance(doc: PhononDoc, document_id: str | None) -> Html:
    """Potential, settings, relaxation, cost, identity and software of a document."""
    tables = [
        _potential(doc),
        _phonon_settings(doc),
        _relaxation(doc),
        _cost(doc),
        _identity(doc, document_id),
        facts("Software", sorted(doc.software.items(), key=lambda item: item[0].lower())),
    ]
    return tag("div", join(tables, "\n"), class_="columns")


def short_hash(value: str | None) -> Html | None:
    """Beginning of a hash; all of it on hover."""
    if value is None:
        return None
    return tag("code", value[:_HASH_LENGTH], title=value)


def _potential(doc: PhononDoc) -> Html:
    potential = doc.potential
    if potential is None:
        source = doc.source or {}
        return facts(
            "Forces, read from a file",
            [
                ("File", source.get("file")),
                ("sha256", short_hash(source.get("sha256"))),
                ("Potential", "none: not computed here"),
            ],
        )
    options = ", ".join(f"{key}={value}" for key, value in potential.options.items())
    return facts(
        "Potential",
        [
            ("Label", potential.label),
            ("Family", potential.family),
            ("Model", potential.model),
            ("File", potential.file_name),
            ("sha256", short_hash(potential.sha256)),
            ("Head", potential.head or "none"),
            ("Precision", potential.dtype),
            ("Dispersion", potential.dispersion or "none added"),
            ("Device", potential.device),
            ("Options", options or None),
            ("Package", potential.package),
        ],
    )


def _phonon_settings(doc: PhononDoc) -> Html:
    settings = doc.settings
    matrix = np.array(doc.supercell_matrix)
    diagonal = np.array_equal(matrix, np.diag(np.diag(matrix)))
    supercell = times(np.diag(matrix)) if diagonal else str(doc.supercell_matrix)
    return facts(
        "Phonons",
        [
            ("Supercell", f"{supercell}, {doc.n_supercell_atoms} atoms"),
            ("Displacement", _displacement(doc)),
            ("Displaced supercells", doc.n_displacements or None),
            ("Residual force", _with_unit(doc.max_residual_force, "eV/\u00c5")),
            (
                "Force constants",
                "symmetrized" if settings.symmetrize_force_constants else "not symmetrized",
            ),
            ("Mesh", times(settings.mesh)),
            ("DOS pitch", f"{settings.dos_pitch:g} THz, tetrahedron method"),
            ("Symmetry tolerance", f"{settings.symprec:g} \u00c5"),
            ("Imaginary below", f"-{settings.imaginary_threshold:g} THz"),
        ],
    )


def _displacement(doc: PhononDoc) -> str | None:
    """Length that was used, which is not that of the settings when forces were read."""
    if doc.arrays.displacements is None:
        return None
    length = float(np.linalg.norm(doc.arrays.displacements.decode(), axis=1).max())
    if doc.potential is None:
        return f"{length:.4g} \u00c5"
    signs: dict[object, str] = {True: "both signs", False: "one-sided, generic directions"}
    sign = signs.get(doc.settings.plus_minus, "the opposite only where symmetry lacks it")
    return f"{length:.4g} \u00c5, {sign}"


def _relaxation(doc: PhononDoc) -> Html:
    relaxation = doc.relaxation
    if relaxation is None:
        return facts("Relaxation", [("Relaxed here", "no: the structure was taken as given")])
    settings = relaxation.settings
    before, after = relaxation.space_group_before, relaxation.space_group_after
    return facts(
        "Relaxation",
        [
            ("Method", settings.method),
            ("fmax asked for", f"{settings.fmax:g} eV/\u00c5"),
            ("fmax reached", _with_unit(relaxation.fmax, "eV/\u00c5")),
            ("Largest force", _with_unit(relaxation.max_force, "eV/\u00c5")),
            ("Cell", _CELL.get(settings.cell, settings.cell)),
            ("Energy", f"{relaxation.energy:.6f} eV"),
            ("Force evaluations", relaxation.n_force_evaluations),
            ("Space group before", f"{before.symbol} ({before.number})"),
            ("Space group after", f"{after.symbol} ({after.number})"),
        ],
    )


def _cost(doc: PhononDoc) -> Html:
    names = {
        "relaxation": "Relaxation",
        "forces": "Forces",
        "potential": "of which in the potential",
        "analysis": "Analysis",
        "total": "Total",
    }
    times_ = [
        (name, f"{doc.seconds[key]:.2f} s") for key, name in names.items() if key in doc.seconds
    ]
    return facts(
        "Wall time and memory",
        [
            *times_,
            ("Force evaluations", doc.n_force_evaluations),
            ("Peak memory", f"{doc.peak_memory:.2f} GB"),
        ],
    )


def _identity(doc: PhononDoc, document_id: str | None) -> Html:
    return facts(
        "Identity",
        [
            ("Document", tag("code", document_id) if document_id else None),
            ("Calculation", short_hash(doc.calculation_id)),
            ("Input structure", short_hash(doc.input_hash)),
            ("Completed", tag("time", _date(doc.completed_at), datetime=doc.completed_at)),
        ],
    )


def _date(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def times(numbers: object) -> str:
    """Format ``2 x 2 x 2``."""
    return " \u00d7 ".join(str(int(n)) for n in np.asarray(numbers))


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{scientific(value)} {unit}"
