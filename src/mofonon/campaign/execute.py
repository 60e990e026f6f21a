"""What a worker runs for each job: ``python -m mofonon.campaign.execute FOLDER``.

It does what ``jf execution run`` does without importing its command line, and gives each of
several jobs that share an allocation a GPU of its own.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from pathlib import Path
from typing import IO

#: Kept open for the life of the process: the lock on its GPU.
_LOCKS: list[IO[str]] = []


def claim_device() -> str | None:
    """Take one GPU of the allocation that no other job of it has, and see only that one.

    Only where ``MOFONON_ONE_GPU`` is set and several devices are visible. The lock is the
    kernel's: it goes when the process goes, however it ends.

    Returns
    -------
    str or None
        The device, as in ``CUDA_VISIBLE_DEVICES``; None where nothing was to be taken.

    Raises
    ------
    CampaignError
        When all devices are taken: the worker runs more jobs than it has devices.
    """
    devices = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if not os.environ.get("MOFONON_ONE_GPU") or len(devices) < 2:
        return None
    allocation = os.environ.get("SLURM_JOB_ID", "local")
    for device in devices:
        path = Path(tempfile.gettempdir()) / f"mofonon-{os.getuid()}-{allocation}-{device}.lock"
        lock = path.open("w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _LOCKS.append(lock)
        os.environ["CUDA_VISIBLE_DEVICES"] = device
        return device
    from mofonon.errors import CampaignError

    raise CampaignError(
        f"all {len(devices)} GPUs of the allocation are taken",
        "set parallel_jobs of the batch worker to the number of GPUs of the allocation",
    )


def main() -> None:
    """Run the job of a folder that jobflow-remote has prepared."""
    claim_device()
    from mofonon.cli.options import set_threads

    set_threads(None)
    from jobflow_remote.jobs.run import run_remote_job

    run_remote_job(sys.argv[1])


if __name__ == "__main__":
    main()
