"""What a campaign will do and cost, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mofonon.campaign.units import Unit
from mofonon.errors import MofononError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class StagePlan:
    """What a stage will do.

    Attributes
    ----------
    stage, potential : str
        Names.
    n_units : int
        Structures.
    n_impossible : int
        Structures of them for which it cannot be done.
    n_jobs : int
        Jobs.
    n_evaluations : int
        Estimated force evaluations.
    core_hours, gpu_hours : float
        Estimated (h).
    memory : float
        Largest estimated memory of a job (GB).
    longest : float
        Longest estimated job (h).
    runs_vasp : bool
        Whether the core-hours are VASP's.
    n_unknown : int
        Structures whose cost cannot be estimated, and is not in the sums.
    after : list of str
        Stages whose documents it takes.
    awaits_selection : bool
        Whether its jobs are those of structures that are yet to be chosen.
    """

    stage: str
    potential: str
    n_units: int = 0
    n_impossible: int = 0
    n_jobs: int = 0
    n_evaluations: int = 0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    memory: float = 0.0
    longest: float = 0.0
    runs_vasp: bool = False
    n_unknown: int = 0
    after: list[str] | None = None
    awaits_selection: bool = False

    def plain(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return asdict(self)


def plan_campaign(units: Sequence[Unit]) -> list[StagePlan]:
    """Add up the estimates of the units by stage and potential."""
    plans: dict[tuple[str, str], StagePlan] = {}
    owner: dict[str, str] = {}
    for unit in units:
        key = (unit.stage, unit.potential)
        plan = plans.setdefault(key, StagePlan(*key, after=[]))
        plan.n_units += 1
        plan.n_impossible += unit.error is not None
        plan.n_jobs += len(unit.jobs)
        plan.awaits_selection |= bool(unit.awaits)
        plan.longest = max([plan.longest, *(e.seconds / 3600 for e in unit.estimates.values())])
        plan.runs_vasp |= unit.runs_vasp
        _add_cost(plan, unit)
        inputs = {each for job in unit.jobs for each in job.input_uuids} | {unit.awaits}
        needed = {owner[each] for each in inputs if each in owner}
        if unit.stage in ("sample", "label") and ("select", "") in plans:
            needed.add("select")  # their structures are in its document
        plan.after = sorted({*(plan.after or []), *(needed - {unit.stage})})
        for each in unit.job_ids:
            owner.setdefault(each, unit.stage)
    return list(plans.values())


def _add_cost(plan: StagePlan, unit: Unit) -> None:
    """Add the cost of a unit: measured, where the campaign says, else estimated."""
    try:
        parts = list(unit.whole_cost() if unit.whole_cost else unit.estimates.values())
    except MofononError:  # an element without a POTCAR, of which the warnings of plan tell
        parts, plan.n_unknown = [], plan.n_unknown + 1
    plan.n_evaluations += sum(part.evaluations for part in parts)
    plan.memory = max([plan.memory, *(part.memory for part in parts)])
    on_gpu = sum(part.seconds for part in parts if part.on_gpu) / 3600
    on_cores = sum(part.seconds for part in parts if not part.on_gpu) / 3600
    if unit.hours_each is not None:
        measured = unit.hours_each
        on_gpu, on_cores = (measured, 0.0) if on_gpu > on_cores else (0.0, measured)
    plan.gpu_hours += on_gpu
    plan.core_hours += on_cores


def draw_plan(plans: Sequence[StagePlan]) -> Figure:
    """Draw the stages and what they take from each other, one column a step.

    Returns
    -------
    Figure
        Not registered with pyplot.
    """
    from matplotlib.figure import Figure

    columns: dict[str, int] = {}
    for plan in plans:
        before = [columns[name] for name in plan.after or [] if name in columns]
        columns[plan.stage] = max([columns.get(plan.stage, 0), *(c + 1 for c in before)])
    rows: dict[int, int] = {}
    places: dict[tuple[str, str], tuple[float, float]] = {}
    for plan in plans:
        column = columns[plan.stage]
        places[plan.stage, plan.potential] = (column, -rows.setdefault(column, 0))
        rows[column] += 1
    figure = Figure(
        figsize=(3.2 * (max(columns.values()) + 1), 1.1 * max(rows.values()) + 0.6),
        layout="constrained",
    )
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.5, max(columns.values()) + 0.5)
    axes.set_ylim(-max(rows.values()) + 0.4, 0.6)
    for plan in plans:
        end = places[plan.stage, plan.potential]
        for (stage, _), start in places.items():
            if stage in (plan.after or []):
                arrow = {"arrowstyle": "-|>", "color": "#8a94a3", "shrinkA": 45, "shrinkB": 45}
                axes.annotate("", xy=end, xytext=start, arrowprops=arrow)
        numbers = f"{plan.n_units} units, {plan.n_jobs} jobs\n{plan.n_evaluations} evaluations"
        axes.text(
            *end,
            f"{plan.stage} {plan.potential}\n"
            + ("of the structures chosen" if plan.awaits_selection else numbers),
            ha="center",
            va="center",
            fontsize=9,
            bbox={"boxstyle": "round,pad=0.5", "facecolor": "#eef3fa", "edgecolor": "#3b6ea5"},
        )
    return figure
