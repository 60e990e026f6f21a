"""Crystals whose thermodynamics is known in closed form."""

import os
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from scipy.sparse import coo_array


class GrueneisenCrystal(Calculator):
    """Springs between displacements of neighbours, in a cell that resists strain.

    ``E = B V0 ln(J)^2 / 2 + G V0 (tr(F F^T) J^(-2/3) - 3) / 2 + k(V) sum |u_i - u_j|^2 / 2``
    with the deformation ``F`` of the cell, ``J = det F``, displacements ``u`` from sites that
    move with the cell and ``k = k0 J^(-2 gamma)``. All frequencies go as ``V^-gamma``, the
    classical thermal pressure is ``gamma (3 N - 3) k_B T / V``, so that at zero pressure

    ``V(T) = V0 exp(gamma (3 N - 3) k_B T / (B V0))``

    exactly, and ln V has the variance ``k_B T / (B V0)``. With gamma 0 nothing expands.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")

    def __init__(self, sites: Atoms, gamma=1.5, stiffness=2.0, bulk=80.0, shear=40.0):
        super().__init__()
        self.gamma, self.stiffness = gamma, stiffness
        self.bulk, self.shear = bulk * units.GPa, shear * units.GPa
        self.cell0 = sites.cell.array.copy()
        self.scaled = sites.get_scaled_positions(wrap=False)
        self.volume0 = sites.get_volume()
        first, second, distances = neighbor_list("ijd", sites, 3.2)
        nearest = distances < 1.01 * distances.min()
        first, second = first[nearest], second[nearest]
        n = len(sites)
        ones = np.ones(len(first))
        self.laplacian = (
            coo_array((ones, (first, first)), (n, n))
            - coo_array((ones, (first, second)), (n, n))
        ).tocsr()
        self.n_atoms = n

    def volume(self, temperature):
        """Volume in classical equilibrium at zero pressure (A^3)."""
        thermal = self.gamma * (3 * self.n_atoms - 3) * units.kB * temperature
        return self.volume0 * np.exp(thermal / (self.bulk * self.volume0))

    @property
    def cte_volumetric(self):
        """Volumetric expansion (1e-6/K)."""
        degrees = 3 * self.n_atoms - 3
        return 1e6 * self.gamma * degrees * units.kB / (self.bulk * self.volume0)

    def log_volume_variance(self, temperature):
        return units.kB * temperature / (self.bulk * self.volume0)

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        cell = atoms.cell.array
        u = atoms.positions - self.scaled @ cell
        f = np.linalg.solve(self.cell0, cell).T
        j = np.linalg.det(f)
        log = np.log(j)
        b = f @ f.T
        k = self.stiffness * j ** (-2 * self.gamma)
        pull = k * (self.laplacian @ u)
        vibration = 0.5 * np.sum(u * pull)
        shape = self.shear * self.volume0 * j ** (-2 / 3)
        identity = np.eye(3)
        virial = self.bulk * self.volume0 * log * identity
        virial = virial + shape * (b - np.trace(b) / 3 * identity)
        virial = virial + u.T @ pull - 2 * self.gamma * vibration * identity
        static = 0.5 * self.bulk * self.volume0 * log**2
        static += 0.5 * (shape * np.trace(b) - 3 * self.shear * self.volume0)
        stress = virial / (j * self.volume0)
        self.results = {
            "energy": float(static + vibration),
            "free_energy": float(static + vibration),
            "forces": -pull,
            "stress": stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


def grueneisen_crystal(repeat=2, **parameters):
    """A crystal of copper atoms, fcc, and its calculator."""
    atoms = bulk("Cu", "fcc", a=3.61, cubic=True).repeat(repeat)
    return atoms, GrueneisenCrystal(atoms, **parameters)


class CountedCrystal(GrueneisenCrystal):
    """Writes a line for each evaluation to the file in COUNT_EVALUATIONS."""

    def calculate(self, *arguments, **keywords):
        time.sleep(float(os.environ.get("SECONDS_PER_EVALUATION", "0")))
        super().calculate(*arguments, **keywords)
        if path := os.environ.get("COUNT_EVALUATIONS"):
            with Path(path).open("a") as file:
                file.write("evaluated\n")


def expanding_crystal(gamma=1.5) -> GrueneisenCrystal:
    """Calculator of the crystal with one cubic cell, for import by path."""
    return CountedCrystal(grueneisen_crystal(1)[0], gamma=gamma)
