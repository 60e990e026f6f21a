"""vasprun.xml as far as its parsers look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TextIO
from xml.sax.saxutils import escape

import numpy as np

from standin.states import PROGRAM, VERSION, Inputs, Step


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
class Vasprun:
    """Writes vasprun.xml step after step."""

    file: TextIO
    inputs: Inputs
    binary: str

    def header(self, cell: np.ndarray, fractional: np.ndarray) -> None:
        inputs, write = self.inputs, self.file.write
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
        self._atoms()
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

    def _atoms(self) -> None:
        inputs, write = self.inputs, self.file.write
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

    def step(self, step: Step) -> None:
        write = self.file.write
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
        self._eigenvalues()
        write(" </calculation>\n")

    def _eigenvalues(self) -> None:
        """Flat bands with a gap of 4 eV."""
        write = self.file.write
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
        self._dos()

    def _dos(self) -> None:
        """Total and projected density of states of the flat bands: two peaks."""
        spins = range(int(self.inputs.incar.get("ISPIN", 1)))
        energies = (-2.0, 0.0, 2.0)
        fields = "".join(f"<field>{name}</field>" for name in ("energy", "total", "integrated"))
        rows = "".join(f"<r> {e:9.4f} {abs(e):9.4f} {max(e, 0):9.4f} </r>" for e in energies)
        sets = "".join(f'<set comment="spin {s + 1}">{rows}</set>' for s in spins)
        self.file.write(
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
        self.file.write(
            f"   <partial><array>{fields}<set>{ions}</set></array></partial>\n  </dos>\n"
        )

    def footer(self, last: Step) -> None:
        self.file.write(structure_xml(last.cell, last.fractional, "finalpos") + "</modeling>\n")
