"""Compares summary.csv with that of the last finished run: changes.csv says what became other in between.

A model that is new or gone is a row; of any other, each column of summary.csv that changed is one. `worse` and
`better` are said of the status. Without a finished run before, all models are new.
"""

import sys
from pathlib import Path

import pandas as pd

from permafrost.outcome import CHANGE_COLUMNS, CHANGES, FAILED, MISMATCH, UNVERIFIABLE, VERIFIED, Problem
from permafrost.report import csv_files

# From the best to the worst: a graph that computes something else is worse than none.
_RANK = {status: rank for rank, status in enumerate((VERIFIED, UNVERIFIABLE, FAILED, MISMATCH))}


def compare(before: pd.DataFrame, after: pd.DataFrame) -> list[tuple]:
    """Rows of CHANGE_COLUMNS, in the order of contract.CHANGES, then by model, then in the order of the columns.

    Args:
      before, after: two summaries, all strings, with a column `model`. Columns that one of them lacks are left out.
    """
    old, new = (frame.set_index("model").to_dict("index") for frame in (before, after))
    columns = [column for column in after.columns if column in before.columns and column != "model"]
    rows = [(model, "new", "status", "", new[model]["status"]) for model in sorted(new.keys() - old.keys())]
    rows += [(model, "gone", "status", old[model]["status"], "") for model in sorted(old.keys() - new.keys())]
    for model in sorted(new.keys() & old.keys()):
        for column in columns:
            was, is_now = old[model][column], new[model][column]
            if was != is_now:
                rows.append((model, _kind(column, was, is_now), column, was, is_now))
    return sorted(rows, key=lambda row: CHANGES.index(row[1]))


def _kind(column: str, before: str, after: str) -> str:
    if column != "status":
        return "changed"
    return "worse" if _RANK.get(after, 0) > _RANK.get(before, 0) else "better"


def read_kept(path: Path, columns: list[str]) -> pd.DataFrame:
    """The summary of the last finished run; one of no models where there is none, or what is there is no summary."""
    try:
        kept = csv_files.read(path, ("model", "status"))
    except Problem as problem:
        print(f"compared with nothing: {problem.message}", file=sys.stderr)
        return pd.DataFrame(columns=columns, dtype=str)
    return kept.drop_duplicates("model")


def write(kept: Path, summary: Path, path: Path) -> None:
    """Writes changes.csv to `path`. Raises OSError, and Problem where the summary cannot be read.

    Args:
      kept: the summary of the last finished run, which may be missing.
      summary: that of this run.
    """
    after = csv_files.read(summary, ("model", "status"))
    before = read_kept(kept, list(after.columns))
    csv_files.write(path, csv_files.table(compare(before, after), CHANGE_COLUMNS, set(), set()))
