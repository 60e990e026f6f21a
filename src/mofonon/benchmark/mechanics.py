"""Bulk moduli and thermal expansion of several methods (Figure 6 and Table 6 of the paper).

Values come from tables (CSV), documents of the store, or the literature; each keeps its
conditions and its source.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from mofonon.benchmark.literature import Literature
from mofonon.errors import ComparisonError

#: Class names of documents that have what is compared here.
BULK_MODULUS_DOC, QHA_DOC = "BulkModulusDoc", "QhaDoc"

#: Temperatures (K) that differ by less are the same.
SAME_TEMPERATURE = 0.5

Kind = Literal["linear", "volumetric", "unspecified"]

_BULK_UNIT = re.compile(r"\s*\(GPa\)\s*$")
_POWER = re.compile(
    r"^(?P<mof>.+?)\s*(?:x|\u00d7)\s*10\^?\(?(?P<power>-?\d+)\)?\s*(?:/\s*K|K\^?-1)"
)
_MICRO = re.compile(r"^(?P<mof>.+?)\s*\(\s*(?:1e-6|10\^-6)\s*/\s*K\s*\)")


class PropertyValue(BaseModel):
    """A property of a MOF by a method."""

    mof: str = Field(description="Name of the MOF; its formula where it has none here.")
    method: str = Field(description="Potential, DFT, experiment.")
    value: float = Field(description="GPa for a bulk modulus, 1e-6/K for an expansion.")
    error: float | None = Field(
        None,
        description="Uncertainty in the same unit, where known; of a BulkModulusDoc the "
        "largest difference between its fits.",
    )
    kind: Kind | None = Field(
        None, description="Whether an expansion is linear or volumetric, where the source says."
    )
    temperature: float | None = Field(None, description="Temperature (K), for an expansion.")
    conditions: str = Field("", description="Conditions, as far as the source says.")
    source: str = Field(description="File, document or publication.")
    document_id: str | None = Field(None, description="Id of the document in the store.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the number.")
    reference: float | None = Field(
        None, description="Value of the reference method for this MOF, in the same unit."
    )
    deviation_percent: float | None = Field(
        None, description="Deviation from the reference method, with sign (%)."
    )


class MethodStatistics(BaseModel):
    """How a method does over all MOFs that the reference has too."""

    method: str = Field(description="The method.")
    n: int = Field(description="MOFs compared.")
    mean_absolute_error: float = Field(description="In the unit of the property.")
    mean_absolute_deviation_percent: float = Field(description="Mean of |deviation| (%).")
    mean_deviation_percent: float = Field(description="Mean of the deviations (%).")


class ExpansionSeries(BaseModel):
    """Thermal expansion of a MOF over temperature."""

    mof: str = Field(description="Name of the MOF.")
    method: str = Field(description="The method.")
    kind: Kind = Field(description="linear, volumetric, or unspecified by the source.")
    temperatures: list[float] = Field(description="Temperatures (K), ascending.")
    values: list[float] = Field(description="Expansion coefficients (1e-6/K).")
    conditions: str = Field("", description="Conditions, as far as the source says.")
    source: str = Field(description="File or document.")
    document_id: str | None = Field(None, description="Id of the document in the store.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")

    def at(self, temperature: float) -> PropertyValue:
        """Expansion at a temperature, by linear interpolation.

        Parameters
        ----------
        temperature : float
            In K.

        Raises
        ------
        ComparisonError
            The temperature is outside the series.
        """
        low, high = self.temperatures[0], self.temperatures[-1]
        if not low <= temperature <= high:
            raise ComparisonError(
                f"{self.mof} by {self.method} has no expansion at {temperature:g} K",
                f"choose a temperature from {low:g} to {high:g} K",
            )
        return PropertyValue(
            mof=self.mof,
            method=self.method,
            value=float(np.interp(temperature, self.temperatures, self.values)),
            kind=self.kind,
            temperature=temperature,
            conditions=self.conditions,
            source=self.source,
            document_id=self.document_id,
            notice=self.notice,
        )


def read_properties(
    path: Path, label: str
) -> tuple[list[PropertyValue], list[ExpansionSeries]]:
    """Read a CSV table of bulk moduli or of thermal expansion.

    Bulk moduli: a column ``mof`` and one column a method, ``(GPa)`` in the header or not;
    ``<method> error`` holds uncertainties and ``ref <method>`` sources. Text columns and
    columns without header are passed over. Expansion: a column ``Temperature`` (K) and one
    column a MOF, such as ``MOF-5 x 10^(6) K^-1`` or ``MOF-5 (1e-6/K)``.

    Parameters
    ----------
    path : Path
        The file.
    label : str
        Method of an expansion table.

    Raises
    ------
    ComparisonError
        The file is neither, or a number cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ComparisonError(
            f"{path} cannot be read as CSV: {error}", "save the table as CSV in UTF-8"
        ) from error
    first = rows[0][0].strip().lower() if rows and rows[0] else ""
    if first in ("mof", "name", "structure"):
        return list(_bulk_moduli(rows, path)), []
    if first.startswith(("temperature", "t (k)")):
        return [], list(_expansion(rows, path, label))
    raise ComparisonError(
        f"{path} is no table of bulk moduli or of thermal expansion",
        "its first column must be 'mof' or 'Temperature'",
    )


