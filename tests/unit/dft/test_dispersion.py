"""D3(BJ) against a second implementation, torch-dftd, at equal cutoffs (check 4)."""

import pytest
from dftd3.ase import DFTD3
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.potentials.factory import d3_calculator
from mofonon.structures import read_structure

MOFS = ("qmof-3b672a9", "qmof-1269b58", "qmof-f75eb5a", "MIL-53", "MOF-74")

#: Cutoffs for both (A): torch-dftd's time grows with the cube of the first.
CUTOFFS = {"disp2": 12.0, "cn": 8.0}


@pytest.mark.parametrize("name", MOFS)
def test_energies_forces_and_stresses(reference_dir, name):
    from torch_dftd.torch_dftd3_calculator import TorchDFTD3Calculator

    structure = read_structure(reference_dir / "curated-127" / f"{name}.cif")
    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    ours = d3_calculator()
    first = DFTD3(
        damping="d3bj",
        params_tweaks=ours.parameters.params_tweaks,
        realspace_cutoff=CUTOFFS,
    )
    import torch

    second = TorchDFTD3Calculator(
        damping="bj",
        xc="pbe",
        abc=False,
        dtype=torch.float64,
        cutoff=CUTOFFS["disp2"],
        cnthr=CUTOFFS["cn"],
    )
    results = []
    for calculator in (first, second):
        copy = atoms.copy()
        copy.calc = calculator
        results.append(
            (copy.get_potential_energy(), copy.get_forces(), copy.get_stress(voigt=False))
        )
    (energy, forces, stress), (energy2, forces2, stress2) = results
    assert energy < -0.01 * len(atoms)
    assert energy / len(atoms) == pytest.approx(energy2 / len(atoms), abs=1e-6)
    assert forces == pytest.approx(forces2, abs=1e-5)
    assert stress == pytest.approx(stress2, abs=1e-6)
