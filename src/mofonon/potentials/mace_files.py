"""MACE model files: where they are, and reading them with checks that mace leaves out."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import urllib.error
import urllib.request
from functools import lru_cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mofonon.errors import PotentialFileError

if TYPE_CHECKING:
    from torch import nn

DEMO_MODEL = "demo.model"

#: Beginning of the name of a model that is found by its hash, in a cache or a store.
STORED = "sha256:"


@lru_cache(maxsize=1)
def foundation_urls() -> dict[str, str]:
    """Names and addresses of the MACE-MP foundation models.

    Read from the source of the installed mace without importing it (which takes seconds),
    so that the list is the one of the version at hand.
    """
    package = find_spec("mace")
    if package is None or not package.submodule_search_locations:
        return {}
    source = Path(package.submodule_search_locations[0]) / "calculators/foundations_models.py"
    block = re.search(r"mace_mp_urls = \{(.*?)\n\}", source.read_text(), re.DOTALL)
    if block is None:
        return {}
    return dict(re.findall(r'"([^"]+)":\s*"(https://[^"]+)"', block.group(1)))


def model_path(model: str | None, family: str) -> Path:
    """Path of a MACE model file: the demo model, a file, or a downloaded foundation model.

    Raises
    ------
    PotentialFileError
        When the file does not exist or the foundation model cannot be fetched.
    """
    if family == "demo":
        return Path(str(resources.files("mofonon") / "data" / DEMO_MODEL))
    name = str(model)
    if Path(name).is_file():
        return Path(name)
    if name.startswith(STORED):
        from mofonon.potentials.stored import stored_model

        return stored_model(name.removeprefix(STORED))
    urls = foundation_urls()
    if name in urls:
        return fetch_foundation(name, urls[name])
    raise PotentialFileError(
        f"there is no model file {name}",
        f"check the path, or use a MACE foundation name: {', '.join(urls)}",
    )


def foundation_cache() -> Path:
    """Folder where mace itself keeps downloaded models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mace"


def fetch_foundation(name: str, url: str, what: str = "foundation model") -> Path:
    """Download what mace publishes into mace's own cache, or find it there.

    The file appears under its final name only when it is complete, so an interrupted
    download is never taken for a model.

    Raises
    ------
    PotentialFileError
        When it cannot be fetched; the remedy names the address and the place for it.
    """
    cache = foundation_cache()
    file_name = "".join(c for c in Path(url).name if c.isalnum() or c == "_")
    target = cache / file_name
    if target.is_file():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with (
            urllib.request.urlopen(url, timeout=60) as response,  # noqa: S310
            tempfile.NamedTemporaryFile(dir=cache, delete=False) as part,
        ):
            while block := response.read(1 << 20):
                part.write(block)
        Path(part.name).replace(target)
    except (urllib.error.URLError, OSError) as error:
        raise PotentialFileError(
            f"the MACE {what} {name} cannot be downloaded: {error}",
            f"download {url} elsewhere and pass the file's path to --model, or put it at "
            f"{target}",
        ) from error
    return target


def load_mace(path: Path, device: str) -> nn.Module:
    """Load a MACE model from a file.

    Raises
    ------
    PotentialFileError
        When the file is empty, truncated or holds something else.
    """
    import torch

    data = path.read_bytes()
    if not data:
        raise PotentialFileError(f"the model file {path} is empty", "copy or train it again")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # mace names what it does without
            import mace.modules  # noqa: F401 - classes that the pickle names
        model: Any = torch.load(io.BytesIO(data), map_location=device, weights_only=False)
    except Exception as error:  # torch.load raises a dozen kinds for a damaged file
        raise PotentialFileError(
            f"{path} cannot be read as a MACE model ({type(error).__name__}: {error})".replace(
                "\n", " "
            ),
            "the file is truncated or of another kind: copy it again and compare its size",
        ) from error
    if not (hasattr(model, "atomic_numbers") and hasattr(model, "r_max")):
        raise PotentialFileError(
            f"{path} holds a {type(model).__name__}, not a MACE model",
            "give the .model file that mace_run_train writes, not a checkpoint (.pt)",
        )
    return model


def heads_of(model: nn.Module) -> list[str]:
    """Names of the heads of a MACE model; a model without heads has one, ``Default``."""
    return [str(head) for head in getattr(model, "heads", None) or ["Default"]]
