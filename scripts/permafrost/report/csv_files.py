"""Tables as CSV files: RFC 4180, UTF-8, one line for each row, and whole or not at all."""

import re
from pathlib import Path

import pandas as pd

from permafrost.outcome import Problem
from permafrost.whole_files import written_whole
from permafrost.zoo.names import printable

# Surrogates that do not stand for a byte of a file name.
_LONE_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def text(value) -> str:
    """`value` as one line of UTF-8: control characters and bytes that are not UTF-8 are percent-encoded.

    None is empty, and a list is its elements, joined by `; `. Anything else stays as it is, `=` at the start as well.
    """
    if isinstance(value, list | tuple):
        return "; ".join(map(text, value))
    return "" if value is None else printable(_LONE_SURROGATES.sub("\ufffd", str(value)))


def integer(value) -> int | None:
    """`value` where it is an integer of at most 64 bits, else None (blank)."""
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and -(2**63) <= value < 2**63 else None


def number(value) -> float | None:
    """`value` as a float where it is a number, infinite ones included, else None (blank)."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def table(rows: list[tuple], columns: tuple[str, ...], integers: set[str], numbers: set[str]) -> pd.DataFrame:
    """A DataFrame of `rows`, each with a value for each of `columns`.

    The columns in `integers` are Int64 and those in `numbers` are float64, blank where the value is no such number;
    all others are text.
    """
    by_column = zip(*rows, strict=True) if rows else [()] * len(columns)
    made = {}
    for name, values in zip(columns, by_column, strict=True):
        if name in integers:
            made[name] = pd.array([integer(value) for value in values], dtype="Int64")
        elif name in numbers:
            made[name] = pd.array([number(value) for value in values], dtype="float64")
        else:
            made[name] = pd.array([text(value) for value in values], dtype=object)
    return pd.DataFrame(made, columns=list(columns))


def read(path: str | Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """The rows of a CSV file, all strings.

    Raises Problem: io_error where it cannot be read, internal where it is no CSV file with the columns `needed`.
    """
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, encoding="utf-8")
    except OSError as error:
        raise Problem("io_error", f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise Problem("internal", f"{path} is not a CSV file: {error}") from error
    missing = [column for column in needed if column not in rows]
    if missing:
        raise Problem("internal", f"{path} has no column {missing[0]!r}")
    return rows


def write(path: str | Path, frame: pd.DataFrame) -> None:
    """Writes a DataFrame to `path` as CSV, whole or not at all. Raises OSError."""
    with written_whole(path) as temporary:
        frame.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
