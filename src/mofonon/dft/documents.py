"""Documents of labelled frames made from TaskDocs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Structure

from mofonon.dft.harvest import frames_from_folder, frames_from_task
from mofonon.dft.quarantine import quarantined, reason_counts, without_duplicates
from mofonon.dft.schemas import (
    EosLabels,
    LabelDoc,
    LabelFrame,
    LabelTask,
    QuarantineSettings,
)
from mofonon.equation_of_state import fit_equation_of_state
from mofonon.errors import EquationOfStateError
from mofonon.provenance import software_versions
from mofonon.structures import structure_hash

if TYPE_CHECKING:
    from emmet.core.tasks import TaskDoc

NO_OUTPUT = "no output: the job failed or was not run; its log has the reason"


def judge_task(task: LabelTask, output: TaskDoc | None, reason: str | None) -> LabelTask:
    """Say how a calculation ended.

    Parameters
    ----------
    task : LabelTask
        As it was asked for.
    output : TaskDoc or None
        What it gave.
    reason : str or None
        Why it gave nothing, where that is known.
    """
    if output is None:
        return task.model_copy(update={"state": "failed", "reason": reason or NO_OUTPUT})
    if getattr(output.state, "value", output.state) != "successful":
        return task.model_copy(
            update={
                "state": "unconverged",
                "reason": "electronic or ionic steps ran out: NELM or NSW was reached",
            }
        )
    return task.model_copy(update={"state": "successful", "reason": "", "structure": None})


def frames_of_task(
    task: LabelTask, output: TaskDoc | None, mof_id: str, folder: Path | None = None
) -> tuple[LabelTask, list[LabelFrame]]:
    """Take the frames of a calculation, and count them.

    Parameters
    ----------
    task : LabelTask
        The calculation.
    output : TaskDoc or None
        What it gave.
    mof_id : str
        Name of the MOF.
    folder : Path, optional
        Where a calculation without output ran, if that is known: the steps before its failure
        are labels too.
    """
    fields: dict[str, Any] = {"linear_strain": task.linear_strain, "parent": task.parent}
    if output is not None:
        frames = frames_from_task(
            output, mof_id=mof_id, origin=task.origin, job_uuid=task.uuid, **fields
        )
    else:
        found = frames_from_folder(folder) if folder is not None else []
        fields |= {"mof_id": mof_id, "origin": task.origin}
        for frame in found:
            frame.provenance.job_uuid = task.uuid
        frames = [frame.model_copy(update=fields) for frame in found]
    if task.origin not in ("eos", "relax"):
        frames = [frame.model_copy(update={"step": task.step}) for frame in frames]
    return task.model_copy(update={"n_frames": len(frames)}), frames


def eos_of_frames(frames: Sequence[LabelFrame]) -> EosLabels | None:
    """Fit Birch-Murnaghan to the last good frame at each strain; None without strains.

    Parameters
    ----------
    frames : sequence of LabelFrame
        Of one MOF.
    """
    last: dict[float, LabelFrame] = {}
    for frame in frames:
        if frame.origin == "eos" and frame.linear_strain is not None and frame.good:
            last[frame.linear_strain] = frame
    if not last:
        return None
    chosen = [last[strain] for strain in sorted(last)]
    volumes = [float(abs(np.linalg.det(np.array(frame.lattice)))) for frame in chosen]
    return fit_eos_labels(
        sorted(last), volumes, [frame.energy for frame in chosen], chosen[0].n_atoms
    )


def fit_eos_labels(
    strains: Sequence[float],
    volumes: Sequence[float],
    energies: Sequence[float],
    n_atoms: int,
) -> EosLabels:
    """Fit Birch-Murnaghan to energies over volumes; a fit that fails says why.

    Parameters
    ----------
    strains : sequence of float
        Linear strains.
    volumes, energies : sequence of float
        Of the cell (A^3, eV).
    n_atoms : int
        Atoms in the cell.
    """
    data: dict[str, Any] = {
        "volumes": list(volumes),
        "energies": list(energies),
        "linear_strains": list(strains),
    }
    try:
        fit = fit_equation_of_state(volumes, energies)
    except EquationOfStateError as error:
        return EosLabels(state="failed", reason=error.message, **data)
    return EosLabels(
        state="successful",
        bulk_modulus=fit.b0,
        bulk_modulus_derivative=fit.b0_prime,
        equilibrium_volume=fit.v0,
        equilibrium_energy=fit.e0,
        residual=fit.residual / n_atoms,
        **data,
    )


def label_document(
    mof_id: str,
    structure: Structure,
    tasks: Sequence[LabelTask],
    frames: Sequence[LabelFrame],
    *,
    settings: QuarantineSettings,
    calculation_id: str | None = None,
    seconds: float = 0.0,
) -> LabelDoc:
    """Make the document of the frames of one MOF.

    Parameters
    ----------
    mof_id : str
        Name of the MOF.
    structure : Structure
        The structure that was asked for.
    tasks : sequence of LabelTask
        The calculations and how they ended.
    frames : sequence of LabelFrame
        What they gave, with duplicates, not yet judged.
    settings : QuarantineSettings
        When frames are kept apart.
    calculation_id : str, optional
        Identity of the calculation.
    seconds : float
        Wall time of the calculations (s).
    """
    unique = without_duplicates(frames, settings.duplicate_distance)
    judged = quarantined(unique, settings)
    good = [frame for frame in judged if frame.good]
    bad = [task for task in tasks if task.state != "successful"]
    notices = sorted({frame.notice for frame in judged if frame.notice})
    versions = sorted({str(frame.provenance.version) for frame in judged})
    eos = eos_of_frames(judged)
    warnings = [*notices, *(f"{task.name}: {task.state}, {task.reason}" for task in bad)]
    if len(versions) > 1:
        warnings.append(f"labels of several versions of VASP: {', '.join(versions)}")
    if eos is not None and eos.state == "failed":
        warnings.append(f"no equation of state: {eos.reason}")
    return LabelDoc.from_structure(
        structure,
        state="failed" if not good else "incomplete" if bad else "successful",
        structure=structure,
        mof_id=mof_id,
        input_hash=structure_hash(structure),
        calculation_id=calculation_id,
        tasks=list(tasks),
        n_frames=len(judged),
        n_good=len(good),
        n_quarantined=len(judged) - len(good),
        n_duplicates=len(frames) - len(unique),
        quarantine_reasons=reason_counts(judged),
        frames=judged,
        eos=eos,
        code_version=", ".join(versions) or None,
        notice="; ".join(notices) or None,
        warnings=warnings,
        settings=settings,
        seconds=seconds,
        software=software_versions(),
    )


def task_seconds(output: TaskDoc | None) -> float:
    """Wall time that VASP says it took, over all its runs (s)."""
    if output is None or not output.run_stats:
        return 0.0
    return float(sum(stats.elapsed_time or 0.0 for stats in output.run_stats.values()))
