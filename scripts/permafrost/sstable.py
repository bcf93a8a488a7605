"""Reads the sorted string tables in which TensorFlow keeps checkpoints: V2's `.index` files and V1's single files.

The format is LevelDB's (tensorflow/core/lib/io/table_format.txt): blocks of prefix-compressed entries, each block
followed by a byte that names its compression and a masked CRC32C; an index block with the last key and the place of
each block; and a footer of 48 bytes that ends in a magic number. Nothing that a file says of itself is believed.
"""

import os
from collections.abc import Iterator

import cramjam
from crc32c import crc32c

from permafrost.contract import Problem

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5
_MOST_EXPANSION = 64  # a block that claims to grow more than this by decompression is not one


def unmasked(masked: int) -> int:
    """The CRC32C behind a masked one (tensorflow/core/lib/hash/crc32c.h)."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` and the position after it. Raises ValueError where there is none of up to 64 bits."""
    value = shift = 0
    for position in range(position, min(position + 10, len(data))):
        value |= (data[position] & 127) << shift
        if data[position] < 128:
            return value, position + 1
        shift += 7
    raise ValueError("a varint has no end")


class Table:
    """An open table. Only its index block is held in memory; other blocks are read when they are asked for."""

    def __init__(self, descriptor: int, path: str):
        """Raises Problem: truncated for an empty file, not_a_checkpoint without the magic number, else corrupt."""
        self._descriptor, self._path = descriptor, path
        self._size = os.fstat(descriptor).st_size
        if self._size == 0:
            raise Problem("truncated", f"{path} is empty")
        footer = os.pread(descriptor, _FOOTER, max(0, self._size - _FOOTER))
        if len(footer) < _FOOTER or footer[-8:] != MAGIC:
            raise Problem(
                "not_a_checkpoint", f"{path} does not end as a TensorFlow checkpoint file does, or is cut off"
            )
        try:
            _, position = varint(footer, 0)
            _, position = varint(footer, position)
            offset, position = varint(footer, position)
            size, _ = varint(footer, position)
            self._blocks = [(key, *_handle(value)) for key, value in self._entries(offset, size)]
        except ValueError as error:
            raise self._corrupt(f"its index is garbled ({error})") from error

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries, in the order of the file. Raises Problem (corrupt)."""
        for _, offset, size in self._blocks:
            try:
                yield from self._entries(offset, size)
            except ValueError as error:
                raise self._corrupt(f"the block at byte {offset} is garbled ({error})") from error

    def _corrupt(self, what: str) -> Problem:
        return Problem("corrupt", f"{self._path}: {what}")

    def _block(self, offset: int, size: int) -> bytes:
        if offset + size + _TRAILER > self._size:
            raise ValueError("it goes beyond the end of the file")
        block = os.pread(self._descriptor, size + _TRAILER, offset)
        if len(block) != size + _TRAILER:
            raise ValueError("it is cut off")
        compression, stored = block[size], int.from_bytes(block[size + 1 :], "little")
        if crc32c(memoryview(block)[: size + 1]) != unmasked(stored):
            raise ValueError("its checksum does not match")
        if compression == 0:
            return block[:size]
        if compression != 1:
            raise ValueError(f"it has the unknown compression {compression}")
        length, _ = varint(block, 0)
        if length > _MOST_EXPANSION * max(size, 1 << 10):
            raise ValueError(f"it claims to hold {length} bytes")
        try:
            return bytes(cramjam.snappy.decompress_raw(block[:size]))
        except cramjam.DecompressionError as error:
            raise ValueError("it cannot be decompressed") from error

    def _entries(self, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
        block = self._block(offset, size)
        restarts = int.from_bytes(block[-4:], "little")
        end = len(block) - 4 - 4 * restarts
        if len(block) < 4 or end < 0:
            raise ValueError("its restart points go beyond it")
        position, key = 0, b""
        while position < end:
            shared, position = varint(block, position)
            unshared, position = varint(block, position)
            length, position = varint(block, position)
            if shared > len(key) or position + unshared + length > end:
                raise ValueError("an entry goes beyond it")
            key = key[:shared] + block[position : position + unshared]
            position += unshared
            yield key, block[position : position + length]
            position += length


def _handle(value: bytes) -> tuple[int, int]:
    offset, position = varint(value, 0)
    size, _ = varint(value, position)
    return offset, size
