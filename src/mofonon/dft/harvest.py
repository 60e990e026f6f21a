"""Frames out of VASP's files: every ionic step, also of runs that custodian restarted.

Pure functions; a TaskDoc or a folder goes in, frames come out.
"""

from __future__ import annotations

import io
import re
import tarfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.io import zopen
from monty.os.path import zpath

from mofonon.dft.schemas import LabelFrame, LabelProvenance, Origin, ase_stress

if TYPE_CHECKING:
    from emmet.core.tasks import TaskDoc
    from pymatgen.io.vasp import Vasprun

#: What the version of a stand-in for VASP has in it.
STANDIN_MARK = "standin"

STANDIN_NOTICE = (
    "labels by a VASP stand-in (a machine-learned potential in VASP's file formats), not DFT"
)


def standin_notice(version: str | None) -> str | None:
    """Say so when the version of VASP is that of a stand-in."""
    return STANDIN_NOTICE if version and STANDIN_MARK in version else None


def step_energy(step: dict[str, Any]) -> tuple[float, float]:
    """Energies of an ionic step of vasprun.xml.

    The block after the electronic steps has dispersion in e_fr_energy, but another quantity in
    e_0_energy; the electronic steps have the right difference of the two, but no dispersion.
    ASE's reader does the same.

    Parameters
    ----------
    step : dict
        As pymatgen's Vasprun.ionic_steps or emmet's IonicStep has it.

    Returns
    -------
    energy, free_energy : float
        Extrapolated to zero smearing, and the free energy that the forces belong to (eV).
    """
    free_energy = float(step["e_fr_energy"])
    electronic = step.get("electronic_steps") or []
    if not electronic:
        return float(step["e_0_energy"]), free_energy
    last = electronic[-1]
    return free_energy + float(last["e_0_energy"]) - float(last["e_fr_energy"]), free_energy


def frames_from_steps(
    steps: Iterable[dict[str, Any]],
    *,
    n_electronic_max: int,
    provenance: LabelProvenance,
    first_step: int = 0,
) -> list[LabelFrame]:
    """Make frames of ionic steps; those that are not whole are left out.

    Parameters
    ----------
    steps : iterable of dict
        ``structure``, ``forces`` (eV/A), ``stress`` (kbar, VASP's sign), energies and
        ``electronic_steps``, as in pymatgen's Vasprun.ionic_steps.
    n_electronic_max : int
        NELM: a step that took so many has not converged.
    provenance : LabelProvenance
        Of all of them.
    first_step : int
        Number of the first step.
    """
    frames = []
    for number, step in enumerate(steps, start=first_step):
        if step.get("structure") is None or step.get("forces") is None:
            continue
        if step.get("e_fr_energy") is None:
            continue
        energy, free_energy = step_energy(step)
        n_electronic = len(step.get("electronic_steps") or [])
        stress = step.get("stress")
        frames.append(
            LabelFrame.from_arrays(
                step["structure"],
                energy,
                step["forces"],
                None if stress is None else ase_stress(np.asarray(stress, float)),
                mof_id="",
                origin="static",
                step=number,
                free_energy=free_energy,
                provenance=provenance.model_copy(),
                electronic_converged=0 < n_electronic < n_electronic_max,
                n_electronic_steps=n_electronic,
                notice=standin_notice(provenance.version),
            )
        )
    return frames


def frames_from_vasprun(
    vasprun: Vasprun, *, segment: int = 0, first_step: int = 0, directory: str | None = None
) -> list[LabelFrame]:
    """Make frames of a vasprun.xml, whole or truncated.

    Parameters
    ----------
    vasprun : Vasprun
        As parsed by pymatgen.
    segment : int
        Which run of VASP it is, from 0.
    first_step : int
        Number of its first ionic step.
    directory : str, optional
        Where it ran.
    """
    provenance = LabelProvenance(
        version=str(vasprun.vasp_version).strip(),
        potcar_titles=list(vasprun.potcar_symbols),
        incar=_plain(dict(vasprun.incar)),
        kpoints=[int(n) for n in vasprun.kpoints.kpts[0]],
        segment=segment,
        directory=directory,
    )
    return frames_from_steps(
        vasprun.ionic_steps,
        n_electronic_max=int(vasprun.parameters.get("NELM", 60)),
        provenance=provenance,
        first_step=first_step,
    )


def read_vasprun(path: Path | str) -> Vasprun | None:
    """Parse a vasprun.xml, as far as it goes; None when nothing of it can be used."""
    from pymatgen.io.vasp import Vasprun

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Vasprun(
                path,
                parse_dos=False,
                parse_eigen=False,
                parse_potcar_file=False,
                exception_on_bad_xml=False,
            )
    except Exception:  # noqa: BLE001 - lxml and pymatgen raise whatever a broken file leads to
        return None


def earlier_segments(folder: Path) -> Iterator[Vasprun]:
    """Parse the runs that custodian restarted, oldest first: error.N.tar.gz in the folder."""
    archives = sorted(
        folder.glob("error.*.tar.gz"), key=lambda path: int(path.name.split(".")[1])
    )
    for archive in archives:
        text = _member(archive, r"(^|/)vasprun\.xml(\.gz)?$")
        if text is None:
            continue
        target = folder / f".{archive.name}.vasprun.xml"
        try:
            target.write_bytes(text)
            vasprun = read_vasprun(target)
        finally:
            target.unlink(missing_ok=True)
        if vasprun is not None:
            yield vasprun


