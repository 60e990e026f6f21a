"""What a VASP calculation will cost, before it is submitted: a rule of thumb.

Sizes (k-points, electrons, bands, plane waves) follow from structure and input set and are
those that VASP prints, to a few per cent. Time is counted in floating-point operations of an
electronic step: for each band, k-point and spin :data:`HAMILTONIANS` products with the
Hamiltonian, each two FFTs of 5 N log2 N operations, and three products of all bands with all
bands over the plane waves (orthogonalization, subspace matrix, rotation), 8 operations each;
half of that at Gamma alone: the terms of Kresse and Furthmueller, Comput. Mater. Sci. 6, 15
(1996) and Phys. Rev. B 54, 11169 (1996). It is divided by ``flops_per_core``, 1e9, which
VASP sustains on present CPUs, limited by memory. Expect a factor of three either way;
:class:`CostAssumptions` takes what was measured on your machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import spglib
from pydantic import BaseModel, Field
from pymatgen.core import Structure

from mofonon.dft.eos import MofEosMaker
from mofonon.dft.jobs import MofRelaxMaker, MofStaticMaker
from mofonon.dft.potcars import electrons
from mofonon.dft.schemas import CostAssumptions
from mofonon.dft.sets import gamma_mesh

#: Products with the Hamiltonian for each band in an electronic step (Davidson, RMM-DIIS).
HAMILTONIANS = 4

#: h^2/2m (eV A^2).
_HBAR2_2M = 3.80998212

#: Copies of the wave functions that are in memory at a time.
_COPIES = 2.5


class CalculationSize(BaseModel):
    """Sizes of a calculation, as VASP will print them, and its cost."""

    name: str = Field(description="Name of the structure.")
    formula: str = Field(description="Formula of the cell.")
    n_atoms: int = Field(description="Atoms in the cell.")
    n_electrons: float = Field(description="Valence electrons.")
    spin: bool = Field(description="Whether with spin.")
    mesh: tuple[int, int, int] = Field(description="Divisions of the k-point mesh.")
    n_kpoints: int = Field(description="Irreducible k-points.")
    gamma_only: bool = Field(description="Whether the Gamma-only binary runs it.")
    n_bands: int = Field(description="Bands, VASP's default.")
    n_plane_waves: int = Field(description="Plane waves at a k-point.")
    memory: float = Field(description="Memory, over all cores (GB).")
    core_hours: dict[str, float] = Field(
        description="Core-hours of relax, eos and static, of those asked for."
    )

    @property
    def total_core_hours(self) -> float:
        """Core-hours in all."""
        return sum(self.core_hours.values())


def calculation_size(
    structure: Structure,
    name: str,
    *,
    relax: MofRelaxMaker | None,
    eos: MofEosMaker | None,
    static: MofStaticMaker | None,
    assumptions: CostAssumptions | None = None,
) -> CalculationSize:
    """Estimate what the labels of a structure cost.

    Parameters
    ----------
    structure : Structure
        The structure.
    name : str
        Its name.
    relax, eos, static : Makers or None
        What is calculated.
    assumptions : CostAssumptions, optional
        Steps, and speed of a core.

    Returns
    -------
    CalculationSize
        Sizes, memory and core-hours.

    Raises
    ------
    PotcarError
        When an element has no POTCAR in release 54.
    """
    assumed = assumptions or CostAssumptions()
    maker = relax or static or (eos.eos_relax_maker if eos else None) or MofStaticMaker()
    tags = input_tags(structure, maker)
    mesh = tuple(int(n) for n in gamma_mesh(structure).kpts[0])
    n_electrons = electrons(structure)
    spin = int(tags["ISPIN"]) == 2
    n_bands = default_bands(n_electrons, len(structure), sum(tags.get("MAGMOM") or [0.0]))
    cutoff = float(tags["ENCUT"])
    n_kpoints, gamma_only = irreducible_kpoints(structure, mesh), mesh == (1, 1, 1)
    n_plane_waves = plane_waves(structure.volume, cutoff)
    points = fft_points(structure.volume, cutoff)
    sets = n_kpoints * (2 if spin else 1)
    operations = electronic_step_operations(n_bands, n_plane_waves, points, real=gamma_only)
    hours = sets * operations / assumed.flops_per_core / 3600

    steps = _electronic_steps(relax, eos, static, assumed)
    return CalculationSize(
        name=name,
        formula=structure.composition.formula.replace(" ", ""),
        n_atoms=len(structure),
        n_electrons=n_electrons,
        spin=spin,
        mesh=mesh,
        n_kpoints=n_kpoints,
        gamma_only=gamma_only,
        n_bands=n_bands,
        n_plane_waves=n_plane_waves,
        memory=memory(sets, n_bands, n_plane_waves, points, real=gamma_only),
        core_hours={kind: hours * number for kind, number in steps.items()},
    )


def input_tags(structure: Structure, maker: Any) -> dict[str, Any]:
    """INCAR of a structure by the input set of a Maker; needs no POTCAR."""
    from dataclasses import replace

    generator = replace(maker.input_set_generator, structure=None)
    generator.structure = structure.copy()
    return dict(generator.incar)


def default_bands(n_electrons: float, n_atoms: int, moment: float) -> int:
    """NBANDS that VASP sets by itself (main.F; pymatgen's estimate_nbands)."""
    bands = max((n_electrons + 2) // 2 + max(n_atoms // 2, 3), 0.6 * n_electrons // 1)
    return int(bands + (moment + 1) // 2)


def irreducible_kpoints(structure: Structure, mesh: tuple[int, ...]) -> int:
    """K-points of a Gamma-centred mesh that symmetry and time reversal leave."""
    cell = (
        structure.lattice.matrix.tolist(),
        structure.frac_coords.tolist(),
        [site.specie.Z for site in structure],
    )
    mapping, _ = spglib.get_ir_reciprocal_mesh(list(mesh), cell, is_shift=[0, 0, 0])
    return len(np.unique(mapping))


def plane_waves(volume: float, cutoff: float) -> int:
    """Plane waves below a cutoff: the volume of their sphere times V / (2 pi)^3.

    Parameters
    ----------
    volume : float
        Volume of the cell (A^3).
    cutoff : float
        ENCUT (eV).
    """
    return round(volume * (cutoff / _HBAR2_2M) ** 1.5 / (6 * np.pi**2))


def fft_points(volume: float, cutoff: float) -> int:
    """Points of the FFT grid of wave functions with PREC = Accurate: twice the sphere."""
    return round(volume * (2 * np.sqrt(cutoff / _HBAR2_2M) / np.pi) ** 3)


def electronic_step_operations(
    n_bands: int, n_plane_waves: int, n_points: int, *, real: bool
) -> float:
    """Floating-point operations of an electronic step for one k-point and spin."""
    hamiltonian = n_bands * HAMILTONIANS * 2 * 5 * n_points * np.log2(n_points)
    dense = 3 * 8 * n_bands**2 * n_plane_waves
    return float((hamiltonian + dense) * (0.5 if real else 1.0))


def memory(sets: int, n_bands: int, n_plane_waves: int, n_points: int, *, real: bool) -> float:
    """Memory of wave functions and of fields on the fine grid, eight times as dense (GB)."""
    wave_functions = sets * n_bands * n_plane_waves * (8 if real else 16) * _COPIES
    fields = 10 * 8 * n_points * 16
    return float((wave_functions + fields) / 1e9)


def _electronic_steps(
    relax: MofRelaxMaker | None,
    eos: MofEosMaker | None,
    static: MofStaticMaker | None,
    assumed: CostAssumptions,
) -> dict[str, int]:
    """Electronic steps of each kind of calculation."""
    steps = {}
    first, further = assumed.first_electronic_steps, assumed.further_electronic_steps
    if relax is not None:
        steps["relax"] = first + assumed.ionic_steps * further
    if eos is not None:
        each = first
        if isinstance(eos.eos_relax_maker, MofRelaxMaker):
            each += assumed.ionic_steps_fixed_cell * further
        steps["eos"] = eos.number_of_frames * each
    if static is not None:
        steps["static"] = first
    return steps
