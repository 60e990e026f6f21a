"""Flows of the lattice stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobflow import Flow, Maker
from pymatgen.core import Structure

from mofonon.lattice.documents import phonon_calculation_id
from mofonon.lattice.jobs import RelaxMaker, compute_phonons, relax_first
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import PotentialSpec, describe_potential
from mofonon.structures import structure_hash


@dataclass
class PhononMaker(Maker):
    """Relax a structure and compute its phonons with the same potential.

    Parameters
    ----------
    name : str
        Name of the flow.
    potential : PotentialSpec
        The potential, of the relaxation too.
    settings : PhononSettings
        Supercell, displacements, mesh.
    relax_maker : RelaxMaker or None
        How to relax first; its potential is replaced by the one above. None takes the
        structure as it is.

    Examples
    --------
    >>> from mofonon.lattice import PhononMaker
    >>> PhononMaker().settings.displacement
    1e-06
    """

    name: str = "phonons"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))
    settings: PhononSettings = field(default_factory=PhononSettings)
    relax_maker: RelaxMaker | None = field(default_factory=RelaxMaker)

    def calculation_id(self, structure: Structure) -> str:
        """Identity of the calculation: input structure, potential and settings.

        The document that :meth:`make` leads to has the same, so that what was computed
        before can be found.
        """
        relax_settings = self.relax_maker.settings if self.relax_maker is not None else None
        return phonon_calculation_id(
            structure_hash(structure),
            describe_potential(self.potential),
            relax_settings,
            self.settings,
        )

    def make(self, structure: Structure, prev_dir: str | None = None) -> Flow:
        """Make the flow of one structure; its last output is a PhononDoc.

        Parameters
        ----------
        structure : Structure
            The structure, or a reference to the output of another job.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.
        """
        del prev_dir
        first = relax_first(self.relax_maker, structure, self.potential, self.settings.symprec)
        phonon_job = compute_phonons(
            first.structure, self.potential, self.settings, first.relaxation
        )
        phonon_job.name = self.name
        return Flow([*first.jobs, phonon_job], output=phonon_job.output, name=self.name)
