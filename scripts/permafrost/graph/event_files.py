"""The graphs in a TensorBoard events file, which a training program writes beside its checkpoints.

The file is a sequence of records (tensorflow/core/lib/io/record_writer.h): the length of what is in it (uint64), the
masked CRC32C of these eight bytes, the bytes, and their masked CRC32C, all of it little-endian. Each record is an Event
(tensorflow/core/util/event.proto), of which `graph_def` is field 4 and `meta_graph_def` field 9, both as bytes.
TensorFlow is not imported, and what is no graph is passed over unread: a file may have gigabytes of it.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from permafrost.encoding import masked, read_varint
from permafrost.graph.graph_files import LARGEST_GRAPH
from permafrost.outcome import Problem

_HEADER, _FOOTER = 12, 4  # bytes before and after what is in a record
_GRAPH_DEF, _META_GRAPH_DEF = 4, 9  # fields of Event
_BEFORE_GRAPH = 64  # bytes; an Event's time and step, and the length of its graph, take less
_MOST_RECORDS = 200_000  # a graph is written when a file begins, so that what is far behind it need not be looked at
_MOST_GRAPHS = 16
_FIXED = {1: 8, 5: 4}  # bytes of a field, by its wire type


@dataclass(frozen=True)
class Held:
    """A graph in an events file: whether it is a MetaGraphDef rather than a GraphDef, and its bytes."""

    is_meta_graph: bool
    content: bytes


def is_events(path: str) -> bool:
    """Whether a file is an events file, by its name (`events.out.tfevents.<time>.<host>`)."""
    return ".tfevents." in f"{os.path.basename(path)}."


def graphs(path: str) -> list[Held]:
    """The graphs in the events file at `path`, in order, of like ones the first, and at most 16.

    A record that is damaged, or longer than what is left of the file, ends it: a program that is killed leaves such an
    end. No length is believed beyond the file's own, and a graph whose checksum is wrong is none.
    Raises Problem: unreadable, or bad_meta_graph where no graph is in it.
    """
    found: dict[Held, None] = {}
    try:
        with Path(path).open("rb") as file:
            for held in _held(file, os.fstat(file.fileno()).st_size):
                found[held] = None
                if len(found) == _MOST_GRAPHS:
                    break
    except OSError as error:
        raise Problem("unreadable", f"{path}: {error.strerror}") from error
    if not found:
        raise Problem("bad_meta_graph", f"{path} holds no graph, or is damaged before it")
    return list(found)


def _held(file: BinaryIO, size: int) -> Iterator[Held]:
    left = LARGEST_GRAPH  # bytes of graphs
    for begin, length in _records(file, size):
        place = _place_of_graph(file.read(min(length, _BEFORE_GRAPH)))
        if place is None or length > left or place.end > length:
            continue
        file.seek(begin)
        content = file.read(length)
        if _is_whole(content, file.read(_FOOTER)):
            left -= length
            yield Held(place.field == _META_GRAPH_DEF, content[place.begin : place.end])


def _records(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Where each record's content begins, and how long it is, with the file at its beginning."""
    position = 0
    for _ in range(_MOST_RECORDS):
        file.seek(position)
        header = file.read(_HEADER)
        if len(header) < _HEADER or not _is_whole(header[:8], header[8:]):
            return
        (length,) = struct.unpack("<Q", header[:8])
        begin = position + _HEADER
        position = begin + length + _FOOTER
        if position > size:
            return
        yield begin, length


def _is_whole(content: bytes, stored: bytes) -> bool:
    from crc32c import crc32c  # Only here, since most models have a meta graph of their own.

    return len(stored) == 4 and masked(crc32c(content)) == int.from_bytes(stored, "little")


@dataclass(frozen=True)
class _Place:
    field: int
    begin: int
    end: int


def _place_of_graph(head: bytes) -> _Place | None:
    """Where in an Event its graph is, by the Event's first bytes; None where it has none.

    The fields of an Event are written by their numbers, and it has one of these that hold something.
    """
    position = 0
    try:
        while position < len(head):
            tag, position = read_varint(head, position, len(head))
            number, wire_type = tag >> 3, tag & 7
            if wire_type in _FIXED:
                position += _FIXED[wire_type]
                continue
            length, position = read_varint(head, position, len(head))
            if wire_type == 2:
                end = position + length
                return _Place(number, position, end) if number in (_GRAPH_DEF, _META_GRAPH_DEF) else None
    except ValueError:
        pass
    return None
