"""What a worker runs for each job: ``python -m mofonon.campaign.execute FOLDER``.

It does what ``jf execution run`` does without importing its command line. Two things more:

- Several jobs that share an allocation get a GPU each (``MOFONON_ONE_GPU``).
- Jobs of one allocation share the seconds that importing takes (``MOFONON_WARM``; with the
  value ``torch`` those of torch and mace too): the first
  starts a process that imports once and forks for each job; later ones hand it their folder,
  environment and output streams over a socket. The process ends with its allocation, or when
  no job came for a while.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

_IDLE_SECONDS = 60
_GRACE_SECONDS = 30
_START_SECONDS = 120
_DEVICE_SECONDS = 30
_LONGEST_MESSAGE = 1 << 20
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
    end = time.monotonic() + _DEVICE_SECONDS
    while True:
        for device in devices:
            if _lock_device(device):
                os.environ["CUDA_VISIBLE_DEVICES"] = device
                return device
        if time.monotonic() > end:
            break
        time.sleep(0.1)  # the process of the job before may be about to end
    from mofonon.errors import CampaignError

    raise CampaignError(
        f"all {len(devices)} GPUs of the allocation are taken",
        "set parallel_jobs of the batch worker to the number of GPUs of the allocation",
    )


def _lock_device(device: str) -> bool:
    lock = _private_path(f"gpu-{device}.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _LOCKS.append(lock)
    return True


def run(folder: str) -> None:
    """Run the job of a folder that jobflow-remote has prepared."""
    claim_device()
    from mofonon.cli.options import set_threads

    set_threads(None)
    from jobflow_remote.jobs.run import run_remote_job

    run_remote_job(folder)


def run_warm(folder: str) -> int:
    """Run the job in a fork of the warm process of this allocation; its exit status.

    Where the warm process cannot be reached the job runs here.
    """
    path = _private_path("warm.socket")
    connection = _connect(path) or _start_server(path)
    if connection is None:
        run(folder)
        return 0
    with connection:
        message = json.dumps({"folder": folder, "environment": dict(os.environ)}).encode()
        header = len(message).to_bytes(8, "big")
        socket.send_fds(connection, [header], [1, 2])
        connection.sendall(message)
        answer = connection.recv(1)
    return answer[0] if answer else 1


def serve(path: str) -> None:
    """Be the warm process: import once, fork for each job."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(64)
    server.settimeout(_IDLE_SECONDS)
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    try:
        while True:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                return
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _serve_one(connection)
            connection.close()
    finally:
        with suppress(FileNotFoundError):
            Path(path).unlink()


def _serve_one(connection: socket.socket) -> None:
    """Run one job, in a fork of the warm process; does not return."""
    status = 1
    try:
        header, descriptors, _, _ = socket.recv_fds(connection, 8, 2)
        length = int.from_bytes(header, "big")
        message = b""
        while len(message) < min(length, _LONGEST_MESSAGE):
            message += connection.recv(length - len(message))
        asked = json.loads(message)
        for number, descriptor in zip((1, 2), descriptors, strict=True):
            os.dup2(descriptor, number)
        threading.Thread(target=_end_with_client, args=(connection,), daemon=True).start()
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        run(asked["folder"])
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it is the job's, not the server's
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for lock in _LOCKS:
            lock.close()  # before the next job can start, which wants the device
        with suppress(OSError):
            connection.sendall(bytes([status]))
        os._exit(status)


def _end_with_client(connection: socket.socket) -> None:
    """End the job when its client is gone: it was cancelled, or its wall time is over."""
    with suppress(OSError):
        while connection.recv(1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def _import_all() -> None:
    """Import what jobs need; nothing that starts threads or touches a GPU."""
    import importlib

    from mofonon.cli.options import set_threads

    set_threads(None)
    torch = ("torch", "mace.calculators") if os.environ["MOFONON_WARM"] == "torch" else ()
    for name in (
        *torch,
        "jobflow_remote.jobs.run",
        "mofonon.lattice.bulk_modulus",
        "mofonon.lattice.flows",
        "mofonon.lattice.qha",
        "mofonon.lattice.stabilize",
        "mofonon.campaign.report",
    ):
        importlib.import_module(name)


def _connect(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def _start_server(path: Path) -> socket.socket | None:
    """Start the warm process, unless another job is doing that, and connect to it."""
    with _private_path("warm.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = _connect(path)
        if connection is not None:
            return connection
        with suppress(FileNotFoundError):
            path.unlink()
        subprocess.Popen(  # noqa: S603 - this module
            [sys.executable, "-m", "mofonon.campaign.execute", "--serve", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            connection = _connect(path)
            if connection is not None:
                return connection
            time.sleep(0.05)
    return None


def _private_path(name: str) -> Path:
    """Path in a folder of this user and allocation that nobody else can enter.

    The Python and the source are part of it: an allocation may serve two environments.
    """
    allocation = os.environ.get("SLURM_JOB_ID", f"local-{os.getsid(0)}")
    source = hashlib.sha256(f"{sys.executable} {__file__}".encode()).hexdigest()[:8]
    folder = Path(tempfile.gettempdir()) / f"mofonon-{os.getuid()}-{allocation}-{source}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise PermissionError(f"{folder} is not private")
    return folder / name


def main() -> int:
    """Run a job, in the warm process where that is asked for; or be that process."""
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
        return 0
    if os.environ.get("MOFONON_WARM"):
        return run_warm(sys.argv[1])
    run(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
