"""What a store holds, structure by structure, and the page of it."""

import json
import re
import threading
import urllib.error
import urllib.request
from http.client import HTTPConnection

import pytest

from mofonon.errors import SettingsError
from mofonon.report.campaign_page import campaign_data, render_campaign
from mofonon.report.overview import collect_overview, overview
from mofonon.report.server import ReportServer
from mofonon.report.style import using_style
from mofonon.store import open_store


def entry(uuid, kind, structure, time, **output):
    return {
        "uuid": uuid,
        "index": 1,
        "metadata": {"campaign": "c", "structure": structure, "stage": kind},
        "output": {
            "@class": kind,
            "completed_at": time,
            "formula_pretty": "ZnO",
            "nsites": 4,
            "input_hash": "aa",
            "potential": {"label": "demo", "notice": "not for science"},
            **output,
        },
    }


ENTRIES = [
    entry("p1", "PhononDoc", "MOF-A", "1", min_frequency=-0.5, n_imaginary_modes=3),
    entry("p2", "PhononDoc", "MOF-A", "2", min_frequency=0.25, n_imaginary_modes=0),
    entry("b1", "BulkModulusDoc", "MOF-A", "3", bulk_modulus=12.5),
    entry(
        *("f1", "CampaignFailure", "MOF-B", "4"),
        state="failed",
        stage="phonons",
        potential="demo",
        message="not converged",
        remedy="more steps",
    ),
]


def test_newest_documents_make_a_row_and_failures_come_first():
    found = overview(ENTRIES)
    failed, done = found.rows
    assert (failed.name, failed.state, failed.why) == ("MOF-B", "failed", "not converged")
    assert done.documents == {"phonons": "p2", "bulk-modulus": "b1"}
    assert done.numbers["min_frequency"] == 0.25
    assert done.numbers["bulk_modulus"] == 12.5
    assert done.notice == "not for science"
    assert found.progress["phonons"] == {"done": 2, "failed": 0}
    assert found.progress["bulk-modulus"] == {"done": 1, "failed": 0}


def test_without_names_inputs_tell_structures_apart():
    one = entry("p1", "PhononDoc", None, "1")
    other = entry("p2", "PhononDoc", None, "2", input_hash="bb")
    assert [row.name for row in overview([one, other]).rows] == ["ZnO", "ZnO"]


def test_phonons_of_strained_cells_and_attempts_are_not_those_of_the_structure(tmp_path):
    volume = entry("v1", "PhononDoc", None, "5", min_frequency=-9.0)
    attempt = entry("a1", "PhononDoc", None, "6", min_frequency=-8.0, attempt={"number": 1})
    in_flow = entry("q1", "PhononDoc", "MOF-A", "7", min_frequency=-7.0)
    in_flow["metadata"]["stage"] = "qha"
    qha = entry("h1", "QhaDoc", None, "8", cte_linear_300K=1.5, points=[{"document_id": "v1"}])
    own = entry("p9", "PhononDoc", None, "4", min_frequency=0.5)
    store = open_store(tmp_path / "store")
    store.docs_store.update([volume, attempt, in_flow, qha, own], key=["uuid", "index"])
    found = collect_overview(store)
    (row,) = found.rows
    assert row.documents == {"phonons": "p9", "qha": "h1"}
    assert row.numbers["min_frequency"] == 0.5
    assert found.progress["phonons"] == {"done": 1, "failed": 0}


def test_documents_without_a_structure_are_only_counted():
    model = entry("m1", "PotentialDoc", None, "1", formula_pretty=None)
    found = overview([model])
    assert found.rows == []
    assert found.progress == {"model": {"done": 1, "failed": 0}}


def test_a_stabilised_structure_has_the_phonons_of_its_best_attempt():
    doc = entry(*("s1", "StabilizeDoc", "MOF-A", "9"), min_frequency=0.1, phonon_document="a7")
    (row,) = overview([doc]).rows
    assert row.documents == {"stabilize": "s1", "phonons": "a7"}
    assert row.numbers["min_frequency"] == 0.1


def test_a_real_store_is_read(tmp_path):
    store = open_store(tmp_path / "store")
    store.docs_store.update(ENTRIES, key=["uuid", "index"])
    assert len(collect_overview(store).rows) == 2
    only = collect_overview(store, {"min_frequency": {"$gt": 0}})
    assert [row.name for row in only.rows] == ["MOF-A"]


def test_data_are_compact_and_text_stays_text():
    rows = [
        entry(f"{i:08x}", "PhononDoc", f"MOF-{i}</script>", str(i), min_frequency=i / 7)
        for i in range(1000)
    ]
    found = overview(rows)
    text = json.dumps(campaign_data(found, {}), separators=(",", ":"))
    assert len(text) < 200_000
    page = render_campaign(found, "<b>campaign</b>")
    data = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL
    )
    assert data is not None
    assert json.loads(data[1])["rows"][1][0].endswith("</script>")
    assert "<b>campaign" not in page
    assert "connect-src" not in page
    assert "connect-src 'self'" in render_campaign(found, "live", live=True)


def test_styles():
    import matplotlib as mpl

    before = mpl.rcParams["axes.prop_cycle"]
    with using_style("grayscale"):
        assert mpl.rcParams["axes.prop_cycle"] != before
    assert mpl.rcParams["axes.prop_cycle"] == before
    with pytest.raises(SettingsError, match="no matplotlib style"), using_style("nowhere"):
        pass


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "store"
    open_store(folder).docs_store.update(ENTRIES, key=["uuid", "index"])
    running = ReportServer(lambda: open_store(folder), 0, "campaign")
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def test_the_server_gives_pages_and_data(server):
    with urllib.request.urlopen(server.address, timeout=30) as answer:  # noqa: S310
        assert "MOF-B" in answer.read().decode()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    with urllib.request.urlopen(f"{server.address}api/overview.json", timeout=30) as answer:  # noqa: S310
        data = json.load(answer)
    assert data["rows"][0][:2] == ["MOF-B", "failed"]
    assert data["links"][1] == "document/p2"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.address}../../etc/passwd", timeout=30)  # noqa: S310
    assert caught.value.code == 404


def test_the_server_shows_units_that_wait(tmp_path):
    waiting = {"phonons": {"done": 1, "waiting": 5}}
    server = ReportServer(lambda: open_store(tmp_path / "store"), 0, "c", lambda: waiting)
    assert server.overview().progress == waiting
    server.server_close()


def test_the_server_is_local_and_only_to_be_read(server):
    assert server.server_address[0] == "127.0.0.1"
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
        connection.request(method, "/")
        assert connection.getresponse().status == 501
        connection.close()
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    connection.request("GET", "/", headers={"Host": "evil.example:80"})
    assert connection.getresponse().status == 403
    connection.close()
    with pytest.raises(SettingsError, match="cannot be listened on"):
        ReportServer(server.open_store, server.server_address[1], "x")
