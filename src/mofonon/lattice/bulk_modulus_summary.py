"""A bulk modulus document in a few numbers: for ``--json`` and for tables."""

from __future__ import annotations

from typing import Any

from mofonon.lattice.bulk_modulus_schemas import BulkModulusDoc

#: Unit of each field of :func:`summarize_bulk_modulus`.
UNITS = {
    "lattice": "A, degrees, A^3",
    "fmax": "eV/A",
    "bulk_modulus": "GPa",
    "bulk_modulus_derivative": "dimensionless",
    "equilibrium_volume": "A^3",
    "equilibrium_energy": "eV",
    "residual": "meV/atom; GPa in stress_fit",
    "relative_residual": "share of the range of the energies",
    "bulk_modulus_from_stress": "GPa",
    "linear_strain": "dimensionless",
    "volume": "A^3",
    "energy": "eV",
    "stress": "eV/A^3",
    "pressure": "GPa",
    "seconds": "s",
}


def summarize_bulk_modulus(
    doc: BulkModulusDoc, document_id: str | None = None
) -> dict[str, Any]:
    """Reduce a bulk modulus document to plain numbers.

    Parameters
    ----------
    doc : BulkModulusDoc
        The document.
    document_id : str, optional
        Its id in the store.

    Returns
    -------
    dict
        Fields as ``mofonon bulk-modulus --json`` prints them; ``units`` says the unit of
        each.
    """
    relaxation = doc.relaxation
    composition = doc.composition
    return {
        "formula": composition.formula.replace(" ", "") if composition else None,
        "n_atoms": doc.nsites,
        "space_group": {
            "before": relaxation.space_group_before.symbol if relaxation else None,
            "after": doc.space_group.symbol,
        },
        "lattice": {
            "before": relaxation.cell_before.model_dump() if relaxation else None,
            "after": doc.cell.model_dump(),
        },
        "fmax": relaxation.fmax if relaxation else None,
        "bulk_modulus": doc.bulk_modulus,
        "bulk_modulus_derivative": doc.bulk_modulus_derivative,
        "equilibrium_volume": doc.equilibrium_volume,
        "equilibrium_energy": doc.equilibrium_energy,
        "residual": doc.residual,
        "relative_residual": doc.relative_residual,
        "bulk_modulus_from_stress": doc.bulk_modulus_from_stress,
        "fits": {name: fit.model_dump() for name, fit in doc.fits.items()},
        "stress_fit": doc.stress_fit.model_dump() if doc.stress_fit else None,
        "points": [point.model_dump() for point in doc.points],
        "settings": doc.settings.model_dump(),
        "n_force_evaluations": doc.n_force_evaluations,
        "n_force_evaluations_by_part": doc.n_force_evaluations_by_part,
        "seconds": doc.seconds["total"],
        "seconds_by_part": doc.seconds,
        "potential": doc.potential.model_dump(),
        "notice": doc.notice,
        "warnings": doc.warnings,
        "calculation_id": doc.calculation_id,
        "document_id": document_id,
        "state": doc.state,
        "units": UNITS,
    }


def bulk_modulus_row(doc: BulkModulusDoc) -> dict[str, str]:
    """One row of the summary table of a run: column header with unit to text."""
    strain = 100 * doc.settings.max_linear_strain
    moduli = {
        f"B0, {name.replace('_', '-')} (GPa)": f"{fit.bulk_modulus:.3f}"
        for name, fit in doc.fits.items()
    }
    from_stress = doc.bulk_modulus_from_stress
    return {
        "formula": doc.composition.formula.replace(" ", "") if doc.composition else "",
        "atoms": str(doc.nsites),
        "space group": doc.space_group.symbol,
        **moduli,
        "B0 from stress (GPa)": "" if from_stress is None else f"{from_stress:.3f}",
        "B0'": f"{doc.bulk_modulus_derivative:.2f}",
        "V0 (\u00c5\u00b3)": f"{doc.equilibrium_volume:.3f}",
        "residual (meV/atom)": f"{doc.residual:.2g}",
        "volumes": f"{len(doc.points)} to \u00b1{strain:g} % strain",
        "relaxed at each": doc.settings.relax,
        "potential": doc.potential.label,
        "force evaluations": str(doc.n_force_evaluations),
        "seconds": f"{doc.seconds['total']:.1f}",
    }
