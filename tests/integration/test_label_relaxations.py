"""Relaxations of every kind and labels of structures to come, by the VASP stand-in."""

from pathlib import Path

import numpy as np
import pytest
from jobflow import Flow, JobStore, job, run_locally
from maggma.stores import MemoryStore
from pymatgen.core import Structure

from mofonon.dft import (
    LabelDoc,
    LabelMaker,
    MofEosMaker,
    MofRelaxMaker,
    MofRelaxSetGenerator,
    MofStaticMaker,
)
from support.vasp import require_labels_of_chgnet

pytestmark = pytest.mark.slow

ZNCN2 = Path(__file__).parents[2] / "src/mofonon/data/structures/Zn(CN)2.cif"


@pytest.fixture
def strained() -> Structure:
    """Zn(CN)2, 3 % too long, with one atom out of its place."""
    structure = Structure.from_file(ZNCN2)
    structure.scale_lattice(1.03**3 * structure.volume)
    structure.translate_sites([0], [0.004, 0.002, 0.0], frac_coords=True)
    return structure


def labels(flow, folder: Path, output=None) -> LabelDoc:
    """Run a flow here; give its LabelDoc."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, create_folders=True, root_dir=folder, log=False)
    reference = (output or flow).output
    return LabelDoc.model_validate(reference.resolve(store))


@pytest.mark.parametrize("isif", [2, 3, 7])
def test_what_a_relaxation_moves(standin, strained, tmp_path, isif):
    """ISIF 2 keeps the cell, 7 its shape and the fractional positions; 3 keeps neither."""
    tags = {"ISIF": isif, "EDIFFG": -0.05}
    relax = MofRelaxMaker(
        run_vasp_kwargs=standin.run_vasp_kwargs,
        input_set_generator=MofRelaxSetGenerator(user_incar_settings=tags),
    )
    flow = LabelMaker(relax_maker=relax, eos_maker=None).make(strained, "zinc cyanide")
    doc = labels(flow, tmp_path / "run")
    assert doc.state == "successful"
    assert len(standin.runs()) == 1
    require_labels_of_chgnet((doc.frames[0], doc.frames[-1]))
    first, last = doc.frames[0], doc.frames[-1]
    assert first.provenance.incar["ISIF"] == isif
    assert last.energy < first.energy
    assert last.ionic_converged
    scale = (last.structure.volume / first.structure.volume) ** (1 / 3)
    cell, start = last.structure.lattice.matrix, first.structure.lattice.matrix
    moved = last.structure.frac_coords - first.structure.frac_coords
    moved -= np.round(moved)
    if isif == 2:
        assert cell == pytest.approx(start, abs=1e-7)
        assert last.max_force < 0.05 < first.max_force
    else:
        pressures = [abs(np.trace(frame.stress)) for frame in (first, last)]
        assert pressures[1] < 0.1 * pressures[0]
        assert scale < 0.999
    if isif == 7:
        assert cell == pytest.approx(scale * start, abs=1e-6)
        assert moved == pytest.approx(0, abs=1e-7)
        assert last.max_force > 0.05, "the forces are there, though nothing obeys them"
    else:
        assert np.abs(moved).max() > 1e-3


def test_equation_of_state_with_relaxed_positions(standin, strained, tmp_path):
    """Each cell stays as it was strained; its last step has no forces and gives the energy."""
    relax = MofRelaxMaker(
        run_vasp_kwargs=standin.run_vasp_kwargs,
        input_set_generator=MofRelaxSetGenerator(user_incar_settings={"EDIFFG": -0.05}),
    )
    eos = MofEosMaker.with_relaxed_positions(relax)
    eos.linear_strain, eos.number_of_frames = (-0.06, 0.03), 4
    flow = LabelMaker(relax_maker=None, eos_maker=eos).make(strained, "zinc cyanide")
    doc = labels(flow, tmp_path / "run")
    assert doc.state == "successful"
    assert len(standin.runs()) == len(doc.tasks) == 4
    energies = []
    for task in doc.tasks:
        steps = [frame for frame in doc.frames if frame.provenance.job_uuid == task.uuid]
        assert len(steps) == task.n_frames > 1
        for frame in steps:
            assert frame.linear_strain == task.linear_strain
            assert frame.structure.lattice.matrix == pytest.approx(
                (1 + task.linear_strain) * strained.lattice.matrix, abs=1e-6
            )
        require_labels_of_chgnet(steps[-1:])
        assert steps[-1].energy < steps[0].energy
        assert steps[-1].max_force < 0.05 < steps[0].max_force
        energies.append(steps[-1].energy)
    assert doc.eos.state == "successful"
    assert doc.eos.energies == pytest.approx(energies, abs=1e-9)
    assert doc.eos.bulk_modulus > 0


def test_a_relaxation_that_is_killed_keeps_its_steps(standin, strained, tmp_path, monkeypatch):
    """The task has failed and says so; what VASP did before are labels."""
    monkeypatch.setenv("MOFONON_STANDIN_FAILURE", "killed@1+")
    relax = MofRelaxMaker(run_vasp_kwargs=standin.run_vasp_kwargs)
    flow = LabelMaker(relax_maker=relax, eos_maker=None).make(strained, "zinc cyanide")
    doc = labels(flow, tmp_path / "run")
    (task,) = doc.tasks
    assert (task.state, doc.state) == ("failed", "incomplete")
    assert "VASP failed in" in task.reason
    assert [frame.step for frame in doc.frames] == list(range(doc.n_frames))
    assert doc.n_good == doc.n_frames == 3
    require_labels_of_chgnet(doc.frames)


@job
def deliver(structure: Structure) -> dict:
    """Stand for any job that makes a structure."""
    return {"structure": structure}


def test_a_structure_that_another_job_makes(standin, tmp_path):
    """A reference to a structure is labelled under the name that was given."""
    structure = Structure.from_file(ZNCN2)
    made = deliver(structure)
    maker = LabelMaker(
        relax_maker=None,
        eos_maker=None,
        static_maker=MofStaticMaker(run_vasp_kwargs=standin.run_vasp_kwargs),
    )
    flow = maker.make(made.output["structure"], "zinc cyanide")
    doc = labels(Flow([made, flow]), tmp_path / "run", flow)
    assert (doc.state, doc.mof_id, doc.n_good) == ("successful", "zinc cyanide", 1)
    assert doc.frames[0].structure.matches(structure)
    assert doc.frames[0].provenance.kpoints is not None
    require_labels_of_chgnet(doc.frames)
