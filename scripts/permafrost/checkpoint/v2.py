"""V2 checkpoints, which TensorFlow calls tensor bundles: `X.index` and `X.data-00000-of-00001` ...

    X.index   a table: "" -> BundleHeaderProto, tensor's name -> BundleEntryProto
    X.data-*  the tensors' bytes, at the shard, offset and size that the entry says

The entry of a tensor that was saved in slices has no bytes; it lists its slices, and each of them has an entry of its
own under an encoded key. From core/util/tensor_bundle/tensor_bundle.cc, core/util/saved_tensor_slice_util.cc and
core/lib/strings/ordered_code.cc.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from crc32c import crc32c
from google.protobuf.message import DecodeError

from permafrost import file_kinds
from permafrost.checkpoint.sstable import LARGEST_INDEX, StoredFile, Table
from permafrost.encoding import masked, read_varint
from permafrost.graph.dtypes import ITEM_SIZES
from permafrost.graph.protos import tensor_bundle_pb2, types_pb2
from permafrost.outcome import Problem

CHUNK = 1 << 20
# The tensor of an object-based checkpoint that says which Python object each of the others belonged to.
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"

_MAX_RANK = 254
_VERSION = 1
_MOST_SIZES = 100_000  # shards
_UINT32_MAX = (1 << 32) - 1


@dataclass(frozen=True)
class Slice:
    """A box of a tensor: its first element and its size, for each dimension."""

    start: tuple[int, ...]
    extent: tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a checkpoint.

    dtype is a DataType number; slices are the boxes in which it is stored, one with all of it as a rule. nbytes is the
    size of its elements in memory for dtypes of fixed width (ITEM_SIZES), else the size of what is stored.
    """

    name: str
    dtype: int
    shape: tuple[int, ...]
    slices: tuple[Slice, ...]
    nbytes: int


class _Piece(NamedTuple):
    """Where a stored slice lies, and the masked CRC32C of its bytes."""

    shard: int
    offset: int
    size: int
    checksum: int


