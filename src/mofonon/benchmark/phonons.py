"""Phonons by several methods against a reference (Table 5, Figures 4, 5, 7, 8 of the paper).

What can be compared depends on what a method left: densities of states, bands and thermal
properties from files; from force constants also every mode on a mesh and at Gamma.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jobflow import JobStore
from numpy.typing import NDArray
from phonopy import Phonopy
from pydantic import BaseModel, Field
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.benchmark.inputs import (
    Source,
    document_label,
    document_notice,
    read_document,
)
from mofonon.benchmark.modes import ModeDeviations, compare_modes, sorted_deviations
from mofonon.benchmark.phonon_files import BandLines, ThermalCurves, read_phonon_file
from mofonon.benchmark.spectra import IMAGINARY, DosDistance, Spectrum, spectra_distances
from mofonon.errors import ComparisonError, MofononError
from mofonon.lattice.phonons import to_phonopy_atoms
from mofonon.lattice.phonopy_files import phonons_from_phonopy
from mofonon.lattice.schemas import PhononDoc
from mofonon.lattice.settings import PhononSettings

Floats = NDArray[np.float64]

#: States of two densities that differ by more (relative) are not those of the same cell, or
#: the pitch does not resolve them.
STATES_TOLERANCE = 0.01


@dataclass(frozen=True)
class MethodPhonons:
    """What a method left of its phonons; None for what it did not."""

    label: str
    sources: tuple[str, ...]
    document_id: str | None = None
    notice: str | None = None
    dos: Spectrum | None = None
    bands: BandLines | None = None
    thermal: ThermalCurves | None = None
    doc: PhononDoc | None = field(default=None, repr=False)

    @property
    def min_frequency(self) -> float | None:
        """Lowest frequency known (THz), acoustic modes at Gamma left out of documents."""
        if self.doc is not None:
            return self.doc.min_frequency
        known = [
            self.dos.lowest if self.dos else None,
            self.bands.lowest if self.bands else None,
        ]
        return min((x for x in known if x is not None), default=None)

    @property
    def imaginary(self) -> bool | None:
        """Whether there are imaginary modes; None if nothing tells."""
        if self.doc is not None:
            return self.doc.has_imaginary_modes
        if self.dos is None and self.bands is None:
            return None
        in_dos = self.dos is not None and self.dos.has_imaginary
        return in_dos or (self.bands is not None and self.bands.lowest < -IMAGINARY)


class PhononFacts(BaseModel):
    """Phonons by one method, by themselves."""

    label: str = Field(description="Method.")
    sources: list[str] = Field(description="Files, or id of the document.")
    document_id: str | None = Field(None, description="Id of its document in the store.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    states: float | None = Field(
        description="Integral of the density of states: 3 N where the pitch resolves it."
    )
    min_frequency: float | None = Field(
        description="Lowest frequency, negative for imaginary (THz)."
    )
    imaginary: bool | None = Field(description="Whether there are imaginary modes.")
    temperature: float = Field(description="Temperature of the thermal properties (K).")
    free_energy: float | None = Field(description="Vibrational free energy (kJ/mol of cell).")
    entropy: float | None = Field(description="Entropy (J/K/mol of cell).")
    heat_capacity: float | None = Field(
        description="Heat capacity at constant volume (J/K/mol of cell)."
    )
    zero_point_energy: float | None = Field(description="Free energy at 0 K (kJ/mol of cell).")


class PhononComparison(PhononFacts):
    """Phonons by a method against a reference."""

    dos: DosDistance | None = Field(None, description="Distance of the densities of states.")
    dos_low: DosDistance | None = Field(
        None, description="The same for the low frequencies alone."
    )
    dos_by_element: dict[str, DosDistance] = Field(
        default_factory=dict, description="The same for the part of each element."
    )
    mesh: ModeDeviations | None = Field(None, description="Modes on the mesh.")
    gamma: ModeDeviations | None = Field(
        None, description="Modes at Gamma; from bands without eigenvectors."
    )
    path: ModeDeviations | None = Field(None, description="Bands along the path, sorted.")
    free_energy_deviation: float | None = Field(None, description="kJ/mol of cell.")
    entropy_deviation: float | None = Field(None, description="J/K/mol of cell.")
    heat_capacity_deviation: float | None = Field(None, description="J/K/mol of cell.")
    heat_capacity_rmsd: float | None = Field(
        None, description="Over the temperatures of both (J/K/mol of cell)."
    )
    warnings: list[str] = Field(description="What a reader of the numbers should know.")


@dataclass(frozen=True)
class PhononOptions:
    """What is compared, and how.

    Attributes
    ----------
    mesh : tuple of int
        q-points of the comparison of modes.
    broadening : float
        Gaussian of the overlap of densities (THz).
    low : float
        Upper end of the low frequencies (THz).
    temperature : float
        Of the thermal properties (K).
    settings : PhononSettings
        Of phonons from phonopy.yaml.
    """

    mesh: tuple[int, int, int] = (11, 11, 11)
    broadening: float = 0.25
    low: float = 10.0
    temperature: float = 300.0
    settings: PhononSettings = field(default_factory=PhononSettings)


def read_phonons(
    source: Source, store: JobStore | None, settings: PhononSettings
) -> MethodPhonons:
    """Read what a file or a document holds of phonons.

    Parameters
    ----------
    source : Source
        A file of phonopy, janus-core or mofonon, or a PhononDoc.
    store : JobStore or None
        Needed for documents.
    settings : PhononSettings
        Mesh and pitch for phonopy.yaml with forces.

    Raises
    ------
    ComparisonError
        It is something else.
    """
    if source.path is None:
        document = read_document(source, store, with_arrays=True)
        if document.get("@class") != "PhononDoc":
            raise ComparisonError(
                f"document {source.document_id} is a {document.get('@class')}",
                "name phonon documents (mofonon query)",
            )
        label = source.label or document_label(document)
        doc = PhononDoc.model_validate(document)
        found = _from_document(doc, label, document["document_id"])
        return replace(
            found,
            document_id=document["document_id"],
            notice=document_notice(document),
        )
    content = read_phonon_file(source.path)
    if content is None:
        doc = phonons_from_phonopy(source.path, settings)
        return _from_document(doc, source.label, str(source.path))
    found = MethodPhonons(source.label, (str(source.path),))
    if isinstance(content, Spectrum):
        return replace(found, dos=content)
    if isinstance(content, BandLines):
        return replace(found, bands=content)
    return replace(found, thermal=content)


def merge(methods: Sequence[MethodPhonons]) -> list[MethodPhonons]:
    """Join what has the same label, so that a method may come in several files."""
    joined: dict[str, MethodPhonons] = {}
    for one in methods:
        there = joined.get(one.label)
        joined[one.label] = one if there is None else _joined(there, one)
    return list(joined.values())


def compare_phonons(
    reference: MethodPhonons, candidates: Sequence[MethodPhonons], options: PhononOptions
) -> tuple[PhononFacts, list[PhononComparison]]:
    """Compare phonons with a reference.

    Parameters
    ----------
    reference : MethodPhonons
        The reference; it is flagged if it has imaginary modes.
    candidates : sequence of MethodPhonons
        What is compared with it.
    options : PhononOptions
        Mesh, broadening, temperature.
    """
    facts = PhononFacts(**_facts(reference, options))
    return facts, [_compare(reference, one, facts, options) for one in candidates]


def phonopy_of(doc: PhononDoc) -> Phonopy:
    """Make a phonopy object with the force constants of a document."""
    phonon = Phonopy(
        to_phonopy_atoms(AseAtomsAdaptor.get_atoms(doc.structure, msonable=False)),
        supercell_matrix=np.array(doc.supercell_matrix),
        primitive_matrix="P",
        symprec=doc.settings.symprec,
    )
    force_constants = doc.arrays.force_constants.decode()
    if force_constants.shape[:2] != (len(doc.structure), len(phonon.supercell)):
        raise ComparisonError(
            "force constants of another cell than the unit cell cannot be compared by mode",
            "compute the phonons of the primitive cell itself",
        )
    phonon.force_constants = force_constants
    return phonon


def _from_document(doc: PhononDoc, label: str, source: str) -> MethodPhonons:
    arrays = doc.arrays
    cuts = np.cumsum(doc.band_segment_lengths)[:-1]
    projections = arrays.dos_by_element.decode()
    return MethodPhonons(
        label=label,
        sources=(source,),
        notice=doc.notice,
        dos=Spectrum(
            arrays.dos_frequencies.decode(),
            arrays.dos_total.decode(),
            dict(zip(doc.dos_elements, projections, strict=True)),
        ),
        bands=BandLines(
            distances=np.split(arrays.band_distances.decode(), cuts),
            frequencies=np.split(arrays.band_frequencies.decode(), cuts),
            qpoints=np.split(arrays.band_qpoints.decode(), cuts),
            labels=[(start, end) for start, end in doc.band_labels],
        ),
        thermal=ThermalCurves(
            np.array(doc.thermal.temperatures),
            np.array(doc.thermal.free_energies),
            np.array(doc.thermal.entropies),
            np.array(doc.thermal.heat_capacities),
        ),
        doc=doc,
    )


def _joined(one: MethodPhonons, other: MethodPhonons) -> MethodPhonons:
    parts: dict[str, Any] = {}
    for name in ("dos", "bands", "thermal", "doc"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine is not None and theirs is not None:
            raise ComparisonError(
                f"{one.label} has its {name} twice: {', '.join(one.sources + other.sources)}",
                "give each method a label of its own (LABEL=PATH)",
            )
        parts[name] = mine if mine is not None else theirs
    return replace(
        one,
        sources=one.sources + other.sources,
        document_id=one.document_id or other.document_id,
        notice=one.notice or other.notice,
        **parts,
    )


def _facts(method: MethodPhonons, options: PhononOptions) -> dict[str, Any]:
    free, entropy, capacity, zero = _thermal_at(method, options.temperature)
    return {
        "label": method.label,
        "sources": list(method.sources),
        "document_id": method.document_id,
        "notice": method.notice,
        "states": method.dos.states if method.dos else None,
        "min_frequency": method.min_frequency,
        "imaginary": method.imaginary,
        "temperature": options.temperature,
        "free_energy": free,
        "entropy": entropy,
        "heat_capacity": capacity,
        "zero_point_energy": zero,
    }


def _thermal_at(method: MethodPhonons, temperature: float) -> tuple[float | None, ...]:
    """Free energy, entropy, heat capacity at a temperature, and the zero-point energy."""
    curves = method.thermal
    if curves is None:
        return None, None, None, None
    t = curves.temperatures
    if not t.min() <= temperature <= t.max():
        return None, None, None, None
    free, entropy, capacity = (
        float(np.interp(temperature, t, values))
        for values in (curves.free_energies, curves.entropies, curves.heat_capacities)
    )
    return free, entropy, capacity, float(curves.free_energies[0]) if t[0] == 0 else None


def _compare(
    reference: MethodPhonons,
    candidate: MethodPhonons,
    facts: PhononFacts,
    options: PhononOptions,
) -> PhononComparison:
    own = _facts(candidate, options)
    warnings: list[str] = []
    parts: dict[str, Any] = {}
    if reference.dos is not None and candidate.dos is not None:
        parts |= _compare_dos(reference.dos, candidate.dos, options, warnings)
    if reference.doc is not None and candidate.doc is not None:
        try:
            parts["mesh"], parts["gamma"] = compare_modes(
                phonopy_of(reference.doc), phonopy_of(candidate.doc), options.mesh
            )
        except MofononError as error:
            warnings.append(f"modes are not compared: {error.message}")
    if reference.bands is not None and candidate.bands is not None:
        parts |= _compare_bands(reference.bands, candidate.bands, parts.get("gamma"), warnings)
    for name in ("free_energy", "entropy", "heat_capacity"):
        ours, theirs = getattr(facts, name), own[name]
        both = ours is not None and theirs is not None
        parts[f"{name}_deviation"] = theirs - ours if both else None
    parts["heat_capacity_rmsd"] = _heat_capacity_rmsd(reference.thermal, candidate.thermal)
    if own["imaginary"]:
        warnings.append("it has imaginary modes")
    return PhononComparison(**own, **parts, warnings=warnings)


def _compare_dos(
    reference: Spectrum, candidate: Spectrum, options: PhononOptions, warnings: list[str]
) -> dict[str, Any]:
    if abs(candidate.states / reference.states - 1) > STATES_TOLERANCE:
        warnings.append(
            f"the densities hold {reference.states:.1f} and {candidate.states:.1f} states: "
            "other cells, or flat bands that the pitch does not resolve; each is normalised by "
            "itself"
        )
    total, by_element = spectra_distances(reference, candidate, options.broadening)
    low, _ = spectra_distances(
        _below(reference, options.low), _below(candidate, options.low), options.broadening
    )
    return {"dos": total, "dos_by_element": by_element, "dos_low": low}


def _below(spectrum: Spectrum, top: float) -> Spectrum:
    inside = spectrum.frequencies <= top
    return Spectrum(spectrum.frequencies[inside], spectrum.total[inside], {})


def _compare_bands(
    reference: BandLines,
    candidate: BandLines,
    gamma: ModeDeviations | None,
    warnings: list[str],
) -> dict[str, Any]:
    """Compare bands along a path that both have, and at Gamma where it is on it."""
    same = reference.labels == candidate.labels and all(
        one.shape[1] == other.shape[1]
        for one, other in zip(reference.frequencies, candidate.frequencies, strict=True)
    )
    if not same:
        warnings.append("bands are on other paths or of other cells: not compared")
        return {}
    resampled = [
        _resampled(one, other)
        for one, other in zip(reference.frequencies, candidate.frequencies, strict=True)
    ]
    parts = {"path": sorted_deviations(np.vstack(reference.frequencies), np.vstack(resampled))}
    ours, theirs = reference.at_gamma, candidate.at_gamma
    if gamma is None and ours is not None and theirs is not None:
        parts["gamma"] = sorted_deviations(ours[None], theirs[None])
    return parts


def _resampled(reference: Floats, candidate: Floats) -> Floats:
    """Sorted bands of a segment at the points of another, linear along the segment."""
    ordered = np.sort(candidate, axis=1)
    if len(ordered) == len(reference):
        return ordered
    points = np.linspace(0, 1, len(reference))
    own = np.linspace(0, 1, len(ordered))
    return np.array([np.interp(points, own, band) for band in ordered.T]).T


def _heat_capacity_rmsd(
    reference: ThermalCurves | None, candidate: ThermalCurves | None
) -> float | None:
    if reference is None or candidate is None:
        return None
    t = reference.temperatures
    inside = (t >= candidate.temperatures.min()) & (t <= candidate.temperatures.max())
    if not inside.any():
        return None
    theirs = np.interp(t[inside], candidate.temperatures, candidate.heat_capacities)
    return float(np.sqrt(np.mean((theirs - reference.heat_capacities[inside]) ** 2)))
