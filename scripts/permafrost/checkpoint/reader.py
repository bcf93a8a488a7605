"""Checkpoints of either format: which tensors they hold, and their bytes, whole or by boxes.

    with open_checkpoint("dir/model.ckpt-200") as checkpoint:
        for name, tensor in checkpoint.tensors.items(): ...
        checkpoint.stream("dense/kernel", file.write)

TensorFlow is not imported. A box of a tensor is given by `start` and `extent`, one number for each dimension, as a
partitioned variable restores it; without them it is all of the tensor.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from io import BytesIO
from math import prod
from typing import Any

from permafrost.checkpoint.v1 import V1Checkpoint
from permafrost.checkpoint.v2 import (
    CHUNK,
    OBJECT_GRAPH,
    Bundle,
    Contents,
    Slice,
    Tensor,
    read_index_contents,
    read_index_header,
)
from permafrost.graph.dtypes import ITEM_SIZES, KNOWN, enum_name
from permafrost.graph.protos import types_pb2
from permafrost.outcome import Problem

__all__ = ["OBJECT_GRAPH", "Checkpoint", "Slice", "Tensor", "open_checkpoint", "read_contents", "read_index_header"]

_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})", re.DOTALL)
_SHARD_PATTERN = re.compile(r"(.*)-\?{5}-of-(\d{5}|\?{5})", re.DOTALL)
_DATA = re.compile(r"(.*)\.data-\d{5}-of-\d{5}", re.DOTALL)
# TensorFlow cuts tensors of up to 8 dimensions (core/util/tensor_slice_util.h); numpy has arrays of up to 32.
_MAX_RANK = 32


class Checkpoint:
    """An open checkpoint.

    prefix: as it was opened; format: "V1" or "V2"; tensors: name -> Tensor; files: the paths of all its files, the
    index first; shards: how many of them hold tensors; bytes: the size of all files.
    """

    def __init__(self, prefix: str, store: Bundle | V1Checkpoint):
        self.prefix = prefix
        self._store = store
        self.format: str = store.format
        self.tensors: dict[str, Tensor] = store.tensors
        self.files: list[str] = [file.path for file in store.files]
        self.shards: int = len(store.files) - (store.format == "V2")
        self.bytes: int = sum(file.size for file in store.files)
        for tensor in self.tensors.values():
            if sum(prod(stored.extent) for stored in tensor.slices) > prod(tensor.shape):
                self.close()
                raise self._not_covered(tensor)

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files."""
        for file in self._store.files:
            file.close()

    def check_unchanged(self) -> None:
        """Raises Problem (changed) where one of the files is not as it was when it was opened."""
        for file in self._store.files:
            file.check_unchanged()

    def check_content(self) -> None:
        """Reads all tensors for their checksums' sake. Raises Problem as `stream` does."""
        for tensor in self.tensors.values():
            for number in range(len(tensor.slices)):
                if tensor.dtype in ITEM_SIZES:
                    for _ in self._store.chunks(tensor.name, number):
                        pass
                elif tensor.dtype == types_pb2.DT_STRING:
                    self._store.strings(tensor.name, number)

    def stream(
        self,
        name: str,
        write: Callable[[memoryview], object],
        start: tuple[int, ...] | None = None,
        extent: tuple[int, ...] | None = None,
    ) -> None:
        """Hands the bytes of a tensor, or of a box of it, to `write`: little-endian, row-major.

        It gets at most 1 MiB at a time, good only until it returns, and must not read from this checkpoint. Boxes
        that are stored as they are wanted, or whose rows follow each other in what is stored, need no memory; others
        are put together in memory. What is wrong with the bytes is known at the end of each stored slice, so what was
        written is worth nothing if this raises.

        Raises Problem: corrupt (the tensor's CRC32C does not match, or slices are missing), changed, truncated,
        io_error, missing_variable (no such tensor), shape_mismatch (no such box) or unsupported_op (the dtype has no
        fixed width). What `write` raises passes through.
        """
        tensor, box = self._box(name, start, extent)
        if tensor.dtype not in ITEM_SIZES:
            spelt = enum_name(tensor.dtype) if tensor.dtype in KNOWN else f"number {tensor.dtype}"
            raise Problem("unsupported_op", f"tensor {name!r} has dtype {spelt}, whose elements have no fixed width")
        rows = self._rows(tensor, box)
        if rows is not None:
            for number, first, last in rows:
                self._write_part(tensor, number, first, last, write)
            return
        import numpy as np  # Only here, since it takes a third of the time in which freezing starts.

        item = np.dtype((np.void, ITEM_SIZES[tensor.dtype]))

        def stored(number: int) -> Any:
            data = BytesIO()
            self._write_part(tensor, number, 0, None, data.write)
            return np.frombuffer(data.getbuffer(), item)

        data = memoryview(self._assembled(tensor, box, item, stored).reshape(-1).view(np.uint8))
        for position in range(0, len(data), CHUNK):
            write(data[position : position + CHUNK])

    def read(self, name: str, start: tuple[int, ...] | None = None, extent: tuple[int, ...] | None = None) -> bytes:
        """The bytes of a tensor, or of a box of it, as `stream` gives them. Raises Problem as `stream` does."""
        data = BytesIO()
        self.stream(name, data.write, start, extent)
        return data.getvalue()

    def read_strings(
        self, name: str, start: tuple[int, ...] | None = None, extent: tuple[int, ...] | None = None
    ) -> list[bytes]:
        """The elements of a string tensor, or of a box of it, in row-major order.

        Raises Problem as `stream` does; shape_mismatch also where the tensor is not of strings.
        """
        tensor, box = self._box(name, start, extent)
        if tensor.dtype != types_pb2.DT_STRING:
            raise Problem("shape_mismatch", f"tensor {name!r} of {self.prefix} does not hold strings")
        if (rows := self._rows(tensor, box)) is not None:
            width = prod(box.extent[1:])
            elements = []
            for number, first, last in rows:
                stored = self._store.strings(name, number)
                elements += stored[first * width : None if last is None else last * width]
            return elements

        import numpy as np

        def load(number: int) -> Any:
            stored = self._store.strings(name, number)
            array = np.empty(len(stored), object)
            array[:] = stored
            return array

        assembled: list[bytes] = self._assembled(tensor, box, np.dtype(object), load).reshape(-1).tolist()
        return assembled

    def _box(self, name: str, start: tuple[int, ...] | None, extent: tuple[int, ...] | None) -> tuple[Tensor, Slice]:
        if name not in self.tensors:
            raise Problem("missing_variable", f"{self.prefix} has no tensor {name!r}")
        tensor = self.tensors[name]
        rank = len(tensor.shape)
        box = Slice(tuple((0,) * rank if start is None else start), tuple(tensor.shape if extent is None else extent))
        if not len(box.start) == len(box.extent) == rank or not all(
            first >= 0 and length >= 0 and first + length <= size
            for first, length, size in zip(box.start, box.extent, tensor.shape, strict=True)
        ):
            raise Problem(
                "shape_mismatch",
                f"tensor {name!r} of {self.prefix} has shape {list(tensor.shape)}, and so no box of "
                f"{list(box.extent)} at {list(box.start)}",
            )
        return tensor, box

    def _rows(self, tensor: Tensor, box: Slice) -> list[tuple[int, int, int | None]] | None:
        """How to read a box by whole rows: (slice's number, its first row, the row after its last), in order.

        None for the last row is the end. The result is None where the slices do not lie one below the other.
        """
        if not box.extent or box in tensor.slices:
            return [(tensor.slices.index(box), 0, None)] if box in tensor.slices else None
        if not prod(box.extent):
            return []
        end = box.start[0] + box.extent[0]
        rows: list[tuple[int, int, int | None]] = []
        done = box.start[0]
        touched = sorted(_touching(tensor.slices, box), key=lambda number: tensor.slices[number].start[0])
        for number in touched:
            stored = tensor.slices[number]
            first = stored.start[0]
            if stored.start[1:] != box.start[1:] or stored.extent[1:] != box.extent[1:] or first > done:
                return None
            if rows and first != done:
                return None
            last = min(end, first + stored.extent[0])
            rows.append((number, done - first, last - first))
            done = last
        return rows if done == end else None

    def _write_part(
        self, tensor: Tensor, number: int, first: int, last: int | None, write: Callable[[memoryview], object]
    ) -> None:
        """Writes rows first to last of a stored slice, all of which is read, as its checksum is over the whole."""
        row = prod(tensor.slices[number].extent[1:]) * ITEM_SIZES[tensor.dtype]
        begin = first * row
        end = None if last is None else last * row
        position = 0
        for chunk in self._store.chunks(tensor.name, number):
            part = chunk[max(0, begin - position) : None if end is None else max(0, end - position)]
            position += len(chunk)
            if part:
                write(part)

    def _assembled(self, tensor: Tensor, box: Slice, dtype: Any, load: Callable[[int], Any]) -> Any:
        """The array of a box, from slices that cover it in any manner; `load` gives the flat array of a slice.

        Raises Problem (corrupt) where they do not cover it.
        """
        import numpy as np

        if len(box.extent) > _MAX_RANK:
            raise Problem(
                "shape_mismatch", f"tensor {tensor.name!r} has too many dimensions to be put together of slices"
            )
        touched = list(_touching(tensor.slices, box))
        if sum(prod(_common(tensor.slices[number], box).extent) for number in touched) != prod(box.extent):
            raise self._not_covered(tensor)
        array, filled = np.empty(box.extent, dtype), np.zeros(box.extent, bool)
        for number in touched:
            stored = tensor.slices[number]
            common = _common(stored, box)
            there = _region(common, box)
            if filled[there].any():
                raise self._not_covered(tensor)
            filled[there] = True
            array[there] = load(number).reshape(stored.extent)[_region(common, stored)]
        return array

    def _not_covered(self, tensor: Tensor) -> Problem:
        return Problem(
            "corrupt", f"the slices of tensor {tensor.name!r} in {self.prefix} overlap, or leave part of it out"
        )


