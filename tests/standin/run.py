"""Run a command with the VASP stand-in in the place of VASP.

    python tests/standin/run.py mofonon run workflows/demo.yaml

For the time of the command there are header-only POTCARs, a server that keeps the potential
loaded, and the settings of atomate2 and pymatgen that lead to both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STANDIN = Path(__file__).resolve().parent

_START_SECONDS = 300


def commands() -> dict[str, str]:
    """The settings of atomate2 that make the stand-in its VASP."""
    return {
        "ATOMATE2_VASP_CMD": f"{sys.executable} {STANDIN / 'vasp_std'}",
        "ATOMATE2_VASP_GAMMA_CMD": f"{sys.executable} {STANDIN / 'vasp_gam'}",
    }


@contextmanager
def running_server(folder: Path) -> Iterator[Path]:
    """Keep the potential of the stand-in loaded; give the socket."""
    path = folder / "standin.socket"
    paths = [str(STANDIN.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "standin.server", str(path)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "MOFONON_THREADS": "1",
        },
    )
    try:
        end = time.monotonic() + _START_SECONDS
        while not path.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server of the stand-in ended: {process.poll()}")
            time.sleep(0.1)
        yield path
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def environment() -> Iterator[dict[str, str]]:
    """Set the stand-in up, and give the environment of commands that use it."""
    from standin.potcars import write_potcars

    with tempfile.TemporaryDirectory(prefix="standin") as name:
        potcars = write_potcars(Path(name) / "potcars")
        with running_server(Path(name)) as server:
            yield {
                **os.environ,
                **commands(),
                "PMG_VASP_PSP_DIR": str(potcars),
                "MOFONON_STANDIN_SERVER": str(server),
            }


def main() -> int:
    """Run the command of the command line; its exit status."""
    with environment() as settings:
        return subprocess.run(sys.argv[1:], env=settings, check=False).returncode


if __name__ == "__main__":
    sys.path.insert(0, str(STANDIN.parent))
    sys.exit(main())
