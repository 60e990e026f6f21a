"""The VASP stand-in set up for tests: commands, POTCARs, a log of its runs."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.calculator import BaseCalculator

from mofonon.dft.schemas import LabelFrame
from mofonon.potentials import PotentialSpec, make_calculator
from standin.potcars import write_potcars
from standin.run import commands

COMMAND, GAMMA_COMMAND = commands().values()


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
            **commands(),
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


@cache
def _chgnet_with_dispersion() -> BaseCalculator:
    return make_calculator(PotentialSpec.from_name("chgnet", dispersion="d3bj"))


def require_labels_of_chgnet(frames: Iterable[LabelFrame]) -> None:
    """Compare labels that came through VASP's files with the potential behind the stand-in."""
    calculator = _chgnet_with_dispersion()
    for frame in frames:
        atoms = frame.to_atoms()
        atoms.calc = calculator
        assert frame.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        assert frame.forces_array() == pytest.approx(atoms.get_forces(), abs=1e-6)
        assert np.array(frame.stress) == pytest.approx(atoms.get_stress(voigt=False), abs=1e-6)
