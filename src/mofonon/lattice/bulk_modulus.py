"""Bulk moduli: relax, strain, relax at each volume, fit.

Each volume is a job of its own, so that volumes spread over workers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from ase import Atoms
from jobflow import Flow, Maker, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon import progress
from mofonon.arrays import EncodedArray
from mofonon.lattice.bulk_modulus_documents import (
    bulk_modulus_calculation_id,
    bulk_modulus_document,
    strained_cell_document,
)
from mofonon.lattice.bulk_modulus_schemas import (
    BulkModulusDoc,
    BulkModulusSettings,
    StrainedCell,
    StrainedCellDoc,
)
from mofonon.lattice.jobs import RelaxMaker, evaluation_log_path, logged_calculator, relax_first
from mofonon.lattice.relax import RelaxResult, relax
from mofonon.lattice.schemas import RelaxDoc
from mofonon.lattice.second_order import WarmStart, warm_start
from mofonon.potentials import (
    LoggedCalculator,
    PotentialSpec,
    check_elements,
    describe_potential,
)
from mofonon.provenance import content_hash
from mofonon.structures import structure_hash


def strain_isotropically(atoms: Atoms, linear_strain: float) -> Atoms:
    """Copy of a structure with all cell vectors strained alike, atoms with them.

    Parameters
    ----------
    atoms : Atoms
        The structure; it is not changed.
    linear_strain : float
        Strain; 0.01 makes the cell vectors 1 % longer, the volume 3 % larger.
    """
    strained = atoms.copy()
    strained.calc = None
    strained.set_cell(atoms.cell.array * (1 + linear_strain), scale_atoms=True)
    return strained


def relax_strained_cell(
    atoms: Atoms,
    calculator: LoggedCalculator,
    settings: BulkModulusSettings,
    start: WarmStart | None = None,
) -> RelaxResult:
    """Relax what the settings leave free in a strained cell; its volume stays.

    ``start`` has the Hessian of the structure before the strain, for the method ``newton``.

    Raises
    ------
    RelaxationNotConverged
        When the threshold is not reached.
    """
    return relax(
        atoms,
        calculator,
        # with nothing to relax any force will do, and the first evaluation is the last
        settings.fmax if settings.relax != "none" else math.inf,
        cell="fixed-volume" if settings.relax == "positions-and-shape" else "fixed",
        max_steps=settings.max_steps,
        # with nothing to relax nothing may be symmetrised either
        method=settings.method if settings.relax != "none" else "lbfgs",
        symmetry=settings.symmetry,
        start=start,
    )


def strained_cell_key(input_hash: str, linear_strain: float) -> str:
    """Name the evaluation log of a volume: by input structure and strain."""
    return content_hash({"structure": input_hash, "linear_strain": f"{linear_strain:.12f}"})


@job(output_schema=StrainedCellDoc)
def compute_strained_cell(
    structure: Structure,
    linear_strain: float,
    potential: PotentialSpec,
    settings: BulkModulusSettings,
    input_hash: str | None = None,
    hessian: EncodedArray | None = None,
) -> StrainedCellDoc:
    """Strain a structure, relax it at that volume, give energy and stress.

    Parameters
    ----------
    structure : Structure
        The relaxed structure.
    linear_strain : float
        Strain of the cell vectors.
    potential : PotentialSpec
        The potential.
    settings : BulkModulusSettings
        What relaxes, and how far.
    input_hash : str, optional
        Hash of the structure before relaxation; of the structure itself if left out.
    hessian : EncodedArray, optional
        Hessian of the relaxed structure, to start from with the method ``newton``.
    """
    description = describe_potential(potential)
    check_elements(_symbols(structure), description)
    input_hash = input_hash or structure_hash(structure)
    atoms = strain_isotropically(
        AseAtomsAdaptor.get_atoms(structure, msonable=False), linear_strain
    )
    key = strained_cell_key(input_hash, linear_strain)
    with logged_calculator(potential, key, description) as calculator:
        start = warm_start(hessian, linear_strain)
        result = relax_strained_cell(atoms, calculator, settings, start)
    strains = settings.linear_strains()
    if linear_strain in strains:
        progress.report(
            "strained cells",
            strains.index(linear_strain) + 1,
            len(strains),
            f"linear strain {100 * linear_strain:+.2f} %",
        )
    return strained_cell_document(
        result,
        linear_strain,
        input_hash=input_hash,
        potential=description,
        settings=settings,
        seconds_in_potential=calculator.seconds,
    )


@job(output_schema=BulkModulusDoc)
def fit_bulk_modulus(
    structure: Structure,
    points: list[StrainedCell],
    potential: PotentialSpec,
    settings: BulkModulusSettings,
    relaxation: RelaxDoc | None = None,
) -> BulkModulusDoc:
    """Fit equations of state to strained cells.

    Parameters
    ----------
    structure : Structure
        The structure that was strained.
    points : list of StrainedCell
        The strained cells.
    potential : PotentialSpec
        The potential of all of them.
    settings : BulkModulusSettings
        Settings of the calculation.
    relaxation : RelaxDoc, optional
        The relaxation that gave the structure; its summary becomes part of the document.

    Raises
    ------
    EquationOfStateError
        When the bulk modulus is not positive, the minimum is outside the volumes, or there
        are too few of them.
    """
    description = describe_potential(potential)
    summary = relaxation.relaxation if relaxation is not None else None
    input_hash = relaxation.input_hash if relaxation is not None else structure_hash(structure)
    return bulk_modulus_document(
        structure,
        points,
        settings,
        input_hash=input_hash,
        calculation_id=bulk_modulus_calculation_id(
            input_hash, description, summary.settings if summary else None, settings
        ),
        potential=description,
        relaxation=summary,
    )


@dataclass
class BulkModulusMaker(Maker):
    """Relax a structure, strain it, and fit its bulk modulus, with one potential.

    Parameters
    ----------
    name : str
        Name of the flow.
    potential : PotentialSpec
        The potential, of the relaxation too.
    settings : BulkModulusSettings
        Strains, what relaxes at each, the equation of state; the defaults are the paper's.
    relax_maker : RelaxMaker or None
        How to relax first, at zero pressure; its potential is replaced by the one above.
        None takes the structure as it is.

    Examples
    --------
    >>> from mofonon.lattice import BulkModulusMaker
    >>> BulkModulusMaker().settings.max_linear_strain
    0.02
    """

    name: str = "bulk modulus"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))
    settings: BulkModulusSettings = field(default_factory=BulkModulusSettings)
    relax_maker: RelaxMaker | None = field(default_factory=RelaxMaker)

    def calculation_id(self, structure: Structure) -> str:
        """Identity of the calculation: input structure, potential and settings.

        The document that :meth:`make` leads to has the same, so that what was computed
        before can be found.
        """
        return bulk_modulus_calculation_id(
            structure_hash(structure),
            describe_potential(self.potential),
            self.relax_maker.settings if self.relax_maker is not None else None,
            self.settings,
        )

    def evaluation_logs(self, structure: Structure) -> list[Path]:
        """Where the evaluations of the relaxation and of each volume are kept."""
        input_hash = structure_hash(structure)
        description = describe_potential(self.potential)
        keys = [
            strained_cell_key(input_hash, strain) for strain in self.settings.linear_strains()
        ]
        return [evaluation_log_path(key, description) for key in (input_hash, *keys)]

    def make(self, structure: Structure, prev_dir: str | None = None) -> Flow:
        """Make the flow of one structure; its last output is a BulkModulusDoc.

        Parameters
        ----------
        structure : Structure
            The structure, or a reference to the output of another job.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.
        """
        del prev_dir
        first = relax_first(self.relax_maker, structure, self.potential, self.settings.symprec)
        input_hash = first.relaxation.input_hash if first.jobs else None
        hessian = first.relaxation.hessian if first.jobs else None
        points = []
        for strain in self.settings.linear_strains():
            point = compute_strained_cell(
                first.structure, strain, self.potential, self.settings, input_hash, hessian
            )
            point.name = f"strained cell {100 * strain:+.2f} %"
            points.append(point)
        fit_job = fit_bulk_modulus(
            first.structure,
            [point.output for point in points],
            self.potential,
            self.settings,
            first.relaxation,
        )
        fit_job.name = self.name
        return Flow([*first.jobs, *points, fit_job], output=fit_job.output, name=self.name)


def _symbols(structure: Structure) -> set[str]:
    return {element.symbol for element in structure.composition.elements}
