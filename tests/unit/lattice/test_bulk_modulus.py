"""Bulk moduli of EMT crystals, from relaxation to document."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.eos import EquationOfState as AseEquationOfState
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pydantic import ValidationError
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.errors import EquationOfStateError, RelaxationNotConverged
from mofonon.lattice import BulkModulusDoc, BulkModulusMaker, BulkModulusSettings
from mofonon.lattice.bulk_modulus import strain_isotropically
from mofonon.lattice.bulk_modulus_documents import bulk_modulus_document
from mofonon.lattice.bulk_modulus_schemas import StrainedCell
from mofonon.lattice.bulk_modulus_summary import UNITS, summarize_bulk_modulus
from mofonon.lattice.documents import to_structure
from mofonon.lattice.jobs import RelaxMaker
from mofonon.potentials import PotentialSpec, describe_potential
from mofonon.report.energy_volume import plot_energy_volume, write_energy_volume
from mofonon.structures import structure_hash

SPEC = PotentialSpec.from_name("ase.calculators.emt:EMT")


def _maker(*, relax_first: bool = True, **settings) -> BulkModulusMaker:
    return BulkModulusMaker(
        potential=SPEC,
        settings=BulkModulusSettings(**settings),
        relax_maker=RelaxMaker() if relax_first else None,
    )


def _run(atoms: Atoms, **settings) -> BulkModulusDoc:
    """Run the flow, and read the document back from the store."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    flow = _maker(**settings).make(AseAtomsAdaptor.get_structure(atoms))
    run_locally(flow, store=store, log=False, raise_immediately=True)
    return BulkModulusDoc.model_validate(store.get_output(flow.output.uuid))


def _layers() -> Atoms:
    """Pt Ag Ag Pt Ag Ag along z: the distances of layers are free, and c is not a."""
    atoms = bulk("Ag", "fcc", a=4.0, cubic=True).repeat((1, 1, 3))
    layer = np.rint(atoms.positions[:, 2] / 2.0).astype(int)
    atoms.symbols[layer % 3 == 0] = "Pt"
    return atoms


@pytest.mark.parametrize("symbol", ["Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt"])
def test_emt_metals_against_the_second_derivative_of_the_energy(symbol):
    """B = V d2E/dV2, by differences around the relaxed cell, within 0.1 %."""
    doc = _run(bulk(symbol), max_linear_strain=0.005)
    relaxed = doc.structure.to_ase_atoms()
    relaxed.calc = None
    volume, step = relaxed.get_volume(), 1e-3

    def energy(k: int) -> float:
        atoms = strain_isotropically(relaxed, (1 + k * step) ** (1 / 3) - 1)
        atoms.calc = EMT()
        return atoms.get_potential_energy()

    e = [energy(k) for k in range(-2, 3)]
    derivative = (-e[0] + 16 * e[1] - 30 * e[2] + 16 * e[3] - e[4]) / 12 / step**2
    assert doc.bulk_modulus == pytest.approx(derivative / volume / units.GPa, rel=1e-3)
    assert doc.bulk_modulus_from_stress == pytest.approx(doc.bulk_modulus, rel=1e-3)
    assert doc.equilibrium_volume == pytest.approx(volume, rel=1e-5)
    assert doc.equilibrium_energy == pytest.approx(e[2], abs=1e-6)
    assert doc.warnings == []


def test_the_papers_settings_give_what_ase_fits_to_the_same_points():
    doc = _run(bulk("Cu", cubic=True))
    assert doc.settings.linear_strains()[::3] == [-0.02, 0.0, 0.02]
    volumes = [point.volume for point in doc.points]
    assert np.allclose(
        np.cbrt(np.array(volumes) / doc.structure.volume) - 1,
        [point.linear_strain for point in doc.points],
    )
    energies = [point.energy for point in doc.points]
    for ours, theirs in (
        ("birch_murnaghan", "birchmurnaghan"),
        ("vinet", "vinet"),
        ("murnaghan", "murnaghan"),
    ):
        v0, _, b0 = AseEquationOfState(volumes, energies, theirs).fit()
        assert doc.fits[ours].bulk_modulus == pytest.approx(b0 / units.GPa, rel=1e-5)
        assert doc.fits[ours].equilibrium_volume == pytest.approx(v0, rel=1e-7)
    assert doc.bulk_modulus == doc.fits["birch_murnaghan"].bulk_modulus
    assert doc.bulk_modulus == pytest.approx(doc.bulk_modulus_from_stress, rel=0.01)
    assert doc.points[0].pressure > 0 > doc.points[-1].pressure


