"""Documents of the dataset stage; every field says its unit."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mofonon.dft.schemas import LabelFrame, Origin, UnlabelledFrame
from mofonon.dynamics.settings import DynamicsSettings
from mofonon.potentials import PotentialDescription
from mofonon.provenance import utc_now
from mofonon.structures.fingerprints import FingerprintSpec

SplitName = Literal["random", "fps", "by-mof"]
"""How frames are split: at random, by farthest points, or whole MOFs."""

Part = Literal["train", "valid", "test"]

PARTS: tuple[Part, ...] = ("train", "valid", "test")


class Reached(BaseModel):
    """A mean of molecular dynamics against what was asked for."""

    target: float = Field(description="Asked for.")
    mean: float = Field(description="Mean over the equilibrated part.")
    error: float = Field(description="Its standard error, from blocks.")
    error_known: bool = Field(
        description="Whether the error had stopped growing with the length of blocks; if not, "
        "it is too small, and the trajectory too short."
    )

    @property
    def deviation(self) -> float:
        """Distance from the target in standard errors."""
        return abs(self.mean - self.target) / self.error if self.error > 0 else 0.0


class DynamicsSummary(BaseModel):
    """What molecular dynamics did."""

    settings: DynamicsSettings = Field(description="Ensemble, length, time constants.")
    state: Literal["complete", "exploded"] = Field(description="Whether it came to its end.")
    reason: str = Field(description="What was seen when it exploded, and when.")
    n_samples: int = Field(description="Samples, without those after an explosion.")
    time: float = Field(description="Time of the last sample (fs).")
    equilibrated_from: float = Field(
        description="Time from which it is taken as equilibrated (fs)."
    )
    temperature: Reached = Field(description="Temperature (K).")
    pressure: Reached | None = Field(description="Pressure (GPa); None without a barostat.")
    mean_volume: float = Field(description="Mean volume of the equilibrated part (A^3).")
    drift: float = Field(description="Drift of the conserved quantity (eV per atom and ps).")


class SampleDoc(BaseModel):
    """Structures of one MOF that are to be labelled, of one sampler."""

    state: Literal["successful", "exploded"] = Field(
        "successful",
        description="successful; exploded when a trajectory was cut before its end.",
    )
    mof_id: str = Field(description="Name of the MOF.")
    input_hash: str = Field(description="Hash of the structure sampled from.")
    origin: Origin = Field(description="eos, md, relax or rattle.")
    frames: list[UnlabelledFrame] = Field(description="The structures; in the data store.")
    n_frames: int = Field(description="Their number.")
    n_candidates: int = Field(description="Structures that they were chosen from.")
    n_cut: int = Field(0, description="Frames left out as exploded.")
    dynamics: DynamicsSummary | None = Field(None, description="Of origin md.")
    potential: PotentialDescription | None = Field(
        None, description="The potential of trajectories; None where none was used."
    )
    fingerprint: dict[str, Any] | None = Field(
        None, description="Identity of the fingerprint that frames were chosen by."
    )
    settings: dict[str, Any] = Field(description="Settings of the sampler.")
    warnings: list[str] = Field(default_factory=list, description="What a user should know.")
    notice: str | None = Field(None, description="Set when a stand-in is behind it.")
    seconds: float = Field(description="Wall time (s).")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")


class DatasetSettings(BaseModel):
    """How a dataset is made of labelled frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fractions: tuple[float, float, float] = Field(
        (0.85, 0.075, 0.075), description="Shares of train, valid and test."
    )
    seed: int = Field(0, ge=0, description="Of the random and the by-MOF split.")
    fingerprint: FingerprintSpec = Field(
        default_factory=lambda: FingerprintSpec.from_name("demo"),
        description="Descriptors of the FPS split and of the leak reports.",
    )
    max_relax_frames: int = Field(
        10, ge=1, description="Most frames of one relaxation, chosen by farthest points."
    )
    drop_quarantined: bool = Field(True, description="Leave quarantined frames out.")


class LeakReport(BaseModel):
    """How near the frames of valid and test are to those of train."""

    near_distance: float = Field(
        description="Median distance of a frame to the nearest other frame of its MOF; a frame "
        "nearer than this to a training frame is near."
    )
    n_test: int = Field(description="Frames of valid and test.")
    n_same_mof: int = Field(description="Those of a MOF that is also in train.")
    n_near: int = Field(description="Those nearer than near_distance to a frame of train.")
    n_identical: int = Field(description="Those at no distance from a frame of train.")
    percentiles: dict[str, float] = Field(
        description="Percentiles of the distance to the nearest frame of train."
    )
    distances: list[float] = Field(
        description="Distance of each frame of valid and test to the nearest of train, in "
        "their order."
    )
    nearest: list[int] = Field(description="Index of that frame.")

    @property
    def clean(self) -> bool:
        """Whether nothing of valid and test is known from train."""
        return self.n_same_mof == self.n_near == self.n_identical == 0