def frames_from_folder(folder: Path, directory: str | None = None) -> list[LabelFrame]:
    """Make frames of all runs in a folder: those before a restart, then the last.

    Parameters
    ----------
    folder : Path
        Working folder of a VASP job, zipped or not.
    directory : str, optional
        What to call it; its own path by default.
    """
    runs = list(earlier_segments(folder))
    last = Path(zpath(str(folder / "vasprun.xml")))
    if last.is_file() and (vasprun := read_vasprun(last)) is not None:
        runs.append(vasprun)
    hashes = potcar_hashes(folder)
    frames: list[LabelFrame] = []
    for segment, vasprun in enumerate(runs):
        frames += frames_from_vasprun(
            vasprun,
            segment=segment,
            first_step=len(frames),
            directory=directory or str(folder),
        )
    for frame in frames:
        frame.provenance.potcar_hashes = hashes
    return frames


def potcar_hashes(folder: Path) -> list[str]:
    """Hash the POTCARs of a folder as emmet does, one for each element; empty without them."""
    from emmet.core.vasp.calculation import PotcarSpec
    from pymatgen.io.vasp import PotcarSingle

    path = Path(zpath(str(folder / "POTCAR")))
    if not path.is_file():
        return []
    with zopen(str(path), "rt") as file:
        content = str(file.read())
    blocks = [block for block in re.split(r"(?<=End of Dataset)", content) if block.strip()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        specs = [
            PotcarSpec.from_potcar_single(PotcarSingle(f"{block.strip()}\n"))
            for block in blocks
        ]
    return [str(spec.hash) for spec in specs]


def frames_from_task(
    task: TaskDoc, *, mof_id: str, origin: Origin, **fields: Any
) -> list[LabelFrame]:
    """Take the frames of a TaskDoc.

    TaskDocs of our Makers bring theirs, also of runs before a restart. Of any other TaskDoc of
    atomate2, the ionic steps of its last run are taken, and those of earlier ones where its
    folder can be reached.

    Parameters
    ----------
    task : TaskDoc
        The document.
    mof_id : str
        Name of the MOF.
    origin : str
        How the structures came about.
    **fields
        Other fields of the frames (``linear_strain``, ``parent``); ``step`` where the task is
        a static calculation of one step of a trajectory; ``job_uuid``.
    """
    brought = getattr(task, "label_frames", None)
    frames = (
        [LabelFrame.model_validate(_as_dict(frame)) for frame in brought]
        if brought is not None
        else _frames_of_plain_task(task)
    )
    job_uuid = fields.pop("job_uuid", None)
    run_type = getattr(task.run_type, "value", task.run_type)
    ionic = _relaxation_converged(task)
    return [
        frame.model_copy(
            update={
                "mof_id": mof_id,
                "origin": origin,
                "ionic_converged": ionic,
                **fields,
                "provenance": frame.provenance.model_copy(
                    update={"job_uuid": job_uuid, "run_type": run_type}
                ),
            }
        )
        for frame in frames
    ]


def _frames_of_plain_task(task: TaskDoc) -> list[LabelFrame]:
    folder = Path(str(task.dir_name).partition(":")[2] or str(task.dir_name))
    if folder.is_dir():
        frames = frames_from_folder(folder, str(task.dir_name))
        if frames:
            return frames
    calculation = next(iter(task.calcs_reversed or []), None)
    if calculation is None or not calculation.output or not calculation.output.ionic_steps:
        return []
    given = calculation.input
    specs = given.potcar_spec or [] if given else []
    provenance = LabelProvenance(
        version=calculation.vasp_version,
        potcar_titles=[str(spec.titel) for spec in specs],
        potcar_hashes=[str(spec.hash) for spec in specs],
        incar=_plain(given.incar or {}) if given else {},
        directory=str(task.dir_name),
    )
    parameters = (given.parameters or {}) if given else {}
    return frames_from_steps(
        [dict(step) for step in calculation.output.ionic_steps],
        n_electronic_max=int(parameters.get("NELM", 60)),
        provenance=provenance,
    )


def _relaxation_converged(task: TaskDoc) -> bool | None:
    """Whether a relaxation ended at its force threshold; None for a static calculation."""
    calculation = next(iter(task.calcs_reversed or []), None)
    if calculation is None or calculation.input is None:
        return None
    if int((calculation.input.incar or {}).get("NSW", 0)) < 1:
        return None
    reached = getattr(task, "reached_accuracy", None)
    if reached is not None:
        return bool(reached)
    return getattr(task.state, "value", task.state) == "successful"


def _member(archive: Path, pattern: str) -> bytes | None:
    """Content of the first file in a tar archive whose name fits."""
    try:
        with tarfile.open(archive) as content:
            for member in content.getmembers():
                if re.search(pattern, member.name):
                    file = content.extractfile(member)
                    data = file.read() if file else b""
                    return _gunzip(data) if member.name.endswith(".gz") else data
    except (tarfile.TarError, OSError, EOFError):
        return None
    return None


def _gunzip(data: bytes) -> bytes:
    import gzip

    return gzip.GzipFile(fileobj=io.BytesIO(data)).read()


def _as_dict(frame: Any) -> Any:
    return frame.model_dump() if isinstance(frame, LabelFrame) else frame


def _plain(incar: dict[str, Any]) -> dict[str, Any]:
    """INCAR as plain JSON."""
    from monty.json import jsanitize

    return {str(key): jsanitize(value) for key, value in incar.items()}
