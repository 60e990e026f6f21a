"""VASP jobs: atomate2's, with the input sets of MOFs, frames and restarts.

:class:`MofStaticMaker` and :class:`MofRelaxMaker` are atomate2 VASP Makers: they compose with
all that takes one, and their output is emmet's TaskDoc. To it they add ``label_frames``: every
ionic step, also of the runs before custodian or the wall time restarted VASP.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atomate2.vasp.jobs import base
from emmet.core.tasks import TaskDoc
from jobflow import CURRENT_JOB, Response, job
from monty.io import zopen
from monty.json import jsanitize
from monty.os.path import zpath
from monty.serialization import dumpfn, loadfn
from pymatgen.core import Structure
from pymatgen.io.vasp import Kpoints

from mofonon import progress
from mofonon.dft.harvest import frames_from_folder, standin_notice
from mofonon.dft.schemas import LabelFrame
from mofonon.dft.sets import MofRelaxSetGenerator, MofStaticSetGenerator, gamma_mesh
from mofonon.dft.setup import is_standin
from mofonon.errors import DftSetupError, VaspRunError

#: Where a run leaves its frames for the run that goes on from it.
FRAMES_FILE = "label_frames.json.gz"

#: Key of the frames in the output; goes to the data store.
FRAMES_KEY = "label_frames"

#: atomate2's function, without the job around it.
_ATOMATE2_MAKE: Any = vars(base.BaseVaspMaker.make)["original"]


@dataclass(frozen=True)
class Failure:
    """Why a job failed, and the folder with what it did before.

    Attributes
    ----------
    reason : str
        What was raised.
    folder : Path
        Where VASP ran.
    """

    reason: str
    folder: Path


#: Failures of jobs of this process, by uuid: jobflow keeps none in its store.
FAILURES: dict[str, Failure] = {}

#: Runs in a row that may end by the wall time.
MOST_RESTARTS = 20


@dataclass
class _MofVaspMaker(base.BaseVaspMaker):
    """What static and relax Makers have in common.

    Parameters
    ----------
    name : str
        The job name.
    input_set_generator : VaspInputSet
        The input set.
    wall_time : int or None
        Seconds that the batch job has. Custodian then stops VASP after the ionic step that is
        running when less than five minutes, or three steps, are left, and a job that goes on
        from CONTCAR and WAVECAR takes the place of this one. None: the end of the SLURM job,
        where it is in the environment, else no limit.
    restart : int
        How many runs this one goes on from; set by the Maker itself.
    continued : str or None
        Folder of the run that this one goes on from, whose frames are taken along; set by the
        Maker itself.
    standin : bool
        Whether the VASP that it is made for is a stand-in, as that of the settings is. Part of
        what identifies the job in a campaign: labels of a stand-in are never taken for DFT.

    The other parameters are those of atomate2's BaseVaspMaker.
    """

    run_vasp_kwargs: dict[str, Any] = field(
        # monitors look every five minutes, as by default, but the end is seen within a second
        default_factory=lambda: {
            "custodian_kwargs": {"polling_time_step": 1, "monitor_freq": 300}
        }
    )
    wall_time: int | None = None
    restart: int = 0
    continued: str | None = None
    standin: bool = field(default_factory=is_standin)
    copy_vasp_kwargs: dict[str, Any] = field(
        default_factory=lambda: {"additional_vasp_files": ("WAVECAR",)}
    )
    task_document_kwargs: dict[str, Any] = field(
        # steps go to the data store: 100 steps of 200 atoms are more than MongoDB takes
        default_factory=lambda: {"store_trajectory": "full"}
    )
    stop_children_kwargs: dict[str, Any] = field(
        # what did converge is a label; the harvest judges each frame
        default_factory=lambda: {"handle_unsuccessful": False}
    )

    @job(data=[*base._DATA_OBJECTS, FRAMES_KEY], output_schema=TaskDoc)  # noqa: SLF001
    def make(self, structure: Structure, prev_dir: str | Path | None = None) -> Response:
        """Run VASP.

        Parameters
        ----------
        structure : Structure
            The structure.
        prev_dir : str or Path, optional
            Folder of an earlier calculation, whose WAVECAR is used.

        Returns
        -------
        Response
            A TaskDoc with ``label_frames``; after a stop by the wall time, a job that goes on.

        Raises
        ------
        DftSetupError
            When VASP is a stand-in here, and was not where the job was made.
        VaspRunError
            When VASP gave no result that custodian accepts.
        """
        if is_standin() and not self.standin:
            raise DftSetupError(
                "the job is for VASP, and ATOMATE2_VASP_CMD of this machine is a stand-in",
                "set it to VASP here; or to the stand-in where the job is made, so that its "
                "labels are known as such",
            )
        title = CURRENT_JOB.job.name if CURRENT_JOB.job is not None else self.name
        progress.report(title, 0, 1)
        limited = self._with_wall_time()
        try:
            response = _ATOMATE2_MAKE(limited, structure, prev_dir)
        except Exception as error:
            failure = VaspRunError(
                f"VASP failed in {Path.cwd()}: {type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else 'no message'}{_said()}",
                "look at vasp.out, custodian.json and error.*.tar.gz there",
            )
            if CURRENT_JOB.job is not None:
                FAILURES[CURRENT_JOB.job.uuid] = Failure(failure.message, Path.cwd())
            raise failure from error
        progress.report(title, 1, 1)
        return self._with_frames(response)

    def _with_wall_time(self) -> _MofVaspMaker:
        """Give custodian the seconds that are left."""
        seconds = self.wall_time
        if seconds is None:
            seconds = slurm_seconds_left()
            # they count from now, not from when the first job of the batch job began
            os.environ.pop("CUSTODIAN_WALLTIME_START", None)
        if seconds is None:
            return self
        return replace(self, run_vasp_kwargs={**self.run_vasp_kwargs, "wall_time": seconds})

    def _with_frames(self, response: Response) -> Response:
        """Add frames and notices to the TaskDoc; go on if the wall time stopped VASP."""
        task: Any = response.output
        here = Path.cwd()
        frames = _frames_before(self.continued)
        taken = len(frames)
        segments = 1 + max((frame.provenance.segment for frame in frames), default=-1)
        for frame in frames_from_folder(here, str(task.dir_name)):
            frame.step += taken
            frame.provenance.segment += segments
            frames.append(frame)
        dumpfn(jsanitize(frames, strict=True, enum_values=True), here / FRAMES_FILE)
        task.label_frames = frames
        task.reached_accuracy = _reached_accuracy(here)
        if notice := standin_notice(task.vasp_version):
            task.notice = notice
            task.tags = [*(task.tags or []), notice]
        if not self._stopped_by_wall_time(task):
            return response
        if self.restart >= MOST_RESTARTS:
            raise VaspRunError(
                f"{self.name} was stopped by its wall time {MOST_RESTARTS} times in a row",
                "give it more time or more cores",
            )
        following = replace(self, restart=self.restart + 1, continued=str(here))
        return Response(output=task, replace=following.make(task.structure, prev_dir=str(here)))

    def _stopped_by_wall_time(self, task: TaskDoc) -> bool:
        """Whether custodian's handler of the wall time stopped a relaxation on its way."""
        errors = {
            error
            for entry in task.custodian or []
            for correction in entry.corrections or []
            for error in _field(correction, "errors") or []
        }
        return "Walltime reached" in errors and not getattr(task, "reached_accuracy", False)


