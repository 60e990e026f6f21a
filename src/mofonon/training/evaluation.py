"""Evaluation of potentials on labelled frames: errors, groups, alignment, speed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from jobflow import Maker, job

from mofonon.arrays import EncodedArray
from mofonon.errors import SettingsError, UnknownElementError
from mofonon.potentials import (
    PotentialSpec,
    check_elements,
    describe_potential,
    make_calculator,
)
from mofonon.potentials.factory import d3_calculator
from mofonon.provenance import content_hash, software_versions
from mofonon.training.evaluation_schemas import (
    Arrays,
    EvaluatedPotential,
    EvaluationDoc,
    EvaluationSettings,
    GroupErrors,
    SetEvaluation,
    Speed,
)
from mofonon.training.frames import elements_of, frames_sha256, normalise_frames, read_frames
from mofonon.training.metrics import (
    Values,
    composition_shifts,
    element_errors,
    set_errors,
    shifted,
)
from mofonon.training.predict import labels_of, predict, symbols_of_frames

#: Names that frames may have their MOF, origin and part under.
_KEYS = {"mof": ("mof_id", "mof"), "origin": ("origin", "config_type"), "split": ("split",)}

DISPERSION_LINE = "D3(BJ) alone"


@dataclass
class EvaluationMaker(Maker):
    """Evaluate potentials on labelled frames, all in one run.

    Parameters
    ----------
    name : str
        Name of the job.
    settings : EvaluationSettings
        Alignment, size, measurement of speed.
    """

    name: str = "evaluate"
    settings: EvaluationSettings = field(default_factory=EvaluationSettings)

    @job(data=[EncodedArray], output_schema=EvaluationDoc)
    def make(
        self,
        potentials: dict[str, PotentialSpec],
        sets: dict[str, str | Path | list[Any]],
        notes: dict[str, list[str]] | None = None,
    ) -> EvaluationDoc:
        """Evaluate.

        Parameters
        ----------
        potentials : dict of str to PotentialSpec
            By the names that tables show.
        sets : dict of str to path or list of frames
            Labelled frames by the names that tables show, such as train and test.
        notes : dict of str to list of str, optional
            What to say of a potential.
        """
        specs = {
            name: PotentialSpec.model_validate(spec) if isinstance(spec, dict) else spec
            for name, spec in potentials.items()
        }
        return evaluate(specs, load_sets(sets), self.settings, notes)


def load_sets(sets: Mapping[str, Any]) -> dict[str, list[Atoms]]:
    """Read sets of labelled frames, from files or lists."""
    return {
        name: read_frames(frames)
        if isinstance(frames, str | Path)
        else normalise_frames(frames, name)
        for name, frames in sets.items()
    }


def evaluation_id(
    potentials: Mapping[str, PotentialSpec],
    sets: Mapping[str, Sequence[Atoms]],
    settings: EvaluationSettings,
) -> str:
    """Identity of an evaluation: frames, potentials, settings."""
    return content_hash(
        {
            "potentials": {n: describe_potential(s).identity for n, s in potentials.items()},
            "sets": {name: frames_sha256(frames) for name, frames in sets.items()},
            "settings": settings.model_dump(mode="json"),
        }
    )


def evaluate(
    potentials: Mapping[str, PotentialSpec],
    sets: Mapping[str, list[Atoms]],
    settings: EvaluationSettings | None = None,
    notes: Mapping[str, list[str]] | None = None,
) -> EvaluationDoc:
    """Evaluate potentials on sets of labelled frames.

    Raises
    ------
    SettingsError
        When there is no potential or no set.
    UnknownElementError
        When a potential lacks an element; nothing is evaluated then.
    """
    begin = time.perf_counter()
    settings = settings or EvaluationSettings()
    if not potentials or not sets:
        raise SettingsError("nothing to evaluate", "give potentials and labelled frames")
    used = {name: spaced(frames, settings.max_frames) for name, frames in sets.items()}
    known = _check_all(potentials, used)
    labels = {name: labels_of(frames) for name, frames in used.items()}
    predictions: dict[str, dict[str, Values]] = {}
    evaluated = []
    for name, spec in potentials.items():
        calculator = make_calculator(spec)
        found = {
            title: predict(frames, calculator, f"{name} on {title}")
            for title, frames in used.items()
        }
        shifts = _shifts(found, labels, used) if settings.align else None
        if shifts is not None:
            found = {
                title: shifted(values, shifts, symbols_of_frames(used[title]))
                for title, values in found.items()
            }
        predictions[name] = found
        evaluated.append(
            EvaluatedPotential(
                name=name,
                description=known[name],
                energy_shifts=shifts,
                notes=list((notes or {}).get(name, [])),
            )
        )
    notices = {known[name].notice for name in potentials} | {
        frame.info.get("notice") for frames in used.values() for frame in frames
    }
    return EvaluationDoc(
        calculation_id=evaluation_id(potentials, sets, settings),
        potentials=evaluated,
        sets={name: len(frames) for name, frames in used.items()},
        frames_sha256={name: frames_sha256(frames) for name, frames in used.items()},
        evaluations=[
            evaluate_set(name, title, found[title], labels[title], frames)
            for name, found in predictions.items()
            for title, frames in used.items()
        ],
        speed=measure_speed(potentials, used, settings),
        aligned=settings.align,
        arrays=_arrays(predictions, labels, used),
        settings=settings,
        warnings=_warnings(settings, sets),
        notice="; ".join(sorted(str(n) for n in notices if n)) or None,
        seconds=time.perf_counter() - begin,
        software=software_versions(),
    )


def evaluate_set(
    potential: str, title: str, predicted: Values, labels: Values, frames: Sequence[Atoms]
) -> SetEvaluation:
    """Errors of a potential on a set: on all frames, by MOF, origin and split, by element."""
    groups = [GroupErrors(kind="all", value="all", errors=set_errors(predicted, labels))]
    for kind, keys in _KEYS.items():
        members: dict[str, list[int]] = {}
        for index, frame in enumerate(frames):
            value = next((frame.info[key] for key in keys if key in frame.info), None)
            if value is not None:
                members.setdefault(str(value), []).append(index)
        groups += [
            GroupErrors(
                kind=kind,
                value=value,
                errors=set_errors(predicted.subset(indices), labels.subset(indices)),
            )
            for value, indices in sorted(members.items())
        ]
    return SetEvaluation(
        potential=potential,
        frames=title,
        groups=groups,
        elements=element_errors(predicted, labels, symbols_of_frames(frames)),
    )


def measure_speed(
    potentials: Mapping[str, PotentialSpec],
    sets: Mapping[str, Sequence[Atoms]],
    settings: EvaluationSettings,
) -> list[Speed]:
    """Time energy, forces and stress of each potential on the same structures.

    Dispersion is measured on its own, and potentials without it; a potential with dispersion
    has the sum. The fastest of some evaluations counts, after one that is not timed.
    """
    frames = [frame for members in sets.values() for frame in members]
    if not settings.speed_frames:
        return []
    chosen = spaced(sorted(frames, key=len), settings.speed_frames)
    bare = {
        name: spec.model_copy(update={"dispersion": None}) for name, spec in potentials.items()
    }
    times = {
        name: seconds_per_atom(make_calculator(spec), chosen, settings.speed_repeats)
        for name, spec in bare.items()
    }
    dispersion = None
    if any(spec.dispersion for spec in potentials.values()):
        dispersion = seconds_per_atom(d3_calculator(), chosen, settings.speed_repeats)
    lines = {
        name: times[name] + (dispersion if spec.dispersion and dispersion else 0.0)
        for name, spec in potentials.items()
    }
    if dispersion is not None:
        lines[DISPERSION_LINE] = dispersion
    first = next(iter(lines.values()))
    sizes = [len(frame) for frame in chosen]
    return [
        Speed(potential=name, n_atoms=sizes, seconds_per_atom=t, relative=t / first)
        for name, t in lines.items()
    ]


def seconds_per_atom(calculator: Any, frames: Sequence[Atoms], repeats: int) -> float:
    """Seconds per atom of an evaluation, mean over frames of the fastest of some."""
    found = []
    for frame in frames:
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
        times = []
        for turn in range(repeats + 1):
            calculator.reset()
            atoms.positions += 1e-6  # a new configuration, so that nothing is remembered
            begin = time.perf_counter()
            calculator.calculate(atoms, ["energy", "forces", "stress"])
            if turn:
                times.append(time.perf_counter() - begin)
        found.append(min(times) / len(atoms))
    return float(np.mean(found))


def spaced(frames: Sequence[Atoms], most: int | None) -> list[Atoms]:
    """At most so many frames, evenly spaced, the first and last among them."""
    if most is None or len(frames) <= most:
        return list(frames)
    indices = np.unique(np.linspace(0, len(frames) - 1, most).round().astype(int))
    return [frames[i] for i in indices]


def _check_all(
    potentials: Mapping[str, PotentialSpec], sets: Mapping[str, Sequence[Atoms]]
) -> dict[str, Any]:
    known = {name: describe_potential(spec) for name, spec in potentials.items()}
    for title, frames in sets.items():
        for description in known.values():
            try:
                check_elements(elements_of(frames), description)
            except UnknownElementError as error:
                raise UnknownElementError(
                    f"{title}: {error.message}", "leave the potential or the frames out"
                ) from error
    return known


def _shifts(
    predicted: Mapping[str, Values],
    labels: Mapping[str, Values],
    sets: Mapping[str, Sequence[Atoms]],
) -> dict[str, float]:
    symbols = [s for frames in sets.values() for s in symbols_of_frames(frames)]
    return composition_shifts(
        np.concatenate([predicted[name].energies for name in sets]),
        np.concatenate([labels[name].energies for name in sets]),
        symbols,
    )


def _arrays(
    predictions: Mapping[str, Mapping[str, Values]],
    labels: Mapping[str, Values],
    sets: Mapping[str, Sequence[Atoms]],
) -> list[Arrays]:
    encode = EncodedArray.encode
    return [
        Arrays(
            frames=title,
            n_atoms=encode(np.array([len(frame) for frame in frames])),
            energies=encode(labels[title].energies),
            forces=encode(np.concatenate(labels[title].forces)),
            predicted_energies={n: encode(p[title].energies) for n, p in predictions.items()},
            predicted_forces={
                n: encode(np.concatenate(p[title].forces)) for n, p in predictions.items()
            },
        )
        for title, frames in sets.items()
    ]


def _warnings(settings: EvaluationSettings, sets: Mapping[str, Sequence[Atoms]]) -> list[str]:
    found = []
    if settings.align:
        found.append(
            "energies of each potential were shifted by element to fit the labels of all sets; "
            "their errors are smaller than without"
        )
    for name, frames in sets.items():
        if settings.max_frames is not None and len(frames) > settings.max_frames:
            found.append(f"{name}: {settings.max_frames} of {len(frames)} frames evaluated")
    return found
