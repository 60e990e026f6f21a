"""The stage select: structures chosen from a collection by a job, and its document.

What follows is made of the structures of that document once it is there, by name and content:
a MOF that was chosen by other settings, or named in a manifest, has the same jobs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jobflow import job
from monty.json import MontyDecoder
from pydantic import BaseModel, ConfigDict, Field

from mofonon.arrays import EncodedArray
from mofonon.campaign.schema import Structures
from mofonon.campaign.schema_training import SelectStage
from mofonon.campaign.structures import NamedStructure, named_structure
from mofonon.errors import CampaignError
from mofonon.provenance import content_hash, file_sha256, software_versions, utc_now
from mofonon.settings import get_settings
from mofonon.structures.choosing import choose_structures
from mofonon.structures.collection import iterate_collection
from mofonon.structures.curation import CurationSettings
from mofonon.structures.fingerprints import FingerprintSpec
from mofonon.structures.manifest import SelectionManifest, write_manifest
from mofonon.structures.read import read_structure_content
from mofonon.structures.selection import SelectionSettings

#: Gives a finished document, arrays included, by its id; None where there is none.
FindDocument = Callable[[str], dict[str, Any] | None]


class Collection(BaseModel):
    """Files to choose from and a table of their properties: where and what they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(description="Folder or archive, as this machine and the workers see it.")
    table: Path | None = Field(None, description="Table of properties by id.")
    processes: int = Field(1, ge=1, description="Worker processes.")
    sha256: str = Field(description="Hash of the names and contents of the files.")
    table_sha256: str | None = Field(None, description="sha256 of the table.")
    n_files: int = Field(description="Files.")

    @classmethod
    def of(cls, stage: SelectStage, folder: Path | None) -> Collection:
        """Read the collection of a stage; that of the campaign's structures by default.

        Raises
        ------
        CurationError
            There is no such collection.
        CampaignError
            None is named, or it is empty.
        """
        path = stage.source or folder
        if path is None:
            raise CampaignError(
                "stage select has no collection to choose from",
                "name one: source: FOLDER (or a .zip or .tar), or structures: {folder: ...}",
            )
        sha256, n_files = collection_hash(path)
        if not n_files:
            raise CampaignError(
                f"{path} has no structure files", "give a folder or archive of CIF files"
            )
        return cls(
            path=path.resolve(),
            table=stage.table.resolve() if stage.table else None,
            processes=stage.processes,
            sha256=sha256,
            table_sha256=table_hash(stage.table),
            n_files=n_files,
        )

    def job_identity(self) -> dict[str, Any]:
        """Say what decides the result of a job: what is in the files, not where they are."""
        return {"collection": self.sha256, "table": self.table_sha256}

    def require_unchanged(self) -> None:
        """Check that this machine sees what the campaign was made of.

        Raises
        ------
        CampaignError
            When files or table differ.
        """
        same = collection_hash(self.path)[0] == self.sha256
        if not same or table_hash(self.table) != self.table_sha256:
            raise CampaignError(
                f"{self.path} is not what it was when the campaign was made",
                "put the collection where all machines see it under this path, leave it as it "
                "is, and submit again",
            )


def collection_hash(path: Path) -> tuple[str, int]:
    """Hash of the names and contents of the files of a collection, and their number.

    The same for a folder and an archive of it.
    """
    files = {
        file.name: hashlib.sha256(file.content).hexdigest() for file in iterate_collection(path)
    }
    return content_hash({"files": files}), len(files)


def table_hash(path: Path | None) -> str | None:
    """Hash of a table of properties.

    Raises
    ------
    CampaignError
        When there is no such file.
    """
    if path is None:
        return None
    if not path.is_file():
        raise CampaignError(
            f"there is no table {path}", "correct stages.select.table, relative to the campaign"
        )
    return file_sha256(path)


class SelectedFile(BaseModel):
    """A chosen structure: its file as it is."""

    id: str = Field(description="File name without suffixes: the name in the campaign.")
    file: str = Field(description="Path within the collection.")
    sha256: str = Field(description="sha256 of the file.")
    contents: EncodedArray = Field(description="Bytes of the file (uint8).")


