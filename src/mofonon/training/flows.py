"""The job that trains a MACE potential."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobflow import Maker, job

from mofonon.arrays import EncodedArray
from mofonon.training.launch import Launch
from mofonon.training.prepare import DataSet, LabelledParts, PreparedTraining, prepare
from mofonon.training.schemas import PotentialDoc
from mofonon.training.spec import FineTuneSpec


@dataclass
class FineTuneMaker(Maker):
    """Fine-tune a MACE foundation on labelled frames, and say how good it became.

    Run again after a kill, it goes on where it was; a finished training is not repeated.

    Parameters
    ----------
    name : str
        Name of the job, and of the model.
    spec : FineTuneSpec
        Foundation, replay set, settings; the defaults are the paper's.
    launch : Launch
        Processes; one by default.
    with_dispersion : bool
        Whether the labels contain dispersion (the paper's do): then none is added to the
        potential in calculations.
    split : str
        Split of a DatasetDoc: random, fps or by-mof.

    Examples
    --------
    >>> maker = FineTuneMaker(spec=FineTuneSpec(foundation="demo", replay="replay.extxyz"))
    >>> maker.spec.forces_weight
    10.0
    """

    name: str = "fine-tune"
    spec: FineTuneSpec = field(default_factory=lambda: FineTuneSpec(replay="mp"))
    launch: Launch = field(default_factory=Launch)
    with_dispersion: bool = True
    split: str = "random"

    @job(data=[EncodedArray], output_schema=PotentialDoc)
    def make(self, dataset: DataSet, prev_dir: str | None = None) -> PotentialDoc:
        """Train.

        Parameters
        ----------
        dataset : DatasetDoc, TrainingSet, path or dict
            A document of the dataset stage, of which ``split`` is taken; files; a folder with
            ``train.extxyz``, ``valid.extxyz`` and ``test.extxyz``; or lists of labelled frames
            (``LabelFrame`` or ASE Atoms) under these names, with ``dataset_id`` and ``notice``
            where they have them.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.

        Raises
        ------
        TrainingMismatchError
            When mace did something else than it was told.
        TrainingInterrupted
            On SIGTERM; the same job run again goes on.
        """
        del prev_dir
        return run_training(self.prepare(dataset), self.name, self.with_dispersion)

    def prepare(self, dataset: DataSet) -> PreparedTraining:
        """Check data and settings and write the files, without starting mace."""
        return prepare(self.spec, LabelledParts.load(dataset, self.split), self.launch)


def run_training(
    prepared: PreparedTraining, name: str, with_dispersion: bool = True
) -> PotentialDoc:
    """Train what was prepared and make its document."""
    from mofonon.training.documents import potential_document
    from mofonon.training.run import train

    run = train(prepared.folder, prepared.config, prepared.expected, prepared.launch)
    return potential_document(prepared, run, name, with_dispersion=with_dispersion)
