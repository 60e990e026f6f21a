"""The calculations of one MOF, and the harvest that makes one LabelDoc of what they give."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, cast

from emmet.core.tasks import TaskDoc
from jobflow import Flow, Job, job
from pymatgen.core import Structure

from mofonon.dft.documents import frames_of_task, judge_task, label_document, task_seconds
from mofonon.dft.eos import WITH_GAPS, MofEosMaker
from mofonon.dft.jobs import FAILURES, MofRelaxMaker, MofStaticMaker
from mofonon.dft.schemas import LabelDoc, LabelFrame, LabelTask, QuarantineSettings
from mofonon.errors import SettingsError


@job(data=["frames"], output_schema=LabelDoc, config=WITH_GAPS)
def harvest_labels(
    mof_id: str,
    structure: Structure,
    tasks: list[LabelTask],
    outputs: list[TaskDoc | None],
    settings: QuarantineSettings,
    calculation_id: str | None = None,
    previous: LabelDoc | None = None,
) -> LabelDoc:
    """Make the LabelDoc of one MOF from what its calculations gave.

    Runs also when some of them failed: their tasks say so, and ``mofonon label --retry``
    repeats them alone.

    Parameters
    ----------
    mof_id : str
        Name of the MOF.
    structure : Structure
        The structure that was asked for.
    tasks : list of LabelTask
        The calculations.
    outputs : list of TaskDoc or None
        What they gave, in the same order; None for those that failed.
    settings : QuarantineSettings
        When frames are kept apart.
    calculation_id : str, optional
        Identity of the calculation.
    previous : LabelDoc, optional
        An earlier document whose successful calculations are taken over.
    """
    ended: dict[str, tuple[LabelTask, list[LabelFrame]]] = {}
    seconds = 0.0
    if previous is not None:
        seconds = previous.seconds
        for task in previous.tasks:  # in the order that they were asked for
            own = [f for f in previous.frames if f.provenance.job_uuid == task.uuid]
            ended[task.name] = (task, own)
    for task, output in zip(tasks, outputs, strict=True):
        failure = FAILURES.get(str(task.uuid))
        judged = judge_task(task, output, failure.reason if failure else None)
        ended[task.name] = frames_of_task(
            judged, output, mof_id, failure.folder if failure else None
        )
        seconds += task_seconds(output)
    return label_document(
        mof_id,
        structure,
        [task for task, _ in ended.values()],
        [frame for _, frames in ended.values() for frame in frames],
        settings=settings,
        calculation_id=calculation_id,
        seconds=seconds,
    )


@dataclass
class Plan:
    """The calculations of one MOF as they are put together."""

    mof_id: str
    structure: Structure
    tasks: list[LabelTask] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    jobs: list[Job | Flow] = field(default_factory=list)

    def add(self, task: LabelTask, made: Any) -> None:
        """Have the frames of a job harvested."""
        made.name = f"{self.mof_id} {task.name}"
        self.tasks.append(task.model_copy(update={"uuid": made.uuid}))
        self.outputs.append(made.output)

    def flow(
        self,
        settings: QuarantineSettings,
        calculation_id: str | None,
        previous: LabelDoc | None,
    ) -> Flow:
        """End with the harvest."""
        harvest = harvest_labels(
            self.mof_id,
            self.structure,
            self.tasks,
            self.outputs,
            settings,
            calculation_id,
            previous,
        )
        harvest.name = f"{self.mof_id} harvest"
        return Flow([*self.jobs, harvest], output=harvest.output, name=f"label {self.mof_id}")


@dataclass
class PinnedMakers:
    """Makers with the k-point mesh of one MOF; they add their jobs to its plan."""

    relax: MofRelaxMaker | None
    eos: MofEosMaker | None
    static: MofStaticMaker

    def add_structure(self, plan: Plan) -> None:
        """Relaxation and deformations; a static calculation where neither is wanted."""
        start: Any = plan.structure
        if self.relax is not None:
            relax = self.relax.make(plan.structure)
            plan.add(LabelTask(name="relax", origin="relax"), relax)
            plan.jobs.append(relax)
            start = relax.output.structure
        if self.eos is not None:
            self._add_eos(plan, start)
        if self.relax is None and self.eos is None:
            task = LabelTask(name="static", origin="static", structure=plan.structure)
            self.add_static(plan, task)

    def _add_eos(self, plan: Plan, start: Any) -> None:
        """Deformations by atomate2's EOS flow."""
        eos = cast("MofEosMaker", self.eos)
        flow = eos.make(start)
        jobs = {
            int(found[1]): made
            for made in flow.jobs
            if (found := re.search(r" deformation (\d+)$", made.name))
        }
        for number, strain in enumerate(eos.strains()):
            plan.add(_eos_task(strain), jobs[number])
        plan.jobs.append(flow)

    def add_deformation(self, plan: Plan, start: Structure, strain: float) -> None:
        """Calculate one deformation of a structure that is known."""
        if self.eos is None:
            raise SettingsError(
                f"{plan.mof_id} has a deformation to retry, but none are asked for",
                "add eos to --what",
            )
        deformed = start.copy()
        deformed.scale_lattice(start.volume * (1 + strain) ** 3)
        made = self.eos.eos_relax_maker.make(deformed)
        plan.add(_eos_task(strain), made)
        plan.jobs.append(made)

    def add_static(self, plan: Plan, task: LabelTask) -> None:
        """Energy, forces and stress of the structure of a task."""
        made = self.static.make(task.structure)
        plan.add(task, made)
        plan.jobs.append(made)


def _eos_task(strain: float) -> LabelTask:
    strain = round(strain, 10)
    return LabelTask(name=f"eos {100 * strain:+.4g} %", origin="eos", linear_strain=strain)
