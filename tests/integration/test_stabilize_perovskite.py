"""Cubic SrTiO3 with SevenNet-0: a saddle at Gamma, left by following its mode."""

import numpy as np
import pytest
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.core import Lattice, Structure

from mofonon.lattice import (
    ImaginaryModeMaker,
    PhononSettings,
    RelaxSettings,
    StabilizeDoc,
    StabilizeSettings,
)
from mofonon.potentials import PotentialSpec
from mofonon.store import get_document


@pytest.mark.slow
def test_the_polar_mode_of_strontium_titanate_leads_down():
    """The other strategies and CHGNet are on record in docs/lattice.md."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    cubic = Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.944), ["Sr", "Ti", "O"], [[0.5] * 3, [0] * 3, [0.5, 0, 0]]
    )
    maker = ImaginaryModeMaker(
        potential=PotentialSpec.from_name("sevennet-0"),
        settings=StabilizeSettings(strategies=("mode-mapping",), max_attempts=1),
        phonons=PhononSettings(
            supercell=((1, 0, 0), (0, 1, 0), (0, 0, 1)),
            mesh=(1, 1, 1),
            dos_pitch=0.2,
            band_points=3,
        ),
        relax=RelaxSettings(fmax=1e-4, symmetry="keep"),
    )
    flow = maker.make(cubic)
    run_locally(flow, store=store, log=False, raise_immediately=True)
    doc = StabilizeDoc.model_validate(get_document(store, flow.output.uuid))
    start, mapped = doc.attempts
    assert start.space_group == "Pm-3m"
    assert start.lowest_after < -1
    assert np.allclose(mapped.q, 0)
    assert mapped.energy_change_per_atom < -5e-4  # eV; 9.5e-4 when relaxed to 1e-6 eV/A
    assert doc.space_group.number < 221
    assert doc.min_frequency > start.lowest_after
