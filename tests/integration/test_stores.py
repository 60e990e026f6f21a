"""Arrays and phonon documents through jobs into both stores, and back."""

import json
import threading
import time
import urllib.request
from functools import partial

import numpy as np
import pytest
from ase.build import bulk
from jobflow import job, run_locally
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.arrays import EncodedArray
from mofonon.lattice import PhononDoc, PhononMaker, PhononSettings
from mofonon.potentials import PotentialSpec
from mofonon.report.folder import write_folder
from mofonon.report.server import ReportServer
from mofonon.store import find_documents, get_document, open_store

_SHAPE = (106, 848, 3, 3)


@job(data=[EncodedArray])
def _encoded(shape):
    return {"array": EncodedArray.encode(np.random.default_rng(0).normal(size=shape))}


@job
def _encode_only(shape):
    EncodedArray.encode(np.random.default_rng(0).normal(size=shape))


@job(data="array")
def _plain(shape):
    return {"array": np.random.default_rng(0).normal(size=shape)}


@pytest.fixture(params=["embedded", pytest.param("mongodb", marks=pytest.mark.mongo)])
def opener(request, tmp_path):
    if request.param == "mongodb":
        request.getfixturevalue("mongo_config")
        return open_store
    return partial(open_store, tmp_path / "embedded")


@pytest.fixture
def store(opener):
    return opener()


def _seconds(task, store):
    start = time.perf_counter()
    run_locally(task, store=store, log=False, raise_immediately=True)
    return time.perf_counter() - start


@pytest.mark.slow
def test_a_large_array_comes_back_bit_for_bit(store, capsys):
    """Issue: (106, 848, 3, 3) in float64, less than a second more than not storing it."""
    _seconds(_encode_only(_SHAPE), store)
    without = _seconds(_encode_only(_SHAPE), store)
    task = _encoded(_SHAPE)
    seconds = _seconds(task, store)
    start = time.perf_counter()
    loaded = store.get_output(task.uuid, load=True)["array"]
    array = EncodedArray.from_dict(loaded).decode()
    reading = time.perf_counter() - start
    expected = np.random.default_rng(0).normal(size=_SHAPE)
    assert array.tobytes() == expected.tobytes()
    document = store.docs_store.query_one({"uuid": task.uuid})
    assert len(json.dumps(document["output"])) < 1000
    part = (11, 848, 3, 3)
    plain = _seconds(_plain(part), store) * np.prod(_SHAPE) / np.prod(part)
    with capsys.disabled():
        print(  # noqa: T201 - the ratio is what this test is to show
            f"\n{type(store.docs_store).__name__}: storing {expected.nbytes / 1e6:.1f} MB adds "
            f"{seconds - without:.2f} s, reading takes {reading:.2f} s; as a plain array "
            f"{plain:.0f} s (scaled from a tenth): ratio {plain / seconds:.0f}"
        )


def _pages(opener, folder):
    """Files that ``mofonon report`` writes, and what ``mofonon serve`` answers."""
    written = write_folder(opener(), folder, title="pages", formats=("svg",))
    server = ReportServer(opener, 0, "pages")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with urllib.request.urlopen(f"{server.address}api/overview.json", timeout=30) as answer:  # noqa: S310
        data = json.load(answer)
    with urllib.request.urlopen(server.address + data["links"][0], timeout=30) as answer:  # noqa: S310
        page = answer.read().decode()
    server.shutdown()
    server.server_close()
    return written, data, page


def test_phonons_end_up_the_same_in_either_store(store, opener, tmp_path):
    structure = AseAtomsAdaptor.get_structure(bulk("Al", "fcc", a=4.0))
    maker = PhononMaker(
        potential=PotentialSpec.from_name("ase.calculators.emt:EMT"),
        settings=PhononSettings(mesh=(5, 5, 5), dos_pitch=0.05),
    )
    flow = maker.make(structure)
    run_locally(flow, store=store, log=False, raise_immediately=True)
    found = list(find_documents(store, {"calculation_id": maker.calculation_id(structure)}))
    assert [entry["document_id"] for entry in found] == [flow.output.uuid]
    doc = PhononDoc.model_validate(get_document(store, flow.output.uuid, with_arrays=True))
    assert doc.relaxation is not None
    assert doc.relaxation.fmax < 1e-6
    assert doc.arrays.force_constants.decode().shape == (1, 8, 3, 3)
    assert np.isclose(doc.arrays.frequencies.decode().max(), doc.max_frequency)
    assert (
        len(json.dumps(store.docs_store.query_one({"uuid": flow.output.uuid}), default=str))
        < 1e6
    )
    relaxed = list(find_documents(store, document_type="relax"))
    assert len(relaxed) == 1
    assert relaxed[0]["formula_pretty"] == "Al"
    written, data, page = _pages(opener, tmp_path / "pages")
    (of_structure,) = (tmp_path / "pages" / "mof").glob("*.html")
    assert of_structure.name in written.read_text()
    assert list((tmp_path / "pages" / "figures").rglob("*.svg"))
    assert data["rows"][0][:3] == ["Al", "done", "Al"]
    assert f"{doc.max_frequency:.3f}" in page


def test_makers_survive_serialization():
    """What jobflow-remote does to a job: to JSON and back, then run."""
    from jobflow import Flow
    from monty.json import MontyDecoder, MontyEncoder

    structure = AseAtomsAdaptor.get_structure(bulk("Al", "fcc", a=4.0))
    settings = PhononSettings(mesh=(3, 3, 3), dos_pitch=0.1, supercell=8.0, plus_minus=False)
    maker = PhononMaker(
        potential=PotentialSpec.from_name("ase.calculators.emt:EMT"), settings=settings
    )
    text = json.dumps(maker.make(structure), cls=MontyEncoder)
    flow = json.loads(text, cls=MontyDecoder)
    assert isinstance(flow, Flow)
    from jobflow import JobStore
    from maggma.stores import MemoryStore

    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, log=False, raise_immediately=True)
    assert store.get_output(flow.output.uuid)["settings"]["supercell"] == 8.0
