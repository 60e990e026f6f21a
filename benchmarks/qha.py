"""(3) Quasi-harmonic approximation end to end: ours, janus-core's way, atomate2, a loop.

Overhead with a potential that costs next to nothing (EMT on ordered Cu3Au, 11 volumes), and the
whole with the demo MACE (distilled, not for science) on MOFs, ours against janus-core's way:
janus-core relaxes the structure and each volume with L-BFGS and takes phonopy's displacements
of 0.001 A, both ways, as the paper did (``workers/janus.py``). The loop is the same in bare
phonopy and ASE, its thermal sums without the acoustic modes at Gamma.

    python benchmarks/qha.py [--structures alloy Zn-MOF-74 MOF-5] [--volumes 11]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import ROOT, peer_python, primitive, run_child, save, set_threads

set_threads()

WORKERS = ROOT / "benchmarks" / "workers"
TOOLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mofonon": ("ours.py", "", {"default_displacements": True}),
    "janus-core": ("janus.py", "janus", {}),
    "phonopy + ASE loop": ("script.py", "matcalc", {}),
    "atomate2 ForceFieldQhaMaker": ("atomate2_worker.py", "atomate2", {}),
}


def write_cell(name: str, path: Path) -> None:
    """Write the cell of a structure."""
    if name != "alloy":
        primitive(f"{name}.cif").write(path)
        return
    from ase.build import bulk

    alloy = bulk("Cu", "fcc", a=3.74, cubic=True)
    alloy.symbols[0] = "Au"
    alloy.write(path)


def measure(name: str, volumes: int, rounds: int, tools: list[str]) -> list[dict[str, Any]]:
    """All tools in turn on one structure."""
    runs: dict[str, list] = {tool: [] for tool in tools}
    with tempfile.TemporaryDirectory() as folder:
        cell = Path(folder) / "POSCAR.vasp"
        write_cell(name, cell)
        for _ in range(rounds):
            for tool in tools:
                worker, environment, more = TOOLS[tool]
                place = Path(tempfile.mkdtemp(dir=folder))
                options = {
                    "task": "qha",
                    "structure": str(cell),
                    "potential": "emt" if name == "alloy" else str(DEMO),
                    "relax": True,
                    "supercell": [2, 2, 2],
                    "mesh": [11, 11, 11],
                    "pitch": 0.01,
                    "volumes": volumes,
                    "strains": [-0.015, 0.015],
                    "folder": str(place),
                    **more,
                }
                python = peer_python(environment) if environment else sys.executable
                found = run_child(WORKERS / worker, json.dumps(options), python=python)
                print(name, tool, found, file=sys.stderr, flush=True)
                runs[tool].append(found)
    return rows_of(name, volumes, runs)


def rows_of(
    name: str, volumes: int, runs: dict[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Medians of all runs of a structure, and how they compare with ours."""
    ours = statistics.median(one["cpu"] for one in runs["mofonon"])
    return [
        {
            "structure": name,
            "tool": f"{tool} ({all_[0]['package']})",
            "volumes": volumes,
            "relaxing evaluations": all_[0]["evaluations"] - all_[0]["of_supercells"],
            "supercell evaluations": all_[0]["of_supercells"],
            "CPU s": statistics.median(one["cpu"] for one in all_),
            "wall s": statistics.median(one["wall"] for one in all_),
            "CPU, this over ours": statistics.median(one["cpu"] for one in all_) / ours,
            "% in the potential": statistics.median(in_potential(one) for one in all_),
            "MB stored": all_[0]["bytes"] / 1e6 if "bytes" in all_[0] else None,
            "expansion at 300 K (1e-6/K)": all_[0].get("expansion_300K"),
        }
        for tool, all_ in runs.items()
    ]


def in_potential(run: dict[str, Any]) -> float:
    """Share of the wall time in the potential, ours with the relaxations whole (%)."""
    seconds = run["model_seconds"]
    if "seconds" in run:
        parts = run["seconds"]
        seconds = parts["relaxation"] + parts["volumes_relaxation"] + parts["potential"]
    return 100 * seconds / run["wall"]


DEMO = ROOT / "src/mofonon/data/demo.model"


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structures", nargs="+", default=["alloy", "Zn-MOF-74", "MOF-5"])
    parser.add_argument("--volumes", type=int, default=11)
    parser.add_argument("--rounds", type=int, help="Default: 3 of the alloy, 1 of the MOFs.")
    parser.add_argument(
        "--tools", nargs="+", default=["mofonon", "janus-core"], help="On the MOFs."
    )
    parser.add_argument(
        "--append", nargs="*", type=Path, default=[], help="Earlier results, to be kept."
    )
    options = parser.parse_args()
    tables = {}
    for path in options.append:
        tables |= json.loads(path.read_text())["tables"]
    for name in options.structures:
        tools = list(TOOLS) if name == "alloy" else options.tools
        potential = "EMT" if name == "alloy" else "demo MACE"
        rounds = options.rounds or (3 if name == "alloy" else 1)
        tables[f"{name}, {potential}"] = measure(name, options.volumes, rounds, tools)
        save("qha", "Quasi-harmonic approximation end to end", NOTES, tables)


NOTES = [
    "alloy: Cu3Au by EMT, next to free, for the overhead. The demo MACE is distilled, not for",
    "science. Ours includes store, documents, densities of states and bands of all volumes;",
    "janus-core and the loop make neither. atomate2 keeps the cell's shape.",
    "janus-core leaves the acoustic modes at Gamma, zero but for noise, in the thermal sums,",
    "which moves its expansion. Share of wall time in the potential: ours with the relaxations",
    "whole. The expansion is not given where the volume at 300 K is outside those computed.",
]

if __name__ == "__main__":
    os.chdir(ROOT)
    main()