def _common(one: Slice, other: Slice) -> Slice:
    start = tuple(map(max, one.start, other.start))
    ends = (min(a + m, b + n) for a, m, b, n in zip(one.start, one.extent, other.start, other.extent, strict=True))
    return Slice(start, tuple(max(0, end - first) for first, end in zip(start, ends, strict=True)))


def _touching(slices: tuple[Slice, ...], box: Slice) -> Iterator[int]:
    return (number for number, stored in enumerate(slices) if prod(_common(stored, box).extent))


def _region(inner: Slice, outer: Slice) -> tuple[slice, ...]:
    """Where `inner` lies in an array that holds `outer`."""
    return tuple(
        slice(first - origin, first - origin + length)
        for first, origin, length in zip(inner.start, outer.start, inner.extent, strict=True)
    )


def open_checkpoint(prefix: str) -> Checkpoint:
    """Opens the checkpoint at `prefix`: V2 if there is `<prefix>.index`, else the V1 file `prefix` or its shards.

    A prefix with `-?????-of-00002` or `-?????-of-?????` at its end means the shards of a V1 checkpoint.

    Raises Problem: no_index, missing_shard, missing_checkpoint, lfs_pointer, truncated, corrupt,
    not_a_checkpoint, unreadable or changed.
    """
    prefix = os.fspath(prefix)
    if _exists(prefix + ".index"):
        return Checkpoint(prefix, Bundle(prefix))
    pattern = _SHARD_PATTERN.fullmatch(prefix)
    if not pattern and _exists(prefix) and not os.path.isdir(prefix):
        return Checkpoint(prefix, V1Checkpoint([prefix]))
    stem, total = (pattern[1], pattern[2]) if pattern else (prefix, "?????")
    return Checkpoint(prefix, V1Checkpoint(_shards_of(stem, total)))


