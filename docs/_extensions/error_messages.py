"""Sphinx directive ``message-table``: every message that the code can end with, and its remedy.

Read from the source, so that a message that a user pastes into the search box is found.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from field_tables import make_table, text

import mofonon
from mofonon import errors

HOLE = "\u2026"
"""Stands for what differs from case to case: a file, an element, a number."""


@dataclass(frozen=True)
class Message:
    """What an error says.

    Attributes
    ----------
    kind : str
        Error type, or name of the check of structures.
    message : str
        What is wrong; what differs from case to case is `HOLE`.
    remedy : str
        What the user can do, likewise.
    place : str
        File and line of the source.
    """

    kind: str
    message: str
    remedy: str
    place: str


def _error_types() -> set[str]:
    return {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.MofononError)
    }


class _Module(ast.NodeVisitor):
    """Find the messages of one module; names are looked up where they were assigned before."""

    def __init__(self, place: str, kinds: set[str], constants: dict[str, ast.expr]) -> None:
        self.place = place
        self.kinds = kinds
        self.constants = constants
        self.assigned: dict[str, list[ast.expr]] = {}
        self.found: list[Message] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.assigned = self.assigned, dict(self.assigned)
        self.generic_visit(node)
        self.assigned = outer

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        target = node.targets[0]
        if isinstance(target, ast.Name):
            self.assigned.setdefault(target.id, []).append(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        first = node.args[0] if node.args else None
        if name in self.kinds:
            self._add(name, _arguments(node, 0), node.lineno)
        elif name == "StructureIssue" and isinstance(first, ast.Constant):
            self._add(f"--allow {first.value}", _arguments(node, 1), node.lineno)

    def _add(self, kind: str, arguments: list[ast.expr | None], line: int) -> None:
        message, remedy = arguments
        meant = [message]
        if isinstance(message, ast.Name):  # one of several, assigned since the last error
            meant = [*self.assigned.pop(message.id, [message])]
        for each in meant:
            words = self._words(each)
            if words.strip(f"{HOLE} :"):
                self.found.append(
                    Message(kind, words, self._words(remedy), f"{self.place}:{line}")
                )

    def _words(self, node: ast.expr | None, depth: int = 3) -> str:
        """Text of an expression, with `HOLE` for what the source does not say."""
        if node is None:
            return ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return "".join(self._words(part) for part in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._words(node.left) + self._words(node.right)
        if isinstance(node, ast.Name) and depth:
            known = self.assigned.get(node.id) or [self.constants.get(node.id)]
            return self._words(known[-1], depth - 1) or HOLE
        return HOLE


def _arguments(call: ast.Call, first: int) -> list[ast.expr | None]:
    """Message and remedy of a call, by position or by name."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    given: list[ast.expr | None] = [*call.args[first : first + 2], None, None]
    return [given[index] or named.get(name) for index, name in enumerate(("message", "remedy"))]


def _constants(trees: Iterable[ast.Module]) -> dict[str, ast.expr]:
    """Find the constants of modules: remedies that several errors share."""
    return {
        node.targets[0].id: node.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


@cache
def collect_messages() -> tuple[Message, ...]:
    """Find all messages of the package, in the order of kinds and texts."""
    root = Path(mofonon.__file__).parent
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.py"))
    }
    kinds, constants = _error_types(), _constants(trees.values())
    found: list[Message] = []
    for path, tree in trees.items():
        module = _Module(str(path.relative_to(root)), kinds, constants)
        module.visit(tree)
        found += module.found
    return tuple(sorted(found, key=lambda each: (each.kind, each.message)))


class MessageTable(Directive):
    """All messages and remedies, a table for each kind of error."""

    def run(self) -> list[nodes.Node]:
        """Make the tables, each under the name of its kind."""
        rows: dict[str, list[list[nodes.Node]]] = {}
        for each in collect_messages():
            row: list[nodes.Node] = [text(each.message), text(each.remedy)]
            rows.setdefault(each.kind, []).append(row)
        found: list[nodes.Node] = []
        for kind, of_kind in rows.items():
            section = nodes.section(
                ids=[f"messages-{nodes.make_id(kind)}"], names=[f"messages of {kind.lower()}"]
            )
            section += nodes.title(text=kind)
            section += make_table(["message", "remedy"], of_kind, [50, 50])
            found.append(section)
        return found


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("message-table", MessageTable)
    return {"parallel_read_safe": True}
