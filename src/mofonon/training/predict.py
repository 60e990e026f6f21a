"""Predictions of a potential for labelled frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from mofonon import progress
from mofonon.training.frames import ENERGY, FORCES, STRESS, full_stress, has_stress
from mofonon.training.metrics import Values


def labels_of(frames: Sequence[Atoms]) -> Values:
    """Labels of frames; no stresses when the frames have none."""
    return Values(
        np.array([frame.info[ENERGY] for frame in frames], float),
        [np.asarray(frame.arrays[FORCES], float) for frame in frames],
        np.array([full_stress(frame.info[STRESS]) for frame in frames])
        if has_stress(frames)
        else None,
    )


def predict(
    frames: Sequence[Atoms], calculator: BaseCalculator, stage: str = "frames"
) -> Values:
    """Evaluate a potential on frames: energies, forces and, where labelled, stresses.

    Parameters
    ----------
    frames : sequence of Atoms
        The frames.
    calculator : ase.calculators.calculator.BaseCalculator
        The potential.
    stage : str
        Name of the stage for progress reports.
    """
    stress = has_stress(frames)
    energies, forces, stresses = [], [], []
    for number, frame in enumerate(frames):
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
        atoms.calc = calculator
        forces.append(np.array(atoms.get_forces(), float))
        energies.append(float(atoms.get_potential_energy()))
        if stress:
            stresses.append(atoms.get_stress(voigt=False))
        progress.report(stage, number + 1, len(frames))
    return Values(np.array(energies), forces, np.array(stresses) if stress else None)


def symbols_of_frames(frames: Sequence[Atoms]) -> list[list[str]]:
    """Element of each atom of each frame."""
    return [frame.get_chemical_symbols() for frame in frames]
