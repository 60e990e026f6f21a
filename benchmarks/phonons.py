"""(2, 4, 6) Phonons end to end, storage and time in the model: ours against the peers.

Zn-MOF-74 (54 atoms) in a 2x2x2 supercell (432 atoms), displacements of 0.001 A as phonopy makes
them (54), an 11x11x11 mesh and a DOS pitch of 0.01 THz where the package lets one choose, and
ours also with its default displacements (27). Two potentials: springs, a toy that costs
milliseconds, for what the packages themselves cost; and the demo MACE (distilled, not for
science) from the CIF, with the relaxation, for the whole. The tools take turns; medians.

    benchmarks/make_peers.sh
    python benchmarks/phonons.py [--rounds 3] [--potentials springs demo]

PEERS names the folder of the peers' environments (default build/peers).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import (
    ROOT,
    medium_model,
    peer_python,
    primitive,
    run_child,
    save,
    set_threads,
)

set_threads()

WORKERS = ROOT / "benchmarks" / "workers"

#: Name: worker, environment, further options.
TOOLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mofonon": ("ours.py", "", {"default_displacements": True}),
    "mofonon, the paper's displacements": ("ours.py", "", {}),
    "phonopy + ASE script": ("script.py", "matcalc", {}),
    "matcalc": ("matcalc_worker.py", "matcalc", {}),
    "janus-core": ("janus.py", "janus", {}),
    "atomate2 PhononMaker": ("atomate2_worker.py", "atomate2", {}),
}


def measure(tool: str, options: dict[str, Any]) -> dict[str, Any]:
    """Run a tool once in a folder of its own."""
    worker, environment, more = TOOLS[tool]
    python = peer_python(environment) if environment else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        arguments = json.dumps({**options, **more, "folder": folder})
        found = run_child(WORKERS / worker, arguments, python=python)
    found["comparable"] = options["relax"] and "atomate2" not in tool
    print(tool, found, file=sys.stderr, flush=True)
    return found


def model_of(potential: str) -> str:
    """File of a model; springs are none."""
    if potential == "demo":
        return str(ROOT / "src/mofonon/data/demo.model")
    return str(medium_model()) if potential == "medium" else potential


def rows_of(runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Medians of all runs, and how they compare with ours."""
    middle = {
        tool: {
            key: statistics.median(one[key] for one in all_)
            for key in ("wall", "cpu", "bytes", "model_seconds", "evaluations")
        }
        for tool, all_ in runs.items()
    }
    ours = middle["mofonon"]
    return [
        {
            "tool": f"{tool} ({runs[tool][0]['package'].split()[1]})",
            "displacements": runs[tool][0]["displacements"],
            "evaluations": int(value["evaluations"]),
            "CPU s": value["cpu"],
            "wall s": value["wall"],
            "CPU, this over ours": value["cpu"] / ours["cpu"],
            "MB stored": value["bytes"] / 1e6,
            "stored, this over ours": value["bytes"] / ours["bytes"],
            # atomate2's is per formula unit; a toy of springs has floppy modes
            "F(300 K) kJ/mol": runs[tool][0]["free_energy_300K"]
            if runs[tool][0]["comparable"]
            else None,
        }
        for tool, value in middle.items()
    ]


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--structure", default="Zn-MOF-74.cif")
    parser.add_argument(
        "--potentials",
        nargs="+",
        default=["springs", "demo", "medium"],
        choices=["springs", "demo", "medium"],
    )
    parser.add_argument("--tools", nargs="+", default=list(TOOLS))
    parser.add_argument(
        "--name", default="phonons", help="Of the results: phonons, or phonons_ and a word."
    )
    parser.add_argument("--mesh", type=int, default=11)
    parser.add_argument("--pitch", type=float, default=0.01, help="THz")
    options = parser.parse_args()
    tables, shares = {}, []
    with tempfile.TemporaryDirectory() as folder:
        cell = Path(folder) / "POSCAR.vasp"
        primitive(options.structure).write(cell)
        for potential in options.potentials:
            task = {
                "task": "phonons",
                "structure": str(cell),
                "potential": model_of(potential),
                "relax": potential == "demo",
                "supercell": [2, 2, 2],
                "mesh": [options.mesh] * 3,
                "pitch": options.pitch,
            }
            # random weights: only the share of time in them is of interest, of ours
            tools = ["mofonon"] if potential == "medium" else options.tools
            rounds = 1 if potential == "medium" else options.rounds
            runs: dict[str, list] = {tool: [] for tool in tools}
            for _ in range(rounds):
                for tool in tools:
                    runs[tool].append(measure(tool, task))
            what = f"mesh {options.mesh}, DOS pitch {options.pitch} THz, {rounds} run(s)"
            tables[f"{options.structure}, {potential}; {what}"] = rows_of(runs)
            shares += share_rows(runs["mofonon"], potential)
    tables["ours: time in the potential"] = shares
    save(options.name, "Phonons end to end, storage, time in the potential", NOTES, tables)


def share_rows(runs: list[dict[str, Any]], potential: str) -> list[dict[str, Any]]:
    """Share of the phonon job in the potential, and evaluations over the fewest possible."""
    one = runs[0]
    fewest = one["displacements"] + 1
    return [
        {
            "potential": potential,
            "% of the phonon job": 100 * statistics.median(r["in_potential"] for r in runs),
            "% of the displaced cells": 100
            * statistics.median(r["in_potential_of_forces"] for r in runs),
            "evaluations of supercells": one["evaluations"] - one["relaxation_evaluations"],
            "fewest": fewest,
        }
    ]


NOTES = [
    "springs is a toy of milliseconds an evaluation, for the overhead; demo is the demo MACE,",
    "distilled and not for science, relaxed from the CIF to 1e-6 eV/A first; medium has random",
    "weights in the architecture of MACE-MP-0b medium, for the share of time in a real model.",
    "matcalc and atomate2 choose their own q-mesh and DOS pitch: less work than the others'.",
    "Bytes: files of janus-core, matcalc and the script, JSON of documents and data of",
    "atomate2 in memory, our SQLite store.",
]

if __name__ == "__main__":
    os.chdir(ROOT)
    main()
