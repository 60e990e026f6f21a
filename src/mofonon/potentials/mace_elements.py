"""A MACE model cut to the elements of a structure: the same forces, for less.

A foundation model carries weights for 89 elements, and its tensor products with the one-hot
vector of the element run over all of them: of a framework with four elements 95 % of that
work is multiplication with zero. Cutting the weights of absent elements leaves energy,
forces and stress as they are, to rounding, and so does multiplying the remaining weights
into the coupling coefficients once for all.

mace has a transfer of weights to fewer elements for fine-tuning
(``mace.tools.finetuning_utils``), which repeats readouts over heads and takes for granted
the number of contractions: it is not exact for multi-head models, so the weights are taken
one by one here.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms

from mofonon.errors import PotentialError

#: Classes whose dependence on the elements is known to be in the places below.
CUTTABLE = ("MACE", "ScaleShiftMACE")

#: Largest difference of energy (eV), force (eV/A) and stress between the cut and the whole
#: model on a probe, relative to the largest value, by precision.
TOLERANCES = {"float64": 1e-11, "float32": 1e-4}

#: Weights are multiplied into the contractions of models with at most as many elements.
MOST_ELEMENTS_WITH_TABLES = 16


def can_be_cut(model: Any) -> bool:
    """Tell whether :func:`cut_to_elements` knows this kind of model."""
    return type(model).__name__ in CUTTABLE


def cut_to_elements(model: Any, numbers: Sequence[int]) -> Any:
    """Copy a MACE model without the weights of other elements.

    Parameters
    ----------
    model : mace.modules.MACE
        The model; it is not changed.
    numbers : sequence of int
        Atomic numbers to keep, ascending.

    Returns
    -------
    mace.modules.MACE
        With ``atomic_numbers`` equal to ``numbers``. All heads are kept.

    Raises
    ------
    PotentialError
        When the model is of a class that is not known here.
    """
    import torch

    if not can_be_cut(model):
        raise PotentialError(
            f"a {type(model).__name__} cannot be cut to the elements present",
            "set MOFONON_CUT_MODELS=false",
        )
    known = [int(number) for number in model.atomic_numbers]
    kept = torch.tensor([known.index(number) for number in numbers])
    cut = copy.deepcopy(model)
    cut.atomic_numbers = model.atomic_numbers[kept].clone()
    energies = cut.atomic_energies_fn.atomic_energies
    cut.atomic_energies_fn.atomic_energies = energies[..., kept].clone()
    cut.node_embedding.linear = _cut_linear(cut.node_embedding.linear, kept, len(known))
    for interaction in cut.interactions:
        _cut_interaction(interaction, kept, len(known))
    for product in cut.products:
        if not getattr(product, "use_agnostic_product", False):
            for contraction in product.symmetric_contractions.contractions:
                _cut_contraction(contraction, kept)
    return cut


def multiply_in_weights(model: Any) -> None:
    """Replace the symmetric contractions of a model by ones with their weights multiplied in.

    For a model with few elements: the tables take 20 MB an element in the medium
    architecture (:mod:`mofonon.potentials.mace_contraction`).
    """
    from mofonon.potentials.mace_contraction import ElementContraction

    for product in model.products:
        contractions = product.symmetric_contractions.contractions
        for index, contraction in enumerate(contractions):
            contractions[index] = ElementContraction(contraction)


def probe(numbers: Sequence[int], r_max: float) -> Atoms:
    """Cluster with two atoms of each element at bond lengths, to compare models on."""
    species = np.repeat(np.asarray(numbers), 2)
    side = int(np.ceil(len(species) ** (1 / 3)))
    grid = np.argwhere(np.ones((side,) * 3))[: len(species)]
    shifts = np.random.default_rng(0).normal(scale=0.1, size=(len(species), 3))
    cell = np.eye(3) * (1.8 * side + r_max)
    return Atoms(species, positions=1.8 * grid + shifts, cell=cell, pbc=True)


def _cut_interaction(interaction: Any, kept: Any, n_known: int) -> None:
    """Cut what of an interaction sees the element; a linear self-connection does not."""
    if _takes_elements(interaction.skip_tp, "irreps_in2", n_known):
        interaction.skip_tp = _cut_tensor_product(interaction.skip_tp, kept)
    for name in ("source_embedding", "target_embedding"):
        if hasattr(interaction, name):
            setattr(interaction, name, _cut_linear(getattr(interaction, name), kept, n_known))
    if hasattr(interaction, "node_attrs_irreps"):
        interaction.node_attrs_irreps = _scalars(len(kept))


def _takes_elements(module: Any, name: str, n_known: int) -> bool:
    return str(getattr(module, name, "")) == f"{n_known}x0e"


def _scalars(count: int) -> Any:
    from e3nn import o3

    return o3.Irreps(f"{count}x0e")


def _cut_tensor_product(product: Any, kept: Any) -> Any:
    from e3nn import o3
    from mace.tools.torch_tools import default_dtype

    with default_dtype("float64"):  # constants of the generated code in full precision
        small = o3.FullyConnectedTensorProduct(
            product.irreps_in1, _scalars(len(kept)), product.irreps_out
        )
    weights = []
    old_views = product.weight_views(yield_instruction=True)
    for (_, old, weight), new in zip(old_views, small.instructions, strict=True):
        weights.append(weight[:, kept, :] * (old.path_weight / new.path_weight))
    return _filled(small, product, weights)


def _cut_linear(linear: Any, kept: Any, n_known: int) -> Any:
    from e3nn import o3
    from mace.tools.torch_tools import default_dtype

    if not _takes_elements(linear, "irreps_in", n_known):
        raise PotentialError(
            f"the embedding of the elements is {linear}, of {n_known} elements",
            "set MOFONON_CUT_MODELS=false",
        )
    with default_dtype("float64"):
        small = o3.Linear(_scalars(len(kept)), linear.irreps_out)
    weights = []
    old_views = linear.weight_views(yield_instruction=True)
    for (_, old, weight), new in zip(old_views, small.instructions, strict=True):
        weights.append(weight[kept] * (old.path_weight / new.path_weight))
    return _filled(small, linear, weights)


def _filled(small: Any, whole: Any, weights: list[Any]) -> Any:
    """Give a module its weights, and the precision and device of the one it replaces."""
    import torch

    small = small.to(device=whole.weight.device, dtype=whole.weight.dtype)
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    small.weight = torch.nn.Parameter(flat, requires_grad=whole.weight.requires_grad)
    return small


def _cut_contraction(contraction: Any, kept: Any) -> None:
    from torch.nn import Parameter

    def cut(weight: Any) -> Any:
        return Parameter(weight.detach()[kept].clone(), requires_grad=weight.requires_grad)

    contraction.weights_max = cut(contraction.weights_max)
    for index, weight in enumerate(contraction.weights):
        contraction.weights[index] = cut(weight)