class Bundle:
    """An open V2 checkpoint: `tensors` by name, and `files`, the index and then the shards.

    Raises Problem: unreadable, lfs_pointer, truncated, not_a_checkpoint, corrupt or missing_shard.
    """

    format = "V2"

    def __init__(self, prefix: str):
        with contextlib.ExitStack() as opened:
            index = StoredFile(prefix + ".index")
            opened.callback(index.close)
            header, entries = _read_index(index)
            self._shards, total = [], header.num_shards
            for number in range(total):
                path = f"{prefix}.data-{number:05d}-of-{total:05d}"
                if not os.path.lexists(path):
                    raise Problem("missing_shard", f"{path} is missing; the checkpoint has {total} shard(s)")
                self._shards.append(StoredFile(path))
                opened.callback(self._shards[-1].close)
            self.files = [index, *self._shards]
            self._room = [shard.size for shard in self._shards]
            self._pieces: dict[str, list[_Piece]] = {}
            self.tensors = {tensor.name: tensor for tensor in self._tensors(entries)}
            index.check_unchanged()
            opened.pop_all()
        self._buffer = memoryview(bytearray(min(CHUNK, max(shard.size for shard in self._shards))))

    def chunks(self, name: str, number: int) -> Iterator[memoryview]:
        """The bytes of slice `number` of a tensor, as they are stored, in pieces of at most 1 MiB.

        A piece is good until the next one is asked for. The last one is followed by Problem (corrupt) where the bytes
        do not match their CRC32C, or (changed) where the file is no longer the same.
        """
        piece = self._pieces[name][number]
        shard = self._shards[piece.shard]
        position, end, checksum = piece.offset, piece.offset + piece.size, 0
        while position < end:
            view = self._buffer[: end - position]
            shard.read_into(position, view)
            checksum = crc32c(view, checksum)
            position += len(view)
            yield view
        shard.check_unchanged()
        if masked(checksum) != piece.checksum:
            # A program that writes the checkpoint anew replaces one file after the other.
            for file in self.files:
                file.check_unchanged()
            what = f"tensor {name!r} in {shard.path} does not match its checksum"
            raise _no_shard(shard, what, self._room[piece.shard]) or Problem("corrupt", what)

    def strings(self, name: str, number: int) -> list[bytes]:
        """The elements of slice `number` of a string tensor.

        They are stored as varint lengths, the masked CRC32C of the lengths (each as uint32, or uint64 where it needs
        that), and the strings; the entry's CRC32C is that of lengths as above, length checksum and strings.
        Raises Problem: corrupt or changed.
        """
        piece = self._pieces[name][number]
        shard = self._shards[piece.shard]
        data = memoryview(shard.read(piece.offset, piece.size))
        shard.check_unchanged()
        count = prod(self.tensors[name].slices[number].extent)
        corrupt = Problem("corrupt", f"string tensor {name!r} in {shard.path} does not match its checksum")
        if not data:
            return []
        lengths, position = [], 0
        try:
            for _ in range(count):
                length, position = read_varint(data, position, len(data))
                lengths.append(length)
        except ValueError:
            raise corrupt from None
        checksum = crc32c(b"".join(length.to_bytes(4 if length <= _UINT32_MAX else 8, "little") for length in lengths))
        stored = data[position : position + 4]
        body = position + 4
        if masked(checksum).to_bytes(4, "little") != stored or body + sum(lengths) != len(data):
            raise corrupt
        if masked(crc32c(data[position:], checksum)) != piece.checksum:
            raise corrupt
        elements = []
        for length in lengths:
            elements.append(bytes(data[body : body + length]))
            body += length
        return elements

    def _tensors(self, entries: dict[bytes, Any]) -> Iterator[Tensor]:
        path = self.files[0].path
        for key, entry in entries.items():
            # Encoded keys of slices begin with the number 0; they are found from the tensors that they belong to.
            if key.startswith(b"\0"):
                continue
            name = text(key, path)
            shape = shape_of(entry.shape, name, path)
            if not entry.slices:
                whole = Slice((0,) * len(shape), shape)
                pieces = [self._piece(name, entry, whole)]
                slices = [whole]
            else:
                slices, pieces = [], []
                for proto in entry.slices:
                    box, code = slice_of(proto, shape, name, path)
                    stored = entries.get(slice_key(name, code)) if any(length >= 0 for _, length in code) else entry
                    if stored is None or stored.dtype != entry.dtype:
                        raise Problem("corrupt", f"{path} lacks the slice {box.start} of tensor {name!r}")
                    if shape_of(stored.shape, name, path) != box.extent:
                        raise Problem("corrupt", f"{path} has a slice of tensor {name!r} whose shape is wrong")
                    slices.append(box)
                    pieces.append(self._piece(name, stored, box))
            self._pieces[name] = pieces
            width = ITEM_SIZES.get(entry.dtype)
            size = prod(shape) * width if width else sum(piece.size for piece in pieces)
            yield Tensor(name, entry.dtype, shape, tuple(slices), size)

    def _piece(self, name: str, entry: Any, box: Slice) -> _Piece:
        """Where the slice that `entry` describes lies, after a look at whether it can be there."""
        path, count = self.files[0].path, prod(box.extent)
        if not 0 <= entry.shard_id < len(self._shards):
            raise Problem("corrupt", f"{path} says that tensor {name!r} is in shard {entry.shard_id}, which is none")
        shard = self._shards[entry.shard_id]
        if entry.dtype in ITEM_SIZES:
            fits = entry.size == count * ITEM_SIZES[entry.dtype]
        elif entry.dtype == types_pb2.DT_STRING:
            fits = entry.size >= count + 4 or entry.size == count == 0
        else:
            fits = True
        if not fits or entry.offset < 0 or entry.size < 0:
            raise Problem("corrupt", f"{path} gives tensor {name!r} a size that does not fit its shape")
        if entry.offset + entry.size > shard.size:
            what = f"{shard.path} has {shard.size} bytes, but tensor {name!r} ends at byte {entry.offset + entry.size}"
            raise _no_shard(shard, what) or Problem("truncated", what)
        # Tensors never share their bytes; if they could, a small file might stand for a huge tensor.
        self._room[entry.shard_id] -= entry.size
        if self._room[entry.shard_id] < 0:
            raise Problem("corrupt", f"{path} lists more bytes of tensors than {shard.path} has")
        return _Piece(entry.shard_id, entry.offset, entry.size, entry.crc32c)


def read_index_header(path: str) -> tuple[int, bool]:
    """The number of shards that the index at `path` names, and whether it is of a TensorFlow 2 object-based checkpoint.

    All of the index is read and its checksums are verified.
    Raises Problem: unreadable, lfs_pointer, truncated, not_a_checkpoint or corrupt.
    """
    with contextlib.closing(StoredFile(path)) as index:
        header, entries = _read_index(index)
        return header.num_shards, OBJECT_GRAPH.encode() in entries


class Contents(NamedTuple):
    """What a checkpoint holds: the bytes that its index asks of each shard (none of V1), and name -> shape."""

    shard_sizes: list[int]
    shapes: dict[str, tuple[int, ...]]


def read_index_contents(path: str) -> Contents:
    """What the index at `path` says of its shards and tensors. Raises Problem as read_index_header does."""
    with contextlib.closing(StoredFile(path)) as index:
        header, entries = _read_index(index)
    # A lying index may name any number of shards; those that no tensor lies in are empty.
    sizes = [0] * min(header.num_shards, _MOST_SIZES)
    for entry in entries.values():
        if not entry.slices and 0 <= entry.shard_id < len(sizes):
            sizes[entry.shard_id] = max(sizes[entry.shard_id], entry.offset + entry.size)
    names = [key for key in entries if not key.startswith(b"\0")]
    return Contents(sizes, {text(key, path): shape_of(entries[key].shape, str(key), path) for key in names})


