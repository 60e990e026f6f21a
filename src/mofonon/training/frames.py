"""Labelled frames as mace reads them: extxyz files with mace's keys, checked on the way in.

``REF_energy`` (eV), ``REF_forces`` (eV/A) and ``REF_stress`` (eV/A^3, ASE sign, nine numbers).
mace gives a frame without one of them the weight zero and says so only by a count in its log;
here a frame without energy or forces is an error, and stresses are all there or none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field

from mofonon.errors import TrainingDataError

ENERGY, FORCES, STRESS = "REF_energy", "REF_forces", "REF_stress"

#: What mace gives the weight of a frame in the loss by; its ``config_weight`` has no effect.
FRAME_WEIGHTS = ("config_energy_weight", "config_forces_weight", "config_stress_weight")

PARTS: tuple[Literal["train", "valid", "test"], ...] = ("train", "valid", "test")


class TrainingSet(BaseModel):
    """Files of a data set to train on; what a dataset stage or a user hands over."""

    model_config = ConfigDict(extra="forbid")

    train: Path = Field(description="extxyz file of the frames to train on.")
    valid: Path = Field(description="extxyz file of the frames that checkpoints go by.")
    test: Path | None = Field(None, description="extxyz file of the frames held out.")
    dataset_id: str | None = Field(None, description="Document that the files were made of.")
    notice: str | None = Field(None, description="Set when a stand-in made the labels.")

    @classmethod
    def from_folder(cls, folder: Path | str) -> TrainingSet:
        """Take ``train``, ``valid`` and (if there) ``test``, ``.extxyz`` or ``.xyz``.

        Raises
        ------
        TrainingDataError
            When one of the first two is absent.
        """
        found: dict[str, Path] = {}
        for part in PARTS:
            for suffix in (".extxyz", ".xyz"):
                path = Path(folder) / f"{part}{suffix}"
                if path.is_file():
                    found.setdefault(part, path.resolve())
        missing = [part for part in PARTS[:2] if part not in found]
        if missing:
            raise TrainingDataError(
                f"{folder} has no {' and no '.join(f'{part}.extxyz' for part in missing)}",
                "give a folder with train.extxyz, valid.extxyz and, for the errors of held-out "
                "frames, test.extxyz",
            )
        return cls(**found)


def read_frames(path: Path | str) -> list[Atoms]:
    """Read labelled frames; labels of a calculator are moved to mace's keys.

    Raises
    ------
    TrainingDataError
        When the file cannot be read, is empty, or a frame lacks labels.
    """
    import ase.io

    try:
        frames = ase.io.read(str(path), index=":")
    except Exception as error:  # ASE's readers raise a dozen kinds
        raise TrainingDataError(
            f"{path} cannot be read as labelled frames: {type(error).__name__}: {error}",
            "give an extxyz file with REF_energy, REF_forces and REF_stress",
        ) from error
    return normalise_frames(frames if isinstance(frames, list) else [frames], str(path))


def normalise_frames(frames: Iterable[Any], source: str) -> list[Atoms]:
    """Bring frames to mace's keys and check them.

    Parameters
    ----------
    frames : iterable of Atoms or of labelled frames with ``to_atoms``
        With mace's keys, or labels in a calculator.
    source : str
        Where they are from, for messages.

    Raises
    ------
    TrainingDataError
        When there are none, a label is missing or not finite, or stresses are incomplete.
    """
    done = [
        _normalised(frame if isinstance(frame, Atoms) else frame.to_atoms(), number, source)
        for number, frame in enumerate(frames)
    ]
    if not done:
        raise TrainingDataError(f"{source} holds no frames", "give at least one")
    with_stress = sum(STRESS in frame.info for frame in done)
    if 0 < with_stress < len(done):
        raise TrainingDataError(
            f"{source}: {len(done) - with_stress} of {len(done)} frames have no stress",
            "mace would leave the stress of these out without a word: label all or none",
        )
    return done


def has_stress(frames: Sequence[Atoms]) -> bool:
    """Whether frames are labelled with stresses (all of them, as checked on reading)."""
    return all(STRESS in frame.info for frame in frames)


def _normalised(frame: Atoms, number: int, source: str) -> Atoms:
    """Copy of a frame with nothing but the labels and plain information."""
    left_out = (ENERGY, STRESS, "config_weight")
    info = {k: v for k, v in frame.info.items() if k not in left_out}
    results = dict(frame.calc.results) if frame.calc is not None else {}
    energy = frame.info.get(ENERGY, results.get("energy"))
    forces = frame.arrays.get(FORCES, results.get("forces"))
    stress = frame.info.get(STRESS, results.get("stress"))
    where = f"{source}: frame {number + 1} ({frame.get_chemical_formula()})"
    if energy is None or forces is None:
        lacking = "energy" if energy is None else "forces"
        raise TrainingDataError(
            f"{where} has no {lacking}", f"label it with {ENERGY} and {FORCES}"
        )
    if info.get("config_type") == "IsolatedAtom":
        raise TrainingDataError(
            f"{where} is marked IsolatedAtom, by which mace replaces the E0s of the head",
            "leave it out and give its energy in E0s",
        )
    if float(frame.info.get("config_weight", 1.0)) != 1:
        raise TrainingDataError(
            f"{where} has a config_weight other than 1, which has no effect in mace",
            f"use {', '.join(FRAME_WEIGHTS)}",
        )
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
    atoms.info = info | {ENERGY: float(energy)}
    atoms.arrays[FORCES] = np.asarray(forces, float).reshape(len(frame), 3)
    if stress is not None:
        atoms.info[STRESS] = full_stress(stress).ravel()
    labels = [atoms.info[ENERGY], atoms.arrays[FORCES], atoms.info.get(STRESS, 0.0)]
    if not all(np.isfinite(label).all() for label in labels):
        raise TrainingDataError(f"{where} has labels that are not finite", "leave it out")
    return atoms


def full_stress(stress: Any) -> np.ndarray:
    """Stress as a 3x3 matrix (eV/A^3), from 6 (Voigt), 9 or 3x3 numbers."""
    from ase.stress import voigt_6_to_full_3x3_stress

    values = np.asarray(stress, float)
    return voigt_6_to_full_3x3_stress(values) if values.size == 6 else values.reshape(3, 3)


def write_frames(path: Path, frames: Sequence[Atoms], *, weight: float = 1.0) -> Path:
    """Write frames for mace; the file is there as a whole or not at all.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    frames : sequence of Atoms
        As :func:`read_frames` gives them.
    weight : float
        Weight of each frame in the loss, times the weights that it has.
    """
    import ase.io

    copies = []
    for frame in frames:
        copy = frame.copy()
        if weight != 1:
            for key in FRAME_WEIGHTS:
                copy.info[key] = weight * float(copy.info.get(key, 1.0))
        copies.append(copy)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    ase.io.write(part, copies, format="extxyz")
    part.replace(path)
    return path


def frames_sha256(frames: Sequence[Atoms]) -> str:
    """Hash of species, cells, positions, labels and weights of frames, in their order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(np.asarray(frame.numbers, "<i4").tobytes())
        for values in (
            frame.cell.array,
            frame.positions,
            frame.arrays[FORCES],
            [frame.info[ENERGY]],
            frame.info.get(STRESS, []),
            [float(frame.info.get(key, 1.0)) for key in FRAME_WEIGHTS],
        ):
            digest.update(np.asarray(values, "<f8").tobytes())
    return digest.hexdigest()


def elements_of(frames: Iterable[Atoms]) -> list[str]:
    """Element symbols of frames, by atomic number."""
    from ase.data import chemical_symbols

    return [chemical_symbols[z] for z in sorted({int(z) for f in frames for z in f.numbers})]


def fitted_energies(frames: Sequence[Atoms]) -> dict[str, float]:
    """Energy of each element (eV) by least squares of the energies over the compositions.

    Energies of isolated atoms are better; with these a model from scratch starts near zero.
    """
    elements = elements_of(frames)
    symbols = [frame.get_chemical_symbols() for frame in frames]
    counts = np.array([[names.count(e) for e in elements] for names in symbols], float)
    energies = np.array([frame.info[ENERGY] for frame in frames])
    size = counts.sum(axis=1)
    solution = np.linalg.lstsq(counts / size[:, None], energies / size, rcond=None)[0]
    return {e: float(x) for e, x in zip(elements, solution, strict=True)}
