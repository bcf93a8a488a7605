"""Makes arrays from the descriptions of a model's inputs, the same ones each time."""

import hashlib
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from permafrost import input_kinds as kinds
from permafrost.graph import dtypes
from permafrost.outcome import Problem
from permafrost.signature import string_feeds

_NUMBERS = "biufc"  # kinds of numpy's dtypes


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The numpy dtype of a TensorFlow dtype name such as `float32`, `bfloat16`, `bool` or `string` (object).

    Raises Problem (bad_feed) for one that numpy cannot hold.
    """
    try:
        return dtypes.numpy_dtype(name)
    except TypeError as error:
        raise Problem("bad_feed", f"an input of dtype {name} cannot be fed") from error


def has_batch(specs: Mapping[str, kinds.Input]) -> bool:
    """Whether one of the described inputs has an unknown dimension, which a trial's batch size fills."""
    return any(None in (spec.shape or ()) for spec in specs.values())


def make(
    specs: Mapping[str, kinds.Input], seed: int, batch: int, base_directory: str | Path
) -> dict[str, NDArray[Any]]:
    """The arrays to feed in one trial, by tensor name; those of kind Default are left out.

    An array depends on its description, its name, `seed` and `batch` alone, so that a trial can be repeated by itself.
    Unknown dimensions (None) become `batch`. Strings are object arrays of bytes.

    Args:
      base_directory: where relative paths of files are looked up.
    Raises Problem (bad_feed) for a file, key, dtype, shape or value that does not fit.
    """
    made = {}
    for name, spec in specs.items():
        if not isinstance(spec, kinds.Default):
            try:
                made[name] = _make(name, spec, seed, batch, Path(base_directory))
            except (ValueError, TypeError, OverflowError, MemoryError, RuntimeError, zlib.error) as error:
                raise Problem(
                    "bad_feed", f"input {name} cannot be made: {str(error) or type(error).__name__}"
                ) from error
    return made


def _make(name: str, spec: kinds.Fed, seed: int, batch: int, directory: Path) -> NDArray[Any]:
    dtype, shape = numpy_dtype(spec.dtype), _filled(spec.shape or [], batch)
    match spec:
        case kinds.File():
            return _from_file(name, spec, dtype, directory)
        case kinds.Value():
            return _from_value(name, spec, dtype, shape)
        case kinds.Sizes():
            return np.asarray(_filled(spec.size, batch)).astype(dtype).reshape(shape)
        case kinds.Strings():
            return string_feeds.make(spec.content, _generator(name, seed), shape)
        case kinds.Indices():
            return _indices(_generator(name, seed), _filled(spec.size, batch), batch).astype(dtype)
        case kinds.RowSplits():
            return _row_splits(_generator(name, seed), batch).astype(dtype)
        case kinds.Integers():
            return np.asarray(_integers(name, spec, _generator(name, seed), shape, batch)).astype(dtype)
        case kinds.OneHot():
            return _one_hot(_generator(name, seed), shape).astype(dtype)
        case kinds.State():
            numbers = _generator(name, seed).uniform(-1, 1, shape)
            return np.zeros(shape, dtype) if seed % 2 else np.asarray(numbers).astype(dtype)
        case kinds.Uniform():
            return np.asarray(_uniform(spec, _generator(name, seed), dtype, shape)).astype(dtype)
        case _:
            assert_never(spec)


def _filled(shape: kinds.Shape, batch: int) -> tuple[int, ...]:
    return tuple(batch if size is None else size for size in shape)


