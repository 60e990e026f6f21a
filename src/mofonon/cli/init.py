"""``mofonon init``: configuration files of a cluster, with questions answered."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mofonon.cli.options import stdout_for_results

_QUESTIONS: dict[str, dict[str, str]] = {
    "local": {"work_dir": "Folder where jobs run"},
    "slurm": {
        "work_dir": "Folder where jobs run, seen by all nodes",
        "cpu_partition": "Partition for VASP",
        "gpu_partition": "Partition with GPUs",
        "account": "Account (empty: none)",
    },
    "ssh": {
        "host": "Host name of the cluster",
        "user": "Your user name there",
        "work_dir": "Folder where jobs run, on the cluster",
        "cpu_partition": "Partition for VASP",
        "gpu_partition": "Partition with GPUs",
        "account": "Account (empty: none)",
    },
}
_GENERAL = {
    "activate": "Commands that make mofonon available there (empty: none)",
    "mongo_host": "Host of MongoDB",
    "username": "User of MongoDB (empty: none)",
}


def init(
    cluster: Annotated[
        Literal["local", "slurm", "ssh"], typer.Option(help="Kind of cluster.")
    ] = "local",
    project: Annotated[
        str, typer.Option("--project", "-p", help="Name of the project.")
    ] = "mofonon",
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Where the files go. Default: JFREMOTE_PROJECTS_FOLDER or ~/.jfremote."
        ),
    ] = None,
    work_dir: Annotated[str | None, typer.Option(help="Where jobs run.")] = None,
    activate: Annotated[
        str | None, typer.Option(help="Commands that make mofonon available to a job.")
    ] = None,
    mongo_host: Annotated[str | None, typer.Option(help="Host of MongoDB.")] = None,
    mongo_port: Annotated[int, typer.Option(help="Its port.")] = 27017,
    database: Annotated[str, typer.Option(help="Name of the database.")] = "mofonon",
    username: Annotated[str | None, typer.Option(help="User of MongoDB.")] = None,
    tls_ca: Annotated[str, typer.Option(help="CA file of MongoDB, on each machine.")] = "",
    cpu_partition: Annotated[str | None, typer.Option(help="SLURM partition for VASP.")] = None,
    gpu_partition: Annotated[
        str | None, typer.Option(help="SLURM partition with GPUs.")
    ] = None,
    gpus_per_node: Annotated[int, typer.Option(min=1, help="GPUs in a node.")] = 4,
    cpus_per_node: Annotated[int, typer.Option(min=1, help="Processes of VASP.")] = 32,
    account: Annotated[str | None, typer.Option(help="SLURM account.")] = None,
    vasp_module: Annotated[str, typer.Option(help="Module that gives VASP.")] = "vasp",
    host: Annotated[str | None, typer.Option(help="Host, with --cluster ssh.")] = None,
    user: Annotated[str | None, typer.Option(help="User there.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: defaults.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
) -> None:
    """Write a jobflow-remote project, and files for jobflow, atomate2 and FireWorks.

    What is not given is asked for. The password of MongoDB is taken from MOFONON_MONGO_PASSWORD
    or asked for, never from the command line.
    """
    given: dict[str, Any] = {
        "work_dir": work_dir,
        "activate": activate,
        "mongo_host": mongo_host,
        "username": username,
        "cpu_partition": cpu_partition,
        "gpu_partition": gpu_partition,
        "account": account,
        "host": host,
        "user": user,
    }
    answers = {name: value for name, value in given.items() if value is not None}
    if not yes and sys.stdin.isatty():
        answers |= _ask(cluster, answers)
    answers.setdefault("work_dir", str(Path.home() / "mofonon-jobs"))
    password = os.environ.get("MOFONON_MONGO_PASSWORD", "")
    if answers.get("username") and not password and not yes and sys.stdin.isatty():
        password = typer.prompt("Password of MongoDB", hide_input=True)
    with stdout_for_results():
        from mofonon.campaign.initialize import Answers, write

        places = write(
            Answers(
                cluster=cluster,
                project=project,
                folder=(folder or projects_folder()).expanduser().resolve(),
                mongo_port=mongo_port,
                database=database,
                password=password,
                tls_ca=tls_ca,
                gpus_per_node=gpus_per_node,
                cpus_per_node=cpus_per_node,
                vasp_module=vasp_module,
                **answers,
            ),
            overwrite=overwrite,
        )
    for path in places:
        typer.echo(f"wrote {path}")
    typer.echo(
        f"next: mofonon doctor --project {project}; jf -p {project} admin reset (once); "
        f"jf -p {project} runner start; mofonon submit FILE --project {project}"
    )


def projects_folder() -> Path:
    """Folder of the projects of jobflow-remote."""
    return Path(os.environ.get("JFREMOTE_PROJECTS_FOLDER") or Path.home() / ".jfremote")


def _ask(cluster: str, known: dict[str, Any]) -> dict[str, Any]:
    defaults = {
        "work_dir": str(Path.home() / "mofonon-jobs"),
        "mongo_host": "localhost",
        "cpu_partition": "cpu",
        "gpu_partition": "a100",
        "host": "cluster.example.org",
        "user": os.environ.get("USER", "me"),
    }
    questions = {**_QUESTIONS[cluster], **_GENERAL}
    return {
        name: typer.prompt(text, default=defaults.get(name, ""))
        for name, text in questions.items()
        if name not in known
    }
