"""Selection: structures that span a collection, by farthest points under conditions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mofonon.errors import SelectionError
from mofonon.structures.curation import StructureRecord
from mofonon.structures.farthest_point import FarthestPointSampler

Space = Literal["all", "nodes", "linkers", "nodes-linkers"]
"""Which descriptor distances are of: an average over all atoms, or over some, or both."""

_ROWS: dict[Space, tuple[int, ...]] = {
    "all": (0,),
    "nodes": (1,),
    "linkers": (2,),
    "nodes-linkers": (1, 2),
}

RANDOM_SEEDS = range(20)
"""Seeds of the random selections that a selection is compared with."""


class SelectionSettings(BaseModel):
    """How structures are chosen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_structures: int = Field(127, ge=1, description="Structures in the set, fixed ones too.")
    method: Literal["fps", "random"] = Field("fps", description="Farthest points, or random.")
    space: Space = Field(
        "all",
        description="Descriptor: averaged over all atoms, over nodes, over linkers, or the "
        "last two side by side.",
    )
    fixed: tuple[str, ...] = Field(
        (), description="Ids of structures that are in the set whatever else is."
    )
    stratify: bool = Field(
        True,
        description="First see to it that every crystal system and every element of the "
        "collection is there.",
    )
    seed: int = Field(0, ge=0, description="Of the method random.")


class Choice(BaseModel):
    """A chosen structure, and why."""

    order: int = Field(description="Place in the order of choice, from 1.")
    id: str = Field(description="File name without suffixes.")
    file: str = Field(description="Path within the collection.")
    sha256: str = Field(description="sha256 of the file.")
    structure_hash: str = Field(description="Hash of cell, elements and positions.")
    reason: str = Field(
        description="fixed, farthest, random, or the crystal system or element that lacked."
    )
    distance: float | None = Field(
        description="Distance to the nearest one chosen before it; None for the first."
    )
    formula: str | None = Field(description="Reduced formula.")
    n_atoms: int | None = Field(description="Atoms in the cell.")
    elements: list[str] = Field(description="Elements.")
    space_group: str | None = Field(None, description="International symbol.")
    crystal_system: str | None = Field(None, description="One of the seven.")
    pore_limiting_diameter: float | None = Field(None, description="In A.")


class Coverage(BaseModel):
    """How well a set covers the collection that it was chosen from."""

    covering_radius: float = Field(
        description="Largest distance of any structure to the nearest chosen one."
    )
    mean_distance: float = Field(description="Mean distance to the nearest chosen one.")
    n_elements: int = Field(description="Elements in the set.")
    n_crystal_systems: int = Field(description="Crystal systems in the set.")


@dataclass(frozen=True)
class Selection:
    """What was chosen.

    Attributes
    ----------
    choices : list of Choice
        In the order of choice.
    indices : ndarray of int, shape (n_chosen,)
        Their rows among the accepted structures.
    nearest : ndarray, shape (n_accepted,)
        Distance of each accepted structure to the nearest chosen one.
    coverage : Coverage
        Figures of the set.
    """

    choices: list[Choice]
    indices: NDArray[np.int64]
    nearest: NDArray[np.float64]
    coverage: Coverage


def in_space(descriptors: NDArray[np.float32], space: Space) -> NDArray[np.float32]:
    """Take the part of descriptors that distances are of.

    Parameters
    ----------
    descriptors : ndarray, shape (n, 3, n_features)
        Averages over all atoms, nodes and linkers.
    space : str
        Which of them.

    Returns
    -------
    ndarray, shape (n, n_features) or (n, 2 n_features)
        A structure without such atoms (a COF has no nodes) has zeros there.
    """
    part = descriptors[:, _ROWS[space]].reshape(len(descriptors), -1)
    return np.ascontiguousarray(np.nan_to_num(part, nan=0.0, posinf=np.inf, neginf=-np.inf))


def select(
    records: Sequence[StructureRecord],
    descriptors: NDArray[np.float32],
    settings: SelectionSettings,
) -> Selection:
    """Choose structures from the accepted ones of a collection.

    Parameters
    ----------
    records : sequence of StructureRecord
        The accepted ones, one for each descriptor.
    descriptors : ndarray, shape (n, 3, n_features)
        Averages over all atoms, nodes and linkers.
    settings : SelectionSettings
        How many and how.

    Raises
    ------
    SelectionError
        More are asked for than there are or than differ, a fixed one is not there, or the
        conditions need more than are asked for.
    """
    if not all(record.accepted for record in records) or len(records) != len(descriptors):
        raise SelectionError(
            "records and descriptors must be of the accepted structures",
            "pass only accepted records, one row of descriptors for each",
        )
    if settings.n_structures > len(records):
        raise SelectionError(
            f"{settings.n_structures} structures cannot be chosen from {len(records)}",
            "ask for fewer (--number), or let more through the filters",
        )
    ids = [record.id for record in records]
    for name in settings.fixed:
        if name not in ids:
            raise SelectionError(
                f"the fixed member {name} is not among the accepted structures",
                "correct the list of fixed members, or the filters",
            )
    picker = _Picker(records, in_space(descriptors, settings.space), settings)
    picker.run()
    indices = np.array([index for index, _, _ in picker.chosen], dtype=np.int64)
    nearest = picker.sampler.nearest()
    return Selection(
        choices=[
            _choice(order, records[index], reason, distance)
            for order, (index, reason, distance) in enumerate(picker.chosen, start=1)
        ],
        indices=indices,
        nearest=nearest,
        coverage=_coverage([records[index] for index in indices], nearest),
    )


