"""A Hessian handed on: stored with a relaxation, the start of others near it.

Relaxations at other volumes begin with the Hessian of the equilibrium structure and with
positions (and shape) that follow the strain as it says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.linalg import expm

from mofonon.arrays import EncodedArray
from mofonon.lattice.joint_coordinates import JointCoordinates

Floats = NDArray[np.float64]

#: Hessians of more atoms than this are not stored.
MOST_ATOMS = 330

#: Curvatures below this are left out of a response (eV/A^2).
_SOFTEST = 1e-3


@dataclass(frozen=True)
class CarriedHessian:
    """Hessian over positions and strain in units that do not depend on a cell.

    Attributes
    ----------
    matrix : ndarray, shape (3 * n_atoms + 9, 3 * n_atoms + 9)
        Over displacements (A) and components of the logarithmic strain: eV/A^2, eV/A, eV.
        The strain is zero where it was not free.
    """

    matrix: Floats

    @classmethod
    def of(cls, hessian: Floats, coordinates: JointCoordinates) -> CarriedHessian:
        """Take the Hessian of an optimizer.

        Parameters
        ----------
        hessian : ndarray, shape (n, n)
            Over the rows of the coordinates.
        coordinates : JointCoordinates
            Of its target.
        """
        n_atoms = len(coordinates.atoms)
        matrix = np.zeros((3 * n_atoms + 9, 3 * n_atoms + 9))
        matrix[: len(hessian), : len(hessian)] = hessian
        length = coordinates.strain_length
        matrix[-9:] *= length
        matrix[:, -9:] *= length
        return cls(matrix)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return (len(self.matrix) - 9) // 3

    def over(self, coordinates: JointCoordinates) -> Floats:
        """Give the Hessian over the rows of a target."""
        matrix = self.matrix.copy()
        matrix[-9:] /= coordinates.strain_length
        matrix[:, -9:] /= coordinates.strain_length
        return matrix if coordinates.has_strain_rows else matrix[:-9, :-9]

    def encode(self) -> EncodedArray:
        """Upper triangle in single precision: enough for steps."""
        rows, columns = np.triu_indices(len(self.matrix))
        return EncodedArray.encode(self.matrix[rows, columns].astype(np.float32))

    @classmethod
    def decode(cls, array: EncodedArray) -> CarriedHessian:
        """Read what :meth:`encode` made."""
        triangle = array.decode().astype(np.float64)
        size = round((np.sqrt(8 * len(triangle) + 1) - 1) / 2)
        matrix = np.zeros((size, size))
        matrix[np.triu_indices(size)] = triangle
        return cls(matrix + np.triu(matrix, 1).T)


def follow_strain(
    atoms: Atoms, carried: CarriedHessian, linear_strain: float, *, shape: bool
) -> None:
    """Displace the atoms of a strained cell to where its Hessian expects them.

    The energy to second order in positions and strain is minimal, at the isotropic strain
    given, for positions and, where the shape is free too, strains of constant volume.

    Parameters
    ----------
    atoms : Atoms
        Strained isotropically, atoms with the cell; changed in place, its volume kept.
    carried : CarriedHessian
        Of the structure before the strain.
    linear_strain : float
        Strain of the cell vectors.
    shape : bool
        Whether the shape of the cell is free.

    Notes
    -----
    Rigid translations and modes without stiffness do not move.
    """
    size = len(carried.matrix)
    isotropic = np.zeros(size)
    isotropic[-9:] = np.log1p(linear_strain) * np.eye(3).ravel()
    slopes = carried.matrix @ isotropic
    strains = _traceless() if shape else np.zeros((0, 9))
    length = float(np.cbrt(atoms.get_volume()))
    free = np.zeros((size, size - 9 + len(strains)))
    free[: size - 9, : size - 9] = np.eye(size - 9)
    free[-9:, size - 9 :] = strains.T / length
    values, vectors = np.linalg.eigh(free.T @ carried.matrix @ free)
    stiff = values > _SOFTEST
    modes = free @ vectors[:, stiff]
    response = -modes @ ((modes.T @ slopes) / values[stiff])
    deformation = expm(response[-9:].reshape(3, 3))
    volume = atoms.get_volume()
    scale = 1 + linear_strain
    positions = atoms.positions + scale * response[:-9].reshape(-1, 3)
    cell = atoms.cell.array @ deformation.T
    atoms.set_cell(cell * np.cbrt(volume / abs(np.linalg.det(cell))))
    atoms.positions = positions @ deformation.T


def _traceless() -> Floats:
    """Orthonormal symmetric strains of constant volume, shape (5, 9)."""
    basis = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = np.sqrt(0.5)
        basis.append(strain.ravel())
    basis.append(np.diag([1.0, -1.0, 0.0]).ravel() / np.sqrt(2))
    basis.append(np.diag([1.0, 1.0, -2.0]).ravel() / np.sqrt(6))
    return np.array(basis)
