"""Curation: each bad file ends in the funnel, and what a table says is used."""

import io
import json
import multiprocessing
import os
import shutil
import tarfile
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure

from mofonon.errors import CurationError
from mofonon.structures import curate, curation, workers
from mofonon.structures.collection import StructureFile, iterate_collection
from mofonon.structures.curate import curate_collection
from mofonon.structures.curation import (
    CurationSettings,
    crystal_system,
    curate_file,
    funnel,
    readmit,
)
from mofonon.structures.pores import pore_diameters
from mofonon.structures.property_table import read_property_table
from mofonon.structures.workers import BoundedPool, WorkerDied

DENSE = CurationSettings(min_pore=0, refuse_warnings=())


def cif(structure: Structure) -> bytes:
    from pymatgen.io.cif import CifWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(CifWriter(structure)).encode()


def rock_salt(cation: str = "Mg", a: float = 4.21) -> Structure:
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(a), [cation, "O"], [(0, 0, 0), (0.5, 0.5, 0.5)]
    )


@pytest.fixture(scope="module")
def bad_folder(tmp_path_factory):
    """What real collections have in them."""
    folder = tmp_path_factory.mktemp("collection")
    (folder / "sub").mkdir()
    good = cif(rock_salt())
    disordered = rock_salt()
    disordered[0] = {"Mg": 0.5, "Ca": 0.5}
    (folder / "good.cif").write_bytes(good)
    (folder / "truncated.cif").write_bytes(good[: len(good) * 3 // 4])
    (folder / "disordered.cif").write_bytes(cif(disordered))
    (folder / "sub" / "good.cif").write_bytes(cif(rock_salt("Ca", 4.8)))
    (folder / "later-copy.cif").write_bytes(good + b"\n# again\n")
    (folder / "latin.cif").write_bytes(b"# \xc5ngstr\xf6m \xe9\n" + cif(rock_salt("Sr", 5.14)))
    (folder / "noise.cif").write_bytes(bytes(range(256)) * 20)
    (folder / "empty.cif").write_bytes(b"")
    (folder / "broken-link.cif").symlink_to(folder / "nowhere.cif")
    (folder / "iron.cif").write_bytes(cif(rock_salt("Fe", 4.3)))
    (folder / "dense.cif").write_bytes(cif(rock_salt("Mg", 1.5)))
    (folder / "notes.txt").write_text("no structure")
    return folder


EXPECTED = {
    "good": None,
    "latin": None,
    "truncated": "unreadable",
    "noise": "unreadable",
    "empty": "unreadable",
    "broken-link": "unreadable",
    "disordered": "disordered",
    "big": "too-many-atoms",
    "iron": "open-shell",
    "dense": "invalid",
}


def five_thousand_atoms() -> str:
    """CIF of a cell of 5,000 atoms, written by hand: pymatgen would look for its symmetry."""
    sites = [
        f"{'Ba' if (i + j + k) % 2 else 'O'}{i}_{j}_{k} {'Ba' if (i + j + k) % 2 else 'O'} "
        f"{i / 10} {j / 10} {k / 50}"
        for i in range(10)
        for j in range(10)
        for k in range(50)
    ]
    return (
        "data_big\n_cell_length_a 27.7\n_cell_length_b 27.7\n_cell_length_c 138.5\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n"
        "_atom_site_fract_y\n_atom_site_fract_z\n" + "\n".join(sites) + "\n"
    )


def test_every_bad_file_ends_in_the_funnel(bad_folder, tmp_path):
    folder = tmp_path / "collection"
    shutil.copytree(bad_folder, folder, symlinks=True)
    (folder / "big.cif").write_text(five_thousand_atoms())
    records = curate_collection(folder, DENSE, log=tmp_path / "log.jsonl", processes=2)
    found = {record.file: record.refused_by for record in records}
    assert len(records) == 12
    for name, reason in EXPECTED.items():
        assert found[f"{name}.cif"] == reason, name
    assert found["sub/good.cif"] == "duplicate-id"
    assert found["later-copy.cif"] == "duplicate-structure"
    assert all(record.message for record in records if not record.accepted)
    steps = funnel(records)
    assert steps[0].entered == 12
    assert steps[-1].left == sum(record.accepted for record in records)
    assert sum(step.refused for step in steps) + steps[-1].left == 12


def test_processes_and_restarts_change_nothing(bad_folder, tmp_path, monkeypatch):
    one = curate_collection(bad_folder, DENSE, log=tmp_path / "one.jsonl", processes=1)
    log = tmp_path / "two.jsonl"
    two = curate_collection(bad_folder, DENSE, log=log, processes=3)
    assert one == two
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-2]) + lines[-2][:20])  # killed while writing
    assert curate_collection(bad_folder, DENSE, log=log) == one
    monkeypatch.setattr(curate, "_curate_task", None)  # nothing is worked on again
    assert curate_collection(bad_folder, DENSE, log=log) == one


