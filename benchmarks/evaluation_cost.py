"""(7) Cost of one force evaluation: mace's calculator against ours.

A random-weight model of the architecture of MACE-MP-0b medium (89 elements, 128x0e+128x1o,
r_max 6 A: for cost, not for science), on a 2x2x2 supercell of Zn-MOF-74 (432 atoms, about
20,000 edges) by default. Each variant runs in a process of its own, because memory that
glibc keeps is a property of the process; the variants are interleaved over the rounds.

    python benchmarks/evaluation_cost.py [--repeat 2 2 2] [--rounds 3]

The stock variant needs about 5 GB at 432 atoms, those that keep freed memory more.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from common import (
    MEDIUM,
    medium_model,
    peak_memory_gb,
    primitive,
    repeat,
    run_child,
    save,
    set_threads,
)

set_threads()

#: Name: whole or cut model, memory returned or kept, precision.
VARIANTS = {
    "stock (mace's calculator)": ("stock", "false", "float64"),
    "freed memory kept": ("stock", "true", "float64"),
    "cut, weights multiplied in": ("ours", "false", "float64"),
    "ours: both": ("ours", "true", "float64"),
    "both, float32 (not for phonons by default)": ("ours", "true", "float32"),
}

NOTE = (
    "Energy, forces and stress of {atoms} atoms of Zn-MOF-74; medians of {rounds} processes "
    "each. Random weights in the architecture of MACE-MP-0b medium: for cost, not for science."
)


def measure(model: Path, kind: str, keep: bool, dtype: str, repetitions: list[int]) -> dict:
    """Evaluate once to warm up, then once more with the clock running."""
    from mace.calculators import MACECalculator

    from mofonon.potentials.allocation import keep_freed_memory
    from mofonon.potentials.mace_calculator import ElementMACECalculator
    from mofonon.potentials.mace_files import load_mace

    if keep:
        keep_freed_memory()
    weights = load_mace(model, "cpu")
    if kind == "stock":
        calculator = MACECalculator(models=[weights], device="cpu", default_dtype=dtype)
    else:
        calculator = ElementMACECalculator(weights, head=None, dtype=dtype, device="cpu")
    atoms = primitive("Zn-MOF-74.cif") * repetitions
    atoms.calc = calculator
    atoms.get_forces()

    def evaluate() -> None:
        atoms.rattle(1e-4)
        atoms.get_forces()

    seconds = repeat(evaluate, 1)
    return {**seconds, "memory": peak_memory_gb(), "atoms": len(atoms)}


def main() -> None:
    """Measure all variants in turn and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, nargs=3, default=[2, 2, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=Path, default=MEDIUM)
    parser.add_argument("--variant", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        kind, keep, dtype = options.variant
        found = measure(options.model, kind, keep == "true", dtype, options.repeat)
        print(json.dumps(found))
        return
    medium_model(options.model)
    repetitions = [str(count) for count in options.repeat]
    rounds: dict[str, list[dict]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, variant in VARIANTS.items():
            arguments = ["--model", str(options.model), "--variant", *variant]
            rounds[name].append(run_child(Path(__file__), *arguments, "--repeat", *repetitions))
            print(name, rounds[name][-1], file=sys.stderr, flush=True)
    medians = {
        name: {
            key: statistics.median(one[key] for one in all_)
            for key in ("cpu", "wall", "memory")
        }
        for name, all_ in rounds.items()
    }
    stock = medians["stock (mace's calculator)"]
    rows = [
        {
            "variant": name,
            "CPU s": value["cpu"],
            "wall s": value["wall"],
            "CPU, stock over this": stock["cpu"] / value["cpu"],
            "peak memory GB": value["memory"],
        }
        for name, value in medians.items()
    ]
    atoms = next(iter(rounds.values()))[0]["atoms"]
    save(
        "evaluation_cost",
        "Cost of one force evaluation",
        [NOTE.format(atoms=atoms, rounds=options.rounds)],
        {f"{atoms} atoms": rows},
    )


if __name__ == "__main__":
    main()