def _read_index(index: StoredFile) -> tuple[Any, dict[bytes, Any]]:
    """The header, and key -> BundleEntryProto."""
    header, entries, room = None, {}, LARGEST_INDEX
    try:
        table = Table(index, LARGEST_INDEX)
        if index.size > LARGEST_INDEX:
            raise Problem("corrupt", f"{index.path} has {index.size} bytes, more than any index of a checkpoint")
        for key, value in table:
            room -= len(key) + len(value)
            if room < 0:
                raise Problem("corrupt", f"{index.path} describes its tensors in more than {LARGEST_INDEX} bytes")
            if key:
                entries[key] = tensor_bundle_pb2.BundleEntryProto.FromString(bytes(value))
            else:
                header = tensor_bundle_pb2.BundleHeaderProto.FromString(bytes(value))
    except DecodeError as error:
        raise Problem("corrupt", f"{index.path} has an entry that cannot be parsed") from error
    if header is None or header.num_shards < 1:
        raise Problem("corrupt", f"{index.path} has no header that says how many shards there are")
    if header.endianness != tensor_bundle_pb2.BundleHeaderProto.LITTLE:
        raise Problem(
            "corrupt",
            f"{index.path} was written on a big-endian machine, whose byte order is not supported",
            "restore and save the checkpoint on a little-endian machine",
        )
    check_version(header.version, index.path)
    return header, entries


def _no_shard(shard: StoredFile, why: str, left: int = 0) -> Problem | None:
    """The Problem with a shard that is known not to hold what the index says, where it shows what it is instead.

    Args:
      left: how many bytes more than all tensors have there are in it.
    """
    sample = shard.sample()
    few = 1 if 0 < left == sample.count(b"\r\n") else file_kinds.FEW
    if kind := file_kinds.converted(sample, few):
        return Problem("corrupt", f"{shard.path} is {kind.what}; {why}", kind.hint)
    if kind := file_kinds.other(sample):
        return Problem("not_a_checkpoint", f"{shard.path} is {kind.what}, not a checkpoint's data; {why}", kind.hint)
    return None


def check_version(version: Any, path: str) -> None:
    """Raises Problem (corrupt) where a VersionDef says that readers of checkpoint format 1 cannot read the file."""
    if version.min_consumer > _VERSION or _VERSION in version.bad_consumers:
        raise Problem("corrupt", f"{path} is of a newer checkpoint format than this program can read")


def text(name: bytes, path: str) -> str:
    """A tensor's name. Raises Problem (corrupt)."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem("corrupt", f"{path} has a tensor whose name {name!r} is not text") from error


def shape_of(proto: Any, name: str, path: str) -> tuple[int, ...]:
    """The shape in a TensorShapeProto. Raises Problem (corrupt) where it is not fully known."""
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or len(shape) > _MAX_RANK or min(shape, default=0) < 0:
        raise Problem("corrupt", f"{path} gives tensor {name!r} a shape that no tensor has")
    return shape


def slice_of(proto: Any, shape: tuple[int, ...], name: str, path: str) -> tuple[Slice, list[tuple[int, int]]]:
    """The box that a TensorSliceProto means, and its (start, length) pairs for slice_key: length -1 is all there is.

    Raises Problem (corrupt) where `shape` has no such box.
    """
    code = [(extent.start, extent.length if extent.HasField("length") else -1) for extent in proto.extent]
    if len(code) != len(shape) or not all(
        (start, length) == (0, -1) or (start >= 0 and length > 0 and start + length <= size)
        for (start, length), size in zip(code, shape, strict=True)
    ):
        raise Problem("corrupt", f"{path} lists a slice of tensor {name!r} that its shape does not have")
    extent = tuple(size if length < 0 else length for (_, length), size in zip(code, shape, strict=True))
    return Slice(tuple(start for start, _ in code), extent), code


def slice_key(name: str, code: list[tuple[int, int]]) -> bytes:
    """The key of a slice in a table (EncodeTensorNameSlice): 0, name, rank, and start and length of each dimension."""
    escaped = name.encode("utf-8").replace(b"\0", b"\0\xff")
    key = _ordered(0) + escaped + b"\0\1" + _ordered(len(code))
    return key + b"".join(_ordered_signed(number) for pair in code for number in pair)


def _ordered(number: int) -> bytes:
    """OrderedCode::WriteNumIncreasing: the number of bytes, and the bytes in big-endian order."""
    size = (number.bit_length() + 7) // 8
    return bytes([size]) + number.to_bytes(size, "big")


def _ordered_signed(number: int) -> bytes:
    """OrderedCode::WriteSignedNumIncreasing: big-endian two's complement, the first bits flipped, one for each byte."""
    size = ((~number if number < 0 else number).bit_length() + 7) // 7
    flipped = ((1 << size) - 1) << (7 * size)
    return ((number & ((1 << 8 * size) - 1)) ^ flipped).to_bytes(size, "big")
