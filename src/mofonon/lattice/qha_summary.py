"""A quasi-harmonic document in a few numbers: for ``--json`` and for tables."""

from __future__ import annotations

from typing import Any

from mofonon.lattice.qha_schemas import QhaDoc

#: Single numbers of a document, in the order of tables: field, header with unit, format.
#: What is at 300 K in documents, tables give at the highest temperature below where the
#: volumes end before.
HEADLINE = (
    ("cte_linear_300K", "linear CTE at 300 K (1e-6/K)", "+.2f"),
    ("cte_volumetric_300K", "volumetric CTE at 300 K (1e-6/K)", "+.2f"),
    ("cte_a_300K", "CTE of a at 300 K (1e-6/K)", "+.2f"),
    ("cte_b_300K", "CTE of b at 300 K (1e-6/K)", "+.2f"),
    ("cte_c_300K", "CTE of c at 300 K (1e-6/K)", "+.2f"),
    ("volume_0K", "volume at 0 K (\u00c5\u00b3)", ".3f"),
    ("volume_300K", "volume at 300 K (\u00c5\u00b3)", ".3f"),
    ("bulk_modulus_300K", "B at 300 K (GPa)", ".2f"),
    ("heat_capacity_p_300K", "Cp at 300 K (J/K/mol)", ".2f"),
    ("gruneisen_300K", "Gr\u00fcneisen parameter at 300 K", "+.2f"),
    ("gruneisen_modes_300K", "mean over modes at 300 K", "+.2f"),
)

#: Series that the numbers at 300 K are taken from.
SERIES_OF = {
    "cte_linear": "cte_linear",
    "cte_volumetric": "cte_volumetric",
    "cte_a": "cte_a",
    "cte_b": "cte_b",
    "cte_c": "cte_c",
    "bulk_modulus": "bulk_moduli",
    "heat_capacity_p": "heat_capacities_p",
    "gruneisen": "gruneisen",
    "gruneisen_modes": "gruneisen_modes",
    "volume": "volumes",
}

#: Unit of each field of :func:`summarize_qha`.
UNITS = {
    "lattice": "A, degrees, A^3",
    "fmax": "eV/A",
    "cte_linear_300K": "1e-6/K",
    "cte_volumetric_300K": "1e-6/K",
    "cte_a_300K": "1e-6/K",
    "cte_b_300K": "1e-6/K",
    "cte_c_300K": "1e-6/K",
    "volume_0K": "A^3",
    "volume_300K": "A^3",
    "bulk_modulus_300K": "GPa",
    "heat_capacity_p_300K": "J/K/mol of cell",
    "gruneisen_300K": "dimensionless",
    "gruneisen_modes_300K": "dimensionless",
    "gruneisen_volume": "A^3",
    "highest_temperature": "K",
    "linear_strain": "dimensionless",
    "energy": "eV",
    "min_frequency": "THz",
    "temperatures": "K",
    "volumes": "A^3",
    "cte_linear": "1e-6/K",
    "cte_volumetric": "1e-6/K",
    "bulk_moduli": "GPa",
    "gibbs": "kJ/mol of cell",
    "heat_capacities_p": "J/K/mol of cell",
    "gruneisen": "dimensionless",
    "gruneisen_modes": "dimensionless",
    "a, b, c": "A",
    "alpha, beta, gamma": "degrees",
    "cte_a, cte_b, cte_c": "1e-6/K",
    "seconds": "s",
}


def summarize_qha(doc: QhaDoc, document_id: str | None = None) -> dict[str, Any]:
    """Reduce a quasi-harmonic document to plain numbers, without arrays.

    Parameters
    ----------
    doc : QhaDoc
        The document.
    document_id : str, optional
        Its id in the store.

    Returns
    -------
    dict
        Fields as ``mofonon qha --json`` prints them; ``units`` says the unit of each.
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
        **{name: getattr(doc, name) for name, _, _ in HEADLINE},
        "gruneisen_volume": doc.gruneisen_volume,
        "highest_temperature": doc.highest_temperature,
        "n_volumes_used": doc.n_volumes_used,
        "n_extensions": doc.n_extensions,
        "excluded_volumes": [each.model_dump() for each in doc.excluded_volumes],
        "imaginary_modes_left_out": doc.imaginary_modes_left_out,
        "points": [point.model_dump() for point in doc.points],
        "series": doc.series.model_dump(),
        "settings": doc.settings.model_dump(),
        "phonon_settings": doc.phonon_settings.model_dump(),
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


def qha_row(doc: QhaDoc) -> dict[str, str]:
    """One row of the summary table of a run: column header with unit to text."""
    strains = [100 * point.linear_strain for point in doc.points]
    highest = doc.highest_temperature
    return {
        "formula": doc.composition.formula.replace(" ", "") if doc.composition else "",
        "atoms": str(doc.nsites),
        "space group": doc.space_group.symbol,
        **_headline(doc),
        "inside the volumes up to (K)": f"{highest:g}" if highest is not None else "nowhere",
        "volumes": f"{len(doc.points)}, {strains[0]:+.2f} to {strains[-1]:+.2f} % strain",
        "with imaginary modes": _imaginary(doc),
        "potential": doc.potential.label,
        "force evaluations": str(doc.n_force_evaluations),
        "seconds": f"{doc.seconds['total']:.1f}",
    }


def _headline(doc: QhaDoc) -> dict[str, str]:
    """Single numbers as text, at 300 K or at the highest temperature inside the volumes."""
    highest = doc.highest_temperature
    instead = highest if doc.volume_300K is None and highest else None
    found = {}
    for name, header, pattern in HEADLINE:
        value = getattr(doc, name)
        if instead is not None and name.endswith("_300K"):
            series = getattr(doc.series, SERIES_OF[name.removesuffix("_300K")])
            value = series[doc.series.temperatures.index(instead)]
            header = header.replace("300 K", f"{instead:g} K")  # noqa: PLW2901 - a new header
        found[header] = "" if value is None else format(value, pattern)
    return found


def _imaginary(doc: QhaDoc) -> str:
    number = sum(point.n_imaginary_modes > 0 for point in doc.points)
    if not number:
        return "none"
    what = "only their real modes used" if doc.imaginary_modes_left_out else "left out"
    return f"{number}, {what}"