def properties_of_document(
    document: dict[str, Any], label: str, literature: Literature
) -> tuple[list[PropertyValue], list[ExpansionSeries]]:
    """Take bulk modulus or thermal expansion from a document.

    Parameters
    ----------
    document : dict
        A BulkModulusDoc or a QhaDoc, as the store gives it.
    label : str
        Name of the method.
    literature : Literature
        Knows the names of MOFs.

    Raises
    ------
    ComparisonError
        It is another kind of document.
    """
    kind = document.get("@class")
    notice = document.get("notice") or (document.get("potential") or {}).get("notice")
    shared = {
        "mof": literature.name_of(document["formula_pretty"]) or document["formula_pretty"],
        "method": label,
        "source": f"document {document['document_id']}",
        "document_id": document["document_id"],
        "notice": notice,
    }
    if kind == BULK_MODULUS_DOC:
        fits = [fit["bulk_modulus"] for fit in document["fits"].values()]
        settings = document["settings"]
        value = PropertyValue(
            **shared,
            value=document["bulk_modulus"],
            error=max(fits) - min(fits),
            conditions=f"0 K; {settings['equation_of_state'].replace('_', '-')} on cells "
            f"strained by up to {100 * settings['max_linear_strain']:g} %",
        )
        return [value], []
    if kind == QHA_DOC:
        return [], [
            series
            for name in ("linear", "volumetric")
            if (series := _series_of_document(document, name, shared)) is not None
        ]
    raise ComparisonError(
        f"document {document['document_id']} is a {kind}",
        "name bulk-modulus or qha documents (mofonon query --type bulk-modulus)",
    )


def add_literature(
    values: Sequence[PropertyValue], mofs: Sequence[str], literature: Literature
) -> list[PropertyValue]:
    """Add published bulk moduli of the MOFs, by methods that are not among the values.

    Parameters
    ----------
    values : sequence of PropertyValue
        What is there.
    mofs : sequence of str
        Names of the MOFs wanted.
    literature : Literature
        Published values.
    """
    there = {(value.mof.lower(), value.method.lower()) for value in values}
    added = []
    for entry in literature.bulk_modulus:
        known = (entry.mof.lower(), entry.method.lower()) in there
        if entry.mof in mofs and not known:
            source = literature.sources[entry.source]
            added.append(
                PropertyValue(
                    mof=entry.mof,
                    method=entry.method,
                    value=entry.value,
                    error=entry.error,
                    conditions=source.conditions,
                    source=source.citation,
                )
            )
    together = [*values, *added]
    order = list(dict.fromkeys(value.mof for value in together))
    return sorted(together, key=lambda value: order.index(value.mof))


def published_expansion(
    mofs: Sequence[str], temperature: float, literature: Literature
) -> list[PropertyValue]:
    """Find published expansion coefficients of MOFs at a temperature (K)."""
    return [
        PropertyValue(
            mof=entry.mof,
            method=entry.method,
            value=entry.value,
            error=entry.error,
            kind=entry.kind,
            temperature=entry.temperature,
            conditions=literature.sources[entry.source].conditions,
            source=literature.sources[entry.source].citation,
        )
        for entry in literature.thermal_expansion
        if entry.mof in mofs and abs(entry.temperature - temperature) < SAME_TEMPERATURE
    ]


def with_deviations(values: Sequence[PropertyValue], reference: str) -> list[PropertyValue]:
    """Set the deviations from a method, MOF by MOF.

    Parameters
    ----------
    values : sequence of PropertyValue
        Of one property.
    reference : str
        Name of the method, in upper or lower case.

    Raises
    ------
    ComparisonError
        No value is by that method.
    """
    by_mof = {v.mof: v.value for v in values if v.method.lower() == reference.lower()}
    if not by_mof:
        methods = ", ".join(dict.fromkeys(value.method for value in values))
        raise ComparisonError(
            f"no value is by {reference}", f"choose the --reference among {methods}"
        )
    out = []
    for value in values:
        other = by_mof.get(value.mof)
        itself = value.method.lower() == reference.lower()
        deviation = (
            None if other is None or itself else 100 * (value.value - other) / abs(other)
        )
        out.append(
            value.model_copy(update={"reference": other, "deviation_percent": deviation})
        )
    return out