class LeakCounts(BaseModel):
    """A leak report in short."""

    n_test: int = Field(description="Frames of valid and test.")
    n_same_mof: int = Field(description="Those of a MOF that is also in train.")
    n_near: int = Field(description="Those near a frame of train.")
    n_identical: int = Field(description="Those at no distance from a frame of train.")
    near_distance: float = Field(description="What counts as near.")
    median_distance: float = Field(description="Median distance to the nearest of train.")


class Split(BaseModel):
    """Frames shared out to train, valid and test."""

    name: SplitName = Field(description="random, fps or by-mof.")
    train: list[int] = Field(description="Indices of frames.")
    valid: list[int] = Field(description="Indices of frames.")
    test: list[int] = Field(description="Indices of frames.")
    leaks: LeakReport = Field(description="How near valid and test are to train.")

    def part(self, name: Part) -> list[int]:
        """Give the indices of one part."""
        found: list[int] = getattr(self, name)
        return found


class Range(BaseModel):
    """Smallest, mean and largest of a quantity."""

    lowest: float = Field(description="Smallest.")
    mean: float = Field(description="Mean.")
    highest: float = Field(description="Largest.")


class DatasetCard(BaseModel):
    """What is in a dataset, for its users."""

    name: str = Field(description="Name of the dataset.")
    description: str = Field("", description="In words.")
    licence: str = Field("", description="Licence of the data.")
    n_frames: int = Field(description="Frames.")
    n_atoms: int = Field(description="Atoms in all frames.")
    n_mofs: int = Field(description="MOFs.")
    frames_by_mof: dict[str, int] = Field(description="Frames of each MOF.")
    frames_by_element: dict[str, int] = Field(description="Frames with each element.")
    frames_by_origin: dict[str, int] = Field(description="Frames of each origin.")
    frames_by_split: dict[str, dict[str, int]] = Field(description="Frames by split and part.")
    energy_per_atom: Range = Field(description="Energies (eV/atom).")
    force: Range = Field(description="Lengths of forces (eV/A).")
    pressure: Range | None = Field(
        description="Minus a third of the trace of the stress (GPa); None without stress."
    )
    n_with_stress: int = Field(description="Frames with stress.")
    energy_cutoffs: list[float] = Field(
        description="Plane-wave cutoffs of the labels (eV), all that occur."
    )
    labels: list[str] = Field(description="Programs and functionals that made the labels.")
    isolated_atom_energies: dict[str, float] = Field(
        description="E0s by element (eV): fitted or given."
    )
    isolated_atom_source: str = Field(description="Where the E0s are from.")
    notices: list[str] = Field(description="Stand-ins behind labels.")
    software: dict[str, str] = Field(description="Package versions.")


class DatasetDoc(BaseModel):
    """A dataset: labelled frames, their splits, what is in it."""

    state: Literal["successful"] = Field("successful", description="A failure raises.")
    name: str = Field(description="Name of the dataset.")
    calculation_id: str = Field(
        description="Hash of frames and settings: equal datasets have equal ids."
    )
    frames: list[LabelFrame] = Field(description="The frames; in the data store.")
    frame_ids: list[str] = Field(
        description="Hash of each frame: configuration, energy and forces; in the data store."
    )
    splits: list[Split] = Field(description="The splits; in the data store.")
    n_frames: int = Field(description="Frames.")
    n_quarantined: int = Field(description="Frames left out as quarantined.")
    n_duplicates: int = Field(description="Frames left out as identical to others.")
    n_thinned: int = Field(description="Frames of relaxations left out by farthest points.")
    card: DatasetCard = Field(description="What is in it.")
    leaks: dict[str, LeakCounts] = Field(description="Leak report of each split, in short.")
    settings: DatasetSettings = Field(description="How it was made.")
    sources: list[str] = Field(description="Files and documents that frames came from.")
    notice: str | None = Field(None, description="Set when a stand-in is behind labels.")
    warnings: list[str] = Field(default_factory=list, description="What a user should know.")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")

    def split(self, name: str) -> Split:
        """Give a split by its name.

        Raises
        ------
        DatasetError
            There is none.
        """
        from mofonon.errors import DatasetError

        for split in self.splits:
            if split.name == name:
                return split
        raise DatasetError(
            f"the dataset {self.name} has no split {name!r}",
            f"use one of {', '.join(split.name for split in self.splits)}",
        )

    def part(self, split: str, part: Part) -> list[LabelFrame]:
        """Give the frames of one part of a split."""
        return [self.frames[index] for index in self.split(split).part(part)]
