"""From the start of a job's process to its first force evaluation: CPU seconds of each part.

python benchmarks/job_start.py [MODEL]
"""

import sys
import time

START = time.process_time()


def lap(name: str, before: float) -> float:
    """Print the CPU seconds since the last mark."""
    now = time.process_time()
    print(f"{name:<28} {now - before:6.2f} s")
    return now


def main() -> None:
    """Import what a job imports, load the potential, evaluate once."""
    mark = lap("python", 0.0)
    import jobflow_remote.jobs.run  # noqa: F401

    mark = lap("jobflow-remote", mark)
    import mofonon.lattice.flows  # noqa: F401

    mark = lap("mofonon.lattice (emmet, ...)", mark)
    from mofonon.potentials import PotentialSpec, describe_potential, make_calculator

    spec = PotentialSpec.from_name(sys.argv[1] if len(sys.argv) > 1 else "demo")
    describe_potential(spec)
    mark = lap("potential described", mark)
    calculator = make_calculator(spec)
    mark = lap("potential loaded (torch)", mark)
    from ase.build import bulk

    atoms = bulk("Al", "fcc", a=4.0) if spec.family == "ase" else bulk("ZnO", "wurtzite", a=3.2)
    atoms.calc = calculator
    atoms.get_forces()
    lap("first force evaluation", mark)
    lap("in all", 0.0)


if __name__ == "__main__":
    main()