def test_where_it_comes_from_and_what_it_cost():
    maker = _maker(n_points=5)
    atoms = bulk("Ag", cubic=True)
    doc = _run(atoms, n_points=5)
    structure = AseAtomsAdaptor.get_structure(atoms)
    assert doc.calculation_id == maker.calculation_id(structure)
    assert doc.calculation_id != _maker(n_points=7).calculation_id(structure)
    assert doc.calculation_id != _maker(n_points=5, relax_first=False).calculation_id(structure)
    assert all(log.is_file() for log in maker.evaluation_logs(structure))
    assert len(set(maker.evaluation_logs(structure))) == 6
    parts = doc.n_force_evaluations_by_part
    assert parts["relaxation"] == doc.relaxation.n_force_evaluations > 1
    assert parts["strained_cells"] == sum(point.n_force_evaluations for point in doc.points)
    assert doc.n_force_evaluations == sum(parts.values())
    assert doc.seconds["total"] == pytest.approx(
        sum(doc.seconds[part] for part in ("relaxation", "strained_cells", "fit"))
    )
    summary = summarize_bulk_modulus(doc, "id")
    assert summary["bulk_modulus"] == doc.bulk_modulus
    assert summary["seconds"] == doc.seconds["total"]
    assert {"bulk_modulus", "equilibrium_volume", "residual", "seconds"} <= set(UNITS)


def test_any_number_of_points_and_any_fit():
    moduli = [
        _run(bulk("Cu"), n_points=n, equation_of_state="vinet", max_linear_strain=0.01)
        for n in (5, 6, 12)
    ]
    assert [len(doc.points) for doc in moduli] == [5, 6, 12]
    assert np.ptp([doc.bulk_modulus for doc in moduli]) < 0.05
    assert moduli[0].bulk_modulus == moduli[0].fits["vinet"].bulk_modulus


def test_what_relaxes_makes_it_softer():
    """Clamped atoms resist most, free shape least; each energy is below the one before."""
    clamped, positions, shape = (
        _run(_layers(), relax=freedom, n_points=5, max_linear_strain=0.01, fmax=1e-5)
        for freedom in ("none", "positions", "positions-and-shape")
    )
    assert clamped.bulk_modulus > 1.05 * positions.bulk_modulus
    assert positions.bulk_modulus > 1.0003 * shape.bulk_modulus
    for a, b, c in zip(clamped.points, positions.points, shape.points, strict=True):
        assert np.allclose([b.volume, c.volume], a.volume, rtol=1e-9)
        assert a.energy >= b.energy - 1e-9 >= c.energy - 2e-9
    assert all(point.n_force_evaluations == 1 for point in clamped.points)
    assert clamped.points[0].fmax > 1e-3
    assert max(point.fmax for point in positions.points + shape.points) < 1e-5
    stress = np.array(shape.points[0].stress)
    assert np.ptp(stress[:3]) < 1e-5  # hydrostatic


def test_the_shape_relaxes_back_at_fixed_volume():
    """Tetragonal copper, taken as it is, is cubic copper at each volume."""
    atoms = bulk("Cu", cubic=True)
    cubic = _run(atoms, n_points=5)
    stretched = cubic.structure.to_ase_atoms()
    stretched.set_cell(stretched.cell.array @ np.diag([1.01, 1.01, 1.01**-2]), scale_atoms=True)
    settings = {"relax_first": False, "n_points": 5}
    back = _run(stretched, **settings, relax="positions-and-shape")
    assert back.relaxation is None
    assert back.input_hash == structure_hash(AseAtomsAdaptor.get_structure(stretched))
    assert back.bulk_modulus == pytest.approx(cubic.bulk_modulus, rel=1e-6)
    assert back.equilibrium_volume == pytest.approx(cubic.equilibrium_volume, rel=1e-7)
    held = _run(stretched, **settings)
    assert held.equilibrium_energy > back.equilibrium_energy + 1e-4
    assert abs(held.bulk_modulus / cubic.bulk_modulus - 1) > 1e-3


def test_a_minimum_that_is_not_among_the_volumes():
    with pytest.raises(EquationOfStateError, match="still falls towards smaller volumes"):
        _run(bulk("Cu", a=3.9), relax_first=False)


