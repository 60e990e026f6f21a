"""Messages and remedies in the source, as docs/troubleshooting.md lists them."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from mofonon import errors
from mofonon.errors import MofononError
from mofonon.structures.check import IssueCode

DOCS = Path(__file__).parents[2] / "docs"
HOLE = "\u2026"


@pytest.fixture(scope="module")
def messages():
    if importlib.util.find_spec("docutils") is None:
        reason = "the directives need Sphinx: pip install '.[docs]'"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    sys.path.insert(0, str(DOCS / "_extensions"))
    try:
        from error_messages import collect_messages
    finally:
        sys.path.remove(str(DOCS / "_extensions"))
    return collect_messages()


def test_every_message_has_a_remedy(messages):
    assert len(messages) > 300
    assert [f"{each.place}: {each.message}" for each in messages if not each.remedy] == []


def test_explained_messages_are_those_of_the_code(messages):
    """The bold messages of the page are beginnings or parts of what the code says."""
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\*\*`([^`]+)`\*\*", page, re.MULTILINE)
    assert len(explained) > 8
    known = [each.message for each in messages]
    assert [one for one in explained if not any(one in message for message in known)] == []


def test_every_error_type_and_check_of_structures_is_found(messages):
    found = {each.kind for each in messages}
    bases = {
        kind.__mro__[1].__name__ for kind in vars(errors).values() if isinstance(kind, type)
    }
    types = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, MofononError) and name not in bases
    }
    raised_as_values = {
        "OverlappingAtomsError",
        "MissingHydrogenError",
        "UnphysicalDensityError",
    }
    assert types - raised_as_values <= found
    assert {f"--allow {code}" for code in IssueCode.__args__} <= found


def test_a_hole_stands_for_what_is_filled_in(messages):
    """The message of a raised error fits what was read from the source."""
    from mofonon.lattice.settings import parse_supercell

    with pytest.raises(MofononError) as raised:
        parse_supercell([1, 2])
    patterns = [
        re.escape(each.message).replace(re.escape(HOLE), ".+")
        for each in messages
        if each.kind == type(raised.value).__name__
    ]
    assert any(re.fullmatch(pattern, raised.value.message) for pattern in patterns)
