"""Extended XYZ with MACE's keys, every digit kept, and reading of what others wrote.

ASE writes positions with eight decimals; here numbers are written so that they come back bit
for bit. Read are MACE's ``REF_`` keys, energies and forces as ASE and most programs write
them, and the JSON of the paper's DFT results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from ase import Atoms

from mofonon.dft.schemas import LabelFrame, LabelProvenance, Origin, ase_stress
from mofonon.errors import DatasetError

_ENERGY_KEYS = ("REF_energy", "energy", "dft_energy", "DFT_energy", "free_energy")
_FORCES_KEYS = ("REF_forces", "forces", "dft_forces", "DFT_forces", "force")
_STRESS_KEYS = ("REF_stress", "stress", "dft_stress", "DFT_stress")
_VIRIALS_KEYS = ("REF_virials", "virials", "virial")
_NAME_KEYS = ("mof_id", "mof", "name", "system", "material_id", "qmof_id")


@dataclass(frozen=True)
class Weights:
    """Weights of one frame in MACE's loss, relative to those of the training.

    Attributes
    ----------
    frame : float
        ``config_weight``, which MACE multiplies with all of the following.
    energy, forces, stress : float
        ``config_energy_weight``, ``config_forces_weight``, ``config_stress_weight``; stress is
        written as 0 where a frame has none.
    """

    frame: float = 1.0
    energy: float = 1.0
    forces: float = 1.0
    stress: float = 1.0


def write_extxyz(
    path: Path,
    frames: Iterable[LabelFrame],
    *,
    head: str | None = None,
    weights: dict[str, Weights] | None = None,
) -> int:
    """Write frames for ``mace_run_train``.

    Parameters
    ----------
    path : Path
        The file; its folder is made if absent.
    frames : iterable of LabelFrame
        The frames.
    head : str, optional
        Head of a multi-head model that the frames belong to.
    weights : dict, optional
        Weights by origin (``eos``, ``md``, ``relax``, ...).

    Returns
    -------
    int
        Frames written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for frame in frames:
            chosen = (weights or {}).get(frame.origin, Weights())
            file.write(format_frame(frame, head=head, weights=chosen))
            count += 1
    return count


def format_frame(frame: LabelFrame, *, head: str | None, weights: Weights) -> str:
    """One frame as extended XYZ."""
    info: dict[str, Any] = {
        "REF_energy": frame.energy,
        "config_type": frame.origin,
        "mof_id": frame.mof_id,
        "step": frame.step,
        "config_weight": weights.frame,
        "config_energy_weight": weights.energy,
        "config_forces_weight": weights.forces,
        "config_stress_weight": weights.stress if frame.stress is not None else 0.0,
    }
    if frame.stress is not None:
        info["REF_stress"] = np.asarray(frame.stress).ravel()
    if head is not None:
        info["head"] = head
    for name in ("linear_strain", "free_energy", "parent", "notice"):
        if (value := getattr(frame, name)) is not None:
            info[name] = value
    if frame.quarantine:
        info["quarantine"] = "; ".join(frame.quarantine)
    lattice = " ".join(_number(x) for x in np.asarray(frame.lattice).ravel())
    pairs = " ".join(f"{key}={_value(value)}" for key, value in info.items())
    rows = np.hstack([frame.positions_array(), frame.forces_array()])
    body = "".join(
        f"{element} {' '.join(map(_number, row))}\n"
        for element, row in zip(frame.elements, rows, strict=True)
    )
    return (
        f'{frame.n_atoms}\nLattice="{lattice}" '
        f'Properties=species:S:1:pos:R:3:REF_forces:R:3 {pairs} pbc="T T T"\n{body}'
    )


def _number(value: float) -> str:
    """Shortest text that gives the same float64."""
    return repr(float(value))


