"""What figures, pages and data files draw from a document: bands, density, labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mofonon.lattice.schemas import PhononDoc

Floats = NDArray[np.float64]

#: Wavenumber (cm^-1) of 1 THz.
PER_CM = 33.35641

#: Molar gas constant (J/K/mol).
GAS_CONSTANT = 8.314462618


@dataclass(frozen=True)
class Bands:
    """Frequencies along a path, segment by segment.

    Attributes
    ----------
    distances : list of ndarray, shape (n_points,)
        Distance along the path (1/A).
    frequencies : list of ndarray, shape (n_points, n_bands)
        Frequencies (THz).
    qpoints : list of ndarray, shape (n_points, 3)
        q-points (reduced coordinates).
    labels : list of tuple of str
        Names of the ends of each segment.
    """

    distances: list[Floats]
    frequencies: list[Floats]
    qpoints: list[Floats]
    labels: list[tuple[str, str]]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where the path has named points, and their names; ``U|K`` where it jumps."""
        if not self.labels:
            return []
        found = [(float(self.distances[0][0]), self.labels[0][0])]
        for index, (_, end) in enumerate(self.labels):
            last = index + 1 == len(self.labels)
            start = end if last else self.labels[index + 1][0]
            name = end if start == end else f"{end}|{start}"
            found.append((float(self.distances[index][-1]), name))
        return found

    @property
    def path(self) -> str:
        """The path in words, such as ``Γ-X-U|K-Γ``."""
        return "-".join(name for _, name in self.ticks)

    def name_of(self, q: tuple[float, float, float]) -> str | None:
        """Name of a q-point of the path's ends, up to a reciprocal lattice vector."""
        for (start, end), qpoints in zip(self.labels, self.qpoints, strict=True):
            for name, point in ((start, qpoints[0]), (end, qpoints[-1])):
                shift = np.asarray(q) - point
                if np.abs(shift - np.round(shift)).max() < 1e-4:
                    return name
        return None


@dataclass(frozen=True)
class Density:
    """Density of states (states/THz/cell) over frequency (THz)."""

    frequencies: Floats
    total: Floats
    by_element: dict[str, Floats]

    def within(self, window: tuple[float, float]) -> tuple[Density, float]:
        """Cut to a window and, if it is wide, average over what a figure resolves.

        The flat bands of a molecular crystal give peaks far thinner than a line on paper;
        averaged over 1/400 of the window they keep their area and can be seen.

        Returns
        -------
        Density
            What to draw.
        float
            Width (THz) it was averaged over; 0 if not.
        """
        inside = (self.frequencies >= window[0]) & (self.frequencies <= window[1])
        x = self.frequencies[inside]
        pitch = float(x[1] - x[0]) if len(x) > 1 else np.inf
        n = int((window[1] - window[0]) / 400 / pitch)
        if n < 8:
            n = 1

        def averaged(values: Floats) -> Floats:
            return values[: len(x) // n * n].reshape(-1, n).mean(axis=1)

        elements = {name: averaged(v[inside]) for name, v in self.by_element.items()}
        density = Density(averaged(x), averaged(self.total[inside]), elements)
        return density, n * pitch if n > 1 else 0.0


def bands_of(doc: PhononDoc) -> Bands:
    """Bands of a document, decoded."""
    cuts = np.cumsum(doc.band_segment_lengths)[:-1]
    arrays = doc.arrays
    return Bands(
        distances=np.split(arrays.band_distances.decode(), cuts),
        frequencies=np.split(arrays.band_frequencies.decode(), cuts),
        qpoints=np.split(arrays.band_qpoints.decode(), cuts),
        labels=[(start, end) for start, end in doc.band_labels],
    )


def density_of(doc: PhononDoc) -> Density:
    """Density of states of a document, decoded."""
    projections = doc.arrays.dos_by_element.decode()
    return Density(
        frequencies=doc.arrays.dos_frequencies.decode(),
        total=doc.arrays.dos_total.decode(),
        by_element=dict(zip(doc.dos_elements, projections, strict=True)),
    )


def notice_of(doc: PhononDoc) -> str | None:
    """Return what must be said wherever numbers of the document are shown, if anything."""
    return doc.notice or (doc.potential.notice if doc.potential else None)


def thermal_caveat_of(doc: PhononDoc) -> str | None:
    """Return what must be said wherever thermal properties are shown, if anything."""
    left_out = doc.thermal.n_modes_left_out
    if not left_out:
        return None
    modes = "imaginary mode" if left_out == 1 else "imaginary modes"
    return f"{left_out} {modes} left out: not the thermal properties of a stable structure"


def frequency_range(doc: PhononDoc) -> tuple[float, float]:
    """Frequencies that a figure shows (THz): all bands with a margin."""
    low = min(0.0, doc.min_frequency, doc.min_frequency_on_path)
    if low > -doc.settings.imaginary_threshold:
        low = 0.0
    high = max(doc.max_frequency, doc.gamma.max_frequency, 1e-3)
    margin = 0.03 * (high - low)
    return (low - margin if low < 0 else 0.0), high + margin


def low_windows(doc: PhononDoc) -> list[float]:
    """Upper ends (THz) of the views of the low frequencies that are worth offering."""
    return [top for top in (5.0, 20.0, 60.0) if top < 0.6 * doc.max_frequency]


def classical_limit(doc: PhononDoc) -> float:
    """Dulong-Petit heat capacity of the cell (J/K/mol)."""
    return 3 * len(doc.structure) * GAS_CONSTANT


def origin_of(doc: PhononDoc) -> str:
    """Where the forces came from: the potential's label or the file's name."""
    if doc.potential is not None:
        return doc.potential.label
    return f"forces from {(doc.source or {}).get('file', 'files')}"
