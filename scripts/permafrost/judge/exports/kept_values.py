"""Arrays in a file: what one of the judge's processes computed, for the next one to compare with."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Arrays = list[NDArray[Any]]


class _Array(msgspec.Struct, array_like=True):
    """An array. content: its bytes in C order; strings: its elements, where it has objects."""

    dtype: str
    shape: list[int]
    content: bytes = b""
    strings: list[bytes] = []


def write(path: str | Path, trials: list[Arrays]) -> None:
    """Writes the arrays of each trial to `path`. Strings are objects of bytes. Raises OSError."""
    Path(path).write_bytes(msgspec.msgpack.encode([[_packed(array) for array in arrays] for arrays in trials]))


def read(path: str | Path) -> list[Arrays]:
    """What `write` wrote. Raises OSError, and ValueError where the file holds anything else."""
    packed = msgspec.msgpack.decode(Path(path).read_bytes(), type=list[list[_Array]])
    return [[_unpacked(array) for array in arrays] for arrays in packed]


def _packed(array: NDArray[Any]) -> _Array:
    shape = list(array.shape)
    if array.dtype.kind == "O":
        return _Array("string", shape, strings=list(map(bytes, array.reshape(-1))))
    return _Array(tf.as_dtype(array.dtype).name, shape, np.ascontiguousarray(array).tobytes())


def _unpacked(packed: _Array) -> NDArray[Any]:
    if packed.dtype == "string":
        strings = np.empty(len(packed.strings), object)
        strings[:] = packed.strings
        return strings.reshape(packed.shape)
    try:
        dtype = tf.as_dtype(packed.dtype).as_numpy_dtype
    except TypeError as error:
        raise ValueError(f"{packed.dtype!r} is no dtype") from error
    return np.frombuffer(packed.content, dtype).reshape(packed.shape)
