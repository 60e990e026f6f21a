"""Every shell block of the documentation runs as it is written, in its reader's place."""

import re

import pytest

from support.pages import NOT_RUN, PAGES, REPOSITORY, Reader, reader_environment

pytestmark = pytest.mark.slow

#: Run by other tests, on a real SLURM and MongoDB.
ELSEWHERE = {"docs/how-to/cluster.md": "test_documentation_cluster.py"}
_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def shell_blocks(page: str) -> list[str]:
    """The shell blocks of a page, without the lines that are not run."""
    blocks = _BLOCK.findall((REPOSITORY / page).read_text())
    return [
        "\n".join(
            line for line in block.splitlines() if line.split("  #")[0].rstrip() not in NOT_RUN
        )
        for block in blocks
    ]


def test_every_page_with_a_shell_block_is_run():
    pages = [
        "README.md",
        *(
            str(p.relative_to(REPOSITORY))
            for p in (REPOSITORY / "docs").rglob("*.md")
            if "_build" not in p.parts
        ),
    ]
    with_blocks = {page for page in pages if _BLOCK.search((REPOSITORY / page).read_text())}
    assert with_blocks == set(PAGES) | set(ELSEWHERE)


@pytest.mark.parametrize("page", PAGES)
def test_the_shell_blocks_of_a_page_run(page, tmp_path, standin):
    folder = tmp_path / "reader"
    folder.mkdir()
    environment = reader_environment(tmp_path) | standin.environment
    reader = Reader(folder, environment)
    PAGES[page](reader)
    for block in shell_blocks(page):
        reader.run(block)
    for written in reader.replaced:
        assert any(written in block for block in shell_blocks(page)), written
