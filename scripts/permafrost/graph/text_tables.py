"""The lines of a text file as the keys and values of a lookup table, as TensorFlow reads them.

Source: TextFileLineIterator in tensorflow/core/kernels/lookup_util.cc, and TextFileInitializer in
tensorflow/python/ops/lookup_ops.py. Where TensorFlow takes what is refused here (`nan`, hexadecimal numbers), no table
is the worse for it; where it refuses what is taken here, the judge finds it out.
"""

import math
import os
import re
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from permafrost.encoding import LFS_POINTER
from permafrost.graph.dtypes import enum_name
from permafrost.graph.protos import NodeDef, types_pb2
from permafrost.outcome import Problem

LARGEST = 1 << 28  # bytes of a file; those of a graph are 2 GiB at most
Cell = bytes | int | float

_LINE_NUMBER, _WHOLE_LINE = -1, -2
_FLOATS = (types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE)
_BITS = {types_pb2.DT_INT32: 32, types_pb2.DT_INT64: 64}
_SPACE = b" \t\n\v\f\r"
_INTEGER = re.compile(rb"[+-]?[0-9]{1,40}")
_FLOAT = re.compile(rb"[+-]?([0-9]{1,60}\.?[0-9]{0,60}|\.[0-9]{1,60})([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Format:
    """How the lines of a file are read.

    key_index, value_index: the column, or -1 for the number of the line, or -2 for all of it. size: how many lines are
    read, or -1 for all. delimiter: between columns, one byte. offset: is added to the numbers of lines.
    key_dtype, value_dtype: DataTypes.
    """

    key_index: int
    value_index: int
    size: int
    delimiter: bytes
    offset: int
    key_dtype: int
    value_dtype: int


def format_of(initializer: NodeDef, table: NodeDef) -> Format:
    """How an InitializeTableFromTextFile reads its file for the table of a NodeDef."""
    attributes = initializer.attr
    return Format(
        key_index=attributes["key_index"].i,
        value_index=attributes["value_index"].i,
        size=attributes["vocab_size"].i if "vocab_size" in attributes else -1,
        delimiter=attributes["delimiter"].s if "delimiter" in attributes else b"\t",
        offset=attributes["offset"].i if "offset" in attributes else 0,
        key_dtype=table.attr["key_dtype"].type,
        value_dtype=table.attr["value_dtype"].type,
    )


def read(path: str, form: Format) -> dict[Cell, Cell]:
    """Key -> value, in the order of the lines of the regular file at `path`.

    Strings are bytes. Raises Problem: bad_vocabulary for what TensorFlow fills no table from, lfs_pointer, unreadable,
    or too_large for more than LARGEST bytes.
    """
    lines = _lines(_content(path))
    if form.size != -1 and len(lines) < form.size:
        raise _bad(path, f"has {len(lines)} lines where the graph asks for {form.size}")
    if len(form.delimiter) != 1:
        raise _bad(path, f"is to be split at {form.delimiter!r}, which is not one character")
    entries: dict[Cell, Cell] = {}
    take_key = _taker(path, form, form.key_index, form.key_dtype)
    take_value = _taker(path, form, form.value_index, form.value_dtype)
    columns = max(form.key_index, form.value_index) + 1
    for number, line in enumerate(lines if form.size == -1 else lines[: form.size]):
        cells = line.split(form.delimiter) if columns else []
        if not line or len(cells) < columns:
            wrong = "is empty" if not line else f"has {len(cells)} columns where {columns} are needed"
            raise _bad(path, f"cannot fill the table: line {number + 1} {wrong}")
        key, value = take_key(number, line, cells), take_value(number, line, cells)
        if entries.setdefault(key, value) != value:
            raise _bad(path, f"has the key {key!r} again in line {number + 1}, with another value")
    if not entries:
        raise _bad(path, "has no lines, and TensorFlow fills no table from nothing")
    return entries


def _bad(path: str, wrong: str) -> Problem:
    return Problem("bad_vocabulary", f"{path} {wrong}")


def _content(path: str) -> bytes:
    """The content of a file, which is opened without a wait, and only if it is a regular one still."""
    try:
        # What was looked at is a file without a link; a pipe in its place would be waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise _bad(path, "is no regular file")
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise Problem("unreadable", f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise too_large(path)
    if content.startswith(LFS_POINTER):
        raise Problem("lfs_pointer", f"{path} is a Git LFS pointer, not the file itself")
    return content


def too_large(path: str) -> Problem:
    """The Problem with a file that has more than LARGEST bytes."""
    hint = "fill the table from a smaller file, or choose `outputs:` that do not need it"
    return Problem("too_large", f"{path} has more than the {LARGEST >> 20} MiB of which a table is made", hint)


def _lines(content: bytes) -> list[bytes]:
    """The lines, each without its end and one carriage return before that; what is left at the end, if anything is."""
    lines = [line.removesuffix(b"\r") for line in content.split(b"\n")]
    return lines if lines[-1] else lines[:-1]


def _taker(path: str, form: Format, index: int, dtype: int) -> Callable[[int, bytes, list[bytes]], Cell]:
    """A function of a line's number, the line, and its columns that gives the key, or the value, of the line."""
    if index == _LINE_NUMBER:
        if dtype != types_pb2.DT_INT64:
            raise _bad(path, f"gives the numbers of lines, which are no {enum_name(dtype)}")
        return lambda number, line, cells: _wrapped(number + form.offset, dtype)
    if dtype == types_pb2.DT_STRING:
        return (
            (lambda number, line, cells: line) if index == _WHOLE_LINE else (lambda number, line, cells: cells[index])
        )
    if dtype not in (*_FLOATS, *_BITS) or (index == _WHOLE_LINE and dtype in _FLOATS) or index < _WHOLE_LINE:
        raise _bad(path, f"cannot fill a table with {enum_name(dtype)} from column {index}")
    convert = _float if dtype in _FLOATS else _integer

    def take(number: int, line: bytes, cells: list[bytes]) -> Cell:
        text = line if index == _WHOLE_LINE else cells[index]
        # C++ reads a number up to the first zero byte.
        value = convert(text.split(b"\0")[0].strip(_SPACE), dtype)
        if value is None:
            raise _bad(path, f"has {text[:40]!r} in line {number + 1}, which is no {enum_name(dtype)}")
        # TensorFlow adds the offset to these, and not to longer numbers.
        return value if dtype != types_pb2.DT_INT32 else _wrapped(int(value) + form.offset, dtype)

    return take


def _wrapped(value: int, dtype: int) -> int:
    """A sum as the integers of a DataType have it."""
    half = 1 << (_BITS[dtype] - 1)
    return (value + half) % (2 * half) - half


def _integer(text: bytes, dtype: int) -> int | None:
    value = int(text) if _INTEGER.fullmatch(text) else None
    limit = 1 << (_BITS[dtype] - 1)
    return value if value is not None and -limit <= value < limit else None


def _float(text: bytes, dtype: int) -> float | None:
    """The number nearest to a decimal one; None for what is none, or is too large."""
    if not _FLOAT.fullmatch(text):
        return None
    value = float(text)
    if dtype == types_pb2.DT_FLOAT and math.isfinite(value):
        value = _nearest_float32(Fraction(text.decode("ascii")), value)
    return value if math.isfinite(value) else None


def _nearest_float32(exact: Fraction, near: float) -> float:
    """The float32 nearest to `exact`; rounded by way of a double, `near`, it could be the next one."""
    try:
        bits = int.from_bytes(struct.pack("<f", near), "little")
    except OverflowError:
        return math.inf
    sign, size = bits & 0x80000000, bits & 0x7FFFFFFF
    around = [sign | other for other in (size - 1, size, size + 1) if 0 <= other < 0x7F800000]
    values = [(struct.unpack("<f", other.to_bytes(4, "little"))[0], other) for other in around]
    nearest = min(values, key=lambda each: (abs(Fraction(each[0]) - exact), each[1] & 1))
    return float(nearest[0])
