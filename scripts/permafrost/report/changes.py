"""Compares summary.csv with that of the last finished run: changes.csv says what became other in between.

A model that is new or gone is a row; of any other, each column of summary.csv that changed is one. `worse` and
`better` are said of the status. Without a finished run before, all models are new.
"""

import sys
from pathlib import Path

from permafrost.outcome import FAILED, MISMATCH, UNVERIFIABLE, VERIFIED, Problem
from permafrost.report import csv_files
from permafrost.report.tables.changes import BETTER, CHANGED, CHANGES, GONE, KINDS, NEW, WORSE

# From the best to the worst: a graph that computes something else is worse than none.
_RANK = {status: rank for rank, status in enumerate((VERIFIED, UNVERIFIABLE, FAILED, MISMATCH))}


def compare(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    """Rows of CHANGES, in the order of KINDS, then by model, then in the order of the columns.

    Args:
      before, after: two summaries, the row of each model by its id. Columns that one of them lacks are left out.
    """
    rows = [_change(model, NEW, "status", "", after[model]["status"]) for model in sorted(after.keys() - before.keys())]
    rows += [
        _change(model, GONE, "status", before[model]["status"], "") for model in sorted(before.keys() - after.keys())
    ]
    for model in sorted(after.keys() & before.keys()):
        old, new = before[model], after[model]
        changed = [column for column in new if column in old and old[column] != new[column]]
        rows += [_change(model, _kind(name, old[name], new[name]), name, old[name], new[name]) for name in changed]
    return sorted(rows, key=lambda row: KINDS.index(row["change"]))


def _change(*values: str) -> dict[str, str]:
    return dict(zip(CHANGES.header, values, strict=True))


def _kind(column: str, before: str, after: str) -> str:
    if column != "status":
        return CHANGED
    return WORSE if _RANK.get(after, 0) > _RANK.get(before, 0) else BETTER


def read(path: Path) -> dict[str, dict[str, str]]:
    """The row of each model of a summary, the first where it has several. Raises Problem as csv_files.read does."""
    return {row["model"]: row for row in reversed(csv_files.read_rows(path, ("model", "status")))}


def read_kept(path: Path) -> dict[str, dict[str, str]]:
    """The summary of the last finished run; one of no models where there is none, or what is there is no summary."""
    try:
        return read(path)
    except Problem as problem:
        print(f"compared with nothing: {problem.message}", file=sys.stderr)
        return {}


def write(kept: Path, summary: Path, path: Path) -> None:
    """Writes changes.csv to `path`. Raises OSError, and Problem where the summary cannot be read.

    Args:
      kept: the summary of the last finished run, which may be missing.
      summary: that of this run.
    """
    after = read(summary)
    CHANGES.write(path, compare(read_kept(kept), after))
