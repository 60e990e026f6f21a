"""Labelled frames to a dataset with splits and a card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from mofonon.dataset.card import make_card
from mofonon.dataset.frames import (
    check_isolated_atom_energies,
    fit_isolated_atom_energies,
    prepare_frames,
)
from mofonon.dataset.schemas import (
    DatasetDoc,
    DatasetSettings,
    LeakCounts,
    Split,
    SplitName,
)
from mofonon.dataset.splits import make_split
from mofonon.dft.schemas import LabelFrame
from mofonon.errors import DatasetError
from mofonon.provenance import content_hash, software_versions
from mofonon.structures.descriptors import DescriptorCache, describe_frames

FITTED = "least squares over compositions of these frames, not isolated atoms"


def build_dataset(
    name: str,
    frames: Sequence[LabelFrame],
    settings: DatasetSettings,
    *,
    isolated_atoms: dict[str, float] | None = None,
    description: str = "",
    licence: str = "",
    sources: Sequence[str] = (),
) -> DatasetDoc:
    """Make a dataset: drop, thin, describe, split three ways, report leaks.

    The order of the frames given does not matter: the same frames give the same dataset.

    Parameters
    ----------
    name, description, licence : str
        Of the dataset.
    frames : sequence of LabelFrame
        Labelled frames.
    settings : DatasetSettings
        Shares, seed, descriptors.
    isolated_atoms : dict, optional
        Energy of an isolated atom of each element (eV), by symbol or atomic number; fitted
        without them.
    sources : sequence of str
        Files and documents that frames came from.

    Raises
    ------
    DatasetError
        No frame is left, there are fewer than three, or elements lack an energy.
    """
    prepared = prepare_frames(
        frames,
        settings.fingerprint,
        max_relax_frames=settings.max_relax_frames,
        drop_quarantined=settings.drop_quarantined,
    )
    warnings: list[str] = []
    splits = _splits(prepared.frames, prepared.ids, settings, warnings)
    if isolated_atoms is None:
        energies, determined = fit_isolated_atom_energies(prepared.frames)
        source = FITTED
        if not determined:
            warnings.append(
                "compositions do not tell all elements apart: the fitted E0s are those of "
                "least norm"
            )
    else:
        energies = check_isolated_atom_energies(isolated_atoms, prepared.frames)
        source = "given"
    card = make_card(
        name,
        prepared.frames,
        splits,
        energies,
        source,
        description=description,
        licence=licence,
    )
    stand_ins = [f"stand-in labels: {notice}" for notice in card.notices]
    fingerprint_notice = settings.fingerprint.notice
    if fingerprint_notice:
        stand_ins.append(f"descriptors of splits and leak reports: {fingerprint_notice}")
    return DatasetDoc(
        name=name,
        calculation_id=dataset_id(prepared.ids, settings, energies),
        frames=prepared.frames,
        frame_ids=prepared.ids,
        splits=splits,
        n_frames=len(prepared.frames),
        n_quarantined=prepared.n_quarantined,
        n_duplicates=prepared.n_duplicates,
        n_thinned=prepared.n_thinned,
        card=card,
        leaks={split.name: _leak_counts(split) for split in splits},
        settings=settings,
        sources=list(sources),
        notice="; ".join(card.notices) or None,
        warnings=[*stand_ins, *warnings],
        software=software_versions(),
    )


def dataset_id(
    frame_ids: Sequence[str], settings: DatasetSettings, isolated_atoms: dict[str, float]
) -> str:
    """Identity of a dataset: its frames, how they are split, and E0s."""
    plain = settings.model_dump(mode="json", exclude={"fingerprint"})
    return content_hash(
        {
            "kind": "dataset",
            "frames": list(frame_ids),
            "settings": plain,
            "fingerprint": settings.fingerprint.identity(),
            "isolated_atoms": isolated_atoms,
        }
    )


def _splits(
    frames: Sequence[LabelFrame],
    ids: Sequence[str],
    settings: DatasetSettings,
    warnings: list[str],
) -> list[Split]:
    """All splits that there can be; why there is no split by MOF becomes a warning."""
    cache = DescriptorCache.of(settings.fingerprint)
    points = describe_frames(
        (frame.to_atoms() for frame in frames),
        settings.fingerprint,
        cache=cache,
        total=len(frames),
    )[:, 0]
    cache.close()
    mof_ids = [frame.mof_id for frame in frames]
    splits = []
    for name in get_args(SplitName):
        try:
            splits.append(
                make_split(name, points, ids, mof_ids, settings.fractions, settings.seed)
            )
        except DatasetError as error:
            if name != "by-mof":
                raise
            warnings.append(f"no split by MOF: {error.message}")
    return splits


def _leak_counts(split: Split) -> LeakCounts:
    leaks = split.leaks
    return LeakCounts(
        median_distance=leaks.percentiles["50"],
        **leaks.model_dump(
            include={"n_test", "n_same_mof", "n_near", "n_identical", "near_distance"}
        ),
    )
