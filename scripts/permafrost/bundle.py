"""Reads V2 checkpoints: a `.index` table of BundleEntryProtos, and `.data-NNNNN-of-NNNNN` shards of raw tensors.

Source of the format: tensorflow/core/util/tensor_bundle/tensor_bundle.cc. The entry with the empty key is the
BundleHeaderProto; a partitioned tensor has an entry that lists its slices, and one more for each slice, under a key
made by checkpoint::EncodeTensorNameSlice (saved_tensor_slice_util.cc, ordered_code.cc).
"""

import os
from collections.abc import Callable
from math import prod

from crc32c import crc32c
from google.protobuf.message import DecodeError

from permafrost.contract import Problem
from permafrost.protos import tensor_bundle_pb2
from permafrost.sstable import Table, unmasked, varint
from permafrost.tensors import ITEM_SIZES, Slice, Tensor, shape_of, slice_of, whole

OBJECT_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
_CHUNK = 1 << 20


def read_index(descriptor: int, path: str) -> tuple[object, dict[bytes, object]]:
    """The BundleHeaderProto and the BundleEntryProtos by key of an open `.index` file.

    Raises Problem: truncated, not_a_checkpoint or corrupt.
    """
    header, entries = None, {}
    for key, value in Table(descriptor, path):
        message = tensor_bundle_pb2.BundleEntryProto() if key else tensor_bundle_pb2.BundleHeaderProto()
        try:
            message.ParseFromString(value)
        except DecodeError as error:
            raise Problem("corrupt", f"{path}: the entry {key[:80]!r} is garbled") from error
        if key:
            entries[key] = message
        else:
            header = message
    if header is None or header.num_shards < 1:
        raise Problem("not_a_checkpoint", f"{path} is a table, but not the index of a checkpoint")
    if header.endianness != tensor_bundle_pb2.BundleHeaderProto.LITTLE:
        raise Problem("corrupt", f"{path} was written on a big-endian machine, which is not supported")
    return header, entries


def slice_key(name: str, proto) -> bytes:
    """The key under which a slice (a TensorSliceProto) of a partitioned tensor is stored."""
    escapes = {0: b"\x00\xff", 255: b"\xff\x00"}
    escaped = b"".join(escapes.get(byte, bytes([byte])) for byte in name.encode("utf-8", "surrogateescape"))
    key = b"\x00" + escaped + b"\x00\x01" + _increasing(len(proto.extent))
    for span in proto.extent:
        full = not span.HasField("length")
        key += _signed_increasing(0 if full else span.start) + _signed_increasing(-1 if full else span.length)
    return key


def _increasing(number: int) -> bytes:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def _signed_increasing(number: int) -> bytes:
    magnitude = ~number if number < 0 else number
    length = magnitude.bit_length() // 7 + 1
    data = bytearray(number.to_bytes(length + 1, "big", signed=True)[-length:])
    header = (((1 << length) - 1) << (16 - length)).to_bytes(2, "big") if length <= 16 else b"\xff\xff"
    data[0] ^= header[0]
    if length > 1:
        data[1] ^= header[1]
    return bytes(data)


