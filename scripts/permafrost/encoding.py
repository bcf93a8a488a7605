"""How TensorFlow's files, and protocol buffers, write numbers and checksums, and the marks by which files are known."""

from typing import Any

# The last bytes of a sorted string table (tensorflow/core/lib/io/format.h, kTableMagicNumber).
TABLE_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")

# The first bytes of a Git LFS pointer, which stands where the file itself was not fetched.
LFS_POINTER = b"version https://git-lfs"

_LONGEST_VARINT = 10  # bytes


def varint(number: int) -> bytes:
    """The base 128 varint of a number that is not negative."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def read_varint(data: Any, position: int, end: int) -> tuple[int, int]:
    """The base 128 varint of at most 64 bits in data[position:end], and the position after it. Raises ValueError."""
    number = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        if position >= end:
            raise ValueError("a number is cut off")
        byte = data[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            if number >> 64:
                break
            return number, position
    raise ValueError("a number is too long")


def masked(checksum: int) -> int:
    """A CRC32C as TensorFlow stores it (core/lib/hash/crc32c.h: rotated right by 15 bits, plus a constant)."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
