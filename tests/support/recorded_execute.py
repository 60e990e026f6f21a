"""What the workers of a test run for each job: as mofonon's, and on record with its device."""

import os
import sys
from pathlib import Path

from mofonon.campaign import execute


def main() -> int:
    """Append folder, partition and devices of the job to RECORD_ALLOCATIONS; then run it."""
    claim = execute.claim_device

    def claim_on_record() -> str | None:
        device = claim()
        names = ("SLURM_JOB_PARTITION", "CUDA_VISIBLE_DEVICES")
        seen = [os.environ.get(name) or "-" for name in names]
        with Path(os.environ["RECORD_ALLOCATIONS"]).open("a") as file:
            file.write(" ".join([*seen, sys.argv[1]]) + "\n")
        return device

    execute.claim_device = claim_on_record
    return execute.main()


if __name__ == "__main__":
    sys.exit(main())
