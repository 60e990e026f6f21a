"""Calculators that tests name by import path, in processes of their own."""

import json
import os
import time
from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones


class CountedEMT(EMT):
    """EMT that writes a line for each evaluation to the file in COUNT_EVALUATIONS."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.number = 0
        self.seconds = float(os.environ.get("SECONDS_PER_EVALUATION", seconds))

    def calculate(self, *arguments, **keywords):
        symbol = os.environ.get("FAIL_FOR")
        if symbol and symbol in self.atoms_of(arguments, keywords).get_chemical_symbols():
            raise RuntimeError(f"asked to fail for {symbol}")
        time.sleep(self.seconds + _seconds_of_this_job(self.number))
        self.number += 1
        super().calculate(*arguments, **keywords)
        if path := os.environ.get("COUNT_EVALUATIONS"):
            with Path(path).open("a") as file:
                file.write("evaluated\n")
        if (path := os.environ.get("RECORD_DEVICES")) and self.get_device():
            with Path(path).open("a") as file:
                file.write(f"{self.get_device()}\n")

    @staticmethod
    def atoms_of(arguments, keywords):
        """The atoms that calculate is called with."""
        return keywords["atoms"] if "atoms" in keywords else arguments[0]

    @staticmethod
    def get_device() -> str:
        """The devices that SLURM gave to this job."""
        return os.environ.get("CUDA_VISIBLE_DEVICES", "")


def _seconds_of_this_job(number: int) -> float:
    """What the JSON file in SECONDS_BY_JOB says for the name of the running job.

    A list says it for the first, second, ... evaluation of the job; the last holds on.
    """
    path = os.environ.get("SECONDS_BY_JOB")
    if not path or not Path(path).exists():
        return 0.0
    from jobflow import CURRENT_JOB

    name = CURRENT_JOB.job.name if CURRENT_JOB.job is not None else ""
    seconds = json.loads(Path(path).read_text()).get(name, 0.0)
    if isinstance(seconds, list):
        seconds = seconds[min(number, len(seconds) - 1)]
    return float(seconds)


class GoesBad(Calculator):
    """Lennard-Jones at first; after some evaluations a force that tears one atom out.

    For what watches trajectories: a learned potential outside its training data.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.n_evaluations = 0
        self._solid = LennardJones(sigma=3.4, epsilon=0.0104, rc=7.0, smooth=True)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.n_evaluations += 1
        self._solid.calculate(self.atoms, ["energy", "forces", "stress"], all_changes)
        self.results = dict(self._solid.results)
        if self.n_evaluations > self.after:
            self.results["forces"] = self.results["forces"].copy()
            self.results["forces"][0] += [50.0, 20.0, 10.0]


class RestlessEMT(EMT):
    """EMT of two atoms that never come to rest when they have more than 10.7 A^3 each."""

    def calculate(self, atoms=None, *arguments, **keywords):
        super().calculate(atoms, *arguments, **keywords)
        if atoms.get_volume() / len(atoms) > 10.7 and len(atoms) == 2:
            self.results["forces"] = [[0.01, 0.0, 0.0], [-0.01, 0.0, 0.0]]


def moments():
    """Make a fingerprint: numbers that depend on element and density, for selections."""

    def features(atoms):
        numbers, volume = atoms.numbers[:, None] / 10.0, atoms.get_volume() / len(atoms)
        return np.hstack([numbers, np.full_like(numbers, volume / 10.0)])

    return features
