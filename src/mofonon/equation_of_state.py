"""Equations of state: bulk modulus from energies, and from stresses, over volumes.

The functions E(V) are phonopy's, which QHA uses too. The fits of pymatgen, ASE and phonopy were
tried on exact data of metals and of soft frameworks (2 GPa at -3000 eV): all recover the
parameters. None gives a residual or refuses a minimum outside the data (pymatgen refuses it
below, not above), and phonopy's does not say whether it converged. What is added here is that,
and a start from the data: the energy of the third-order Birch-Murnaghan equation is a cubic
polynomial in y = V^(-2/3), so that its least squares are linear and have one solution, from
which the other equations are reached. The pressure over volume is fitted in the same linear
way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from ase import units
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike, NDArray
from phonopy.qha.eos import get_eos
from scipy.optimize import least_squares

from mofonon.errors import EquationOfStateError

Floats = NDArray[np.float64]
EquationOfState = Literal["birch_murnaghan", "vinet", "murnaghan"]

#: The equations that are fitted, the usual one first.
EQUATIONS: tuple[EquationOfState, ...] = ("birch_murnaghan", "vinet", "murnaghan")

#: GPa in one eV/A^3.
GPA_PER_EV_A3 = 1 / units.GPa

#: Each fit has four parameters: E0, B0, B0' and V0.
FEWEST_POINTS = 4

_SMALLEST_STEP = 1e-9
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class EquationOfStateFit:
    """An equation of state fitted to energies.

    Attributes
    ----------
    name : str
        Which equation.
    v0 : float
        Equilibrium volume (A^3).
    e0 : float
        Energy there (eV).
    b0 : float
        Bulk modulus there (GPa).
    b0_prime : float
        Its pressure derivative.
    residual : float
        Root mean square deviation of the energies from the fit (meV per cell).
    volumes, energies : ndarray
        What was fitted (A^3, eV), by volume.
    """

    name: EquationOfState
    v0: float
    e0: float
    b0: float
    b0_prime: float
    residual: float
    volumes: Floats = field(repr=False)
    energies: Floats = field(repr=False)


@dataclass(frozen=True)
class PressureVolumeFit:
    """The Birch-Murnaghan equation fitted to pressures.

    Attributes
    ----------
    v0 : float
        Volume of zero pressure (A^3).
    b0 : float
        Bulk modulus there (GPa).
    b0_prime : float
        Its pressure derivative.
    residual : float
        Root mean square deviation of the pressures from the fit (GPa).
    """

    v0: float
    b0: float
    b0_prime: float
    residual: float


def equation_of_state_energy(
    name: EquationOfState,
    volumes: ArrayLike,
    *,
    v0: float,
    e0: float,
    b0: float,
    b0_prime: float,
) -> Floats:
    """Energies of an equation of state (eV).

    Parameters
    ----------
    name : str
        ``birch_murnaghan`` (third order), ``vinet`` or ``murnaghan``.
    volumes : array_like
        Volumes (A^3).
    v0, e0, b0, b0_prime : float
        Equilibrium volume (A^3), energy (eV), bulk modulus (GPa) and its derivative.
    """
    parameters = np.array([e0, b0 / GPA_PER_EV_A3, b0_prime, v0])
    return np.asarray(get_eos(name)(np.asarray(volumes, float), parameters))


def fit_equation_of_state(
    volumes: ArrayLike, energies: ArrayLike, name: EquationOfState = "birch_murnaghan"
) -> EquationOfStateFit:
    """Fit an equation of state to energies over volumes.

    Parameters
    ----------
    volumes : array_like
        Volumes of the cell (A^3), in any order.
    energies : array_like
        Energies of the cell (eV).
    name : str
        ``birch_murnaghan`` (third order), ``vinet`` or ``murnaghan``.

    Raises
    ------
    EquationOfStateError
        When there are fewer than four volumes, a value is not finite, the bulk modulus is
        not positive, the minimum is outside the volumes, or the fit does not converge.
    """
    v, e = _checked(volumes, energies, "energies")
    lowest = float(e.min())
    y = v ** (-2 / 3)
    start = _birch_murnaghan_minimum(Polynomial.fit(y, e - lowest, 3).deriv(), v)
    e0, b0, b0_prime, v0 = _least_squares(v, e - lowest, name, start)
    _check_parameters(v0, b0, b0_prime, v, name)
    fit = {"v0": v0, "e0": e0 + lowest, "b0": b0 * GPA_PER_EV_A3, "b0_prime": b0_prime}
    deviations = equation_of_state_energy(name, v, **{**fit, "e0": e0}) - (e - lowest)
    return EquationOfStateFit(
        name, **fit, residual=1e3 * _rms(deviations), volumes=v, energies=e
    )


def bulk_modulus_from_stress(volumes: ArrayLike, stresses: ArrayLike) -> PressureVolumeFit:
    """Bulk modulus from the stress at each volume, without the energies.

    The pressure is minus a third of the trace of the stress; the third-order
    Birch-Murnaghan equation is fitted to it.

    Parameters
    ----------
    volumes : array_like, shape (n,)
        Volumes of the cell (A^3), in any order.
    stresses : array_like, shape (n, 6)
        Stresses (eV/A^3, Voigt order, ASE sign: positive under tension).

    Raises
    ------
    EquationOfStateError
        As :func:`fit_equation_of_state`, the volume of zero pressure being the minimum.
    """
    v, pressures = _checked(volumes, pressure_of(stresses), "pressures")
    y = v ** (-2 / 3)
    # P = -dE/dV = dE/dy * 2/3 V^(-5/3), and dE/dy is quadratic in y
    slope = Polynomial.fit(y, 1.5 * pressures * v ** (5 / 3), 2)
    v0, b0, b0_prime = _birch_murnaghan_minimum(slope, v)
    _check_parameters(v0, b0, b0_prime, v, "birch_murnaghan")
    deviations = slope(y) / (1.5 * v ** (5 / 3)) - pressures
    return PressureVolumeFit(
        v0, b0 * GPA_PER_EV_A3, b0_prime, residual=_rms(deviations) * GPA_PER_EV_A3
    )


def pressure_of(stresses: ArrayLike) -> Floats:
    """Pressure (eV/A^3) of stresses in Voigt order and ASE sign (eV/A^3)."""
    return np.asarray(-np.asarray(stresses, float)[..., :3].mean(axis=-1))


def _checked(volumes: ArrayLike, values: ArrayLike, what: str) -> tuple[Floats, Floats]:
    """Volumes and values by volume; enough of them, and finite."""
    v, y = np.asarray(volumes, float), np.asarray(values, float)
    if v.shape != y.shape or v.ndim != 1:
        raise EquationOfStateError(
            f"there are volumes of shape {v.shape} but {what} of shape {y.shape}",
            "give one value for each volume",
        )
    if not (np.isfinite(v).all() and np.isfinite(y).all() and (v > 0).all()):
        raise EquationOfStateError(
            f"the volumes or {what} hold values that are not finite, or volumes that are not "
            "positive",
            "leave these points out, or look for what went wrong in their calculations",
        )
    order = np.argsort(v, kind="stable")
    v, y = v[order], y[order]
    distinct = int((np.diff(v) > _SMALLEST_STEP * v[1:]).sum()) + 1 if v.size else 0
    if distinct < FEWEST_POINTS:
        raise EquationOfStateError(
            f"an equation of state has {FEWEST_POINTS} parameters, and there are {distinct} "
            "different volumes",
            f"compute {FEWEST_POINTS} volumes or more",
        )
    return v, y


def _birch_murnaghan_minimum(slope: Polynomial, volumes: Floats) -> tuple[float, float, float]:
    """V0 (A^3), B0 (eV/A^3) and B0' of a quadratic dE/dy with y = V^(-2/3).

    The minimum is where dE/dy changes sign upwards between the smallest and largest volume.
    It is the root that stays finite when the quadratic term vanishes, B0' being 4 then.
    """
    constant, linear, quadratic = (float(part) for part in slope.coef)
    offset, scale = (float(part) for part in slope.mapparms())  # t = offset + scale * y
    discriminant = linear**2 - 4 * quadratic * constant
    rise = float(np.sqrt(max(discriminant, 0.0)))  # of the slope at the root, over t
    if linear > 0:
        t = -2 * constant / (linear + rise)
    else:
        t = (rise - linear) / (2 * quadratic) if quadratic else np.inf
    if rise > 0 and abs(t) <= 1:
        y0 = (t - offset) / scale
        v0 = y0 ** (-3 / 2)
        curvature = rise * scale
        third = 2 * quadratic * scale**2
        return v0, 4 / 9 * curvature * v0 ** (-7 / 3), 4 + 2 / 3 * y0 * third / curvature
    if linear <= 0:
        raise EquationOfStateError(
            "the bulk modulus is not positive: the energy has no minimum and curves downwards "
            f"between {volumes[0]:.3f} and {volumes[-1]:.3f} A^3",
            "the structure is not stable there: relax it first, or look at the potential",
        )
    raise _outside(volumes, "larger" if constant > 0 else "smaller")


def _outside(volumes: Floats, where: str) -> EquationOfStateError:
    return EquationOfStateError(
        f"the minimum is outside the volumes that were computed, {volumes[0]:.3f} to "
        f"{volumes[-1]:.3f} A^3: the energy still falls towards {where} volumes",
        "relax the cell first with the same potential, or strain it further",
    )


def _least_squares(
    volumes: Floats, energies: Floats, name: EquationOfState, start: tuple[float, float, float]
) -> Floats:
    """E0 (eV), B0 (eV/A^3), B0' and V0 (A^3) of the best fit."""
    v0, b0, b0_prime = start
    equation = get_eos(name)
    scales = np.array([float(np.ptp(energies)), b0, 1.0, v0])

    def deviations(x: Floats) -> Floats:
        return np.asarray(equation(volumes, x * scales) - energies) / scales[0]

    try:
        with np.errstate(all="raise"):
            fit = least_squares(
                deviations,
                np.array([0.0, 1.0, b0_prime, 1.0]),
                method="lm",
                xtol=_TOLERANCE,
                ftol=_TOLERANCE,
                gtol=_TOLERANCE,
            )
    except (ValueError, FloatingPointError) as error:
        raise _no_fit(name) from error
    if not fit.success:
        raise _no_fit(name)
    return np.asarray(fit.x * scales)


def _no_fit(name: EquationOfState) -> EquationOfStateError:
    return EquationOfStateError(
        f"the {name} equation of state cannot be fitted to the energies",
        "look at the energies over the volumes: a jump or a kink is a change of structure; "
        "strain less",
    )


def _check_parameters(
    v0: float, b0: float, b0_prime: float, volumes: Floats, name: EquationOfState
) -> None:
    if not np.isfinite([v0, b0, b0_prime]).all():
        raise _no_fit(name)
    if b0 <= 0:
        raise EquationOfStateError(
            f"the bulk modulus of the {name} fit is {b0 * GPA_PER_EV_A3:.3g} GPa, which is not "
            "positive",
            "the structure is not stable: relax it first, or look at the potential",
        )
    if not volumes[0] <= v0 <= volumes[-1]:
        raise _outside(volumes, "larger" if v0 > volumes[-1] else "smaller")


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
