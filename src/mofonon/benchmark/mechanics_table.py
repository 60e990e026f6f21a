"""The table of bulk moduli and thermal expansion."""

from __future__ import annotations

from collections.abc import Sequence

from mofonon.benchmark.inputs import origin
from mofonon.benchmark.mechanics import (
    ExpansionSeries,
    MethodStatistics,
    PropertyValue,
    statistics,
)
from mofonon.benchmark.tables import Table, number, signed


def mechanics_table(
    bulk_moduli: Sequence[PropertyValue],
    expansion: Sequence[PropertyValue],
    series: Sequence[ExpansionSeries],
    reference: str,
    failed: Sequence[dict[str, str]] = (),
) -> Table:
    """Lay out properties by several methods: one row a number, with its source.

    Parameters
    ----------
    bulk_moduli, expansion : sequence of PropertyValue
        With deviations where the reference has the MOF.
    series : sequence of ExpansionSeries
        Expansion over temperature, for the records.
    reference : str
        Method that bulk moduli are compared with.
    failed : sequence of dict
        Inputs that could not be read: label, source, error, message, remedy.
    """
    sources = list(
        dict.fromkeys(
            f"{origin(v.source, v.document_id)}" + (f"; {v.conditions}" if v.conditions else "")
            for v in (*bulk_moduli, *expansion)
        )
    )
    means = statistics(bulk_moduli)
    rows = [_row(v, "bulk modulus (GPa)", sources, 2) for v in bulk_moduli]
    rows += [_row(v, _expansion_name(v), sources, 3) for v in expansion]
    notes = [_mean_note(entry, reference) for entry in means]
    notes += [f"[{index + 1}] {source}" for index, source in enumerate(sources)]
    notes += sorted({f"{v.method}: {v.notice}" for v in (*bulk_moduli, *expansion) if v.notice})
    notes += [f"{entry['label']}: failed, {entry['message']}" for entry in failed]
    return Table(
        name="mechanics",
        title=f"Bulk moduli and thermal expansion, deviations from {reference}",
        header=["MOF", "property", "method", "value", "\u0394 (%)", "source"],
        rows=rows,
        notes=notes,
        records=[
            *(
                {"property": "bulk_modulus", "unit": "GPa", **v.model_dump()}
                for v in bulk_moduli
            ),
            *(
                {"property": "thermal_expansion", "unit": "1e-6/K", **v.model_dump()}
                for v in expansion
            ),
        ],
        payload={
            "reference": reference,
            "bulk_moduli": [v.model_dump() for v in bulk_moduli],
            "expansion": [v.model_dump() for v in expansion],
            "expansion_series": [s.model_dump() for s in series],
            "statistics": [entry.model_dump() for entry in means],
            "failed": list(failed),
            "units": {"bulk_moduli": "GPa", "expansion": "1e-6/K", "temperature": "K"},
        },
    )


def _row(value: PropertyValue, name: str, sources: Sequence[str], digits: int) -> list[str]:
    source = f"{origin(value.source, value.document_id)}" + (
        f"; {value.conditions}" if value.conditions else ""
    )
    error = "" if value.error is None else f" \u00b1 {number(value.error, digits)}"
    return [
        value.mof,
        name,
        value.method,
        number(value.value, digits) + error,
        signed(value.deviation_percent, 1),
        f"[{sources.index(source) + 1}]",
    ]


def _expansion_name(value: PropertyValue) -> str:
    kind = "" if value.kind == "unspecified" else f"{value.kind} "
    return f"{kind}expansion at {value.temperature:g} K (1e-6/K)"


def _mean_note(entry: MethodStatistics, reference: str) -> str:
    return (
        f"{entry.method} against {reference}, {entry.n} MOFs: mean |\u0394| "
        f"{entry.mean_absolute_deviation_percent:.1f} % ({entry.mean_absolute_error:.2f} GPa), "
        f"mean \u0394 {entry.mean_deviation_percent:+.1f} %"
    )
