"""Makes arrays from the descriptions of a model's inputs, the same ones each time."""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from permafrost.graph import dtypes
from permafrost.outcome import Problem
from permafrost.signature import string_feeds


def numpy_dtype(name: str) -> np.dtype:
    """The numpy dtype of a TensorFlow dtype name such as `float32`, `bfloat16`, `bool` or `string` (object).

    Raises Problem (bad_feed) for one that numpy cannot hold.
    """
    try:
        return dtypes.numpy_dtype(name)
    except TypeError as error:
        raise Problem("bad_feed", f"an input of dtype {name} cannot be fed") from error


def has_batch(specs: dict[str, dict]) -> bool:
    """Whether one of the described inputs has an unknown dimension, which a trial's batch size fills."""
    return any(None in (spec.get("shape") or ()) for spec in specs.values())


def make(specs: dict[str, dict], seed: int, batch: int, base_directory: str | Path) -> dict[str, np.ndarray]:
    """The arrays to feed in one trial, by tensor name; inputs of kind `default` are left out.

    An array depends on its description, its name, `seed` and `batch` alone, so that a trial can be repeated by itself.
    Unknown dimensions (None) become `batch`. Strings are object arrays of bytes.

    Args:
      specs: tensor name -> description, as signature.inputs.describe gives it.
      base_directory: where relative paths of files are looked up.
    Raises Problem (bad_feed) for a file, key, dtype, shape or value that does not fit.
    """
    made = {}
    for name, spec in specs.items():
        if spec["kind"] != "default":
            try:
                made[name] = _make(name, spec, seed, batch, Path(base_directory))
            except (ValueError, TypeError, OverflowError, MemoryError, RuntimeError, zlib.error) as error:
                raise Problem(
                    "bad_feed", f"input {name} cannot be made: {str(error) or type(error).__name__}"
                ) from error
    return made


def _make(name: str, spec: dict, seed: int, batch: int, directory: Path) -> np.ndarray:
    dtype = numpy_dtype(spec["dtype"])
    shape = tuple(batch if size is None else size for size in spec.get("shape") or ())
    kind = spec["kind"]
    if kind == "file":
        return _from_file(name, spec, dtype, directory)
    if kind == "value":
        return _from_value(name, spec, dtype, shape)
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "little"))
    if kind == "strings":
        return string_feeds.make(spec.get("content") or {"form": "words"}, generator, shape)
    if kind in ("indices", "sizes"):
        sizes = [batch if size is None else size for size in spec["size"]]
        return np.asarray(sizes if kind == "sizes" else _indices(generator, sizes, batch)).astype(dtype)
    low, high = spec.get("low", 0), spec.get("high", 1)
    if kind == "integers":
        # An open end stands for lengths, which go as far as the unknown dimensions do.
        high = batch + 1 if high is None else high
        if high <= low:
            raise Problem("bad_feed", f"input {name}: no integer is at least {low} and below {high}")
        return np.asarray(generator.integers(low, high, size=shape)).astype(dtype)
    if kind != "uniform":
        raise Problem("bad_feed", f"input {name}: {kind!r} is not a kind of input")
    values = low + (high - low) * generator.random(shape)
    if dtype.kind == "c":
        values = values + 1j * (low + (high - low) * generator.random(shape))
    return np.asarray(values).astype(dtype)


def _indices(generator: np.random.Generator, sizes: list[int], count: int) -> np.ndarray:
    """The indices of `count` entries of a sparse tensor ([count, rank]), in order; one in each row."""
    if count > sizes[0]:
        raise ValueError(f"{count} entries do not fit into {sizes[0]} rows")
    return np.stack([np.arange(count), *(generator.integers(0, size, size=count) for size in sizes[1:])], axis=1)


def _from_value(name: str, spec: dict, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    value = spec["value"]
    try:
        if dtype.kind == "O":
            array = np.array(value, dtype=object)
            array = np.vectorize(_as_bytes, otypes=[object])(array) if array.size else array
        else:
            array = np.asarray(value)
            if array.dtype.kind not in "biufc":
                raise ValueError(f"{value!r} is not a number")
            if dtype.kind in "iu" and not np.array_equal(array.astype(dtype), array):
                raise ValueError(f"{value!r} does not fit")
            array = array.astype(dtype)
        if spec.get("shape") is not None:
            array = np.broadcast_to(array, shape).copy()
    except (ValueError, TypeError, OverflowError) as error:
        raise Problem("bad_feed", f"input {name} ({spec['dtype']}, shape {list(shape)}): {error}") from error
    return np.asarray(array)


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _from_file(name: str, spec: dict, dtype: np.dtype, directory: Path) -> np.ndarray:
    path = directory / spec["file"]
    try:
        # Unpickling would run code of whoever made the file.
        with np.load(path, allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("not an .npz file")
            key = spec.get("key") or _only_key(name, arrays.files)
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
        raise Problem("bad_feed", f"input {name} is {spec['dtype']}, but {path} has {array.dtype} under {key!r}")
    wanted = spec.get("shape")
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
