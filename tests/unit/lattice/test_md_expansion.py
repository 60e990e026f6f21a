"""Thermal expansion by molecular dynamics: closed forms, fits, what is left out and why."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.dynamics import DynamicsSettings, Trajectory
from mofonon.errors import ExpansionError, SettingsError
from mofonon.lattice import MdExpansionMaker, MdExpansionSettings
from mofonon.lattice.expansion import average_trajectory, cell_parameters, fit_expansion
from mofonon.lattice.expansion_documents import (
    about_the_shape,
    doubts,
    npt_document,
    used_points,
)
from mofonon.lattice.expansion_schemas import MdExpansionDoc, TemperaturePoint
from mofonon.lattice.md_expansion import trajectory_path
from mofonon.lattice.schemas import CellParameters
from mofonon.potentials import PotentialSpec, describe_potential
from mofonon.store import find_documents, get_document
from mofonon.structures import structure_hash
from support.closed_forms import grueneisen_crystal

_POTENTIAL = PotentialSpec.from_name("support.closed_forms:expanding_crystal")


def _trajectory(volumes, energies=None, state="complete", reason="") -> Trajectory:
    n = len(volumes)
    cells = np.cbrt(volumes)[:, None, None] * np.eye(3)
    return Trajectory(
        numbers=np.array([29, 29]),
        times=np.arange(n) * 10.0,
        positions=np.zeros((n, 2, 3)),
        cells=cells,
        temperatures=np.random.default_rng(5).normal(300, 20, n),
        pressures=np.zeros(n),
        potential_energies=np.asarray(
            np.random.default_rng(6).normal(size=n) if energies is None else energies
        ),
        conserved=np.zeros(n),
        state=state,
        reason=reason,
        n_force_evaluations=n,
        seconds=1.0,
    )


def _noise(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


def test_cell_parameters_are_those_of_pymatgen():
    atoms = Atoms("Cu", cell=[5.0, 6.0, 7.0, 80.0, 95.0, 110.0], pbc=True)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for cell in (atoms.cell.array, atoms.cell.array @ turn):
        np.testing.assert_allclose(cell_parameters(cell[None])[0], [5, 6, 7, 80, 95, 110])


def test_averages_begin_where_volume_and_energy_are_in_equilibrium():
    n = 2000
    volumes = 800.0 + _noise(n) + 50 * np.exp(-np.arange(n) / 40)
    energies = _noise(n, 1) - 30 * np.exp(-np.arange(n) / 100)
    repeats = np.diag([2, 2, 2])
    found = average_trajectory(_trajectory(volumes, energies), repeats)
    # the energy is the slower: below its noise after 100 ln 30 samples
    assert 250 < found.start < 900
    volume = found.averages["volume"]
    assert volume.mean == pytest.approx(100.0, abs=5 * volume.error)
    assert volume.error == pytest.approx(1 / 8 / np.sqrt(n - found.start), rel=0.3)
    assert found.averages["a"].mean == pytest.approx(100 ** (1 / 3), rel=1e-4)
    assert found.levelled


def test_a_weighted_fit_recovers_a_line_and_its_error():
    temperatures = np.array([100.0, 200, 300, 400, 600])
    errors = np.array([0.02, 0.05, 0.02, 0.1, 0.05])
    exact = 500 * np.exp(3e-5 * (temperatures - 300))
    fit = fit_expansion(temperatures, exact, errors, at=300.0)
    assert fit.cte == pytest.approx(3e-5, rel=1e-9)
    np.testing.assert_allclose(fit.value(temperatures), exact, rtol=1e-12)
    random = np.random.default_rng(0)
    fits = [
        fit_expansion(temperatures, exact + errors * random.normal(size=5), errors, at=300.0)
        for _ in range(400)
    ]
    scatter = np.std([each.cte for each in fits])
    assert fit.error == pytest.approx(scatter, rel=0.1)
    assert np.mean([each.reduced_chi2 for each in fits]) == pytest.approx(1, abs=0.15)


def test_fits_of_higher_degree_and_errors_too_small():
    temperatures = np.arange(100.0, 700.0, 100.0)
    bent = 500 * np.exp(2e-5 * (temperatures - 300) + 3e-8 * (temperatures - 300) ** 2)
    errors = np.full(6, 0.001)
    straight = fit_expansion(temperatures, bent, errors, at=300.0)
    assert straight.reduced_chi2 > 1000
    assert (
        straight.error > 10 * fit_expansion(temperatures, bent, errors, at=300, degree=2).error
    )
    curved = fit_expansion(temperatures, bent, errors, at=300.0, degree=2)
    assert curved.cte == pytest.approx(2e-5, rel=1e-9)
    two = fit_expansion([200, 400], [500, 501], [0.1, 0.1], at=300.0)
    assert two.reduced_chi2 is None
    assert two.error == pytest.approx(np.hypot(0.1 / 500, 0.1 / 501) / 200)
    with pytest.raises(ExpansionError, match="2 temperatures"):
        fit_expansion([200, 400], [500, 501], [0.1, 0.1], at=300.0, degree=2)
    with pytest.raises(ExpansionError, match="no errors"):
        fit_expansion([200, 400], [500, 501], [0.1, 0.0], at=300.0)


def _point(trajectory) -> TemperaturePoint:
    return npt_document(
        trajectory,
        300.0,
        np.eye(3, dtype=int),
        MdExpansionSettings(),
        input_hash="x",
        potential=describe_potential(_POTENTIAL),
        seconds_in_potential=0.5,
    )


def test_trajectories_that_cannot_be_used_are_left_out_with_the_reason():
    exploded = _point(_trajectory(100 + _noise(50), state="exploded", reason="hot after 3 fs"))
    short = _point(_trajectory(100 + _noise(10)))
    drifting = _point(_trajectory(100 + np.arange(400.0)))
    good = _point(_trajectory(100 + _noise(400)))
    assert [p.used for p in (exploded, short, drifting, good)] == [False, False, False, True]
    assert "exploded: hot after 3 fs" in exploded.reason
    assert exploded.volume is None
    assert "too few" in short.reason
    assert "effectively uncorrelated" in drifting.reason
    assert good.equilibration_time + good.sampled_time == pytest.approx(3.99)
    with pytest.raises(ExpansionError, match=r"1 of 4 temperatures.*hot after 3 fs"):
        used_points([exploded, short, drifting, good], MdExpansionSettings())


def test_doubts():
    point = _point(_trajectory(100 + _noise(400))).model_copy(
        update={"drift": 1e-3, "mean_temperature": 330.0, "mean_temperature_error": 1.0}
    )
    fit = fit_expansion([200, 300, 400], [500, 501, 500], [1e-3] * 3, at=300.0)
    text = "\n".join(doubts([point], fit))
    for words in ("drifts", "330.0 +- 1.0 K", "chi squared"):
        assert words in text
    calm = point.model_copy(update={"drift": 0.0, "mean_temperature": 300.5})
    assert not doubts([calm], fit_expansion([200, 400], [500, 501], [0.1] * 2, at=300.0))


def test_a_shape_that_is_not_that_at_rest_is_a_doubt():
    rest = CellParameters(a=5, b=5, c=5, alpha=90, beta=90, gamma=90, volume=125)
    calm = _point(_trajectory(130 + 0.1 * _noise(400)))
    assert not about_the_shape([calm], rest)
    [text] = about_the_shape([calm.model_copy(update={"a": 4.6, "b": 5.3})], rest)
    assert "300 K: relative to the volume a is -9" in text


def test_settings_that_make_no_sense():
    with pytest.raises(SettingsError, match="positive and different"):
        MdExpansionSettings(temperatures=(300.0, 300.0))
    with pytest.raises(SettingsError, match="nothing expands"):
        MdExpansionSettings(dynamics=DynamicsSettings(ensemble="nve"))
    with pytest.raises(SettingsError, match="too short"):
        MdExpansionSettings(supercell=2.0)
    assert MdExpansionSettings(temperatures=(400, 200)).temperatures == (200.0, 400.0)


@pytest.mark.slow
def test_the_closed_form_is_found_through_the_maker():
    atoms, crystal = grueneisen_crystal(1)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    maker = MdExpansionMaker(
        potential=_POTENTIAL,
        settings=MdExpansionSettings(
            temperatures=(200.0, 600.0),
            supercell=((1, 0, 0), (0, 1, 0), (0, 0, 1)),
            dynamics=DynamicsSettings(
                ensemble="npt-isotropic",
                steps=1200,
                time_step=4.0,
                interval=2,
                thermostat_time=50,
                barostat_time=200,
            ),
            min_effective_samples=10,
        ),
        relax_maker=None,
    )
    structure = AseAtomsAdaptor.get_structure(atoms)
    flow = maker.make(structure)
    run_locally(flow, store=store, log=False, raise_immediately=True)
    document = get_document(store, flow.output.uuid, with_arrays=True)
    doc = MdExpansionDoc.model_validate(document)
    assert doc.calculation_id == maker.calculation_id(structure)
    assert doc.cte_volumetric_300K == doc.cte_volumetric
    assert doc.cte_volumetric == pytest.approx(3 * doc.cte_linear)
    exact = crystal.cte_volumetric
    assert doc.cte_volumetric == pytest.approx(exact, abs=4 * doc.cte_volumetric_error)
    assert doc.cte_volumetric_error < 0.5 * exact
    for point in doc.points:
        close = pytest.approx(crystal.volume(point.temperature), abs=4 * point.volume_error)
        assert point.volume == close
    assert doc.n_force_evaluations == 2 * 1201
    assert doc.method_note.startswith("classical")
    assert doc.warnings[0] == doc.method_note
    [found] = find_documents(
        store, {"cte_linear_300K": {"$gt": 0}}, document_type="expansion-md"
    )
    assert found["document_id"] == document["document_id"]


def test_a_structure_relaxed_otherwise_has_another_trajectory():
    """Its input is the same; going on from the other's trajectory would be an error."""
    maker = MdExpansionMaker(potential=_POTENTIAL)
    given = AseAtomsAdaptor.get_structure(bulk("Cu", "fcc", a=3.6))
    relaxed, otherwise = given.copy(), given.copy()
    otherwise.apply_strain(1e-7)
    described = describe_potential(_POTENTIAL)
    paths = [
        trajectory_path(each, structure_hash(given), described, maker.settings, 300.0)
        for each in (relaxed, relaxed.copy(), otherwise)
    ]
    assert paths[0] == paths[1] != paths[2]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert set(paths) <= set(maker.checkpoints(given))
