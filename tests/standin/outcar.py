"""OUTCAR as far as its parsers look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TextIO

import numpy as np

from standin.states import PROGRAM, VERSION, Inputs, Step


@dataclass
class Outcar:
    """Writes OUTCAR step after step."""

    file: TextIO
    inputs: Inputs
    binary: str

    def header(self, cell: np.ndarray) -> None:
        inputs, write = self.inputs, self.file.write
        incar = inputs.incar
        write(f" vasp.{VERSION} {PROGRAM}, binary {self.binary}\n\n")
        write(" executed on             none date 2026.01.01  00:00:00\n")
        write(" running on    1 total cores\n\n INCAR:\n")
        for title in (*inputs.titles, *inputs.titles):  # VASP lists them twice
            write(f" POTCAR:    {title}\n")
        for title, symbol in zip(inputs.titles, inputs.symbols, strict=True):
            write(f"   VRHFIN ={symbol}: stand-in\n   TITEL  = {title}\n")
        write(f"   ions per type =          {' '.join(f'{n:5d}' for n in inputs.counts)}\n")
        n_planewaves = int(abs(np.linalg.det(cell)) * 2)
        write(
            f"\n\n Dimension of arrays:\n   k-points           NKPTS ={len(inputs.kpoints):7d}   "
            f"k-points in BZ     NKDIM ={len(inputs.kpoints):7d}   number of bands    NBANDS="
            f"{inputs.n_bands:7d}\n   number of dos      NEDOS =    301   number of ions     "
            f"NIONS ={len(inputs.elements):7d}\n   total plane-waves  NPLWV ={n_planewaves:7d}\n\n"
        )
        write(f"   ISPIN  = {incar.get('ISPIN', 1):6d}    spin polarized calculation?\n")
        write("   LNONCOLLINEAR =      F non collinear calculations\n")
        write("   LEPSILON=    F    determine dielectric tensor\n")
        write("   LCALCPOL=   F    compute P\n")
        nelm = incar.get("NELM", 60)
        write(f"   NELM   =  {nelm:5d};   NELMIN=  2; NELMDL= -5     # of ELM steps\n")
        write(
            f"   EDIFF  = {float(incar.get('EDIFF', 1e-4)):.1E}   stopping-criterion for ELM\n"
        )
        write(
            f"   EDIFFG = {float(incar.get('EDIFFG', 1e-3)):.1E}   stopping-criterion for IOM\n"
        )
        nsw = incar.get("NSW", 0)
        write(f"   NSW    =  {nsw:5d}    number of steps for IOM\n")
        write(f"   IBRION =  {incar.get('IBRION', -1 if not nsw else 0):5d}    ionic relax\n")
        write(f"   ISIF   =  {incar.get('ISIF', 2):5d}    stress and relaxation\n")
        write(f"   IVDW   =  {incar.get('IVDW', 0):5d}\n")
        write("\n k-points in reciprocal lattice and weights: Gamma mesh\n")
        for k, weight in zip(inputs.kpoints, inputs.weights, strict=True):
            write(" " + " ".join(f"{x:11.8f}" for x in k) + f" {weight:15.3f}\n")
        rule = "-" * 104
        write(f"\n\n\n{rule}\n\n\n")
        for number, k in enumerate(inputs.kpoints, start=1):
            write(
                f" k-point {number:4d} :  {k[0]:.4f} {k[1]:.4f} {k[2]:.4f}  plane waves: "
                f"{n_planewaves:7d}\n"
            )
        write(
            f"\n maximum and minimum number of plane-waves per node :   {n_planewaves:7d}  "
            f"{n_planewaves:7d}\n\n"
        )

    def step(self, number: int, step: Step) -> None:
        write = self.file.write
        for n, energy in enumerate(step.electronic, start=1):
            write(
                f"\n--------------------------------------- Iteration {number:6d}"
                f"({n:4d})  ---------------------------------------\n\n"
                f"      LOOP:  cpu time {0.01:10.4f}: real time {0.01:10.4f}\n"
                "  Free energy of the ion-electron system (eV)\n"
                f"  free energy    TOTEN  = {energy:18.8f} eV\n\n"
                f"  energy without entropy = {energy:18.8f}  energy(sigma->0) = "
                f"{energy:18.8f}\n"
            )
        write(" E-fermi :   0.0000     XC(G=0):  -1.0000     alpha+bet : -1.0000\n")
        write(
            f" number of electron {self.inputs.n_electrons:14.7f} magnetization      "
            "0.0000000\n"
        )
        s = step.stress
        write(
            "\n  FORCE on cell =-STRESS in cart. coord.  units (eV):\n"
            f"  in kB {s[0, 0]:12.5f}{s[1, 1]:12.5f}{s[2, 2]:12.5f}{s[0, 1]:12.5f}"
            f"{s[1, 2]:12.5f}{s[2, 0]:12.5f}\n"
            f"  external pressure = {np.trace(s) / 3:12.2f} kB  Pullay stress =        0.00 kB\n"
        )
        write(f"  volume of cell : {abs(np.linalg.det(step.cell)):12.2f}\n")
        write("      direct lattice vectors                 reciprocal lattice vectors\n")
        for real, reciprocal in zip(step.cell, np.linalg.inv(step.cell).T, strict=True):
            write("".join(f"{x:13.9f}" for x in (*real, *reciprocal)) + "\n")
        write(
            "\n POSITION                                       TOTAL-FORCE (eV/Angst)\n"
            f" {'-' * 83}\n"
        )
        for position, force in zip(step.positions, step.forces, strict=True):
            write("".join(f"{x:13.5f}" for x in position) + "  ")
            write("".join(f"{x:14.6f}" for x in force) + "\n")
        drift = step.forces.sum(axis=0)
        write(f" {'-' * 83}\n    total drift:" + "".join(f"{x:22.6f}" for x in drift) + "\n\n")
        e = step.energy
        write(
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n"
            "  ---------------------------------------------------\n"
            f"  free  energy   TOTEN  = {e:18.8f} eV\n\n"
            f"  energy  without entropy= {e:18.8f}  energy(sigma->0) = {e:18.8f}\n"
        )
        seconds = step.seconds
        write(f"     LOOP+:  cpu time {seconds:10.4f}: real time {seconds:10.4f}\n")

    def footer(self, elapsed: float, *, reached: bool, stopped: bool) -> None:
        if reached:
            self.file.write(
                " reached required accuracy - stopping structural energy minimisation\n"
            )
        if stopped:
            self.file.write(" soft stop encountered!  aborting job ...\n")
        self.file.write(
            " General timing and accounting informations for this job:\n"
            f"                  Total CPU time used (sec): {elapsed:12.3f}\n"
            f"                            User time (sec): {elapsed:12.3f}\n"
            "                          System time (sec):        0.000\n"
            f"                         Elapsed time (sec): {elapsed:12.3f}\n"
            "                   Maximum memory used (kb):       50000.\n"
            "                   Average memory used (kb):          N/A\n"
        )
