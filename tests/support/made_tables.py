"""Tables, as checkpoints are made of, put together by hand, block by block, so that they can lie."""

import cramjam
from crc32c import crc32c

from permafrost.checkpoint.sstable import StoredFile, Table
from permafrost.encoding import TABLE_MAGIC, masked


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def entry(key, value, shared=0):
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def block(entries, compressed=False):
    content = b"".join(entries) + b"\0\0\0\0\1\0\0\0"
    if compressed:
        content = bytes(cramjam.snappy.compress_raw(content))
    return sealed(content, int(compressed))


def sealed(content, compression=0):
    content += bytes([compression])
    return content + masked(crc32c(content)).to_bytes(4, "little")


def handle(offset, block_bytes):
    return varint(offset) + varint(len(block_bytes) - 5)


def table(data_blocks, handles=None):
    """A table of data blocks, each (last key, bytes)."""
    content, entries = b"", []
    for number, (last, data) in enumerate(data_blocks):
        entries.append(entry(last, handles[number] if handles else handle(len(content), data)))
        content += data
    meta, index = block([]), block(entries)
    footer = handle(len(content), meta) + handle(len(content + meta), index)
    return content + meta + index + footer.ljust(40, b"\0") + TABLE_MAGIC


def read_table(path):
    file = StoredFile(str(path))
    try:
        return [(key, bytes(value)) for key, value in Table(file)]
    finally:
        file.close()
