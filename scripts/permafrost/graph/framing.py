"""Walks over protocol buffers as they lie in a file, without reading what they hold.

A frozen graph, and a SavedModel around one, may be 2 GiB large; what is to be known of them is a few bytes here and
there. Format: https://protobuf.dev/programming-guides/encoding.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from permafrost.encoding import read_varint

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_HEAD = 20  # bytes of a tag and of a length


class Field(NamedTuple):
    """A field of a message in a file: its number, and where its tag, its content and what follows begin."""

    number: int
    start: int
    content: int
    end: int


def fields(file: BinaryIO, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies in a file from `start` to `end`.

    Raises ValueError where there is no whole message. The file may be read elsewhere meanwhile.
    """
    while start < end:
        file.seek(start)
        head = file.read(min(_LONGEST_HEAD, end - start))
        tag, at = read_varint(head, 0, len(head))
        kind, content = tag & 7, start + at
        if kind == _VARINT:
            after = start + read_varint(head, at, len(head))[1]
        elif kind == _DELIMITED:
            size, at = read_varint(head, at, len(head))
            content = start + at
            after = content + size
        elif kind in _WIDTHS:
            after = content + _WIDTHS[kind]
        else:
            raise ValueError(f"a field at byte {start} has no kind that is known")
        if after > end:
            raise ValueError("it is cut off")
        yield Field(tag >> 3, start, content, after)
        start = after


def content_of(file: BinaryIO, field: Field) -> bytes:
    """The content of a field. Raises ValueError where the file ends before it does."""
    return read(file, field.content, field.end)


def read(file: BinaryIO, start: int, end: int) -> bytes:
    """The bytes of a file from `start` to `end`. Raises ValueError where it ends before."""
    file.seek(start)
    found = file.read(end - start)
    if len(found) < end - start:
        raise ValueError("it is cut off")
    return found


def size_of(file: BinaryIO) -> int:
    """The size of an open file, in bytes."""
    return file.seek(0, io.SEEK_END)
