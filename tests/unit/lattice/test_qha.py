"""Quasi-harmonic approximation as jobs: phonopy by hand, exclusions, added volumes."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from phonopy import Phonopy, run_qha
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.errors import QuasiHarmonicError, SettingsError
from mofonon.lattice import PhononSettings, QhaDoc, QhaMaker, QhaSettings
from mofonon.lattice.phonons import to_phonopy_atoms
from mofonon.lattice.qha import phonons_at_volume, strain_isotropically
from mofonon.lattice.qha_doubts import doubts
from mofonon.lattice.qha_schemas import VolumePoint
from mofonon.lattice.qha_summary import UNITS, qha_row, summarize_qha
from mofonon.lattice.qha_volumes import strains_to_add
from mofonon.lattice.quasi_harmonic import QuasiHarmonicResult
from mofonon.lattice.schemas import CellParameters, SpaceGroup
from mofonon.potentials import PotentialSpec
from mofonon.report.quasi_harmonic import plot_expansion, plot_free_energies
from mofonon.store import find_documents

EMT_SPEC = PotentialSpec.from_name("ase.calculators.emt:EMT")
QUICK = PhononSettings(
    mesh=(5, 5, 5), dos_pitch=0.1, band_points=3, temperature_max=600, temperature_step=20
)


@pytest.fixture
def store() -> JobStore:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    return store


def _run(maker: QhaMaker, structure, store, tmp_path) -> QhaDoc:
    flow = maker.make(structure)
    run_locally(flow, store=store, log=False, raise_immediately=True, root_dir=tmp_path)
    return QhaDoc.model_validate(store.get_output(flow.output.uuid, load=True))


def _structure(atoms: Atoms):
    return AseAtomsAdaptor.get_structure(atoms)


def _maker(settings: QhaSettings, phonons: PhononSettings = QUICK) -> QhaMaker:
    return QhaMaker(potential=EMT_SPEC, settings=settings, phonons=phonons)


def test_aluminium_equals_phonopy_by_hand(store, tmp_path, aluminium):
    """The same volumes through Phonopy and run_qha: CTE to 1e-3 relative."""
    settings = QhaSettings(n_volumes=7, max_linear_strain=0.025, fmax=1e-8, max_extensions=0)
    doc = _run(_maker(settings), _structure(aluminium), store, tmp_path)
    phonopys, energies = [], []
    for point in doc.points:
        atoms = bulk("Al", "fcc", a=(4 * point.cell.volume) ** (1 / 3))
        phonopys.append(_phonons(atoms))
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    theirs = run_qha(
        phonopys,
        np.arange(0, 621, 20),
        internal_energies=energies,
        mesh=QUICK.mesh,
        exclude_gamma_acoustic=True,
    )
    series = doc.series
    assert np.array_equal(series.temperatures, theirs.temperatures)
    assert series.temperatures[-1] == QUICK.temperature_max
    expansion = 1e6 * theirs.thermal_expansion
    assert np.allclose(series.cte_volumetric, expansion, rtol=1e-3, atol=0.01)
    assert np.allclose(3 * np.array(series.cte_linear), expansion, rtol=1e-3, atol=0.01)
    assert np.allclose(series.volumes, theirs.equilibrium_volumes, rtol=1e-6)
    assert np.allclose(series.bulk_moduli, 160.21766 * theirs.bulk_moduli, rtol=1e-4)
    assert doc.cte_linear_300K == pytest.approx(expansion[15] / 3, rel=1e-3)
    # the same expansion along all cell vectors; two ways to a Grueneisen parameter
    assert doc.cte_a_300K == pytest.approx(doc.cte_linear_300K, rel=1e-3)
    assert doc.gruneisen_modes_300K == pytest.approx(doc.gruneisen_300K, rel=1e-2)
    assert doc.arrays.mode_gruneisen.decode().shape == doc.arrays.frequencies.decode().shape
    parts = doc.n_force_evaluations_by_part
    assert doc.n_force_evaluations == sum(parts.values())
    assert parts["volumes_displacements"] == 7 * 2
    assert doc.seconds["total"] > doc.seconds["potential"] > 0
    assert not doc.excluded_volumes
    assert doc.highest_temperature == 600
    summary = summarize_qha(doc, "id")
    numbers = {name for name, value in summary.items() if isinstance(value, float)}
    assert numbers <= set(UNITS)


def _phonons(atoms: Atoms) -> Phonopy:
    phonon = Phonopy(to_phonopy_atoms(atoms), np.diag([2, 2, 2]), primitive_matrix="P")
    phonon.generate_displacements(distance=QUICK.displacement)
    forces = []
    for cell in phonon.supercells_with_displacements:
        system = Atoms(cell.symbols, cell=cell.cell, positions=cell.positions, pbc=True)
        system.calc = EMT()
        forces.append(system.get_forces())
    phonon.forces = np.array(forces)
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


def test_a_range_that_is_too_small_grows_by_itself(store, tmp_path, aluminium):
    settings = QhaSettings(n_volumes=7, max_linear_strain=0.009, fmax=1e-5)
    maker = _maker(settings)
    structure = _structure(aluminium)
    doc = _run(maker, structure, store, tmp_path)
    assert doc.n_extensions == 2
    assert len(doc.points) == doc.n_volumes_used == 13
    assert doc.points[0].linear_strain == -0.009
    assert doc.points[-1].linear_strain == 0.027
    assert all(doc.series.inside)
    # one document, under the id that the flow promised
    found = list(find_documents(store, {"cte_linear_300K": {"$gt": 0}}, document_type="qha"))
    assert len(found) == 1
    assert doc.calculation_id == maker.calculation_id(structure) == found[0]["calculation_id"]
    wider = QhaSettings(n_volumes=13, max_linear_strain=0.027, fmax=1e-5)
    assert doc.cte_linear_300K == pytest.approx(
        _run(_maker(wider), structure, store, tmp_path).cte_linear_300K, rel=0.03
    )


def test_without_extensions_the_expansion_outside_is_marked(store, tmp_path, aluminium):
    settings = QhaSettings(n_volumes=7, max_linear_strain=0.009, max_extensions=0)
    doc = _run(_maker(settings), _structure(aluminium), store, tmp_path)
    assert not all(doc.series.inside)
    assert doc.highest_temperature == 220
    assert doc.cte_linear_300K is None
    assert doc.volume_0K is not None
    warning = next(text for text in doc.warnings if "extrapolated" in text)
    assert "from 240 K on" in warning
    assert "--max-linear-strain" in warning


def test_volumes_with_imaginary_modes_are_left_out_and_listed(store, tmp_path):
    """Platinum in EMT is unstable where it is stretched by 4 %."""
    structure = _structure(bulk("Pt", "fcc", a=3.92))
    settings = QhaSettings(n_volumes=9, max_linear_strain=0.05, min_volumes=5, fmax=1e-5)
    doc = _run(_maker(settings), structure, store, tmp_path)
    assert doc.excluded_volumes
    assert {each.linear_strain for each in doc.excluded_volumes} == {
        point.linear_strain for point in doc.points if not point.used
    }
    assert all(each.min_frequency < 0 for each in doc.excluded_volumes)
    assert doc.points[-1].linear_strain == 0.05
    assert not doc.points[-1].used
    assert any("imaginary modes and are left out" in text for text in doc.warnings)
    assert doc.n_volumes_used == len(doc.points) - len(doc.excluded_volumes)
    assert not doc.imaginary_modes_left_out
    assert doc.notice is None
    n_used = doc.n_volumes_used
    too_many = settings.model_copy(update={"min_volumes": n_used + 1})
    with pytest.raises(QuasiHarmonicError, match=f"only {n_used} of 9 volumes") as caught:
        _run(_maker(too_many), structure, store, tmp_path)
    assert f"{doc.excluded_volumes[0].min_frequency:.4f} THz" in caught.value.message
    assert "--allow-imaginary" in caught.value.remedy
    allowed = settings.model_copy(update={"allow_imaginary": True, "max_extensions": 0})
    marked = _run(_maker(allowed), structure, store, tmp_path)
    assert marked.n_volumes_used == 9
    assert marked.imaginary_modes_left_out
    assert "imaginary modes were left out" in marked.notice
    assert marked.warnings[0] == marked.notice
    for plot in (plot_expansion, plot_free_energies):
        assert "imaginary modes were left out" in plot(marked)._supxlabel.get_text()
        assert plot(doc)._supxlabel is None
    assert "only their real modes used" in qha_row(marked)["with imaginary modes"]


def test_the_table_ends_where_the_volumes_end(store, tmp_path, aluminium):
    """No blanks at 300 K where the highest temperature computed is below."""
    cold = QUICK.model_copy(update={"temperature_max": 100.0})
    settings = QhaSettings(n_volumes=7, max_linear_strain=0.025, max_extensions=0)
    doc = _run(_maker(settings, cold), _structure(aluminium), store, tmp_path)
    assert doc.cte_linear_300K is None
    row = qha_row(doc)
    assert row["linear CTE at 100 K (1e-6/K)"] == f"{doc.series.cte_linear[5]:+.2f}"
    assert row["volume at 100 K (\u00c5\u00b3)"] == f"{doc.series.volumes[5]:.3f}"


def test_volumes_that_cannot_be_relaxed_are_left_out_and_listed(store, tmp_path):
    structure = _structure(bulk("Ni", "hcp", a=2.443, c=3.989))
    restless = PotentialSpec.from_name("support.calculators:RestlessEMT")
    settings = QhaSettings(
        n_volumes=8, max_linear_strain=0.015, min_volumes=5, fmax=1e-4, max_steps=12
    )
    cold = QUICK.model_copy(update={"temperature_max": 100.0})
    maker = QhaMaker(potential=restless, settings=settings, phonons=cold, relax_maker=None)
    doc = _run(maker, structure, store, tmp_path)
    left_out = doc.excluded_volumes
    assert 0 < len(left_out) <= 3
    assert len(doc.points) == doc.n_volumes_used == 8 - len(left_out)
    assert all(each.volume > 2 * 10.7 for each in left_out)
    assert all(each.reason.startswith("not relaxed: Ni2: fmax is") for each in left_out)
    assert all(each.min_frequency is None for each in left_out)
    assert all(each.n_force_evaluations > 5 for each in left_out)
    assert doc.n_force_evaluations == sum(
        each.n_force_evaluations for each in (*doc.points, *left_out)
    )
    assert any("could not be relaxed and are left out" in text for text in doc.warnings)
    assert doc.n_extensions == 0  # none beyond an end that failed
    too_many = maker.settings.model_copy(update={"min_volumes": 8})
    maker.settings = too_many
    with pytest.raises(QuasiHarmonicError, match="not relaxed: Ni2: fmax is"):
        _run(maker, structure, store, tmp_path)


def test_axes_of_a_hexagonal_metal(store, tmp_path):
    """Its expansions along a, b and c add up to the volumetric one; a and b are equal."""
    structure = _structure(bulk("Ni", "hcp", a=2.49, c=4.07))
    settings = QhaSettings(n_volumes=6, max_linear_strain=0.015, fmax=1e-5)
    doc = _run(_maker(settings), structure, store, tmp_path)
    assert doc.space_group.symbol == "P6_3/mmc"
    assert not doc.excluded_volumes
    assert doc.cte_a_300K == pytest.approx(doc.cte_b_300K, rel=1e-4)
    assert abs(doc.cte_a_300K / doc.cte_c_300K - 1) > 1e-3
    total = doc.cte_a_300K + doc.cte_b_300K + doc.cte_c_300K
    assert total == pytest.approx(doc.cte_volumetric_300K, rel=1e-3)
    assert doc.series.gamma == pytest.approx([120] * len(doc.series.gamma), abs=1e-3)


def test_each_volume_is_a_phonon_document(store, tmp_path, aluminium):
    settings = QhaSettings(n_volumes=6, fmax=1e-5, max_extensions=0)
    doc = _run(_maker(settings), _structure(aluminium), store, tmp_path)
    for point in doc.points:
        phonons = store.get_output(point.document_id, load=True)
        assert phonons["@class"] == "PhononDoc"
        assert phonons["cell"]["volume"] == point.cell.volume
        assert phonons["relaxation"]["settings"]["cell"] == "fixed-volume"
    strain = (doc.points[-1].cell.volume / doc.cell.volume) ** (1 / 3) - 1
    assert strain == pytest.approx(0.02, rel=1e-8)


def test_volumes_of_an_unrelaxed_structure(store, tmp_path, aluminium):
    settings = QhaSettings(n_volumes=6, cell="fixed", max_extensions=0)
    maker = QhaMaker(potential=EMT_SPEC, settings=settings, phonons=QUICK, relax_maker=None)
    structure = _structure(aluminium)
    doc = _run(maker, structure, store, tmp_path)
    assert doc.relaxation is None
    assert doc.calculation_id == maker.calculation_id(structure)
    assert doc.n_force_evaluations_by_part["relaxation"] == 0
    logs = maker.evaluation_logs(structure)
    assert sum(log.exists() for log in logs) == 6


def test_a_second_run_evaluates_nothing(store, tmp_path, aluminium, monkeypatch):
    monkeypatch.setenv("COUNT_EVALUATIONS", str(tmp_path / "count"))
    spec = PotentialSpec.from_name("support.calculators:CountedEMT")
    settings = QhaSettings(n_volumes=6, fmax=1e-5)
    maker = QhaMaker(potential=spec, settings=settings, phonons=QUICK)
    structure = _structure(aluminium)
    first = _run(maker, structure, store, tmp_path)
    made = len((tmp_path / "count").read_text().splitlines())
    assert made == first.n_force_evaluations
    again = _run(maker, structure, store, tmp_path)
    assert len((tmp_path / "count").read_text().splitlines()) == made
    assert again.series == first.series


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(SettingsError, match="5 volumes are fewer than the 6"):
        QhaSettings(n_volumes=5)
    settings = QhaSettings()
    strains = settings.linear_strains()
    assert strains == sorted(strains)
    assert strains[0] == -strains[-1] == -0.02
    assert strains[5] == 0
    assert [settings.index_of(strain) for strain in strains] == list(range(11))
    assert QhaMaker().calculation_id(_structure(bulk("Al"))) != QhaMaker(
        settings=QhaSettings(n_volumes=9)
    ).calculation_id(_structure(bulk("Al")))


def test_too_few_temperatures_are_refused_before_anything_is_computed():
    with pytest.raises(SettingsError, match="below the step of 10 K"):
        QhaMaker(phonons=PhononSettings(temperature_max=5))


def test_isotropic_strain(aluminium):
    structure = _structure(aluminium)
    strained = strain_isotropically(structure, 0.01)
    assert strained.volume == pytest.approx(1.01**3 * structure.volume)
    assert np.array_equal(strained.frac_coords, structure.frac_coords)
    assert structure == _structure(aluminium)


def _point(strain: float, *, used: bool = True, group: str = "Fm-3m") -> VolumePoint:
    side = 10 * (1 + strain)
    return VolumePoint(
        linear_strain=strain,
        cell=CellParameters(
            a=side, b=side, c=side, alpha=90, beta=90, gamma=90, volume=side**3
        ),
        space_group=SpaceGroup(symbol=group, number=1, symprec=1e-5),
        energy=0.0,
        min_frequency=1.0 if used else -1.0,
        n_imaginary_modes=0 if used else 1,
        used=used,
        n_force_evaluations=1,
        n_relax_evaluations=1,
        seconds={},
        document_id="none",
    )


def _result(strains, *, stopped: str = "", **values) -> QuasiHarmonicResult:
    """Volumes over temperature that correspond to linear strains."""
    n = len(strains)
    sampled = 1000 * (1 + np.linspace(-0.02, 0.02, 11)) ** 3
    volumes = 1000 * (1 + np.array(strains)) ** 3
    fields = {
        "temperatures": np.linspace(0, 1000, n),
        "volumes": volumes,
        "cte_volumetric": np.zeros(n),
        "bulk_moduli": np.full(n, 20.0),
        "gibbs": np.zeros(n),
        "heat_capacity_p": np.zeros(n),
        "gruneisen": np.zeros(n),
        "inside": (volumes >= sampled.min()) & (volumes <= sampled.max()),
        "equation_of_state": "vinet",
        "parameters": np.tile([0.0, 0.1, 4.0, 1000.0], (n, 1)),
        "sampled_volumes": sampled,
        "helmholtz": np.zeros((n, 11)),
        "stopped": stopped,
    }
    fields |= values
    if "helmholtz" not in values:
        result = QuasiHarmonicResult(**fields)
        fields["helmholtz"] = result.fitted(sampled)
    return QuasiHarmonicResult(**fields)


SETTINGS = QhaSettings()
POINTS = [_point(strain) for strain in SETTINGS.linear_strains()]


@pytest.mark.parametrize(
    ("strains", "stopped", "added"),
    [
        ([0.0, 0.019], "", []),
        ([0.0, 0.021], "", [0.024, 0.028]),
        ([0.0, -0.025], "", [-0.032, -0.028, -0.024]),
        ([0.0, 0.2], "", [0.024, 0.028, 0.032, 0.036, 0.04]),
        ([0.0, 0.015], "no minimum", [0.024, 0.028, 0.032, 0.036, 0.04]),
        ([0.0, -0.015], "no minimum", [-0.04, -0.036, -0.032, -0.028, -0.024]),
    ],
)
def test_which_volumes_are_added(strains, stopped, added):
    assert strains_to_add(POINTS, _result(strains, stopped=stopped), SETTINGS) == added


def test_no_volumes_are_added_beyond_imaginary_ones():
    points = [*POINTS[:-1], _point(0.02, used=False)]
    assert strains_to_add(points, _result([0.0, 0.025]), SETTINGS) == []
    assert strains_to_add(points, _result([0.0, -0.021]), SETTINGS) == [-0.028, -0.024]


@pytest.mark.parametrize(
    ("points", "result", "frequencies", "words"),
    [
        (POINTS, _result([0, 0.01]), [5.0, 5.1], None),
        (POINTS, _result([0, 0.03]), [5.0, 5.1], "up to 3.4 % (--max-linear-strain)"),
        (POINTS, _result([0, 0.01], stopped="no minimum"), [5.0, 5.1], "temperatures end"),
        (
            POINTS,
            _result([0, 0.01], cte_volumetric=np.array([0, -6e-4])),
            [5.0, 5.1],
            "the linear expansion reaches -200e-6/K at 1000 K",
        ),
        (
            POINTS,
            _result([0, 0.01], bulk_moduli=np.array([20.0, 10.0])),
            [5.0, 5.1],
            "from 1000 K on the bulk modulus is below 70 %",
        ),
        (
            POINTS,
            _result([0, 0.01], helmholtz=np.tile([0.0, 1.0] * 5 + [0.0], (2, 1))),
            [5.0, 5.1],
            "deviate from the fit",
        ),
        (POINTS, _result([0, 0.01]), [0.4, 1.2], "33 % of the modes, the lowest at 0.400 THz"),
        (
            [*POINTS[:-1], _point(0.02, group="R-3m")],
            _result([0, 0.01]),
            [5.0, 5.1],
            "changes its symmetry between the volumes (Fm-3m, R-3m)",
        ),
        (POINTS, _result([0, 0.01]), None, "no mode Grueneisen parameters"),
    ],
)
def test_what_is_doubtful_is_said(points, result, frequencies, words):
    modes = None
    if frequencies is not None:
        modes = np.array([[[frequency, 7.0, 8.0]] for frequency in frequencies])
    found = doubts(points, result, SETTINGS, frequencies=modes, weights=np.array([1]))
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_bands_at_the_volumes_are_coarse():
    """They are most of the analysis; what was asked for more coarsely stays."""
    fine = phonons_at_volume(PhononSettings(), QhaSettings())
    assert fine.band_points == 11 < PhononSettings().band_points
    assert fine.temperature_max == PhononSettings().temperature_max + 10
    assert phonons_at_volume(QUICK, QhaSettings()).band_points == QUICK.band_points
    asked = phonons_at_volume(PhononSettings(), QhaSettings(band_points=51))
    assert asked.band_points == 51
