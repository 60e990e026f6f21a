"""``mace_run_train`` as a child of a training: dies with its parent, several CPU ranks by gloo.

Run as ``python -m mofonon.training.mace_cli --config config.yaml``; all options are mace's.
mace opens process groups for CUDA and XPU only, and gives its model to a device number, which
torch refuses on CPUs: with ``MOFONON_GLOO`` set both are put right here, nothing else.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

GLOO = "MOFONON_GLOO"

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, so that no training is orphaned."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def use_gloo() -> None:
    """Open a gloo process group from torchrun's environment, for ranks on CPUs."""
    import torch.distributed
    from mace.cli import run_train
    from torch.nn.parallel import DistributedDataParallel

    torch.distributed.init_process_group(backend="gloo", init_method="env://")

    def on_cpu(model: torch.nn.Module, device_ids: object = None) -> DistributedDataParallel:
        del device_ids
        return DistributedDataParallel(model)

    vars(run_train)["DDP"] = on_cpu


def main() -> None:
    """Run mace."""
    die_with_parent()
    from mace.cli.run_train import main as mace_main

    if os.environ.get(GLOO):
        use_gloo()
    mace_main()


if __name__ == "__main__":
    main()
