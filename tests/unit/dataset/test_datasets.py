"""From MOFs to a dataset in one flow; what leaks; files that come back; differences."""

import json

import numpy as np
import pytest
from ase.build import bulk
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.dataset.build import build_dataset
from mofonon.dataset.card import card_markdown
from mofonon.dataset.diff import diff_datasets
from mofonon.dataset.export import export_dataset
from mofonon.dataset.extxyz import read_frames
from mofonon.dataset.flows import DatasetMaker, PotentialLabelMaker
from mofonon.dataset.frames import (
    check_isolated_atom_energies,
    fit_isolated_atom_energies,
    frame_id,
    prepare_frames,
)
from mofonon.dataset.samplers import EosSampleMaker, MdSampleMaker, RattleSampleMaker
from mofonon.dataset.schemas import PARTS, DatasetDoc, DatasetSettings
from mofonon.dft.schemas import LabelFrame, LabelProvenance
from mofonon.dynamics import DynamicsSettings
from mofonon.errors import DatasetError, SettingsError
from mofonon.potentials import PotentialSpec

DEMO = PotentialSpec(family="demo")
SETTINGS = DatasetSettings()
CRYSTALS = {
    "wurtzite": bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    "zincblende": bulk("ZnO", "zincblende", a=4.6),
    "rocksalt": bulk("ZnO", "rocksalt", a=4.3),
    "cesium": bulk("ZnO", "cesiumchloride", a=2.7),
}


@pytest.fixture(scope="module")
def doc() -> DatasetDoc:
    """Rattled cells of four crystals, labelled by the demo model, in one flow."""
    maker = DatasetMaker(
        samplers=[
            RattleSampleMaker(number_of_frames=6, deviation=0.01, max_strain=0.002),
            EosSampleMaker(linear_strain=(-0.01, 0.01), number_of_frames=3),
        ],
        label_maker=PotentialLabelMaker(potential=DEMO),
        dataset_name="zinc oxides",
        licence="CC-BY-4.0",
    )
    structures = [AseAtomsAdaptor.get_structure(atoms) for atoms in CRYSTALS.values()]
    flow = maker.make(structures, list(CRYSTALS))
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    run_locally(flow, store=store, log=False, raise_immediately=True)
    stored = store.docs_store.query_one({"uuid": flow.output.uuid})["output"]
    assert len(json.dumps(stored, default=str)) < 50_000  # frames are in the data store
    return DatasetDoc.model_validate(store.get_output(flow.output.uuid, load=True))


def test_all_frames_are_there_with_what_they_are(doc):
    assert doc.n_frames == len(doc.frames) == 4 * 9
    assert doc.card.frames_by_mof == dict.fromkeys(sorted(CRYSTALS), 9)
    assert doc.card.frames_by_origin == {"eos": 12, "rattle": 24}
    assert "not DFT" in doc.notice
    assert "not DFT" in card_markdown(doc.card)
    assert doc.frame_ids == [frame_id(frame) for frame in doc.frames]


def test_labels_are_those_of_the_potential(doc):
    from mofonon.potentials import make_calculator

    calculator = make_calculator(DEMO)
    for frame in doc.frames[::12]:
        atoms = frame.to_atoms()
        atoms.calc = calculator
        assert frame.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        assert frame.forces_array() == pytest.approx(atoms.get_forces(), abs=1e-9)


def test_the_random_split_leaks_and_the_split_by_mof_does_not(doc):
    assert not doc.split("random").leaks.clean
    assert doc.leaks["random"].n_same_mof == doc.leaks["random"].n_test
    assert doc.split("by-mof").leaks.clean
    with pytest.raises(DatasetError, match="no split"):
        doc.split("other")


def test_the_same_frames_in_another_order_are_the_same_dataset(doc):
    again = build_dataset("other", doc.frames[::-1], SETTINGS)
    assert again.calculation_id == doc.calculation_id
    assert again.splits == doc.splits
    assert build_dataset("one less", doc.frames[1:], SETTINGS).calculation_id != (
        doc.calculation_id
    )


