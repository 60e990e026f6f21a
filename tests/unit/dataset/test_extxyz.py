"""Extended XYZ: every digit comes back, MACE and ASE understand it, others' files are read."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from mofonon.dataset.extxyz import Weights, read_frames, write_extxyz
from mofonon.dft.schemas import LabelFrame, ase_stress
from mofonon.errors import DatasetError


def make_frame(seed: int = 0, **fields) -> LabelFrame:
    generator = np.random.default_rng(seed)
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    atoms.set_cell(atoms.cell + generator.normal(0, 0.1, (3, 3)), scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    stress = generator.normal(0, 0.01, (3, 3))
    return LabelFrame.from_arrays(
        atoms,
        generator.normal(-20, 1),
        generator.normal(0, 1, (4, 3)),
        (stress + stress.T) / 2,
        **{"mof_id": f"MOF-{seed}", "origin": "md", "step": seed, **fields},
    )


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_every_bit_comes_back(seed, tmp_path_factory):
    frame = make_frame(seed)
    path = tmp_path_factory.mktemp("xyz") / "frames.xyz"
    write_extxyz(path, [frame])
    (again,) = read_frames(path)
    for name in ("elements", "energy", "stress", "lattice", "positions", "forces"):
        assert getattr(frame, name) == getattr(again, name), name
    assert (again.mof_id, again.origin, again.step) == (frame.mof_id, "md", seed)


def test_what_else_a_frame_knows_comes_back(tmp_path):
    frame = make_frame(
        origin="eos",
        linear_strain=-0.06,
        free_energy=-20.123456789,
        notice='a "stand-in" = no DFT',
        parent="job 7",
        quarantine=["force of 60 eV/A", "not converged"],
    )
    path = tmp_path / "frames.xyz"
    write_extxyz(path, [frame], head="mofs")
    (again,) = read_frames(path)
    for name in ("origin", "linear_strain", "free_energy", "notice", "parent", "quarantine"):
        assert getattr(again, name) == getattr(frame, name), name


def test_ase_reads_it(tmp_path):
    frames = [make_frame(i) for i in range(3)]
    path = tmp_path / "frames.xyz"
    assert write_extxyz(path, frames, weights={"md": Weights(frame=2.0, stress=0.5)}) == 3
    for frame, atoms in zip(frames, read(path, ":"), strict=True):
        assert atoms.info["REF_energy"] == frame.energy
        assert (atoms.arrays["REF_forces"] == frame.forces_array()).all()
        assert (np.ravel(atoms.info["REF_stress"]) == np.ravel(frame.stress)).all()
        assert atoms.info["config_weight"] == 2
        assert atoms.info["config_stress_weight"] == 0.5
        assert atoms.pbc.all()


def test_mace_reads_it(tmp_path):
    from mace.data import KeySpecification
    from mace.data.utils import load_from_xyz

    frame = make_frame(4)
    path = tmp_path / "train.xyz"
    write_extxyz(path, [frame], head="mofs", weights={"md": Weights(energy=3.0)})
    _, configurations = load_from_xyz(
        str(path), key_specification=KeySpecification.from_defaults(), head_name="mofs"
    )
    (found,) = configurations
    assert found.properties["energy"] == frame.energy
    assert (found.properties["forces"] == frame.forces_array()).all()
    assert (np.ravel(found.properties["stress"]) == np.ravel(frame.stress)).all()
    assert found.property_weights["energy"] == 3
    assert (found.config_type, found.head) == ("md", "mofs")


def test_a_frame_without_stress_has_no_weight_for_it(tmp_path):
    frame = make_frame().model_copy(update={"stress": None})
    path = tmp_path / "frames.xyz"
    write_extxyz(path, [frame])
    assert read(path).info["config_stress_weight"] == 0
    assert "REF_stress" not in read(path).info
    assert read_frames(path)[0].stress is None


def test_files_of_ase_are_read(tmp_path):
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    stress = np.array([0.1, 0.2, 0.3, 0.04, 0.05, 0.06])
    forces = np.arange(12.0).reshape(4, 3)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.5, forces=forces, stress=stress)
    path = tmp_path / "UiO-66.extxyz"
    write(path, atoms)
    (frame,) = read_frames(path)
    assert (frame.energy, frame.mof_id, frame.origin) == (-1.5, "UiO-66", "static")
    assert np.array(frame.stress)[1, 2] == pytest.approx(0.04)
    assert (frame.forces_array() == forces).all()


def test_virials_are_minus_stress_times_volume(tmp_path):
    atoms = bulk("Zn", "fcc", a=4.0, cubic=True)
    atoms.info |= {"REF_energy": -1.0, "virials": np.eye(3) * 6.4}
    atoms.arrays["REF_forces"] = np.zeros((4, 3))
    path = tmp_path / "frames.xyz"
    write(path, atoms)
    assert np.array(read_frames(path)[0].stress) == pytest.approx(-np.eye(3) * 0.1)


def test_the_papers_dft_results_are_read(reference_dir):
    path = reference_dir / "optimized" / "DFT" / "MOF-5_geom-opt.json"
    (frame,) = read_frames(path)
    content = json.loads(path.read_text())[0]
    assert frame.n_atoms == 106
    assert frame.energy == content["energy"]
    assert frame.forces_array() == pytest.approx(np.array(content["force"]))
    assert np.array(frame.stress) == pytest.approx(ase_stress(content["stress"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('1\nLattice="4 0 0 0 4 0 0 0 4" pbc="T T T"\nZn 0 0 0\n', "no energy"),
        ('2\nLattice="4 0 0 0 4 0 0 0 4" energy=1 pbc="T T T"\nZn 0 0 0\n', "cannot be read"),
        ("", "no frame|cannot be read"),
    ],
)
def test_what_is_no_labelled_frame_is_an_error(tmp_path, text, message):
    path = tmp_path / "bad.xyz"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_frames(path)


def test_a_molecule_is_refused(tmp_path):
    atoms = Atoms("N2", [[0, 0, 0], [0, 0, 1.1]])
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((2, 3)))
    write(tmp_path / "n2.xyz", atoms, format="extxyz")
    with pytest.raises(DatasetError, match="not periodic"):
        read_frames(tmp_path / "n2.xyz")
