"""Time and memory of farthest-point sampling, against skmatter and fpsample.

    python benchmarks/farthest_points.py                         # 500 of 20,000 x 256
    python benchmarks/farthest_points.py --points 1000000 --samples 2000
    python benchmarks/farthest_points.py --peers /path/to/venv/bin/python

Descriptors are clusters with noise, as those of frames of many MOFs are; float32. The peers
(``pip install skmatter fpsample``) live in an environment of their own and start from the same
point; where they choose the same points, it says so. CPU time is what counts on a machine that
is shared.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "2")

import argparse
import json
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PEER = """
import json, resource, sys, time
import numpy as np
library, path, n_samples, start = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
points = np.load(path)
begin, cpu = time.perf_counter(), time.process_time()
if library == "skmatter":
    from skmatter.sample_selection import FPS
    selector = FPS(n_to_select=n_samples, initialize=start)
    chosen = selector.fit(points).selected_idx_
else:
    import fpsample
    chosen = fpsample.fps_sampling(points, n_samples, start_idx=start)
seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
found = {"seconds": seconds, "cpu": cpu, "memory": memory}
print(json.dumps(found | {"chosen": [int(i) for i in chosen]}))
"""


def make_points(n_points: int, n_features: int, seed: int = 0) -> np.ndarray:
    """Clusters of unequal size with noise, float32, made block by block."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((200, n_features)).astype(np.float32) * 3
    share = generator.dirichlet(np.full(200, 0.5))
    points = np.empty((n_points, n_features), dtype=np.float32)
    for begin in range(0, n_points, 50_000):
        block = points[begin : begin + 50_000]
        block[:] = generator.standard_normal(block.shape, dtype=np.float32)
        block += centres[generator.choice(200, len(block), p=share)]
    return points


def ours(points: np.ndarray, n_samples: int) -> dict[str, Any]:
    """Run ours, from the first row as the peers do."""
    from mofonon.structures.farthest_point import farthest_point_sampling

    begin, cpu = time.perf_counter(), time.process_time()
    found = farthest_point_sampling(points, n_samples, start=0)
    return {
        "seconds": time.perf_counter() - begin,
        "cpu": time.process_time() - cpu,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "chosen": found.indices.tolist(),
        "covering_radius": found.covering_radius,
    }


def line(name: str, run: dict[str, Any]) -> str:
    """Write wall and CPU time (s) and peak memory (GB)."""
    return (
        f"{name:9s} {run['seconds']:8.1f} s  CPU {run['cpu']:8.1f} s  "
        f"peak {run['memory']:6.2f} GB"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--peers", help="Python of an environment with skmatter and fpsample")
    options = parser.parse_args()
    points = make_points(options.points, options.features)
    gigabytes = points.nbytes / 1e9
    print(f"{options.samples} of {options.points} x {options.features} float32 "
          f"({gigabytes:.2f} GB)")  # fmt: skip
    mine = ours(points, options.samples)
    print(f"{line('mofonon', mine)}  covering radius {mine['covering_radius']:.4f}", flush=True)
    if not options.peers:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        np.save(path, points)
        for library in ("fpsample", "skmatter"):
            command = [options.peers, "-c", PEER, library, str(path)]
            done = subprocess.run(  # noqa: S603
                [*command, str(options.samples), "0"],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
                print(f"{library:9s} failed: {reason[0][:100]}", flush=True)
                continue
            peer = json.loads(done.stdout.splitlines()[-1])
            same = sum(a == b for a, b in zip(peer["chosen"], mine["chosen"], strict=True))
            order = f"{same} of {options.samples} the same, in order"
            print(f"{line(library, peer)}  {order}", flush=True)


if __name__ == "__main__":
    main()
