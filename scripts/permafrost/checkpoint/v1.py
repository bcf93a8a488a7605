"""V1 checkpoints: tables that hold the tensors themselves, in one file or in shards.

    ""                 -> SavedTensorSlices.meta: name, shape, dtype and slices of each tensor of this file
    encoded slice key  -> SavedTensorSlices.data: the slice's values, in the typed fields of a TensorProto

From core/util/tensor_slice_writer.cc, tensor_slice_reader.cc and saved_tensor_slice_util.h. A tensor has no checksum
of its own; the table's blocks have.
"""

import contextlib
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from permafrost.checkpoint.sstable import StoredFile, Table
from permafrost.checkpoint.v2 import CHUNK, Slice, Tensor, check_version, shape_of, slice_key, slice_of
from permafrost.encoding import read_varint
from permafrost.graph.dtypes import DTYPES, ITEM_SIZES, enum_name, has_field
from permafrost.graph.protos import saved_tensor_slice_pb2, tensor_pb2
from permafrost.outcome import Problem

# Fields of TensorProto whose packed bytes are those of the elements in memory; the others hold varints.
_RAW = ("float_val", "double_val", "scomplex_val", "dcomplex_val")
_SLICES_DATA = saved_tensor_slice_pb2.SavedTensorSlices.DESCRIPTOR.fields_by_name["data"].number
_SLICE_DATA = saved_tensor_slice_pb2.SavedSlice.DESCRIPTOR.fields_by_name["data"].number
_TENSOR_FIELDS = {name: field.number for name, field in tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name.items()}
# An element takes a byte at least, and a snappy block can stand for 22 times its size.
_ELEMENTS_IN_A_BYTE = 22


class _Piece(NamedTuple):
    """Which shard holds a stored slice, and under which key."""

    shard: int
    key: bytes


