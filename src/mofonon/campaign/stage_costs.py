"""What the stages that make a potential will cost: VASP, samples, training, evaluation.

Numbers of frames are those asked of the samplers; see :mod:`mofonon.dft.estimate` for VASP and
:mod:`mofonon.campaign.estimates` for evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jobflow import Job
from pymatgen.core import Structure

from mofonon.campaign.estimates import RELAXATION, Cost, Estimate
from mofonon.dataset.samplers import MdSampleMaker, RelaxSampleMaker
from mofonon.dft import LabelMaker
from mofonon.dft.estimate import calculation_size
from mofonon.dft.schemas import CostAssumptions
from mofonon.training.spec import FineTuneSpec

#: Cost of a training step in evaluations of the same atoms: energy, forces, and once more
#: through the graph of both for the weights. Assumed, not measured.
TRAINING_STEP = 3.0
#: Replay frames of the name ``mp`` without a number (mace's default), and atoms of a frame of
#: MPtrj (Deng et al., Nat. Mach. Intell. 5, 1031 (2023): 49.3 million forces, 1.58 million
#: frames).
REPLAY_FRAMES, REPLAY_ATOMS = 10_000, 31

#: Frames and atoms in each.
Frames = Sequence[tuple[int, int]]


def vasp_cost(
    structure: Structure,
    name: str,
    maker: LabelMaker,
    n_frames: int,
    *,
    with_structure: bool,
    assumptions: CostAssumptions,
) -> Estimate:
    """Estimate the labels of a structure by VASP: core-hours, and memory over all cores.

    Parameters
    ----------
    structure : Structure
        The structure.
    name : str
        Its name.
    maker : LabelMaker
        What is calculated.
    n_frames : int
        Samples of it that are labelled.
    with_structure : bool
        Whether the structure is labelled too: relaxation and deformations.
    assumptions : CostAssumptions
        Steps, and speed of a core.

    Raises
    ------
    PotcarError
        When an element has no POTCAR in release 54.
    """
    relax = maker.relax_maker if with_structure else None
    eos = maker.eos_maker if with_structure else None
    size = calculation_size(
        structure,
        name,
        relax=relax,
        eos=eos,
        static=maker.static_maker,
        assumptions=assumptions,
    )
    hours = dict(size.core_hours)
    alone = with_structure and relax is None and eos is None
    hours["static"] *= n_frames + alone
    return Estimate(0, size.n_atoms, 3600 * sum(hours.values()), size.memory, on_gpu=False)


def label_frames(maker: Any, n_frames: int, *, with_structure: bool, most_relax: int) -> int:
    """Count the labelled frames of a structure, as the dataset keeps them."""
    if not with_structure:
        return n_frames
    if not isinstance(maker, LabelMaker):
        return n_frames + 1
    relax = most_relax if maker.relax_maker is not None else 0
    eos = maker.eos_maker.number_of_frames if maker.eos_maker is not None else 0
    return n_frames + (relax + eos or 1)


def sampled_frames(samplers: Sequence[Any]) -> int:
    """Count the frames that samplers are asked for."""
    return sum(int(sampler.number_of_frames) for sampler in samplers)


def sample_estimates(
    jobs: Sequence[Job], n_atoms: int, costs: Mapping[str, Cost]
) -> dict[str, Estimate]:
    """Estimate the jobs of samplers, by id: dynamics and relaxations evaluate forces.

    Parameters
    ----------
    jobs : sequence of Job
        Of one structure.
    n_atoms : int
        Its atoms.
    costs : mapping
        Cost of an evaluation by the label of the potential.
    """
    found = {}
    for job in jobs:
        maker = job.maker
        if isinstance(maker, MdSampleMaker):
            n = maker.dynamics.steps
        elif isinstance(maker, RelaxSampleMaker):
            n = min(RELAXATION, maker.max_steps)
        else:
            continue
        cost = costs.get(maker.potential.label) or Cost.of(maker.potential)
        found[job.uuid] = cost.estimate([(n, n_atoms)])
    return found


def training_cost(settings: FineTuneSpec, frames: Frames, train_share: float) -> Estimate:
    """Estimate a training: passes over the training frames and those replayed.

    GPU-hours are the same on any number of GPUs, if they are used fully.
    """
    cost = Cost.of(_trained(settings.device))
    atoms = train_share * sum(number * n_atoms for number, n_atoms in frames)
    n_replay = 0
    if settings.mode == "multihead" and settings.replay is not None:
        n_replay = settings.n_replay or (REPLAY_FRAMES if settings.replay == "mp" else 0)
    atoms += n_replay * REPLAY_ATOMS
    seconds = settings.max_epochs * atoms * cost.seconds_per_atom * TRAINING_STEP
    largest = max((n_atoms for _, n_atoms in frames), default=0)
    return Estimate(0, largest, seconds, 0.0, on_gpu=cost.on_gpu)  # memory: unknown


def evaluation_cost(costs: Sequence[Cost], frames: Frames, share: float) -> list[Estimate]:
    """Estimate an evaluation of potentials on a share of the frames, one for each."""
    parts = [(max(1, round(share * number)), n_atoms) for number, n_atoms in frames]
    return [cost.estimate(parts) for cost in costs]


def _trained(device: str) -> Any:
    from mofonon.potentials import PotentialSpec

    return PotentialSpec(family="mace", model="to be made", device=device)
