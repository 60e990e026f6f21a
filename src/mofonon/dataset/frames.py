"""Labelled frames on their way into a dataset: identity, duplicates, thinning, E0s."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from mofonon.dataset.sampling import choose_frames
from mofonon.dft.schemas import LabelFrame
from mofonon.errors import DatasetError
from mofonon.structures.fingerprints import FingerprintSpec


def frame_id(frame: LabelFrame) -> str:
    """Hash of elements, cell, positions, energy, forces and stress, to the last bit."""
    digest = hashlib.sha256(b"mofonon frame 1\n")
    digest.update(",".join(frame.elements).encode() + b"\n")
    stress = frame.stress if frame.stress is not None else []
    for values in (frame.lattice, [frame.energy], stress):
        digest.update(np.ascontiguousarray(values, "<f8").tobytes())
    digest.update(f"{frame.positions.sha256} {frame.forces.sha256}".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Prepared:
    """Frames of a dataset, and what was left out.

    Attributes
    ----------
    frames : list of LabelFrame
        Sorted by MOF, origin, step and hash, so that their order does not depend on that in
        which they were given.
    ids : list of str
        Their hashes.
    n_quarantined, n_duplicates, n_thinned : int
        Frames left out.
    """

    frames: list[LabelFrame]
    ids: list[str]
    n_quarantined: int
    n_duplicates: int
    n_thinned: int


def prepare_frames(
    frames: Sequence[LabelFrame],
    spec: FingerprintSpec,
    *,
    max_relax_frames: int = 10,
    drop_quarantined: bool = True,
) -> Prepared:
    """Leave out quarantined and identical frames, and thin relaxations.

    Parameters
    ----------
    frames : sequence of LabelFrame
        As the dft stage gives them.
    spec : FingerprintSpec
        Descriptors by which frames of relaxations are chosen.
    max_relax_frames : int
        Most frames of one relaxation.
    drop_quarantined : bool
        Leave out frames that are kept apart.

    Raises
    ------
    DatasetError
        No frame is left.
    """
    kept = [frame for frame in frames if frame.good or not drop_quarantined]
    unique = {frame_id(frame): frame for frame in kept}
    thinned = _thin_relaxations(unique, spec, max_relax_frames)
    if not thinned:
        raise DatasetError(
            f"no frame is left of {len(frames)}",
            "look at why they are quarantined, or keep them with --quarantined",
        )
    order = sorted(
        thinned, key=lambda key: (unique[key].mof_id, unique[key].origin, unique[key].step, key)
    )
    return Prepared(
        frames=[unique[key] for key in order],
        ids=order,
        n_quarantined=len(frames) - len(kept),
        n_duplicates=len(kept) - len(unique),
        n_thinned=len(unique) - len(thinned),
    )


def _thin_relaxations(
    frames: dict[str, LabelFrame], spec: FingerprintSpec, most: int
) -> set[str]:
    """Hashes of what stays: frames of each relaxation that differ most."""
    paths: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    kept = set()
    for key, frame in frames.items():
        if frame.origin == "relax":
            paths[frame.mof_id, frame.provenance.job_uuid].append(key)
        else:
            kept.add(key)
    for keys in paths.values():
        keys.sort(key=lambda key: (frames[key].step, key))
        atoms = [frames[key].to_atoms() for key in keys]
        kept |= {keys[index] for index in choose_frames(atoms, most, spec, first=True)}
    return kept


def fit_isolated_atom_energies(frames: Sequence[LabelFrame]) -> tuple[dict[str, float], bool]:
    """Energies of isolated atoms (E0s) by least squares over compositions.

    What MACE calls ``average``: the energies that compositions alone explain best. Not the
    energies of isolated atoms, which have to be calculated.

    Parameters
    ----------
    frames : sequence of LabelFrame
        The frames.

    Returns
    -------
    energies : dict
        Energy by element (eV).
    determined : bool
        Whether compositions tell all elements apart; if not, the solution of least norm.
    """
    elements = sorted(
        {el for frame in frames for el in frame.elements}, key=atomic_numbers.__getitem__
    )
    counts = np.array(
        [[frame.elements.count(element) for element in elements] for frame in frames], float
    )
    energies = np.array([frame.energy for frame in frames])
    solution, _, rank, _ = np.linalg.lstsq(counts, energies, rcond=None)
    return dict(zip(elements, solution.tolist(), strict=True)), int(rank) == len(elements)


def check_isolated_atom_energies(
    energies: dict[str, float], frames: Sequence[LabelFrame]
) -> dict[str, float]:
    """Check that given E0s have all elements of the frames, and sort them.

    Raises
    ------
    DatasetError
        An element lacks, or is none.
    """
    known = {_symbol(key): float(value) for key, value in energies.items()}
    elements = sorted(
        {el for frame in frames for el in frame.elements}, key=atomic_numbers.__getitem__
    )
    missing = [element for element in elements if element not in known]
    if missing:
        raise DatasetError(
            f"the isolated-atom energies lack {', '.join(missing)}", "add them to the file"
        )
    return {element: known[element] for element in elements}


def _symbol(key: str) -> str:
    """Element of a key: a symbol or an atomic number, as MACE writes them."""
    if key.isdecimal() and 0 < int(key) < len(chemical_symbols):
        return str(chemical_symbols[int(key)])
    if key in atomic_numbers:
        return key
    raise DatasetError(f"{key!r} is no element", "use symbols or atomic numbers")
