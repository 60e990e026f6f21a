"""The replay set: frames of the foundation's data that keep its head from forgetting.

They are chosen here, before mace starts: given a path, mace ignores its own options of
selection; its farthest point sampling falls back to a random choice with one line in the log
when ``fpsample`` is missing, and pads elements that a structure lacks with 1e11, which swamps
sets of mixed composition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from mofonon.errors import TrainingDataError
from mofonon.potentials import PotentialSpec
from mofonon.potentials.mace_files import fetch_foundation
from mofonon.training.frames import frames_sha256, read_frames
from mofonon.training.spec import REPLAY_NAMES, FineTuneSpec

MPTRJ_URL = (
    "https://github.com/ACEsuit/mace-foundations/releases/download/mace_mp_0b/"
    "mp_traj_combined.xyz"
)


@dataclass(frozen=True)
class ReplaySet:
    """Replay frames, chosen and split.

    Attributes
    ----------
    train, valid : list of Atoms
        Frames to train on and to validate with.
    n_available : int
        Frames that passed the filter.
    method : str
        How they were chosen, for documents.
    """

    train: list[Atoms]
    valid: list[Atoms]
    n_available: int
    method: str

    @property
    def sha256(self) -> str:
        """Hash of all frames."""
        return frames_sha256([*self.train, *self.valid])


def select_replay(
    spec: FineTuneSpec, elements: Sequence[str], foundation: PotentialSpec
) -> ReplaySet:
    """Read, filter, choose and split the replay set.

    Parameters
    ----------
    spec : FineTuneSpec
        Where it is and how to choose.
    elements : sequence of str
        Elements of the new data, for the filter.
    foundation : PotentialSpec
        Model whose invariant descriptors farthest point sampling goes by; its elements are
        those that replay frames may have.

    Raises
    ------
    TrainingDataError
        When fewer frames pass the filter than are asked for, or too few to split.
    """
    frames = filter_frames(read_frames(replay_path(str(spec.replay))), elements, spec)
    wanted = spec.n_replay or len(frames)
    if len(frames) < max(wanted, 2):
        raise TrainingDataError(
            f"{len(frames)} frames of the replay set {spec.replay} pass the filter "
            f"{spec.replay_filter!r}, fewer than the {max(wanted, 2)} needed",
            "mace would fill up at random: ask for fewer, or choose another filter",
        )
    method = f"all {len(frames)} frames"
    if wanted < len(frames):
        if spec.replay_selection == "fps":
            chosen = farthest_frames(frames, wanted, foundation)
        else:
            rng = np.random.default_rng(spec.seed)
            chosen = sorted(rng.choice(len(frames), wanted, replace=False).tolist())
        method = f"{wanted} of {len(frames)} frames by {spec.replay_selection}"
        selected = [frames[i] for i in chosen]
    else:
        selected = frames
    train, valid = split_replay(selected, spec)
    return ReplaySet(train, valid, len(frames), method)


def filter_frames(
    frames: Sequence[Atoms], elements: Sequence[str], spec: FineTuneSpec
) -> list[Atoms]:
    """Frames whose elements pass the filter of a spec, as mace defines them."""
    mine = set(elements)

    def passes(frame: Atoms) -> bool:
        found = set(frame.get_chemical_symbols())
        return {
            "none": True,
            "combinations": found <= mine,
            "exclusive": found == mine,
            "inclusive": mine <= found,
        }[spec.replay_filter]

    return [frame for frame in frames if passes(frame)]


def farthest_frames(
    frames: Sequence[Atoms], n_samples: int, foundation: PotentialSpec
) -> list[int]:
    """Choose frames by farthest point sampling of the foundation's descriptors."""
    from mofonon.structures.descriptors import describe_frames
    from mofonon.structures.farthest_point import farthest_point_sampling
    from mofonon.structures.fingerprints import FingerprintSpec

    points = describe_frames(frames, FingerprintSpec(potential=foundation))[:, 0]
    chosen = farthest_point_sampling(points, n_samples).indices.tolist()
    if len(chosen) < n_samples:
        raise TrainingDataError(
            f"only {len(chosen)} of {n_samples} replay frames asked for differ from each other",
            "ask for fewer",
        )
    return [int(index) for index in chosen]


def split_replay(
    frames: Sequence[Atoms], spec: FineTuneSpec
) -> tuple[list[Atoms], list[Atoms]]:
    """Set a random part of the replay frames aside for validation, at least one."""
    rng = np.random.default_rng([spec.seed, 1])
    order = rng.permutation(len(frames)).tolist()
    n_valid = max(1, round(spec.replay_valid_fraction * len(frames)))
    valid, train = sorted(order[:n_valid]), sorted(order[n_valid:])
    if not train:
        raise TrainingDataError(
            f"{len(frames)} replay frames leave none to train on", "give more"
        )
    return [frames[i] for i in train], [frames[i] for i in valid]


def replay_path(name: str) -> Path:
    """Path of a replay set; ``mp`` is downloaded into mace's cache once.

    Raises
    ------
    TrainingDataError
        When there is no such file.
    PotentialFileError
        When it cannot be downloaded.
    """
    if name not in REPLAY_NAMES:
        if not Path(name).is_file():
            raise TrainingDataError(
                f"there is no replay set {name}", "give an extxyz file, or mp for MPtrj"
            )
        return Path(name)
    return fetch_foundation("mp", MPTRJ_URL, what="replay set")
