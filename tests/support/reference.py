"""The paper's data, which are beside the repository and never in it."""

import os
from pathlib import Path

import pytest


def reference_folder() -> Path:
    """Folder with the paper's data: MOFONON_REFERENCE, or beside the repository."""
    beside = Path(__file__).parents[3] / "shared" / "reference"
    folder = Path(os.environ.get("MOFONON_REFERENCE", beside))
    if not (folder / "curated-127").is_dir():
        reason = f"no reference data in {folder}: set MOFONON_REFERENCE to their folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
