"""Reading a campaign file: plain YAML only, and errors that name the line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from mofonon.errors import CampaignError, MofononError
from mofonon.provenance import content_hash

if TYPE_CHECKING:
    from mofonon.campaign.schema import CampaignSpec

#: Packages whose Makers and calculators a campaign file may name.
TRUSTED_PACKAGES = ("mofonon", "atomate2", "ase", "tblite")


class _PlainLoader(yaml.SafeLoader):
    """Safe loader that refuses a key given twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Make a dictionary; a key given twice is an error, not the last one."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_campaign(path: Path, allowed_imports: Iterable[str] = ()) -> CampaignSpec:
    """Read and validate a campaign file.

    Parameters
    ----------
    path : Path
        YAML. Paths in it are relative to its folder. YAML tags that make objects are refused.
    allowed_imports : iterable of str
        Packages, beside :data:`TRUSTED_PACKAGES`, that import paths in the file may name.

    Raises
    ------
    CampaignError
        When it cannot be read or is not valid: every problem with its line and the remedy.
    """
    from mofonon.campaign.schema import CampaignSpec

    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader
        lines = _lines(yaml.compose(text, Loader=_PlainLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise CampaignError(f"{path} cannot be read: {error}", "check the path") from error
    except yaml.YAMLError as error:
        raise CampaignError(
            f"{path}{_mark(error)} is not plain YAML: {_problem(error)}",
            "correct the line; objects of Python (!!python/...) are not allowed",
        ) from error
    if not isinstance(content, dict):
        raise CampaignError(f"{path} holds no campaign", "see: mofonon campaign schema")
    try:
        context = {"folder": path.resolve().parent}
        spec = CampaignSpec.model_validate(content, context=context)
    except ValidationError as error:
        raise _invalid(path, error, lines) from None
    except MofononError as error:
        raise CampaignError(f"{path}: {error.message}", error.remedy) from error
    check_imports(spec, allowed_imports)
    return spec


def check_imports(spec: CampaignSpec, allowed: Iterable[str]) -> None:
    """Refuse import paths of packages that nobody allowed.

    Raises
    ------
    CampaignError
        Naming the import path and the option that allows it.
    """
    packages = {*TRUSTED_PACKAGES, *allowed}
    for place, import_path in spec.import_paths():
        package = import_path.split(":", maxsplit=1)[0].split(".", maxsplit=1)[0]
        if package not in packages:
            raise CampaignError(
                f"{place} names {import_path}: code of {package} would run",
                f"if you trust it, give --allow-import {package}",
            )


def campaign_hash(spec: CampaignSpec) -> str:
    """Hash of everything the file says."""
    return content_hash(spec.model_dump(mode="json"))


def _lines(node: Any) -> dict[tuple[Any, ...], int]:
    """Line number of each place in a YAML document."""
    found: dict[tuple[Any, ...], int] = {}

    def visit(node: Any, place: tuple[Any, ...], line: int) -> None:
        found[place] = line
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                visit(value, (*place, key.value), key.start_mark.line + 1)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                visit(value, (*place, index), value.start_mark.line + 1)

    visit(node, (), 1)
    return found


def _invalid(
    path: Path, error: ValidationError, lines: dict[tuple[Any, ...], int]
) -> CampaignError:
    problems = []
    for problem in error.errors():
        place = tuple(problem["loc"])
        known = place
        while known not in lines and known:
            known = known[:-1]
        name = ".".join(str(part) for part in place)
        message = _explained(problem)
        problems.append(f"{path}:{lines.get(known, 1)}: {name}: {message}")
    return CampaignError(
        "\n".join(dict.fromkeys(problems)), "the allowed fields: mofonon campaign schema"
    )


def _explained(problem: Any) -> str:
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind == "missing":
        return "this field must be given"
    message = str(problem["msg"]).removeprefix("Value error, ")
    plain = isinstance(given, str | int | float | bool) or given is None
    return f"{message}, not {given!r}" if plain else message


def _mark(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]
