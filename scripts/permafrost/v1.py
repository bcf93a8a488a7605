"""Reads V1 checkpoints: one table (or several, when sharded) whose entries hold tensors as protocol buffers.

Source of the format: tensorflow/core/util/saved_tensor_slice.proto. The entry with the empty key lists the tensors
and their slices; every other one holds a slice with its values. There is no checksum of a tensor; that of the block in
which it lies is checked.
"""

import os
from collections.abc import Callable
from math import prod

import numpy as np
from google.protobuf.message import DecodeError

from permafrost.contract import Problem
from permafrost.protos import saved_tensor_slice_pb2, types_pb2
from permafrost.sstable import Table
from permafrost.tensors import ITEM_SIZES, Slice, Tensor, shape_of, slice_of

_TYPED = {
    "float_val": {types_pb2.DT_FLOAT: "<f4"},
    "double_val": {types_pb2.DT_DOUBLE: "<f8"},
    "int_val": {
        types_pb2.DT_INT32: "<i4", types_pb2.DT_INT16: "<i2", types_pb2.DT_INT8: "i1", types_pb2.DT_UINT8: "u1",
        types_pb2.DT_UINT16: "<u2", types_pb2.DT_QINT8: "i1", types_pb2.DT_QUINT8: "u1", types_pb2.DT_QINT16: "<i2",
        types_pb2.DT_QUINT16: "<u2", types_pb2.DT_QINT32: "<i4",
    },
    "int64_val": {types_pb2.DT_INT64: "<i8"},
    "uint32_val": {types_pb2.DT_UINT32: "<u4"},
    "uint64_val": {types_pb2.DT_UINT64: "<u8"},
    "bool_val": {types_pb2.DT_BOOL: "?"},
    "half_val": {types_pb2.DT_HALF: "<u2", types_pb2.DT_BFLOAT16: "<u2"},
    "scomplex_val": {types_pb2.DT_COMPLEX64: "<f4"},
    "dcomplex_val": {types_pb2.DT_COMPLEX128: "<f8"},
}  # fmt: skip
_FIELDS = {dtype: (field, layout) for field, layouts in _TYPED.items() for dtype, layout in layouts.items()}


class V1Files:
    """An open V1 checkpoint; `tensors` as in permafrost.checkpoint. The values lie in memory one slice at a time."""

    format = "V1"

    def __init__(self, paths: list[str], open_file: Callable[[str], int]):
        """Raises Problem as permafrost.checkpoint.open_checkpoint does."""
        self.shards = len(paths)
        self.tensors: dict[str, Tensor] = {}
        self._stored: dict[str, list] = {}
        for path in paths:
            self._read(path, open_file(path))

    def _read(self, path: str, descriptor: int) -> None:
        for key, value in Table(descriptor, path):
            slices = _parse(path, key, value)
            if not key:
                if not slices.HasField("meta"):
                    raise Problem("not_a_checkpoint", f"{path} is a table, but not a checkpoint")
                for meta in slices.meta.tensor:
                    self._add(path, meta)
            elif slices.HasField("data"):
                self._place(path, slices.data, key, descriptor)
        for name, stored in self._stored.items():
            if None in stored and self.tensors[name].nbytes:
                raise Problem("corrupt", f"{path}: the values of tensor {name!r} are missing")

    def _add(self, path: str, meta) -> None:
        try:
            shape = shape_of(meta.shape)
            boxes = tuple(slice_of(proto, shape) for proto in meta.slice)
        except ValueError as error:
            raise Problem("corrupt", f"{path}: tensor {meta.name!r} is garbled ({error})") from error
        known = self.tensors.get(meta.name)
        if known is not None:
            if (known.dtype, known.shape) != (meta.type, shape):
                raise Problem(
                    "corrupt", f"{path}: tensor {meta.name!r} has another dtype or shape than in other shards"
                )
            boxes = known.slices + boxes
        nbytes = prod(shape) * ITEM_SIZES.get(meta.type, 1)
        self.tensors[meta.name] = Tensor(meta.name, meta.type, shape, boxes, nbytes)
        self._stored.setdefault(meta.name, []).extend([None] * len(meta.slice))

    def _place(self, path: str, data, key: bytes, descriptor: int) -> None:
        tensor = self.tensors.get(data.name)
        if tensor is None:
            raise Problem("corrupt", f"{path}: the values of tensor {data.name!r} have no description")
        try:
            box = slice_of(data.slice, tensor.shape)
        except ValueError as error:
            raise Problem("corrupt", f"{path}: tensor {data.name!r} is garbled ({error})") from error
        for number, known in enumerate(tensor.slices):
            if known == box and self._stored[data.name][number] is None:
                self._stored[data.name][number] = (path, self._values(path, tensor, box, data.data))
                return
        raise Problem("corrupt", f"{path}: tensor {data.name!r} has values for a slice that it does not list")

    @staticmethod
    def _values(path: str, tensor: Tensor, box: Slice, proto):
        count = prod(box.extent)
        if tensor.dtype == types_pb2.DT_STRING:
            values, found = list(proto.string_val), len(proto.string_val)
        elif tensor.dtype not in _FIELDS:
            raise Problem("unsupported_op", f"{path}: tensor {tensor.name!r} has a dtype that V1 files do not hold")
        elif proto.tensor_content:
            values = proto.tensor_content
            found = len(values) // ITEM_SIZES[tensor.dtype]
        else:
            field, layout = _FIELDS[tensor.dtype]
            values = np.asarray(getattr(proto, field)).astype(layout).tobytes()
            found = len(values) // ITEM_SIZES[tensor.dtype]
        if found != count:
            raise Problem("corrupt", f"{path}: tensor {tensor.name!r} has {found} values where {count} belong")
        return values

    def copy(self, name: str, number: int, write: Callable[[memoryview], object]) -> None:
        """Hands the bytes of a tensor's stored slice to `write`."""
        stored = self._stored[name][number]
        write(memoryview(stored[1] if stored else b""))

    def strings(self, name: str, number: int) -> list[bytes]:
        """The strings of a stored slice."""
        stored = self._stored[name][number]
        return stored[1] if stored else []


def _parse(path: str, key: bytes, value: bytes):
    slices = saved_tensor_slice_pb2.SavedTensorSlices()
    try:
        slices.ParseFromString(value)
    except DecodeError as error:
        what = f"{os.path.basename(path)}: the entry {key[:80]!r} is garbled"
        raise Problem("corrupt", what) from error
    return slices
