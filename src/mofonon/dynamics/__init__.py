"""Molecular dynamics with any ASE calculator: NPT and NVE, resumable, watched.

The integrators are ASE's: velocity Verlet, and the Martyna-Tobias-Klein equations with
Nose-Hoover chains, which sample the isothermal-isobaric ensemble (Berendsen's barostat does
not). The total momentum is removed at the start and stays zero, so that 3 N - 3 degrees of
freedom carry the temperature; ASE's thermostat counts 3 N, which makes the N atoms of a small
cell hotter by N / (N - 1), and is corrected here.

A trajectory that explodes is cut before the first frame that cannot be, and says why.

References
----------
Martyna, Tobias, Klein, J. Chem. Phys. 101, 4177 (1994), doi 10.1063/1.467468.
"""

from mofonon.dynamics.explosion import why_exploded
from mofonon.dynamics.integrators import draw_velocities, kinetic_temperature
from mofonon.dynamics.run import run_dynamics
from mofonon.dynamics.settings import DynamicsSettings
from mofonon.dynamics.trajectory import Trajectory

__all__ = [
    "DynamicsSettings",
    "Trajectory",
    "draw_velocities",
    "kinetic_temperature",
    "run_dynamics",
    "why_exploded",
]
