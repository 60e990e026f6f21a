"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder with the paper's data: MOFONON_REFERENCE, or beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "reference"
    folder = Path(os.environ.get("MOFONON_REFERENCE", beside))
    if not (folder / "curated-127").is_dir():
        reason = f"no reference data in {folder}: set MOFONON_REFERENCE to their folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's store, checkpoints and job configuration out of the tests."""
    monkeypatch.setenv("MOFONON_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MOFONON_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.delenv("JOBFLOW_CONFIG_FILE", raising=False)
