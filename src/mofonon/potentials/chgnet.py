"""CHGNet in the precision that phonons need.

CHGNet builds its graphs in ``torch.float32`` through a module constant and keeps some
tensors outside its parameters. Here the module, those tensors and the graphs are cast
together, and the constant is changed only while this calculator evaluates, so that other
CHGNet calculators of the same process are untouched.

CHGNet goes back through its graph once for the forces and once for the stress, and keeps what
a training would differentiate again. One pass without that gives the same numbers in about
half the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import chgnet.graph.converter
import chgnet.graph.crystalgraph
import chgnet.model.model
import torch
from ase import Atoms
from chgnet.model.dynamics import CHGNetCalculator
from chgnet.model.model import CHGNet

_MODULES: tuple[Any, ...] = (
    chgnet.model.model,
    chgnet.graph.converter,
    chgnet.graph.crystalgraph,
)

#: GPa in an eV/A^3, as CHGNet has it.
_GPA = 160.21766208


def make_chgnet(version: str, dtype: str, device: str) -> CHGNetCalculator:
    """Make a CHGNet calculator.

    Parameters
    ----------
    version : str
        Version of the pretrained weights, such as ``0.3.0``.
    dtype : str
        ``float64`` or ``float32``.
    device : str
        torch device.
    """
    model = CHGNet.load(model_name=version, use_device=device, verbose=False)
    if dtype == "float32":
        return CHGNetCalculator(model, use_device=device, on_isolated_atoms="ignore")
    return CHGNetDoubleCalculator(
        differentiate_once(cast_to_double(model)), use_device=device, on_isolated_atoms="ignore"
    )


class CHGNetDoubleCalculator(CHGNetCalculator):
    """CHGNet evaluated in float64 throughout."""

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] | None = None,
        task: Literal["e", "ef", "em", "efs", "efsm"] = "efs",
    ) -> None:
        """Evaluate energy (eV), forces (eV/A) and stress (eV/A^3)."""
        with _graphs_in(torch.float64):
            super().calculate(atoms, properties, system_changes, task=task)


def cast_to_double(model: CHGNet) -> CHGNet:
    """Cast parameters, buffers and plain tensor attributes of a CHGNet to float64."""
    model = model.double()
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and value.dtype == torch.float32:
                setattr(module, name, value.double())
    composition: Any = model.composition_model
    assemble = composition._assemble_graphs  # noqa: SLF001 - it ends in .float()

    def assemble_in_double(graphs: Any) -> torch.Tensor:
        return assemble(graphs).double()

    composition._assemble_graphs = assemble_in_double  # noqa: SLF001
    model.requires_grad_(requires_grad=False)
    return model


def differentiate_once(model: CHGNet) -> CHGNet:
    """Let a CHGNet give forces and stress of a structure in one backward pass.

    Parameters
    ----------
    model : CHGNet
        Changed in place; it can be evaluated afterwards, not trained.
    """
    energy_only = model._compute  # noqa: SLF001 - forces and stress are nowhere else

    def compute(
        graph: Any, *, compute_force: bool = False, compute_stress: bool = False, **more: Any
    ) -> dict[str, Any]:
        prediction: dict[str, Any] = energy_only(graph, **more)
        energies = prediction["e"] * (
            prediction["atoms_per_graph"] if model.is_intensive else 1
        )
        positions = list(graph.atom_positions) if compute_force else []
        strains = list(graph.strains) if compute_stress else []
        if positions or strains:
            found = torch.autograd.grad(energies.sum(), [*positions, *strains])
        if positions:
            prediction["f"] = [-each for each in found[: len(positions)]]
        if strains:
            scaled = zip(found[len(positions) :], _GPA / graph.volumes, strict=True)
            prediction["s"] = [each * scale for each, scale in scaled]
        prediction["e"] = prediction["e"].detach()
        return prediction

    vars(model)["_compute"] = compute
    return model


@contextmanager
def _graphs_in(dtype: torch.dtype) -> Iterator[None]:
    """Let CHGNet build its graphs in another precision, and put things back."""
    before = [module.TORCH_DTYPE for module in _MODULES]
    default = torch.get_default_dtype()
    try:
        for module in _MODULES:
            module.TORCH_DTYPE = dtype
        torch.set_default_dtype(dtype)
        yield
    finally:
        torch.set_default_dtype(default)
        for module, value in zip(_MODULES, before, strict=True):
            module.TORCH_DTYPE = value
