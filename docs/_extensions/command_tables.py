"""Sphinx directive ``command-tables``: the commands and their options, read from typer."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin

import typer
from docutils import nodes
from docutils.parsers.rst import Directive
from field_tables import literal, make_table, text


class CommandTables(Directive):
    """A section for each command: what it does, its usage, its options with defaults."""

    def run(self) -> list[nodes.Node]:
        """Walk through the command and its groups."""
        from mofonon.cli import app

        group: Any = typer.main.get_command(app)
        return _sections(group, "mofonon")


def _sections(group: Any, prefix: str) -> list[nodes.Node]:
    found: list[nodes.Node] = []
    for name, command in group.commands.items():
        title = f"{prefix} {name}"
        if hasattr(command, "commands"):
            found += _sections(command, title)
            continue
        section = nodes.section(ids=[nodes.make_id(title)], names=[title])
        section += nodes.title(text=title)
        for paragraph in re.split(r"\n\s*\n", (command.help or "").strip()):
            section += text(" ".join(paragraph.split()))
        rows = [_row(parameter) for parameter in command.params if not parameter.hidden]
        section += make_table(["option", "default", "meaning"], rows, [30, 15, 55])
        found.append(section)
    return found


def _row(parameter: Any) -> list[nodes.Node]:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if not names.startswith("-"):
        names = names.upper()
    meaning = parameter.help or ""
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        meaning = f"{meaning} One of {', '.join(get_args(annotation))}."
    default = _default(parameter.default)
    return [literal(names), literal(default) if default else text(""), text(meaning)]


def _default(value: Any) -> str:
    if value is None or value is False or callable(value):
        return ""
    return "yes" if value is True else str(value)


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-tables", CommandTables)
    return {"parallel_read_safe": True}
