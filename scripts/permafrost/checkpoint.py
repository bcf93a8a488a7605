"""Checkpoints, read without TensorFlow: V2 bundles and V1 files behind one interface."""

import contextlib
import glob
import os
from collections.abc import Callable
from math import prod

import numpy as np

from permafrost.bundle import OBJECT_GRAPH, Bundle, read_index
from permafrost.contract import Problem
from permafrost.protos import types_pb2
from permafrost.tensors import ITEM_SIZES, Slice, Tensor, whole
from permafrost.v1 import V1Files

__all__ = ["Checkpoint", "Slice", "Tensor", "open_checkpoint", "read_index_header"]

_LFS_POINTER = b"version https://git-lfs"
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive (as PyTorch and Keras write)",
    b"\x80\x02": "a Python pickle (as PyTorch writes)",
    b"\x80\x03": "a Python pickle (as PyTorch writes)",
    b"\x80\x04": "a Python pickle (as PyTorch writes)",
    b"\x89HDF": "an HDF5 file (as Keras writes)",
}


def open_checkpoint(prefix: str) -> "Checkpoint":
    """Opens the checkpoint with this prefix: the V2 bundle where there is an index, else the V1 file or files.

    A V1 prefix may hold `?` in place of the shard's number.
    Raises Problem: missing_checkpoint, no_index, missing_shard, lfs_pointer, truncated, corrupt, tf2_checkpoint,
      not_a_checkpoint or unreadable, each naming the file.
    """
    files = _Files()
    try:
        if os.path.exists(f"{prefix}.index"):
            return Checkpoint(prefix, Bundle(prefix, files.open), files)
        paths = [prefix] if os.path.isfile(prefix) else sorted(_shards(prefix))
        if not paths:
            if glob.glob(f"{glob.escape(prefix)}.data-?????-of-?????"):
                raise Problem("no_index", f"{prefix}.index is missing")
            raise Problem("missing_checkpoint", f"there is no checkpoint with the prefix {prefix}")
        return Checkpoint(prefix, V1Files(paths, files.open), files)
    except BaseException:
        files.close()
        raise


def _shards(prefix: str) -> list[str]:
    directory, name = os.path.split(prefix)
    pattern = name if "?" in name else f"{glob.escape(name)}-?????-of-?????"
    return glob.glob(os.path.join(glob.escape(directory), pattern))


def read_index_header(path: str) -> tuple[int, bool]:
    """(number of shards, whether it is a TensorFlow 2 object-based checkpoint) of a `.index` file.

    All its blocks are checked. Raises Problem as open_checkpoint does.
    """
    files = _Files()
    try:
        header, entries = read_index(files.open(path), path)
    finally:
        files.close()
    return header.num_shards, OBJECT_GRAPH in entries


class _Files:
    """Open files, and what they were like when they were opened."""

    def __init__(self):
        self._open: dict[str, tuple[int, os.stat_result]] = {}

    def open(self, path: str) -> int:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            cause = "missing_shard" if ".data-" in os.path.basename(path) else "missing_checkpoint"
            raise Problem(cause, f"{path} is missing") from error
        except OSError as error:
            raise Problem("unreadable", f"{path}: {error.strerror}") from error
        self._open[path] = descriptor, os.fstat(descriptor)
        try:
            start = os.pread(descriptor, len(_LFS_POINTER), 0)
        except OSError as error:
            raise Problem("unreadable", f"{path}: {error.strerror}") from error
        if start == _LFS_POINTER:
            raise Problem("lfs_pointer", f"{path} is a Git LFS pointer, not the file itself")
        for magic, what in _OTHER_FORMATS.items():
            if start.startswith(magic) and ".data-" not in os.path.basename(path):
                raise Problem("not_a_checkpoint", f"{path} is {what}, not a TensorFlow checkpoint")
        return descriptor

    def check_unchanged(self) -> None:
        for path, (descriptor, before) in self._open.items():
            try:
                now = [os.fstat(descriptor), os.stat(path)]
            except OSError as error:
                raise Problem("changed", f"{path} went away while it was read") from error
            if any(_stamp(stat) != _stamp(before) for stat in now):
                raise Problem("changed", f"{path} changed while it was read")

    def names(self) -> list[str]:
        return list(self._open)

    def sizes(self) -> int:
        return sum(stat.st_size for _, stat in self._open.values())

    def close(self) -> None:
        for descriptor, _ in self._open.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._open.clear()


