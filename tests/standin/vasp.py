"""The stand-in itself: reads VASP's inputs, evaluates a potential, writes VASP's outputs.

Environment
-----------
MOFONON_STANDIN_POTENTIAL
    ``chgnet`` (default), ``demo``, ``sevennet-0``, or anything that ``mofonon --model`` takes.
    With IVDW = 12 in the INCAR, D3(BJ) is added.
MOFONON_STANDIN_FAILURE
    ``unconverged-scf``, ``truncated``, ``killed``: what goes wrong; ``truncated@3`` only in the
    third run that MOFONON_STANDIN_LOG has seen, ``truncated@3+`` from it on.
MOFONON_STANDIN_LOG
    A file to which each run appends a line: number, binary, formula, volume, folder.
MOFONON_STANDIN_SERVER
    Socket of a :mod:`standin.server`, which keeps the potential loaded.
MOFONON_STANDIN_SECONDS
    Sleep so long in every ionic step (s).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from standin.files import Writer
from standin.states import Inputs, Step, kbar

#: Electronic steps that a converged ionic step pretends to take.
ELECTRONIC_STEPS = 6

#: VASP prints eight decimals; what is printed is what is evaluated.
DECIMALS = 8

FREE_CELL = {2: None, 3: {}, 7: {"hydrostatic_strain": True}}


class VaspError(RuntimeError):
    """VASP would stop here."""


def read_inputs(folder: Path):
    """Read INCAR, POSCAR, KPOINTS and POTCAR; check them against each other as VASP does."""
    import warnings

    from pymatgen.io.vasp import Incar, Kpoints, Poscar, PotcarSingle

    incar = dict(Incar.from_file(folder / "INCAR"))
    poscar = Poscar.from_file(folder / "POSCAR", check_for_potcar=False)
    blocks = [
        f"{block.strip()}\nEnd of Dataset\n"
        for block in (folder / "POTCAR").read_text().split("End of Dataset")
        if block.strip()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        potcar = [PotcarSingle(block) for block in blocks]
    if len(potcar) != len(poscar.site_symbols):
        raise VaspError(
            f"ERROR: the type information is not consistent with the number of types: "
            f"{len(potcar)} in POTCAR, {len(poscar.site_symbols)} in POSCAR"
        )
    for single, symbol in zip(potcar, poscar.site_symbols, strict=True):
        if single.element != symbol:
            raise VaspError(
                f"ERROR: POTCAR has {single.element} where POSCAR has {symbol}: "
                "the elements do not fit"
            )
    mesh = [1, 1, 1]
    if (folder / "KPOINTS").exists():
        mesh = [int(n) for n in Kpoints.from_file(folder / "KPOINTS").kpts[0]]
    kpoints, weights = irreducible_mesh(poscar.structure, mesh)
    inputs = Inputs(
        incar=incar,
        elements=[site.specie.symbol for site in poscar.structure],
        symbols=list(poscar.site_symbols),
        counts=list(poscar.natoms),
        titles=[single.keywords["TITEL"] for single in potcar],
        valences=[float(single.zval) for single in potcar],
        mesh=mesh,
        kpoints=kpoints,
        weights=weights,
    )
    return inputs, poscar.structure


def irreducible_mesh(structure, mesh: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """K-points of a Gamma-centred mesh, reduced by symmetry."""
    import spglib

    numbers = [site.specie.Z for site in structure]
    cell = (structure.lattice.matrix, structure.frac_coords, numbers)
    mapping, grid = spglib.get_ir_reciprocal_mesh(mesh, cell, is_shift=[0, 0, 0])
    unique, counts = np.unique(mapping, return_counts=True)
    return grid[unique] / np.array(mesh), counts / counts.sum()


_LOADED: dict[tuple, object] = {}


def make_potential(incar: dict):
    """The potential that makes the labels, with D3(BJ) when IVDW is 12."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from mofonon.potentials import PotentialSpec, make_calculator

    name = os.environ.get("MOFONON_STANDIN_POTENTIAL", "chgnet")
    dispersion = {0: None, 12: "d3bj"}
    if incar.get("IVDW", 0) not in dispersion:
        raise VaspError(f"ERROR: the stand-in knows IVDW 0 and 12, not {incar['IVDW']}")
    key = (name, dispersion[incar.get("IVDW", 0)])
    if key not in _LOADED:
        _LOADED[key] = make_calculator(PotentialSpec.from_name(name, dispersion=key[1]))
    return _LOADED[key]


