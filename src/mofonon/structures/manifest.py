"""Manifest of a selection: what was chosen, why, and enough to choose it again.

The manifest has no times and no paths of a machine: the same files, settings and model give
the same manifest, byte for byte. Beside it lie the descriptors of the chosen ones (``.npz``),
from which the coverage of new structures is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mofonon.errors import CurationError, MofononError
from mofonon.provenance import file_sha256
from mofonon.structures.collection import iterate_collection
from mofonon.structures.curation import CurationSettings, StructureRecord, funnel
from mofonon.structures.fingerprints import FingerprintSpec
from mofonon.structures.selection import Choice, Coverage, Selection, SelectionSettings

DESCRIPTORS_SUFFIX = ".descriptors.npz"


class FunnelRow(BaseModel):
    """A filter of the funnel."""

    filter: str = Field(description="Its name.")
    entered: int = Field(description="Structures that came to it.")
    refused: int = Field(description="Structures that it refused.")


class SelectionManifest(BaseModel):
    """A selection that can be made again."""

    model_config = ConfigDict(extra="forbid")

    format: str = Field("mofonon selection 1", description="Format of the file.")
    collection: str = Field(description="Name of the folder or archive.")
    table_sha256: str | None = Field(None, description="sha256 of the table of properties.")
    curation: CurationSettings = Field(description="The filters.")
    selection: SelectionSettings = Field(description="How structures were chosen.")
    fingerprint: dict[str, Any] = Field(description="Identity of the fingerprint: weights.")
    fingerprint_spec: FingerprintSpec = Field(description="The fingerprint as asked for.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    funnel: list[FunnelRow] = Field(description="What each filter refused.")
    n_accepted: int = Field(description="Structures chosen from.")
    coverage: Coverage = Field(description="How well the set covers them.")
    random_coverage: list[Coverage] = Field(
        description="Random sets of the same size, for comparison."
    )
    distance_percentiles: list[float] = Field(
        description="Percentiles 0, 1, ... 100 of the distance of a structure to the nearest "
        "chosen one, over accepted structures that were not chosen; over the chosen ones, each "
        "to the nearest other, where all were chosen."
    )
    percentiles_of: str = Field(
        description="not chosen, or chosen: what the percentiles are of."
    )
    descriptors_sha256: str = Field("", description="sha256 of the file of descriptors.")
    structures: list[Choice] = Field(description="The set, in the order of choice.")

    @property
    def ids(self) -> list[str]:
        """Ids of the chosen structures, in the order of choice."""
        return [choice.id for choice in self.structures]

    @property
    def elements(self) -> set[str]:
        """Elements of the set."""
        return {element for choice in self.structures for element in choice.elements}


def make_manifest(
    collection: Path,
    table: Path | None,
    curation: CurationSettings,
    records: Sequence[StructureRecord],
    spec: FingerprintSpec,
    settings: SelectionSettings,
    selection: Selection,
    random_coverage: Sequence[Coverage],
    points: NDArray[np.float32],
) -> SelectionManifest:
    """Put a manifest together.

    Parameters
    ----------
    collection, table : Path
        Where structures and properties came from; their names and hashes are kept.
    curation : CurationSettings
        The filters.
    records : sequence of StructureRecord
        All records.
    spec : FingerprintSpec
        The fingerprint.
    settings : SelectionSettings
        How structures were chosen.
    selection : Selection
        What was chosen.
    random_coverage : sequence of Coverage
        Of random sets.
    points : ndarray, shape (n_accepted, n_features)
        Descriptors in the space of the selection.
    """
    others = np.delete(selection.nearest, selection.indices)
    if not len(others):
        others = _to_nearest_other(points[selection.indices])
    return SelectionManifest(
        collection=collection.name,
        table_sha256=file_sha256(table) if table is not None else None,
        curation=curation,
        selection=settings,
        fingerprint=spec.identity(),
        fingerprint_spec=_portable(spec),
        notice=spec.notice,
        funnel=[
            FunnelRow(filter=step.name, entered=step.entered, refused=step.refused)
            for step in funnel(records)
        ],
        n_accepted=len(selection.nearest),
        coverage=selection.coverage,
        random_coverage=list(random_coverage),
        distance_percentiles=np.percentile(others, np.arange(101)).tolist(),
        percentiles_of="not chosen" if len(selection.indices) < len(points) else "chosen",
        structures=selection.choices,
    )


def _portable(spec: FingerprintSpec) -> FingerprintSpec:
    """Leave the folder of a model file out: the hash says which it is."""
    if spec.potential is None or spec.potential.family != "mace":
        return spec
    name = Path(str(spec.potential.model)).name
    return spec.model_copy(
        update={"potential": spec.potential.model_copy(update={"model": name})}
    )


def _to_nearest_other(points: NDArray[np.float32]) -> NDArray[np.float64]:
    if len(points) == 1:
        return np.zeros(1)
    result = np.empty(len(points))
    for row, point in enumerate(points):
        distance = np.linalg.norm(points.astype(np.float64) - point, axis=1)
        distance[row] = np.inf
        result[row] = distance.min()
    return result


def write_manifest(
    manifest: SelectionManifest, descriptors: NDArray[np.float32], path: Path
) -> Path:
    """Write a manifest (YAML or JSON by its suffix) and the descriptors of the chosen ones.

    Parameters
    ----------
    manifest : SelectionManifest
        The manifest; the hash of the descriptors is set.
    descriptors : ndarray, shape (n_chosen, 3, n_features)
        In the order of choice.
    path : Path
        The file.
    """
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    sidecar = path.with_name(path.stem + DESCRIPTORS_SUFFIX)
    np.savez_compressed(sidecar, ids=np.array(manifest.ids), descriptors=descriptors)
    manifest.descriptors_sha256 = file_sha256(sidecar)
    if path.suffix == ".json":
        text = manifest.model_dump_json(indent=1) + "\n"
    else:
        text = yaml.safe_dump(manifest.model_dump(mode="json"), sort_keys=False, width=96)
    path.write_text(text, encoding="utf-8")
    return path


def read_manifest(path: Path) -> SelectionManifest:
    """Read a manifest.

    Raises
    ------
    CurationError
        It cannot be read or is something else.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return SelectionManifest.model_validate(content)
    except (
        OSError,
        UnicodeDecodeError,
        yaml.YAMLError,
        ValidationError,
        MofononError,
    ) as error:
        first = str(error).splitlines()[0]
        raise CurationError(
            f"{path} cannot be read as a manifest of a selection: {first}",
            "give the manifest that mofonon select writes",
        ) from error


