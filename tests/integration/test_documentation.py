"""The examples of README and docs/ run as they are written."""

import re
import shlex

import pytest

from support.pages import DOCUMENTATION, REPOSITORY, blocks


@pytest.mark.slow
@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_python_examples(page, code, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    exec(compile(code, page, "exec"), {"__name__": "example"})  # noqa: S102 - our own pages


def _command_lines():
    return [
        (page, line.strip())
        for page, block in blocks("bash")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("mofonon ")
    ]


@pytest.mark.parametrize(("page", "line"), _command_lines())
def test_commands_and_options_exist(page, line, monkeypatch):
    """Parse as the command would, without running it; a wrong option exits with 2."""
    import typer

    from mofonon.cli import app

    monkeypatch.chdir(REPOSITORY)
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page}: {line}"
        command = command.commands[words.pop(0)]
    if "--help" not in words:
        command.make_context("mofonon", words)


def test_links_lead_somewhere():
    for page in [*DOCUMENTATION, "CONTRIBUTING.md"]:
        folder = (REPOSITORY / page).parent
        for target in re.findall(r"\]\(([^)#\s]+)\)", (REPOSITORY / page).read_text()):
            if not target.startswith("http"):
                assert (folder / target).exists(), f"{page} links to {target}"


def test_example_yaml_names_only_options_that_exist():
    import yaml

    from mofonon.cli import app

    commands = {command.name: command.callback for command in app.registered_commands}
    for group in app.registered_groups:
        commands |= {
            f"{group.typer_instance.info.name}-{command.name}": command.callback
            for command in group.typer_instance.registered_commands
        }
    for path in sorted((REPOSITORY / "docs" / "examples").glob("*.yaml")):
        name = next(
            (known for known in commands if known and path.stem.startswith(known)), "phonons"
        )
        callback = commands[name]
        assert callback is not None
        known = set(callback.__annotations__)
        assert set(yaml.safe_load(path.read_text())) <= known, path.name


@pytest.mark.parametrize(("page", "block"), blocks("yaml"))
def test_yaml_blocks_are_what_their_readers_take(page, block, tmp_path):
    """Campaigns, or parts of one; a jobflow configuration; settings of atomate2, pymatgen."""
    import yaml

    content = yaml.safe_load(block)
    if "JOB_STORE" in content:
        from jobflow import JobStore

        store = JobStore.from_dict_spec(content["JOB_STORE"])
        assert set(vars(store)["additional_stores"]) == {"data"}
    elif "stages" in content:
        from mofonon.campaign import load_campaign

        whole = {"name": "part", "potentials": {"foundation": {"model": "demo"}}, **content}
        if "source" not in (whole["stages"].get("select") or {}):
            whole.setdefault("structures", {"folder": "."})
        path = tmp_path / "campaign.yaml"
        path.write_text(yaml.safe_dump(whole))
        spec = load_campaign(path, allowed_imports=["my_makers"])
        assert spec.stages.model_fields_set == {
            stage.replace("-", "_") for stage in content["stages"]
        }
    else:
        from atomate2.settings import Atomate2Settings

        known = {*Atomate2Settings.model_fields, "PMG_VASP_PSP_DIR"}
        assert set(content) <= known
