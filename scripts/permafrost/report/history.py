"""The finished runs: history.csv has a row for each.

A run is known by the time at which its summary.csv was written, so that one in which nothing was made anew is no row.
It is no output of a rule: Snakemake would take it back where the gate fails, which is when the trend matters.
"""

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from permafrost.outcome import STATUSES
from permafrost.report import csv_files, run_file
from permafrost.report.run_file import Run
from permafrost.report.tables.history import HISTORY

Row = dict[str, Any]


class Ended(Protocol):
    """How a model ended."""

    @property
    def status(self) -> str: ...

    @property
    def is_as_expected(self) -> bool: ...


def row(models: Sequence[Ended], summary: Path, run: Run | None) -> Row:
    """The row of the run that wrote a summary. Raises OSError.

    Args:
      models: those of the summary.
      run: what is known of the last run.
    """
    written = datetime.datetime.fromtimestamp(int(os.stat(summary).st_mtime), datetime.UTC)
    counts = {status: sum(model.status == status for model in models) for status in STATUSES}
    return {
        "date": run_file.iso(written),
        "seconds": _seconds(written, run),
        "version": run.versions.get("permafrost", "") if run else "",
        "models": len(models),
        **counts,
        "not_as_expected": sum(not model.is_as_expected for model in models),
    }


def _seconds(written: datetime.datetime, run: Run | None) -> int | None:
    """How long a run took until it wrote its summary; None where the run began later, and so wrote none."""
    try:
        took = (written - datetime.datetime.fromisoformat(run.began)).total_seconds() if run else -1
    except (TypeError, ValueError):
        return None
    return round(took) if took >= 0 else None


def read(path: Path) -> list[dict[str, str]]:
    """The rows of history.csv, none where there is no such file. Raises Problem where it is no such table."""
    return csv_files.read_rows(path, HISTORY.header) if os.path.lexists(path) else []


def with_row(rows: list[dict[str, str]], added: Row) -> list[dict[str, str]]:
    """The rows with one more, unless the last one is of the same date."""
    cells = dict(zip(HISTORY.header, HISTORY.cells([added])[0], strict=True))
    if rows and rows[-1]["date"] == cells["date"]:
        return rows
    return [*rows, cells]


def append(path: Path, added: Row) -> None:
    """Adds a row to history.csv, unless its last one is of the same date.

    Raises OSError where it cannot be written, and Problem where what is there is no such table, which then stays as it
    is.
    """
    rows = read(path)
    longer = with_row(rows, added)
    if len(longer) > len(rows):
        csv_files.write(path, HISTORY.header, [[row[name] for name in HISTORY.header] for row in longer])
