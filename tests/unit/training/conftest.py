"""A data set and one small fine-tuned model for all tests of the training stage."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from mofonon.training import FineTuneMaker, PotentialDoc
from mofonon.training.flows import run_training
from mofonon.training.prepare import PreparedTraining
from support.labelled import small_spec, write_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train, valid, test and replay frames of Zn(CN)2."""
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@dataclass
class Trained:
    """A training that came to its end."""

    prepared: PreparedTraining
    doc: PotentialDoc
    models: Path


@pytest.fixture(scope="session")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Four epochs of multi-head fine-tuning by mace itself."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOFONON_CHECKPOINTS", str(home / "checkpoints"))
        patch.setenv("MOFONON_MODELS", str(home / "models"))
        maker = FineTuneMaker(name="tiny", spec=small_spec(dataset))
        prepared = maker.prepare(dataset)
        return Trained(prepared, run_training(prepared, maker.name), home / "models")
