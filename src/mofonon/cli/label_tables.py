"""Tables of ``mofonon label``: what it will cost, what it gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from mofonon.dft.estimate import CalculationSize
    from mofonon.dft.schemas import LabelDoc


def print_costs(sizes: Sequence[CalculationSize]) -> None:
    """Print sizes and core-hours, a line for each structure, and the sum."""
    table = Table(
        title="cost of the labels: a rule of thumb, right to a factor of three",
        show_footer=True,
    )
    total = sum(size.total_core_hours for size in sizes)
    largest = max((size.memory for size in sizes), default=0.0)
    table.add_column("structure", footer=f"{len(sizes)} in all", overflow="fold")
    table.add_column("atoms", justify="right")
    table.add_column("electrons", justify="right")
    table.add_column("k-points", justify="right")
    table.add_column("bands", justify="right")
    table.add_column("plane waves", justify="right")
    table.add_column("memory (GB)", justify="right", footer=f"\u2264 {largest:.1f}")
    table.add_column("core-h", justify="right", footer=f"{total:,.0f}")
    for size in sizes:
        mesh = "\u0393" if size.gamma_only else "\u00d7".join(map(str, size.mesh))
        spin = " spin" if size.spin else ""
        table.add_row(
            size.name,
            str(size.n_atoms),
            f"{size.n_electrons:.0f}",
            f"{mesh} ({size.n_kpoints}){spin}",
            str(size.n_bands),
            f"{size.n_plane_waves:,}",
            f"{size.memory:.1f}",
            f"{size.total_core_hours:,.1f}",
        )
    Console().print(table)


def label_row(doc: LabelDoc) -> dict[str, str]:
    """One column of the summary table of a run: header with unit to text."""
    eos = doc.eos
    modulus = eos.bulk_modulus if eos is not None else None
    states = [task.state for task in doc.tasks]
    return {
        "formula": doc.composition.formula.replace(" ", "") if doc.composition else "",
        "MOF": doc.mof_id,
        "state": doc.state,
        "calculations": f"{states.count('successful')} of {len(states)} successful",
        "frames to train on": str(doc.n_good),
        "quarantined": ", ".join(
            f"{number} {reason}" for reason, number in doc.quarantine_reasons.items()
        )
        or "0",
        "duplicates": str(doc.n_duplicates),
        "B0 of the deformations (GPa)": "" if modulus is None else f"{modulus:.1f}",
        "VASP": doc.code_version or "",
        "seconds": f"{doc.seconds:.0f}",
    }
