"""Thermal expansion by molecular dynamics: relax, a trajectory at each temperature, fit.

Each temperature is a job of its own, so that they spread over workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from jobflow import Flow, Maker, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.arrays import EncodedArray
from mofonon.dynamics import run_dynamics
from mofonon.lattice.expansion_documents import (
    expansion_calculation_id,
    expansion_document,
    npt_document,
)
from mofonon.lattice.expansion_schemas import (
    MdExpansionDoc,
    MdExpansionSettings,
    NptDoc,
    TemperaturePoint,
)
from mofonon.lattice.jobs import RelaxMaker, evaluation_log_path, relax_first
from mofonon.lattice.schemas import RelaxDoc
from mofonon.potentials import (
    LoggedCalculator,
    PotentialDescription,
    PotentialSpec,
    check_elements,
    describe_potential,
    make_calculator,
)
from mofonon.provenance import content_hash
from mofonon.settings import get_settings
from mofonon.structures import structure_hash


def trajectory_path(
    structure: Structure,
    input_hash: str,
    potential: PotentialDescription,
    settings: MdExpansionSettings,
    temperature: float,
) -> Path:
    """Where the trajectory at a temperature is kept; a longer one goes on from it.

    Relaxed otherwise, or not at all, the same input is another structure and has another
    trajectory.
    """
    name = _trajectory_name(input_hash, potential, settings, temperature)
    of_structure = structure_hash(structure)[:16]
    return get_settings().checkpoints / f"{name}-{of_structure}.trajectory.npz"


def _trajectory_name(
    input_hash: str,
    potential: PotentialDescription,
    settings: MdExpansionSettings,
    temperature: float,
) -> str:
    """Beginning of the names of the trajectories that an input structure leads to."""
    return content_hash(
        {
            "structure": input_hash,
            "potential": potential.identity,
            "supercell": settings.supercell,
            "dynamics": settings.dynamics_at(temperature).identity(),
        }
    )


@job(data=[EncodedArray], output_schema=NptDoc)
def run_npt(
    structure: Structure,
    temperature: float,
    potential: PotentialSpec,
    settings: MdExpansionSettings,
    input_hash: str | None = None,
) -> NptDoc:
    """Run a supercell at constant temperature and pressure, and average.

    Parameters
    ----------
    structure : Structure
        The relaxed structure.
    temperature : float
        Temperature, one of the settings (K).
    potential : PotentialSpec
        The potential.
    settings : MdExpansionSettings
        Supercell and trajectory.
    input_hash : str, optional
        Hash of the structure before relaxation; of the structure itself if left out.

    Raises
    ------
    PotentialError
        When the potential has no stress.
    """
    description = describe_potential(potential)
    symbols = {element.symbol for element in structure.composition.elements}
    check_elements(symbols, description)
    input_hash = input_hash or structure_hash(structure)
    repeats = settings.repeats(structure)
    calculator = LoggedCalculator(lambda: make_calculator(potential))
    trajectory = run_dynamics(
        _supercell(structure, repeats),
        calculator,
        settings.dynamics_at(temperature),
        checkpoint=trajectory_path(structure, input_hash, description, settings, temperature),
    )
    return npt_document(
        trajectory,
        temperature,
        repeats,
        settings,
        input_hash=input_hash,
        potential=description,
        seconds_in_potential=calculator.seconds,
    )


@job(data=[EncodedArray], output_schema=MdExpansionDoc)
def fit_md_expansion(
    structure: Structure,
    points: list[TemperaturePoint],
    potential: PotentialSpec,
    settings: MdExpansionSettings,
    relaxation: RelaxDoc | None = None,
) -> MdExpansionDoc:
    """Fit the expansion to the averages at all temperatures.

    Parameters
    ----------
    structure : Structure
        The relaxed structure.
    points : list of TemperaturePoint
        Averages.
    potential : PotentialSpec
        The potential of all of them.
    settings : MdExpansionSettings
        Settings of the calculation.
    relaxation : RelaxDoc, optional
        The relaxation that gave the structure; its summary becomes part of the document.

    Raises
    ------
    ExpansionError
        When too few temperatures can be used.
    """
    description = describe_potential(potential)
    summary = relaxation.relaxation if relaxation is not None else None
    input_hash = relaxation.input_hash if relaxation is not None else structure_hash(structure)
    return expansion_document(
        structure,
        points,
        settings,
        input_hash=input_hash,
        calculation_id=expansion_calculation_id(
            input_hash, description, summary.settings if summary else None, settings
        ),
        potential=description,
        relaxation=summary,
    )


@dataclass
class MdExpansionMaker(Maker):
    """Relax a structure, run it at constant pressure at temperatures, fit its expansion.

    What the quasi-harmonic approximation leaves out, anharmonicity at constant volume, is
    here; what it has, quantum statistics, is not: this is classical.

    Parameters
    ----------
    name : str
        Name of the flow.
    potential : PotentialSpec
        The potential, of the relaxation too.
    settings : MdExpansionSettings
        Temperatures, supercell, trajectories, fit.
    relax_maker : RelaxMaker or None
        How to relax first, at zero pressure; its potential is replaced by the one above.
        None takes the structure as it is.

    Examples
    --------
    >>> from mofonon.lattice import MdExpansionMaker
    >>> MdExpansionMaker().settings.temperatures
    (100.0, 200.0, 300.0, 400.0, 500.0)
    """

    name: str = "expansion by molecular dynamics"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))
    settings: MdExpansionSettings = field(
        default_factory=lambda: MdExpansionSettings.model_validate({})
    )
    relax_maker: RelaxMaker | None = field(default_factory=RelaxMaker)

    def calculation_id(self, structure: Structure) -> str:
        """Identity of the calculation: input structure, potential and settings.

        The document that :meth:`make` leads to has the same, so that what was computed
        before can be found.
        """
        return expansion_calculation_id(
            structure_hash(structure),
            describe_potential(self.potential),
            self.relax_maker.settings if self.relax_maker is not None else None,
            self.settings,
        )

    def checkpoints(self, structure: Structure) -> list[Path]:
        """Files in which the relaxation and the trajectories made so far are kept."""
        input_hash = structure_hash(structure)
        description = describe_potential(self.potential)
        names = [
            _trajectory_name(input_hash, description, self.settings, temperature)
            for temperature in self.settings.temperatures
        ]
        folder = get_settings().checkpoints
        trajectories = [path for name in names for path in folder.glob(f"{name}-*")]
        return [evaluation_log_path(input_hash, description), *trajectories]

    def make(self, structure: Structure, prev_dir: str | None = None) -> Flow:
        """Make the flow of one structure; its last output is a MdExpansionDoc.

        Parameters
        ----------
        structure : Structure
            The structure, or a reference to the output of another job.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.
        """
        del prev_dir
        first = relax_first(self.relax_maker, structure, self.potential, self.settings.symprec)
        input_hash = first.relaxation.input_hash if first.jobs else None
        trajectories = []
        for temperature in self.settings.temperatures:
            each = run_npt(
                first.structure, temperature, self.potential, self.settings, input_hash
            )
            each.name = f"NPT {temperature:g} K"
            trajectories.append(each)
        fit_job = fit_md_expansion(
            first.structure,
            [each.output for each in trajectories],
            self.potential,
            self.settings,
            first.relaxation,
        )
        fit_job.name = self.name
        return Flow(
            [*first.jobs, *trajectories, fit_job], output=fit_job.output, name=self.name
        )


def _supercell(structure: Structure, repeats: np.ndarray) -> Atoms:
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    return make_supercell(atoms, repeats)
