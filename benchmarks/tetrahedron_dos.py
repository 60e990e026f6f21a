"""Density of states of MOF-5 by the tetrahedron method: ours against phonopy's.

Prints seconds, their ratio and the largest difference, on one thread, for the 11x11x11 mesh
and 0.01 THz pitch of the paper. phonopy gives the total only; ours gives total and elements.

    OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 python benchmarks/tetrahedron_dos.py FILE

FILE: a phonopy.yaml with forces, such as MOF-5-phonopy_forces.yaml.xz of the paper's data.
"""

import argparse
import os
import platform
import resource
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import phonopy

from mofonon.lattice.analysis import density_of_states
from mofonon.lattice.mesh import mesh_modes
from mofonon.lattice.phonons import set_force_constants
from mofonon.lattice.phonopy_files import load_phonopy
from mofonon.lattice.settings import PhononSettings
from mofonon.lattice.tetrahedron import frequency_points


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--mesh", type=int, default=11)
    parser.add_argument("--pitch", type=float, default=0.01, help="THz")
    options = parser.parse_args()
    mesh = (options.mesh,) * 3
    phonon = load_phonopy(options.file, PhononSettings())
    set_force_constants(phonon, None)

    start = time.perf_counter()
    modes = mesh_modes(phonon, mesh)
    mesh_seconds = time.perf_counter() - start
    points = frequency_points(modes.frequencies, options.pitch)
    start = time.perf_counter()
    ours = density_of_states(modes, options.pitch, points)
    our_seconds = time.perf_counter() - start
    our_memory = _memory()

    phonon.run_mesh(mesh)
    start = time.perf_counter()
    theirs = phonon.run_total_dos(
        freq_min=points[0], freq_max=points[-1], freq_pitch=options.pitch
    )
    their_seconds = time.perf_counter() - start
    difference = np.abs(theirs.dos - ours.total).sum() / theirs.dos.sum()
    print(f"{platform.processor() or platform.machine()}, phonopy {phonopy.__version__}")
    print(f"{len(phonon.primitive)} atoms, {len(modes.qpoints)} q-points, {len(points)} points")
    print(f"mesh with element shares  {mesh_seconds:9.2f} s")
    print(f"ours, total and elements  {our_seconds:9.3f} s   peak memory {our_memory:.2f} GB")
    print(f"phonopy, total            {their_seconds:9.2f} s   peak memory {_memory():.2f} GB")
    print(f"ratio                     {their_seconds / our_seconds:9.0f}")
    print(f"integrated difference     {difference:9.1e} of the integral")


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
