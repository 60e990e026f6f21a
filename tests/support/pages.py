"""Readers' folders for the shell blocks of the documentation: what each page takes as given.

A page names what its reader has: CIF files, a data set, a model, ids of documents, a GPU, a
cluster. Here each is put in place, small: every structure is Zn(CN)2 whatever the page calls
it, every model the demo model. What must be written otherwise is in ``Reader.replaced``, and
nothing else is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ase.io
import numpy as np

from support.labelled import write_dataset
from support.reference import reference_folder

REPOSITORY = Path(__file__).parents[2]
DOCUMENTATION = [
    "README.md",
    *sorted(
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "docs").rglob("*.md")
        if "_build" not in path.parts
    ),
]
SHIPPED = Path("src", "mofonon", "data", "structures")
NEWEST_MODEL = """$(mofonon model list --json | python -c 'import json, sys
print(json.load(sys.stdin)[0]["sha256"])')"""
DEMO_MODEL = REPOSITORY / "src" / "mofonon" / "data" / "demo.model"
SMALL = REPOSITORY / SHIPPED / "Zn(CN)2.cif"


def blocks(language: str) -> list[tuple[str, str]]:
    """Code blocks of the documentation in a language, each with its page."""
    pattern = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [
        (page, block)
        for page in DOCUMENTATION
        for block in pattern.findall((REPOSITORY / page).read_text())
    ]


@dataclass
class Reader:
    """Somebody at a shell, in a folder that looks like a clone of the repository."""

    folder: Path
    environment: dict[str, str]
    replaced: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("tests", "configs"):
            (self.folder / name).symlink_to(REPOSITORY / name)
        for name in ("workflows", "docs/examples"):
            shutil.copytree(REPOSITORY / name, self.folder / name)
        self.cif(SHIPPED / SMALL.name)

    def cif(self, name: str | Path) -> Path:
        """Put the small structure under a name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SMALL, path)
        return path

    def run(self, block: str, seconds: float = 600) -> str:
        """Run a block as a shell script that stops at the first error; its output."""
        for written, meant in self.replaced.items():
            block = block.replace(written, meant)
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", block],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, (
            f"{block}\nexited with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def ask(self, command: str) -> dict:
        """Answer of a command that speaks JSON."""
        return json.loads(self.run(command))


# --- what each page takes as given -------------------------------------------------------


def _phonons(reader: Reader, name: str) -> str:
    """Id of a phonon document of the small structure."""
    quick = "--mesh 3 3 3 --supercell 1 1 1 --dos-pitch 0.1"
    return reader.ask(f"mofonon phonons {name} --model demo {quick} --json")["document_id"]


def comparison(reader: Reader) -> None:
    cif = reader.cif("MOF-5.cif")
    atoms = ase.io.read(cif)
    ase.io.write(reader.folder / "MOF-5.extxyz", atoms)
    from pymatgen.io.ase import AseAtomsAdaptor

    AseAtomsAdaptor.get_structure(atoms).to(str(reader.folder / "MOF-5.json"))
    grid = np.linspace(0, 80, 801)
    dos = np.column_stack([grid, np.exp(-((grid - 10) ** 2))])
    np.savetxt(reader.folder / "total_dos.dat", dos)
    reader.replaced["3f2a91c0"] = _phonons(reader, "MOF-5.cif")
    bulk = reader.ask("mofonon bulk-modulus MOF-5.cif --model demo --n-points 5 --json")
    reader.replaced["81d0be42"] = bulk["document_id"]
    write_dataset(reader.folder / "frames", (4, 2, 4))
    for name in ("before", "after"):
        reader.run(f"mofonon evaluate demo -f test=frames/test.extxyz --json > {name}.json")


def datasets(reader: Reader) -> None:
    write_dataset(reader.folder / "frames", (8, 6, 2))
    shutil.copy(reader.folder / "frames" / "train.extxyz", reader.folder / "labels.xyz")
    atoms = ase.io.read(SMALL)
    for name, strain in (("A", 0.0), ("B", 0.01), ("C", 0.02)):  # a split by MOF needs three
        atoms.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
        ase.io.write(reader.folder / f"{name}.cif", atoms)
    reader.run("mofonon label A.cif B.cif C.cif --what static")
    (reader.folder / "E0s.json").write_text(json.dumps({"C": -1.3, "N": -3.1, "Zn": -0.2}))
    older = reader.ask("mofonon dataset build frames/valid.extxyz --name mofs --json")
    reader.replaced |= {"4dc9e854": older["document_id"][:8], "medium-0b": "demo"}


def paper(reader: Reader) -> None:
    (reader.folder / "workflows" / "curated-127").symlink_to(reference_folder() / "curated-127")
    cache = reader.folder / ".cache"
    (cache / "mace").mkdir(parents=True)
    # in the place of MACE-MP-0b medium, under the name that mace gives it
    shutil.copy(DEMO_MODEL, cache / "mace" / "mace_agnesi_mediummodel")
    reader.environment["XDG_CACHE_HOME"] = str(cache)


def vasp(reader: Reader) -> None:
    reader.cif(SHIPPED / "Zn-MOF-74.cif")


def labels(reader: Reader) -> None:
    reader.cif("MOF-5.cif")
    reader.cif("UiO-66.cif")


def _new(reader: Reader, folder: str) -> None:
    """A structure that passes the filters of a selection: the small one has no hydrogen."""
    (reader.folder / folder).mkdir()
    shutil.copy(REPOSITORY / SHIPPED / "Zn-MOF-74.cif", reader.folder / folder)


def selection(reader: Reader) -> None:
    with zipfile.ZipFile(reader.folder / "qmof.zip", "w") as archive:
        for path in sorted((REPOSITORY / SHIPPED).glob("*.cif")):
            archive.write(path, path.name)
    _new(reader, "new-cifs")
    (reader.folder / "qmof.csv").write_text("name\nZn(CN)2\nMOF-5\nZn-MOF-74\n")
    reader.replaced |= {"medium-0b": "demo", "--number 127": "--number 2"}


def coverage(reader: Reader) -> None:
    shutil.copytree(REPOSITORY / SHIPPED, reader.folder / "all")
    reader.run("mofonon select all --model demo --number 2 -o selection")
    for folder in ("new-cifs", "NEW-CIFS"):
        _new(reader, folder)
    write_dataset(reader.folder / "old", (6, 2, 2))
    old = reader.ask("mofonon dataset build old/train.extxyz --name old --json")
    path = reader.folder / "workflows" / "extend.yaml"
    text = path.read_text().replace("ID-OF-THE-OLD-DATASET", old["document_id"])
    # old labels and teacher are other methods: the extension shall be better on the new frames,
    # whatever it is on the old ones
    text = text.replace("tolerance: 0.05", "tolerance: 1000")
    text = text.replace("{model: demo, dispersion: d3bj}", "{model: chgnet}")
    path.write_text(text.replace("max_epochs: 8", "max_epochs: 20"))


def training(reader: Reader) -> None:
    write_dataset(reader.folder / "dataset", (8, 2, 2))
    shutil.copy(reader.folder / "dataset" / "replay.extxyz", reader.folder / "mptrj.extxyz")
    reader.cif("MOF-5.cif")
    reader.replaced |= {
        "finetune dataset/": "finetune dataset/ --foundation demo --max-epochs 2 "
        "--batch-size 2",
        "--n-replay 10000 --device cuda": "--n-replay 4",
        "medium-0b": "demo",
        "sha256:0123456789ab": f"sha256:{NEWEST_MODEL}",
    }


def expansion(reader: Reader) -> None:
    from support.closed_forms import grueneisen_crystal

    ase.io.write(reader.folder / "MOF-5.cif", grueneisen_crystal(1)[0])
    reader.replaced |= {
        "my.model": "support.closed_forms:expanding_crystal --no-relax --supercell 1 1 1 "
        "--ensemble npt-isotropic --time-step 4 --interval 2 --thermostat-time 50 "
        "--barostat-time 100 --min-effective-samples 4",
        "200,300,400 --steps 100000": "200,600 --steps 150",
    }


def stores(reader: Reader) -> None:
    reader.replaced["1f6c0a2b"] = _phonons(reader, f"'{SHIPPED / SMALL.name}'")[:8]


def reports(reader: Reader) -> None:
    _phonons(reader, f"'{SHIPPED / SMALL.name}'")
    (reader.folder / "my.mplstyle").write_text("axes.grid: True\n")
    # it serves until it is interrupted
    reader.replaced["mofonon serve"] = (
        "timeout --signal=INT 10 mofonon serve || test $? -le 124"
    )


def nothing(_: Reader) -> None:
    pass


PAGES: dict[str, Callable[[Reader], None]] = {
    "README.md": nothing,
    "docs/comparison.md": comparison,
    "docs/datasets.md": datasets,
    "docs/expansion-md.md": expansion,
    "docs/how-to/campaigns.md": coverage,
    "docs/how-to/extend.md": coverage,
    "docs/how-to/own-cifs.md": nothing,
    "docs/how-to/reproduce-the-paper.md": paper,
    "docs/how-to/vasp.md": vasp,
    "docs/labels.md": labels,
    "docs/quickstart.md": nothing,
    "docs/relaxation.md": nothing,
    "docs/reports.md": reports,
    "docs/selection.md": selection,
    "docs/stores.md": stores,
    "docs/training.md": training,
}
#: Lines that are not run here, and why.
NOT_RUN = {
    "make demo": "longer than all others together; seen before each release",
    "make test": "runs this test",
}
