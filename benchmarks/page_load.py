"""How long the page of a campaign takes to load in headless Chromium, by number of MOFs.

    python benchmarks/page_load.py [--structures 100 1000 5000] [--runs 5]

From the start of the navigation to the table that can be read, and to the scatter plot drawn.
The rows are synthetic, of the width of a campaign with phonons, bulk moduli and expansions.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from common import save, set_threads

set_threads()

import numpy as np

from mofonon.report.campaign_page import render_campaign
from mofonon.report.overview import Overview, OverviewRow
from mofonon.report.page import script_hash

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--timeout=60000", "--dump-dom"),
)
#: Writes the milliseconds since the navigation began into the page, which is then dumped.
SCRIPT = """
const seen = {};
const note = () => { document.title = "TIMES " + JSON.stringify(seen); };
seen.table = performance.now(); note();
window.addEventListener("load", () => { seen.load = performance.now(); note(); });
const scatter = document.getElementById("scatter");
const drawn = () => {
  if (scatter.dataset.drawn !== "true" || seen.scatter) return;
  seen.scatter = performance.now(); note();
};
new MutationObserver(drawn).observe(scatter, {attributes: true});
drawn();
"""


def campaign(count: int) -> str:
    """Page of so many structures."""
    random = np.random.default_rng(0)
    rows = [
        OverviewRow(
            f"MOF-{index}",
            "mace-mp-mof0",
            state="done",
            formula="Zn4O13C24H12",
            atoms=106,
            numbers={
                "min_frequency": float(random.normal()),
                "imaginary_modes": int(random.integers(0, 2)),
                "bulk_modulus": float(random.uniform(5, 30)),
                "cte_linear_300K": float(random.normal(-10, 5)),
            },
            documents={kind: f"{random.integers(1 << 62):032x}" for kind in ("phonons", "qha")},
        )
        for index in range(count)
    ]
    return render_campaign(Overview(rows, {"phonons": {"done": count}}), "campaign", links={})


def load(text: str, chromium: str) -> tuple[dict[str, float], int]:
    """Load a page once in a new browser; seconds by mark, and bytes."""
    text = text.replace("script-src ", f"script-src '{script_hash(SCRIPT)}' ", 1)
    before_plotly = text.rindex("<script>")  # the script of the table comes first
    text = text[:before_plotly] + f"<script>{SCRIPT}</script>" + text[before_plotly:]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(text, encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - chromium and our own page
            [chromium, *FLAGS, f"--user-data-dir={folder}/user", page.as_uri()],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    found = re.search(r"<title>TIMES (\{.*?\})</title>", done.stdout)
    if found is None:
        raise SystemExit("the page told no times")
    times: dict[str, float] = json.loads(found[1])
    return {name: value / 1000 for name, value in times.items()}, len(text.encode())


def measure(count: int, runs: int, chromium: str) -> dict[str, Any]:
    """Medians of several loads."""
    text = campaign(count)
    readings = [load(text, chromium) for _ in range(runs)]
    row: dict[str, Any] = {"MOFs": count, "MB": readings[0][1] / 1e6}
    for mark in ("table", "scatter", "load"):
        values = [times[mark] for times, _ in readings if mark in times]
        row[f"{mark} (s)"] = statistics.median(values) if values else None
    return row | {"runs": runs}


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--structures", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no chromium")
    rows = [measure(count, options.runs, chromium) for count in options.structures]
    save(
        "page_load",
        "Loading the page of a campaign",
        [
            "Seconds since the navigation began, in a browser that was just started.",
            "To reach: 2 s at 1,000 MOFs.",
        ],
        {"headless Chromium, from a file": rows},
    )


if __name__ == "__main__":
    main()
