"""MACE models of known architecture with random weights: for cost, not science."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Elements of MACE-MP: hydrogen to plutonium without the ones missing from MPtrj.
MP_ELEMENTS = tuple(z for z in range(1, 95) if z not in (84, 85, 86, 87, 88))


def random_mace(
    elements: Sequence[int] = MP_ELEMENTS, *, channels: int = 128, seed: int = 0, **changes: Any
) -> Any:
    """Make a MACE of the architecture of MACE-MP-0b medium with random weights, float64.

    Parameters
    ----------
    elements : sequence of int
        Atomic numbers.
    channels : int
        128 in MACE-MP-0b medium (128x0e+128x1o).
    seed : int
        Of torch.
    **changes
        Other arguments of mace's ScaleShiftMACE, such as heads.
    """
    import mace  # noqa: F401 - before e3nn
    import torch
    from e3nn import o3
    from mace import modules
    from mace.tools.torch_tools import default_dtype

    heads = changes.get("heads", ["Default"])
    rng = np.random.default_rng(seed)
    arguments: dict[str, Any] = {
        "r_max": 6.0,
        "num_bessel": 10,
        "num_polynomial_cutoff": 5,
        "max_ell": 3,
        "interaction_cls": modules.RealAgnosticDensityResidualInteractionBlock,
        "interaction_cls_first": modules.RealAgnosticDensityInteractionBlock,
        "num_interactions": 2,
        "num_elements": len(elements),
        "hidden_irreps": o3.Irreps(f"{channels}x0e + {channels}x1o"),
        "MLP_irreps": o3.Irreps("16x0e"),
        "atomic_energies": rng.normal(-3.0, 1.0, (len(heads), len(elements))),
        "avg_num_neighbors": 61.0,
        "atomic_numbers": list(elements),
        "correlation": 3,
        "gate": torch.nn.functional.silu,
        "pair_repulsion": True,
        "distance_transform": "Agnesi",
        "radial_MLP": [64, 64, 64],
        "atomic_inter_scale": [0.8] * len(heads),
        "atomic_inter_shift": [0.1] * len(heads),
        **changes,
    }
    with default_dtype("float64"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return modules.ScaleShiftMACE(**arguments)
