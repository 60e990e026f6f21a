"""Sphinx directives that read tables from the code, so that they are never out of date.

``field-table`` lists the fields of pydantic models, ``error-table`` the error types.
"""

from __future__ import annotations

import importlib
import inspect
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from docutils import nodes
from docutils.parsers.rst import Directive
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def make_table(
    header: list[str], rows: list[list[nodes.Node]], widths: list[int]
) -> nodes.table:
    """Table with a header; widths are relative."""
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=width) for width in widths]
    head = nodes.row()
    head += [nodes.entry("", nodes.paragraph(text=name)) for name in header]
    group += nodes.thead("", head)
    body = nodes.tbody()
    for cells in rows:
        row = nodes.row()
        row += [nodes.entry("", cell) for cell in cells]
        body += row
    group += body
    return nodes.table("", group, classes=["field-table"])


def literal(content: str) -> nodes.paragraph:
    """Cell in fixed width."""
    return nodes.paragraph("", "", nodes.literal(text=content))


def text(content: str) -> nodes.paragraph:
    """Cell in plain text."""
    return nodes.paragraph(text=content)


def _type_name(annotation: Any) -> str:
    """Type in a few words: classes by name, literals by their values."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(_type_name(argument) for argument in arguments)
    if origin is Literal:
        return ", ".join(map(str, arguments))
    if annotation is NoneType:
        return "none"
    if origin is not None and arguments:
        inner = ", ".join(_type_name(argument) for argument in arguments)
        return f"{origin.__name__} of {inner}"
    return str(getattr(annotation, "__name__", annotation))


def _meaning(field: FieldInfo) -> str:
    default = field.default
    if default is PydanticUndefined or default is None or default == "":
        return field.description or ""
    return f"{field.description} Default: {default}."


def _own_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields that mofonon declares; emmet's StructureMetadata has a page of its own."""
    names = {
        name
        for kind in model.__mro__
        if kind.__module__.startswith("mofonon")
        for name in inspect.get_annotations(kind)
    }
    return {name: field for name, field in model.model_fields.items() if name in names}


class FieldTable(Directive):
    """Fields of pydantic models: name, type, description with its unit and the default."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make one table for each model named, each under its name."""
        found: list[nodes.Node] = []
        for path in self.content:
            module, name = path.rsplit(".", maxsplit=1)
            model: type[BaseModel] = getattr(importlib.import_module(module), name)
            section = nodes.section(ids=[nodes.make_id(name)], names=[name.lower()])
            section += nodes.title(text=name)
            section += text(inspect.getdoc(model).split("\n\n")[0])  # type: ignore[union-attr]
            rows = [
                [literal(key), text(_type_name(field.annotation)), text(_meaning(field))]
                for key, field in _own_fields(model).items()
            ]
            section += make_table(["field", "type", "meaning"], rows, [25, 20, 55])
            found.append(section)
        return found


class ErrorTable(Directive):
    """The types of mofonon.errors and what each says."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Make the table, a row a type in the order of the module."""
        errors = importlib.import_module("mofonon.errors")
        rows = [
            [
                literal(name),
                literal(kind.__mro__[1].__name__),
                text((inspect.getdoc(kind) or "").split("\n\n")[0]),
            ]
            for name, kind in vars(errors).items()
            if inspect.isclass(kind) and issubclass(kind, errors.MofononError)
        ]
        return [make_table(["error", "kind of", "meaning"], rows, [25, 20, 55])]


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("field-table", FieldTable)
    app.add_directive("error-table", ErrorTable)
    return {"parallel_read_safe": True}
