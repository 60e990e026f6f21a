"""A document of expansion by molecular dynamics in a few numbers: for ``--json``, tables."""

from __future__ import annotations

from typing import Any

from mofonon.lattice.expansion_schemas import MdExpansionDoc

#: Unit of each field of :func:`summarize_expansion`.
UNITS = {
    "lattice": "A, degrees, A^3",
    "fmax": "eV/A",
    "cte_linear": "1e-6/K",
    "cte_volumetric": "1e-6/K",
    "cte_a_300K, cte_b_300K, cte_c_300K": "1e-6/K",
    "cte_linear_300K": "1e-6/K",
    "cte_volumetric_300K": "1e-6/K",
    "volume_300K": "A^3",
    "fit_temperature": "K",
    "temperature, mean_temperature": "K",
    "volume": "A^3",
    "a, b, c": "A",
    "alpha, beta, gamma": "degrees",
    "pressure": "GPa",
    "potential_energy": "eV",
    "equilibration_time, sampled_time": "ps",
    "drift": "eV per atom and ps",
    "seconds": "s",
}

_NUMBERS = (
    "cte_linear",
    "cte_linear_error",
    "cte_volumetric",
    "cte_volumetric_error",
    "fit_temperature",
    "cte_linear_300K",
    "cte_linear_300K_error",
    "cte_volumetric_300K",
    "cte_volumetric_300K_error",
    "cte_a_300K",
    "cte_b_300K",
    "cte_c_300K",
    "volume_300K",
    "excluded_temperatures",
    "n_atoms_supercell",
    "n_force_evaluations",
    "n_force_evaluations_by_part",
    "method_note",
    "notice",
    "warnings",
    "calculation_id",
    "state",
)


def summarize_expansion(doc: MdExpansionDoc, document_id: str | None = None) -> dict[str, Any]:
    """Reduce a document of expansion by molecular dynamics to plain numbers.

    Parameters
    ----------
    doc : MdExpansionDoc
        The document.
    document_id : str, optional
        Its id in the store.

    Returns
    -------
    dict
        Fields as ``mofonon expansion-md --json`` prints them; ``units`` says the unit of
        each, errors have the unit of what they belong to.
    """
    relaxation = doc.relaxation
    return {
        "formula": _formula(doc),
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
        **{name: getattr(doc, name) for name in _NUMBERS},
        "fits": {name: fit.model_dump() for name, fit in doc.fits.items()},
        "points": [point.model_dump() for point in doc.points],
        "settings": doc.settings.model_dump(),
        "seconds": doc.seconds["total"],
        "seconds_by_part": doc.seconds,
        "potential": doc.potential.model_dump(),
        "document_id": document_id,
        "units": UNITS,
    }


def expansion_row(doc: MdExpansionDoc) -> dict[str, str]:
    """One row of the summary table of a run: column header with unit to text."""
    axial = {
        f"CTE of {name} (1e-6/K)": f"{fit.cte:+.2f} \u00b1 {fit.error:.2f}"
        for name, fit in doc.fits.items()
        if name != "volume"
    }
    chi2 = doc.fits["volume"].reduced_chi2
    used = [point for point in doc.points if point.used]
    return {
        "formula": _formula(doc) or "",
        "atoms": f"{doc.nsites}, {doc.n_atoms_supercell} in the supercell",
        "space group": doc.space_group.symbol,
        f"linear CTE at {doc.fit_temperature:g} K (1e-6/K)": f"{doc.cte_linear:+.2f} \u00b1 "
        f"{doc.cte_linear_error:.2f}",
        f"volumetric CTE at {doc.fit_temperature:g} K (1e-6/K)": f"{doc.cte_volumetric:+.2f} "
        f"\u00b1 {doc.cte_volumetric_error:.2f}",
        **axial,
        "reduced chi squared": "" if chi2 is None else f"{chi2:.2f}",
        "temperatures used (K)": ", ".join(f"{point.temperature:g}" for point in used),
        "left out (K)": ", ".join(f"{t:g}" for t in doc.excluded_temperatures) or "none",
        "volumes (\u00c5\u00b3)": ", ".join(
            f"{point.volume:.2f} \u00b1 {point.volume_error:.2f}" for point in used
        ),
        "sampled (ps)": ", ".join(f"{point.sampled_time:.1f}" for point in used),
        "potential": doc.potential.label,
        "force evaluations": str(doc.n_force_evaluations),
        "seconds": f"{doc.seconds['total']:.1f}",
        "note": "classical: no zero-point motion",
    }


def _formula(doc: MdExpansionDoc) -> str | None:
    return doc.composition.formula.replace(" ", "") if doc.composition else None
