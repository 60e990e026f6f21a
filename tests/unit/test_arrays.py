"""The array codec: round trips, integrity, and what it refuses."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monty.json import MontyDecoder, MontyEncoder

from mofonon.arrays import EncodedArray
from mofonon.errors import ArrayCodecError

_DTYPES = (
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.integer_dtypes(endianness="?")
    | hnp.complex_number_dtypes(sizes=(64, 128))
    | hnp.boolean_dtypes()
)


@given(
    _DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))
)
def test_any_numeric_array_comes_back_bit_for_bit(array):
    back = EncodedArray.encode(array).decode()
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    assert back.tobytes() == array.astype(back.dtype).tobytes()


@given(st.integers(0, 2**31))
def test_json_round_trip(seed):
    array = np.random.default_rng(seed).normal(size=(3, 4, 5))
    encoded = EncodedArray.encode(array)
    text = json.dumps(encoded, cls=MontyEncoder)
    back = json.loads(text, cls=MontyDecoder)
    assert back == encoded
    assert np.array_equal(back.decode(), array)


def test_non_contiguous_and_transposed_arrays():
    array = np.arange(60.0).reshape(3, 4, 5)[:, ::2, ::-1].T
    assert np.array_equal(EncodedArray.encode(array).decode(), array)


def test_the_decoded_array_can_be_written_to():
    array = EncodedArray.encode(np.zeros(3)).decode()
    array[0] = 1.0
    assert array[0] == 1.0


@pytest.mark.parametrize("array", [np.array([object()]), np.array(["text"])])
def test_non_numeric_arrays_are_refused(array):
    with pytest.raises(ArrayCodecError, match="cannot be stored"):
        EncodedArray.encode(array)


def test_an_object_dtype_is_never_decoded():
    encoded = EncodedArray.encode(np.zeros(1))
    encoded.dtype = "|O"
    with pytest.raises(ArrayCodecError, match="names the dtype"):
        encoded.decode()


def _flip(text: str) -> str:
    middle = len(text) // 2
    return text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda e: setattr(e, "data", _flip(e.data)),
        lambda e: setattr(e, "data", e.data[: len(e.data) // 2]),
        lambda e: setattr(e, "data", "?"),
        lambda e: setattr(e, "sha256", "0" * 64),
        lambda e: setattr(e, "shape", [7]),
    ],
)
def test_damage_is_noticed(damage):
    encoded = EncodedArray.encode(np.random.default_rng(0).normal(size=100))
    damage(encoded)
    with pytest.raises(ArrayCodecError, match=r"damaged|checksum"):
        encoded.decode()


def test_force_constants_are_compressed():
    """Most force constants of a framework vanish beyond the cutoff of the potential."""
    values = np.random.default_rng(0).normal(size=(4, 500, 3, 3))
    values[:, 100:] = 0.0
    encoded = EncodedArray.encode(values)
    assert encoded.n_bytes < 0.3 * values.nbytes
