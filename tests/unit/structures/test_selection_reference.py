"""Selection from the paper's 127 MOFs, by features of CHGNet and of a MACE trained here.

Farthest points minimise the covering radius; the mean distance to the nearest chosen structure
they do not, and of some models random sets are better in it.

Data: Elena et al., npj Comput. Mater. 11, 125 (2025), CC BY 4.0.
"""

import random
import subprocess
import sys

import pytest
from ase.build import bulk
from ase.io import write

from mofonon.potentials import PotentialSpec, make_calculator
from mofonon.structures.curate import curate_collection, describe_collection
from mofonon.structures.curation import CurationSettings, readmit
from mofonon.structures.fingerprints import FingerprintSpec
from mofonon.structures.manifest import make_manifest
from mofonon.structures.selection import (
    SelectionSettings,
    compare_with_random,
    in_space,
    select,
)

pytestmark = pytest.mark.slow

ELEMENTS = (
    *("H", "C", "N", "O", "F", "Mg", "Al", "Si", "P", "S", "Cl", "Ti", "Cu", "Zn"),
    *("Ga", "Br", "Sr", "Zr", "Cd", "In", "Sn", "I", "Ce", "Hf"),
)
#: Pores cost most of the time and are tested elsewhere.
CURATION = CurationSettings(min_pore=0)
N_STRUCTURES = 40


@pytest.fixture(scope="session")
def trained_mace(tmp_path_factory):
    """A small MACE of the elements of the paper, trained here on labels of CHGNet."""
    folder = tmp_path_factory.mktemp("mace")
    calculator = make_calculator(PotentialSpec(family="chgnet", dtype="float32"))
    frames = []
    for seed, element in enumerate(ELEMENTS):
        atoms = bulk(element, "fcc", a=4.2, cubic=True)
        atoms.symbols[:2] = "O" if element != "O" else "H"
        atoms.rattle(0.1, seed=seed)
        atoms.calc = calculator
        atoms.info["REF_energy"] = float(atoms.get_potential_energy())
        atoms.arrays["REF_forces"] = atoms.get_forces()
        atoms.calc = None
        frames.append(atoms)
    write(folder / "train.xyz", frames, format="extxyz")
    settings = {
        "name": "small",
        "train_file": "train.xyz",
        "valid_fraction": 0.1,
        "E0s": "average",
        "model": "MACE",
        "hidden_irreps": "16x0e",
        "MLP_irreps": "8x0e",
        "r_max": 4.0,
        "max_ell": 1,
        "correlation": 1,
        "num_interactions": 2,
        "batch_size": 8,
        "max_num_epochs": 10,
        "lr": 0.01,
        "default_dtype": "float32",
        "device": "cpu",
        "seed": 1,
    }
    command = [sys.executable, "-m", "mace.cli.run_train"]
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (folder / "small.model").is_file(), done.stderr[-2000:]
    return folder / "small.model"


@pytest.fixture(scope="module")
def curated(reference_dir, tmp_path_factory):
    source = reference_dir / "curated-127"
    log = tmp_path_factory.mktemp("curated") / "log.jsonl"
    records = curate_collection(source, CURATION, log=log, processes=2)
    prototypes = [record.id for record in records if not record.id.startswith("qmof")]
    prototypes.remove("UiO66ZrCH3")  # its hydrogens overlap
    return source, readmit(records, ["HKUST1"]), tuple(prototypes)


@pytest.fixture(params=["chgnet", "trained"])
def spec(request):
    if request.param == "chgnet":
        return FingerprintSpec.from_name("chgnet")
    return FingerprintSpec.from_name(str(request.getfixturevalue("trained_mace")))


def test_selection_from_the_papers_mofs(curated, spec, tmp_path, monkeypatch):
    source, records, prototypes = curated
    records, descriptors = describe_collection(source, records, spec, processes=2)
    accepted = [record for record in records if record.accepted]
    assert len(accepted) == 125  # without UiO66ZrCH3 and the one with loose H2
    settings = SelectionSettings(n_structures=N_STRUCTURES)

    assert (abs(descriptors[:, 0]).max(axis=0) > 0).any()
    # better than random at equal size, for all seeds
    chosen = select(accepted, descriptors, settings)
    for other in compare_with_random(accepted, descriptors, settings):
        assert chosen.coverage.covering_radius < other.covering_radius
    assert chosen.coverage.n_crystal_systems == 7
    assert chosen.coverage.n_elements == 24

    # another order of the input
    order = random.Random(3).sample(range(len(accepted)), len(accepted))  # noqa: S311
    shuffled = select([accepted[i] for i in order], descriptors[order], settings)
    assert shuffled.choices == chosen.choices

    # fixed members first, and counted
    fixed = settings.model_copy(update={"fixed": prototypes})
    extended = select(accepted, descriptors, fixed)
    assert [choice.id for choice in extended.choices[:18]] == sorted(prototypes)
    assert len({choice.id for choice in extended.choices}) == N_STRUCTURES

    # once more, with another number of processes: from an empty cache all structures, or with
    # CHGNet, which is slow, the smallest, the others from the cache
    few = sorted(range(len(accepted)), key=lambda i: accepted[i].n_atoms)
    if spec.potential.family == "chgnet":
        few = few[:6]
    with monkeypatch.context() as empty:
        empty.setenv("MOFONON_CHECKPOINTS", str(tmp_path / "again"))
        _, rows = describe_collection(source, [accepted[i] for i in few], spec, processes=1)
    assert rows.tobytes() == descriptors[few].tobytes()
    again, rows = describe_collection(source, records, spec, processes=1)
    assert rows.tobytes() == descriptors.tobytes()
    manifests = [
        make_manifest(source, None, CURATION, each, spec, settings, found, [], points)
        for each, found, points in (
            (records, chosen, in_space(descriptors, "all")),
            (again, select(accepted, rows, settings), in_space(rows, "all")),
        )
    ]
    assert manifests[0].model_dump_json() == manifests[1].model_dump_json()
