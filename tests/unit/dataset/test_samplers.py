"""Samplers: what was reached in temperature and pressure, explosions, choices."""

import numpy as np
import pytest
from ase.build import bulk
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.core import Lattice, Structure

from mofonon.dataset.samplers import (
    EosSampleMaker,
    MdSampleMaker,
    RattleSampleMaker,
    RelaxSampleMaker,
)
from mofonon.dataset.sampling import (
    choose_frames,
    doubts,
    rattled_cells,
    relaxation_path,
    strained_cells,
    summarize_dynamics,
)
from mofonon.dataset.schemas import SampleDoc
from mofonon.dynamics import DynamicsSettings, run_dynamics
from mofonon.errors import DatasetError
from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.structures.fingerprints import FingerprintSpec

# argon's parameters; the element is one that the demo fingerprint knows
LJ = PotentialSpec(
    family="ase",
    model="ase.calculators.lj:LennardJones",
    options={"sigma": 3.4, "epsilon": 0.0104, "rc": 7.0, "smooth": True},
)
DEMO = FingerprintSpec.from_name("demo")


def solid(repeat: int = 1, a: float = 5.3) -> Structure:
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["N"], [[0, 0, 0]])
    structure.make_supercell([repeat] * 3)
    return structure


def sample(maker, structure) -> SampleDoc:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    job = maker.make(structure, mof_id="solid")
    run_locally(job, store=store, log=False, raise_immediately=True)
    return SampleDoc.model_validate(store.get_output(job.uuid, load=True))


@pytest.fixture(scope="module")
def npt():
    """A trajectory of a small solid, and its document."""
    settings = DynamicsSettings(
        ensemble="npt-isotropic",
        temperature=25,
        pressure=0.05,
        steps=4000,
        time_step=4,
        interval=10,
        thermostat_time=150,
        barostat_time=900,
    )
    return sample(MdSampleMaker(potential=LJ, dynamics=settings, number_of_frames=6), solid())


@pytest.mark.slow
def test_temperature_and_pressure_are_those_asked_for(npt):
    summary = npt.dynamics
    assert npt.state == "successful"
    assert summary.temperature.deviation < 4
    assert summary.pressure.deviation < 4
    # small enough errors that the check could fail
    assert summary.temperature.error < 3
    assert summary.pressure.error < 0.02
    assert abs(summary.drift) < 1e-4
    assert not npt.warnings


@pytest.mark.slow
def test_md_frames_are_distinct_and_know_where_they_are_from(npt):
    assert npt.n_frames == len(npt.frames) == 6
    assert npt.n_candidates == 400
    assert {frame.origin for frame in npt.frames} == {"md"}
    assert {frame.mof_id for frame in npt.frames} == {"solid"}
    steps = [frame.step for frame in npt.frames]
    assert steps == sorted(set(steps))
    assert all(step % 10 == 0 and step > 0 for step in steps)
    assert npt.fingerprint == DEMO.identity()


def test_energy_is_conserved_without_a_thermostat():
    settings = DynamicsSettings(
        ensemble="nve", temperature=40, steps=400, time_step=2, interval=5
    )
    doc = sample(MdSampleMaker(potential=LJ, dynamics=settings, number_of_frames=3), solid())
    assert abs(doc.dynamics.drift) < 1e-4  # eV per atom and ps; kT is 3.4e-3
    assert doc.dynamics.pressure is None


def test_a_potential_that_goes_bad_is_cut_and_reported():
    bad = PotentialSpec(
        family="ase", model="support.calculators:GoesBad", options={"after": 300}
    )
    settings = DynamicsSettings(ensemble="nve", temperature=30, steps=600, time_step=2)
    doc = sample(MdSampleMaker(potential=bad, dynamics=settings, number_of_frames=4), solid())
    assert doc.state == "exploded"
    assert 20 <= doc.n_cut <= 31
    assert doc.n_frames == 4
    assert "exploded" in doc.warnings[0]
    for frame in doc.frames:
        assert frame.step <= 300
        assert frame.structure.is_valid(tol=1.5)


