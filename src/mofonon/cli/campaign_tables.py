"""Tables of campaigns in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mofonon.campaign.state import FAILURE, UnitState, counts

if TYPE_CHECKING:
    from jobflow import JobStore

    from mofonon.campaign.plan import StagePlan

_STATES = ("done", "running", "waiting", "failed", "blocked")
_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "blocked": "yellow"}
_MOST_PROBLEMS = 30

#: Key figures of each kind of document with their headers.
_FIGURES: dict[str, tuple[tuple[str, str], ...]] = {
    "stabilize": (("state", ""), ("min_frequency", "THz")),
    "phonons": (("min_frequency", "THz"),),
    "bulk-modulus": (("bulk_modulus", "GPa"),),
    "qha": (("cte_linear_300K", "1e-6/K"),),
}


def print_states(states: Sequence[UnitState], *, all_units: bool) -> None:
    """Print the number of units in each state by stage, then those with a problem."""
    console = Console()
    table = Table(title="campaign")
    table.add_column("stage")
    for name in _STATES:
        table.add_column(name, justify="right", style=_COLOURS.get(name))
    for stage, found in counts(states).items():
        table.add_row(stage, *(str(found[name] or "") for name in _STATES))
    console.print(table)
    problems = [s for s in states if s.state in ("failed", "blocked") or _lacks(s)]
    shown = list(states) if all_units else problems
    shown.sort(key=lambda state: state.state != "failed")
    for state in shown if all_units else shown[:_MOST_PROBLEMS]:
        row = state.row
        label = " ".join(part for part in (row.structure, row.stage, row.potential) if part)
        colour = _COLOURS.get(state.state, "default")
        lacks = " but incomplete" if _lacks(state) else ""
        console.print(f"[{colour}]{state.state}{lacks}[/] {label}", highlight=False)
        if state.why:
            console.print(f"    {state.why}", markup=False, highlight=False)
        if state.remedy:
            console.print(f"    remedy: {state.remedy}", markup=False, highlight=False)
    if not all_units and len(shown) > _MOST_PROBLEMS:
        console.print(f"and {len(shown) - _MOST_PROBLEMS} more: --all shows them")


def _print_assumptions(console: Console, plans: Sequence[StagePlan]) -> None:
    """Say what the hours rest on, as far as there are any."""
    if any(plan.runs_vasp for plan in plans):
        console.print(
            "labels by VASP: operations of electronic steps, right to a factor of three "
            "(docs/labels.md); label: {cost: ...} or hours_each: takes what you measured",
            highlight=False,
            markup=False,
        )
    if any(plan.gpu_hours for plan in plans):
        console.print(
            "on a GPU 0.2 ms an atom is assumed, not measured: seconds_per_atom of a potential",
            highlight=False,
        )
    unknown = sum(plan.n_unknown for plan in plans)
    if unknown:
        console.print(f"without estimate, and not in the sums: {unknown} units", style="yellow")


def _lacks(state: UnitState) -> bool:
    """Whether a unit is done, and calculations of its labels are missing."""
    return state.state == "done" and bool(state.why)


def print_results(states: Sequence[UnitState], store: JobStore) -> None:
    """Print the key figures of what is done: one row a structure and potential."""
    from mofonon.campaign.report import one_notice

    wanted = {s.row.document_id: s for s in states if s.state == "done"}
    stages = [s for s in dict.fromkeys(s.row.stage for s in states) if s in _FIGURES]
    if not wanted or not stages:
        return
    fields = sorted({field for stage in stages for field, _ in _FIGURES[stage]})
    found: dict[str, dict[str, Any]] = {}
    criteria = {"uuid": {"$in": list(wanted)}, "output.@class": {"$ne": FAILURE}}
    for entry in store.docs_store.query(
        criteria, ["uuid", *(f"output.{field}" for field in (*fields, "notice"))]
    ):
        if isinstance(entry.get("output"), dict):
            found.setdefault(entry["uuid"], {}).update(entry["output"])
    table = Table(title="results")
    table.add_column("structure")
    table.add_column("potential")
    columns = [(stage, *figure) for stage in stages for figure in _FIGURES[stage]]
    for stage, field, unit in columns:
        header = f"{stage}\n{field.replace('_', ' ')}" + (f" ({unit})" if unit else "")
        table.add_column(header, justify="right")
    rows: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for document_id, state in wanted.items():
        key = (state.row.structure, state.row.potential)
        if state.row.stage in _FIGURES:
            rows.setdefault(key, {})[state.row.stage] = found.get(document_id, {})
    for (structure, potential), values in rows.items():
        cells = [_shown(values.get(stage, {}).get(field)) for stage, field, _ in columns]
        table.add_row(structure, potential, *cells)
    console = Console()
    console.print(table)
    if notice := one_notice(output.get("notice") for output in found.values()):
        console.print(notice, style="yellow", markup=False, highlight=False)


def print_plan(plans: Sequence[StagePlan]) -> None:
    """Print what a campaign will do and cost."""
    table = Table(title="plan: estimates, but counts of displacements are exact")
    table.add_column("stage")
    headers = ("units", "jobs", "evaluations", "core h", "GPU h", "GB", "longest h")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for plan in plans:
        numbers = (plan.n_units, plan.n_jobs, plan.n_evaluations)
        table.add_row(
            f"{plan.stage} {plan.potential}",
            *("later" if plan.awaits_selection else str(number) for number in numbers),
            f"{plan.core_hours:.2f}" if plan.core_hours else "",
            f"{plan.gpu_hours:.2f}" if plan.gpu_hours else "",
            f"{plan.memory:.1f}" if plan.memory else "",
            f"{plan.longest:.2f}" if plan.longest else "",
        )
    console = Console()
    console.print(table)
    for plan in plans:
        if plan.after:
            console.print(f"{plan.stage} after {', '.join(plan.after)}", highlight=False)
    _print_assumptions(console, plans)
    total, gpu = sum(p.core_hours for p in plans), sum(p.gpu_hours for p in plans)
    console.print(f"in all {total:.2f} core-hours and {gpu:.2f} GPU-hours", highlight=False)
    later = [plan.stage for plan in plans if plan.awaits_selection]
    if later:
        console.print(
            f"{', '.join(dict.fromkeys(later))}: of the structures that select chooses; plan "
            "again when it has",
            style="yellow",
            highlight=False,
        )
    impossible = sum(plan.n_impossible for plan in plans)
    if impossible:
        console.print(f"{impossible} units cannot be made: mofonon campaign check", style="red")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