class V1Checkpoint:
    """An open V1 checkpoint: `tensors` by name, and `files`, the shards.

    Raises Problem: unreadable, lfs_pointer, truncated, not_a_checkpoint or corrupt.
    """

    format = "V1"

    def __init__(self, paths: list[str]):
        with contextlib.ExitStack() as opened:
            self.files, self._tables = [], []
            for path in paths:
                self.files.append(StoredFile(path))
                opened.callback(self.files[-1].close)
                self._tables.append(Table(self.files[-1]))
            self._pieces: dict[str, list[_Piece]] = {}
            # name -> dtype, shape, slices; one shard after the other adds to the slices.
            self._found: dict[str, tuple[int, tuple[int, ...], list[Slice]]] = {}
            for shard in range(len(paths)):
                self._register(shard)
            self.tensors = {name: self._tensor(name, *found) for name, found in self._found.items()}
            opened.pop_all()

    def chunks(self, name: str, number: int) -> Iterator[memoryview]:
        """The bytes of slice `number` of a tensor as they are in memory, in pieces of at most 1 MiB.

        The last one is followed by Problem (changed) where the file is no longer the same.
        """
        piece, count = self._pieces[name][number], prod(self.tensors[name].slices[number].extent)
        file = self.files[piece.shard]
        dtype = self.tensors[name].dtype
        data = self._raw(name, piece, dtype) if _is_raw(dtype) else self._converted(name, piece, dtype, count)
        if len(data) != count * ITEM_SIZES[dtype]:
            raise self._wrong_values(name, file)
        for position in range(0, len(data), CHUNK):
            yield data[position : position + CHUNK]
        file.check_unchanged()

    def strings(self, name: str, number: int) -> list[bytes]:
        """The elements of slice `number` of a string tensor. Raises Problem: corrupt or changed."""
        piece, count = self._pieces[name][number], prod(self.tensors[name].slices[number].extent)
        file = self.files[piece.shard]
        elements = list(self._parsed(self._value(name, piece), file).data.data.string_val)
        if len(elements) != count:
            raise self._wrong_values(name, file)
        file.check_unchanged()
        return elements

    def _register(self, shard: int) -> None:
        """Adds the tensors that the shard's meta entry lists."""
        file, table = self.files[shard], self._tables[shard]
        value = table.get(b"")
        if value is None:
            raise Problem("corrupt", f"{file.path} does not say which tensors it holds")
        meta = self._parsed(value, file).meta
        check_version(meta.versions, file.path)
        most = _ELEMENTS_IN_A_BYTE * file.size
        for saved in meta.tensor:
            shape = shape_of(saved.shape, saved.name, file.path)
            dtype, known_shape, slices = self._found.setdefault(saved.name, (saved.type, shape, []))
            if (dtype, known_shape) != (saved.type, shape):
                raise Problem("corrupt", f"{file.path} says two things about the dtype or shape of {saved.name!r}")
            pieces = self._pieces.setdefault(saved.name, [])
            for proto in saved.slice:
                box, code = slice_of(proto, shape, saved.name, file.path)
                most -= prod(box.extent)
                if most < 0:
                    raise Problem("corrupt", f"{file.path} lists more elements of tensors than it can hold")
                slices.append(box)
                pieces.append(_Piece(shard, slice_key(saved.name, code)))

    def _tensor(self, name: str, dtype: int, shape: tuple[int, ...], slices: list[Slice]) -> Tensor:
        if dtype in ITEM_SIZES:
            size = prod(shape) * ITEM_SIZES[dtype]
        else:
            # In the order of the keys no block is read twice.
            size = sum(len(self._value(name, piece)) for piece in sorted(self._pieces[name]))
        return Tensor(name, dtype, shape, tuple(slices), size)

    def _value(self, name: str, piece: _Piece) -> memoryview:
        value = self._tables[piece.shard].get(piece.key)
        if value is None:
            raise Problem("corrupt", f"{self.files[piece.shard].path} lacks a slice of tensor {name!r} that it lists")
        return value

    def _raw(self, name: str, piece: _Piece, dtype: int) -> memoryview:
        """The elements where they lie in the file's block, as nothing needs to be converted."""
        value = self._value(name, piece)
        try:
            tensor = _joined(_fields(_joined(_fields(value, _SLICES_DATA)), _SLICE_DATA))
            typed, content = (_TENSOR_FIELDS[field] for field in (DTYPES[dtype].field, "tensor_content"))
            found = _fields(tensor, typed) or _fields(tensor, content)
        except ValueError as error:
            raise Problem(
                "corrupt", f"{self.files[piece.shard].path} has a garbled value of tensor {name!r}: {error}"
            ) from error
        return _joined(found)

    def _converted(self, name: str, piece: _Piece, dtype: int, count: int) -> memoryview:
        if not has_field(dtype):
            raise Problem("corrupt", f"tensor {name!r} has dtype {enum_name(dtype)}, which V1 checkpoints do not have")
        field, layout = DTYPES[dtype].field, f"<{DTYPES[dtype].layout}"
        file = self.files[piece.shard]
        tensor = self._parsed(self._value(name, piece), file).data.data
        values = getattr(tensor, field)
        if not values:
            return memoryview(tensor.tensor_content)
        if len(values) != count:
            raise self._wrong_values(name, file)
        import numpy as np  # Most V1 checkpoints hold floats alone, and it takes long to load.

        # Fields are at least as wide as elements; like TensorFlow, this keeps the lower bits.
        wide = {"int_val": "<i4", "half_val": "<i4"}.get(field, layout)
        return np.fromiter(values, wide, count).astype(layout).data.cast("B")

    def _parsed(self, value: memoryview, file: StoredFile) -> Any:
        try:
            return saved_tensor_slice_pb2.SavedTensorSlices.FromString(bytes(value))
        except DecodeError as error:
            raise Problem("corrupt", f"{file.path} has an entry that cannot be parsed") from error

    def _wrong_values(self, name: str, file: StoredFile) -> Problem:
        return Problem("corrupt", f"{file.path} holds values of tensor {name!r} that do not fill its shape")


def _is_raw(dtype: int) -> bool:
    return has_field(dtype) and DTYPES[dtype].field in _RAW


def _fields(message: memoryview, number: int) -> list[memoryview]:
    """The contents of all fields `number` of a serialized message, which must be of wire type 2 (with a length).

    See the protocol buffers' encoding guide. Raises ValueError where the message is garbled.
    """
    found, position, end = [], 0, len(message)
    while position < end:
        tag, position = read_varint(message, position, end)
        wire_type = tag & 7
        if tag >> 3 == number and wire_type != 2:
            raise ValueError("its values are not packed")
        if wire_type == 0:
            _, position = read_varint(message, position, end)
            continue
        if wire_type == 2:
            length, position = read_varint(message, position, end)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError("it has a field of unknown wire type")
        if length > end - position:
            raise ValueError("it is cut off")
        if tag >> 3 == number:
            found.append(message[position : position + length])
        position += length
    return found


def _joined(parts: list[memoryview]) -> memoryview:
    """Several parts of one field are one after the other (which merges messages, too)."""
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
