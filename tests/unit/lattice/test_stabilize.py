"""Elimination of imaginary modes, jobs and all, on crystals that EMT calls unstable."""

import numpy as np
import pytest
from ase.build import bulk
from jobflow import Flow, JobStore, job, run_locally
from maggma.stores import MemoryStore
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.lattice.perturb import scaled_settings
from mofonon.lattice.settings import PhononSettings, RelaxSettings
from mofonon.lattice.stabilize import ImaginaryModeMaker, best_attempt, next_strategy
from mofonon.lattice.stabilize_schemas import Attempt, StabilizeDoc, StabilizeSettings
from mofonon.potentials import PotentialSpec
from mofonon.store import find_documents, get_document

_EMT = PotentialSpec.from_name("ase.calculators.emt:EMT")


def _store() -> JobStore:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    return store


def _simple_cubic(repeat: int | tuple[int, int, int]) -> Structure:
    return AseAtomsAdaptor.get_structure(bulk("Cu", "sc", a=2.4).repeat(repeat))


#: Without the relaxation's own way out of saddle points, to see that of the strategies.
_LBFGS = RelaxSettings(fmax=1e-5, method="lbfgs")


def _stabilize(
    structure, store, supercell=2, max_attempts=6, relax=_LBFGS, **settings
) -> StabilizeDoc:
    maker = ImaginaryModeMaker(
        potential=_EMT,
        settings=StabilizeSettings(max_attempts=max_attempts, **settings),
        phonons=PhononSettings(
            supercell=tuple(map(tuple, (supercell * np.eye(3, dtype=int)).tolist())),
            mesh=(5, 5, 5),
            dos_pitch=0.1,
            band_points=3,
        ),
        relax=relax,
    )
    flow = maker.make(structure)
    run_locally(flow, store=store, log=False, raise_immediately=True)
    doc = StabilizeDoc.model_validate(get_document(store, flow.output.uuid))
    assert doc.calculation_id == maker.calculation_id(structure)
    return doc


@pytest.mark.slow
def test_mode_mapping_off_gamma_leads_from_simple_cubic_to_a_stable_lattice():
    store = _store()
    doc = _stabilize(_simple_cubic(1), store, strategies=("mode-mapping",))
    assert doc.state == "stable"
    assert doc.space_group_before == "Pm-3m"
    assert doc.space_group.number != 221
    assert doc.energy_change_per_atom < -0.1
    assert doc.min_frequency > -1e-4 > doc.min_frequency_before
    first, second = doc.attempts[:2]
    assert first.strategy is None
    assert second.strategy == "mode-mapping"
    assert second.n_atoms == round(1 / np.abs(second.q).max()) * first.n_atoms
    assert min(second.scan_energies) < 0
    phonons = get_document(store, doc.phonon_document)
    assert phonons["min_frequency"] == doc.min_frequency
    assert phonons["attempt"]["number"] == doc.best_attempt
    assert len(list(find_documents(store, document_type="phonons"))) == doc.n_attempts + 1


@pytest.mark.slow
def test_mode_mapping_relaxes_with_the_hessian_it_followed():
    """Force constants, folded into the cell of the mode, lead where L-BFGS does.

    Copper goes far from simple cubic, where the Hessian says little: no gain here.
    """
    docs = [
        _stabilize(_simple_cubic(1), _store(), relax=relax, strategies=("mode-mapping",))
        for relax in (RelaxSettings(fmax=1e-5, symmetry="keep"), _LBFGS)
    ]
    for doc in docs:
        assert doc.space_group_before == "Pm-3m"
        assert doc.state == "stable"
    ours, theirs = docs
    assert ours.energy_change_per_atom <= theirs.energy_change_per_atom + 1e-5
    assert ours.n_force_evaluations <= 1.2 * theirs.n_force_evaluations


@pytest.mark.slow
def test_relaxation_leaves_a_saddle_point_of_the_strain_itself():
    """Simple cubic Cu is a saddle point of its own cell: no attempt is needed."""
    doc = _stabilize(_simple_cubic(1), _store(), relax=RelaxSettings(fmax=1e-5))
    assert doc.state == "stable"
    assert doc.space_group_before == "Fm-3m"
    assert doc.n_attempts == 0


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["rattle", "md"])
def test_rattle_and_md_alone_lower_the_energy(strategy):
    doc = _stabilize(
        _simple_cubic((2, 2, 1)),
        _store(),
        supercell=1,
        strategies=(strategy,),
        max_attempts=2,
    )
    assert doc.energy_change_per_atom < -0.1
    assert doc.attempts[1].strategy == strategy
    assert doc.attempts[1].seed == 1
    assert 0 < doc.attempts[1].amplitude < 0.1
    assert doc.state == ("stable" if doc.min_frequency >= -1e-4 else "imaginary")


