"""Lists how the frozen graphs of other tools were judged: a CSV file with a row for each."""

from pathlib import Path

import pandas as pd

from permafrost import records
from permafrost.outcome import JUDGED_COLUMNS, VERIFIED, Problem
from permafrost.report import csv_files

_NUMBERS = {"max_abs_diff", "tolerance_used"}


def row(model: dict, reports: str) -> tuple:
    """A model's row, with a value for each of JUDGED_COLUMNS.

    Args:
      model: as in the state file of discovery.
    """
    path = Path(reports, "models", model["id"], "judged.json")
    try:
        found = records.load(path)
    except (OSError, ValueError) as error:
        found = records.failure("judge", Problem("internal", f"{path} cannot be read: {error}"))
    found |= {"model": model["id"], "expect": model.get("expect", VERIFIED), "inputs": list(found.get("inputs", ()))}
    return tuple(found.get(column) for column in JUDGED_COLUMNS)


def table(state: dict, reports: str) -> pd.DataFrame:
    """The rows of judged.csv, sorted by the model's id.

    Args:
      state: as zoo.state_file reads it.
      reports: the directory of models/<model>/judged.json.
    """
    models = sorted(state["models"], key=lambda model: model["id"])
    rows = [row(model, reports) for model in models if model["judge"]]
    return csv_files.table(rows, JUDGED_COLUMNS, {"trials", "weights"}, _NUMBERS)
