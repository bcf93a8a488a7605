"""A table as a line a column: from it come the header, the cells, their types and what docs/reports.md says of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from permafrost.records import known
from permafrost.report import csv_files

Row = dict[str, Any]  # column -> value

TEXT, INTEGER, NUMBER = "text", "integer", "number"

MODEL = "the model's id: `<directory below the zoo>/<stem>`"


@dataclass(frozen=True)
class Column:
    """A column: its name, what it means, and its value as a function of what a row is made of.

    By default the value is what a row has under the column's name, a dict's key or else an attribute; None where it has
    nothing.
    """

    name: str
    meaning: str
    value: Callable[[Any], object] | None = None

    type: ClassVar[str]

    def of(self, row: Any) -> object:
        """The value of a row."""
        if self.value is not None:
            return self.value(row)
        return row.get(self.name) if isinstance(row, dict) else known(getattr(row, self.name, None), None)

    def cells(self, values: Sequence[Any]) -> list[str]:
        """The column's cells for the values of all rows; empty where a value is not of the column's type."""
        return list(map(self._cell, values))

    def _cell(self, value: Any) -> str:
        raise NotImplementedError


class Text(Column):
    """One line of text; a list as its elements, joined by `; `."""

    type = TEXT

    def _cell(self, value: Any) -> str:
        return csv_files.text(value)


class Integer(Column):
    """An integer of at most 64 bits."""

    type = INTEGER

    def _cell(self, value: Any) -> str:
        found = csv_files.integer(value)
        return "" if found is None else str(found)


class Number(Column):
    """A float, from which its text gives back all bits."""

    type = NUMBER

    def _cell(self, value: Any) -> str:
        found = csv_files.number(value)
        return "" if found is None else str(found)


@dataclass(frozen=True)
class Table:
    """A CSV file: where it is, what a row is, and its columns in their order."""

    path: str
    rows: str
    columns: tuple[Column, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of a name. Raises StopIteration where there is none."""
        return next(column for column in self.columns if column.name == name)

    def cells(self, rows: Iterable[Any]) -> list[tuple[str, ...]]:
        """The cells of each row.

        Args:
          rows: what the columns' values are functions of.
        """
        rows = list(rows)
        by_column = [column.cells([column.of(row) for row in rows]) for column in self.columns]
        return list(zip(*by_column, strict=True))

    def write(self, path: str | Path, rows: Iterable[Any]) -> None:
        """Writes the CSV file to `path`, whole or not at all. Raises OSError.

        Args:
          rows: as for `cells`.
        """
        csv_files.write(path, self.header, self.cells(rows))

    def sentences(self) -> dict[str, str]:
        """What each column means, in plain text."""
        return {column.name: column.meaning.replace("`", "") for column in self.columns}
