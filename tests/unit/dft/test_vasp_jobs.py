"""VASP Makers without running VASP: wall time, meshes, flows."""

import os
import time

import pytest
from jobflow import OutputReference
from pymatgen.core import Lattice, Structure

from mofonon.dft import LabelMaker, MofEosMaker, MofRelaxMaker, UnlabelledFrame
from mofonon.dft.flows import label_found_frames
from mofonon.dft.jobs import with_mesh_of
from mofonon.dft.schemas import QuarantineSettings
from mofonon.errors import SettingsError


@pytest.fixture
def structure() -> Structure:
    return Structure(Lattice.cubic(4.2), ["Zn", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_the_end_of_a_slurm_job_is_the_wall_time(monkeypatch):
    monkeypatch.setenv("CUSTODIAN_WALLTIME_START", "Tue Nov 24 10:00:00 UTC 2026")
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 3600))
    limited = MofRelaxMaker()._with_wall_time()
    assert limited.run_vasp_kwargs["wall_time"] == pytest.approx(3600, abs=2)
    assert "CUSTODIAN_WALLTIME_START" not in os.environ, "3600 s from now"
    assert "custodian_kwargs" in limited.run_vasp_kwargs
    given = MofRelaxMaker(wall_time=600)._with_wall_time()
    assert given.run_vasp_kwargs["wall_time"] == 600
    monkeypatch.delenv("SLURM_JOB_END_TIME")
    assert "wall_time" not in MofRelaxMaker()._with_wall_time().run_vasp_kwargs


def test_all_deformations_have_the_mesh_of_the_structure(structure):
    """A mesh by density changes from the compressed to the stretched cell."""
    maker = with_mesh_of(MofEosMaker().eos_relax_maker, structure)
    meshes = set()
    for strain in MofEosMaker().strains():
        deformed = structure.copy()
        deformed.scale_lattice(structure.volume * (1 + strain) ** 3)
        free = MofEosMaker().eos_relax_maker.input_set_generator
        free.structure = deformed
        meshes.add(tuple(free.kpoints.kpts[0]))
        generator = maker.input_set_generator
        generator.structure = deformed
        assert tuple(generator.kpoints.kpts[0]) == (5, 5, 5)
    assert len(meshes) > 1


def test_a_flow_has_one_harvest_for_each_mof(structure):
    other = structure.copy()
    other.replace(1, "S")
    frames = [
        UnlabelledFrame(mof_id="a", structure=structure, origin="md", step=step)
        for step in (10, 20)
    ]
    flow = LabelMaker(eos_maker=None).make([structure, other, *frames], ["a", "b", "", ""])
    assert [sub.name for sub in flow.jobs] == ["label a", "label b"]
    assert [job.name for job in flow.jobs[0].jobs] == [
        *("a relax", "a md 10", "a md 20", "a harvest"),
    ]
    assert len(flow.output) == 2


def test_what_cannot_be_labelled(structure):
    with pytest.raises(SettingsError, match="nothing to label"):
        LabelMaker().make([])
    with pytest.raises(SettingsError, match="two structures are called a"):
        LabelMaker().make([structure, structure], ["a", "a"])
    relaxing = MofEosMaker(initial_relax_maker=MofRelaxMaker())
    with pytest.raises(SettingsError, match="relaxes first"):
        LabelMaker(eos_maker=relaxing).make(structure)


def test_identity_is_of_numbers_not_of_how_vasp_runs(structure):
    plain = LabelMaker().calculation_id(structure)
    hurried = LabelMaker(relax_maker=MofRelaxMaker(wall_time=60, run_vasp_kwargs={}))
    assert hurried.calculation_id(structure) == plain
    strained = LabelMaker(eos_maker=MofEosMaker(number_of_frames=8))
    assert strained.calculation_id(structure) != plain
    tight = LabelMaker(settings=QuarantineSettings(max_force=5.0))
    assert tight.calculation_id(structure) != plain


def test_references_are_labelled_when_they_are_there(structure):
    """One, a list, or some of a list: the flow is made by a job, with the names."""
    to_come = OutputReference("a-job").structure
    maker = LabelMaker(eos_maker=None)
    for given, names in ((to_come, "a"), ([structure, to_come], ["a", "b"])):
        flow = maker.make(given, names)
        assert [made.name for made in flow.jobs] == ["label_found_frames"]
        assert flow.jobs[0].function_args == (given, maker, names)
        assert flow.output == flow.jobs[0].output
    replaced = label_found_frames.original([structure, structure], maker, ["a", "b"]).replace
    assert [sub.name for sub in replaced.jobs] == ["label a", "label b"]
    with pytest.raises(SettingsError, match="two structures are called a"):
        label_found_frames.original([structure, structure], maker, "a")