def _generator(name: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def _integers(
    name: str, spec: kinds.Integers, generator: np.random.Generator, shape: tuple[int, ...], batch: int
) -> NDArray[Any] | int:
    # An open end stands for lengths, which go as far as the unknown dimensions do.
    high = batch + 1 if spec.high is None else spec.high
    if high <= spec.low:
        raise Problem("bad_feed", f"input {name}: no integer is at least {spec.low} and below {high}")
    return generator.integers(spec.low, high, size=shape)


def _uniform(
    spec: kinds.Uniform, generator: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> NDArray[Any] | float | complex:
    low, high = spec.low, spec.high
    values = low + (high - low) * generator.random(shape)
    if dtype.kind != "c":
        return values
    return values + 1j * (low + (high - low) * generator.random(shape))


def _one_hot(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    if not shape or not shape[-1]:
        raise ValueError(f"no row of shape {list(shape)} has a place for a 1")
    return np.asarray(np.arange(shape[-1]) == generator.integers(shape[-1], size=(*shape[:-1], 1)))


def _indices(generator: np.random.Generator, sizes: tuple[int, ...], count: int) -> NDArray[Any]:
    """The indices of `count` entries of a sparse tensor ([count, rank]), in order; one in each row."""
    if count > sizes[0]:
        raise ValueError(f"{count} entries do not fit into {sizes[0]} rows")
    return np.stack([np.arange(count), *(generator.integers(0, size, size=count) for size in sizes[1:])], axis=1)


def _row_splits(generator: np.random.Generator, count: int) -> NDArray[Any]:
    """The row splits ([count + 1]) of `count` rows that have `count` values in all."""
    return np.array([0, *sorted(generator.integers(0, count + 1, size=count - 1)), count])


def _from_value(name: str, spec: kinds.Value, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    value = spec.value
    try:
        if dtype.kind == "O":
            array = np.array(value, dtype=object)
            array = np.vectorize(_as_bytes, otypes=[object])(array) if array.size else array
        else:
            if np.asarray(value).dtype.kind not in _NUMBERS:
                raise ValueError(f"{value!r} is not a number")
            array = _cast(value, dtype)
        if spec.shape is not None:
            array = np.broadcast_to(array, shape).copy()
    except (ValueError, TypeError, OverflowError) as error:
        raise Problem("bad_feed", f"input {name} ({spec.dtype}, shape {list(shape)}): {error}") from error
    return np.asarray(array)


def _cast(value: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A value as the array that TensorFlow's own sessions feed of it: another dtype is cast, and fractions are cut off.

    Source: BaseSession._run in tensorflow/python/client/session.py, and np_asarray in numpy_compat.py of
    tensorflow/python/util. Raises ValueError for an integer, not one in a list, that the dtype cannot hold.
    """
    with np.errstate(invalid="ignore", over="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        if isinstance(value, int) and dtype.type(np.array(value).astype(dtype)) != value:
            raise ValueError(f"{value!r} does not fit")
        return np.asarray(value).astype(dtype)


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _from_file(name: str, spec: kinds.File, dtype: np.dtype[Any], directory: Path) -> NDArray[Any]:
    path = directory / spec.file
    try:
        # Unpickling would run code of whoever made the file.
        with np.load(path, allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("not an .npz file")
            key = spec.key or _only_key(name, arrays.files)
            if key not in arrays.files:
                raise ValueError(f"it has {', '.join(arrays.files) or 'no arrays'}, but not {key!r}")
            array = arrays[key]
    except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise Problem("bad_feed", f"input {name}: {path}: {text}") from error
    if dtype.kind == "O" and array.dtype.kind in "SU":
        array = np.vectorize(_as_bytes, otypes=[object])(array) if array.size else array.astype(object)
    elif dtype.name == "bfloat16" and array.dtype.itemsize == 2 and array.dtype.kind == "V":
        array = array.view(dtype)
    if array.dtype != dtype:
        if array.dtype.kind not in _NUMBERS or dtype.kind == "O":
            raise Problem("bad_feed", f"input {name} is {spec.dtype}, but {path} has {array.dtype} under {key!r}")
        array = _cast(array, dtype)
    wanted = spec.shape
    if wanted is not None and (
        len(wanted) != array.ndim or any(w not in (None, a) for w, a in zip(wanted, array.shape, strict=True))
    ):
        raise Problem("bad_feed", f"input {name} has shape {wanted}, but {path} has {list(array.shape)} under {key!r}")
    return array


def _only_key(name: str, keys: list[str]) -> str:
    node = name.rpartition(":")[0]
    for candidate in (name, node, node.rpartition("/")[2]):
        if candidate in keys:
            return candidate
    return keys[0] if len(keys) == 1 else node
