"""Fixtures for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.reference import reference_folder


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder with the paper's data."""
    return reference_folder()


@pytest.fixture(scope="session", autouse=True)
def _own_folders_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Do the same for fixtures that live longer than a test."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("session")
        patch.setenv("MOFONON_STORE", str(folder / "store"))
        patch.setenv("MOFONON_CHECKPOINTS", str(folder / "checkpoints"))
        patch.delenv("JOBFLOW_CONFIG_FILE", raising=False)
        yield


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's store, checkpoints and job configuration out of the tests."""
    monkeypatch.setenv("MOFONON_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MOFONON_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.delenv("JOBFLOW_CONFIG_FILE", raising=False)
