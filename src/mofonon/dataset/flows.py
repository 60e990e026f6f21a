"""Flows of the dataset stage: from MOFs to a dataset."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jobflow import Flow, Job, JobConfig, Maker, OnMissing, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon import progress
from mofonon.dataset.build import build_dataset
from mofonon.dataset.samplers import (
    EosSampleMaker,
    MdSampleMaker,
    RattleSampleMaker,
    RelaxSampleMaker,
    default_mof_id,
)
from mofonon.dataset.schemas import DatasetDoc, DatasetSettings, SampleDoc
from mofonon.dft.schemas import (
    LabelDoc,
    LabelFrame,
    LabelProvenance,
    LabelTask,
    QuarantineSettings,
    UnlabelledFrame,
)
from mofonon.errors import DatasetError, SettingsError
from mofonon.potentials import (
    PotentialSpec,
    check_elements,
    describe_potential,
    make_calculator,
)
from mofonon.provenance import software_versions

#: A job runs although what it refers to is missing, and gets None for it.
_WITH_GAPS = JobConfig(on_missing_references=OnMissing.NONE)


@job(data=["frames"], output_schema=LabelDoc)
def label_by_potential(
    structures: list[Any], mof_id: str, potential: PotentialSpec
) -> LabelDoc:
    """Label structures by a potential: energies, forces and stresses of a teacher, not DFT.

    Parameters
    ----------
    structures : list of UnlabelledFrame or Structure
        What to label.
    mof_id : str
        Name of the MOF.
    potential : PotentialSpec
        The teacher.
    """
    start = time.perf_counter()
    description = describe_potential(potential)
    items = [
        UnlabelledFrame(mof_id=mof_id, structure=item) if isinstance(item, Structure) else item
        for item in structures
    ]
    if not items:
        raise DatasetError(f"{mof_id} has nothing to label", "look at its samplers")
    elements = {el.symbol for item in items for el in item.structure.composition.elements}
    check_elements(elements, description)
    calculator = make_calculator(potential)
    notice = f"labels of a potential, not DFT: {description.label}"
    frames = []
    for number, item in enumerate(items, start=1):
        atoms = AseAtomsAdaptor.get_atoms(item.structure, msonable=False)
        atoms.calc = calculator
        atoms.get_forces()
        frames.append(
            LabelFrame.from_atoms(
                atoms,
                mof_id=item.mof_id,
                origin=item.origin,
                step=item.step,
                parent=item.parent,
                notice=notice,
                provenance=LabelProvenance(code=description.label, version=description.package),
            )
        )
        progress.report("labels", number, len(items))
    return LabelDoc.from_structure(
        meta_structure=items[0].structure,
        structure=items[0].structure,
        state="successful",
        mof_id=mof_id,
        tasks=[
            LabelTask(
                name=description.label,
                origin=items[0].origin,
                state="successful",
                n_frames=len(frames),
            )
        ],
        n_frames=len(frames),
        n_good=len(frames),
        n_quarantined=0,
        n_duplicates=0,
        frames=frames,
        notice=notice,
        warnings=[notice],
        settings=QuarantineSettings(),
        seconds=time.perf_counter() - start,
        software=software_versions(),
    )


@dataclass
class PotentialLabelMaker(Maker):
    """Label frames by a potential instead of DFT: for distillation, tests and demos.

    Every frame and document says that its labels are not DFT.

    Parameters
    ----------
    name : str
        Name of the job.
    potential : PotentialSpec
        The teacher.
    """

    name: str = "label by potential"
    potential: PotentialSpec = field(default_factory=lambda: PotentialSpec(family="demo"))

    def make(
        self, structures: Any, mof_ids: str | None = None, prev_dir: str | None = None
    ) -> Job:
        """Label the structures of one MOF; the output is a LabelDoc.

        Parameters
        ----------
        structures : Structure, list of UnlabelledFrame or Structure, or OutputReference
            What to label.
        mof_ids : str, optional
            Name of the MOF; by default that of the first frame.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.
        """
        del prev_dir
        items = [structures] if isinstance(structures, Structure) else structures
        name = mof_ids
        if name is None and isinstance(items, list) and items:
            first = items[0]
            name = default_mof_id(first) if isinstance(first, Structure) else first.mof_id
        labelled = label_by_potential(items, name or "MOF", self.potential)
        labelled.name = self.name
        return labelled


@job(config=_WITH_GAPS, data=["frames"])
def gather_frames(samples: list[SampleDoc | None]) -> dict[str, Any]:
    """Put the frames of several samplers of one MOF together; failed samplers are left out.

    Returns
    -------
    dict
        ``frames``, a list of UnlabelledFrames, and ``n_failed``.
    """
    found = [sample for sample in samples if sample is not None]
    frames = [frame for sample in found for frame in sample.frames]
    if not frames:
        raise DatasetError("no sampler gave a frame", "look at the errors of the samplers")
    return {"frames": frames, "n_failed": len(samples) - len(found)}


@job(config=_WITH_GAPS, data=["frames", "frame_ids", "splits"], output_schema=DatasetDoc)
def build_from_labels(
    labels: list[Any],
    name: str,
    settings: DatasetSettings,
    isolated_atoms: dict[str, float] | None = None,
    description: str = "",
    licence: str = "",
) -> DatasetDoc:
    """Make a dataset of LabelDocs; those that failed are left out and counted.

    Parameters
    ----------
    labels : list of LabelDoc
        Lists of them, too, as a LabelMaker gives for several MOFs.
    name, description, licence : str
        Of the dataset.
    settings : DatasetSettings
        Shares, seed, descriptors.
    isolated_atoms : dict, optional
        E0s by element (eV).
    """
    docs = list(_flat(labels))
    there = [
        LabelDoc.model_validate(doc) if isinstance(doc, dict) else doc for doc in docs if doc
    ]
    doc = build_dataset(
        name,
        [frame for labelled in there for frame in labelled.frames],
        settings,
        isolated_atoms=isolated_atoms,
        description=description,
        licence=licence,
        sources=[f"labels of {labelled.mof_id}" for labelled in there],
    )
    if len(there) < len(docs):
        doc.warnings.append(f"{len(docs) - len(there)} of {len(docs)} labellings failed")
    return doc


@job(data=["frames", "frame_ids", "splits"], output_schema=DatasetDoc)
def build_from_frames(
    frames: list[LabelFrame],
    name: str,
    settings: DatasetSettings,
    isolated_atoms: dict[str, float] | None = None,
    description: str = "",
    licence: str = "",
    sources: list[str] | None = None,
) -> DatasetDoc:
    """Make a dataset of frames at hand; parameters as those of :func:`build_dataset`."""
    return build_dataset(
        name,
        frames,
        settings,
        isolated_atoms=isolated_atoms,
        description=description,
        licence=licence,
        sources=sources or [],
    )


@dataclass
class DatasetMaker(Maker):
    """Sample MOFs, label the samples, and make a dataset: one Flow.

    For each MOF every sampler is a job; their frames are gathered, labelled in one
    LabelMaker flow a MOF, and all labels become one DatasetDoc. A sampler or labelling that
    fails does not stop the others.

    Parameters
    ----------
    name : str
        Name of the flow.
    samplers : list of Maker
        With ``make(structure, mof_id)`` giving a SampleDoc.
    label_maker : Maker
        ``LabelMaker`` of the dft stage or :class:`PotentialLabelMaker`; with
        ``make(frames, mof_ids=...)`` giving a LabelDoc or a list of them.
    label_structures : bool
        Label the structures themselves too. With a LabelMaker of the dft stage that is a
        relaxation and deformations by DFT, whose steps are frames (the paper's EOS labels).
    settings : DatasetSettings
        Splits, seed, descriptors.
    dataset_name, description, licence : str
        Of the dataset.
    isolated_atoms : dict, optional
        E0s by element (eV); fitted without them.

    Examples
    --------
    >>> from mofonon.dataset import DatasetMaker
    >>> [sampler.name for sampler in DatasetMaker().samplers]
    ['sample eos', 'sample md', 'sample relaxation', 'sample rattled']
    """

    name: str = "dataset"
    samplers: list[Any] = field(
        default_factory=lambda: [
            EosSampleMaker(),
            MdSampleMaker(),
            RelaxSampleMaker(deviation=0.05),
            RattleSampleMaker(),
        ]
    )
    label_maker: Any = field(default_factory=PotentialLabelMaker)
    label_structures: bool = False
    settings: DatasetSettings = field(default_factory=DatasetSettings)
    dataset_name: str = "dataset"
    description: str = ""
    licence: str = ""
    isolated_atoms: dict[str, float] | None = None

    def make(
        self,
        structures: Structure | Sequence[Structure],
        mof_ids: str | Sequence[str] | None = None,
        prev_dir: str | None = None,
    ) -> Flow:
        """Make the flow of several MOFs; its output is a DatasetDoc.

        Parameters
        ----------
        structures : Structure or sequence of Structure
            The MOFs; references to outputs of other jobs too, then with `mof_ids`.
        mof_ids : str or sequence of str, optional
            Names of the MOFs; by default formulas and hashes.
        prev_dir : str, optional
            Not used; there for composition with atomate2's Makers.

        Raises
        ------
        SettingsError
            Names do not fit the structures, or there is nothing to sample.
        """
        del prev_dir
        items = [structures] if isinstance(structures, Structure) else list(structures)
        names = self._names(items, mof_ids)
        if not self.samplers and not self.label_structures:
            raise SettingsError("there is nothing to sample", "give samplers")
        jobs: list[Flow | Job] = []
        labels: list[Any] = []
        for structure, name in zip(items, names, strict=True):
            for labelled in self._labelled(structure, name):
                jobs += labelled
                labels.append(labelled[-1].output)
        built = build_from_labels(
            labels,
            self.dataset_name,
            self.settings,
            self.isolated_atoms,
            self.description,
            self.licence,
        )
        return Flow([*jobs, built], output=built.output, name=self.name)

    def _labelled(self, structure: Any, name: str) -> list[list[Flow | Job]]:
        """Jobs of each labelling of one MOF; the last of each gives the labels."""
        found: list[list[Flow | Job]] = []
        if self.label_structures:
            found.append([self.label_maker.make(structure, mof_ids=name)])
        if self.samplers:
            sampled: list[Job] = [
                sampler.make(structure, mof_id=name) for sampler in self.samplers
            ]
            for each in sampled:
                each.append_name(f" {name}")
            gathered = gather_frames([each.output for each in sampled])
            labelling = self.label_maker.make(gathered.output["frames"], mof_ids=name)
            found.append([*sampled, gathered, labelling])
        return found

    @staticmethod
    def _names(items: list[Any], mof_ids: str | Sequence[str] | None) -> list[str]:
        if isinstance(mof_ids, str):
            names = [mof_ids]
        elif mof_ids is None:
            names = [default_mof_id(structure) for structure in items]
        else:
            names = list(mof_ids)
        if not items or len(names) != len(items) or len(set(names)) != len(names):
            raise SettingsError(
                f"{len(names)} names ({len(set(names))} different) for {len(items)} MOFs",
                "give each MOF its own name",
            )
        return names


def _flat(items: Any) -> Any:
    for item in items:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item
