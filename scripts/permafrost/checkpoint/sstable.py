"""Sorted string tables, the files in which TensorFlow keeps what a checkpoint holds.

    data block ... | metaindex block | index block | footer
    block   entries, offsets of the restart points (uint32 each), their number (uint32)
            then its trailer: compression (1 byte: 0 none, 1 snappy), masked CRC32C of block and compression byte
    entry   varints: key bytes shared with the key before, further key bytes, value bytes; then these bytes
    index   one entry for each data block: a key not below its last one -> handle
    footer  48 bytes: handles of metaindex and index (varints: offset, size), padding, magic number (8 bytes)

The format is LevelDB's (doc/table_format.md) as TensorFlow uses it: core/lib/io/format.cc, block.cc and table.cc.
Nothing in a file is believed: every offset, size and count is held against what is really there, and memory stays
within a small multiple of the largest block. How large that may be is bounded too, since a sparse file of any size
costs nothing.
"""

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator

import cramjam
from crc32c import crc32c

from permafrost import file_kinds
from permafrost.checkpoint.unchanged import stamp, stamp_of
from permafrost.encoding import LFS_POINTER, TABLE_MAGIC, masked, read_varint
from permafrost.outcome import Problem

# Bytes of a block that names blocks or tensors, each in about a hundred: millions of them.
LARGEST_INDEX = 256 << 20
# Bytes of any other block: that of a V1 checkpoint holds one protocol buffer, which has less than 2 GiB, or ends after
# it where smaller ones came before.
_LARGEST_BLOCK = (1 << 31) + (1 << 20)

_FOOTER = 48
_TRAILER = 5
# Snappy's densest element copies 64 bytes and takes 3.
_SNAPPY_RATIO = 22
# TensorFlow starts keys anew after 16 entries, so that no key byte is used more often than this.
_RESTART_INTERVAL = 16


