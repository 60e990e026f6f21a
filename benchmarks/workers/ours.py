"""mofonon: the Makers through jobflow into an embedded store, as the commands run them."""

import os
from pathlib import Path
from typing import Any

from jobflow import run_locally
from pymatgen.core import Structure
from shared import COUNTS, folder_bytes, run

from mofonon.lattice import PhononMaker, QhaMaker
from mofonon.lattice.jobs import RelaxMaker
from mofonon.lattice.qha_schemas import QhaSettings
from mofonon.lattice.settings import PhononSettings
from mofonon.potentials import PotentialSpec
from mofonon.store import open_store


def _potential(options: dict[str, Any]) -> PotentialSpec:
    if options["potential"] in ("springs", "emt"):
        arguments = {"potential": options["potential"], "reference": options["structure"]}
        return PotentialSpec(family="ase", model="shared:make_calculator", options=arguments)
    return PotentialSpec(family="mace", model=options["potential"])


def _settings(options: dict[str, Any]) -> PhononSettings:
    a, b, c = options["supercell"]
    way = {} if options.get("default_displacements") else {"displacement": 0.001}
    return PhononSettings(
        supercell=((a, 0, 0), (0, b, 0), (0, 0, c)),
        mesh=tuple(options["mesh"]),
        dos_pitch=options["pitch"],
        plus_minus=False if options.get("default_displacements") else "auto",
        **way,
    )


def _prepare(options: dict[str, Any]) -> Any:
    os.environ["MOFONON_CHECKPOINTS"] = f"{options['folder']}/checkpoints"
    return open_store(Path(options["folder"]) / "store")


def phonons(options: dict[str, Any]) -> dict[str, Any]:
    """Run the phonon Maker; the evaluation log is part of the seconds, not of the bytes."""
    store = _prepare(options)
    flow = PhononMaker(
        potential=_potential(options),
        settings=_settings(options),
        relax_maker=RelaxMaker() if options["relax"] else None,
    ).make(Structure.from_file(options["structure"]))
    results = run_locally(flow, store=store, ensure_success=True, log=False)
    last = store.get_output(flow.output.uuid, load=False)
    thermal = last["thermal"]
    COUNTS["evaluations"] = last["n_force_evaluations"]
    return {
        "bytes": folder_bytes(Path(options["folder"]) / "store"),
        "jobs": len(results),
        "displacements": last["n_displacements"],
        "free_energy_300K": thermal["free_energies"][30],
        "in_potential": last["seconds"]["potential"] / last["seconds"]["phonon_job"],
        "in_potential_of_forces": last["seconds"]["potential"] / last["seconds"]["forces"],
        "relaxation_evaluations": last["n_force_evaluations"]
        - last["n_displacements"]
        - (last["max_residual_force"] is not None),
    }


def qha(options: dict[str, Any]) -> dict[str, Any]:
    """Run the QHA Maker."""
    store = _prepare(options)
    flow = QhaMaker(
        potential=_potential(options),
        settings=QhaSettings(
            n_volumes=options["volumes"],
            max_linear_strain=options["strains"][1],
            max_extensions=0,
        ),
        phonons=_settings(options),
        relax_maker=RelaxMaker(),
    ).make(Structure.from_file(options["structure"]))
    results = run_locally(flow, store=store, ensure_success=True, log=False)
    last = store.get_output(flow.output.uuid, load=False)
    COUNTS["evaluations"] = last["n_force_evaluations"]
    COUNTS["largest"] = last["n_force_evaluations_by_part"]["volumes_displacements"]
    return {
        "bytes": folder_bytes(Path(options["folder"]) / "store"),
        "jobs": len(results),
        "seconds": last["seconds"],
        "expansion_300K": last.get("cte_volumetric_300K"),  # 1e-6/K, None out of range
    }


if __name__ == "__main__":
    run({"phonons": phonons, "qha": qha}, "mofonon")
