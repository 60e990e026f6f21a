"""The page in a browser: it draws, in light and dark, and says nothing on the console."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from matplotlib.image import imread

from mofonon.lattice.analysis import analyse_phonons
from mofonon.lattice.documents import phonon_document, to_structure
from mofonon.lattice.phonons import (
    displaced_supercells,
    set_force_constants,
    supercell_forces,
)
from mofonon.lattice.schemas import PhononDoc
from mofonon.lattice.settings import PhononSettings
from mofonon.report import write_page
from mofonon.report.page import script_hash

pytestmark = pytest.mark.browser

DARK = "--blink-settings=preferredColorScheme=0"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=60000",
    "--window-size=1280,6500",
)


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    reason = "no chromium, chromium-browser or google-chrome on PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def browse(chromium, tmp_path):
    """Give a function that loads a page and returns its DOM and what the console said."""

    def load(page: Path, *flags: str) -> tuple[str, list[str]]:
        done = subprocess.run(
            [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'user'}", *flags, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return done.stdout, said

    return load


def figure_of(dom: str, anchor: str) -> str:
    """Cut out the bands figure of a structure."""
    figure = dom.partition(f'id="{anchor}-bands"')[2]
    return figure.partition(f'id="{anchor}-thermal"')[0]


def copper_gold(cell: list[float]) -> PhononDoc:
    atoms = Atoms("CuAu", cell=cell, scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], pbc=True)
    settings = PhononSettings(
        supercell=((3, 0, 0), (0, 3, 0), (0, 0, 3)),
        displacement=0.01,
        mesh=(5, 5, 5),
        dos_pitch=0.05,
        band_points=11,
        temperature_step=50,
    )
    phonon = displaced_supercells(atoms, settings)
    forces = supercell_forces(phonon, EMT())
    set_force_constants(phonon, forces.displaced)
    return phonon_document(
        to_structure(atoms),
        phonon,
        forces,
        analyse_phonons(phonon, settings),
        settings,
        input_hash="ab" * 32,
        calculation_id="cd" * 32,
        n_force_evaluations=2,
        notice="EMT, not for science",
        source={"file": "EMT"},
        seconds={"total": 1.0},
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Two structures, stable and not, with names that try to be markup."""
    docs = [copper_gold([2.8, 2.8, 3.6]), copper_gold([3.0, 3.0, 3.0])]
    evil = "<b>L10</b></script><script>document.title='taken'</script>"
    return write_page(
        docs, tmp_path_factory.mktemp("page") / "page.html", names=[evil, "B2"], title="CuAu"
    )


def test_all_figures_are_drawn_without_a_word_on_the_console(browse, page):
    dom, said = browse(page, "--dump-dom")
    assert said == []
    figures = re.findall(r'<div class="plot (?:bands|thermal) js-plotly-plot"[^>]*>', dom)
    assert len(figures) == 4
    assert all('data-drawn="true"' in figure for figure in figures)
    assert len(re.findall(r'<svg class="main-svg"', dom)) >= 4
    assert "Drawn when it comes into view" not in dom
    assert "imaginary, shown negative" in figure_of(dom, "structure-2")
    assert "imaginary, shown negative" not in figure_of(dom, "structure-1")
    assert "Wavenumber (cm⁻¹)" in dom
    assert "EMT, not for science" in dom
    assert "<title>CuAu</title>" in dom
    assert not re.search(r'class="controls"[^>]*hidden', dom)


def test_bands_are_lines_broken_between_segments(browse, page):
    dom, _ = browse(page, "--dump-dom")
    figure = figure_of(dom, "structure-1")
    n_bands, n_segments, densities = 6, 9, 3
    assert figure.count('class="js-line"') == n_bands * n_segments + densities


def with_script(page: Path, folder: Path, script: str) -> Path:
    """Copy of a page with a script that does what a user would."""
    text = page.read_text(encoding="utf-8")
    text = text.replace("script-src ", f"script-src '{script_hash(script)}' ", 1)
    copy = folder / "clicked.html"
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    return copy


def test_the_structure_rotates_and_modes_are_animated(browse, page, tmp_path):
    choose = """
    window.addEventListener("load", () => window.setTimeout(() => {
      const box = document.querySelector("#structure-1-view").parentElement;
      const mode = box.querySelector(".mode");
      mode.value = "3";
      mode.dispatchEvent(new Event("change"));
    }, 3000));
    """
    dom, said = browse(with_script(page, tmp_path, choose), "--dump-dom")
    assert said == []
    canvas = re.search(r'<canvas[^>]*id="structure-1-view"[^>]*>', dom)
    assert canvas is not None
    assert 'data-mode="\u0393 4"' in canvas[0]
    frames = re.search(r'data-frames="(\d+)"', canvas[0])
    assert frames is not None
    assert int(frames[1]) > 2  # drawn, chosen, and then some
    options = dom.partition('class="mode"')[2].partition("</select>")[0]
    assert options.count("THz") == 6


def test_a_click_on_a_band_chooses_its_mode(browse, page, tmp_path):
    click = """
    window.addEventListener("load", () => window.setTimeout(() => {
      const figure = document.getElementById("structure-1-bands");
      const data = figure.data[0];
      const place = figure.layout.xaxis.tickvals[1];
      const at = data.x.findIndex((x, i) => Math.abs(x - place) < 1e-4 && data.text[i] === 5);
      const point = { curveNumber: 0, pointNumber: at, x: data.x[at], data };
      figure.emit("plotly_click", { points: [point] });
    }, 3000));
    """
    dom, said = browse(with_script(page, tmp_path, click), "--dump-dom")
    assert said == []
    mode = re.search(r'id="structure-1-view"[^>]*data-mode="([^"]*)"', dom)
    assert mode is not None
    name, band = mode[1].split()
    assert band == "5"
    assert name != "\u0393"


def test_figures_follow_the_colour_scheme(browse, page):
    light, _ = browse(page, "--dump-dom")
    dark, said = browse(page, "--dump-dom", DARK)
    assert said == []
    text = {"light": "rgb(29, 34, 42)", "dark": "rgb(232, 235, 240)"}
    assert text["light"] in light
    assert text["dark"] not in light
    assert text["dark"] in dark
    assert text["light"] not in dark


@pytest.mark.parametrize("flags", [(), (DARK,), ("--window-size=500,5000",)])
def test_screenshot_shows_something(browse, page, tmp_path, flags):
    image = tmp_path / "page.png"
    _, said = browse(page, *flags, f"--screenshot={image}")
    assert said == []
    assert np.std(imread(image)) > 0.05


def test_an_unwanted_script_is_refused_and_noticed(browse, page, tmp_path):
    text = page.read_text(encoding="utf-8")
    script = "<script>document.title='taken'</script></body>"
    broken = tmp_path / "broken.html"
    broken.write_text(text.replace("</body>", script), encoding="utf-8")
    dom, said = browse(broken, "--dump-dom")
    assert "<title>CuAu</title>" in dom
    assert any("Content Security Policy" in line for line in said)
