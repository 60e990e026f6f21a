"""Settings of relaxations and phonons; the defaults are the paper's but for displacements.

Elena, Kamath, Jaffrelot Inizan et al., npj Comput. Mater. 11, 125 (2025).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from mofonon.errors import SettingsError

Vector3 = tuple[int, int, int]
Matrix3 = tuple[Vector3, Vector3, Vector3]

#: A single number given as supercell is a length in A; below this it was surely meant
#: as a repetition.
SHORTEST_SUPERCELL_LENGTH = 4.0


#: What of the cell relaxes with the positions.
CellFreedom = Literal["free", "fixed-volume", "fixed"]


#: Optimizers: second-order steps (newton), ASE's L-BFGS, ASE's preconditioned L-BFGS.
Optimizer = Literal["newton", "lbfgs", "precon-lbfgs"]

#: An optimizer, or the choice by the structure (auto).
RelaxMethod = Literal["auto", "newton", "lbfgs", "precon-lbfgs"]

#: What is made of symmetry: negative modes are followed out of it, it is kept, or it is not
#: looked at.
SymmetryMode = Literal["follow", "keep", "none"]


class RelaxSettings(BaseModel):
    """How a structure is relaxed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: RelaxMethod = Field(
        "auto",
        description="Optimizer: auto (newton up to 1000 atoms, precon-lbfgs above), newton "
        "(second-order steps with the Hessian of all modes), lbfgs (the paper's), "
        "precon-lbfgs (L-BFGS with ASE's Exp preconditioner).",
    )
    symmetry: SymmetryMode = Field(
        "follow",
        description="Of newton: symmetrise, and follow modes of negative curvature to lower "
        "symmetry (follow); symmetrise and stay (keep); do neither (none).",
    )
    symmetry_tolerance: float = Field(
        0.1,
        gt=0,
        description="Of newton: largest tolerance at which symmetry is recognised (A), where "
        "the symmetrised structure is not higher in energy.",
    )
    fmax: float = Field(
        1e-6,
        gt=0,
        description="Largest allowed force on an atom and, with the cell free, row of the "
        "virial per atom (eV/A).",
    )
    cell: CellFreedom = Field(
        "free",
        description="What of the cell relaxes with the positions: all of it (free), its shape "
        "(fixed-volume), or nothing (fixed).",
    )
    max_steps: int = Field(2000, ge=1, description="Optimizer steps before giving up.")


class PhononSettings(BaseModel):
    """How phonons are computed from a relaxed structure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    supercell: Matrix3 | float = Field(
        ((2, 0, 0), (0, 2, 0), (0, 0, 2)),
        description="Supercell matrix in phonopy's convention (columns are the vectors), or "
        "the least distance between opposite faces (A).",
    )
    displacement: float = Field(1e-6, gt=0, le=0.3, description="Displacement length (A).")
    plus_minus: Literal["auto"] | bool = Field(
        False,
        description="Displace both ways. Never (the default): one-sided, in generic "
        "directions, as few as site symmetry allows, the undisplaced forces subtracted. "
        "Always, or only where symmetry does not make the two equal (auto): phonopy's "
        "displacements along axes and diagonals. The paper has auto and 0.001 A.",
    )
    mesh: Vector3 = Field((11, 11, 11), description="q-point mesh.")
    symprec: float = Field(1e-5, gt=0, description="Symmetry tolerance (A).")
    symmetrize_force_constants: bool = Field(
        True, description="Impose the acoustic sum rule and permutation symmetry."
    )
    dos_pitch: float = Field(0.01, gt=0, description="Pitch of the density of states (THz).")
    temperature_max: float = Field(1000.0, ge=0, description="Highest temperature (K).")
    temperature_step: float = Field(10.0, gt=0, description="Temperature step (K).")
    band_points: int = Field(
        101, ge=2, description="q-points on the longest segment of the band path."
    )
    imaginary_threshold: float = Field(
        1e-4, ge=0, description="A frequency below minus this is imaginary (THz)."
    )

    @field_validator("mesh")
    @classmethod
    def _mesh_is_positive(cls, mesh: Vector3) -> Vector3:
        if min(mesh) < 1:
            raise SettingsError(
                f"a mesh of {mesh[0]} x {mesh[1]} x {mesh[2]} has no points",
                "give three positive integers, such as --mesh 11 11 11",
            )
        return mesh

    @field_validator("supercell", mode="before")
    @classmethod
    def _repetitions_as_matrix(cls, supercell: Any) -> Any:
        flat = isinstance(supercell, list | tuple) and not any(
            isinstance(number, list | tuple) for number in supercell
        )
        return parse_supercell([float(n) for n in supercell]) if flat else supercell

    @field_validator("supercell")
    @classmethod
    def _supercell_has_volume(cls, supercell: Matrix3 | float) -> Matrix3 | float:
        if isinstance(supercell, tuple):
            if round(np.linalg.det(np.array(supercell))) < 1:
                raise SettingsError(
                    f"the supercell {_format_matrix(supercell)} has no positive volume",
                    "give three positive integers, nine with a positive determinant, or a "
                    "least length in A",
                )
        elif supercell < SHORTEST_SUPERCELL_LENGTH:
            raise SettingsError(
                f"a supercell of {supercell:g} is too short: a single number is a least "
                "length in A",
                "for a repetition give three integers, such as --supercell 2 2 2",
            )
        return supercell

    def supercell_matrix(self, cell: NDArray[np.float64]) -> NDArray[np.int64]:
        """Supercell matrix for a cell.

        Parameters
        ----------
        cell : ndarray, shape (3, 3)
            Cell vectors in rows (A).

        Returns
        -------
        ndarray, shape (3, 3)
            Integers. For a least length: the smallest diagonal matrix whose supercell has
            at least that distance between opposite faces.
        """
        if isinstance(self.supercell, tuple):
            return np.array(self.supercell, dtype=np.int64)
        heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        return np.diag(np.ceil(self.supercell / heights - 1e-6).astype(np.int64))


def parse_supercell(numbers: list[float]) -> Matrix3 | float:
    """Make a supercell setting from the numbers that a user typed.

    Raises
    ------
    SettingsError
        When they are not one, three or nine numbers, or integers are called for.
    """
    if len(numbers) == 1:
        if numbers[0] <= 0:
            raise SettingsError(
                f"a supercell of {numbers[0]:g} has no positive volume",
                "give three positive integers, nine with a positive determinant, or a least "
                "length in A",
            )
        return float(numbers[0])
    if len(numbers) not in (3, 9) or any(number != int(number) for number in numbers):
        raise SettingsError(
            f"a supercell cannot be made of {' '.join(f'{n:g}' for n in numbers)}",
            "give three integers, nine integers (as phonopy's DIM), or one least length in A",
        )
    integers = np.array(numbers, dtype=int)
    matrix = np.diag(integers) if len(numbers) == 3 else integers.reshape(3, 3)
    a, b, c = (tuple(int(n) for n in row) for row in matrix)
    return a, b, c  # type: ignore[return-value]


def _format_matrix(matrix: Matrix3) -> str:
    rows = np.array(matrix)
    if np.array_equal(rows, np.diag(np.diag(rows))):
        return " x ".join(str(n) for n in np.diag(rows))
    return str(rows.tolist())