@pytest.mark.parametrize("split", ["random", "by-mof"])
def test_an_export_comes_back(doc, tmp_path, split):
    import pyarrow.parquet as pq
    from ase.db import connect

    export_dataset(doc, tmp_path, split=split, head="mofs")
    for part in PARTS:
        found = read_frames(tmp_path / f"{part}.xyz")
        assert [frame_id(f) for f in found] == [frame_id(f) for f in doc.part(split, part)]
    energies = json.loads((tmp_path / "E0s.json").read_text())
    assert energies == {
        "8": doc.card.isolated_atom_energies["O"],
        "30": doc.card.isolated_atom_energies["Zn"],
    }
    table = pq.read_table(tmp_path / "frames.parquet").to_pylist()
    assert [row["frame_id"] for row in table] == doc.frame_ids
    rows = list(connect(tmp_path / "dataset.db").select())
    for row, frame, listed in zip(rows, doc.frames, table, strict=True):
        atoms = row.toatoms()
        assert atoms.get_potential_energy() == pytest.approx(frame.energy, abs=1e-10)
        assert atoms.get_forces() == pytest.approx(frame.forces_array(), abs=1e-10)
        assert atoms.get_stress(voigt=False) == pytest.approx(np.array(frame.stress), abs=1e-10)
        assert row.part == listed[f"part_{split.replace('-', '_')}"]


def test_differences_are_counted(doc):
    relabelled = doc.frames[0].model_copy(update={"energy": doc.frames[0].energy + 0.4})
    n_atoms = doc.frames[0].n_atoms
    other = build_dataset("other", [relabelled, *doc.frames[3:]], SETTINGS)
    found = diff_datasets(doc, other)
    assert (found.n_common, found.n_only_first, found.n_only_second) == (33, 2, 0)
    assert found.n_relabelled == 1
    assert found.largest_energy_change == pytest.approx(0.4 / n_atoms)
    same = diff_datasets(doc, doc)
    assert (same.n_common, same.n_only_first, same.moved["random"]) == (36, 0, 0)


def test_bad_and_double_frames_are_left_out(doc):
    bad = doc.frames[0].model_copy(update={"quarantine": ["force"], "energy": 1.0})
    found = prepare_frames([*doc.frames, doc.frames[5], bad], SETTINGS.fingerprint)
    assert (found.n_quarantined, found.n_duplicates) == (1, 1)
    assert found.ids == doc.frame_ids
    with pytest.raises(DatasetError, match="no frame"):
        prepare_frames([bad], SETTINGS.fingerprint)


def test_relaxations_are_thinned_to_ten():
    frames = []
    for step in range(25):
        atoms = CRYSTALS["wurtzite"].copy()
        atoms.set_cell((1 + 0.1 / (1 + step)) * atoms.cell, scale_atoms=True)
        provenance = LabelProvenance(job_uuid="one" if step < 20 else "two")
        frames.append(
            LabelFrame.from_arrays(
                atoms, -1.0, np.zeros((4, 3)), mof_id="w", origin="relax", step=step,
                provenance=provenance,
            )
        )  # fmt: skip
    found = prepare_frames(frames, SETTINGS.fingerprint)
    steps = [frame.step for frame in found.frames]
    assert len(steps) == 10 + 5
    assert 0 in steps
    assert set(range(20, 25)) <= set(steps)
    assert found.n_thinned == 10


def test_fitted_energies_of_atoms_explain_a_sum_over_atoms():
    frames = []
    for n_zinc in range(1, 5):
        atoms = bulk("Zn", "fcc", a=4.0, cubic=True)
        atoms.symbols[n_zinc:] = "O"
        energy = -1.25 * n_zinc - 4.5 * (4 - n_zinc)
        frames.append(
            LabelFrame.from_arrays(atoms, energy, np.zeros((4, 3)), mof_id="x", origin="md")
        )
    energies, determined = fit_isolated_atom_energies(frames)
    assert determined
    assert energies == pytest.approx({"O": -4.5, "Zn": -1.25})
    assert not fit_isolated_atom_energies(frames[1:2])[1]
    assert check_isolated_atom_energies({"8": -4, "Zn": -1}, frames) == {"O": -4, "Zn": -1}
    with pytest.raises(DatasetError, match="lack O"):
        check_isolated_atom_energies({"Zn": -1}, frames)


def test_a_sampler_that_fails_does_not_stop_the_others():
    bad = PotentialSpec(family="ase", model="support.calculators:GoesBad", options={"after": 1})
    maker = DatasetMaker(
        samplers=[
            RattleSampleMaker(number_of_frames=4),
            MdSampleMaker(potential=bad, dynamics=DynamicsSettings(ensemble="nve", steps=50)),
        ],
        label_maker=PotentialLabelMaker(potential=DEMO),
    )
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    flow = maker.make(AseAtomsAdaptor.get_structure(CRYSTALS["wurtzite"]), "w")
    run_locally(flow, store=store, log=False)
    found = DatasetDoc.model_validate(store.get_output(flow.output.uuid, load=True))
    assert found.n_frames == 4
    assert any("no split by MOF" in warning for warning in found.warnings)


def test_names_must_fit():
    structure = AseAtomsAdaptor.get_structure(CRYSTALS["wurtzite"])
    with pytest.raises(SettingsError, match="names"):
        DatasetMaker().make([structure, structure], ["a", "a"])