def test_an_explosion_at_once_is_an_error():
    bad = PotentialSpec(family="ase", model="support.calculators:GoesBad", options={"after": 5})
    settings = DynamicsSettings(ensemble="nve", temperature=30, steps=600, time_step=2)
    with pytest.raises(DatasetError, match="exploded"):
        sample(MdSampleMaker(potential=bad, dynamics=settings), solid())


def test_a_short_trajectory_is_said_to_be_short():
    settings = DynamicsSettings(
        ensemble="npt-isotropic", temperature=25, steps=60, time_step=2, interval=2
    )
    atoms = bulk("N", "fcc", a=5.3, cubic=True)
    trajectory = run_dynamics(atoms, make_calculator(LJ), settings)
    assert doubts(summarize_dynamics(trajectory, settings))
    too_few = settings.model_copy(update={"steps": 10})
    with pytest.raises(DatasetError, match="samples"):
        summarize_dynamics(run_dynamics(atoms, make_calculator(LJ), too_few), too_few)


def test_a_relaxation_is_sampled_from_its_start_on():
    start = rattled_cells(bulk("N", "fcc", a=5.5, cubic=True), 1, 0.2, 0.0, 1)[0]
    path = relaxation_path(start, make_calculator(LJ), fmax=1e-3, max_steps=100)
    assert path.converged
    energies = []
    for frame in path.frames:
        frame.calc = make_calculator(LJ)
        energies.append(frame.get_potential_energy())
    assert energies[-1] == min(energies)
    assert path.frames[0].positions == pytest.approx(start.positions)
    chosen = choose_frames(path.frames, 5, DEMO, first=True)
    assert len(chosen) == 5
    assert chosen[0] == 0


def test_relax_frames_are_few_and_in_order():
    maker = RelaxSampleMaker(potential=LJ, deviation=0.2, number_of_frames=4, fmax=0.001)
    doc = sample(maker, solid(a=5.5))
    assert doc.n_frames == 4 < doc.n_candidates
    assert doc.frames[0].step == 0
    unfinished = sample(RelaxSampleMaker(potential=LJ, deviation=0.2, max_steps=3), solid())
    assert "did not converge" in unfinished.warnings[0]


def test_a_relaxation_on_a_bad_potential_is_cut():
    bad = PotentialSpec(family="ase", model="support.calculators:GoesBad", options={"after": 4})
    doc = sample(RelaxSampleMaker(potential=bad, deviation=0.2, fmax=1e-6), solid())
    assert doc.state == "exploded"
    assert all(frame.structure.is_valid(tol=1.0) for frame in doc.frames)


def test_deformations_are_those_of_the_paper():
    doc = sample(EosSampleMaker(), solid())
    lengths = np.array([frame.structure.lattice.a for frame in doc.frames]) / 5.3
    assert lengths == pytest.approx([0.90, 0.94, 0.98, 1.02, 1.06, 1.10])
    assert doc.frames[0].parent == "linear strain -0.1000"


def test_strained_atoms_move_along():
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    (cell,) = strained_cells(atoms, [0.1])
    assert cell.get_scaled_positions() == pytest.approx(atoms.get_scaled_positions())
    assert cell.get_volume() == pytest.approx(1.331 * atoms.get_volume())


def test_rattles_have_the_deviation_and_strain_that_they_say():
    atoms = bulk("N", "fcc", a=5.3, cubic=True) * 5
    cells = rattled_cells(atoms, 4, 0.05, 0.02, seed=3)
    for cell in cells:
        strain = np.linalg.solve(atoms.cell.array, cell.cell.array) - np.eye(3)
        assert strain == pytest.approx(strain.T)
        assert np.abs(strain).max() <= 0.02
        moved = cell.positions - atoms.positions @ (np.eye(3) + strain)
        assert moved.std() == pytest.approx(0.05, rel=0.1)
    again = rattled_cells(atoms, 4, 0.05, 0.02, seed=3)
    assert (cells[3].positions == again[3].positions).all()
    doc = sample(RattleSampleMaker(number_of_frames=3), solid())
    assert [frame.step for frame in doc.frames] == [0, 1, 2]
