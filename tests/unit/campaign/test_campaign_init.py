"""mofonon init: the files it writes, and the same as examples in configs/."""

import runpy
import stat
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mofonon.campaign.initialize import Answers, render
from mofonon.cli import app

ODD = "o'b: #"
REPOSITORY = Path(__file__).parents[3]


def test_configs_are_what_init_writes():
    examples = runpy.run_path(str(REPOSITORY / "tools" / "write_configs.py"))["examples"]()
    for name, text in examples.items():
        assert (REPOSITORY / "configs" / name).read_text() == text, (
            "python tools/write_configs.py"
        )
    present = {p.relative_to(REPOSITORY / "configs").as_posix() for p in _yaml("configs")}
    assert present == set(examples)


def _yaml(folder):
    return (REPOSITORY / folder).rglob("*.yaml")


@pytest.mark.parametrize("cluster", ["local", "slurm", "ssh"])
def test_the_project_is_one_for_jobflow_remote(cluster):
    from jobflow_remote.config.base import Project

    answers = Answers(cluster, "p", Path("/f"), "/w", username="me", password=ODD, tls_ca="/c")
    content = yaml.safe_load(render(answers)["p.yaml"])
    project = Project.model_validate(content)
    assert "data" in project.jobstore["additional_stores"]
    assert project.queue.store["password"] == ODD
    assert project.queue.store["mongoclient_kwargs"] == {"tls": True, "tlsCAFile": "/c"}
    assert all(worker.execution_cmd for worker in project.workers.values())


def test_init_writes_files_that_only_the_user_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("MOFONON_MONGO_PASSWORD", "secret-4711")
    arguments = ["init", "--cluster", "slurm", "-p", "mine", "--folder", str(tmp_path)]
    arguments += ["--username", "me", "--work-dir", "/scratch/me", "--yes"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "secret-4711" not in done.output
    assert yaml.safe_load((tmp_path / "mine.yaml").read_text())["name"] == "mine"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 7
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in written)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "already" in str(again.exception)
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0