def read_descriptors(manifest: SelectionManifest, path: Path) -> NDArray[np.float32]:
    """Read the descriptors beside a manifest, shape (n_chosen, 3, n_features).

    Raises
    ------
    CurationError
        They are not there or not those of the manifest.
    """
    sidecar = path.with_name(path.stem + DESCRIPTORS_SUFFIX)
    if not sidecar.is_file() or file_sha256(sidecar) != manifest.descriptors_sha256:
        problem = "differs from what the manifest says" if sidecar.is_file() else "is absent"
        raise CurationError(
            f"the file of descriptors {sidecar} {problem}",
            "copy it from where the manifest came, or make the selection again",
        )
    with np.load(sidecar) as content:
        found: NDArray[np.float32] = content["descriptors"]
    return found


def collect_structures(manifest: SelectionManifest, source: Path, folder: Path) -> list[Path]:
    """Write the chosen files into a folder, each checked against its hash.

    Parameters
    ----------
    manifest : SelectionManifest
        The selection.
    source : Path
        The collection.
    folder : Path
        Where files go, under their own names.

    Raises
    ------
    CurationError
        Files are not there or differ.
    """
    import hashlib

    wanted = {choice.file: choice for choice in manifest.structures}
    if not folder.exists():
        folder.mkdir(parents=True)
    found: dict[str, Path] = {}
    for file in iterate_collection(source):
        choice = wanted.get(file.name)
        if choice is None:
            continue
        if hashlib.sha256(file.content).hexdigest() != choice.sha256:
            raise CurationError(
                f"{file.name} is not the file that was chosen: its hash differs",
                "get the collection that the manifest names, in the same version",
            )
        found[file.name] = folder / Path(file.name).name
        found[file.name].write_bytes(file.content)
    absent = sorted(set(wanted) - set(found))
    if absent:
        raise CurationError(
            f"{len(absent)} chosen files are not in {source}: {', '.join(absent[:3])}",
            "get the collection that the manifest names",
        )
    return [found[choice.file] for choice in manifest.structures]
