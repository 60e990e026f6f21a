"""What VASP writes: OUTCAR, vasprun.xml, OSZICAR, CONTCAR, as far as their parsers look."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from standin.outcar import Outcar
from standin.states import PROGRAM, Inputs, Step
from standin.vasprun import Vasprun


@dataclass
class Writer:
    """Writes the output files step after step, as VASP does, so that they can be watched."""

    folder: Path
    inputs: Inputs
    binary: str
    start: float = field(default_factory=time.perf_counter)
    n_steps: int = 0
    last: Step | None = None

    def __post_init__(self) -> None:
        xml, outcar, self.oszicar = self.files = [
            (self.folder / name).open("w") for name in ("vasprun.xml", "OUTCAR", "OSZICAR")
        ]
        self.vasprun = Vasprun(xml, self.inputs, self.binary)
        self.outcar = Outcar(outcar, self.inputs, self.binary)

    def header(self, cell: np.ndarray, fractional: np.ndarray) -> None:
        self.vasprun.header(cell, fractional)
        self.outcar.header(cell)
        self._flush()

    def step(self, step: Step) -> None:
        self.n_steps += 1
        self.last = step
        self.vasprun.step(step)
        self.outcar.step(self.n_steps, step)
        self._oszicar_step(step)
        self.contcar(step)
        self._flush()

    def footer(self, *, reached: bool, stopped: bool = False) -> None:
        """End the files."""
        assert self.last is not None
        self.vasprun.footer(self.last)
        elapsed = time.perf_counter() - self.start
        self.outcar.footer(elapsed, reached=reached, stopped=stopped)
        (self.folder / "WAVECAR").write_bytes(b"stand-in: no wave functions\n")
        for file in self.files:
            file.close()

    def abandon(self) -> None:
        """Close the files as they are: a run that was killed."""
        for file in self.files:
            file.close()

    def contcar(self, step: Step) -> None:
        inputs = self.inputs
        lines = [f"{PROGRAM}", "   1.00000000000000"]
        lines += ["  " + " ".join(f"{x:20.16f}" for x in row) for row in step.cell]
        lines.append("  " + " ".join(inputs.symbols))
        lines.append("  " + " ".join(map(str, inputs.counts)))
        lines.append("Direct")
        lines += ["  " + " ".join(f"{x:19.16f}" for x in row) for row in step.fractional]
        (self.folder / "CONTCAR").write_text("\n".join(lines) + "\n\n")

    def _flush(self) -> None:
        for file in self.files:
            file.flush()

    def _oszicar_step(self, step: Step) -> None:
        write = self.oszicar.write
        write("       N       E                     dE             d eps       ncg     rms\n")
        previous = 0.0
        for number, energy in enumerate(step.electronic, start=1):
            change = energy - previous
            write(
                f"DAV: {number:3d}   {energy:19.12E}   {change:12.5E}  {change:12.5E}    64   "
                "0.100E+00\n"
            )
            previous = energy
        write(f"{self.n_steps:4d} F= {step.energy:.8E} E0= {step.energy:.8E}  d E ={0.0:.6E}\n")
