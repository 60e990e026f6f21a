"""What one dataset has that another has not."""

from __future__ import annotations

from collections import Counter

import numpy as np
from pydantic import BaseModel, Field

from mofonon.dataset.schemas import PARTS, DatasetDoc
from mofonon.potentials.evaluations import evaluation_key


class DatasetDiff(BaseModel):
    """Two datasets compared."""

    n_common: int = Field(description="Frames that are in both, labels too.")
    n_only_first: int = Field(description="Configurations that only the first has.")
    n_only_second: int = Field(description="Configurations that only the second has.")
    n_relabelled: int = Field(description="Configurations in both with different labels.")
    largest_energy_change: float = Field(
        description="Largest change of energy of those (eV/atom)."
    )
    largest_force_change: float = Field(
        description="Largest change of a force component of those (eV/A)."
    )
    mofs_only_first: dict[str, int] = Field(description="Frames by MOF only in the first.")
    mofs_only_second: dict[str, int] = Field(description="Frames by MOF only in the second.")
    elements_only_first: list[str] = Field(description="Elements only in the first.")
    elements_only_second: list[str] = Field(description="Elements only in the second.")
    moved: dict[str, int] = Field(
        description="Common frames that are in another part, by split; of these the ones "
        "between train and the others break comparisons."
    )


def diff_datasets(first: DatasetDoc, second: DatasetDoc) -> DatasetDiff:
    """Compare two datasets frame by frame.

    Parameters
    ----------
    first, second : DatasetDoc
        With their frames.
    """
    one, other = set(first.frame_ids), set(second.frame_ids)
    common = one & other
    left = _configurations(first, common)
    right = _configurations(second, common)
    both = left.keys() & right.keys()
    energy = force = 0.0
    for key in both:
        a, b = first.frames[left[key]], second.frames[right[key]]
        energy = max(energy, abs(a.energy_per_atom - b.energy_per_atom))
        force = max(force, float(np.abs(a.forces_array() - b.forces_array()).max()))
    elements = [set(doc.card.frames_by_element) for doc in (first, second)]
    return DatasetDiff(
        n_common=len(common),
        n_only_first=len(left) - len(both),
        n_only_second=len(right) - len(both),
        n_relabelled=len(both),
        largest_energy_change=energy,
        largest_force_change=force,
        mofs_only_first=_mofs(first, [left[key] for key in left.keys() - both]),
        mofs_only_second=_mofs(second, [right[key] for key in right.keys() - both]),
        elements_only_first=sorted(elements[0] - elements[1]),
        elements_only_second=sorted(elements[1] - elements[0]),
        moved=_moved(first, second, common),
    )


def _configurations(doc: DatasetDoc, common: set[str]) -> dict[bytes, int]:
    """Frames that are not in both, by configuration without labels."""
    return {
        evaluation_key(frame.to_atoms()): index
        for index, frame in enumerate(doc.frames)
        if doc.frame_ids[index] not in common
    }


def _mofs(doc: DatasetDoc, indices: list[int]) -> dict[str, int]:
    return dict(sorted(Counter(doc.frames[index].mof_id for index in indices).items()))


def _moved(first: DatasetDoc, second: DatasetDoc, common: set[str]) -> dict[str, int]:
    names = {split.name for split in first.splits} & {split.name for split in second.splits}
    moved: dict[str, int] = {}
    for name in sorted(names):
        parts = [
            {
                doc.frame_ids[index]: part
                for part in PARTS
                for index in doc.split(name).part(part)
            }
            for doc in (first, second)
        ]
        moved[name] = sum(parts[0][key] != parts[1][key] for key in common)
    return moved