@dataclass
class MofStaticMaker(_MofVaspMaker):
    """Energy, forces and stress of a structure as it is, at PBE-D3(BJ).

    Parameters
    ----------
    name : str
        The job name.
    input_set_generator : VaspInputSet
        The input set; ``MofStaticSetGenerator(preset="phonon")`` is tighter.
    wall_time : int or None
        Seconds that the batch job has.

    Examples
    --------
    >>> from mofonon.dft import MofStaticMaker
    >>> MofStaticMaker().input_set_generator.preset
    'labels'
    """

    name: str = "MOF static"
    input_set_generator: Any = field(default_factory=MofStaticSetGenerator)

    def _stopped_by_wall_time(self, task: TaskDoc) -> bool:
        """Without effect: a static calculation ends with the one step that it has."""
        del task
        return False


@dataclass
class MofRelaxMaker(_MofVaspMaker):
    """Relax cell and positions at PBE-D3(BJ).

    Parameters
    ----------
    name : str
        The job name.
    input_set_generator : VaspInputSet
        The input set; ``user_incar_settings={"ISIF": 2}`` keeps the cell.
    wall_time : int or None
        Seconds that the batch job has; a relaxation goes on in a job of its own when they end.
    """

    name: str = "MOF relax"
    input_set_generator: Any = field(default_factory=MofRelaxSetGenerator)


def with_mesh(maker: Any, kpoints: Kpoints) -> Any:
    """Copy a VASP Maker with a fixed k-point mesh.

    A mesh by density changes with the volume, and the energy jumps with it: all calculations
    of one MOF should share one.
    """
    generator = replace(
        maker.input_set_generator, user_kpoints_settings=kpoints, structure=None
    )
    return replace(maker, input_set_generator=generator)


def with_mesh_of(maker: Any, structure: Any) -> Any:
    """Copy a Maker with the mesh of a structure; as it is for a reference to one."""
    if maker is None or not isinstance(structure, Structure):
        return maker
    if maker.input_set_generator.user_kpoints_settings:
        return maker
    return with_mesh(maker, gamma_mesh(structure))


def slurm_seconds_left() -> int | None:
    """Seconds to the end of the SLURM job that this runs in; None outside of one."""
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    return max(1, int(end) - int(time.time())) if end.isdecimal() else None


def _frames_before(folder: str | None) -> list[LabelFrame]:
    """Frames of the runs that this one goes on from."""
    if folder is None:
        return []
    path = Path(folder) / FRAMES_FILE
    if not path.is_file():
        raise VaspRunError(
            f"{path} is not there: the frames of the run before the restart are lost",
            "keep the folders of jobs until their flow has ended",
        )
    return [LabelFrame.model_validate(frame) for frame in loadfn(path)]


def _reached_accuracy(folder: Path) -> bool:
    """Whether VASP says in OUTCAR that a relaxation came to its end."""
    path = Path(zpath(str(folder / "OUTCAR")))
    if not path.is_file():
        return False
    with zopen(str(path), "rt") as file:
        return any("reached required accuracy" in str(line) for line in file)


def _said() -> str:
    """Last line that VASP printed, where it is an error."""
    said = [
        line.strip()
        for path in (Path("vasp.out"), Path("std_err.txt"))
        if path.is_file()
        for line in path.read_text(errors="replace").splitlines()
        if "error" in line.lower()
    ]
    return f"; VASP said: {said[-1]}" if said else ""


def _field(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, dict) else getattr(entry, name, None)
