"""The EOS flow of MOFs: deform, calculate, fit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from atomate2.common.flows.eos import CommonEosMaker
from atomate2.common.jobs.eos import EOSPostProcessor
from jobflow import Flow, JobConfig, Maker, OnMissing, job
from pymatgen.core import Structure

from mofonon.dft.documents import fit_eos_labels
from mofonon.dft.jobs import MofRelaxMaker, MofStaticMaker, with_mesh_of
from mofonon.dft.schemas import EosLabels

#: A job runs although what it refers to is missing, and gets None for it.
WITH_GAPS = JobConfig(on_missing_references=OnMissing.NONE)


class FitEosLabels(EOSPostProcessor):
    """Birch-Murnaghan fit in an EOS flow; points that failed are left out.

    A fit that is not sensible gives a document with ``state: failed`` and the reason.
    """

    name = "Birch-Murnaghan fit"
    min_data_points = 4

    def eval(self) -> None:
        """Not used; :meth:`make` fits."""

    @job(output_schema=EosLabels, config=WITH_GAPS)
    def make(self, eos_flow_output: dict[str, Any]) -> EosLabels:
        """Fit the energies of an EOS flow.

        Parameters
        ----------
        eos_flow_output : dict
            As atomate2's CommonEosMaker makes it: ``relax`` and perhaps ``static``, each with
            ``energy`` (eV), ``volume`` (A^3) and ``structure``.
        """
        points = eos_flow_output.get("static") or eos_flow_output["relax"]
        found = [
            (float(volume), float(energy), structure)
            for volume, energy, structure in zip(
                points["volume"], points["energy"], points["structure"], strict=True
            )
            if volume is not None and energy is not None
        ]
        if not found:
            return EosLabels(
                state="failed", reason="no deformation gave an energy", volumes=[],
                energies=[], linear_strains=[],
            )  # fmt: skip
        found.sort(key=lambda point: point[0])
        volumes = [volume for volume, _, _ in found]
        reference = float(np.median(volumes))
        return fit_eos_labels(
            [(volume / reference) ** (1 / 3) - 1 for volume in volumes],
            volumes,
            [energy for _, energy, _ in found],
            len(found[0][2]),
        )


@dataclass
class MofEosMaker(CommonEosMaker):
    """Deform a structure isotropically and fit Birch-Murnaghan to the energies.

    atomate2's EOS flow with the Makers of MOFs. All deformations have the k-point mesh of the
    structure that is given: a mesh by density would change from volume to volume, and the
    energy would jump. (For a reference to a structure that is not known yet, give the Makers
    their mesh by :func:`~mofonon.dft.jobs.with_mesh`.)

    Parameters
    ----------
    name : str
        Name of the flow.
    initial_relax_maker : MofRelaxMaker or None
        Relax first; None takes the structure as it is.
    eos_relax_maker : MofStaticMaker or MofRelaxMaker
        What is calculated at each deformation: a static calculation (default), or positions
        relaxed in the fixed cell (:meth:`with_relaxed_positions`).
    static_maker : MofStaticMaker or None
        A static calculation after each relaxation.
    linear_strain : tuple of float
        First and last strain of the cell vectors.
    number_of_frames : int
        Deformations.
    postprocessor : EOSPostProcessor or None
        The fit.

    Examples
    --------
    >>> from mofonon.dft import MofEosMaker
    >>> [round(strain, 2) for strain in MofEosMaker().strains()]
    [-0.1, -0.06, -0.02, 0.02, 0.06, 0.1]
    """

    name: str = "MOF EOS"
    initial_relax_maker: Any = None
    eos_relax_maker: Maker = field(
        default_factory=lambda: MofStaticMaker(name="MOF EOS static")
    )
    static_maker: Any = None
    linear_strain: tuple[float, float] = (-0.10, 0.10)
    number_of_frames: int = 6
    postprocessor: Any = field(default_factory=FitEosLabels)

    @classmethod
    def with_relaxed_positions(cls, relax_maker: MofRelaxMaker | None = None) -> MofEosMaker:
        """Make a Maker that relaxes positions at each deformation, the cell fixed."""
        maker = relax_maker or MofRelaxMaker()
        generator = replace(
            maker.input_set_generator,
            structure=None,
            user_incar_settings={**maker.input_set_generator.user_incar_settings, "ISIF": 2},
        )
        return cls(
            eos_relax_maker=replace(
                maker, name="MOF EOS relax positions", input_set_generator=generator
            )
        )

    def strains(self) -> list[float]:
        """Strains of the cell vectors, from the most compressed cell on."""
        first, last = self.linear_strain
        return [float(x) for x in np.linspace(first, last, self.number_of_frames)]

    def make(self, structure: Structure, prev_dir: Any = None) -> Flow:
        """Make the flow of one structure; its output is an EosLabels.

        Parameters
        ----------
        structure : Structure
            The structure, or a reference to one.
        prev_dir : str, optional
            Folder of an earlier calculation, whose WAVECAR the deformations start from.
        """
        pinned = replace(
            self,
            initial_relax_maker=with_mesh_of(self.initial_relax_maker, structure),
            eos_relax_maker=with_mesh_of(self.eos_relax_maker, structure),
            static_maker=with_mesh_of(self.static_maker, structure),
        )
        return CommonEosMaker.make(pinned, structure, prev_dir)
