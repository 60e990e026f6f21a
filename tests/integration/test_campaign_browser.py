"""The page of a campaign in a browser: sorting, filtering, and no word on the console."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mofonon.report.campaign_page import render_campaign
from mofonon.report.overview import Overview, OverviewRow
from mofonon.report.page import script_hash

pytestmark = pytest.mark.browser

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"),
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
    """Load a page, run a script in it as a user would click, and return its DOM."""

    def load(text: str, script: str = "", *flags: str) -> tuple[str, list[str]]:
        if script:
            text = text.replace("script-src ", f"script-src '{script_hash(script)}' ", 1)
            text = text.replace("</body>", f"<script>{script}</script></body>")
        page: Path = tmp_path / "page.html"
        page.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'user'}", *flags, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return load


@pytest.fixture(scope="module")
def page() -> str:
    """A thousand structures, three of which failed."""
    rows = [
        OverviewRow(
            f"MOF-{i}",
            "demo",
            state="failed" if i < 3 else "done",
            formula="ZnO" if i % 2 else "Zr3O4",
            atoms=10 + i,
            numbers={
                "min_frequency": None if i < 3 else (i * 37 % 1000) / 100 - 1,
                "imaginary_modes": 1 if i * 37 % 1000 < 100 else 0,
                "bulk_modulus": i / 10,
            },
            documents={"phonons": f"{i:08x}"},
            why="<i>not</i> converged" if i < 3 else "",
        )
        for i in range(1000)
    ]
    links = {f"{i:08x}": f"mof/{i}.html" for i in range(3, 1000)}
    return render_campaign(
        Overview(rows, {"phonons": {"done": 997, "failed": 3}}), "t", links=links
    )


def names_of(dom: str) -> list[str]:
    body = dom.partition('<table id="structures">')[2].partition("<tbody>")[2]
    return re.findall(r'<th scope="row">(?:<a [^>]*>)?(MOF-\d+)', body)


def test_the_page_as_it_comes(browse, page):
    dom, said = browse(page)
    assert said == []
    assert names_of(dom) == [f"MOF-{i}" for i in range(100)]
    assert "1000 of 1000" in dom
    assert 'href="mof/5.html"' in dom
    assert "&lt;i&gt;not&lt;/i&gt; converged" in dom
    assert 'data-drawn="true"' in dom
    assert not re.search(r'id="failures"[^>]*hidden', dom)


def test_a_click_sorts_and_another_turns_it_round(browse, page):
    click = "document.querySelectorAll('#structures th button')[6].click();"
    up, said = browse(page, click)
    assert said == []
    assert 'aria-sort="ascending"' in up
    first = int(names_of(up)[0].split("-")[1])
    assert first * 37 % 1000 == min(i * 37 % 1000 for i in range(3, 1000))
    down, _ = browse(page, click + click)
    assert 'aria-sort="descending"' in down
    first = int(names_of(down)[0].split("-")[1])
    assert first * 37 % 1000 == max(i * 37 % 1000 for i in range(3, 1000))


def typed(ident: str, value: str, event: str) -> str:
    """Script that does what a user does to a field."""
    return (
        f"const field = document.getElementById('{ident}'); field.value = '{value}'; "
        f"field.dispatchEvent(new Event('{event}'));"
    )


def test_words_and_conditions_filter(browse, page):
    dom, said = browse(page, typed("filter", "ZNO bulk_modulus > 99", "input"))
    assert said == []
    assert names_of(dom) == ["MOF-991", "MOF-993", "MOF-995", "MOF-997", "MOF-999"]
    dom, _ = browse(page, typed("state", "failed", "change"))
    assert names_of(dom) == ["MOF-0", "MOF-1", "MOF-2"]


def test_pages_of_the_table_and_a_phone(browse, page):
    third = "document.querySelectorAll('.pages button')[2].click();"
    dom, said = browse(page, third, "--window-size=390,800")
    assert said == []
    assert names_of(dom)[0] == "MOF-200"
    width = (
        "document.title = document.documentElement.scrollWidth <= window.innerWidth"
        " ? 'fits' : 'wide';"
    )
    dom, _ = browse(page, width, "--window-size=500,800")
    assert "<title>fits</title>" in dom


def test_dark(browse, page):
    dom, said = browse(page, "", "--blink-settings=preferredColorScheme=0")
    assert said == []
    assert "rgb(232, 235, 240)" in dom
