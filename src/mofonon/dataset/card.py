"""The card of a dataset: what is in it, as data and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from ase.data import atomic_numbers
from ase.units import GPa

from mofonon.dataset.schemas import PARTS, DatasetCard, Range, Split
from mofonon.dft.schemas import LabelFrame
from mofonon.provenance import software_versions


def make_card(
    name: str,
    frames: Sequence[LabelFrame],
    splits: Sequence[Split],
    isolated_atoms: dict[str, float],
    isolated_atom_source: str,
    *,
    description: str = "",
    licence: str = "",
) -> DatasetCard:
    """Count what is in a dataset.

    Parameters
    ----------
    name, description, licence : str
        Of the dataset.
    frames : sequence of LabelFrame
        The frames.
    splits : sequence of Split
        The splits.
    isolated_atoms : dict
        E0s by element (eV).
    isolated_atom_source : str
        Where they are from.
    """
    elements = Counter(element for frame in frames for element in set(frame.elements))
    stresses = [frame.stress for frame in frames if frame.stress is not None]
    pressures = [-np.trace(np.asarray(stress)) / 3 / GPa for stress in stresses]
    lengths = np.concatenate([np.linalg.norm(frame.forces_array(), axis=1) for frame in frames])
    return DatasetCard(
        name=name,
        description=description,
        licence=licence,
        n_frames=len(frames),
        n_atoms=sum(frame.n_atoms for frame in frames),
        n_mofs=len({frame.mof_id for frame in frames}),
        frames_by_mof=_counts(frame.mof_id for frame in frames),
        frames_by_element=dict(sorted(elements.items(), key=lambda i: atomic_numbers[i[0]])),
        frames_by_origin=_counts(frame.origin for frame in frames),
        frames_by_split={
            split.name: {part: len(split.part(part)) for part in PARTS} for split in splits
        },
        energy_per_atom=_range([frame.energy_per_atom for frame in frames]),
        force=_range(lengths),
        pressure=_range(pressures) if pressures else None,
        n_with_stress=len(stresses),
        energy_cutoffs=sorted(
            {
                float(frame.provenance.incar["ENCUT"])
                for frame in frames
                if frame.provenance.incar.get("ENCUT")
            }
        ),
        labels=sorted({_label(frame) for frame in frames}),
        isolated_atom_energies=isolated_atoms,
        isolated_atom_source=isolated_atom_source,
        notices=sorted({frame.notice for frame in frames if frame.notice}),
        software=software_versions(),
    )


def card_markdown(card: DatasetCard) -> str:
    """Write a card as Markdown."""
    lines = [f"# {card.name}", ""]
    if card.description:
        lines += [card.description, ""]
    if card.notices:
        lines += [f"> **Stand-in labels:** {'; '.join(card.notices)}", ""]
    lines += [
        f"{card.n_frames} frames ({card.n_with_stress} with stress) of {card.n_mofs} MOFs.",
        "",
        f"- Licence: {card.licence or 'not stated'}",
        f"- Labels: {', '.join(card.labels)}",
        f"- Plane-wave cutoff (eV): {', '.join(f'{x:g}' for x in card.energy_cutoffs) or '-'}",
        "",
        *_table(
            ("quantity", "lowest", "mean", "highest"),
            [
                (name, f"{each.lowest:.5g}", f"{each.mean:.5g}", f"{each.highest:.5g}")
                for name, each in (
                    ("energy (eV/atom)", card.energy_per_atom),
                    ("force (eV/A)", card.force),
                    ("pressure (GPa)", card.pressure),
                )
                if each is not None
            ],
        ),
        "## Splits",
        "",
        *_table(
            ("split", *PARTS),
            [(name, *(parts[part] for part in PARTS)) for name, parts in
             card.frames_by_split.items()],
        ),
        "## Origins",
        "",
        *_table(("origin", "frames"), card.frames_by_origin.items()),
        "## Elements",
        "",
        f"Isolated-atom energies (E0s): {card.isolated_atom_source}.",
        "",
        *_table(
            ("element", "frames", "E0 (eV)"),
            [
                (element, count, f"{card.isolated_atom_energies[element]:.6f}")
                for element, count in card.frames_by_element.items()
            ],
        ),
        "## MOFs",
        "",
        *_table(("MOF", "frames"), card.frames_by_mof.items()),
        "## Software",
        "",
        ", ".join(f"{name} {version}" for name, version in card.software.items()),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    rule = " | ".join(["---", *["---:"] * (len(header) - 1)])
    body = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(header)} |", f"| {rule} |", *body, ""]


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _range(values: Sequence[float] | np.ndarray) -> Range:
    array = np.asarray(values, float)
    return Range(
        lowest=float(array.min()), mean=float(array.mean()), highest=float(array.max())
    )


def _label(frame: LabelFrame) -> str:
    source = frame.provenance
    parts = (source.code, source.version, source.run_type)
    return " ".join(str(part) for part in parts if part)
