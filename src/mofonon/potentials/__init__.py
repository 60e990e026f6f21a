"""Potentials: every calculator is made here, once.

A :class:`PotentialSpec` says which potential, a :class:`PotentialDescription` what was
found behind it (file hash, heads, elements), :func:`make_calculator` gives an ASE
calculator and :class:`LoggedCalculator` counts its evaluations and remembers them on disk.
"""

from mofonon.potentials.describe import PotentialDescription, check_elements, describe_potential
from mofonon.potentials.evaluations import EvaluationLog, LoggedCalculator
from mofonon.potentials.factory import make_calculator
from mofonon.potentials.spec import PotentialSpec

__all__ = [
    "EvaluationLog",
    "LoggedCalculator",
    "PotentialDescription",
    "PotentialSpec",
    "check_elements",
    "describe_potential",
    "make_calculator",
]
