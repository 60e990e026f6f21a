"""Keeps the potential of the stand-in loaded: each run is a fork of this process.

Loading torch and a potential takes seconds; a labelling of a small MOF makes eight runs. With
MOFONON_STANDIN_SERVER set to the path of a socket that ``python -m standin.server PATH``
listens on, ``vasp_std`` and ``vasp_gam`` hand their run over to it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import socket
import sys
from pathlib import Path


def run_here(request: dict) -> dict:
    """Run in this process, which is a fork: its folder and environment are the client's."""
    from standin.vasp import main

    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    said, code = io.StringIO(), 0
    with contextlib.redirect_stdout(said):
        try:
            main(request["binary"])
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception as error:  # noqa: BLE001 - the client is to see it, as from Python
            said.write(f" ERROR: {type(error).__name__}: {error}\n")
            code = 1
    return {"said": said.getvalue(), "code": code}


def warm_up(potential) -> None:
    """Have compiled and read what is on first use, so that the forks find it done.

    In one thread: torch in a fork of a process with threads waits for ever.
    """
    import warnings

    from ase.build import bulk
    from pymatgen.io.vasp import PotcarSingle

    from standin.potcars import HEADER

    for name in ("ase.optimize", "spglib"):
        importlib.import_module(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        PotcarSingle(HEADER.format(symbol="Zn", element="Zn", valence=12))
    for size in (1, 2, 1, 2):  # TorchScript compiles for several shapes at the second
        atoms = bulk("ZnO", "zincblende", a=4.3).repeat((size, 1, 1))
        atoms.rattle(0.01, seed=size)
        atoms.calc = potential
        atoms.get_stress()


def serve(path: Path) -> None:
    """Answer requests until the process is ended."""
    from standin.vasp import make_potential

    for dispersion in (0, 12):
        warm_up(make_potential({"IVDW": dispersion}))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(8)
        while True:
            client, _ = server.accept()
            child = os.fork()
            if child == 0:
                with client, client.makefile("rw") as stream:
                    stream.write(json.dumps(run_here(json.loads(stream.readline()))) + "\n")
                    stream.flush()
                os._exit(0)
            client.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def ask(path: str, binary: str) -> int:
    """Have the server run in the working directory; give the exit status."""
    environment = {
        name: value for name, value in os.environ.items() if name.startswith("MOFONON_STANDIN")
    }
    request = {"folder": str(Path.cwd()), "environment": environment, "binary": binary}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(path)
        with server.makefile("rw") as stream:
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            answer = json.loads(stream.readline())
    sys.stdout.write(answer["said"])
    return int(answer["code"])


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