@pytest.mark.slow
def test_giving_up_is_a_result():
    """One rattle of the single atom of a cell moves nothing."""
    doc = _stabilize(_simple_cubic(1), _store(), strategies=("rattle",), max_attempts=2)
    assert doc.state == "imaginary"
    assert doc.n_attempts == 2
    assert any("imaginary modes remain after 2 attempts" in text for text in doc.warnings)
    assert doc.structure.get_space_group_info()[0] == "Pm-3m"


def test_a_stable_structure_needs_no_attempt():
    structure = AseAtomsAdaptor.get_structure(bulk("Al", "fcc", a=4.0))
    doc = _stabilize(structure, _store())
    assert (doc.state, doc.n_attempts, doc.energy_change_per_atom) == ("stable", 0, 0.0)


@job
def _hand_on(structure: Structure) -> Structure:
    return structure


def test_a_structure_from_another_job():
    """The chain of a campaign: the maker gets a reference."""
    structure = AseAtomsAdaptor.get_structure(bulk("Al", "fcc", a=4.0))
    settings = PhononSettings(mesh=(3, 3, 3), dos_pitch=0.1, band_points=3)
    maker = ImaginaryModeMaker(potential=_EMT, phonons=settings)
    before = _hand_on(structure)
    flow = maker.make(before.output)
    store = _store()
    run_locally(
        Flow([before, flow], output=flow.output), store=store, log=False, raise_immediately=True
    )
    doc = StabilizeDoc.model_validate(get_document(store, flow.output.uuid))
    assert doc.state == "stable"
    assert doc.calculation_id == maker.calculation_id(structure)


def _attempt(number, strategy=None, change=None, *, energy=0.0, imaginary=True, lowest=-1.0):
    return Attempt(
        number=number,
        strategy=strategy,
        energy_per_atom=energy,
        energy_change_per_atom=change,
        has_imaginary_modes=imaginary,
        lowest_after=lowest,
    )


def test_the_order_of_strategies():
    settings = StabilizeSettings(max_attempts=4)
    attempts = [_attempt(0)]
    assert next_strategy(attempts, settings) == "mode-mapping"
    attempts.append(_attempt(1, "mode-mapping", -0.1))
    assert next_strategy(attempts, settings) == "mode-mapping"
    attempts.append(_attempt(2, "mode-mapping", 0.0))
    assert next_strategy(attempts, settings) == "rattle"
    failed = Attempt(number=3, strategy="rattle", state="failed", error="no")
    assert next_strategy([*attempts, failed], settings) == "md"
    attempts.append(_attempt(3, "md", 0.0))
    assert next_strategy(attempts, settings) == "rattle"
    assert next_strategy([*attempts, _attempt(4, "rattle", -1.0)], settings) is None


def test_mode_mapping_alone_is_not_repeated_from_the_same_place():
    settings = StabilizeSettings(strategies=("mode-mapping",))
    assert next_strategy([_attempt(0), _attempt(1, "mode-mapping", 0.0)], settings) is None


def test_the_best_attempt():
    stable = _attempt(1, "rattle", energy=0.5, imaginary=False, lowest=0.1)
    low = _attempt(2, "md", energy=-0.5, lowest=-0.1)
    assert best_attempt([_attempt(0), stable, low]) is stable
    assert best_attempt([_attempt(0), low]) is low
    shallow = _attempt(3, "md", energy=-0.5, lowest=-0.01)
    assert best_attempt([low, shallow]) is shallow
    failed = Attempt(number=4, strategy="md", state="failed")
    assert best_attempt([_attempt(0), failed]).number == 0


@pytest.mark.parametrize(
    ("multiples", "supercell", "mesh"),
    [
        (np.diag([2, 1, 1]), ((1, 0, 0), (0, 2, 0), (0, 0, 2)), (4, 8, 8)),
        (np.diag([2, 2, 2]), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (4, 4, 4)),
        (np.eye(3), ((2, 0, 0), (0, 2, 0), (0, 0, 2)), (8, 8, 8)),
    ],
)
def test_settings_of_a_supercell(multiples, supercell, mesh):
    cell = np.array([[5.0, 0, 0], [0, 6.0, 0], [0.5, 0, 7.0]])
    settings = PhononSettings(mesh=(8, 8, 8))
    scaled = scaled_settings(settings, cell, (multiples @ cell) * 1.01)
    assert scaled.supercell == supercell
    assert scaled.mesh == mesh


def test_a_supercell_that_does_not_divide_keeps_its_size():
    cell = np.diag([5.0, 5.0, 5.0])
    settings = scaled_settings(PhononSettings(), cell, np.diag([15.0, 5.0, 5.0]))
    assert settings.supercell == pytest.approx(10.0)
