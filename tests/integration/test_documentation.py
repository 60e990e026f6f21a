"""The examples of README and docs/ run as they are written."""

import re
import shlex
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    "README.md",
    *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")),
]


def _blocks(language: str) -> list[tuple[str, str]]:
    pattern = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [
        (page, block)
        for page in PAGES
        for block in pattern.findall((REPOSITORY / page).read_text())
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "code"), _blocks("python"))
def test_python_examples(page, code, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    exec(compile(code, page, "exec"), {"__name__": "example"})  # noqa: S102 - our own pages


@pytest.mark.slow
def test_the_commands_of_the_readme(mofonon, monkeypatch, tmp_path):
    lines = [
        line
        for page, block in _blocks("bash")
        if page == "README.md"
        for line in block.splitlines()
        if line.startswith("mofonon ")
    ]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        done = mofonon(
            *(str(REPOSITORY / word) if word.endswith(".cif") else word for word in words)
        )
        assert done.stdout


def test_the_queries_of_the_documentation_are_understood(mofonon):
    for page, block in _blocks("bash"):
        if page == "docs/stores.md":
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                if words[1] == "query":
                    mofonon(*words[1:])


def test_links_lead_somewhere():
    for page in [*PAGES, "CONTRIBUTING.md"]:
        folder = (REPOSITORY / page).parent
        for target in re.findall(r"\]\(([^)#\s]+)\)", (REPOSITORY / page).read_text()):
            if not target.startswith("http"):
                assert (folder / target).exists(), f"{page} links to {target}"


def test_example_yaml_names_only_options_that_exist():
    import yaml

    from mofonon.cli import app

    commands = {command.name: command.callback for command in app.registered_commands}
    for path in sorted((REPOSITORY / "docs" / "examples").glob("*.yaml")):
        name = next(
            (known for known in commands if known and path.stem.startswith(known)), "phonons"
        )
        callback = commands[name]
        assert callback is not None
        known = set(callback.__annotations__)
        assert set(yaml.safe_load(path.read_text())) <= known, path.name
