"""What VASP writes: OUTCAR, vasprun.xml, OSZICAR, CONTCAR, as far as their parsers look."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape

import numpy as np
from ase.units import GPa

#: The version that the stand-in gives itself; parsers want a number first.
VERSION = "0.0.0-standin"
PROGRAM = "vasp stand-in (not VASP)"


@dataclass
class Inputs:
    """INCAR, KPOINTS and POTCAR as the stand-in needs them."""

    incar: dict
    elements: list[str]
    symbols: list[str]
    counts: list[int]
    titles: list[str]
    valences: list[float]
    mesh: list[int]
    kpoints: np.ndarray
    weights: np.ndarray

    @property
    def n_electrons(self) -> float:
        return float(np.dot(self.counts, self.valences))

    @property
    def n_bands(self) -> int:
        return int(self.n_electrons) // 2 + max(len(self.elements) // 2, 3)


@dataclass
class Step:
    """One ionic step: cell (A), fractional positions, energies (eV), forces, stress (kbar)."""

    cell: np.ndarray
    fractional: np.ndarray
    electronic: list[float]
    energy: float
    forces: np.ndarray
    stress: np.ndarray
    seconds: float = 0.0
    dispersion: float = 0.0

    @property
    def positions(self) -> np.ndarray:
        return self.fractional @ self.cell


def rows(values: np.ndarray, tag: str = "v") -> str:
    """Rows of an array as VASP writes them, eight decimals."""
    return "".join(
        f"   <{tag}> {' '.join(f'{x:16.8f}' for x in row)} </{tag}>\n" for row in values
    )


def incar_items(incar: dict) -> str:
    """INCAR tags as typed XML items."""
    lines = []
    for key, value in incar.items():
        if isinstance(value, bool):
            lines.append(f'  <i type="logical" name="{key}"> {"T" if value else "F"}  </i>')
        elif isinstance(value, int):
            lines.append(f'  <i type="int" name="{key}">{value:6d}</i>')
        elif isinstance(value, float):
            lines.append(f'  <i name="{key}">{value:16.8f}</i>')
        elif isinstance(value, list):
            text = " ".join(f"{x:16.8f}" for x in value)
            lines.append(f'  <v name="{key}"> {text}</v>')
        else:
            lines.append(f'  <i type="string" name="{key}">{escape(str(value))}</i>')
    return "\n".join(lines) + "\n"


def structure_xml(cell: np.ndarray, fractional: np.ndarray, name: str = "") -> str:
    """Build a structure block."""
    reciprocal = np.linalg.inv(cell).T
    title = f' name="{name}"' if name else ""
    return (
        f" <structure{title}>\n  <crystal>\n"
        f'  <varray name="basis">\n{rows(cell)}  </varray>\n'
        f'  <i name="volume">{abs(np.linalg.det(cell)):16.8f}</i>\n'
        f'  <varray name="rec_basis">\n{rows(reciprocal)}  </varray>\n'
        f'  </crystal>\n  <varray name="positions">\n{rows(fractional)}  </varray>\n'
        " </structure>\n"
    )


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
        self.xml: TextIO = (self.folder / "vasprun.xml").open("w")
        self.outcar: TextIO = (self.folder / "OUTCAR").open("w")
        self.oszicar: TextIO = (self.folder / "OSZICAR").open("w")

    def header(self, cell: np.ndarray, fractional: np.ndarray) -> None:
        self._xml_header(cell, fractional)
        self._outcar_header(cell)
        self._flush()

    def step(self, step: Step) -> None:
        self.n_steps += 1
        self.last = step
        self._xml_step(step)
        self._outcar_step(step)
        self._oszicar_step(step)
        self.contcar(step)
        self._flush()

    def footer(self, *, reached: bool, stopped: bool = False) -> None:
        """End the files."""
        assert self.last is not None
        self.xml.write(
            structure_xml(self.last.cell, self.last.fractional, "finalpos") + "</modeling>\n"
        )
        if reached:
            self.outcar.write(
                " reached required accuracy - stopping structural energy minimisation\n"
            )
        if stopped:
            self.outcar.write(" soft stop encountered!  aborting job ...\n")
        elapsed = time.perf_counter() - self.start
        self.outcar.write(
            " General timing and accounting informations for this job:\n"
            f"                  Total CPU time used (sec): {elapsed:12.3f}\n"
            f"                            User time (sec): {elapsed:12.3f}\n"
            "                          System time (sec):        0.000\n"
            f"                         Elapsed time (sec): {elapsed:12.3f}\n"
            "                   Maximum memory used (kb):       50000.\n"
            "                   Average memory used (kb):          N/A\n"
        )
        (self.folder / "WAVECAR").write_bytes(b"stand-in: no wave functions\n")
        for file in (self.xml, self.outcar, self.oszicar):
            file.close()

    def abandon(self) -> None:
        """Close the files as they are: a run that was killed."""
        for file in (self.xml, self.outcar, self.oszicar):
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
        for file in (self.xml, self.outcar, self.oszicar):
            file.flush()

    def _xml_header(self, cell: np.ndarray, fractional: np.ndarray) -> None:
        inputs, write = self.inputs, self.xml.write
        write('<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n')
        write(f'  <i name="program" type="string">{PROGRAM}</i>\n')
        write(f'  <i name="version" type="string">{VERSION}  </i>\n')
        write(f'  <i name="subversion" type="string">{self.binary}</i>\n')
        write('  <i name="platform" type="string">none</i>\n')
        write('  <i name="date" type="string">2026 01 01 </i>\n')
        write('  <i name="time" type="string">00:00:00 </i>\n </generator>\n')
        write(f" <incar>\n{incar_items(inputs.incar)} </incar>\n")
        mesh = " ".join(f"{n:8d}" for n in inputs.mesh)
        write(
            ' <kpoints>\n  <generation param="Gamma">\n'
            f'   <v type="int" name="divisions"> {mesh} </v>\n'
            '   <v name="usershift"> 0.00000000 0.00000000 0.00000000 </v>\n'
            + "".join(
                f'   <v name="genvec{i + 1}"> {" ".join(f"{x:16.8f}" for x in row)} </v>\n'
                for i, row in enumerate(np.diag(1 / np.array(inputs.mesh)))
            )
            + '   <v name="shift"> 0.00000000 0.00000000 0.00000000 </v>\n  </generation>\n'
            f'  <varray name="kpointlist">\n{rows(inputs.kpoints)}  </varray>\n'
            f'  <varray name="weights">\n{rows(inputs.weights[:, None])}  </varray>\n'
            " </kpoints>\n"
        )
        write(f" <parameters>\n{incar_items(self._parameters())} </parameters>\n")
        self._xml_atoms()
        write(structure_xml(cell, fractional, "initialpos"))

    def _parameters(self) -> dict:
        """Tags of INCAR with the defaults that parsers ask for."""
        defaults = {
            "SYSTEM": "unknown",
            "PREC": "accura",
            "ENMAX": float(self.inputs.incar.get("ENCUT", 520.0)),
            "ISPIN": 1,
            "NELM": 60,
            "NELMIN": 2,
            "EDIFF": 1e-4,
            "NSW": 0,
            "IBRION": -1 if not self.inputs.incar.get("NSW") else 0,
            "ISIF": 2,
            "EDIFFG": 1e-3,
            "NELECT": self.inputs.n_electrons,
            "NBANDS": self.inputs.n_bands,
            "ISMEAR": 1,
            "SIGMA": 0.2,
            "LORBIT": 0,
            "LHFCALC": False,
            "METAGGA": "--",
            "GGA": "--",
            "LASPH": False,
            "LNONCOLLINEAR": False,
            "LSORBIT": False,
            "LDIPOL": False,
            "IVDW": 0,
            "LREAL": False,
            "KPOINT_BSE": -1,
            "PSTRESS": 0.0,
            "LMAXMIX": 2,
            "NUPDOWN": -1.0,
        }
        given = {k: v for k, v in self.inputs.incar.items() if k != "MAGMOM"}
        return {**defaults, **given, "NBANDS": self.inputs.n_bands}

    def _xml_atoms(self) -> None:
        inputs, write = self.inputs, self.xml.write
        write(f" <atominfo>\n  <atoms>{len(inputs.elements):8d} </atoms>\n")
        write(f"  <types>{len(inputs.symbols):8d} </types>\n")
        write('  <array name="atoms" >\n   <dimension dim="1">ion</dimension>\n')
        write(
            '   <field type="string">element</field>\n   <field type="int">atomtype</field>\n'
        )
        write("   <set>\n")
        kinds = np.repeat(np.arange(len(inputs.counts)) + 1, inputs.counts)
        for element, kind in zip(inputs.elements, kinds, strict=True):
            write(f"    <rc><c>{element:<2s}</c><c>{kind:4d}</c></rc>\n")
        write('   </set>\n  </array>\n  <array name="atomtypes" >\n')
        write('   <dimension dim="1">type</dimension>\n')
        for name, kind in (
            ("atomspertype", "int"),
            ("element", "string"),
            ("mass", ""),
            ("valence", ""),
            ("pseudopotential", "string"),
        ):
            write(
                f"   <field{f' type={chr(34)}{kind}{chr(34)}' if kind else ''}>{name}</field>\n"
            )
        write("   <set>\n")
        for symbol, count, title, valence in zip(
            inputs.symbols, inputs.counts, inputs.titles, inputs.valences, strict=True
        ):
            write(
                f"    <rc><c>{count:4d}</c><c>{symbol:<2s}</c><c>  1.00000000</c>"
                f"<c>{valence:16.8f}</c><c>  {title:<40s}</c></rc>\n"
            )
        write("   </set>\n  </array>\n </atominfo>\n")

    def _xml_step(self, step: Step) -> None:
        write = self.xml.write
        write(" <calculation>\n")
        for energy in step.electronic:
            write("  <scstep>\n   <energy>\n")
            for name in ("e_fr_energy", "e_wo_entrp", "e_0_energy"):
                write(f'    <i name="{name}">{energy:16.8f} </i>\n')
            write("   </energy>\n  </scstep>\n")
        write(structure_xml(step.cell, step.fractional))
        write(f'  <varray name="forces" >\n{rows(step.forces)}  </varray>\n')
        write(f'  <varray name="stress" >\n{rows(step.stress)}  </varray>\n')
        # dispersion comes after the electronic steps; e_0_energy of this block is the entropy
        # term, as VASP 5 and 6 write it, so that readers must not trust it
        write("  <energy>\n")
        write(f'   <i name="e_fr_energy">{step.energy:16.8f} </i>\n')
        write(f'   <i name="e_wo_entrp">{step.energy:16.8f} </i>\n')
        write(f'   <i name="e_0_energy">{0.0:16.8f} </i>\n')
        write("  </energy>\n")
        self._xml_eigenvalues()
        write(" </calculation>\n")

    def _xml_eigenvalues(self) -> None:
        """Flat bands with a gap of 4 eV."""
        write = self.xml.write
        occupied = round(self.inputs.n_electrons / 2)
        write('  <eigenvalues>\n   <array>\n    <dimension dim="1">band</dimension>\n')
        write("    <field>eigene</field>\n    <field>occ</field>\n    <set>\n")
        for spin in range(int(self.inputs.incar.get("ISPIN", 1))):
            write(f'     <set comment="spin {spin + 1}">\n')
            for k in range(len(self.inputs.kpoints)):
                write(f'      <set comment="kpoint {k + 1}">\n')
                for band in range(self.inputs.n_bands):
                    energy, occupation = (-2.0, 1.0) if band < occupied else (2.0, 0.0)
                    write(f"       <r> {energy:9.4f} {occupation:8.4f} </r>\n")
                write("      </set>\n")
            write("     </set>\n")
        write("    </set>\n   </array>\n  </eigenvalues>\n")
        self._xml_dos()

    def _xml_dos(self) -> None:
        """Total and projected density of states of the flat bands: two peaks."""
        spins = range(int(self.inputs.incar.get("ISPIN", 1)))
        energies = (-2.0, 0.0, 2.0)
        fields = "".join(f"<field>{name}</field>" for name in ("energy", "total", "integrated"))
        rows = "".join(f"<r> {e:9.4f} {abs(e):9.4f} {max(e, 0):9.4f} </r>" for e in energies)
        sets = "".join(f'<set comment="spin {s + 1}">{rows}</set>' for s in spins)
        self.xml.write(
            '  <dos>\n   <i name="efermi">      0.00000000 </i>\n   <total><array>'
            f"{fields}<set>{sets}</set></array></total>\n"
        )
        orbitals = ("s", "p", "d")
        fields = "".join(f"<field>{name}</field>" for name in ("energy", *orbitals))
        rows = "".join(f"<r> {e:9.4f} 0.1 0.1 0.1 </r>" for e in energies)
        sets = "".join(f'<set comment="spin {s + 1}">{rows}</set>' for s in spins)
        ions = "".join(
            f'<set comment="ion {n + 1}">{sets}</set>' for n in range(len(self.inputs.elements))
        )
        self.xml.write(
            f"   <partial><array>{fields}<set>{ions}</set></array></partial>\n  </dos>\n"
        )

    def _outcar_header(self, cell: np.ndarray) -> None:
        inputs, write = self.inputs, self.outcar.write
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

    def _outcar_step(self, step: Step) -> None:
        write = self.outcar.write
        for number, energy in enumerate(step.electronic, start=1):
            write(
                f"\n--------------------------------------- Iteration {self.n_steps:6d}"
                f"({number:4d})  ---------------------------------------\n\n"
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


def kbar(stress: np.ndarray) -> np.ndarray:
    """ASE's stress (eV/A^3, 3x3) as VASP prints it: kbar, the other sign."""
    return -stress / GPa * 10.0