def statistics(values: Sequence[PropertyValue]) -> list[MethodStatistics]:
    """Mean deviations of each method over the MOFs that the reference has."""
    by_method: dict[str, list[PropertyValue]] = {}
    for value in values:
        if value.deviation_percent is not None:
            by_method.setdefault(value.method, []).append(value)
    return [
        MethodStatistics(
            method=method,
            n=len(those),
            mean_absolute_error=float(
                np.mean([abs(v.value - v.reference) for v in those if v.reference is not None])
            ),
            mean_absolute_deviation_percent=float(
                np.mean([abs(v.deviation_percent or 0.0) for v in those])
            ),
            mean_deviation_percent=float(np.mean([v.deviation_percent or 0.0 for v in those])),
        )
        for method, those in by_method.items()
    ]


def _bulk_moduli(rows: list[list[str]], path: Path) -> Iterator[PropertyValue]:
    header = [cell.strip() for cell in rows[0]]
    names = [_method_name(cell) for cell in header]
    columns = [
        index
        for index, name in enumerate(names)
        if index and name and not name.lower().endswith(" error") and _numeric(rows[1:], index)
    ]
    if not columns:
        raise ComparisonError(
            f"{path} has no column of numbers under the name of a method",
            "put the name of the method above its column",
        )
    lower = [name.lower() for name in names]
    for row in rows[1:]:
        for index in columns:
            text = _cell(row, index)
            if not text:
                continue
            source, error = f"ref {lower[index]}", f"{lower[index]} error"
            cited = _cell(row, lower.index(source)) if source in lower else ""
            uncertainty = _cell(row, lower.index(error)) if error in lower else ""
            yield PropertyValue(
                mof=row[0].strip(),
                method=names[index],
                value=float(text),
                error=float(uncertainty) if uncertainty else None,
                source=f"{path}" + (f", which names {cited}" if cited else ""),
            )


def _method_name(header: str) -> str:
    name = _BULK_UNIT.sub("", header)
    known = {"dft": "DFT", "experiment": "experiment", "exp": "experiment"}
    return known.get(name.lower(), name)


def _numeric(rows: list[list[str]], index: int) -> bool:
    cells = [text for row in rows if (text := _cell(row, index))]
    try:
        return bool(cells) and all(np.isfinite(float(text)) for text in cells)
    except ValueError:
        return False


def _cell(row: list[str], index: int) -> str:
    return row[index].strip() if index < len(row) else ""


def _expansion(rows: list[list[str]], path: Path, label: str) -> Iterator[ExpansionSeries]:
    for index, header in enumerate(rows[0]):
        if index == 0 or not header.strip():
            continue
        mof, factor = _expansion_column(header.strip(), path)
        pairs = [(_cell(row, 0), _cell(row, index)) for row in rows[1:]]
        try:
            points = sorted((float(t), factor * float(v)) for t, v in pairs if t and v)
        except ValueError as error:
            raise ComparisonError(
                f"{path}, column {header!r}: {error}",
                "write numbers only, or leave the cell empty",
            ) from error
        if not points:
            continue
        yield ExpansionSeries(
            mof=mof,
            method=label,
            kind="unspecified",
            temperatures=[t for t, _ in points],
            values=[v for _, v in points],
            conditions="the file does not say whether linear or volumetric",
            source=str(path),
        )


def _expansion_column(header: str, path: Path) -> tuple[str, float]:
    """MOF of a column and the factor that makes its numbers 1e-6/K."""
    if match := _POWER.match(header):
        # the heading 'x 10^(6) K^-1' is over numbers that were multiplied by 1e6
        return match["mof"], 10.0 ** (6 - abs(int(match["power"])))
    if match := _MICRO.match(header):
        return match["mof"], 1.0
    raise ComparisonError(
        f"{path}, column {header!r}: the unit is not clear",
        "write the header as 'MOF-5 (1e-6/K)'",
    )


def _series_of_document(
    document: dict[str, Any], name: Literal["linear", "volumetric"], shared: dict[str, Any]
) -> ExpansionSeries | None:
    """Thermal expansion of a QhaDoc where the volumes are inside those computed."""
    series = document["series"]
    points = [
        (t, value)
        for t, value, inside in zip(
            series["temperatures"], series[f"cte_{name}"], series["inside"], strict=True
        )
        if value is not None and inside
    ]
    if not points:
        return None
    return ExpansionSeries(
        **shared,
        kind=name,
        temperatures=[t for t, _ in points],
        values=[value for _, value in points],
        conditions="quasi-harmonic approximation, zero pressure",
    )
