"""What the benchmarks share: the machine, clocks, child processes, tables, results on disk."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / os.environ.get("BENCHMARK_RESULTS", "benchmarks/results")
STRUCTURES = ROOT / "src/mofonon/data/structures"
MEDIUM = ROOT / "build/benchmarks/medium.model"

#: One thread everywhere unless the caller chose otherwise: the fair figure is work, and
#: machines share their cores.
_THREADS = (
    "MOFONON_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
)

_PACKAGES = ("mofonon", "mace-torch", "torch", "phonopy", "ase", "pymatgen", "jobflow", "numpy")


def set_threads(count: int = 1) -> None:
    """Set threads for this process and its children; call before numpy is imported."""
    for name in _THREADS:
        os.environ.setdefault(name, str(count))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def machine() -> dict[str, Any]:
    """Describe the machine, the versions and the date."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def versions(packages: tuple[str, ...] = _PACKAGES) -> dict[str, str]:
    """Versions of packages that are installed here."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def medium_model(path: Path = MEDIUM) -> Path:
    """Random weights in the architecture of MACE-MP-0b medium: for cost, not for science."""
    if not path.exists():
        import torch

        sys.path.append(str(ROOT / "tests"))
        from support.mace_models import random_mace

        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(random_mace(), path)
    return path


@dataclass
class Clock:
    """Wall and CPU seconds of a block; CPU seconds are those of the process."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def clock() -> Iterator[Clock]:
    """Measure a block."""
    reading = Clock()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield reading
    finally:
        reading.wall = time.perf_counter() - wall
        reading.cpu = time.process_time() - cpu


def primitive(name: str) -> Any:
    """Primitive cell of one of the shipped structures (ASE Atoms)."""
    from mofonon.structures import read_structure, to_primitive

    return to_primitive(read_structure(STRUCTURES / name)).to_ase_atoms(msonable=False)


def repeat(function: Callable[[], Any], times: int) -> dict[str, float]:
    """Run a function several times; medians of wall and CPU seconds."""
    readings = []
    for _ in range(times):
        with clock() as reading:
            function()
        readings.append(reading)
    return {
        "wall": statistics.median(reading.wall for reading in readings),
        "cpu": statistics.median(reading.cpu for reading in readings),
        "runs": times,
    }


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far (GB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def run_child(
    script: Path, *arguments: str, python: str = sys.executable, **environment: str
) -> dict[str, Any]:
    """Run a script in a process of its own; its last line of output is JSON.

    Parameters
    ----------
    script : Path
        The script.
    *arguments : str
        Its arguments.
    python : str
        Interpreter, such as that of a peer's virtual environment.
    **environment : str
        Further environment variables.
    """
    # a peer's interpreter sees its own packages and the scripts here, not this checkout
    path = [str(ROOT / "benchmarks"), str(ROOT / "benchmarks" / "workers")]
    if python == sys.executable:
        path += [str(ROOT / "src"), str(ROOT / "tests")]
    done = subprocess.run(  # noqa: S603 - scripts of this folder
        [python, str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **environment},
    )
    if done.returncode != 0:
        message = done.stderr.strip().splitlines()[-12:]
        raise SystemExit(f"{script.name} {' '.join(arguments)} failed:\n" + "\n".join(message))
    return json.loads(done.stdout.strip().splitlines()[-1])


def peer_python(name: str) -> str:
    """Interpreter of a peer's environment, made by ``make_peers.sh``."""
    folder = Path(os.environ.get("PEERS", ROOT / "build" / "peers"))
    python = folder / name / "bin" / "python"
    if not python.exists():
        raise SystemExit(f"there is no {python}: run benchmarks/make_peers.sh, or set PEERS")
    return str(python)


def table(rows: list[dict[str, Any]]) -> str:
    """Format rows as a table of Markdown; the keys of the first are its header."""
    header = list(rows[0])
    cells = [header, *([_cell(row.get(name)) for name in header] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def save(
    name: str,
    title: str,
    notes: list[str],
    tables: dict[str, list[dict[str, Any]]],
    raw: list[dict[str, Any]] | None = None,
) -> None:
    """Print the result of a benchmark and keep it for the page (``page.py``)."""
    about = machine()
    print(
        f"{title}\n{about['processor']}, {about['threads']} thread, load {about['load']}, "
        f"{about['date']}; " + ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    )
    for heading, rows in tables.items():
        print(f"\n{heading}\n{table(rows)}")
    print("\n" + "\n".join(notes))
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {"title": title, "notes": notes, "tables": tables, "machine": about}
    if raw is not None:
        content["raw"] = raw
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
