"""GFN1-xTB by tblite: a semi-empirical method to compare with, as the paper does.

It is evaluated at Gamma only, so cells must be large. The paper relaxes positions with it, not
cells.

References
----------
S. Grimme, C. Bannwarth, P. Shushkov, J. Chem. Theory Comput. 13, 1989 (2017).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ase.data import chemical_symbols

from mofonon.errors import MissingDependencyError

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator

#: The method's name, as tblite writes it.
GFN1 = "GFN1-xTB"

#: Elements that it is parametrised for: H to Rn.
ELEMENTS = tuple(chemical_symbols[1:87])

#: tblite's accuracy, a factor on its thresholds of convergence. From 1, its default, to 0.01
#: forces on MOF-74 were seen to change by up to 1e-4 eV/A, at a third more time.
ACCURACY = 0.01


def require_tblite() -> None:
    """Check that tblite is installed.

    Raises
    ------
    MissingDependencyError
        Otherwise.
    """
    if find_spec("tblite") is None:
        raise MissingDependencyError(
            "GFN1-xTB cannot be used: tblite is not installed", "pip install 'mofonon[xtb]'"
        )


def make_xtb() -> BaseCalculator:
    """Make the calculator of a neutral cell.

    Raises
    ------
    MissingDependencyError
        tblite is not installed.
    """
    require_tblite()
    from tblite.ase import TBLite

    return TBLite(method=GFN1, accuracy=ACCURACY, verbosity=0)
