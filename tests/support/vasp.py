"""The VASP stand-in set up for tests: commands, POTCARs, a log of its runs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from standin.potcars import write_potcars

STANDIN = Path(__file__).parents[1] / "standin"
COMMAND = f"{sys.executable} {STANDIN / 'vasp_std'}"
GAMMA_COMMAND = f"{sys.executable} {STANDIN / 'vasp_gam'}"


@dataclass
class StandIn:
    """A stand-in for VASP: where its POTCARs are and what it ran."""

    potcars: Path
    log: Path

    @property
    def run_vasp_kwargs(self) -> dict:
        return {
            "vasp_cmd": COMMAND,
            "vasp_gamma_cmd": GAMMA_COMMAND,
            "custodian_kwargs": {"polling_time_step": 0.1, "monitor_freq": 1},
        }

    @property
    def environment(self) -> dict[str, str]:
        """For commands in processes of their own."""
        return {
            "ATOMATE2_VASP_CMD": COMMAND,
            "ATOMATE2_VASP_GAMMA_CMD": GAMMA_COMMAND,
            "PMG_VASP_PSP_DIR": str(self.potcars),
            "MOFONON_STANDIN_LOG": str(self.log),
        }

    def runs(self) -> list[list[str]]:
        """Number, binary, formula, volume and folder of each run."""
        return [line.split(" ", 4) for line in self.log.read_text().splitlines()]


def make_standin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Set the stand-in up in a folder, for this process."""
    import pymatgen.core

    standin = StandIn(write_potcars(folder / "potcars"), folder / "vasp.log")
    monkeypatch.setitem(pymatgen.core.SETTINGS, "PMG_VASP_PSP_DIR", str(standin.potcars))
    monkeypatch.setenv("MOFONON_STANDIN_LOG", str(standin.log))
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MOFONON_THREADS", "1")
    monkeypatch.delenv("MOFONON_STANDIN_FAILURE", raising=False)
    # custodian sets it for later jobs of a batch job; monkeypatch takes it away again
    monkeypatch.setenv("CUSTODIAN_WALLTIME_START", "")
    monkeypatch.delenv("CUSTODIAN_WALLTIME_START")
    return standin


@contextmanager
def running_server(folder: Path) -> Iterator[Path]:
    """Keep the potential of the stand-in loaded; give the socket."""
    path = folder / "standin.socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "standin.server", str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
             "OMP_NUM_THREADS": "1", "MOFONON_THREADS": "1"},
    )  # fmt: skip
    try:
        for _ in range(1200):
            if path.exists():
                break
            if process.poll() is not None:
                raise RuntimeError(f"the server of the stand-in ended with {process.poll()}")
            time.sleep(0.1)
        yield path
    finally:
        process.terminate()
        process.wait(20)
