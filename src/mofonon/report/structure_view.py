"""What the rotating view of a structure shows: atoms, bonds, cell, and modes to animate."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from pymatgen.io.ase import AseAtomsAdaptor

from mofonon.benchmark.phonons import phonopy_of
from mofonon.errors import ComparisonError
from mofonon.lattice.mesh import dynamical_matrix, signed_sqrt
from mofonon.lattice.schemas import PhononDoc
from mofonon.report.curves import bands_of, origin_of
from mofonon.report.markup import Html, join, tag
from mofonon.report.palette import element_colours
from mofonon.report.payload import script_safe, shades

#: Atoms nearer than this multiple of their covalent radii are bonded.
BOND_TOLERANCE = 1.2

#: Most bytes of eigenvectors on a page for one structure; the lowest modes are kept.
MOST_BYTES = 600_000

_DIGITS = 3


def view_data(doc: PhononDoc) -> str:
    """JSON of the view of a structure, safe inside a script element.

    Displacements of a mode are e exp(i q r) / sqrt(m), real and imaginary parts as bytes, the
    largest of a mode being 127.
    """
    atoms = AseAtomsAdaptor.get_atoms(doc.structure, msonable=False)
    atoms.wrap()
    symbols = atoms.get_chemical_symbols()
    elements = list(dict.fromkeys(symbols))
    colours = element_colours(elements)
    numbers = [symbols.index(element) for element in elements]
    radii = covalent_radii[atoms.numbers]
    first, vectors = neighbor_list("iD", atoms, list(BOND_TOLERANCE * radii))
    content = {
        "elements": [
            {
                "name": element,
                "colour": shades(colours[element]),
                "radius": round(float(radii[number]), 2),
            }
            for element, number in zip(elements, numbers, strict=True)
        ],
        "kinds": [elements.index(symbol) for symbol in symbols],
        "positions": np.round(atoms.positions, _DIGITS).ravel().tolist(),
        "cell": np.round(atoms.cell.array, _DIGITS).ravel().tolist(),
        "bonds": [first.tolist(), np.round(vectors, 2).ravel().tolist()],
        "points": _points(doc),
    }
    return script_safe(json.dumps(content, ensure_ascii=True, separators=(",", ":")))


def view(anchor: str, label: str, doc: PhononDoc) -> Html:
    """Make the figure of the view, without its numbers.

    Parameters
    ----------
    anchor : str
        Id of the section.
    label : str
        Name of the structure.
    doc : PhononDoc
        Its document.
    """
    ident = f"{anchor}-view"
    canvas = tag(
        "canvas",
        "",
        class_="view",
        id=ident,
        data_source=f"view-{anchor}",
        data_bands=f"data-{anchor}",
        tabindex=0,
        role="img",
        aria_label=f"Structure of {label}, rotating; arrow keys turn it",
        aria_describedby=f"{ident}-text",
    )
    buttons = tag("button", "Rotate", type="button", class_="rotate", aria_pressed="true")
    point = tag("label", join(("Point ", tag("select", "", class_="point"))))
    mode = tag("label", join(("Mode ", tag("select", "", class_="mode"))))
    controls = tag("div", join((buttons, point, mode)), class_="controls", hidden="")
    words = (
        f"{len(doc.structure)} atoms in the cell, {origin_of(doc)}. Drag or use the "
        "arrow keys to turn it. A mode of a point of the path is animated when it is chosen "
        "here, or when its band is clicked there in the figure below; its amplitude is not to "
        "scale."
    )
    caption = tag("figcaption", words, id=f"{ident}-text")
    return tag("figure", join((controls, canvas, caption)), class_="structure-view")


def _points(doc: PhononDoc) -> list[dict[str, Any]]:
    """Modes at the named points of the path; none where force constants do not fit."""
    try:
        phonon = phonopy_of(doc)
    except ComparisonError:
        return []
    bands = bands_of(doc)
    ends: dict[str, NDArray[np.float64]] = {}
    for (start, end), qpoints in zip(bands.labels, bands.qpoints, strict=True):
        ends.setdefault(start, qpoints[0])
        ends.setdefault(end, qpoints[-1])
    cell = phonon.primitive
    n_bands = 3 * len(cell)
    most = max(3, min(n_bands, MOST_BYTES // (2 * n_bands * len(ends))))
    wrapped = cell.scaled_positions - np.floor(cell.scaled_positions)
    found = []
    for name, q in ends.items():
        matrix = dynamical_matrix(phonon, (float(q[0]), float(q[1]), float(q[2])))
        eigenvalues, vectors = np.linalg.eigh((matrix + matrix.conj().T) / 2)
        phases = np.exp(2j * np.pi * wrapped @ q) / np.sqrt(cell.masses)
        eigenvectors = np.asarray(vectors.T[:most], dtype=np.complex128)
        moves = eigenvectors.reshape(most, -1, 3) * phases[None, :, None]
        found.append(
            {
                "name": name,
                "frequencies": np.round(signed_sqrt(eigenvalues[:most]), 4).tolist(),
                "moves": _bytes(moves),
            }
        )
    return found


def _bytes(moves: NDArray[np.complex128]) -> str:
    """Base64 of signed bytes, shape (n_modes, n_atoms, 3, 2), real part then imaginary."""
    largest = np.abs(moves).max(axis=(1, 2), keepdims=True)
    parts = np.stack([moves.real, moves.imag], axis=-1) / largest[..., None]
    return base64.b64encode(np.rint(127 * parts).astype(np.int8).tobytes()).decode("ascii")
