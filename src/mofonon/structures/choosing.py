"""From a collection of files to a set that spans it: curate, describe, choose, and say why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mofonon.structures.curate import curate_collection, describe_collection
from mofonon.structures.curation import CurationSettings, StructureRecord, readmit
from mofonon.structures.fingerprints import FingerprintSpec
from mofonon.structures.manifest import SelectionManifest, make_manifest
from mofonon.structures.property_table import read_property_table
from mofonon.structures.selection import (
    Selection,
    SelectionSettings,
    compare_with_random,
    in_space,
    select,
)


@dataclass(frozen=True)
class Chosen:
    """A set, and all that it was chosen from.

    Attributes
    ----------
    manifest : SelectionManifest
        The set, and what makes it again.
    records : list of StructureRecord
        Of every file.
    descriptors : ndarray of float32, shape (n_accepted, 3, n_features)
        Of the accepted ones, in the order of their records.
    selection : Selection
        Which of them were chosen.
    """

    manifest: SelectionManifest
    records: list[StructureRecord]
    descriptors: NDArray[np.float32]
    selection: Selection

    @property
    def chosen_descriptors(self) -> NDArray[np.float32]:
        """Descriptors of the set, shape (n_chosen, 3, n_features), in the order of choice."""
        found: NDArray[np.float32] = self.descriptors[self.selection.indices]
        return found


def choose_structures(
    source: Path,
    fingerprint: FingerprintSpec,
    curation: CurationSettings,
    settings: SelectionSettings,
    *,
    table: Path | None = None,
    log: Path,
    processes: int = 1,
) -> Chosen:
    """Choose structures that span a collection.

    Parameters
    ----------
    source : Path
        Folder or archive.
    fingerprint : FingerprintSpec
        Whose features are compared.
    curation : CurationSettings
        The filters.
    settings : SelectionSettings
        How many are chosen, and how.
    table : Path, optional
        Table of properties.
    log : Path
        Where records are kept as they are finished, so that a stopped run goes on.
    processes : int
        Worker processes; their number changes nothing in the result.

    Raises
    ------
    CurationError
        There is no such collection, or nothing is left to choose from.
    """
    records = curate_collection(
        source,
        curation,
        table=read_property_table(table) if table is not None else None,
        log=log,
        processes=processes,
    )
    records = readmit(records, settings.fixed)
    records, descriptors = describe_collection(
        source, records, fingerprint, processes=processes
    )
    accepted = [record for record in records if record.accepted]
    selection = select(accepted, descriptors, settings)
    manifest = make_manifest(
        source,
        table,
        curation,
        records,
        fingerprint,
        settings,
        selection,
        compare_with_random(accepted, descriptors, settings),
        in_space(descriptors, settings.space),
    )
    return Chosen(manifest, records, descriptors, selection)
