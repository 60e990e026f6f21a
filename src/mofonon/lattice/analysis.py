"""From force constants to what a phonon calculation is for."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from phonopy import Phonopy
from phonopy.phonon.thermal_properties import GammaAcousticWarning
from phonopy.phonon.thermal_properties import ThermalProperties as PhonopyThermalProperties

from mofonon import progress
from mofonon.lattice.mesh import (
    BandPath,
    GammaModes,
    MeshModes,
    band_path,
    gamma_modes,
    mesh_modes,
)
from mofonon.lattice.settings import PhononSettings
from mofonon.lattice.tetrahedron import frequency_points, tetrahedron_dos

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DensityOfStates:
    """Phonon density of states.

    Attributes
    ----------
    frequencies : ndarray, shape (n_points,)
        Frequency axis (THz).
    total : ndarray, shape (n_points,)
        States per THz and cell.
    elements : tuple of str
        Elements of the projections.
    by_element : ndarray, shape (n_elements, n_points)
        Projections (states per THz and cell); they sum to the total.
    """

    frequencies: Floats
    total: Floats
    elements: tuple[str, ...]
    by_element: Floats


@dataclass(frozen=True)
class ThermalProperties:
    """Harmonic thermal properties, per mole of the cell.

    Attributes
    ----------
    temperatures : ndarray, shape (n_temperatures,)
        Temperatures (K).
    free_energies : ndarray
        Helmholtz free energies of vibration (kJ/mol).
    entropies : ndarray
        Entropies (J/K/mol).
    heat_capacities : ndarray
        Heat capacities at constant volume (J/K/mol).
    zero_point_energy : float
        Zero-point energy (kJ/mol).
    n_modes_left_out : int
        Modes of the mesh that are not in the sums, beyond the three acoustic ones at
        Gamma: those with imaginary frequency. 0 for a stable structure.
    """

    temperatures: Floats
    free_energies: Floats
    entropies: Floats
    heat_capacities: Floats
    zero_point_energy: float
    n_modes_left_out: int


@dataclass(frozen=True)
class ImaginaryMode:
    """Where a frequency is imaginary: q-point (reduced), band index, frequency (THz)."""

    q: tuple[float, float, float]
    band: int
    frequency: float


@dataclass(frozen=True)
class PhononAnalysis:
    """Everything that follows from one set of force constants."""

    modes: MeshModes
    gamma: GammaModes
    bands: BandPath
    dos: DensityOfStates
    thermal: ThermalProperties
    imaginary: list[ImaginaryMode]
    min_frequency: float
    seconds: float


def analyse_phonons(phonon: Phonopy, settings: PhononSettings) -> PhononAnalysis:
    """Compute mesh, density of states, bands, thermal properties and imaginary modes.

    Parameters
    ----------
    phonon : phonopy.Phonopy
        With force constants.
    settings : PhononSettings
        Mesh, pitch, temperatures, thresholds.
    """
    start = time.perf_counter()
    modes = mesh_modes(phonon, settings.mesh)
    gamma = gamma_modes(phonon)
    dos = density_of_states(modes, settings.dos_pitch)
    thermal = thermal_properties(modes, settings)
    bands = band_path(phonon, settings.band_points, settings.symprec)
    return PhononAnalysis(
        modes=modes,
        gamma=gamma,
        bands=bands,
        dos=dos,
        thermal=thermal,
        imaginary=imaginary_modes(modes, gamma, settings.imaginary_threshold),
        min_frequency=lowest_frequency(modes, gamma),
        seconds=time.perf_counter() - start,
    )


def density_of_states(
    modes: MeshModes, pitch: float, points: Floats | None = None
) -> DensityOfStates:
    """Total density of states and its projections on elements, in one pass.

    Parameters
    ----------
    modes : MeshModes
        Modes on the mesh.
    pitch : float
        Spacing of the frequency axis (THz).
    points : ndarray, optional
        The frequency axis itself (THz), equally spaced; overrides ``pitch``.
    """
    progress.report("density of states", 0)
    axis = frequency_points(modes.frequencies, pitch) if points is None else points
    total, by_element = tetrahedron_dos(
        modes.frequencies, modes.tetrahedra, axis, modes.element_shares
    )
    return DensityOfStates(axis, total, modes.elements, by_element)


def thermal_properties(modes: MeshModes, settings: PhononSettings) -> ThermalProperties:
    """Harmonic free energy, entropy and heat capacity by sums over modes (phonopy's).

    The three acoustic modes at Gamma are left out: their frequency is zero but for noise,
    and its logarithm would enter the free energy.

    Parameters
    ----------
    modes : MeshModes
        Modes on the mesh.
    settings : PhononSettings
        Temperatures.
    """
    mesh: Any = SimpleNamespace(
        frequencies=modes.frequencies,
        weights=modes.weights,
        gamma_index=modes.gamma,
        dynamical_matrix=SimpleNamespace(primitive=SimpleNamespace(Z=1)),
    )
    with warnings.catch_warnings():
        # large acoustic frequencies are reported by the document, with their size
        warnings.simplefilter("ignore", GammaAcousticWarning)
        sums: Any = PhonopyThermalProperties(mesh, exclude_gamma_acoustic=True)
    sums.temperatures = np.arange(
        0, settings.temperature_max + settings.temperature_step / 2, settings.temperature_step
    )
    sums.run()
    temperatures, free_energies, entropies, heat_capacities = sums.thermal_properties
    acoustic = 3 if modes.gamma is not None else 0
    return ThermalProperties(
        temperatures=np.asarray(temperatures),
        free_energies=np.asarray(free_energies),
        entropies=np.asarray(entropies),
        heat_capacities=np.asarray(heat_capacities),
        zero_point_energy=float(free_energies[0]),
        n_modes_left_out=int(sums.number_of_modes - sums.number_of_integrated_modes) - acoustic,
    )


def imaginary_modes(
    modes: MeshModes, gamma: GammaModes, threshold: float
) -> list[ImaginaryMode]:
    """Modes with a frequency below ``-threshold`` on the mesh and at Gamma, lowest first.

    The three acoustic modes at Gamma are not judged: what they deviate from zero is the
    accuracy of the force constants, not an instability.
    """
    found = [
        ImaginaryMode((0.0, 0.0, 0.0), int(band), float(gamma.frequencies[band]))
        for band in np.flatnonzero(gamma.frequencies < -threshold)
        if band not in gamma.acoustic_bands
    ]
    for index, band in np.argwhere(modes.frequencies < -threshold):
        if index != modes.gamma:
            a, b, c = (float(x) for x in modes.qpoints[index])
            found.append(
                ImaginaryMode((a, b, c), int(band), float(modes.frequencies[index, band]))
            )
    return sorted(found, key=lambda mode: mode.frequency)


def lowest_frequency(modes: MeshModes, gamma: GammaModes) -> float:
    """Lowest frequency on the mesh and at Gamma (THz), acoustic modes at Gamma left out."""
    others = np.delete(modes.frequencies, [] if modes.gamma is None else modes.gamma, axis=0)
    candidates = [values.min() for values in (others, gamma.optical) if values.size]
    return float(min(candidates)) if candidates else float(gamma.acoustic.min())
