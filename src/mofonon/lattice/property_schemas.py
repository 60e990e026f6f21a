"""What documents of properties of a relaxed structure have in common."""

from __future__ import annotations

from emmet.core.structure import StructureMetadata
from pydantic import Field
from pymatgen.core import Structure

from mofonon.lattice.schemas import CellParameters, RelaxSummary, SpaceGroup
from mofonon.potentials import PotentialDescription
from mofonon.provenance import utc_now


class PropertyDoc(StructureMetadata):
    """Base of the documents of bulk moduli and expansion: of what, by what, at what cost."""

    state: str = Field("successful", description="successful; a failure raises.")
    structure: Structure = Field(description="The structure, relaxed and at rest.")
    input_hash: str = Field(description="Hash of the input structure, before relaxation.")
    calculation_id: str = Field(
        description="Hash of input structure, potential and settings: equal calculations have "
        "equal ids."
    )
    relaxation: RelaxSummary | None = Field(
        None, description="How the structure was relaxed; None if it was taken as given."
    )
    space_group: SpaceGroup = Field(description="Space group of the structure.")
    cell: CellParameters = Field(description="Lattice parameters of the structure.")
    potential: PotentialDescription = Field(description="The potential.")
    notice: str | None = Field(None, description="Set when a stand-in is behind the numbers.")
    warnings: list[str] = Field(description="What a reader of the numbers should know.")
    n_force_evaluations: int = Field(description="Force evaluations in all.")
    n_force_evaluations_by_part: dict[str, int] = Field(
        description="Force evaluations of the relaxation and of what came after it."
    )
    seconds: dict[str, float] = Field(
        description="Wall times of the parts, of the potential, and in all (s)."
    )
    software: dict[str, str] = Field(description="Package versions.")
    completed_at: str = Field(default_factory=utc_now, description="UTC time of completion.")
