"""Published values as data, each with method, conditions and source (literature.yaml)."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pymatgen.core import Composition

from mofonon.errors import SettingsError


class LiteratureSource(BaseModel):
    """Where numbers come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    citation: str = Field(description="Publication and table or file.")
    conditions: str = Field(description="Conditions, as far as the source says.")


class LiteratureValue(BaseModel):
    """A published number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mof: str = Field(description="Name of the MOF.")
    method: str = Field(description="Potential, DFT, experiment.")
    value: float = Field(description="In the unit of its property.")
    error: float | None = Field(None, description="Uncertainty, where it is given.")
    source: str = Field(description="Key of the source.")


class LiteratureExpansion(LiteratureValue):
    """A published thermal expansion coefficient (1e-6/K)."""

    temperature: float = Field(description="Temperature (K).")
    kind: Literal["linear", "volumetric", "unspecified"] = Field(
        description="linear, volumetric, or unspecified by the source."
    )


class LiteratureRmsd(BaseModel):
    """Published RMSD of fractional coordinates against DFT."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mof: str = Field(description="Name of the MOF.")
    method: str = Field(description="The method.")
    value: dict[str, float] = Field(description="By element (fractional).")
    source: str = Field(description="Key of the source.")


class Literature(BaseModel):
    """All published values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mofs: dict[str, str] = Field(description="Composition by name of the MOF.")
    sources: dict[str, LiteratureSource] = Field(description="Sources by key.")
    bulk_modulus: list[LiteratureValue] = Field(description="Bulk moduli (GPa).")
    thermal_expansion: list[LiteratureExpansion] = Field(description="Expansion (1e-6/K).")
    fractional_rmsd: list[LiteratureRmsd] = Field(description="Table 7 of the paper.")
    n_displacements: list[LiteratureValue] = Field(description="Table 2 of the paper.")

    def name_of(self, formula: str) -> str | None:
        """Name of the MOF of a composition, None if it is not known.

        Parameters
        ----------
        formula : str
            Any formula of it, reduced or not.
        """
        try:
            wanted = Composition(formula).reduced_formula
        except ValueError as error:
            raise SettingsError(
                f"{formula!r} is not a chemical formula: {error}", "write it as in Zn4C24H12O13"
            ) from None
        for name, composition in self.mofs.items():
            if Composition(composition).reduced_formula == wanted:
                return name
        return None


@cache
def literature() -> Literature:
    """Read literature.yaml of the package."""
    text = (resources.files("mofonon.benchmark") / "literature.yaml").read_text("utf-8")
    return Literature.model_validate(yaml.safe_load(text))