class _Picker:
    """One selection in progress."""

    def __init__(
        self,
        records: Sequence[StructureRecord],
        points: NDArray[np.float32],
        settings: SelectionSettings,
    ) -> None:
        self.records, self.settings = records, settings
        self.ids = [record.id for record in records]
        self.sampler = FarthestPointSampler(points, keys=self.ids)
        self.chosen: list[tuple[int, str, float]] = []

    def run(self) -> None:
        for name in sorted(self.settings.fixed):
            self._take(self.ids.index(name), "fixed")
        if self.settings.stratify:
            self._fill_strata()
        missing = self.settings.n_structures - len(self.chosen)
        if missing < 0:
            raise SelectionError(
                f"fixed members and the crystal systems and elements that must appear take "
                f"{len(self.chosen)} structures; {self.settings.n_structures} are asked for",
                "ask for more (--number), or give --no-stratify",
            )
        if self.settings.method == "random":
            self._fill_randomly(missing)
        else:
            self._fill_farthest(missing)

    def _take(self, index: int, reason: str) -> None:
        self.chosen.append((index, reason, self.sampler.choose(index)))

    def _fill_strata(self) -> None:
        """Take the farthest structure of each kind that lacks, the rarest kind first."""
        kinds = [_kinds(record) for record in self.records]
        count = Counter(kind for each in kinds for kind in each)
        present = {kind for index, _, _ in self.chosen for kind in kinds[index]}
        for kind in sorted(count, key=lambda name: (count[name], name)):
            if kind in present:
                continue
            members = np.array([kind in each for each in kinds])
            index = self._pick(members)
            self._take(index, kind)
            present |= kinds[index]

    def _pick(self, members: NDArray[np.bool_]) -> int:
        if self.settings.method == "fps":
            return self.sampler.farthest(among=members)
        rows = sorted(np.flatnonzero(members), key=lambda row: self.ids[row])
        return int(rows[self._generator("strata").integers(len(rows))])

    def _fill_farthest(self, number: int) -> None:
        for _ in range(number):
            index = self.sampler.farthest()
            if index < 0:
                raise SelectionError(
                    f"only {len(self.chosen)} structures have different descriptors; "
                    f"{self.settings.n_structures} are asked for",
                    "ask for fewer (--number)",
                )
            self._take(index, "farthest")

    def _fill_randomly(self, number: int) -> None:
        taken = {index for index, _, _ in self.chosen}
        free = sorted(set(range(len(self.ids))) - taken, key=lambda row: self.ids[row])
        for position in self._generator("fill").choice(len(free), number, replace=False):
            self._take(free[position], "random")

    def _generator(self, purpose: str) -> np.random.Generator:
        salt = sum(purpose.encode()) + len(self.chosen)
        return np.random.default_rng([self.settings.seed, salt])


def _kinds(record: StructureRecord) -> set[str]:
    """Name what must appear in a stratified set: crystal systems and elements."""
    found = {f"element {element}" for element in record.elements}
    return found | ({record.crystal_system} if record.crystal_system else set())


def _choice(order: int, record: StructureRecord, reason: str, distance: float) -> Choice:
    return Choice(
        order=order,
        sha256=record.file_sha256,
        structure_hash=str(record.structure_hash),
        reason=reason,
        distance=distance if math.isfinite(distance) else None,
        **record.model_dump(
            include={
                *("id", "file", "formula", "n_atoms", "elements"),
                *("space_group", "crystal_system", "pore_limiting_diameter"),
            }
        ),
    )


def _coverage(chosen: Sequence[StructureRecord], nearest: NDArray[np.float64]) -> Coverage:
    return Coverage(
        covering_radius=float(nearest.max()),
        mean_distance=float(nearest.mean()),
        n_elements=len({element for record in chosen for element in record.elements}),
        n_crystal_systems=len({record.crystal_system for record in chosen} - {None}),
    )


def compare_with_random(
    records: Sequence[StructureRecord],
    descriptors: NDArray[np.float32],
    settings: SelectionSettings,
    seeds: Sequence[int] = RANDOM_SEEDS,
) -> list[Coverage]:
    """Coverage of random sets of the same size, with the same fixed members and no strata.

    Parameters
    ----------
    records, descriptors
        As :func:`select`.
    settings : SelectionSettings
        Of the selection to compare with.
    seeds : sequence of int
        One set each.
    """
    return [
        select(
            records,
            descriptors,
            settings.model_copy(update={"method": "random", "seed": seed, "stratify": False}),
        ).coverage
        for seed in seeds
    ]
