"""Sums of potentials, such as MACE and a dispersion correction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.mixing import SumCalculator

from mofonon.potentials.evaluations import BatchPotential

#: What of the results adds up.
_SUMMED = ("energy", "free_energy", "forces", "stress")


class BatchSumCalculator(SumCalculator):
    """ASE's sum of calculators, in batches where its first one can."""

    def batch_size(self, n_atoms: int) -> int:
        """Cells of ``n_atoms`` that may be evaluated at once."""
        first = self.mixer.calcs[0]
        return first.batch_size(n_atoms) if isinstance(first, BatchPotential) else 1

    def calculate_many(self, cells: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Evaluate cells with each calculator and add the results."""
        parts = [_calculate_many(calculator, cells) for calculator in self.mixer.calcs]
        return [
            {
                name: sum(np.asarray(result[name]) for result in results)
                for name in _SUMMED
                if all(name in result for result in results)
            }
            for results in zip(*parts, strict=True)
        ]


def _calculate_many(calculator: Any, cells: Sequence[Atoms]) -> list[dict[str, Any]]:
    if isinstance(calculator, BatchPotential):
        return calculator.calculate_many(cells)
    results = []
    for atoms in cells:
        system = atoms.copy()
        system.calc = calculator
        forces = system.get_forces()
        results.append({**calculator.results, "forces": forces})
    return results