def test_archives_give_the_same_as_the_folder(bad_folder, tmp_path):
    zipped, tarred = tmp_path / "all.zip", tmp_path / "all.tar.xz"
    names = [path for path in bad_folder.rglob("*.cif") if path.exists()]
    with zipfile.ZipFile(zipped, "w") as archive:
        for path in names:
            archive.write(path, path.relative_to(bad_folder))
    with tarfile.open(tarred, "w:xz") as archive:
        for path in reversed(names):
            archive.add(path, path.relative_to(bad_folder))
    whole = {f.name: f.content for f in iterate_collection(bad_folder) if not f.error}
    for archive in (zipped, tarred):
        assert {f.name: f.content for f in iterate_collection(archive)} == whole


def test_a_damaged_archive_is_an_error(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("a.cif")
        content = bytes(range(256)) * 4000
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(buffer.getvalue()[:-600])
    with pytest.raises(CurationError, match="damaged"):
        list(iterate_collection(path))
    with pytest.raises(CurationError, match="no folder"):
        list(iterate_collection(tmp_path / "nothing"))


QMOF_ROW = {
    "qmof_id": "qmof-1",
    "info": {
        "formula": "Mg4 O4",
        "natoms": 8,
        "pld": 5.25,
        "symmetry": {"spacegroup": "Fm-3m"},
    },
    "outputs": {"pbe": {"net_magmom": 0.0}},
}


@pytest.mark.parametrize("layout", ["qmof.json", "qmof.csv", "by-id.json"])
def test_the_layout_of_qmof_is_recognised(tmp_path, layout):
    path = tmp_path / layout
    if layout == "qmof.csv":
        path.write_text(
            "qmof_id,info.formula,info.natoms,info.pld,info.symmetry.spacegroup,"
            "outputs.pbe.net_magmom\nqmof-1,Mg4 O4,8.0,5.25,Fm-3m,0.0\nqmof-2,,,,,\n"
        )
    elif layout == "qmof.json":
        path.write_text(json.dumps([QMOF_ROW]))
    else:
        path.write_text(json.dumps({"qmof-1": QMOF_ROW["info"] | {"net_magmom": 0}}))
    found = read_property_table(path)["qmof-1"]
    assert (found.n_atoms, found.pore_limiting_diameter) == (8, 5.25)
    assert found.magnetic_moment == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("qmof_id,info.pld\na,wide\n", "pore_limiting_diameter"),
        ("number,info.pld\n1,2\n", "no id"),
        ("id,pld\na,1\na,2\n", "twice"),
        ("id,pld\n", "no rows"),
    ],
)
def test_a_bad_table_is_an_error(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(CurationError, match=message):
        read_property_table(path)


def curated(structure, table="", settings=DENSE, tmp=Path()):
    properties = None
    if table:
        (tmp / "table.csv").write_text(table)
        properties = read_property_table(tmp / "table.csv")["x"]
    return curate_file(StructureFile("x.cif", cif(structure)), properties, settings)


def test_the_moment_of_the_table_decides_on_the_shell(tmp_path):
    low_spin = curated(rock_salt("Fe", 4.3), "id,net_magmom\nx,0.0\n", tmp=tmp_path)
    assert low_spin.accepted
    radical = curated(rock_salt("Mg"), "id,net_magmom\nx,-1.0\n", tmp=tmp_path)
    assert radical.refused_by == "open-shell"


def test_pores_of_the_table_and_of_zeo(tmp_path, mof5):
    settings = CurationSettings(refuse_warnings=(), max_atoms=2000)
    table = curated(rock_salt(), "id,pld\nx,3.6\n", settings, tmp_path)
    assert table.refused_by == "small-pores"  # not larger than 3.6
    assert table.pore_source == "table"
    computed = curated(mof5.get_primitive_structure(), settings=settings)
    assert computed.accepted
    assert computed.pore_source == "zeo++"
    # Zeo++ on MOF-5 in the literature: 15.0 to 15.1 and 7.8 to 8.1 A
    pores = pore_diameters(mof5.get_primitive_structure())
    assert pores.largest_cavity == pytest.approx(15.0, abs=0.3)
    assert pores.limiting == pytest.approx(8.0, abs=0.3)


def test_pores_do_not_depend_on_the_setting_of_the_cell(mof5):
    primitive = mof5.get_primitive_structure()
    turned = Structure(
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]] @ primitive.lattice.matrix,
        primitive.species,
        primitive.frac_coords[:, [1, 2, 0]],
    )
    one, other = pore_diameters(primitive), pore_diameters(turned)
    assert other.limiting == pytest.approx(one.limiting, abs=1e-3)


