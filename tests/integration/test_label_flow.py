"""Labels through atomate2's run_vasp and default custodian, by the VASP stand-in."""

import re
from pathlib import Path

import numpy as np
import pytest
from jobflow import JobStore, run_locally
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
from mofonon.dft.schemas import UnlabelledFrame
from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.structures import read_structure
from support.vasp import StandIn, require_labels_of_chgnet

pytestmark = pytest.mark.slow

ZNCN2 = Path(__file__).parents[2] / "src/mofonon/data/structures/Zn(CN)2.cif"


@pytest.fixture
def run(tmp_path):
    """Run a flow here; give its LabelDoc."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})

    def run_flow(flow) -> LabelDoc:
        run_locally(
            flow, store=store, create_folders=True, root_dir=tmp_path / "run", log=False
        )
        output = flow.output[0] if isinstance(flow.output, list) else flow.output
        return LabelDoc.model_validate(store.get_output(output.uuid, load=True))

    run_flow.store = store
    return run_flow


def label_maker(standin: StandIn, **makers) -> LabelMaker:
    vasp = {"run_vasp_kwargs": standin.run_vasp_kwargs}
    given = {
        "relax_maker": MofRelaxMaker(**vasp),
        "eos_maker": MofEosMaker(eos_relax_maker=MofStaticMaker(**vasp)),
        "static_maker": MofStaticMaker(**vasp),
    }
    return LabelMaker(**{**given, **makers})


def direct(frame, name="chgnet"):
    atoms = frame.to_atoms()
    atoms.calc = make_calculator(PotentialSpec.from_name(name, dispersion="d3bj"))
    return atoms


def test_static_relax_and_eos_of_a_reference_mof(standin, reference_dir, run):
    """Check 1: every frame is what the potential behind the stand-in gives, to 1e-6."""
    structure = read_structure(reference_dir / "curated-127" / "qmof-3b672a9.cif")
    rattled = structure.copy()
    rattled.perturb(0.02, seed=0)
    md = UnlabelledFrame(mof_id="small", structure=rattled, origin="md", step=7)
    again = md.model_copy(update={"structure": structure, "step": 8})
    flow = label_maker(standin).make([structure, md, again], ["small", "small", "small"])
    doc = run(flow)
    assert doc.state == "successful"
    assert [task.name for task in doc.tasks] == [
        *("relax", "eos -10 %", "eos -6 %", "eos -2 %", "eos +2 %", "eos +6 %", "eos +10 %"),
        *("md 7", "md 8"),
    ]
    n_relax = doc.tasks[0].n_frames
    assert n_relax > 2
    # the first step of the relaxation is the structure of md 8
    assert (doc.n_frames, doc.n_good, doc.n_duplicates) == (n_relax + 7, n_relax + 7, 1)
    require_labels_of_chgnet(doc.frames)
    relaxed = [frame for frame in doc.frames if frame.origin == "relax"]
    assert relaxed[-1].energy < relaxed[0].energy
    assert relaxed[-1].max_force < 0.02 < relaxed[0].max_force
    assert all(frame.ionic_converged for frame in relaxed)
    check_provenance(doc, standin)
    check_equation_of_state(doc, relaxed[-1])


def check_provenance(doc: LabelDoc, standin: StandIn) -> None:
    """Stand-ins are named, POTCARs hashed, INCAR kept, one mesh for all."""
    assert "stand-in" in str(doc.notice)
    for frame in doc.frames:
        provenance = frame.provenance
        assert "stand-in" in str(frame.notice)
        assert provenance.version == "0.0.0-standin"
        assert provenance.potcar_titles[0] == "PAW_PBE Zn 01Jan2000"
        assert len(set(provenance.potcar_hashes)) == len(provenance.potcar_titles) == 6
        assert (provenance.incar["IVDW"], provenance.incar["ENCUT"]) == (12, 520)
        assert provenance.kpoints == doc.frames[0].provenance.kpoints
        assert provenance.job_uuid in {task.uuid for task in doc.tasks}
    assert len(standin.runs()) == len(doc.tasks)


def check_equation_of_state(doc: LabelDoc, relaxed) -> None:
    assert doc.eos.state == "successful"
    assert doc.eos.linear_strains == pytest.approx([-0.1, -0.06, -0.02, 0.02, 0.06, 0.1])
    volume = relaxed.structure.volume
    ratios = (np.array(doc.eos.volumes) / volume) ** (1 / 3) - 1
    assert ratios == pytest.approx(doc.eos.linear_strains, abs=1e-6)
    assert doc.eos.equilibrium_volume == pytest.approx(volume, rel=0.1)
    assert doc.eos.bulk_modulus > 0


def test_stress_is_the_derivative_of_the_energy_by_strain(standin, run):
    """Check 2: sign and unit of the stress, through the VASP files, by finite differences."""
    structure = Structure.from_file(ZNCN2)
    structure.perturb(0.02, seed=0)
    structure.scale_lattice(0.95 * structure.volume)
    step = 5e-4  # a longer one is 2e-3 off: CHGNet is far from linear here
    shear = np.array([[1.0, 0.3, 0.0], [0.3, -0.5, 0.2], [0.0, 0.2, 0.4]])
    frames = []
    for number, strain in enumerate((0.0, -step, step)):
        cell = structure.lattice.matrix @ (np.eye(3) + strain * shear)
        deformed = Structure(cell, structure.species, structure.frac_coords)
        frames.append(
            UnlabelledFrame(mof_id="zncn2", structure=deformed, origin="rattle", step=number)
        )
    doc = run(label_maker(standin).make(frames))
    middle, lower, upper = sorted(doc.frames, key=lambda frame: frame.step)
    derivative = (upper.energy - lower.energy) / (2 * step)
    expected = middle.structure.volume * float(np.sum(np.array(middle.stress) * shear))
    assert abs(derivative) > 0.5
    assert derivative == pytest.approx(expected, rel=1e-3)
    assert np.trace(middle.stress) < 0, "a compressed cell pushes: negative in ASE's sign"


@pytest.mark.parametrize(
    ("failure", "state", "reason"),
    [
        ("truncated@2", "failed", "ValidationError"),
        ("unconverged-scf@2+", "failed", "MaxCorrections"),
        ("unconverged-scf@2", "successful", ""),
    ],
)
def test_one_failure_does_not_stop_the_others(
    standin, run, monkeypatch, failure, state, reason
):
    """Check 3: the right state, the others go on, a retry repeats the failed one alone."""
    monkeypatch.setenv("MOFONON_STANDIN_FAILURE", failure)
    structure = Structure.from_file(ZNCN2)
    eos = MofEosMaker(
        eos_relax_maker=MofStaticMaker(run_vasp_kwargs=standin.run_vasp_kwargs),
        number_of_frames=2,
        linear_strain=(-0.02, 0.02),
    )
    maker = label_maker(standin, relax_maker=None, eos_maker=eos)
    doc = run(maker.make(structure, "zncn2"))
    first, second = doc.tasks
    assert first.state == "successful"
    assert second.state == state
    if state == "successful":
        # custodian changed ALGO and started again: the first try is kept apart, not lost
        assert doc.state == "successful"
        assert (doc.n_frames, doc.n_duplicates) == (2, 1)
        assert len(standin.runs()) == 3
        return
    assert re.search(reason, second.reason)
    assert doc.state == "incomplete"
    assert doc.n_good == 1
    monkeypatch.delenv("MOFONON_STANDIN_FAILURE")
    before = len(standin.runs())
    mended = run(maker.retry(doc))
    assert len(standin.runs()) == before + 1
    assert mended.state == "successful"
    assert [frame.linear_strain for frame in mended.good_frames] == [-0.02, 0.02]
    kept, new = mended.good_frames
    assert kept == doc.good_frames[0]
    assert new.energy == pytest.approx(direct(new).get_potential_energy(), abs=1e-6)


def test_a_potcar_of_another_element_fails_the_job(standin, run):
    """Check 3: VASP stops, and the reason is in the task."""
    folder = standin.potcars / "POT_GGA_PAW_PBE_54"
    (folder / "POTCAR.N").write_bytes((folder / "POTCAR.O").read_bytes())
    frame = UnlabelledFrame(mof_id="zncn2", structure=Structure.from_file(ZNCN2), origin="md")
    doc = run(label_maker(standin).make([frame]))
    assert doc.state == "failed"
    assert doc.frames == []
    assert "POTCAR has O where POSCAR has N" in doc.tasks[0].reason
    assert doc.tasks[0].structure is not None, "kept for a retry"


def test_a_relaxation_stopped_by_its_wall_time_goes_on(standin, run, monkeypatch):
    """Check 3: STOPCAR, a new job from CONTCAR and WAVECAR, and all steps are frames."""
    monkeypatch.setenv("MOFONON_STANDIN_SECONDS", "0.3")
    # custodian stops VASP when 300 s are left: one second after the start of the first job
    left = iter([301, 10_000])
    monkeypatch.setattr("mofonon.dft.jobs.slurm_seconds_left", lambda: next(left))
    structure = Structure.from_file(ZNCN2)
    structure.perturb(0.03, seed=0)
    relax = MofRelaxMaker(run_vasp_kwargs=standin.run_vasp_kwargs)
    doc = run(label_maker(standin, relax_maker=relax, eos_maker=None).make(structure, "zncn2"))
    runs = standin.runs()
    assert len(runs) == 2
    segments = [frame.provenance.segment for frame in doc.frames]
    assert set(segments) == {0, 1}
    assert segments == sorted(segments)
    # the second run starts from the structure that the first one ended with
    assert (doc.n_duplicates, doc.tasks[0].n_frames) == (1, doc.n_frames + 1)
    assert doc.tasks[0].state == "successful"
    assert doc.frames[0].max_force > 0.02 > doc.frames[-1].max_force
    assert list(Path(runs[1][4]).glob("WAVECAR*"))


def test_steps_before_a_restart_by_custodian_are_frames(standin, run, monkeypatch):
    """The first run dies; what it did sits in error.1.tar.gz."""
    structure = Structure.from_file(ZNCN2)
    structure.perturb(0.03, seed=0)
    maker = MofRelaxMaker(
        run_vasp_kwargs=standin.run_vasp_kwargs,
        input_set_generator=MofRelaxSetGenerator(user_incar_settings={"NSW": 3}),
    )
    doc = run(label_maker(standin, relax_maker=maker, eos_maker=None).make(structure, "z"))
    segments = {frame.provenance.segment for frame in doc.frames}
    # NSW runs out; custodian changes IBRION and goes on from CONTCAR, again and again
    assert len(standin.runs()) > 1
    assert segments == set(range(len(standin.runs())))
    assert [frame.step for frame in doc.frames] == sorted(frame.step for frame in doc.frames)
    energies = [frame.energy for frame in doc.frames]
    assert energies[-1] < energies[0]
    assert all(frame.good for frame in doc.frames)
