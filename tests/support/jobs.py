"""Jobs that tests run in processes of their own."""

import os
from pathlib import Path

from jobflow import job


@job
def where_am_i(fail):
    """A job that tells about its process."""
    print("on stdout", flush=True)  # noqa: T201 - is it passed on?
    if fail:
        os._exit(3)
    return {"parent": os.getppid(), "mark": os.environ["MARK"], "folder": str(Path.cwd())}
