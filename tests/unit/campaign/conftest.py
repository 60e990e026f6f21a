"""Campaigns of small crystals with a potential that costs nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

_LATTICE = {"Al": 4.0, "Cu": 3.6, "Zn": 3.9}


@pytest.fixture
def campaign(tmp_path: Path) -> Callable[..., Path]:
    """Write a campaign of metals with EMT; keywords replace parts of it."""

    def write(symbols: tuple[str, ...] = ("Al",), **parts: Any) -> Path:
        folder = tmp_path / "structures"
        folder.mkdir(exist_ok=True)
        for symbol in symbols:
            structure = AseAtomsAdaptor.get_structure(bulk(symbol, "fcc", a=_LATTICE[symbol]))
            structure.to(str(folder / f"{symbol}.json"))
        content = {
            "name": "metals",
            "structures": {"files": ["structures/*.json"]},
            "potentials": {"emt": {"model": "support.calculators:CountedEMT"}},
            "stages": {
                "phonons": {"settings": {"mesh": [3, 3, 3], "dos_pitch": 0.1}},
                "bulk-modulus": {"settings": {"n_points": 5}},
                "report": {},
            },
            **parts,
        }
        path = tmp_path / "metals.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write
