"""What to train: plain data, with the paper's values as defaults."""

from __future__ import annotations

from typing import Any, Literal

from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mofonon.errors import SettingsError

Mode = Literal["multihead", "naive", "scratch"]

#: The name that mace gives to the head of the replay set.
REPLAY_HEAD = "pt_head"
#: The name that mace gives to the only head of a model.
ONLY_HEAD = "Default"
#: Replay sets that are found by name.
REPLAY_NAMES = ("mp",)


class Architecture(BaseModel):
    """Size of a MACE model that is trained from scratch; others inherit the foundation's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden_irreps: str = Field("128x0e + 128x1o", description="Irreps of the node features.")
    r_max: float = Field(6.0, gt=0, description="Cutoff (A).")
    num_interactions: int = Field(2, ge=1, description="Message-passing layers.")
    correlation: int = Field(3, ge=1, description="Correlation order of a layer.")
    max_ell: int = Field(3, ge=0, description="Highest spherical harmonic of the edges.")
    num_radial_basis: int = Field(8, ge=1, description="Radial basis functions.")
    num_cutoff_basis: int = Field(5, ge=1, description="Power of the polynomial cutoff.")
    radial_MLP: str = Field(  # noqa: N815 - mace's name
        "[64, 64, 64]", description="Layers of the radial network."
    )
    MLP_irreps: str = Field("16x0e", description="Irreps of the last readout.")


class FineTuneSpec(BaseModel):
    """How a MACE potential is trained; the defaults are those of the paper.

    ``multihead`` trains a new head beside the foundation's own, which a replay set keeps from
    forgetting; ``naive`` goes on training the foundation on the new data alone; ``scratch``
    starts from random weights.

    Examples
    --------
    >>> spec = FineTuneSpec(replay="mp")
    >>> spec.lr, spec.ema_decay, spec.heads
    (0.005, 0.995, ('pt_head', 'pbe_d3'))
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = Field("multihead", description="multihead (with replay), naive or scratch.")
    foundation: str | None = Field(
        "medium-0b",
        description="Model to start from: a .model file, a MACE foundation name, demo, or "
        "sha256:... of a model in the store. None from scratch.",
    )
    foundation_head: str | None = Field(
        None, description="Head of a foundation that has several."
    )
    head: str = Field(
        "pbe_d3",
        min_length=1,
        description="Name of the new head; in the other modes mace calls the only one Default.",
    )
    replay: str | None = Field(
        None,
        description="Replay set: path of an extxyz file, or mp for MPtrj as mace publishes it.",
    )
    n_replay: int | None = Field(
        None, ge=2, description="Frames of the replay set to choose; all if None."
    )
    replay_selection: Literal["fps", "random"] = Field(
        "fps", description="How they are chosen: farthest point sampling or at random."
    )
    replay_filter: Literal["none", "combinations", "exclusive", "inclusive"] = Field(
        "combinations",
        description="Replay frames by their elements: any; only elements of the new data; "
        "exactly these; at least these.",
    )
    replay_valid_fraction: float = Field(
        0.1, gt=0, lt=1, description="Part of the replay set kept for validation."
    )
    replay_weight: float = Field(
        1.0, gt=0, description="Weight of a replay frame in the loss, against a new one's 1."
    )
    energy_weight: float = Field(1.0, ge=0, description="Weight of energies in the loss.")
    forces_weight: float = Field(10.0, ge=0, description="Weight of forces in the loss.")
    stress_weight: float = Field(100.0, ge=0, description="Weight of stresses in the loss.")
    huber_delta: float = Field(
        0.01, gt=0, description="Error at which the universal loss turns linear."
    )
    lr: float = Field(0.005, gt=0, description="Learning rate at the start.")
    ema_decay: float | None = Field(
        0.995, gt=0, lt=1, description="Decay of the averaged weights; None for no average."
    )
    batch_size: int = Field(8, ge=1, description="Frames of a batch, on each rank.")
    valid_batch_size: int = Field(8, ge=1, description="The same for validation.")
    max_epochs: int = Field(2500, ge=1, description="Passes over the training data.")
    patience: int | None = Field(
        None, ge=1, description="Epochs without improvement before stopping; None for never."
    )
    scheduler_patience: int = Field(
        50, ge=1, description="Epochs without improvement before the learning rate falls."
    )
    lr_factor: float = Field(
        0.8, gt=0, lt=1, description="Factor by which it falls (ReduceLROnPlateau)."
    )
    lr_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Factor of the learning rate in every epoch (ExponentialLR) instead: for "
        "short trainings, which no plateau would end.",
    )
    weight_decay: float = Field(5e-7, ge=0, description="Weight decay.")
    clip_grad: float = Field(10.0, gt=0, description="Largest norm of the gradient.")
    E0s: Literal["foundation", "fit"] | dict[str, float] = Field(
        "foundation",
        description="Energies of isolated atoms of the new head (eV): the foundation's, a dict "
        "by element symbol, or, from scratch, a least-squares fit to the compositions.",
    )
    keep_elements: bool = Field(
        True, description="Keep all elements of the foundation, not only those of the data."
    )
    dtype: Literal["float64", "float32"] = Field("float64", description="Precision.")
    device: Literal["cpu", "cuda", "xpu"] = Field("cpu", description="torch device.")
    seed: int = Field(2025, ge=0, description="Seed of shuffling and initial weights.")
    architecture: Architecture | None = Field(None, description="Only from scratch.")
    mace: dict[str, Any] = Field(
        default_factory=dict,
        description="Further options of mace_run_train, none of which a field here decides.",
    )

    @field_validator("E0s")
    @classmethod
    def _check_symbols(cls, value: str | dict[str, float]) -> str | dict[str, float]:
        if isinstance(value, dict):
            unknown = sorted(set(value) - set(atomic_numbers))
            if unknown:
                raise SettingsError(
                    f"E0s has {', '.join(unknown)}, which are no elements",
                    "write it by symbol, such as {H: -1.1, O: -2.0}",
                )
        return value

    @model_validator(mode="after")
    def _check_combination(self) -> FineTuneSpec:
        if self.mode == "scratch":
            self._check_scratch()
        elif self.foundation is None:
            raise SettingsError(
                f"{self.mode} fine-tuning needs a foundation",
                "name a .model file or a MACE foundation, or train from scratch",
            )
        elif self.architecture is not None:
            raise SettingsError(
                "a fine-tuned model has the architecture of its foundation",
                "leave architecture out",
            )
        elif self.E0s == "fit":
            raise SettingsError(
                "fitted E0s shift the foundation's energies for no reason",
                "use foundation, or a dict of the new method's isolated atoms",
            )
        if self.mode == "multihead":
            self._check_multihead()
        elif self.replay is not None:
            raise SettingsError(
                f"a replay set was given, but {self.mode} training has no replay",
                "leave it out, or choose mode multihead",
            )
        return self

    def _check_scratch(self) -> None:
        if self.E0s == "foundation":
            raise SettingsError(
                "training from scratch has no foundation to take E0s from",
                "give a dict of isolated atoms, or fit",
            )
        if self.foundation is not None:
            raise SettingsError(
                "training from scratch starts from no foundation", "set foundation to null"
            )

    def _check_multihead(self) -> None:
        # without a replay file mace falls back to one head and no stress, saying so in the log
        if self.replay is None:
            raise SettingsError(
                "multi-head fine-tuning needs a replay set",
                "give the path of an extxyz file of the foundation's data, or mp; or choose "
                "mode naive",
            )
        if self.head == REPLAY_HEAD:
            raise SettingsError(
                f"the new head cannot be called {REPLAY_HEAD}, which is mace's replay head",
                "choose another name",
            )

    @property
    def target_head(self) -> str:
        """Head of the finished model that the new data trained."""
        return self.head if self.mode == "multihead" else ONLY_HEAD

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads of the finished model; mace selects checkpoints by the last one."""
        return (REPLAY_HEAD, self.head) if self.mode == "multihead" else (ONLY_HEAD,)