def test_elements_are_filtered():
    only = DENSE.model_copy(update={"elements": ("Zn", "O")})
    assert curated(rock_salt(), settings=only).refused_by == "element"
    without = DENSE.model_copy(update={"exclude_elements": ("Mg",)})
    assert curated(rock_salt(), settings=without).message == "has Mg"


def test_fixed_members_come_back_with_a_warning(bad_folder, tmp_path):
    records = curate_collection(bad_folder, DENSE, log=tmp_path / "log.jsonl")
    again = {record.id: record for record in readmit(records, ["iron"]) if record.accepted}
    assert "open-shell" in again["iron"].warnings[-1]
    assert again["iron"].crystal_system == "cubic"
    with pytest.raises(CurationError, match="disordered"):
        readmit(records, ["disordered"])
    with pytest.raises(CurationError, match="no such"):
        readmit(records, ["absent"])


def test_crystal_systems_are_those_of_pymatgen():
    from pymatgen.symmetry.groups import SpaceGroup

    for number in (1, 2, 3, 15, 16, 74, 75, 142, 143, 167, 168, 194, 195, 230):
        assert crystal_system(number) == SpaceGroup.from_int_number(number).crystal_system


def fragile(item: int) -> int:
    if item == 7:
        os._exit(3)
    return item * item


def test_a_worker_that_dies_costs_one_item():
    outcome = dict(BoundedPool(fragile, 2).map(range(20)))
    assert isinstance(outcome.pop(7), WorkerDied)
    assert outcome == {i: i * i for i in range(20) if i != 7}


def test_a_worker_that_dies_while_the_next_file_is_read_costs_one_item():
    def slow_archive():
        yield 7
        deadline = time.monotonic() + 60
        while multiprocessing.active_children() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)  # the pool takes note
        yield from (1, 2)

    outcome = dict(BoundedPool(fragile, 1).map(slow_archive()))
    assert isinstance(outcome.pop(7), WorkerDied)
    assert outcome == {1: 1, 2: 4}


def process(_: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("n_items", [5, 6, 7])
def test_workers_are_replaced_and_no_item_waits_for_ever(monkeypatch, n_items):
    monkeypatch.setattr(workers, "ITEMS_PER_WORKER", 5)
    outcome = dict(BoundedPool(process, 1).map(range(n_items)))
    assert sorted(outcome) == list(range(n_items))
    counts = sorted(Counter(outcome.values()).values(), reverse=True)
    assert counts == ([5] if n_items == 5 else [5, n_items - 5])


def test_an_unforeseen_error_is_a_refusal(monkeypatch):
    monkeypatch.setattr(curation, "space_group", lambda *_: 1 / 0)
    record = curated(rock_salt())
    assert record.refused_by == "unreadable"
    assert "ZeroDivisionError" in record.message
