"""CSV files: RFC 4180, UTF-8, one line for each row, and whole or not at all."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from permafrost.outcome import Problem
from permafrost.whole_files import written_whole
from permafrost.zoo.names import printable

# Surrogates that do not stand for a byte of a file name.
_LONE_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is 131,072


def text(value: Any) -> str:
    """`value` as one line of UTF-8: control characters and bytes that are not UTF-8 are percent-encoded.

    None is empty, and a list is its elements, joined by `; `. Anything else stays as it is, `=` at the start as well.
    """
    if isinstance(value, list | tuple):
        return "; ".join(map(text, value))
    return "" if value is None else printable(_LONE_SURROGATES.sub("\ufffd", str(value)))


def shape(sizes: Iterable[int | None]) -> str:
    """The shape of a tensor, `[?, 3]` for instance; None and -1 are sizes that nothing tells."""
    return f"[{', '.join('?' if size in (None, -1) else str(size) for size in sizes)}]"


def integer(value: Any) -> int | None:
    """`value` where it is an integer of at most 64 bits, else None."""
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and -(2**63) <= value < 2**63 else None


def number(value: Any) -> float | None:
    """`value` as a float where it is a number, infinite ones included, else None; NaN is none."""
    try:
        found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None
    return found if found == found else None


def write(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a CSV file to `path`, whole or not at all. Raises OSError.

    Args:
      rows: a text for each name in `header`, as `text` gives it.
    """
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def read(path: str | Path, needed: Iterable[str] = ()) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file, all strings; empty lines are none.

    Raises Problem: io_error where it cannot be read, internal where it is no CSV file with the columns `needed`.
    """
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except OSError as error:
        raise Problem("io_error", f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:
        raise Problem("internal", f"{path} is not a CSV file: {error}") from error
    missing = [column for column in needed if column not in header]
    if missing:
        raise Problem("internal", f"{path} has no column {missing[0]!r}")
    strange = next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if strange or len(set(header)) < len(header):
        where = f"row {strange} has another number of cells than" if strange else "a column stands twice in"
        raise Problem("internal", f"{path} is not a table: {where} its header")
    return header, rows


def read_rows(path: str | Path, needed: Iterable[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file, column by column. Raises as `read` does."""
    header, rows = read(path, needed)
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_rows_or_none(path: str | Path, needed: Iterable[str] = ()) -> list[dict[str, str]]:
    """As `read_rows`; none where the file is not there, or is no such table."""
    try:
        return read_rows(path, needed)
    except Problem:
        return []
