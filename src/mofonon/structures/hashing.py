"""An identity for structures that is the same on every platform."""

from __future__ import annotations

import hashlib

import numpy as np
from pymatgen.core import Structure

from mofonon.errors import DisorderedStructureError, StructureError

HASH_RESOLUTION = 1e-10
"""Step to which lattice vectors (A) and fractional coordinates are rounded."""


def structure_hash(structure: Structure) -> str:
    """SHA-256 over lattice vectors, elements and fractional coordinates, in their order.

    Hashed are, in this order: the ASCII text ``mofonon structure 1``, a line feed, the element
    symbols joined by commas, a line feed, the lattice matrix (rows are vectors) and the
    fractional coordinates. Numbers are divided by `HASH_RESOLUTION`, rounded half to even,
    and written as little-endian 64-bit integers, the coordinates modulo one cell. So numbers
    that differ by less than the resolution hash alike (unless they lie on either side of a
    rounding boundary), and -0.25 is 0.75. Another order of atoms, origin or setting of the cell
    is another hash: results such as force constants are not interchangeable between them.
    Site properties are not hashed.

    Parameters
    ----------
    structure : Structure
        Ordered.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    DisorderedStructureError
        Sites are partially occupied.
    StructureError
        Values are not finite numbers.
    """
    if not structure.is_ordered:
        raise DisorderedStructureError(
            "A disordered structure has no hash.", "Give every site one element."
        )
    lattice, fractional = structure.lattice.matrix, structure.frac_coords
    if not (np.isfinite(lattice).all() and np.isfinite(fractional).all()):
        raise StructureError(
            "The cell or the positions have values that are not finite numbers.",
            "Check the cell parameters and positions.",
        )
    steps = round(1 / HASH_RESOLUTION)
    wrapped = fractional - np.floor(fractional)
    digest = hashlib.sha256(b"mofonon structure 1\n")
    digest.update(",".join(site.specie.symbol for site in structure).encode() + b"\n")
    digest.update(np.rint(lattice * steps).astype("<i8").tobytes())
    digest.update((np.rint(wrapped * steps).astype("<i8") % steps).astype("<i8").tobytes())
    return digest.hexdigest()
