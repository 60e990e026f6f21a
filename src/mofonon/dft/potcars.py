"""Which POTCARs are used, what they hold, and whether they are there.

The choice is that of MPRelaxSet, which MPtrj was made with, in the PAW 54 release; the two
that release 54 has not, or has better, are replaced as pymatgen does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pymatgen.core import Structure
from pymatgen.io.vasp.sets import MPRelaxSet

from mofonon.errors import PotcarError

#: Functional and release, as pymatgen names them.
FUNCTIONAL = "PBE_54"

#: Folder of this release below PMG_VASP_PSP_DIR.
FOLDER = "POT_GGA_PAW_PBE_54"

#: Where release 54 calls for another POTCAR than MPRelaxSet, and why.
REPLACED = {
    "W": ("W_sv", "W_pv is not in release 54; pymatgen takes W_sv"),
    "Yb": ("Yb_3", "Yb_2 is for Yb(II) and wrong for nearly all compounds (pymatgen #2968)"),
}

#: POTCAR of each element.
POTCAR_SYMBOLS: dict[str, str] = {
    **MPRelaxSet.CONFIG["POTCAR"],
    **{element: symbol for element, (symbol, _) in REPLACED.items()},
}

_SET_UP = (
    "unpack VASP's potpaw_PBE.54, run 'pmg config -p SOURCE TARGET', and set PMG_VASP_PSP_DIR "
    "to TARGET"
)


@dataclass(frozen=True)
class PotcarProblem:
    """Something about a POTCAR that would stop a calculation.

    Attributes
    ----------
    element : str
        The element.
    message : str
        What is wrong.
    remedy : str
        What the user can do.
    """

    element: str
    message: str
    remedy: str


@cache
def _release_54() -> dict[str, float]:
    """POTCAR symbols of release 54 and their valence electrons, from pymatgen's table."""
    from pymatgen.io.vasp import inputs

    table = inputs._load_potcar_summary_stats()[FUNCTIONAL]  # noqa: SLF001 - no public way
    return {
        entry["symbol"]: float(entry["ZVAL"]) for kinds in table.values() for entry in kinds
    }


def potcar_symbol(element: str) -> str:
    """Name of the POTCAR of an element.

    Raises
    ------
    PotcarError
        When no POTCAR of release 54 is chosen for the element.
    """
    symbol = POTCAR_SYMBOLS.get(element)
    if symbol is None or symbol not in _release_54():
        raise PotcarError(
            f"{element} has no POTCAR in the PAW PBE 54 choice of the Materials Project",
            "leave structures with it out, or give one with user_potcar_settings of the input "
            "set and test it",
        )
    return symbol


def valence_electrons(symbol: str) -> float:
    """Valence electrons of a POTCAR, ZVAL, from pymatgen's table of release 54.

    Parameters
    ----------
    symbol : str
        Such as ``Zr_sv``.

    Raises
    ------
    PotcarError
        When release 54 has no such POTCAR.
    """
    try:
        return _release_54()[symbol]
    except KeyError:
        raise PotcarError(
            f"there is no POTCAR {symbol} in release 54",
            "name one of VASP's PBE_54 set in user_potcar_settings",
        ) from None


def electrons(structure: Structure) -> float:
    """Valence electrons of a structure with the POTCARs chosen here.

    Raises
    ------
    PotcarError
        When an element has none.
    """
    return sum(
        amount * valence_electrons(potcar_symbol(element))
        for element, amount in structure.composition.get_el_amt_dict().items()
    )


def potcar_folder() -> Path | None:
    """Folder of the POTCARs of release 54, None if there is none."""
    from pymatgen.core import SETTINGS

    root = SETTINGS.get("PMG_VASP_PSP_DIR")
    folder = Path(root) / FOLDER if root else None
    return folder if folder is not None and folder.is_dir() else None


def potcar_problems(elements: Iterable[str]) -> list[PotcarProblem]:
    """Find what stands against calculating with elements: POTCARs absent, wrong or unreadable.

    Parameters
    ----------
    elements : iterable of str
        Symbols of elements.

    Returns
    -------
    list of PotcarProblem
        Empty when all is well.
    """
    problems = []
    for element in sorted(set(elements)):
        try:
            symbol = potcar_symbol(element)
            _check_file(element, symbol)
        except PotcarError as error:
            problems.append(PotcarProblem(element, error.message, error.remedy))
    return problems


def _check_file(element: str, symbol: str) -> None:
    """Read a POTCAR through pymatgen and compare it with what it should be."""
    from pymatgen.core import SETTINGS
    from pymatgen.io.vasp import PotcarSingle

    if not SETTINGS.get("PMG_VASP_PSP_DIR"):
        raise PotcarError(f"no POTCAR of {element}: PMG_VASP_PSP_DIR is not set", _SET_UP)
    if potcar_folder() is None:
        root = SETTINGS["PMG_VASP_PSP_DIR"]
        raise PotcarError(f"no POTCAR of {element}: there is no {FOLDER} in {root}", _SET_UP)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            potcar = PotcarSingle.from_symbol_and_functional(symbol, FUNCTIONAL)
            found, zval = potcar.element, float(potcar.zval)
    except (OSError, ValueError, KeyError, AttributeError, IndexError) as error:
        absent = isinstance(error, FileNotFoundError) or not _has_file(symbol)
        what = "is not there" if absent else f"cannot be read: {error}"
        raise PotcarError(
            f"the POTCAR {symbol} of {element} {what} ({potcar_folder()})", _SET_UP
        ) from error
    if found != element or zval != valence_electrons(symbol):
        raise PotcarError(
            f"the POTCAR {symbol} in {potcar_folder()} is of {found} with {zval:g} valence "
            f"electrons, not of {element} with {valence_electrons(symbol):g}",
            "replace it by the one of VASP's potpaw_PBE.54",
        )


def _has_file(symbol: str) -> bool:
    folder = potcar_folder()
    return folder is not None and any(
        next(folder.glob(pattern), None) is not None
        for pattern in (f"POTCAR.{symbol}*", f"{symbol}/POTCAR*")
    )
