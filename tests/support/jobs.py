"""Jobs that tests run in processes of their own."""

import os
import time
from pathlib import Path

from jobflow import job


@job
def where_am_i(fail):
    """A job that tells about its process."""
    print("on stdout", flush=True)  # noqa: T201 - is it passed on?
    if fail:
        os._exit(3)
    return {"parent": os.getppid(), "mark": os.environ["MARK"], "folder": str(Path.cwd())}


@job
def sleep_forever(path):
    """A job that writes its process id and does not end."""
    Path(path).with_suffix(".part").write_text(str(os.getpid()))
    Path(path).with_suffix(".part").rename(path)
    time.sleep(600)
