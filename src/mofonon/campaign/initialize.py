"""Configuration files of a cluster, written from a few answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml

from mofonon.errors import CampaignError, OutputError

Cluster = Literal["local", "slurm", "ssh"]


@dataclass(frozen=True)
class Answers:
    """What has to be known of a cluster and a database.

    Attributes
    ----------
    cluster : {"local", "slurm", "ssh"}
        Kind of cluster.
    project : str
        Name of the jobflow-remote project.
    folder : Path
        Where the files go.
    work_dir : str
        Where jobs run, on the workers.
    activate : str
        Commands that make mofonon's environment available on a worker.
    mongo_host, mongo_port, database, username, password, tls_ca : str or int
        The database; without user name no authentication, without CA file no TLS.
    cpu_partition, gpu_partition, account : str
        Of SLURM; an empty account is left out.
    cpus_per_node, gpus_per_node, local_jobs : int
        Numbers of processes of VASP, of GPUs in a node, of jobs at a time on this machine.
    vasp_module : str
        Module that gives VASP.
    host, user : str
        Of SSH.
    """

    cluster: Cluster
    project: str
    folder: Path
    work_dir: str
    activate: str = ""
    mongo_host: str = "localhost"
    mongo_port: int = 27017
    database: str = "mofonon"
    username: str = ""
    password: str = ""
    tls_ca: str = ""
    cpu_partition: str = "cpu"
    gpu_partition: str = "a100"
    account: str = ""
    cpus_per_node: int = 32
    gpus_per_node: int = 4
    local_jobs: int = 1
    vasp_module: str = "vasp"
    host: str = "cluster.example.org"
    user: str = "me"


def render(answers: Answers) -> dict[str, str]:
    """Texts of the files by their names, relative to the folder.

    Raises
    ------
    CampaignError
        When an answer makes a file that is not YAML.
    """
    names = {
        f"{answers.project}.yaml": f"jobflow_remote/{answers.cluster}.yaml",
        "jobflow.yaml": "jobflow.yaml",
        "atomate2.yaml": "atomate2.yaml",
        **{
            f"fireworks/{name}": f"fireworks/{name}"
            for name in (
                *("my_launchpad.yaml", "my_fworker.yaml"),
                *("my_qadapter.yaml", "FW_config.yaml"),
            )
        },
    }
    rendered = {name: _filled(_template(template), answers) for name, template in names.items()}
    for name, text in rendered.items():
        try:
            yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise CampaignError(
                f"{name} would not be YAML: {error}",
                "write answers without line breaks, colons or quotes",
            ) from error
    return rendered


def write(answers: Answers, *, overwrite: bool) -> list[Path]:
    """Write the files, readable by the user alone, for they may hold a password.

    Raises
    ------
    OutputError
        When a file is there already, or the folder cannot be written.
    """
    texts = render(answers)
    # jobflow-remote takes every YAML file of its folder for a project
    places = {
        name: answers.folder
        / (name if name == f"{answers.project}.yaml" else f"mofonon/{name}")
        for name in texts
    }
    present = [str(path) for path in places.values() if path.exists()]
    if present and not overwrite:
        raise OutputError(
            f"there is {', '.join(present)} already", "give --overwrite, or another --project"
        )
    try:
        for name, path in places.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.chmod(0o600)
            path.write_text(texts[name], encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{answers.folder} cannot be written: {error.strerror}", "give another --folder"
        ) from error
    return list(places.values())


def _template(name: str) -> str:
    text = (files("mofonon.campaign") / "templates" / name).read_text(encoding="utf-8")
    for part in ("databases", "runner"):
        mark = f"@{part.upper()}@\n"
        if mark in text:
            source = files("mofonon.campaign") / "templates" / f"{part}.part"
            text = text.replace(mark, source.read_text(encoding="utf-8"))
    return text


def _filled(text: str, answers: Answers) -> str:
    activate = answers.activate or "true # nothing to activate"
    for spaces in (4, 6):
        text = text.replace(f"@MONGO_LOGIN_{spaces}@\n", _login(answers, " " * spaces))
    text = text.replace("@MONGO_LAUNCHPAD@\n", _launchpad_login(answers))
    text = text.replace("@ACCOUNT@", f", account: {answers.account}" if answers.account else "")
    line = f"{answers.activate};" if answers.activate else ""
    text = text.replace("@ACTIVATE_LINE@", line).replace("@ACTIVATE@", activate)
    folder = answers.folder / "mofonon"
    text = text.replace("@FOLDER@", str(folder))

    def value(match: re.Match[str]) -> str:
        return str(getattr(answers, match.group(1).lower()))

    return re.sub(r"@([A-Z]+(?:_[A-Z]+)*)@", value, text)


def _login(answers: Answers, indent: str) -> str:
    lines = []
    if answers.username:
        lines += [
            f"username: {_quoted(answers.username)}",
            f"password: {_quoted(answers.password)}",
            f"auth_source: {answers.database}",
        ]
    if answers.tls_ca:
        lines += ["mongoclient_kwargs:", "  tls: true", f"  tlsCAFile: {answers.tls_ca}"]
    return "".join(f"{indent}{line}\n" for line in lines)


def _launchpad_login(answers: Answers) -> str:
    lines = []
    if answers.username:
        lines += [
            f"username: {_quoted(answers.username)}",
            f"password: {_quoted(answers.password)}",
            f"authsource: {answers.database}",
        ]
    if answers.tls_ca:
        lines += ["mongoclient_kwargs:", "  tls: true", f"  tlsCAFile: {answers.tls_ca}"]
    return "".join(f"{line}\n" for line in lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
