"""Every shell block of the documentation runs as it is written, in its reader's place."""

import os
import sys
from pathlib import Path

import pytest

from integration.conftest import command_environment
from support.pages import NOT_RUN, PAGES, Reader, blocks

pytestmark = pytest.mark.slow

#: Run by other tests, on a real SLURM and MongoDB.
ELSEWHERE = {"docs/how-to/cluster.md": "test_documentation_cluster.py"}


def shell_blocks(page: str) -> list[str]:
    """The shell blocks of a page, without the lines that are not run."""
    return [
        "\n".join(
            line for line in block.splitlines() if line.split("  #")[0].rstrip() not in NOT_RUN
        )
        for found, block in blocks("bash")
        if found == page
    ]


def test_every_page_with_a_shell_block_is_run():
    assert {page for page, _ in blocks("bash")} == set(PAGES) | set(ELSEWHERE)


@pytest.mark.parametrize("page", PAGES)
def test_the_shell_blocks_of_a_page_run(page, tmp_path, standin):
    folder = tmp_path / "reader"
    folder.mkdir()
    environment = command_environment(
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        MOFONON_STORE=str(tmp_path / ".store"),
        MOFONON_MODELS=str(tmp_path / ".models"),
        **standin.environment,
    )
    reader = Reader(folder, environment)
    PAGES[page](reader)
    for block in shell_blocks(page):
        assert reader.run(block) or not block.strip()
    for written in reader.replaced:
        assert any(written in block for block in shell_blocks(page)), written
