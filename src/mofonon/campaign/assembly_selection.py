"""The unit of the stage select, and the structures that it chose, where it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mofonon.campaign.estimates import estimate_selection
from mofonon.campaign.schema_training import SelectStage
from mofonon.campaign.selection import Collection, SelectionDoc, select_structures
from mofonon.campaign.structures import NamedStructure
from mofonon.campaign.units import Unit
from mofonon.errors import CampaignError, MofononError
from mofonon.structures.fingerprints import FingerprintSpec

if TYPE_CHECKING:
    from mofonon.campaign.assembly import Assembly

#: Id of a selection that cannot be made, for what waits for it.
IMPOSSIBLE = "no-selection"


def select(assembly: Assembly, stage: SelectStage) -> tuple[Unit, list[NamedStructure] | None]:
    """Make the unit of a selection, and take the structures from its document.

    Where there is no document yet, the assembly waits for it, and so does all that follows.

    Parameters
    ----------
    assembly : Assembly
        The campaign's.
    stage : SelectStage
        With a model, or with a document.

    Returns
    -------
    unit : Unit
        Its job; or the error that keeps it from being made.
    structures : list of NamedStructure or None
        None where they are yet to be chosen.
    """
    unit = Unit("select", "", "")
    try:
        unit = _unit(assembly, unit, stage)
    except MofononError as error:
        unit.error, unit.job_ids, assembly.awaited = error, [IMPOSSIBLE], IMPOSSIBLE
        return unit, None
    document_id = unit.job_ids[-1]
    found = assembly.find_document(document_id) if assembly.find_document else None
    if found is not None:
        return unit, SelectionDoc.stored(found).structures(assembly.spec.structures)
    assembly.awaited = document_id
    if stage.document is not None and assembly.find_document is not None:
        unit.error = CampaignError(
            f"there is no document {stage.document} of a selection in the store",
            "correct stages.select.document, or name the store or project that has it",
        )
    return unit, None


def _unit(assembly: Assembly, unit: Unit, stage: SelectStage) -> Unit:
    if stage.document is not None:
        return assembly.take_existing(unit, stage.document)
    collection = Collection.of(stage, assembly.spec.structures.folder)
    fingerprint = FingerprintSpec.from_name(str(stage.model), device=stage.device)
    made = select_structures(collection, fingerprint, stage.curation, stage.settings)
    made.name = "select"
    unit = assembly.fill(unit, stage, made)
    estimate = estimate_selection(collection.n_files, fingerprint.potential)
    unit.estimates = dict.fromkeys(unit.job_ids, estimate)
    return unit
