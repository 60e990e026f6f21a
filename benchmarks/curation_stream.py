"""Memory and time of curating 20,000 CIF files out of one archive.

    python benchmarks/curation_stream.py --files 20000 --figure benchmarks/curation_stream.png

The files are synthetic: zinc imidazolate-like cells of 20 to 60 atoms with random positions on
a grid, a tenth of them damaged, disordered or magnetic. The archive is written first, by
streaming too. Memory is the resident memory of the process and all its workers, sampled
every half second.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np


def synthetic_cif(number: int) -> bytes:
    """Make a cell of atoms on a grid 2.2 A apart, or one of the usual kinds of bad file."""
    generator = np.random.default_rng(number)
    n_atoms = int(generator.integers(20, 60))
    side = int(np.ceil(n_atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    places = grid[generator.permutation(len(grid))[:n_atoms]] / side
    elements = ["Zn" if number % 20 else "Fe", "N", "C", "O"]
    occupancy = "0.5" if number % 25 == 3 else "1"
    rows = [
        f"{elements[i % 4]}{i} {elements[i % 4]} {x:.5f} {y:.5f} {z:.5f} "
        f"{occupancy if i == 0 else 1}"
        for i, (x, y, z) in enumerate(places)
    ]
    a, b, c = 2.2 * side * (1 + 0.02 * generator.random(3))
    text = (
        f"data_{number}\n_cell_length_a {a:.4f}\n_cell_length_b {b:.4f}\n"
        f"_cell_length_c {c:.4f}\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "_symmetry_space_group_name_H-M 'P 1'\nloop_\n_atom_site_label\n"
        "_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
        "_atom_site_occupancy\n" + "\n".join(rows) + "\n"
    ).encode()
    return text[: len(text) // 3] if number % 30 == 7 else text


class MemoryLog(threading.Thread):
    """Resident memory of this process and of its children (MB), over time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.start_time = time.perf_counter()
        self.samples: list[tuple[float, float, float]] = []
        self.done = threading.Event()

    def run(self) -> None:
        """Sample until done."""
        import psutil

        process = psutil.Process()
        while not self.done.wait(0.5):
            children = 0
            for child in process.children(recursive=True):
                try:
                    children += child.memory_info().rss
                except psutil.Error:
                    continue
            now = time.perf_counter() - self.start_time
            self.samples.append((now, process.memory_info().rss / 1e6, children / 1e6))


def draw(log: MemoryLog, n_files: int, path: Path) -> None:
    """Draw memory over time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    times, parent, children = np.array(log.samples).T
    axes.plot(times, parent, label="main process")
    axes.plot(times, children, label="workers and their server, summed")
    axes.set_xlabel("time (s)")
    axes.set_ylabel("resident memory (MB)")
    axes.set_ylim(bottom=0)
    axes.set_title(f"curation of {n_files} CIF files")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=160)


def main() -> None:
    """Curate and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    from mofonon.structures.curate import curate_collection
    from mofonon.structures.curation import CurationSettings, funnel

    settings = CurationSettings(min_pore=0, refuse_warnings=(), allow=("missing-hydrogen",))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "synthetic.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for number in range(options.files):
                file.writestr(f"syn-{number:06d}.cif", synthetic_cif(number))
        log = MemoryLog()
        log.start()
        begin = time.perf_counter()
        records = curate_collection(
            archive, settings, log=Path(folder) / "records.jsonl", processes=options.processes
        )
        seconds = time.perf_counter() - begin
        log.done.set()
    samples = np.array(log.samples)
    quarter = samples[len(samples) // 4, 1:].sum()
    print(f"{len(records)} files in {seconds:.0f} s, {len(records) / seconds:.0f} a second")
    print(f"memory at a quarter {quarter:.0f} MB, at the end {samples[-1, 1:].sum():.0f} MB, "
          f"peak {samples[:, 1:].sum(axis=1).max():.0f} MB")  # fmt: skip
    for step in funnel(records):
        print(f"{step.name:20s} {step.entered:6d} {step.refused:6d} {step.left:6d}")
    if options.figure:
        draw(log, len(records), options.figure)


if __name__ == "__main__":
    main()
