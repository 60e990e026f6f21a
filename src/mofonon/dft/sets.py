"""VASP input sets for MOFs: the Materials Project's, with what MOFs need otherwise.

Every tag that differs from MPRelaxSet or MPStaticSet is in :data:`REASONS` with why; a test
compares the sets and fails on a difference without a reason.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pymatgen.core import Structure
from pymatgen.io.vasp import Kpoints
from pymatgen.io.vasp.sets import MPRelaxSet, MPStaticSet

from mofonon.dft.potcars import FUNCTIONAL, POTCAR_SYMBOLS

#: labels: training data; phonon: the tighter DFT phonons that labels are judged by.
Preset = Literal["labels", "phonon"]

Spin = Literal["auto", "on", "off"]

#: Points per reciprocal volume (A^3), that of MPRelaxSet, for relaxations and statics alike.
RECIPROCAL_DENSITY = 64

#: Elements whose d or f shell is, or may be, open in a MOF. Left out are those that are
#: closed-shell in MOFs: Sc, Ti(IV), Zn, Y, Zr, Pd, Ag, Cd, Hf, Pt, Au, Hg, and the lanthanides
#: whose POTCAR has the f shell in the core.
MAGNETIC_ELEMENTS = frozenset(
    {
        *("V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"),
        *("Nb", "Mo", "Tc", "Ru", "Rh", "Ta", "W", "Re", "Os", "Ir"),
        *("Ce", "Eu", "Gd", "U", "Np", "Pu"),
    }
)

#: Why a tag differs from the Materials Project's.
REASONS = {
    "IVDW": "D3(BJ): frameworks and their guests are held by dispersion; the paper has it",
    "EDIFF": "1e-5 eV in total, as the paper; MP's 5e-5 eV per atom is 5e-3 eV for MOF-5",
    "EDIFFG": "forces to 0.02 eV/A, as the paper; MP stops on the energy of a step",
    "ISMEAR": "Gaussian: tetrahedra (-5) need four k-points, which large cells have not",
    "ISPIN": "no spin where no metal has an open shell: half the time, the same energies",
    "MAGMOM": "none without spin",
    "LWAVE": "a relaxation stopped by its wall time starts from WAVECAR again",
    "LCHARG": "no CHGCAR: nothing reads it, and it is large",
    "NSW": "soft frameworks take more steps to relax; MP stops at 99",
    "LDAU": "no Hubbard U unless asked: U shifts labels against MPtrj's own GGA part",
    "ENCUT": "phonon preset: 900 eV, as the reference DFT phonons of the paper",
    "LREAL": "phonon preset: projection in reciprocal space, exact",
    "KPOINTS": "one mesh, of MPRelaxSet's density and around Gamma, for all labels of a MOF: "
    "MPStaticSet's 100 would give statics another mesh than relaxations; a single k-point is "
    "Gamma and runs in the Gamma-only binary",
    "POTCAR": "release 54 instead of MP's first PBE release, as the paper",
}
for _tag in ("LDAUJ", "LDAUL", "LDAUTYPE", "LDAUU", "LDAUPRINT"):
    REASONS[_tag] = REASONS["LDAU"]

_PHONON = {"ENCUT": 900, "EDIFF": 1e-8, "LREAL": False}
_LDAU_TAGS = ("LDAU", "LDAUJ", "LDAUL", "LDAUTYPE", "LDAUU", "LDAUPRINT")


def _config() -> dict[str, Any]:
    """MPRelaxSet with the POTCARs of release 54."""
    config = deepcopy(MPRelaxSet.CONFIG)
    config["POTCAR"] = dict(POTCAR_SYMBOLS)
    config["POTCAR_FUNCTIONAL"] = FUNCTIONAL
    return config


def has_open_shell(structure: Structure) -> bool:
    """Whether a structure has an element of :data:`MAGNETIC_ELEMENTS`, or moments on sites."""
    moments = structure.site_properties.get("magmom")
    if moments is not None and any(moment for moment in moments):
        return True
    return any(el.symbol in MAGNETIC_ELEMENTS for el in structure.composition.elements)


def gamma_mesh(structure: Structure, reciprocal_density: int = RECIPROCAL_DENSITY) -> Kpoints:
    """Make the Gamma-centred mesh of a structure.

    Each axis has ``floor((density * V*)^(1/3) b_i / b)`` divisions, one at least
    (pymatgen's automatic_density_by_vol). At the default density no axis is coarser than
    about 0.5 per A.

    Parameters
    ----------
    structure : Structure
        The structure.
    reciprocal_density : int
        Points per reciprocal volume (A^3).
    """
    return Kpoints.automatic_density_by_vol(structure, reciprocal_density, force_gamma=True)


def is_gamma_only(kpoints: Kpoints) -> bool:
    """Whether the mesh is Gamma alone, for the Gamma-only binary of VASP."""
    return bool(np.prod(kpoints.kpts[0]) == 1)


def mof_tags(
    structure: Structure, *, relax: bool, preset: Preset, spin: Spin, hubbard_u: bool
) -> dict[str, Any]:
    """Tags that differ from the Materials Project's; None removes a tag.

    Parameters
    ----------
    structure : Structure
        The structure, for its elements.
    relax : bool
        A relaxation; otherwise a static calculation.
    preset : str
        ``labels`` or ``phonon``.
    spin : str
        ``auto`` turns spin on where a metal may have an open shell.
    hubbard_u : bool
        Keep MP's Hubbard U.
    """
    tags: dict[str, Any] = {
        "IVDW": 12,
        "ENCUT": 520,
        "EDIFF": 1e-5,
        "ISMEAR": 0,
        "SIGMA": 0.05,
        "LCHARG": False,
        "LWAVE": relax,
    }
    if relax:
        tags |= {"EDIFFG": -0.001 if preset == "phonon" else -0.02, "NSW": 200}
    if preset == "phonon":
        tags |= _PHONON
    if spin == "off" or (spin == "auto" and not has_open_shell(structure)):
        tags |= {"ISPIN": 1, "MAGMOM": None}
    if not hubbard_u:
        tags |= dict.fromkeys(_LDAU_TAGS)
    return tags


@dataclass
class MofRelaxSetGenerator(MPRelaxSet):
    """Relax cell and positions at PBE-D3(BJ).

    Parameters
    ----------
    preset : str
        ``labels`` (ENCUT 520 eV, EDIFF 1e-5 eV, forces 0.02 eV/A) or ``phonon`` (900 eV,
        1e-8 eV, 0.001 eV/A).
    spin : str
        ``auto``: with spin, and MP's MAGMOM, where a metal may have an open shell.
    hubbard_u : bool
        Keep MP's Hubbard U in oxides and fluorides.
    force_gamma : bool
        Gamma-centred meshes.
    """

    CONFIG = _config()
    preset: Preset = "labels"
    spin: Spin = "auto"
    hubbard_u: bool = False
    force_gamma: bool = True

    @property
    def incar_updates(self) -> dict[str, Any]:
        """Tags that differ from MPRelaxSet."""
        if self.structure is None:
            return {}
        return mof_tags(
            self.structure,
            relax=True,
            preset=self.preset,
            spin=self.spin,
            hubbard_u=self.hubbard_u,
        )


@dataclass
class MofStaticSetGenerator(MPStaticSet):
    """Energy, forces and stress of a fixed structure at PBE-D3(BJ).

    Parameters
    ----------
    preset : str
        ``labels`` (ENCUT 520 eV, EDIFF 1e-5 eV) or ``phonon`` (900 eV, 1e-8 eV).
    spin : str
        ``auto``: with spin, and MP's MAGMOM, where a metal may have an open shell.
    hubbard_u : bool
        Keep MP's Hubbard U in oxides and fluorides.
    reciprocal_density : int
        Points per reciprocal volume (A^3).
    force_gamma : bool
        Gamma-centred meshes.
    inherit_incar : bool
        Take tags of a previous calculation over.
    """

    CONFIG = _config()
    preset: Preset = "labels"
    spin: Spin = "auto"
    hubbard_u: bool = False
    reciprocal_density: int = RECIPROCAL_DENSITY
    force_gamma: bool = True
    inherit_incar: bool = False

    @property
    def incar_updates(self) -> dict[str, Any]:
        """Tags that differ from MPRelaxSet, of which MPStaticSet's are a part."""
        if self.structure is None:
            return {}
        return {
            **super().incar_updates,
            **mof_tags(
                self.structure,
                relax=False,
                preset=self.preset,
                spin=self.spin,
                hubbard_u=self.hubbard_u,
            ),
        }


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Tags that two INCARs do not share: ours and theirs, None where one has it not."""
    tags = sorted(set(ours) | set(theirs))
    return {
        tag: (ours.get(tag), theirs.get(tag))
        for tag in tags
        if ours.get(tag) != theirs.get(tag)
    }
