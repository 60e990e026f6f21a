"""Array codec: numpy arrays as one compressed, checksummed string in a document.

jobflow turns a numpy array in a job's output into nested lists and walks every number,
about one second for each 90,000 of them. An :class:`EncodedArray` is a single string to
jobflow, survives JSON, BSON and SQLite alike, and comes back bit for bit.

Put ``data=[EncodedArray]`` in the ``@job`` decorator and every encoded array of the output
goes to the ``data`` store of the JobStore, whichever field it is in.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import numpy as np
from monty.json import MSONable
from numpy.typing import ArrayLike, NDArray

from mofonon.errors import ArrayCodecError

#: Kinds of dtype that have one meaning on every machine: no objects, no pickles.
ALLOWED_KINDS = "biufc"

_COMPRESSION_LEVEL = 1


class EncodedArray(MSONable):
    """A numpy array as compressed text: shape, dtype, bytes and their sha256.

    The bytes of equal significance are grouped before compression (the shuffle filter of
    HDF5), which halves the size of floating-point data with similar exponents.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    dtype : str
        dtype with byte order, such as ``<f8``.
    data : str
        Base64 of the zlib-compressed, shuffled bytes in C order.
    sha256 : str
        Hex digest of the uncompressed, unshuffled bytes.
    """

    def __init__(self, shape: list[int], dtype: str, data: str, sha256: str) -> None:
        self.shape = [int(length) for length in shape]
        self.dtype = dtype
        self.data = data
        self.sha256 = sha256

    @classmethod
    def encode(cls, array: ArrayLike) -> EncodedArray:
        """Encode an array.

        Parameters
        ----------
        array : array_like
            Any array of booleans, integers, floats or complex numbers.

        Raises
        ------
        ArrayCodecError
            For a dtype that is not numeric.
        """
        values = np.asarray(array, order="C")
        if values.dtype.kind not in ALLOWED_KINDS:
            raise ArrayCodecError(
                f"an array of dtype {values.dtype} cannot be stored",
                "convert it to a numeric dtype first",
            )
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        raw = values.tobytes()
        shuffled = np.frombuffer(raw, np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()
        return cls(
            shape=list(values.shape),
            dtype=values.dtype.str,
            data=base64.b64encode(zlib.compress(shuffled, _COMPRESSION_LEVEL)).decode("ascii"),
            sha256=hashlib.sha256(raw).hexdigest(),
        )

    def decode(self) -> NDArray[Any]:
        """Return the array, checked against its sha256.

        Raises
        ------
        ArrayCodecError
            When the data are damaged or do not fit shape and dtype.
        """
        dtype = np.dtype(self.dtype)
        if dtype.kind not in ALLOWED_KINDS:
            raise ArrayCodecError(
                f"an encoded array names the dtype {self.dtype}",
                "it was changed, or not written by mofonon: --rerun computes it again",
            )
        try:
            shuffled = zlib.decompress(base64.b64decode(self.data, validate=True))
            raw = np.frombuffer(shuffled, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
            values = np.frombuffer(raw, dtype).reshape(self.shape).copy()
        except (ValueError, zlib.error) as error:
            raise ArrayCodecError(
                f"an encoded array of shape {tuple(self.shape)} is damaged: {error}",
                "compute the document again (--rerun) or restore the store from a backup",
            ) from error
        if hashlib.sha256(raw).hexdigest() != self.sha256:
            raise ArrayCodecError(
                f"an encoded array of shape {tuple(self.shape)} fails its checksum",
                "compute the document again (--rerun) or restore the store from a backup",
            )
        return values

    @property
    def n_bytes(self) -> int:
        """Length of the stored text (bytes)."""
        return len(self.data)

    def __repr__(self) -> str:
        return f"EncodedArray(shape={tuple(self.shape)}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        """Equal when shape, dtype and contents are."""
        return isinstance(other, EncodedArray) and (
            (self.shape, self.dtype, self.sha256) == (other.shape, other.dtype, other.sha256)
        )

    def __hash__(self) -> int:
        return hash((tuple(self.shape), self.dtype, self.sha256))
