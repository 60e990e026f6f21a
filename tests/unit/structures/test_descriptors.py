"""Descriptors against mace's own, their invariances, groups of atoms, and the cache."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.errors import DescriptorError, SettingsError, UnknownElementError
from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.structures.descriptors import (
    DescriptorCache,
    average,
    describe_frames,
    node_atoms,
)
from mofonon.structures.fingerprints import FingerprintSpec, make_fingerprint

DEMO64 = FingerprintSpec(potential=PotentialSpec(family="demo", dtype="float64"))
DEMO = FingerprintSpec.from_name("demo")


@pytest.fixture(scope="module")
def crystal():
    atoms = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    atoms.rattle(0.05, seed=1)
    return atoms


def test_features_are_those_of_the_calculator(crystal):
    ours = make_fingerprint(DEMO64).features([crystal])[0]
    theirs = make_calculator(PotentialSpec(family="demo")).get_descriptors(crystal)
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("spec", [DEMO, FingerprintSpec.from_name("chgnet")])
def test_rotation_order_and_supercell_change_nothing(spec, crystal):
    turned = crystal.copy()
    turned.rotate(33, "x", rotate_cell=True)
    frames = [crystal, turned, crystal[[3, 1, 0, 2]], crystal * (2, 1, 1)]
    rows = describe_frames(frames, spec)
    assert rows.dtype == np.float32
    assert rows[1:] == pytest.approx(np.broadcast_to(rows[0], rows[1:].shape), abs=1e-4)
    squeezed = crystal.copy()
    squeezed.set_cell(0.95 * crystal.cell, scale_atoms=True)
    assert np.linalg.norm(describe_frames([squeezed], spec) - rows[0]) > 1e-2


def test_batches_give_the_same(crystal):
    frames = [crystal, crystal * (1, 2, 1), bulk("ZnO", "zincblende", a=4.6)]
    one = describe_frames(frames, DEMO64, groups=("all", "nodes"))
    batched = describe_frames(frames, DEMO64, groups=("all", "nodes"), batch_atoms=100)
    assert batched == pytest.approx(one, abs=1e-5)


def test_nodes_of_mof5_are_zinc_and_its_oxygen(mof5):
    atoms = AseAtomsAdaptor.get_atoms(mof5.get_primitive_structure())
    nodes = atoms[node_atoms(atoms)]
    assert nodes.get_chemical_formula(mode="hill") == "O26Zn8"
    assert atoms[~node_atoms(atoms)].get_chemical_formula(mode="hill") == "C48H24"


def test_groups_are_averages_of_their_atoms(mof5):
    atoms = AseAtomsAdaptor.get_atoms(mof5.get_primitive_structure())
    zinc = (atoms.numbers == 30).astype(np.float32)[:, None]
    rows = average(zinc, atoms, ("all", "nodes", "linkers"))
    assert rows[:, 0] == pytest.approx([8 / 106, 8 / 34, 0])


def test_a_group_without_atoms_has_no_numbers():
    diamond = bulk("C")
    rows = average(np.ones((2, 3), np.float32), diamond, ("nodes", "linkers"))
    assert np.isnan(rows[0]).all()
    assert (rows[1] == 1).all()


def test_what_is_cached_is_not_computed_again(tmp_path, crystal, monkeypatch):
    cache = DescriptorCache(tmp_path / "cache.sqlite")
    first = describe_frames([crystal], DEMO, groups=("all", "nodes"), cache=cache)
    monkeypatch.setattr("mofonon.structures.descriptors.make_fingerprint", None)
    again = describe_frames([crystal], DEMO, groups=("all", "nodes"), cache=cache)
    assert first.tobytes() == again.tobytes()
    with pytest.raises(TypeError):  # another configuration has to be computed
        describe_frames([crystal * (2, 1, 1)], DEMO, groups=("all", "nodes"), cache=cache)


def test_models_have_their_own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOFONON_CHECKPOINTS", str(tmp_path))
    paths = {DescriptorCache.of(spec).path for spec in (DEMO, DEMO64)}
    assert len(paths) == 2


def test_elements_unknown_to_the_model_are_named():
    with pytest.raises(UnknownElementError, match="Pu"):
        describe_frames([bulk("Pu", "fcc", a=4.6)], DEMO)


def composition(scale: float = 1.0):
    """Make a fingerprint of whole structures."""
    return lambda atoms: scale * np.bincount(atoms.numbers, minlength=100) / len(atoms)


def bad():
    return lambda atoms: np.full((len(atoms), 2), np.nan)


def test_any_function_can_stand_in(crystal):
    spec = FingerprintSpec(function=f"{__name__}:composition", options={"scale": 2.0})
    rows = describe_frames([crystal], spec, groups=("all", "nodes"))
    assert rows[0, 0, [8, 30]].tolist() == [1, 1]
    assert np.isnan(rows[0, 1]).all()
    with pytest.raises(DescriptorError, match="finite"):
        describe_frames([crystal], FingerprintSpec(function=f"{__name__}:bad"))
    with pytest.raises(SettingsError, match="imported"):
        make_fingerprint(FingerprintSpec(function="nowhere:at_all"))


def test_no_frames_is_an_error():
    with pytest.raises(DescriptorError):
        describe_frames(iter(list[Atoms]()), DEMO)
