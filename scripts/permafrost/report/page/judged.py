"""What the page shows of the frozen graphs of other tools, where somebody had them judged."""

import sys
from pathlib import Path

from permafrost import layout, settings
from permafrost.outcome import STATUSES, Problem
from permafrost.report import csv_files
from permafrost.report.tables.judged import JUDGED

MOST = 300  # rows

Row = dict[str, str]


def rows(reports: str | Path) -> list[Row]:
    """The rows of judged.csv, those that are not as expected first; none where there is no such table."""
    path = Path(reports, layout.JUDGED)
    if not path.exists():
        return []
    try:
        found = csv_files.read_rows(path, JUDGED.header)
    except Problem as problem:
        print(f"not shown: {problem.message}", file=sys.stderr)
        return []
    return sorted(found, key=lambda row: (_is_as_expected(row), row["model"]))


def _is_as_expected(row: Row) -> bool:
    return settings.meets(row["expect"].split("; "), row["status"], row["cause"])


def counts(rows: list[Row]) -> list[tuple[str, int]]:
    """How many ended with each status, for those with which any did."""
    found = [(status, sum(row["status"] == status for row in rows)) for status in STATUSES]
    return [(status, count) for status, count in found if count]