def read_contents(path: str, is_index: bool) -> Contents:
    """What is in the index of a V2 checkpoint at `path`, or in a file of a V1 checkpoint.

    Raises Problem as open_checkpoint does.
    """
    if is_index:
        return read_index_contents(path)
    with Checkpoint(path, V1Checkpoint([path])) as checkpoint:
        return Contents([], {name: tensor.shape for name, tensor in checkpoint.tensors.items()})


def _shards_of(stem: str, total: str) -> list[str]:
    """The paths of the shards of a V1 checkpoint; `total` is their number in five digits, or question marks."""
    directory, base = os.path.split(stem)
    try:
        names = os.listdir(directory or ".")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        names = []
    except OSError as error:
        raise Problem("unreadable", f"{directory}: {error.strerror}") from error
    by_total = defaultdict(set)
    for match in filter(None, map(_SHARD.fullmatch, names)):
        if match[1] == base and total in ("?????", match[3]):
            by_total[match[3]].add(match[0])
    if len(by_total) > 1:
        raise Problem(
            "corrupt",
            f"{stem} has shards of several checkpoints: of {' and of '.join(sorted(by_total))}",
            "keep the shards of one of them",
        )
    for digits, found in by_total.items():
        wanted = (f"{base}-{number:05d}-of-{digits}" for number in range(int(digits)))
        paths = []
        for name in wanted:
            if name not in found:
                path = os.path.join(directory, name)
                raise Problem("missing_shard", f"{path} is missing; the checkpoint has {int(digits)} shard(s)")
            paths.append(os.path.join(directory, name))
        if len(paths) == len(found):
            return paths
        raise Problem("corrupt", f"{stem} has shards with numbers over {digits}", "delete what does not belong to it")
    if any(match[1] == base for match in filter(None, map(_DATA.fullmatch, names))):
        raise Problem("no_index", f"{stem}.index is missing")
    raise Problem("missing_checkpoint", f"{stem} has no checkpoint files")


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        raise Problem("unreadable", f"{path}: {error.strerror}") from error
    return True
