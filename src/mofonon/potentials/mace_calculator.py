"""MACE as an ASE calculator: cut to the elements present, one cell or many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from mace import data as mace_data
from mace.calculators import MACECalculator
from mace.tools import torch_geometric, torch_tools, utils

from mofonon.errors import MissingDependencyError, PotentialError, UnknownElementError
from mofonon.potentials.mace_elements import (
    MOST_ELEMENTS_WITH_TABLES,
    TOLERANCES,
    can_be_cut,
    cut_to_elements,
    multiply_in_weights,
    probe,
)
from mofonon.settings import get_settings

#: Models cut for different sets of elements that are kept at a time.
_MOST_CUTS = 4

#: Cuts that calculators of the same weights share, of one potential at a time.
_SHARED: dict[tuple[Any, ...], dict[tuple[int, ...], Any]] = {}

#: Share of the free memory of a GPU that a batch may fill.
_GPU_SHARE = 0.8


class ElementMACECalculator(MACECalculator):
    """mace's calculator with a model cut to the elements of what it is given.

    Energies, forces and stress are those of the whole model to rounding, which is checked
    on a small cluster at each cut. :meth:`calculate_many` evaluates several cells as one
    graph; :meth:`calculate` is the same with one.

    Parameters
    ----------
    model : mace.modules.MACE
        The whole model.
    head : str
        One of its heads.
    dtype, device : str
        As in PotentialSpec.
    enable_cueq : bool
        Evaluate with cuequivariance.
    weights : str, optional
        Hash of the weights: calculators of the same weights, one after the other in a
        process, share what was cut, so that each job of a flow does not cut it anew.

    Raises
    ------
    MissingDependencyError
        When cuequivariance is asked for and not installed.
    """

    def __init__(
        self,
        model: Any,
        *,
        head: str | None,
        dtype: str,
        device: str,
        enable_cueq: bool = False,
        weights: str | None = None,
    ) -> None:
        if enable_cueq:
            check_cueq()
        super().__init__(models=[model], device=device, default_dtype=dtype, head=head)
        self._whole = self.models[0]
        self._cuts = (
            {} if weights is None else _shared_cuts(weights, dtype, device, cueq=enable_cueq)
        )
        self._cueq = enable_cueq
        self._bytes_per_atom: float | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate one cell: energy, forces, stress, energies of the atoms."""
        Calculator.calculate(self, atoms, properties, system_changes)
        if self.atoms is None:
            raise PotentialError(
                "there are no atoms to evaluate",
                "pass atoms to the calculator, or set atoms.calc",
            )
        (self.results,) = self.calculate_many([self.atoms])

    def calculate_many(self, cells: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Evaluate cells as one graph.

        Parameters
        ----------
        cells : sequence of Atoms
            Cells of any size. When they do not fit into the memory of a GPU together, they
            are evaluated in halves.

        Returns
        -------
        list of dict
            As ASE's ``results``: energy (eV), forces (eV/A), stress (eV/A^3, Voigt),
            energies (eV).
        """
        import torch

        self._use_elements({int(z) for atoms in cells for z in atoms.numbers})
        try:
            return self._evaluate(cells)
        except torch.OutOfMemoryError:
            if len(cells) == 1:
                raise
        torch.cuda.empty_cache()
        half = len(cells) // 2
        self._bytes_per_atom = 2 * (self._bytes_per_atom or 0.0)
        return self.calculate_many(cells[:half]) + self.calculate_many(cells[half:])

    def batch_size(self, n_atoms: int) -> int:
        """Cells of ``n_atoms`` that may be evaluated at once.

        ``MOFONON_BATCH_SIZE`` if set. Otherwise 1 on a CPU, where batches gain nothing; on
        a GPU what its free memory holds, by the memory that evaluations took so far.
        """
        fixed = get_settings().batch_size
        if fixed is not None:
            return fixed
        if self.device.type != "cuda" or self._bytes_per_atom is None:
            return 1
        return max(1, int(_GPU_SHARE * self._free_memory() / (self._bytes_per_atom * n_atoms)))

    def _atoms_to_batch(self, atoms: Atoms) -> Any:
        """Graph of one cell, for mace's own methods (descriptors, Hessian)."""
        self._use_elements({int(z) for z in atoms.numbers})
        return self._graph([atoms])

    def _evaluate(self, cells: Sequence[Atoms]) -> list[dict[str, Any]]:
        self._reset_peak()
        batch = self._graph(cells)
        out = self.models[0](batch.to_dict(), compute_stress=True)
        self._note_peak(sum(len(atoms) for atoms in cells))
        return self._split(out, batch)

    def _graph(self, cells: Sequence[Atoms]) -> Any:
        keys = mace_data.KeySpecification(
            info_keys=self.info_keys,
            arrays_keys={**self.arrays_keys, self.charges_key: "charges"},
        )
        with torch_tools.default_dtype(self.default_dtype):
            graphs = [
                mace_data.AtomicData.from_config(
                    mace_data.config_from_atoms(
                        atoms, key_specification=keys, head_name=self.head
                    ),
                    z_table=self.z_table,
                    cutoff=self.r_max,
                    heads=self.available_heads,
                )
                for atoms in cells
            ]
        return torch_geometric.Batch.from_data_list(graphs).to(self.device)

    def _split(self, out: dict[str, Any], batch: Any) -> list[dict[str, Any]]:
        model = self.models[0]
        heads = batch["head"][batch["batch"]]
        alone = model.atomic_energies_fn(batch["node_attrs"]).gather(1, heads[:, None])[:, 0]
        arrays = {
            name: out[name].detach().cpu().numpy()
            for name in ("energy", "forces", "stress", "node_energy")
        }
        interaction = arrays["node_energy"] - alone.detach().cpu().numpy()
        ends = batch.ptr.cpu().numpy()
        results = []
        for index, (start, end) in enumerate(pairwise(ends)):
            energy = float(arrays["energy"][index])
            results.append(
                {
                    "energy": energy,
                    "free_energy": energy,
                    "forces": arrays["forces"][start:end],
                    "stress": full_3x3_to_voigt_6_stress(arrays["stress"][index]),
                    "energies": arrays["node_energy"][start:end],
                    "node_energy": interaction[start:end],
                }
            )
        return results

    def _use_elements(self, numbers: set[int]) -> None:
        """Switch to the model for a set of elements, cutting it at the first use."""
        key = tuple(sorted(numbers))
        if key not in self._cuts:
            while len(self._cuts) >= _MOST_CUTS:
                del self._cuts[next(iter(self._cuts))]
            self._cuts[key] = self._make_model(key)
        self._take(self._cuts[key])

    def _make_model(self, numbers: tuple[int, ...]) -> Any:
        known = {int(number) for number in self._whole.atomic_numbers}
        if missing := sorted(set(numbers) - known):
            raise UnknownElementError(
                f"the MACE model does not know the elements {missing}",
                "choose a model that was trained on them with --model",
            )
        model = self._whole
        cut = can_be_cut(model) and get_settings().cut_models
        if cut:
            model = cut_to_elements(model, numbers)
            if not self._cueq and len(numbers) <= MOST_ELEMENTS_WITH_TABLES:
                multiply_in_weights(model)
            self._compare(model, numbers)
        if self._cueq:
            from mace.cli.convert_e3nn_cueq import run

            with torch_tools.default_dtype(self.default_dtype):
                model = run(model, device=str(self.device)).to(self.device)
            for parameter in model.parameters():
                parameter.requires_grad = False
        return model

    def _take(self, model: Any) -> None:
        self.models = [model]
        self.z_table = utils.AtomicNumberTable([int(z) for z in model.atomic_numbers])

    def _compare(self, cut: Any, numbers: tuple[int, ...]) -> None:
        """Compare the cut with the whole model on a cluster.

        Raises
        ------
        PotentialError
            When they differ.
        """
        atoms = probe(numbers, self.r_max)
        found = []
        for model in (self._whole, cut):
            self._take(model)
            found += self._evaluate([atoms])
        for name in ("energy", "forces", "stress"):
            whole, small = np.asarray(found[0][name]), np.asarray(found[1][name])
            difference = float(np.abs(whole - small).max())
            scale = max(1.0, float(np.abs(whole).max()))
            if not difference <= TOLERANCES[self.default_dtype] * scale:
                raise PotentialError(
                    f"the model cut to {atoms.get_chemical_formula()} differs from the whole "
                    f"one in {name} by {difference:.1e}",
                    "set MOFONON_CUT_MODELS=false and report the architecture of the model",
                )

    def _reset_peak(self) -> None:
        if self.device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)

    def _note_peak(self, n_atoms: int) -> None:
        """Keep the most memory per atom that an evaluation took on a GPU."""
        if self.device.type == "cuda":
            import torch

            peak = torch.cuda.max_memory_allocated(self.device) / n_atoms
            self._bytes_per_atom = max(peak, self._bytes_per_atom or 0.0)

    def _free_memory(self) -> int:
        """Bytes of the GPU that new tensors can have, torch's own cache included."""
        import torch

        free, _ = torch.cuda.mem_get_info(self.device)
        cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(
            self.device
        )
        return int(free + cached)


def _shared_cuts(
    weights: str, dtype: str, device: str, *, cueq: bool
) -> dict[tuple[int, ...], Any]:
    """Cuts of the weights that this process used last; those of others are dropped."""
    key = (weights, dtype, device, cueq, get_settings().cut_models)
    if key not in _SHARED:
        _SHARED.clear()
        _SHARED[key] = {}
    return _SHARED[key]


def check_cueq() -> None:
    """Check that cuequivariance can be used by mace.

    Raises
    ------
    MissingDependencyError
        When it is not installed.
    """
    from mace.modules.wrapper_ops import CUET_AVAILABLE

    if not CUET_AVAILABLE:
        raise MissingDependencyError(
            "cuequivariance was asked for and is not installed",
            "pip install 'mofonon[cueq]' and, for the CUDA version of the machine, "
            "cuequivariance-ops-torch-cu12; or leave --cueq out",
        )
