"""Phonon documents of copper-gold, computed in a fraction of a second with EMT."""

import pytest
from ase import Atoms
from ase.calculators.emt import EMT

from mofonon.lattice.analysis import analyse_phonons
from mofonon.lattice.documents import phonon_document, to_structure
from mofonon.lattice.phonons import (
    displaced_supercells,
    set_force_constants,
    supercell_forces,
)
from mofonon.lattice.schemas import CellParameters, PhononDoc, RelaxSummary, SpaceGroup
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.potentials import PotentialDescription

SETTINGS = PhononSettings(
    supercell=((3, 0, 0), (0, 3, 0), (0, 0, 3)),
    displacement=0.01,
    mesh=(5, 5, 5),
    dos_pitch=0.05,
    band_points=11,
    temperature_step=50,
)


def phonons(cell: list[float], **provenance) -> PhononDoc:
    atoms = Atoms("CuAu", cell=cell, scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], pbc=True)
    phonon = displaced_supercells(atoms, SETTINGS)
    forces = supercell_forces(phonon, EMT())
    set_force_constants(phonon, forces.displaced)
    fields = {
        "input_hash": "ab" * 32,
        "calculation_id": "cd" * 32,
        "n_force_evaluations": 17,
        "seconds": {"forces": 1.25, "potential": 1.0, "analysis": 0.5, "total": 2.75},
        **provenance,
    }
    analysis = analyse_phonons(phonon, SETTINGS)
    return phonon_document(to_structure(atoms), phonon, forces, analysis, SETTINGS, **fields)


@pytest.fixture(scope="session")
def stable() -> PhononDoc:
    """Tetragonal CuAu from a potential, relaxed from a tetragonal cell slightly off."""
    group = SpaceGroup(symbol="P4/mmm", number=123, symprec=1e-5)
    cell = CellParameters(a=2.8, b=2.8, c=3.6, alpha=90, beta=90, gamma=90, volume=28.224)
    relaxation = RelaxSummary(
        space_group_before=SpaceGroup(symbol="P4mm", number=99, symprec=1e-5),
        space_group_after=group,
        cell_before=cell.model_copy(update={"c": 3.5555, "volume": 27.8751}),
        cell_after=cell,
        energy=-7.123456,
        fmax=3.1e-7,
        max_force=2.2e-8,
        converged=True,
        n_force_evaluations=9,
        seconds=1.0,
        settings=RelaxSettings(),
    )
    potential = PotentialDescription(
        family="ase",
        label="EMT of Jacobsen",
        file_name="emt.model",
        sha256="0123456789abcdef" * 4,
        head="default",
        dtype="float64",
        device="cpu",
        dispersion="D3(BJ) PBE",
        package="ase 3.29",
    )
    return phonons([2.8, 2.8, 3.6], relaxation=relaxation, potential=potential)


@pytest.fixture(scope="session")
def unstable() -> PhononDoc:
    """Cubic CuAu, which has imaginary modes, as if forces had come from a file."""
    return phonons([3.0, 3.0, 3.0], source={"file": "FORCE_SETS", "sha256": "ef" * 32})


@pytest.fixture(scope="session")
def stand_in(stable: PhononDoc) -> PhononDoc:
    """Document whose potential stands in for a real one."""
    return stable.model_copy(update={"notice": "distilled demo model, not for science"})
