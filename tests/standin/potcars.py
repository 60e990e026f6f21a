"""Header-only POTCARs, made on the fly: what pymatgen and the stand-in read of them.

``python tests/standin/potcars.py FOLDER`` writes one for every element of MPRelaxSet into
FOLDER/POT_GGA_PAW_PBE_54; set PMG_VASP_PSP_DIR to FOLDER. VASP itself cannot use them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

HEADER = """  PAW_PBE {symbol} 01Jan2000
   {valence:.14f}
 parameters from PSCTR are:
   VRHFIN ={element}: stand-in, not a potential
   LEXCH  = PE
   EATOM  =   100.0000 eV,    7.0000 Ry

   TITEL  = PAW_PBE {symbol} 01Jan2000
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        1    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =    1.500    partial core radius
   POMASS =    1.000; ZVAL   = {valence:8.3f}    mass and valenz
   RCORE  =    1.500    outmost cutoff radius
   RWIGS  =    1.500; RWIGS  =    0.800    wigner-seitz radius (au A)
   ENMAX  =  400.000; ENMIN  =  300.000 eV
   ICORE  =        2    local potential
   LCOR   =        T    correct aug charges
   LPAW   =        T    paw PP
   EAUG   =  600.000
   RMAX   =    1.500    core radius for proj-oper
   RAUG   =    1.300    factor for augmentation sphere
   RDEP   =    1.500    core radius for aug-charge
   QCUT   =   -5.500; QGAM   =   11.000    optimization parameters

   Description
     l     E      TYP  RCUT    TYP  RCUT
   0   .000     23  1.200
END of PSCTR-controll parameters
 0.0
 End of Dataset
"""


def write_potcars(folder: Path, symbols: Iterable[str] | None = None) -> Path:
    """Write POTCARs for POTCAR symbols (``Zr_sv``), all that mofonon uses by default.

    Returns
    -------
    Path
        The folder, for PMG_VASP_PSP_DIR.
    """
    from mofonon.dft.potcars import POTCAR_SYMBOLS, valence_electrons

    target = folder / "POT_GGA_PAW_PBE_54"
    target.mkdir(parents=True, exist_ok=True)
    for symbol in symbols if symbols is not None else POTCAR_SYMBOLS.values():
        element = symbol.split("_")[0]
        text = HEADER.format(symbol=symbol, element=element, valence=valence_electrons(symbol))
        (target / f"POTCAR.{symbol}").write_text(text)
    return folder


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    print(write_potcars(Path(sys.argv[1])))  # noqa: T201
