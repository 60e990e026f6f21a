"""Calculators that tests name by import path, in processes of their own."""

import os
import time
from pathlib import Path

from ase.calculators.emt import EMT


class CountedEMT(EMT):
    """EMT that writes a line for each evaluation to the file in COUNT_EVALUATIONS."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__()
        self.seconds = float(os.environ.get("SECONDS_PER_EVALUATION", seconds))

    def calculate(self, *arguments, **keywords):
        symbol = os.environ.get("FAIL_FOR")
        if symbol and symbol in self.atoms_of(arguments, keywords).get_chemical_symbols():
            raise RuntimeError(f"asked to fail for {symbol}")
        time.sleep(self.seconds)
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