class StoredFile:
    """A file of a checkpoint, open for reading, with what tells whether it is still the same.

    Raises Problem: unreadable, changed (it is not there, though a look at the directory has just shown it), or
    lfs_pointer.
    """

    def __init__(self, path: str):
        self.path = path
        try:
            # Opening a pipe would wait for somebody to write into it.
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise Problem("unreadable", f"{path} is not a regular file", "move it out of the zoo")
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and not os.path.islink(path):
                raise Problem("changed", f"{path} was deleted before it was read to the end") from error
            raise Problem("unreadable", f"{path}: {getattr(error, 'strerror', None) or error}") from error
        try:
            self._stamp = stamp(os.fstat(self._descriptor))
            self.size = self._stamp[0]
            if self.read(0, min(self.size, len(LFS_POINTER))) == LFS_POINTER:
                raise Problem("lfs_pointer", f"{path} is a Git LFS pointer, not the checkpoint's file itself")
        except BaseException:
            self.close()
            raise

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fills `view` with the file's bytes from `offset`. Raises Problem: io_error, changed or truncated."""
        while view:
            try:
                count = os.preadv(self._descriptor, [view], offset)
            except OSError as error:
                raise Problem("io_error", f"{self.path}: {error.strerror}") from error
            if not count:
                self.check_unchanged()
                raise Problem("truncated", f"{self.path} ends at byte {offset}, in the middle of what is stored there")
            view, offset = view[count:], offset + count

    def read(self, offset: int, size: int) -> bytearray:
        """The `size` bytes from `offset`. Raises Problem as read_into does."""
        data = bytearray(size)
        self.read_into(offset, memoryview(data))
        return data

    def sample(self) -> bytes:
        """The first bytes, by which file_kinds tells what else it may be. Raises Problem as read_into does."""
        return bytes(self.read(0, min(self.size, file_kinds.SAMPLE)))

    def check_unchanged(self) -> None:
        """Raises Problem (changed) where the open file, or the one at its path by now, is not as it was when opened."""
        try:
            now = stamp(os.fstat(self._descriptor))
        except OSError:
            now = None
        if not now == self._stamp == stamp_of(self.path):
            raise Problem("changed", f"{self.path} was changed while it was read")

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Table:
    """The sorted string table in a file: bytes -> bytes, in ascending order of the keys.

    Args:
      largest: of its data blocks, in bytes, as they are stored and when they are decompressed.
    Raises Problem: truncated, not_a_checkpoint, or corrupt, here and when blocks are read.
    """

    def __init__(self, file: StoredFile, largest: int = _LARGEST_BLOCK):
        self.file, self._largest = file, LARGEST_INDEX
        footer = self._footer()
        try:
            position = 0
            handle = []
            for _ in range(4):
                number, position = read_varint(footer, position, _FOOTER - len(TABLE_MAGIC))
                handle.append(number)
        except ValueError as error:
            raise self._corrupt(f"its footer is garbled: {error}") from error
        offset, size = handle[2:]
        self._keys, self._handles = [], []
        free = 0
        for key, value in self._entries(offset, size, file.size - _FOOTER):
            try:
                start, position = read_varint(value, 0, len(value))
                length, _ = read_varint(value, position, len(value))
            except ValueError as error:
                raise self._corrupt(f"its index is garbled: {error}") from error
            # Blocks that overlapped would let a small file take for ever to read.
            if start < free or start + length + _TRAILER > offset:
                raise self._corrupt("its index names a block that lies outside of the data")
            free = start + length + _TRAILER
            self._keys.append(key)
            self._handles.append((start, length))
        self._largest = largest
        self._cached: tuple[int, dict[bytes, memoryview]] = (-1, {})

    def __iter__(self) -> Iterator[tuple[bytes, memoryview]]:
        """All keys and values; each block's checksum is verified."""
        last = None
        for number in range(len(self._handles)):
            for key, value in self._data_block(number):
                if last is not None and key <= last:
                    raise self._corrupt("its keys are not in order")
                last = key
                yield key, value

    def get(self, key: bytes) -> memoryview | None:
        """The value of `key`, or None; the checksum of its block is verified. One block is kept for the next call."""
        number = bisect_left(self._keys, key)
        if number == len(self._keys):
            return None
        if number != self._cached[0]:
            self._cached = (-1, {})
            self._cached = (number, dict(self._data_block(number)))
        return self._cached[1].get(key)

    def _footer(self) -> bytearray:
        path, size = self.file.path, self.file.size
        if not size:
            raise Problem("truncated", f"{path} is empty")
        footer = self.file.read(max(0, size - _FOOTER), min(size, _FOOTER))
        if len(footer) == _FOOTER and footer.endswith(TABLE_MAGIC):
            return footer
        sample = self.file.sample()
        if kind := file_kinds.converted(sample):
            raise Problem("corrupt", f"{path} is {kind.what}", kind.hint)
        if _begins_like_a_table(sample[:16]):
            raise Problem("truncated", f"{path} begins like a checkpoint's table but lacks the mark at its end")
        if kind := file_kinds.other(sample):
            raise Problem("not_a_checkpoint", f"{path} is {kind.what}, not a TensorFlow checkpoint", kind.hint)
        raise Problem("not_a_checkpoint", f"{path} is not a TensorFlow checkpoint; it lacks the mark at its end")

    def _data_block(self, number: int) -> Iterator[tuple[bytes, memoryview]]:
        offset, size = self._handles[number]
        return self._entries(offset, size, offset + size + _TRAILER)

    def _entries(self, offset: int, size: int, limit: int) -> Iterator[tuple[bytes, memoryview]]:
        """The entries of the block at `offset`, which must end before `limit`."""
        block = self._block(offset, size, limit)
        restarts = int.from_bytes(block[-4:], "little") if len(block) >= 4 else -1
        end = len(block) - 4 * (restarts + 1)
        if restarts < 0 or end < 0:
            raise self._corrupt(f"the block at byte {offset} is garbled")
        allowed = _RESTART_INTERVAL * len(block)
        position, key, first = 0, b"", True
        while position < end:
            try:
                shared, position = read_varint(block, position, end)
                unshared, position = read_varint(block, position, end)
                length, position = read_varint(block, position, end)
            except ValueError as error:
                raise self._corrupt(f"the block at byte {offset} is garbled: {error}") from error
            if shared > len(key) or unshared + length > end - position:
                raise self._corrupt(f"the block at byte {offset} has an entry that is longer than the block")
            allowed -= shared + unshared
            if allowed < 0:
                raise self._corrupt(f"the block at byte {offset} repeats its keys too often")
            following = key[:shared] + bytes(block[position : position + unshared])
            if following <= key and not first:
                raise self._corrupt("its keys are not in order")
            key, first = following, False
            position += unshared
            yield key, block[position : position + length]
            position += length

    def _block(self, offset: int, size: int, limit: int) -> memoryview:
        if offset + size + _TRAILER > limit:
            raise self._corrupt(f"the block at byte {offset} does not end where it should")
        self._check_size(offset, size)
        stored = memoryview(self.file.read(offset, size + _TRAILER)).toreadonly()
        if masked(crc32c(stored[: size + 1])) != int.from_bytes(stored[size + 1 :], "little"):
            self.file.check_unchanged()
            raise self._corrupt(f"the checksum of the block at byte {offset} does not match its content")
        compression, block = stored[size], stored[:size]
        if compression == 0:
            return block
        if compression != 1:
            raise self._corrupt(f"the block at byte {offset} has the unknown compression {compression}")
        try:
            length = cramjam.snappy.decompress_raw_len(block)
            if length > _SNAPPY_RATIO * size:
                raise self._corrupt(f"the block at byte {offset} claims more bytes than it can hold")
            self._check_size(offset, length)
            return memoryview(bytes(cramjam.snappy.decompress_raw(block, output_len=length)))
        except cramjam.DecompressionError as error:
            raise self._corrupt(f"the block at byte {offset} cannot be decompressed") from error

    def _check_size(self, offset: int, size: int) -> None:
        if size > self._largest:
            raise self._corrupt(f"the block at byte {offset} claims {size} bytes, more than any has in a checkpoint")

    def _corrupt(self, why: str) -> Problem:
        kind = file_kinds.converted(self.file.sample())
        if kind:
            return Problem("corrupt", f"{self.file.path} is {kind.what}; {why}", kind.hint)
        return Problem("corrupt", f"{self.file.path} is corrupt: {why}")


def _begins_like_a_table(head: bytes) -> bool:
    """Whether a file begins with an entry of empty key whose value is the header of a checkpoint, V1 or V2."""
    if not head.startswith(b"\0\0"):
        return False
    try:
        length, position = read_varint(head, 2, len(head))
    except ValueError:
        return len(head) < 16
    return length > 0 and head[position : position + 1] in (b"\x08", b"\x0a", b"")
