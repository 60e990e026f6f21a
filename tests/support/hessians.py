"""The Hessian of positions and strain by central differences, nothing known of symmetry."""

import numpy as np
from ase.filters import FrechetCellFilter

from mofonon.lattice.joint_coordinates import JointCoordinates


def gradient_of(target, coordinates):
    """Gradient (eV/A) of a target as a function of rows (A)."""

    def gradient(rows):
        target.__ase_optimizable__().set_x(coordinates.x(rows))
        return coordinates.gradient(target.__ase_optimizable__().get_gradient())

    return gradient


def central_hessian(atoms, calculator, step=1e-4, **of_filter):
    """All columns, shape (n, n) over flattened rows (eV/A^2)."""
    atoms = atoms.copy()
    atoms.calc = calculator
    target = FrechetCellFilter(atoms, **of_filter)
    coordinates = JointCoordinates.of(target)
    origin = coordinates.rows(target.__ase_optimizable__().get_x())
    gradient = gradient_of(target, coordinates)
    hessian = np.zeros((origin.size, origin.size))
    vectors = list(np.eye(origin.size)[: 3 * len(atoms)])
    strains = coordinates.strains.reshape(-1, 9)
    vectors += [np.concatenate([np.zeros(3 * len(atoms)), strain]) for strain in strains]
    for vector in vectors:
        rows = step * vector.reshape(-1, 3)
        change = (gradient(origin + rows) - gradient(origin - rows)).ravel() / (2 * step)
        hessian += np.outer(change, vector)
    return (hessian + hessian.T) / 2