class Run:
    """One run of the stand-in in a folder."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.folder = folder
        self.inputs, structure = read_inputs(folder)
        self.failure = requested_failure(folder, binary, structure)
        self.writer = Writer(folder, self.inputs, binary)
        from ase import Atoms

        self.atoms = Atoms(
            self.inputs.elements,
            cell=structure.lattice.matrix,
            scaled_positions=structure.frac_coords,
            pbc=True,
        )
        self.atoms.calc = make_potential(self.inputs.incar)
        self.pause = float(os.environ.get("MOFONON_STANDIN_SECONDS", "0"))

    def evaluate(self) -> Step:
        """Evaluate the structure as it will be printed, and write the step."""
        start = time.perf_counter()
        time.sleep(self.pause)
        atoms = self.atoms
        atoms.set_cell(np.round(atoms.cell.array, DECIMALS))
        atoms.set_scaled_positions(np.round(atoms.get_scaled_positions(wrap=False), DECIMALS))
        energy = float(atoms.get_potential_energy())
        converged = self.failure != "unconverged-scf"
        n_electronic = ELECTRONIC_STEPS if converged else int(self.inputs.incar.get("NELM", 60))
        dispersion = 0.0
        if self.inputs.incar.get("IVDW"):
            dispersion = float(atoms.calc.results["energy_contributions"][1])
        electronic = [
            energy - dispersion + (10.0 ** (2 - number) if number < n_electronic else 0.0)
            for number in range(1, n_electronic + 1)
        ]
        if not converged:
            electronic = [energy - dispersion + 0.5 * (-1) ** n for n in range(n_electronic)]
        step = Step(
            cell=atoms.cell.array.copy(),
            fractional=atoms.get_scaled_positions(wrap=False),
            electronic=electronic,
            energy=energy,
            forces=atoms.get_forces(apply_constraint=False),  # ISIF 7 holds atoms, not forces
            stress=kbar(atoms.get_stress(voigt=False)),
            seconds=time.perf_counter() - start,
            dispersion=dispersion,
        )
        self.writer.step(step)
        if self.failure == "killed" and self.writer.n_steps >= 3:
            self.writer.abandon()
            sys.exit(137)
        return step

    def go(self) -> None:
        """Run to the end that was asked for."""
        self.writer.header(self.atoms.cell.array, self.atoms.get_scaled_positions(wrap=False))
        reached = stopped = False
        if int(self.inputs.incar.get("NSW", 0)) > 0:
            reached, stopped = self.relax()
        else:
            self.evaluate()
        self.writer.footer(reached=reached, stopped=stopped)
        if self.failure == "truncated":
            path = self.folder / "vasprun.xml"
            text = path.read_text()
            path.write_text(text[: int(0.7 * len(text))])

    def relax(self) -> tuple[bool, bool]:
        """BFGS for NSW steps; obeys a STOPCAR."""
        from ase.filters import FrechetCellFilter
        from ase.optimize import BFGS

        incar = self.inputs.incar
        isif = int(incar.get("ISIF", 2))
        if isif not in FREE_CELL:
            raise VaspError(f"ERROR: the stand-in knows ISIF 2, 3 and 7, not {isif}")
        options = FREE_CELL[isif]
        target = self.atoms
        if isif == 7:
            from ase.constraints import FixAtoms

            self.atoms.set_constraint(FixAtoms(indices=list(range(len(self.atoms)))))
        if options is not None:
            target = FrechetCellFilter(self.atoms, **options)
        optimizer = BFGS(target, logfile=None)
        threshold = abs(float(incar.get("EDIFFG", -0.02)))
        for _ in range(int(incar["NSW"])):
            self.evaluate()
            if np.linalg.norm(target.get_forces(), axis=1).max() < threshold:
                return True, False
            if self.stop_asked():
                return False, True
            optimizer.step()
        return False, False

    def stop_asked(self) -> bool:
        """Whether a STOPCAR asks for the end; VASP removes it then."""
        stopcar = self.folder / "STOPCAR"
        if stopcar.is_file() and ".TRUE." in stopcar.read_text().upper():
            stopcar.unlink()
            return True
        return False


def requested_failure(folder: Path, binary: str, structure) -> str | None:
    """The failure asked for, if it is meant for this run; the run is counted in the log."""
    number = 1
    if log := os.environ.get("MOFONON_STANDIN_LOG"):
        path = Path(log)
        number += len(path.read_text().splitlines()) if path.exists() else 0
        with path.open("a") as file:
            formula = structure.composition.reduced_formula
            file.write(f"{number} {binary} {formula} {structure.volume:.3f} {folder}\n")
    mode, _, when = os.environ.get("MOFONON_STANDIN_FAILURE", "").partition("@")
    if not mode:
        return None
    if mode not in ("unconverged-scf", "truncated", "killed"):
        raise VaspError(f"ERROR: the stand-in knows no failure called {mode}")
    if not when:
        return mode
    first = int(when.rstrip("+"))
    meant = number >= first if when.endswith("+") else number == first
    return mode if meant else None


def main(binary: str) -> None:
    """Run in the working directory."""
    sys.stdout.write(f" running on    1 total cores\n {binary}: VASP STAND-IN, NOT VASP\n")
    sys.stdout.flush()
    try:
        Run(Path.cwd(), binary).go()
    except VaspError as error:
        sys.stdout.write(f" -----------\n {error}\n -----------\n")
        sys.exit(1)
