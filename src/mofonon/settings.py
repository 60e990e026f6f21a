"""Settings of mofonon, from ``MOFONON_*`` environment variables.

Only what belongs to a machine is here (folders, threads). What belongs to a calculation is
in the settings of its Maker and part of its document.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


class MofononSettings(BaseSettings):
    """Machine settings; each field is read from ``MOFONON_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="MOFONON_", extra="forbid")

    store: Path = Field(
        default_factory=lambda: _data_home() / "mofonon" / "store",
        description="Folder of the embedded job store (SQLite).",
    )
    checkpoints: Path = Field(
        default_factory=lambda: _cache_home() / "mofonon" / "checkpoints",
        description="Folder of evaluation logs, from which killed jobs continue.",
    )
    models: Path = Field(
        default_factory=lambda: _cache_home() / "mofonon" / "models",
        description="Folder of models taken from stores, by sha256.",
    )
    threads: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        description="Threads of the potential and of linear algebra in one job.",
    )
    keep_memory: bool = Field(
        True,
        description="Keep freed memory in the process (glibc's mallopt) where torch runs on "
        "a CPU: faster evaluations, and the process holds its peak until it ends.",
    )
    cut_models: bool = Field(
        True,
        description="Cut MACE models to the elements present; energies and forces stay the "
        "same to rounding.",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Displaced cells that a MACE model evaluates at once; by default 1 on a "
        "CPU and on a GPU what its free memory holds.",
    )


def get_settings() -> MofononSettings:
    """Read the settings from the environment, anew at each call."""
    return MofononSettings()
