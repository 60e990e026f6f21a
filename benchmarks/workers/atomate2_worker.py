"""atomate2's PhononMaker and ForceFieldQhaMaker, run by jobflow in memory.

Its documents and data are counted as the JSON that a MongoDB would get.
"""

import json
import os
from typing import Any

from atomate2.forcefields.flows.phonons import PhononMaker
from atomate2.forcefields.flows.qha import ForceFieldQhaMaker
from atomate2.forcefields.jobs import ForceFieldRelaxMaker, ForceFieldStaticMaker
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from pymatgen.core import Structure
from shared import run


def _potential(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "force_field_name": {"@module": "shared", "@callable": "make_calculator"},
        "calculator_kwargs": {
            "potential": options["potential"],
            "reference": options["structure"],
        },
    }


def _phonon_maker(options: dict[str, Any], **relax: Any) -> PhononMaker:
    return PhononMaker(
        bulk_relax_maker=ForceFieldRelaxMaker(
            **_potential(options), steps=2000, relax_kwargs={"fmax": 1e-6}, **relax
        )
        if options["relax"]
        else None,
        static_energy_maker=ForceFieldStaticMaker(**_potential(options)),
        phonon_displacement_maker=ForceFieldStaticMaker(**_potential(options)),
        displacement=0.001,
        min_length=None,
        symprec=1e-5,
        store_force_constants=True,
    )


def _store() -> JobStore:
    return JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})


def _bytes(store: JobStore) -> int:
    stores = [store.docs_store, *store.additional_stores.values()]
    return sum(
        len(json.dumps(document, default=str)) for each in stores for document in each.query()
    )


def phonons(options: dict[str, Any]) -> dict[str, Any]:
    """All jobs of the flow, one after the other."""
    os.chdir(options["folder"])
    store = _store()
    size = options["supercell"]
    flow = _phonon_maker(options).make(
        Structure.from_file(options["structure"]),
        supercell_matrix=[[size[0], 0, 0], [0, size[1], 0], [0, 0, size[2]]],
    )
    results = run_locally(flow, store=store, ensure_success=True, log=False)
    last = store.get_output(flow.output.uuid, load=False)
    return {
        "bytes": _bytes(store),
        "jobs": len(results),
        "displacements": len(results) - 5,
        "free_energy_300K": _at_300(last),
    }


def _at_300(document: dict[str, Any]) -> float | None:
    temperatures = document.get("temperatures") or []
    energies = document.get("free_energies") or []
    pairs = dict(zip(temperatures, energies, strict=False))
    return pairs.get(300)


def qha(options: dict[str, Any]) -> dict[str, Any]:
    """Run the QHA Maker with the same potential, volumes, supercell and thresholds."""
    os.chdir(options["folder"])
    tight = {"steps": 2000, "relax_kwargs": {"fmax": 1e-6}}
    maker = ForceFieldQhaMaker(
        initial_relax_maker=ForceFieldRelaxMaker(**_potential(options), **tight),
        eos_relax_maker=ForceFieldRelaxMaker(**_potential(options), relax_cell=False, **tight),
        phonon_maker=_phonon_maker({**options, "relax": False}),
        linear_strain=tuple(options["strains"]),
        number_of_frames=options["volumes"],
        eos_type="birch_murnaghan",
        t_max=500,
        ignore_imaginary_modes=True,
        min_length=None,
    )
    size = options["supercell"]
    store = _store()
    flow = maker.make(
        Structure.from_file(options["structure"]),
        supercell_matrix=[[size[0], 0, 0], [0, size[1], 0], [0, 0, size[2]]],
    )
    results = run_locally(flow, store=store, ensure_success=True, log=False)
    return {"bytes": _bytes(store), "jobs": len(results)}


if __name__ == "__main__":
    run({"phonons": phonons, "qha": qha}, "atomate2")
