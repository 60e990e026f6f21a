"""The fit at the end of a QHA loop; imported in the environments of the peers."""

import numpy as np
from phonopy import PhonopyQHA


def expansion_at_300(
    volumes: list[float], energies: list[float], thermal: list[dict[str, np.ndarray]]
) -> float:
    """Volumetric expansion at 300 K (1e-6/K), by phonopy.

    Parameters
    ----------
    volumes : list of float
        Volumes (A^3).
    energies : list of float
        Potential energies (eV).
    thermal : list of dict
        ``temperatures`` in steps of 10 K, ``free_energy``, ``entropy``, ``heat_capacity`` of
        each volume as phonopy has them.
    """
    free_energy, heat_capacity, entropy = (
        np.array([one[name] for one in thermal]).T
        for name in ("free_energy", "heat_capacity", "entropy")
    )
    fit = PhonopyQHA(
        volumes=volumes,
        electronic_energies=energies,
        temperatures=thermal[0]["temperatures"],
        free_energy=free_energy,
        cv=heat_capacity,
        entropy=entropy,
        t_max=500,
        eos="vinet",
    )
    return 1e6 * float(fit.thermal_expansion[30])
