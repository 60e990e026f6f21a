"""SevenNet in the precision that phonons need.

SevenNet casts every graph to ``torch.float32``. Here the module is cast and the graph is
made in float64. Symmetry: the models in the wheel are built with ``is_parity=False``, so
mirror and inversion symmetry hold only approximately (4e-3 eV/A on symmetric MOF-5).
"""

from __future__ import annotations

from typing import Any

import mace  # noqa: F401 - lets e3nn 0.4 read its constants with torch >= 2.6
import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from sevenn import _keys as key
from sevenn.atom_graph_data import AtomGraphData
from sevenn.calculator import SevenNetCalculator
from sevenn.train.dataload import unlabeled_atoms_to_graph
from sevenn.util import dtype_correct

from mofonon.errors import PotentialError


def make_sevennet(name: str, dtype: str, device: str) -> SevenNetCalculator:
    """Make a SevenNet calculator.

    Parameters
    ----------
    name : str
        Name of the pretrained model, such as ``7net-0``.
    dtype : str
        ``float64`` or ``float32``.
    device : str
        torch device.
    """
    if dtype == "float32":
        return SevenNetCalculator(name, device=device)
    return SevenNetDoubleCalculator(name, device=device)


class _DoubleOneHot(torch.nn.Module):
    """SevenNet's one-hot embedding, whose output it casts to float32, in float64."""

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, data: Any) -> Any:
        data = self.embedding(data)
        for name in (self.embedding.key_x, self.embedding.key_additional_output):
            if name is not None:
                data[name] = data[name].double()
        return data


class SevenNetDoubleCalculator(SevenNetCalculator):
    """SevenNet evaluated in float64 throughout."""

    def __init__(self, model: str, device: str) -> None:
        super().__init__(model, device=device)
        module: Any = self.model
        module.double()
        name = "onehot_idx_to_onehot"
        module.replace_module(name, _DoubleOneHot(module.get_submodule(name)))

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate energy (eV), forces (eV/A) and stress (eV/A^3)."""
        Calculator.calculate(self, atoms, properties, system_changes)
        if atoms is None:
            raise PotentialError(
                "there are no atoms to evaluate",
                "pass atoms to the calculator, or set atoms.calc",
            )
        model: Any = self.model
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            output = model(self._graph(atoms).to(self.device))
        finally:
            torch.set_default_dtype(default)
        energy = output[key.PRED_TOTAL_ENERGY].item()
        stress = -output[key.PRED_STRESS].detach().cpu().numpy()
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energies": output[key.ATOMIC_ENERGY].detach().cpu().numpy().reshape(-1),
            "forces": output[key.PRED_FORCE].detach().cpu().numpy(),
            "stress": np.array(stress[[0, 1, 2, 4, 5, 3]]),
        }

    def _graph(self, atoms: Atoms) -> AtomGraphData:
        graph: dict[str, Any] = unlabeled_atoms_to_graph(atoms, self.cutoff)
        graph[key.CELL_SHIFT] = np.asarray(graph[key.CELL_SHIFT], float)
        return AtomGraphData(
            **{name: dtype_correct(value, torch.float64) for name, value in graph.items()}
        )