def _value(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f'"{" ".join(map(_number, value))}"'
    if isinstance(value, str):
        return json.dumps(value)
    return str(value) if isinstance(value, int) else _number(value)


def read_frames(path: Path, mof_id: str | None = None) -> list[LabelFrame]:
    """Read labelled frames of a file.

    Parameters
    ----------
    path : Path
        Extended XYZ (any that ASE reads, compressed too) with energies and forces, or JSON in
        the layout of the paper's DFT results: a list of dicts with ``structure``, ``energy``
        (eV), ``force`` (eV/A) and ``stress`` (kbar, VASP's sign).
    mof_id : str, optional
        Name of the MOF of frames that do not say; by default the name of the file.

    Raises
    ------
    DatasetError
        The file cannot be read, or a frame has no energy or forces.
    """
    default = mof_id or path.name.split(".")[0]
    try:
        if path.suffix == ".json":
            frames = list(_paper_frames(path, default))
        else:
            frames = [
                _frame_of_atoms(atoms, path, index, default)
                for index, atoms in enumerate(_iterate_atoms(path))
            ]
    except DatasetError:
        raise
    except Exception as error:  # ASE raises whatever malformed text leads it to
        raise DatasetError(
            f"{path} cannot be read as labelled frames: {type(error).__name__}: {error}",
            "give extended XYZ with REF_energy and REF_forces, or energy and forces",
        ) from error
    if not frames:
        raise DatasetError(f"{path} has no frame", "give extended XYZ with energies and forces")
    return frames


def _iterate_atoms(path: Path) -> Iterator[Atoms]:
    from ase.io import iread

    yield from iread(path, index=":", format="extxyz")


def _frame_of_atoms(atoms: Atoms, path: Path, index: int, default: str) -> LabelFrame:
    results = atoms.calc.results if atoms.calc is not None else {}
    info = {**results, **atoms.info}
    arrays = {**{k: v for k, v in results.items() if k == "forces"}, **atoms.arrays}
    energy = _first(info, _ENERGY_KEYS)
    forces = _first(arrays, _FORCES_KEYS)
    if energy is None or forces is None:
        lacks = "no energy" if energy is None else "no forces"
        raise DatasetError(
            f"frame {index} of {path} has {lacks}",
            f"call them {', '.join(_ENERGY_KEYS[:2])} and {', '.join(_FORCES_KEYS[:2])}",
        )
    if not atoms.pbc.all() or not atoms.cell.any():
        raise DatasetError(f"frame {index} of {path} is not periodic", "give it a Lattice")
    kind = str(info.get("origin", info.get("config_type", "static")))
    origin: Any = kind if kind in get_args(Origin) else "static"
    return LabelFrame.from_arrays(
        atoms,
        float(energy),
        np.asarray(forces, float),
        _stress(info, atoms),
        mof_id=str(_first(info, _NAME_KEYS) or default),
        origin=origin,
        step=int(info.get("step", index)),
        linear_strain=info.get("linear_strain"),
        free_energy=_optional_float(info.get("free_energy")),
        parent=str(info["parent"]) if "parent" in info else path.name,
        notice=info.get("notice"),
        quarantine=str(info["quarantine"]).split("; ") if info.get("quarantine") else [],
        provenance=LabelProvenance(code="imported", directory=None),
    )


def _stress(info: dict[str, Any], atoms: Atoms) -> np.ndarray | None:
    """Stress in ASE's sign (eV/A^3): 3x3, or six in Voigt order."""
    stress = _first(info, _STRESS_KEYS)
    if stress is None:
        virials = _first(info, _VIRIALS_KEYS)
        if virials is None:
            return None
        stress = -np.asarray(virials, float) / atoms.get_volume()
    values = np.asarray(stress, float)
    return values if values.size == 6 else values.reshape(3, 3)


def _paper_frames(path: Path, default: str) -> Iterator[LabelFrame]:
    from pymatgen.core import Structure

    content = json.loads(path.read_text(encoding="utf-8"))
    for index, entry in enumerate(content if isinstance(content, list) else [content]):
        yield LabelFrame.from_arrays(
            Structure.from_dict(entry["structure"]),
            float(entry["energy"]),
            entry["force"] if "force" in entry else entry["forces"],
            ase_stress(entry["stress"]) if entry.get("stress") is not None else None,
            mof_id=default,
            origin="relax",
            step=index,
            parent=path.name,
            provenance=LabelProvenance(code="imported"),
        )


def _first(values: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((values[key] for key in keys if values.get(key) is not None), None)


def _optional_float(value: Any) -> float | None:
    return None if value is None else float(value)