class SelectionDoc(BaseModel):
    """Structures that a selection chose, and how."""

    n_files: int = Field(description="Files of the collection.")
    n_accepted: int = Field(description="Structures that no filter refused.")
    n_chosen: int = Field(description="Structures in the set.")
    manifest: SelectionManifest = Field(description="Settings, funnel, coverage, reasons.")
    files: list[SelectedFile] = Field(description="The set, in the order of choice.")
    descriptors: EncodedArray = Field(
        description="Descriptors of the set, shape (n_chosen, 3, n_features): averages over "
        "all atoms, nodes, linkers."
    )
    calculation_id: str = Field(description="Identity of files, model and settings.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    seconds: float = Field(description="Wall time (s).")
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")

    @classmethod
    def stored(cls, document: dict[str, Any]) -> SelectionDoc:
        """Take it from the store, with the classes that nested settings are marked with."""
        content = {key: part for key, part in document.items() if key != "document_id"}
        plain = MontyDecoder().process_decoded(content)
        return plain if isinstance(plain, cls) else cls.model_validate(plain)

    def structures(self, wanted: Structures) -> list[NamedStructure]:
        """Read the chosen structures as the campaign wants them, bad ones set aside."""
        allow = (*wanted.allow, *self.manifest.curation.allow)
        wanted = wanted.model_copy(update={"allow": allow})
        return [_named(file, wanted) for file in self.files]

    def write(self, folder: Path) -> Path:
        """Write manifest, descriptors and the chosen files, as ``mofonon select`` does.

        Returns
        -------
        Path
            The manifest.
        """
        files = folder / "structures"
        files.mkdir(parents=True, exist_ok=True)
        for each in self.files:
            content = each.contents.decode().tobytes()
            (files / Path(each.file).name).write_bytes(content)
        manifest = self.manifest.model_copy()
        return write_manifest(manifest, self.descriptors.decode(), folder / "manifest.yaml")


def _named(file: SelectedFile, wanted: Structures) -> NamedStructure:
    content = file.contents.decode().tobytes()
    return named_structure(
        file.id, Path(file.file), lambda: read_structure_content(content, file.file), wanted
    )


@job(data=[EncodedArray], output_schema=SelectionDoc)
def select_structures(
    collection: Collection,
    fingerprint: FingerprintSpec,
    curation: CurationSettings,
    settings: SelectionSettings,
) -> SelectionDoc:
    """Choose structures that span a collection.

    A job that was killed goes on where it was: the record of each file is kept as it is
    finished, and so are descriptors.

    Parameters
    ----------
    collection : Collection
        The files.
    fingerprint : FingerprintSpec
        Whose features are compared.
    curation : CurationSettings
        The filters.
    settings : SelectionSettings
        How many are chosen, and how.

    Raises
    ------
    CampaignError
        The collection is not what the campaign was made of.
    CurationError
        Nothing is left to choose from.
    """
    start = time.perf_counter()
    collection.require_unchanged()
    identity = {
        **collection.job_identity(),
        "fingerprint": fingerprint.identity(),
        "curation": curation.model_dump(mode="json"),
        "selection": settings.model_dump(mode="json"),
    }
    chosen = choose_structures(
        collection.path,
        fingerprint,
        curation,
        settings,
        table=collection.table,
        log=get_settings().checkpoints / "selections" / f"{collection.sha256[:16]}.jsonl",
        processes=collection.processes,
    )
    return SelectionDoc(
        n_files=len(chosen.records),
        n_accepted=chosen.manifest.n_accepted,
        n_chosen=len(chosen.manifest.structures),
        manifest=chosen.manifest,
        files=_files(collection.path, chosen.manifest),
        descriptors=EncodedArray.encode(chosen.chosen_descriptors),
        calculation_id=content_hash(identity),
        notice=chosen.manifest.notice,
        seconds=time.perf_counter() - start,
        software=software_versions(),
    )


def _files(source: Path, manifest: SelectionManifest) -> list[SelectedFile]:
    wanted = {choice.file: choice for choice in manifest.structures}
    found = {
        file.name: file.content for file in iterate_collection(source) if file.name in wanted
    }
    return [
        SelectedFile(
            id=choice.id,
            file=choice.file,
            sha256=choice.sha256,
            contents=EncodedArray.encode(np.frombuffer(found[choice.file], np.uint8)),
        )
        for choice in manifest.structures
    ]