def _stamp(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


class Checkpoint:
    """An open checkpoint: prefix, format ("V1" or "V2"), shards, bytes of all its files, files, tensors by name."""

    def __init__(self, prefix: str, backend, files: _Files):
        self.prefix, self.format, self.shards = prefix, backend.format, backend.shards
        self.tensors: dict[str, Tensor] = backend.tensors
        self.files, self.bytes = files.names(), files.sizes()
        self._backend, self._opened = backend, files

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *_) -> None:
        self._opened.close()

    def check_unchanged(self) -> None:
        """Raises Problem (changed) where a file is not as it was when the checkpoint was opened."""
        self._opened.check_unchanged()

    def stream(
        self,
        name: str,
        write: Callable[[memoryview], object],
        start: tuple[int, ...] | None = None,
        extent: tuple[int, ...] | None = None,
    ) -> None:
        """Hands the bytes of a tensor, or of the box at `start` with lengths `extent`, to `write`, in chunks.

        The bytes are little-endian and in row-major order; the chunks are valid only during the call. What is stored
        as it is asked for, or in slices along the first dimension, goes through a buffer of 1 MiB; other boxes are put
        together in memory. The CRC32C of all that is read is checked.
        Raises Problem: corrupt, changed, or missing_variable where the checkpoint lacks the tensor or part of the box.
        """
        tensor, box = self._boxed(name, start, extent)
        if tensor.dtype not in ITEM_SIZES:
            dtype = (
                types_pb2.DataType.Name(tensor.dtype) if tensor.dtype in types_pb2.DataType.values() else tensor.dtype
            )
            raise Problem("unsupported_op", f"tensor {name!r} is {dtype}, whose elements have no fixed size")
        rows = _stored_rows(tensor, box)
        if rows is not None:
            for number in rows:
                self._backend.copy(name, number, write)
        else:
            write(memoryview(self._assembled(tensor, box)))

    def read(self, name: str, start: tuple[int, ...] | None = None, extent: tuple[int, ...] | None = None) -> bytes:
        """The bytes that `stream` would hand over. Raises as it does."""
        data = bytearray()
        self.stream(name, data.extend, start, extent)
        return bytes(data)

    def read_strings(
        self, name: str, start: tuple[int, ...] | None = None, extent: tuple[int, ...] | None = None
    ) -> list[bytes]:
        """The elements of a tensor of strings, or of a box of it, in row-major order. Raises as `stream` does."""
        tensor, box = self._boxed(name, start, extent)
        whole_tensor = np.empty(tensor.shape, dtype=object)
        for number, stored in enumerate(tensor.slices):
            part = np.empty(prod(stored.extent), dtype=object)
            part[:] = self._backend.strings(name, number)
            whole_tensor[_index(stored)] = part.reshape(stored.extent)
        return whole_tensor[_index(box)].reshape(-1).tolist()

    def _boxed(self, name: str, start, extent) -> tuple[Tensor, Slice]:
        if name not in self.tensors:
            raise Problem("missing_variable", f"{self.prefix} has no tensor {name!r}")
        tensor = self.tensors[name]
        return tensor, whole(tensor.shape) if start is None else Slice(tuple(start), tuple(extent))

    def _assembled(self, tensor: Tensor, box: Slice) -> np.ndarray:
        size = ITEM_SIZES[tensor.dtype]
        result = np.zeros((*box.extent, size), np.uint8)
        covered = np.zeros(box.extent, bool)
        for number, stored in enumerate(tensor.slices):
            low = [max(a, b) for a, b in zip(stored.start, box.start, strict=True)]
            high = [
                min(a + m, b + n) for a, m, b, n in zip(stored.start, stored.extent, box.start, box.extent, strict=True)
            ]
            if any(first >= last for first, last in zip(low, high, strict=True)):
                continue
            data = bytearray()
            self._backend.copy(tensor.name, number, data.extend)
            values = np.frombuffer(data, np.uint8).reshape(*stored.extent, size)
            there = tuple(slice(f - o, e - o) for f, e, o in zip(low, high, stored.start, strict=True))
            here = tuple(slice(f - o, e - o) for f, e, o in zip(low, high, box.start, strict=True))
            result[here] = values[there]
            covered[here] = True
        if not covered.all():
            raise Problem("missing_variable", f"{self.prefix} does not hold all of the slice of {tensor.name!r} needed")
        return result.reshape(-1)


def _stored_rows(tensor: Tensor, box: Slice) -> list[int] | None:
    """The stored slices that make up `box` one after the other, or None where they do not."""
    if box in tensor.slices:
        return [tensor.slices.index(box)]
    if not box.extent or prod(box.extent) == 0:
        return [] if prod(box.extent) == 0 else None
    numbers, row = [], box.start[0]
    by_row = {
        stored.start[0]: number
        for number, stored in enumerate(tensor.slices)
        if (stored.start[1:], stored.extent[1:]) == (box.start[1:], box.extent[1:]) and stored.extent[0] > 0
    }
    while row < box.start[0] + box.extent[0]:
        if row not in by_row:
            return None
        numbers.append(by_row[row])
        row += tensor.slices[by_row[row]].extent[0]
    return numbers if row == box.start[0] + box.extent[0] else None


def _index(box: Slice) -> tuple[slice, ...]:
    return tuple(slice(first, first + length) for first, length in zip(box.start, box.extent, strict=True))
