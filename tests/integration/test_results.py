"""Bulk modulus, QHA, stabilization, expansion: through MongoDB, and on pages that draw."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from jobflow import JobStore
from maggma.stores import MemoryStore

from mofonon.errors import SettingsError
from mofonon.report.mof_page import render_mof
from mofonon.report.results_page import write_results_page
from mofonon.store import find_documents, get_document, open_store
from support.results import compute, makers

KINDS = ("bulk-modulus", "qha", "stabilize", "expansion-md")
CONDITIONS = {
    "bulk-modulus": {"bulk_modulus": {"$gt": 100}},
    "qha": {"volume_0K": {"$gt": 0}},
    "stabilize": {"energy_change_per_atom": {"$lt": 0}},
    "expansion-md": {"cte_volumetric_error": {"$gt": 0}},
}


@pytest.mark.mongo
@pytest.mark.slow
def test_every_kind_through_mongodb(mongo_config):
    store = open_store()
    for kind in KINDS:
        doc = compute(kind, store)
        found = list(find_documents(store, CONDITIONS[kind], document_type=kind))
        assert [entry["calculation_id"] for entry in found] == [doc.calculation_id], kind
        _, maker, structure = makers()[kind]
        assert doc.calculation_id == maker.calculation_id(structure)
        stored = store.docs_store.query_one({"uuid": found[0]["document_id"]})
        assert len(json.dumps(stored, default=str)) < 1e6
        assert doc.n_force_evaluations > 0


@pytest.fixture(scope="module")
def store():
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    return store


@pytest.fixture(scope="module")
def docs(store):
    return {kind: compute(kind, store) for kind in KINDS}


@pytest.mark.slow
def test_pages_have_the_numbers_and_the_figures(docs, tmp_path):
    expected = {"bulk-modulus": 1, "qha": 5, "stabilize": 1, "expansion-md": 1}
    for kind, doc in docs.items():
        path = write_results_page(
            [doc], tmp_path / f"{kind}.html", names=["<Cu>"], document_ids=["id-1"]
        )
        text = path.read_text()
        assert "&lt;Cu&gt;" in text
        assert "id-1" in text
        assert "default-src 'none'" in text
        figures = [
            json.loads(content)
            for content in re.findall(
                r'<script type="application/json" id="result-1-\d">(.*?)</script>', text
            )
        ]
        assert len(figures) == expected[kind], kind
        assert all(trace["x"] for figure in figures for trace in figure["data"])
    bulk = docs["bulk-modulus"]
    assert f"{bulk.bulk_modulus:.3f}" in (tmp_path / "bulk-modulus.html").read_text()
    assert "classical" in (tmp_path / "expansion-md.html").read_text()
    with pytest.raises(SettingsError, match="at least one document"):
        write_results_page([], tmp_path / "none.html", names=[], document_ids=[])


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_draws_every_figure_and_says_nothing(docs, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "no chromium on PATH"
    page = write_results_page(
        list(docs.values()),
        tmp_path / "page.html",
        names=list(docs),
        document_ids=[None] * len(docs),
    )
    dom, said = _browse(chromium, page, tmp_path)
    assert dom.count('data-drawn="yes"') == 8
    assert "Drawn by JavaScript." not in dom
    assert not said


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_of_a_structure_has_phonons_and_everything_else(store, docs, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "no chromium on PATH"
    ids = [
        next(find_documents(store, document_type=kind))["document_id"]
        for kind in (*KINDS, "relax", "phonons")
    ]
    page = tmp_path / "Cu.html"
    page.write_text(
        render_mof([get_document(store, identity, with_arrays=True) for identity in ids], "Cu")
    )
    dom, said = _browse(chromium, page, tmp_path)
    titles = re.findall(r'<h2 id="result-\d-title">([^<]*),', dom)
    assert titles == [
        *("Imaginary modes", "Bulk modulus", "Thermal expansion, quasi-harmonic"),
        "Thermal expansion, molecular dynamics",
    ]
    assert dom.count('data-drawn="yes"') == 8  # of these
    assert dom.count('data-drawn="true"') == 2  # bands with DOS, thermal properties
    assert f"{docs['bulk-modulus'].bulk_modulus:.3f}" in dom
    assert not said


def _browse(chromium: str, page: Path, folder: Path) -> tuple[str, list[str]]:
    done = subprocess.run(
        [
            chromium,
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--enable-logging=stderr", "--dump-dom"),
            *("--virtual-time-budget=20000", "--window-size=1280,6500"),
            f"--user-data-dir={folder / 'user'}",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
