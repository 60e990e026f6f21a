"""How mace is started: one process, several on this machine, or nodes of a SLURM cluster."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mofonon.errors import MissingDependencyError, SettingsError, TrainingDataError
from mofonon.training.mace_cli import GLOO

MODULE = "mofonon.training.mace_cli"


class Launch(BaseModel):
    """Processes of a training; each works on its own batch.

    With ``slurm`` the job must hold an allocation: ``srun`` starts ``gpus_per_node`` tasks on
    each node. ``--ntasks-per-node`` is always given (mace counts its ranks by it), and GPUs
    are given to nodes, not to tasks, which would hide all but one from each rank.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    launcher: Literal["none", "torchrun", "slurm"] = Field(
        "none", description="none: one process; torchrun: this machine; slurm: srun."
    )
    nodes: int = Field(1, ge=1, description="Nodes.")
    gpus_per_node: int = Field(1, ge=1, description="Processes, each with a GPU, on each node.")
    cpus_per_task: int | None = Field(None, ge=1, description="Cores of each process.")
    master_port: int = Field(
        33333, ge=1024, le=65535, description="Port on the first node where ranks meet."
    )
    device: Literal["cpu", "cuda", "xpu"] = Field("cuda", description="Device of the ranks.")

    @model_validator(mode="after")
    def _check(self) -> Launch:
        if self.launcher == "none" and self.world_size > 1:
            raise SettingsError(
                f"{self.world_size} processes need a launcher", "choose slurm or torchrun"
            )
        if self.launcher == "torchrun" and self.nodes > 1:
            raise SettingsError("torchrun starts ranks on one node", "use slurm for several")
        return self

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.nodes * self.gpus_per_node

    @property
    def distributed(self) -> str | None:
        """Launcher as mace knows it; None for one process."""
        return self.launcher if self.launcher != "none" else None

    def command(self, config: Path) -> list[str]:
        """Command that runs mace on a configuration."""
        module = ["-m", MODULE, "--config", str(config)]
        if self.launcher == "torchrun":
            return [
                *(sys.executable, "-m", "torch.distributed.run"),
                *("--nnodes", "1", "--nproc-per-node", str(self.gpus_per_node)),
                *("--master-addr", "127.0.0.1", "--master-port", str(self.master_port)),
                *module,
            ]
        if self.launcher == "slurm":
            cores = ["--cpus-per-task", str(self.cpus_per_task)] if self.cpus_per_task else []
            return [
                *("srun", "--kill-on-bad-exit=1", "--nodes", str(self.nodes)),
                *("--ntasks-per-node", str(self.gpus_per_node)),
                *(["--gpus-per-node", str(self.gpus_per_node)] if self.device != "cpu" else []),
                *cores,
                *(sys.executable, *module),
            ]
        return [sys.executable, *module]

    def environment(self) -> dict[str, str]:
        """Variables that the processes need besides this process's own."""
        if self.launcher == "none":
            return {}
        variables = {"MASTER_PORT": str(self.master_port)}
        return variables | ({GLOO: "1"} if self.device == "cpu" else {})

    def check(self, sizes: dict[str, int], train: int, batch_size: int) -> None:
        """Check that every rank gets work, before anything is started.

        Parameters
        ----------
        sizes : dict of str to int
            Validation frames by head.
        train : int
            Frames trained on, of all heads together.
        batch_size : int
            Frames of a batch on each rank.

        Raises
        ------
        TrainingDataError
            A validation set is smaller than the number of ranks (its loss would be nan, and
            mace would still exit with 0), or there is not one whole batch (mace drops what is
            left over, and would train on nothing).
        MissingDependencyError
            mace's SLURM launcher lacks a package.
        """
        for head, size in sizes.items():
            if size < self.world_size:
                raise TrainingDataError(
                    f"the validation set of head {head} has {size} frames for "
                    f"{self.world_size} processes; its loss would be nan",
                    "use fewer processes or a larger validation set",
                )
        if train < batch_size * self.world_size:
            raise TrainingDataError(
                f"{train} frames do not fill one batch of {batch_size} on "
                f"{self.world_size} process(es); mace would train on nothing",
                "use a smaller batch or more frames",
            )
        if self.launcher == "slurm" and find_spec("hostlist") is None:
            raise MissingDependencyError(
                "mace's SLURM launcher needs the package python-hostlist",
                "pip install 'mofonon[slurm]'",
            )

    def describe_batch(self, batch_size: int) -> str:
        """Batch of a rank against that of all."""
        return (
            f"batch {batch_size} on each of {self.world_size} process(es), "
            f"{batch_size * self.world_size} in all"
        )


class BatchScript(BaseModel):
    """A SLURM script that trains; the walltime's signal reaches mofonon, which stops mace."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: str | None = Field(None, description="SLURM partition.")
    account: str | None = Field(None, description="SLURM account.")
    walltime: str = Field("24:00:00", description="Wall time.")
    signal_seconds: int = Field(
        180, ge=30, description="Time before the wall-time limit at which SIGTERM comes (s)."
    )
    setup: str = Field("", description="Lines that prepare the environment (module load ...).")
    requeue: bool = Field(True, description="Put the job back into the queue at SIGTERM.")

    def render(self, launch: Launch, command: list[str], *, batch_size: int) -> str:
        """Script for ``sbatch``.

        Parameters
        ----------
        launch : Launch
            Nodes and GPUs.
        command : list of str
            The ``mofonon finetune`` that goes into the script; it starts ``srun`` itself.
        batch_size : int
            Frames of a batch on each rank, stated in the script.
        """
        gpus = launch.gpus_per_node
        lines = [
            "#!/bin/bash",
            "#SBATCH --job-name=mofonon-finetune",
            f"#SBATCH --nodes={launch.nodes}",
            f"#SBATCH --ntasks-per-node={gpus}",
            *([f"#SBATCH --gpus-per-node={gpus}"] if launch.device != "cpu" else []),
            *(
                [f"#SBATCH --cpus-per-task={launch.cpus_per_task}"]
                if launch.cpus_per_task
                else []
            ),
            f"#SBATCH --time={self.walltime}",
            f"#SBATCH --signal=B:TERM@{self.signal_seconds}",
            *([f"#SBATCH --partition={self.partition}"] if self.partition else []),
            *([f"#SBATCH --account={self.account}"] if self.account else []),
            *(["#SBATCH --requeue", "#SBATCH --open-mode=append"] if self.requeue else []),
            "",
            f"# {launch.describe_batch(batch_size)}",
            "set -u",
            *self.setup.splitlines(),
            f"export MASTER_PORT={launch.master_port}",
            "",
            f"{shlex.join(command)} &",
            "training=$!",
            "stopped=0",
            "trap 'stopped=1; kill -TERM \"$training\"' TERM",
            'wait "$training"; code=$?',
            "# a trapped signal ends the first wait; the second gets the exit code",
            'if [ "$stopped" = 1 ]; then wait "$training"; code=$?; fi',
        ]
        if self.requeue:
            lines.append(
                'if [ "$stopped" = 1 ]; then scontrol requeue "$SLURM_JOB_ID"; exit 0; fi'
            )
        lines.append('exit "$code"')
        return "\n".join(lines) + "\n"
