"""The page: self-contained, complete, escaped, small."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from scipy import constants

from mofonon.errors import SettingsError
from mofonon.report import write_page
from mofonon.report.curves import PER_CM
from mofonon.report.page import make_entries, render
from mofonon.report.payload import script_safe

VOID = {"meta", "link", "br", "input", "img", "hr"}
EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Collects tags, text outside scripts, scripts, and checks the nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words, self.scripts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        """Keep a tag and what it says."""
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Check that it closes the last one open."""
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Keep words and scripts apart."""
        if "script" in self.open:
            self.scripts[-1] += data
        elif "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All that can be read, with single spaces."""
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict]:
        """Attributes of all elements of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(stable, unstable, stand_in) -> Page:
    entries = make_entries(
        [stable, unstable, stand_in], ["doc-1", "doc-2", "doc-3"], ["L10", "B2", "demo"]
    )
    return Page(render(entries, "Copper-gold"))


def numbers_of(page: Page, index: int) -> dict:
    blocks = [
        script
        for script, attributes in zip(page.scripts, page.all("script"), strict=True)
        if attributes.get("id", "").startswith("data-")
    ]
    return json.loads(blocks[index])


def decoded(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_nothing_is_fetched(page):
    for tag, attributes in page.tags:
        assert "src" not in attributes, tag
        for name in ("href", "data", "poster", "srcset", "action"):
            value = attributes.get(name) or ""
            allowed = value.startswith(("#", "data:")) or tag == "a"
            assert allowed or not value, (tag, name, value)
    links = {a["href"] for a in page.all("a") if not a["href"].startswith("#")}
    assert links == {"https://doi.org/10.1038/s41524-025-01611-8"}


def test_policy_allows_the_three_scripts_and_no_other(page):
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv"))
    assert "default-src 'none'" in policy
    scripts = policy.split("script-src ")[1].split(";")[0]
    assert "unsafe" not in scripts
    code = [
        script
        for script, attributes in zip(page.scripts, page.all("script"), strict=True)
        if "type" not in attributes
    ]
    hashes = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in code}
    assert len(code) == 3
    assert set(re.findall(r"'sha256-([^']*)'", scripts)) == hashes


def test_tags_are_balanced_and_ids_unique(page):
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
    assert targets <= set(ids)
    assert {"structure-1", "structure-2", "structure-3", "summary"} <= targets


def test_is_accessible(page):
    assert page.all("html") == [{"lang": "en"}]
    names = [tag for tag, _ in page.tags]
    for landmark in ("header", "main", "footer", "h1"):
        assert names.count(landmark) == 1
    assert names.count("caption") == names.count("table")
    headings = [int(name[1]) for name in names if re.fullmatch("h[1-6]", name)]
    assert all(after <= before + 1 for before, after in pairwise(headings))
    ids = {attributes.get("id") for _, attributes in page.tags}
    plots = [d for d in page.all("div") if "plot" in d.get("class", "").split()]
    assert len(plots) == 6
    for plot in plots:
        assert plot["aria-label"]
        assert plot["aria-describedby"] in ids
    for container in (d for d in page.all("div") if "scroll" in d.get("class", "").split()):
        assert container["tabindex"] == "0"
        assert container["aria-label"]


def test_says_every_number_with_its_unit(page, stable):
    thermal = stable.thermal
    row = next(i for i, t in enumerate(thermal.temperatures) if t == 500)
    at_500 = [thermal.free_energies[row], thermal.entropies[row], thermal.heat_capacities[row]]
    for expected in (
        f"Lowest frequency{stable.min_frequency:.4f} THz",
        f"Highest frequency{stable.max_frequency:.3f} THz",
        f"Zero-point energy{thermal.zero_point_energy:.2f} kJ/mol",
        f"CV at 300 K{thermal.heat_capacity_300K:.2f} J/K/mol",
        "Lowest frequency (THz)",
        "Zero-point energy (kJ/mol)",
        "a, b, c (Å)",
        "2.8000, 2.8000, 3.5555→ 2.8000, 2.8000, 3.6000",
        "P4mm (99)→ P4/mmm (123)",
        "T (K)F (kJ/mol)S (J/K/mol)CV (J/K/mol)",
        "500" + "".join(f"{value:.3f}" for value in at_500),
        "c (Å)3.55553.60001.252",
        f"Lowest optical{stable.gamma.min_optical:.4f}{stable.gamma.min_optical * PER_CM:.2f}",
    ):
        assert expected in page.text, expected


def test_says_where_the_numbers_come_from(page, stable):
    for expected in (
        "LabelEMT of Jacobsen",
        "Fileemt.model",
        "sha2560123456789abcdef",
        "Headdefault",
        "Precisionfloat64",
        "DispersionD3(BJ) PBE",
        "Supercell3 \u00d7 3 \u00d7 3, 54 atoms",
        "Displacement0.01 Å",
        "Mesh5 \u00d7 5 \u00d7 5",
        "DOS pitch0.05 THz",
        "Symmetry tolerance1e-05 Å",
        "Cellrelaxed",
        "fmax asked for1e-06 eV/Å",
        "fmax reached3.1e-07 eV/Å",
        "Force evaluations17",
        "Forces1.25 s",
        "Total2.75 s",
        f"Peak memory{stable.peak_memory:.2f} GB",
        "Documentdoc-1",
        "Calculationcdcdcdcdcdcdcdcd",
        "Input structureabababababababab",
        f"phonopy{stable.software['phonopy']}",
        "forces from FORCE_SETS",
        "npj Comput. Mater. 11, 125 (2025)",
    ):
        assert expected in page.text, expected


def test_shows_imaginary_modes_and_where(page, unstable):
    mode = unstable.imaginary_modes[0]
    assert unstable.has_imaginary_modes
    assert f"yes: {unstable.n_imaginary_modes}" in page.text
    caveat = "not the thermal properties of a stable structure"
    assert page.text.count(caveat) == 2  # figure and table
    q = ", ".join(f"{x:.4f}" for x in mode.q)
    assert f"{q}{mode.band + 1}{mode.frequency:.4f}{mode.frequency * PER_CM:.2f}" in page.text


def test_a_stand_in_is_named_at_the_top_in_its_row_and_section_and_figures(page, stand_in):
    assert page.text.count(stand_in.notice) >= 3
    assert page.text.index(f"Stand-in: {stand_in.notice}") < page.text.index("Summary")
    assert numbers_of(page, 2)["notice"] == stand_in.notice
    assert numbers_of(page, 0)["notice"] == ""


def test_figures_hold_the_arrays(page, stable):
    numbers = numbers_of(page, 0)
    n_path = sum(stable.band_segment_lengths)
    bands = decoded(numbers["bands"]["frequencies"]).reshape(-1, n_path).T
    np.testing.assert_allclose(bands, stable.arrays.band_frequencies.decode(), atol=5e-5)
    total = decoded(numbers["dos"]["total"])
    np.testing.assert_allclose(total, stable.arrays.dos_total.decode(), rtol=1e-6)
    by_element = [decoded(element["dos"]) for element in numbers["dos"]["elements"]]
    np.testing.assert_allclose(by_element, stable.arrays.dos_by_element.decode(), rtol=1e-6)
    assert [label for _, label, _ in numbers["bands"]["ticks"]][-3:] == ["Z|X", "R|M", "A"]
    np.testing.assert_allclose(
        numbers["thermal"]["capacity"], stable.thermal.heat_capacities, atol=5e-5
    )


@pytest.mark.parametrize("evil", [EVIL, '"><img src=x onerror=alert(1)>', "</title>", "&lt;"])
def test_text_of_documents_is_escaped(stable, tmp_path, evil):
    potential = stable.potential.model_copy(
        update={"label": evil, "file_name": evil, "head": evil, "model": evil}
    )
    doc = stable.model_copy(
        update={
            "formula_pretty": evil,
            "notice": evil,
            "warnings": [evil],
            "potential": potential,
            "software": {evil: evil},
            "completed_at": evil,
            "dos_elements": [evil, "Au"],
            "band_labels": [(evil, evil) for _ in stable.band_labels],
            "space_group": stable.space_group.model_copy(update={"symbol": evil}),
        }
    )
    path = write_page(
        [doc, doc], tmp_path / "p.html", document_ids=[evil] * 2, names=[evil] * 2
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.all("script")) == 7
    assert page.all("img") == []
    assert page.text.count(evil) > 10
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
    assert evil in Page(write_page([doc], tmp_path / "q.html").read_text(encoding="utf-8")).text


def test_a_large_structure_stays_below_seven_megabytes(stable, tmp_path):
    from mofonon.arrays import EncodedArray

    n_path, n_bands, n_dos = sum(stable.band_segment_lengths), 4200, 11300
    rng = np.random.default_rng(1)
    arrays = stable.arrays.model_copy(
        update={
            "band_frequencies": EncodedArray.encode(rng.random((n_path, n_bands))),
            "dos_frequencies": EncodedArray.encode(np.arange(n_dos) * 0.01),
            "dos_total": EncodedArray.encode(rng.random(n_dos)),
            "dos_by_element": EncodedArray.encode(rng.random((2, n_dos))),
        }
    )
    assert n_path * n_bands > 318 * 427
    path = write_page([stable.model_copy(update={"arrays": arrays})], tmp_path / "page.html")
    assert path.stat().st_size < 7e6


def test_numbers_cannot_end_their_script_element():
    text = script_safe(json.dumps({"name": "</script><!-- &amp;"}))
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"name": "</script><!-- &amp;"}


def test_script_and_package_agree_on_units():
    script = (resources.files("mofonon.report") / "page.js").read_text(encoding="utf-8")
    assert f"const PER_CM = {PER_CM};" in script
    assert pytest.approx(1e12 / (100 * constants.speed_of_light), rel=1e-7) == PER_CM


def test_equal_names_are_told_apart(stable, unstable):
    page = Page(render(make_entries([stable, unstable], None, None), "Two"))
    assert "CuAu (2)" in page.text
    assert page.text.startswith(" Two")


def test_counts_must_agree(stable, tmp_path):
    path = tmp_path / "page.html"
    with pytest.raises(SettingsError, match="at least one"):
        write_page([], path)
    with pytest.raises(SettingsError, match="1 documents but 2 ids"):
        write_page([stable], path, document_ids=["a", "b"])
    with pytest.raises(SettingsError, match="1 documents but 0 names"):
        write_page([stable], path, names=[])
    assert not path.exists()


def test_the_package_imports_no_drawing_library():
    code = (
        "import sys, mofonon.report; "
        "sys.exit(any(m in sys.modules for m in ('plotly', 'matplotlib', 'pymatgen')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
