"""What a training needs before mace starts: frames, foundation, energies, folder, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.data import atomic_numbers

from mofonon.dataset.schemas import DatasetDoc
from mofonon.errors import TrainingDataError
from mofonon.potentials import (
    PotentialDescription,
    PotentialSpec,
    check_elements,
    describe_potential,
)
from mofonon.potentials.mace_files import load_mace, model_path
from mofonon.provenance import content_hash
from mofonon.settings import get_settings
from mofonon.training.effective import ExpectedSettings
from mofonon.training.frames import (
    PARTS,
    TrainingSet,
    elements_of,
    fitted_energies,
    frames_sha256,
    has_stress,
    normalise_frames,
    read_frames,
    write_frames,
)
from mofonon.training.launch import Launch
from mofonon.training.mace_config import TrainingFiles, check_energies, mace_config
from mofonon.training.mace_files import head_energies
from mofonon.training.replay import ReplaySet, select_replay
from mofonon.training.run import TrainingFolder
from mofonon.training.spec import ONLY_HEAD, REPLAY_HEAD, FineTuneSpec

#: A dataset document, frames by part, a TrainingSet, or a folder with train.extxyz,
#: valid.extxyz and test.extxyz.
DataSet = DatasetDoc | TrainingSet | str | Path | Mapping[str, Any]


@dataclass(frozen=True)
class LabelledParts:
    """Frames of a data set by part, and where they are from."""

    parts: dict[str, list[Atoms]]
    dataset_id: str | None = None
    notice: str | None = None

    @classmethod
    def load(cls, dataset: DataSet, split: str = "random") -> LabelledParts:
        """Read a data set.

        Parameters
        ----------
        dataset : DatasetDoc, TrainingSet, path or mapping
            The data.
        split : str
            Split of a DatasetDoc: random, fps or by-mof.

        Raises
        ------
        TrainingDataError
            When frames to train on or to validate with are missing, or labels are incomplete.
        """
        if isinstance(dataset, Mapping) and "splits" in dataset:
            dataset = DatasetDoc.model_validate(dataset)
        if isinstance(dataset, DatasetDoc):
            return cls._of_document(dataset, split)
        if isinstance(dataset, Mapping) and "train" in dataset:
            dataset_id, notice = dataset.get("dataset_id"), dataset.get("notice")
            if isinstance(dataset["train"], str | Path):
                return cls.load(TrainingSet(**dataset))
            parts = {
                part: normalise_frames(dataset[part], part)
                for part in ("train", "valid", "test")
                if dataset.get(part)
            }
        else:
            files = (
                dataset
                if isinstance(dataset, TrainingSet)
                else TrainingSet.from_folder(str(dataset))
            )
            dataset_id, notice = files.dataset_id, files.notice
            parts = {"train": read_frames(files.train), "valid": read_frames(files.valid)}
            if files.test is not None:
                parts["test"] = read_frames(files.test)
        missing = [part for part in ("train", "valid") if part not in parts]
        if missing:
            raise TrainingDataError(
                f"the data set has no frames in {' and '.join(missing)}",
                "split it into train, valid and test",
            )
        notice = notice or next(
            (str(f.info["notice"]) for f in parts["train"] if f.info.get("notice")), None
        )
        return cls(parts, dataset_id, notice)

    @classmethod
    def _of_document(cls, doc: DatasetDoc, split: str) -> LabelledParts:
        parts: dict[str, Any] = {part: doc.part(split, part) for part in PARTS}
        mapping = {"dataset_id": doc.calculation_id, "notice": doc.notice}
        return cls.load({**parts, **mapping})

    @property
    def elements(self) -> list[str]:
        """Elements of all frames."""
        return elements_of(frame for frames in self.parts.values() for frame in frames)


@dataclass(frozen=True)
class Foundation:
    """The model that a training starts from."""

    spec: PotentialSpec
    path: Path
    description: PotentialDescription
    energies: dict[str, float]

    @classmethod
    def load(cls, name: str, head: str | None, dtype: str) -> Foundation:
        """Find a foundation and its E0s (eV).

        Raises
        ------
        PotentialError
            When it is no MACE model, or has several heads and none was named: mace would
            silently take the first.
        """
        spec = PotentialSpec.from_name(name, head=head, dtype=dtype)
        if spec.family not in ("mace", "demo"):
            raise TrainingDataError(
                f"{name} is no MACE model", "only MACE models can be fine-tuned here"
            )
        description = describe_potential(spec)
        path = model_path(spec.model, spec.family)
        energies = head_energies(load_mace(path, "cpu"))[str(description.head)]
        return cls(spec, path.resolve(), description, energies)


@dataclass(frozen=True)
class PreparedTraining:
    """A training ready to start.

    Attributes
    ----------
    training_id : str
        Hash of everything that decides the result.
    folder : TrainingFolder
        Where it lives.
    config : dict
        Options of mace.
    expected : ExpectedSettings
        What mace must show.
    data : LabelledParts
        New frames.
    replay : ReplaySet or None
        Replay frames.
    foundation : Foundation or None
        What it starts from.
    launch : Launch
        How it is started.
    """

    training_id: str
    folder: TrainingFolder
    config: dict[str, Any]
    expected: ExpectedSettings
    data: LabelledParts
    replay: ReplaySet | None
    foundation: Foundation | None
    launch: Launch


def prepare(
    spec: FineTuneSpec, data: LabelledParts, launch: Launch | None = None
) -> PreparedTraining:
    """Check everything that can be checked before, choose the replay set, write the files.

    Raises
    ------
    TrainingDataError
        When data, replay set or E0s cannot be used.
    UnknownElementError
        When the foundation lacks elements of the data.
    """
    launch = launch or Launch(device=spec.device)
    foundation = replay = None
    if spec.foundation is not None:
        foundation = Foundation.load(spec.foundation, spec.foundation_head, spec.dtype)
        check_elements(data.elements, foundation.description)
        if len(foundation.description.heads) > 1:
            spec = spec.model_copy(update={"foundation_head": foundation.description.head})
        if spec.mode == "multihead":
            replay = select_replay(spec, data.elements, foundation.spec)
            check_elements(elements_of([*replay.train, *replay.valid]), foundation.description)
    elements = _model_elements(spec, data, replay, foundation)
    energies = _energies(spec, data, foundation, elements)
    expected = _expected(spec, data, replay, elements, energies, launch)
    launch.check(expected.valid_frames, sum(expected.train_frames.values()), spec.batch_size)
    training_id = _training_id(spec, data, replay, foundation, launch)
    folder = TrainingFolder(get_settings().checkpoints / "training" / training_id, spec.seed)
    files = _write(folder.path, data, replay, foundation, spec)
    config = mace_config(
        spec,
        files,
        folder.path,
        E0s=None if spec.E0s == "foundation" else energies[spec.target_head],
        stress=expected.stress,
        distributed=launch.distributed,
    )
    return PreparedTraining(
        training_id, folder, config, expected, data, replay, foundation, launch
    )


def _model_elements(
    spec: FineTuneSpec,
    data: LabelledParts,
    replay: ReplaySet | None,
    foundation: Foundation | None,
) -> list[str]:
    """Elements that the model will have, by atomic number."""
    if foundation is not None and spec.keep_elements:
        return list(foundation.description.elements or [])
    frames: Sequence[Atoms] = [*data.parts["train"], *data.parts["valid"]]
    if replay is not None:
        frames = [*frames, *replay.train, *replay.valid]
    return elements_of(frames)


def _energies(
    spec: FineTuneSpec,
    data: LabelledParts,
    foundation: Foundation | None,
    elements: list[str],
) -> dict[str, dict[str, float]]:
    """E0s by head and element (eV)."""
    known = foundation.energies if foundation is not None else {}
    if isinstance(spec.E0s, dict):
        new = dict(spec.E0s)
    elif spec.E0s == "fit":
        new = fitted_energies(data.parts["train"])
    else:
        new = known
    check_energies(new, elements)
    found = {spec.target_head: {e: new[e] for e in elements}}
    if spec.mode == "multihead":
        found[REPLAY_HEAD] = {e: known[e] for e in elements}
    return found


def _expected(
    spec: FineTuneSpec,
    data: LabelledParts,
    replay: ReplaySet | None,
    elements: list[str],
    energies: dict[str, dict[str, float]],
    launch: Launch,
) -> ExpectedSettings:
    head = spec.head if spec.mode == "multihead" else ONLY_HEAD
    train = {head: data.parts["train"]}
    valid = {head: data.parts["valid"]}
    if replay is not None:
        train[REPLAY_HEAD], valid[REPLAY_HEAD] = replay.train, replay.valid
    with_stress = {name: has_stress(frames) for name, frames in {**train}.items()}
    if len(set(with_stress.values())) > 1:
        lacking = next(name for name, there in with_stress.items() if not there)
        raise TrainingDataError(
            f"the frames of head {lacking} have no stress, those of the other have",
            "label both with stresses, or neither",
        )
    return ExpectedSettings(
        spec=spec,
        stress=all(with_stress.values()),
        elements=[atomic_numbers[e] for e in elements],
        train_frames={name: len(frames) for name, frames in train.items()},
        valid_frames={name: len(frames) for name, frames in valid.items()},
        energies=energies,
        world_size=launch.world_size,
    )


def _training_id(
    spec: FineTuneSpec,
    data: LabelledParts,
    replay: ReplaySet | None,
    foundation: Foundation | None,
    launch: Launch,
) -> str:
    left_out = {"foundation", "replay", "device"}  # by hash; and where it runs
    return content_hash(
        {
            "spec": spec.model_dump(mode="json", exclude=left_out),
            "data": {part: frames_sha256(frames) for part, frames in data.parts.items()},
            "replay": replay.sha256 if replay is not None else None,
            "foundation": foundation.description.identity if foundation is not None else None,
            "world_size": launch.world_size,
            "mace": version("mace-torch"),
        }
    )


def _write(
    folder: Path,
    data: LabelledParts,
    replay: ReplaySet | None,
    foundation: Foundation | None,
    spec: FineTuneSpec,
) -> TrainingFiles:
    def file(name: str, frames: list[Atoms], weight: float = 1.0) -> Path:
        path = folder / "data" / f"{name}.extxyz"
        # named by content through the folder, so that a file that is there is the same
        return path if path.is_file() else write_frames(path, frames, weight=weight)

    return TrainingFiles(
        train=file("train", data.parts["train"]),
        valid=file("valid", data.parts["valid"]),
        replay_train=file("replay", replay.train, spec.replay_weight) if replay else None,
        replay_valid=file("replay-valid", replay.valid) if replay else None,
        foundation=foundation.path if foundation is not None else None,
    )