class Bundle:
    """An open V2 checkpoint. `files` are open descriptors by path; `tensors` as in permafrost.checkpoint."""

    format = "V2"

    def __init__(self, prefix: str, open_file: Callable[[str], int]):
        """Opens the index and all shards with `open_file`. Raises Problem as permafrost.checkpoint.open_checkpoint."""
        self.path = f"{prefix}.index"
        header, self._entries = read_index(open_file(self.path), self.path)
        if OBJECT_GRAPH in self._entries:
            raise Problem("tf2_checkpoint", f"{self.path} is a TensorFlow 2 object-based checkpoint")
        self.shards = header.num_shards
        if self.shards > 99_999:
            raise Problem("corrupt", f"{self.path} claims to have {self.shards} shards")
        self._paths = [f"{prefix}.data-{shard:05d}-of-{self.shards:05d}" for shard in range(self.shards)]
        self._descriptors = [open_file(path) for path in self._paths]
        self._sizes = [os.fstat(descriptor).st_size for descriptor in self._descriptors]
        self.tensors: dict[str, Tensor] = {}
        self._stored: dict[str, list] = {}
        for key, entry in self._entries.items():
            if not key.startswith(b"\x00"):
                try:
                    self._add(key.decode("utf-8", "surrogateescape"), entry)
                except ValueError as error:
                    raise Problem("corrupt", f"{self.path}: the entry {key[:80]!r} is garbled ({error})") from error

    def _add(self, name: str, entry) -> None:
        shape = shape_of(entry.shape)
        boxes = [slice_of(proto, shape) for proto in entry.slices] or [whole(shape)]
        stored = [self._entries.get(slice_key(name, proto)) for proto in entry.slices] or [entry]
        for box, part in zip(boxes, stored, strict=True):
            if part is None:
                raise ValueError(f"its slice {list(box.start)}, {list(box.extent)} is missing")
            self._check_place(name, entry.dtype, box, part)
        nbytes = sum(part.size for part in stored)
        self.tensors[name] = Tensor(name, entry.dtype, shape, tuple(boxes), nbytes)
        self._stored[name] = stored

    def _check_place(self, name: str, dtype: int, box: Slice, part) -> None:
        if part.dtype != dtype or not 0 <= part.shard_id < self.shards or part.offset < 0 or part.size < 0:
            raise ValueError("its dtype, shard, offset or size cannot be")
        if part.offset + part.size > self._sizes[part.shard_id]:
            raise Problem(
                "truncated",
                f"{self._paths[part.shard_id]} has {self._sizes[part.shard_id]} bytes, but tensor {name!r} ends at "
                f"byte {part.offset + part.size}",
            )
        if dtype in ITEM_SIZES and part.size != prod(box.extent) * ITEM_SIZES[dtype]:
            raise ValueError(f"{part.size} bytes do not make a tensor of shape {list(box.extent)}")

    def copy(self, name: str, number: int, write: Callable[[memoryview], object]) -> None:
        """Hands the bytes of a tensor's stored slice to `write`, in chunks, and checks their CRC32C at the end.

        Raises Problem (corrupt, changed).
        """
        entry = self._stored[name][number]
        descriptor, path = self._descriptors[entry.shard_id], self._paths[entry.shard_id]
        buffer = memoryview(bytearray(min(_CHUNK, max(entry.size, 1))))
        checksum, done = 0, 0
        while done < entry.size:
            chunk = buffer[: min(len(buffer), entry.size - done)]
            count = os.preadv(descriptor, [chunk], entry.offset + done)
            if count == 0:
                raise Problem("changed", f"{path} became shorter while it was read")
            checksum = crc32c(chunk[:count], checksum)
            write(chunk[:count])
            done += count
        self._check(name, path, checksum, entry)

    def strings(self, name: str, number: int) -> list[bytes]:
        """The strings of a stored slice: varint lengths, their checksum, then the bytes. Raises Problem (corrupt)."""
        entry, box = self._stored[name][number], self.tensors[name].slices[number]
        path = self._paths[entry.shard_id]
        data = os.pread(self._descriptors[entry.shard_id], entry.size, entry.offset)
        count = prod(box.extent)
        try:
            if count > len(data):
                raise ValueError("there are fewer bytes than strings")
            lengths, position, checksum = [], 0, 0
            for _ in range(count):
                length, position = varint(data, position)
                lengths.append(length)
                checksum = crc32c(length.to_bytes(4 if length < 1 << 32 else 8, "little"), checksum)
            stored = data[position : position + 4]
            if len(stored) < 4 or unmasked(int.from_bytes(stored, "little")) != checksum:
                raise ValueError("the checksum of its lengths does not match")
            position += 4
            if sum(lengths) != len(data) - position:
                raise ValueError("its lengths do not add up")
        except ValueError as error:
            raise Problem("corrupt", f"{path}: tensor {name!r} is garbled ({error})") from error
        self._check(name, path, crc32c(memoryview(data)[position:], crc32c(stored, checksum)), entry)
        values = []
        for length in lengths:
            values.append(data[position : position + length])
            position += length
        return values

    @staticmethod
    def _check(name: str, path: str, checksum: int, entry) -> None:
        if checksum != unmasked(entry.crc32c):
            raise Problem("corrupt", f"{path}: the checksum of tensor {name!r} does not match its bytes")