def test_a_relaxation_that_does_not_converge():
    with pytest.raises(RelaxationNotConverged, match="fmax is"):
        _run(_layers(), max_steps=1, n_points=5, fmax=1e-9, relax_first=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_points": 4},
        {"max_linear_strain": 0.0},
        {"max_linear_strain": 0.5},
        {"relax": "cell"},
        {"fmax": -1.0},
        {"equation_of_state": "birch"},
        {"strain": 0.02},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(ValidationError):
        BulkModulusSettings(**settings)


def test_strains_are_of_lengths():
    atoms = bulk("Cu", cubic=True)
    strained = strain_isotropically(atoms, 0.01)
    assert np.allclose(strained.cell.lengths(), 1.01 * atoms.cell.lengths())
    assert np.allclose(strained.get_scaled_positions(), atoms.get_scaled_positions())
    assert np.array_equal(atoms.cell.array, bulk("Cu", cubic=True).cell.array)


def _document(
    *, energies=lambda v: 0.0 * v, scale=1.0, stress=True, potential=SPEC, **provenance
) -> BulkModulusDoc:
    """Document of a made-up crystal: 100 GPa, B0' = 4, 40 A^3."""
    v = 40 * (1 + np.linspace(-0.02, 0.02, 7)) ** 3
    eta = (40 / v) ** (1 / 3)
    pressures = 150.0 * (eta**7 - eta**5) * scale
    e = 9 * 100 * units.GPa * 40 / 16 * (eta**2 - 1) ** 2 * 2 + energies(v)
    points = [
        StrainedCell(
            linear_strain=0.0,
            volume=volume,
            energy=energy,
            stress=[-pressure * units.GPa] * 3 + [0.0] * 3 if stress else None,
            pressure=pressure if stress else None,
            fmax=0.0,
            n_force_evaluations=3,
            seconds=0.5,
            seconds_in_potential=0.25,
        )
        for volume, energy, pressure in zip(v, e, pressures, strict=True)
    ]
    return bulk_modulus_document(
        to_structure(bulk("Cu", a=160 ** (1 / 3))),
        points[::-1],
        BulkModulusSettings(),
        input_hash="ab" * 32,
        calculation_id="cd" * 32,
        potential=describe_potential(potential),
        **{"relaxation": None, **provenance},
    )


def test_the_made_up_crystal():
    doc = _document()
    assert doc.bulk_modulus == pytest.approx(100.0, rel=1e-6)
    assert doc.bulk_modulus_from_stress == pytest.approx(100.0, rel=1e-6)
    assert doc.bulk_modulus_derivative == pytest.approx(4.0, rel=1e-6)
    assert doc.n_force_evaluations == 21
    assert doc.seconds["strained_cells"] == 3.5
    assert doc.seconds["potential"] == 1.75
    assert [point.volume for point in doc.points] == sorted(p.volume for p in doc.points)
    assert doc.warnings == []


@pytest.mark.parametrize(
    ("keywords", "warning"),
    [
        ({"scale": 1.1}, "the stresses give 110.000 GPa, the energies 100.000 GPa"),
        ({"energies": lambda v: 0.01 * (v > 41)}, "the energies deviate from the fit by"),
        ({"energies": lambda v: -0.0017 * (v - 40) ** 3}, "the equations of state disagree"),
        ({"stress": False}, "the potential gives no stress"),
        ({"scale": -1.0}, "no bulk modulus from stress: the bulk modulus is not positive"),
        (
            {"potential": SPEC.model_copy(update={"dtype": "float32"})},
            "single precision was asked for",
        ),
    ],
)
def test_doubts_are_said(keywords, warning):
    doc = _document(**keywords)
    assert any(warning in text for text in doc.warnings), doc.warnings
    if "stress" in warning:
        assert doc.bulk_modulus_from_stress is None or keywords["scale"] == 1.1


def test_an_equilibrium_volume_that_is_not_the_relaxed_one():
    relaxation = _run(bulk("Cu"), n_points=5).relaxation
    assert any(
        "the relaxed structure has 40.000 A^3" in text
        for text in _document(
            energies=lambda v: 0.02 * (v - 40), relaxation=relaxation
        ).warnings
    )


def test_the_figure(tmp_path):
    doc = _document()
    upper, lower = plot_energy_volume(doc).axes
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == [
        "Birch-Murnaghan",
        "Vinet",
        "Murnaghan",
        "from stress",
        "computed",
    ]
    assert "100.00 GPa" in labels[0]
    curve = upper.lines[0]
    assert curve.get_ydata().min() == pytest.approx(0, abs=1e-3)
    assert curve.get_xdata()[curve.get_ydata().argmin()] == pytest.approx(40, abs=0.02)
    assert np.abs(lower.lines[0].get_ydata()).max() < 1e-6
    notice = "distilled demo model, not for science"
    figure = plot_energy_volume(doc.model_copy(update={"notice": notice}))
    assert figure.get_supxlabel() == notice
    path = write_energy_volume(doc, tmp_path / "figures", "Cu")
    assert path.name == "Cu-energy-volume.png"
    assert path.read_bytes().startswith(b"\x89PNG")
