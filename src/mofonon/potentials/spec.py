"""Which potential: plain data, from Python, a campaign file or the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mofonon.errors import PotentialError, PotentialFileError
from mofonon.potentials.xtb import GFN1

Family = Literal["demo", "mace", "chgnet", "sevennet", "tblite", "ase"]

#: The version of each pretrained potential whose weights ship in its own wheel.
BUNDLED_MODELS = {"chgnet": "0.3.0", "sevennet": "7net-0"}


_SHORT_NAMES: dict[str, dict[str, Any]] = {
    "demo": {"family": "demo"},
    "chgnet": {"family": "chgnet"},
    "sevennet-0": {"family": "sevennet"},
    "7net-0": {"family": "sevennet"},
    "sevennet": {"family": "sevennet"},
    GFN1.lower(): {"family": "tblite", "model": GFN1},
}


class PotentialSpec(BaseModel):
    """A potential as asked for.

    Examples
    --------
    >>> PotentialSpec(family="chgnet").label
    'chgnet 0.3.0'
    >>> PotentialSpec.from_name("sevennet-0", dispersion="d3bj").label
    'sevennet 7net-0 + D3(BJ)'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: Family = Field(
        description="demo (distilled, not for science), mace, chgnet, sevennet, tblite "
        "(GFN1-xTB), or ase for any ASE calculator by import path."
    )
    model: str | None = Field(
        None,
        description="mace: path of a .model file, a foundation name or sha256:... of a model "
        "in the store; chgnet, sevennet: version; ase: import path 'module:callable' of the "
        "calculator.",
    )
    head: str | None = Field(None, description="Head of a multi-head MACE model.")
    dtype: Literal["float64", "float32"] = Field(
        "float64", description="Floating-point precision of the evaluation."
    )
    device: str = Field("cpu", description="torch device, such as cpu, cuda or cuda:1.")
    enable_cueq: bool = Field(
        False, description="Evaluate a MACE model with NVIDIA's cuequivariance."
    )
    dispersion: Literal["d3bj"] | None = Field(
        None, description="Dispersion correction added: D3(BJ) with PBE parameters, no ATM."
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Further keyword arguments of an ASE calculator."
    )

    @model_validator(mode="after")
    def _check_combination(self) -> PotentialSpec:
        if self.family in ("mace", "ase") and not self.model:
            raise PotentialError(
                f"a potential of family {self.family} needs a model",
                "give the path of a .model file, a foundation name or an import path",
            )
        if self.head is not None and self.family not in ("demo", "mace"):
            raise PotentialError(
                f"head {self.head!r} was asked of {self.family}, which has no heads",
                "leave --head out; only MACE models have heads",
            )
        if self.enable_cueq and self.family not in ("demo", "mace"):
            raise PotentialError(
                f"cuequivariance was asked of {self.family}; only MACE models use it",
                "leave --cueq out",
            )
        if self.family == "tblite" and (self.dtype, self.device) != ("float64", "cpu"):
            raise PotentialError(
                f"GFN1-xTB was asked in {self.dtype} on {self.device}",
                "tblite works in float64 on the CPU: leave --dtype and --device out",
            )
        if self.options and self.family != "ase":
            raise PotentialError(
                f"options are for ASE calculators by import path, not for {self.family}",
                "leave options out, or name the calculator as module:Class",
            )
        return self

    @property
    def label(self) -> str:
        """Short name for tables: family, model and dispersion."""
        if self.family == "demo":
            name = "distilled demo model (not for science)"
        elif self.family == "mace":
            stem = Path(str(self.model)).stem
            name = f"mace {stem[:19] if stem.startswith('sha256:') else stem}"
        elif self.family == "ase":
            name = str(self.model)
        elif self.family == "tblite":
            name = GFN1
        else:
            name = f"{self.family} {self.model or BUNDLED_MODELS[self.family]}"
        if self.head:
            name += f" [{self.head}]"
        return f"{name} + D3(BJ)" if self.dispersion else name

    @classmethod
    def from_name(cls, name: str, **settings: Any) -> PotentialSpec:
        """Make a spec from the name that users type.

        Parameters
        ----------
        name : str
            ``demo``, ``chgnet``, ``sevennet-0``, ``gfn1-xtb``, the path of a MACE ``.model``
            file, a MACE foundation name (``medium-0b``), ``module:callable`` of an ASE
            calculator, or ``sha256:...`` of a model in the store.
        **settings
            Other fields of the spec.

        Raises
        ------
        PotentialFileError
            For a path that does not exist.
        PotentialError
            For a name that is none of these.
        """
        if name.lower() in _SHORT_NAMES:
            return cls(**_SHORT_NAMES[name.lower()], **settings)
        if Path(name).is_file():
            return cls(family="mace", model=str(Path(name).resolve()), **settings)
        if name.endswith((".model", ".pt", ".pth")) or "/" in name:
            raise PotentialFileError(
                f"there is no model file {name}", "check the path given to --model"
            )
        if name.startswith("sha256:") or name in mace_foundation_names():
            return cls(family="mace", model=name, **settings)
        if ":" in name:
            return cls(family="ase", model=name, **settings)
        raise PotentialError(
            f"no potential is called {name!r}",
            "use demo, chgnet, sevennet-0, gfn1-xtb, the path of a MACE .model file, a MACE "
            f"foundation name ({', '.join(mace_foundation_names())}) or module:callable of an "
            "ASE calculator",
        )


def mace_foundation_names() -> tuple[str, ...]:
    """Names of MACE-MP foundation models that the installed mace can download."""
    from mofonon.potentials.mace_files import foundation_urls

    return tuple(foundation_urls())
