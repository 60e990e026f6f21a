"""Labelled frames: round trips, units and signs."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.units import GPa
from monty.json import MontyDecoder, jsanitize

from mofonon.dft.schemas import LabelFrame, ase_stress


@pytest.fixture
def frame_and_atoms():
    atoms = bulk("Cu", "fcc", a=3.5, cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    atoms.get_stress()
    frame = LabelFrame.from_atoms(
        atoms, mof_id="copper", origin="eos", step=3, linear_strain=-0.03
    )
    return frame, atoms


def test_atoms_come_back_with_their_labels(frame_and_atoms):
    frame, atoms = frame_and_atoms
    back = frame.to_atoms()
    assert np.array_equal(back.positions, atoms.positions)
    assert np.array_equal(back.cell.array, atoms.cell.array)
    assert back.get_potential_energy() == atoms.get_potential_energy()
    assert np.array_equal(back.get_forces(), atoms.get_forces())
    assert np.allclose(back.get_stress(), atoms.get_stress(), atol=1e-15)
    assert back.info["mof_id"] == "copper"
    assert back.info["linear_strain"] == -0.03


def test_a_frame_survives_json_bit_for_bit(frame_and_atoms):
    frame, _ = frame_and_atoms
    stored = json.loads(json.dumps(jsanitize(frame, strict=True, enum_values=True)))
    back = MontyDecoder().process_decoded(stored)
    assert isinstance(back, LabelFrame)
    assert back == frame
    assert LabelFrame.model_validate(stored) == frame


def test_structure_and_forces(frame_and_atoms):
    frame, atoms = frame_and_atoms
    assert np.allclose(frame.structure.cart_coords, atoms.positions, atol=1e-12)
    assert frame.max_force == np.linalg.norm(atoms.get_forces(), axis=1).max()
    assert frame.energy_per_atom == atoms.get_potential_energy() / 4


def test_pressure_of_a_compressed_cell_is_positive_in_vasp_and_negative_stress_in_ase(
    frame_and_atoms,
):
    """VASP's "in kB" of a compressed cell is positive: 10 kbar are 1 GPa."""
    frame, _ = frame_and_atoms
    assert np.trace(frame.stress) < 0
    assert ase_stress(np.eye(3) * 10.0) == pytest.approx(-np.eye(3) * GPa)
