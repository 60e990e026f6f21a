"""From a crystal to a dataset through the LabelMaker of the dft stage, by the VASP stand-in."""

import pytest
from ase.build import bulk
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.dataset import DatasetDoc, DatasetMaker, EosSampleMaker, RattleSampleMaker
from mofonon.dft import LabelMaker, MofRelaxMaker, MofStaticMaker
from support.vasp import require_labels_of_chgnet

pytestmark = pytest.mark.slow


def test_samples_are_labelled_by_vasp_and_become_a_dataset(standin, tmp_path):
    vasp = {"run_vasp_kwargs": standin.run_vasp_kwargs}
    maker = DatasetMaker(
        samplers=[
            RattleSampleMaker(number_of_frames=1),
            EosSampleMaker(number_of_frames=1, linear_strain=(-0.02, -0.02)),
        ],
        label_maker=LabelMaker(
            relax_maker=MofRelaxMaker(**vasp),
            eos_maker=None,
            static_maker=MofStaticMaker(**vasp),
        ),
        label_structures=True,
    )
    crystal = AseAtomsAdaptor.get_structure(bulk("ZnO", "zincblende", a=4.6))
    flow = maker.make(crystal, "zincblende")
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, create_folders=True, root_dir=tmp_path / "run", log=False)
    doc = DatasetDoc.model_validate(store.get_output(flow.output.uuid, load=True))

    assert len(standin.runs()) == 3
    assert not [text for text in doc.warnings if "failed" in text]
    origins = dict(doc.card.frames_by_origin)
    assert 1 < origins.pop("relax") <= 10
    assert origins == {"rattle": 1, "eos": 1}
    assert {frame.mof_id for frame in doc.frames} == {"zincblende"}
    assert doc.card.energy_cutoffs == [520]
    assert any("stand-in" in notice for notice in doc.card.notices)

    # the labels are those of the potential behind the stand-in, through VASP's files
    require_labels_of_chgnet(doc.frames)
