"""Flows that label MOFs: relaxation, deformations, single frames, and their harvest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from jobflow import Flow, Job, Maker, OutputReference, Response, job
from pymatgen.core import Structure

from mofonon.dft.eos import MofEosMaker
from mofonon.dft.jobs import MofRelaxMaker, MofStaticMaker, with_mesh_of
from mofonon.dft.plan import PinnedMakers, Plan
from mofonon.dft.schemas import LabelDoc, LabelTask, QuarantineSettings, UnlabelledFrame
from mofonon.errors import SettingsError
from mofonon.provenance import content_hash
from mofonon.structures import structure_hash


@job(data=["frames"])
def label_found_frames(
    frames: Any, maker: LabelMaker, mof_ids: Sequence[str] | str | None = None
) -> Response:
    """Label what another job makes: a structure, or frames whose number is not known before.

    Parameters
    ----------
    frames : Structure, UnlabelledFrame, or list of them
        What to label.
    maker : LabelMaker
        How.
    mof_ids : sequence of str or str, optional
        Names of the MOFs, as for :meth:`LabelMaker.make`.
    """
    return Response(replace=maker.make(frames, mof_ids))


@dataclass
class LabelMaker(Maker):
    """All DFT labels of MOFs: relaxation and deformations, or single frames.

    Of a Structure, the relaxation and the deformations of the relaxed cell are calculated; of
    an :class:`~mofonon.dft.schemas.UnlabelledFrame` (an MD frame, a rattled structure) its
    energy, forces and stress as it is. One LabelDoc a MOF; calculations that fail do not stop
    the others. All calculations of a MOF share one k-point mesh.

    Parameters
    ----------
    name : str
        Name of the flow.
    relax_maker : MofRelaxMaker or None
        Relaxation of cell and positions, whose steps are labels; None for none.
    eos_maker : MofEosMaker or None
        Deformations, of the relaxed cell where it relaxes; None for none.
    static_maker : MofStaticMaker
        Of single frames, and of structures when neither of the two above is asked for.
    settings : QuarantineSettings
        When frames are kept apart.

    Examples
    --------
    >>> from mofonon.dft import LabelMaker
    >>> LabelMaker(relax_maker=None).eos_maker.number_of_frames
    6
    """

    name: str = "label"
    relax_maker: MofRelaxMaker | None = field(default_factory=MofRelaxMaker)
    eos_maker: MofEosMaker | None = field(default_factory=MofEosMaker)
    static_maker: MofStaticMaker = field(default_factory=MofStaticMaker)
    settings: QuarantineSettings = field(default_factory=QuarantineSettings)

    def make(
        self,
        structures: Any,
        mof_ids: Sequence[str] | str | None = None,
        prev_dir: str | None = None,
    ) -> Flow:
        """Make the flow of one or several structures or frames.

        Parameters
        ----------
        structures : Structure, UnlabelledFrame, a sequence of them, or OutputReference
            What to label. References to outputs of other jobs, to one of them, to a list, or
            in a sequence, are resolved when the outputs are there.
        mof_ids : sequence of str or str, optional
            Name of the MOF of each Structure, or of all; by default its formula and the
            beginning of its hash. UnlabelledFrames have their own.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.

        Returns
        -------
        Flow
            Its output is the LabelDoc of a single structure or frame, else the list of
            LabelDocs, one for each MOF in the order of first appearance.
        """
        del prev_dir
        if _is_to_come(structures):
            found = label_found_frames(structures, self, mof_ids)
            return Flow([found], output=found.output, name=self.name)
        single = isinstance(structures, Structure | UnlabelledFrame)
        items = [structures] if single else list(structures)
        names = [mof_ids] * len(items) if isinstance(mof_ids, str) else mof_ids
        groups = _grouped(items, names)
        if not groups:
            raise SettingsError("there is nothing to label", "give structures or frames")
        flows: list[Flow | Job] = [
            self._flow_of_mof(mof_id, members) for mof_id, members in groups.items()
        ]
        if single:
            return cast("Flow", flows[0])
        return Flow(flows, output=[flow.output for flow in flows], name=self.name)

    def retry(self, doc: LabelDoc) -> Flow:
        """Make a flow of the calculations of a LabelDoc that were not successful.

        Parameters
        ----------
        doc : LabelDoc
            With its frames; those of successful calculations are taken over.

        Returns
        -------
        Flow
            Its output is the new LabelDoc.

        Raises
        ------
        SettingsError
            When all calculations of the document were successful.
        """
        bad = [task for task in doc.tasks if task.state != "successful"]
        if not bad:
            raise SettingsError(
                f"all calculations of {doc.mof_id} were successful", "there is nothing to retry"
            )
        plan = Plan(doc.mof_id, doc.structure)
        makers = self._pinned(doc.structure)
        if any(task.origin == "relax" for task in bad):
            # what came of a relaxation that failed is not of the relaxed cell
            makers.add_structure(plan)
        else:
            start = _relaxed_structure(doc)
            for task in bad:
                if task.origin == "eos" and task.linear_strain is not None:
                    makers.add_deformation(plan, start, task.linear_strain)
        for task in bad:
            if task.structure is not None:
                makers.add_static(plan, task)
        return plan.flow(self.settings, doc.calculation_id, doc)

    def calculation_id(self, structures: Any) -> str:
        """Identity of the calculation: structures and settings, not how VASP is run.

        Parameters
        ----------
        structures : Structure, UnlabelledFrame or a sequence of them
            Of one MOF.
        """
        items = (
            [structures]
            if isinstance(structures, Structure | UnlabelledFrame)
            else list(structures)
        )
        eos = self.eos_maker
        return content_hash(
            {
                "kind": "labels",
                "structures": [
                    structure_hash(item if isinstance(item, Structure) else item.structure)
                    for item in items
                ],
                "relax": _identity(self.relax_maker),
                "eos": eos and [*eos.strains(), _identity(eos.eos_relax_maker)],
                "static": _identity(self.static_maker),
                "quarantine": self.settings.model_dump(mode="json"),
            }
        )

    def _flow_of_mof(self, mof_id: str, members: list[Structure | UnlabelledFrame]) -> Flow:
        """All calculations of one MOF and their harvest."""
        own = next((item for item in members if isinstance(item, Structure)), None)
        frames = [item for item in members if isinstance(item, UnlabelledFrame)]
        structure = own if own is not None else frames[0].structure
        plan = Plan(mof_id, structure)
        makers = self._pinned(structure)
        if own is not None:
            makers.add_structure(plan)
        for number, frame in enumerate(frames):
            name = f"{frame.origin} {frame.step}"
            if any(task.name == name for task in plan.tasks):
                name = f"{name} ({number})"
            task = LabelTask(
                name=name,
                origin=frame.origin,
                step=frame.step,
                parent=frame.parent,
                structure=frame.structure,
            )
            makers.add_static(plan, task)
        return plan.flow(self.settings, self.calculation_id(members), None)

    def _pinned(self, structure: Structure) -> PinnedMakers:
        """Copy the Makers with the mesh of a structure."""
        eos = self.eos_maker
        if eos is not None:
            if eos.initial_relax_maker is not None or eos.static_maker is not None:
                raise SettingsError(
                    "the eos_maker of a LabelMaker relaxes first, or makes statics after",
                    "set initial_relax_maker and static_maker to None: the relax_maker of the "
                    "LabelMaker relaxes first",
                )
            eos = replace(
                eos,
                eos_relax_maker=with_mesh_of(eos.eos_relax_maker, structure),
                postprocessor=None,  # the harvest fits
            )
        return PinnedMakers(
            with_mesh_of(self.relax_maker, structure),
            eos,
            with_mesh_of(self.static_maker, structure),
        )


def _is_to_come(structures: Any) -> bool:
    """Whether structures, or some of them, are outputs of other jobs."""
    if isinstance(structures, OutputReference):
        return True
    if isinstance(structures, Structure | UnlabelledFrame):
        return False
    return any(isinstance(item, OutputReference) for item in structures)


def _relaxed_structure(doc: LabelDoc) -> Structure:
    """Last structure of the relaxation, or the structure asked for where there was none."""
    relaxed = [frame for frame in doc.frames if frame.origin == "relax"]
    if not relaxed:
        return doc.structure
    return max(relaxed, key=lambda frame: frame.step).structure


def _grouped(
    items: Sequence[Structure | UnlabelledFrame], names: Sequence[str] | None
) -> dict[str, list[Structure | UnlabelledFrame]]:
    """Structures and frames by the MOF that they are of."""
    groups: dict[str, list[Structure | UnlabelledFrame]] = {}
    if names is not None and len(names) != len(items):
        raise SettingsError(
            f"{len(names)} names were given for {len(items)} structures", "give one for each"
        )
    for number, item in enumerate(items):
        if isinstance(item, UnlabelledFrame):
            mof_id = item.mof_id
        else:
            mof_id = names[number] if names is not None else _default_name(item)
        members = groups.setdefault(mof_id, [])
        if isinstance(item, Structure) and any(isinstance(m, Structure) for m in members):
            raise SettingsError(
                f"two structures are called {mof_id}", "give each a name of its own"
            )
        members.append(item)
    return groups


def _default_name(structure: Structure) -> str:
    return f"{structure.composition.reduced_formula}-{structure_hash(structure)[:8]}"


def _identity(maker: Any) -> Any:
    """Take of a VASP Maker what decides the numbers: its input set."""
    if maker is None:
        return None
    generator = maker.input_set_generator
    content = generator.as_dict(verbosity=1)
    ours = ("preset", "spin", "hubbard_u", "reciprocal_density")
    user = ("user_incar_settings", "user_kpoints_settings", "user_potcar_settings")
    return {
        "set": type(generator).__name__,
        **{name: content.get(name) for name in (*ours, *user)},
    }
