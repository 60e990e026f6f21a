"""A phonon document in a few numbers: for ``--json`` and for tables."""

from __future__ import annotations

from typing import Any

from mofonon.lattice.schemas import CellParameters, PhononDoc

#: Unit of each field of :func:`summarize`.
UNITS = {
    "lattice": "A, degrees, A^3",
    "fmax": "eV/A",
    "energy": "eV",
    "min_frequency": "THz",
    "min_frequency_on_path": "THz",
    "max_frequency": "THz",
    "gamma_acoustic": "THz",
    "gamma_min_optical": "THz",
    "temperatures": "K",
    "free_energies": "kJ/mol of cell",
    "entropies": "J/K/mol of cell",
    "heat_capacities": "J/K/mol of cell",
    "zero_point_energy": "kJ/mol of cell",
    "seconds": "s",
    "peak_memory": "GB",
}


def summarize(doc: PhononDoc, document_id: str | None = None) -> dict[str, Any]:
    """Reduce a phonon document to plain numbers, without arrays.

    Parameters
    ----------
    doc : PhononDoc
        The document.
    document_id : str, optional
        Its id in the store.

    Returns
    -------
    dict
        Fields as ``mofonon phonons --json`` prints them; ``units`` says the unit of each.
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
        "energy": relaxation.energy if relaxation else None,
        "n_force_evaluations": doc.n_force_evaluations,
        "n_displacements": doc.n_displacements,
        "supercell_matrix": doc.supercell_matrix,
        "min_frequency": doc.min_frequency,
        "min_frequency_on_path": doc.min_frequency_on_path,
        "max_frequency": doc.max_frequency,
        "gamma_acoustic": doc.gamma.acoustic,
        "gamma_min_optical": doc.gamma.min_optical,
        "has_imaginary_modes": doc.has_imaginary_modes,
        "n_imaginary_modes": doc.n_imaginary_modes,
        "imaginary_modes": [mode.model_dump() for mode in doc.imaginary_modes],
        "temperatures": doc.thermal.temperatures,
        "free_energies": doc.thermal.free_energies,
        "entropies": doc.thermal.entropies,
        "heat_capacities": doc.thermal.heat_capacities,
        "zero_point_energy": doc.thermal.zero_point_energy,
        "seconds": doc.seconds["total"],
        "seconds_by_part": doc.seconds,
        "peak_memory": doc.peak_memory,
        "potential": doc.potential.model_dump() if doc.potential else None,
        "source": doc.source,
        "notice": doc.notice,
        "warnings": doc.warnings,
        "calculation_id": doc.calculation_id,
        "document_id": document_id,
        "state": doc.state,
        "units": UNITS,
    }


def table_row(doc: PhononDoc) -> dict[str, str]:
    """One row of the summary table of a run: column header with unit to text."""
    relaxation = doc.relaxation
    before = relaxation.cell_before if relaxation else None
    groups = [relaxation.space_group_before.symbol] if relaxation else []
    heat_capacity = doc.thermal.heat_capacity_300K
    return {
        "formula": doc.composition.formula.replace(" ", "") if doc.composition else "",
        "atoms": str(doc.nsites),
        "space group": " \u2192 ".join([*groups, doc.space_group.symbol]),
        "a, b, c (\u00c5)": _arrow(before, doc.cell, ("a", "b", "c"), 3),
        "\u03b1, \u03b2, \u03b3 (\u00b0)": _arrow(
            before, doc.cell, ("alpha", "beta", "gamma"), 2
        ),
        "lowest frequency (THz)": f"{doc.min_frequency:.4f}",
        "imaginary modes": str(doc.n_imaginary_modes) if doc.has_imaginary_modes else "none",
        "zero-point energy (kJ/mol)": f"{doc.thermal.zero_point_energy:.2f}",
        "Cv at 300 K (J/K/mol)": "" if heat_capacity is None else f"{heat_capacity:.2f}",
        "potential": doc.potential.label if doc.potential else "from files",
        "force evaluations": str(doc.n_force_evaluations),
        "seconds": f"{doc.seconds['total']:.1f}",
        "of the phonon job in potential and numerics": _busy_share(doc),
        "peak memory (GB)": f"{doc.peak_memory:.2f}",
    }


def _busy_share(doc: PhononDoc) -> str:
    """Share of the phonon job's wall time inside the potential and phonopy's numerics."""
    if "phonon_job" not in doc.seconds:
        return ""
    busy = doc.seconds["potential"] + doc.seconds["analysis"]
    return f"{busy / doc.seconds['phonon_job']:.0%}"


def _arrow(
    before: CellParameters | None, after: CellParameters, names: tuple[str, ...], digits: int
) -> str:
    """``before`` and ``after`` values, one line each."""

    def line(cell: CellParameters) -> str:
        return ", ".join(f"{getattr(cell, name):.{digits}f}" for name in names)

    return line(after) if before is None else f"{line(before)}\n\u2192 {line(after)}"
