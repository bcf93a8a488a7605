"""Lists how the frozen graphs of other tools were judged: a CSV file with a row for each."""

from pathlib import Path

import pandas as pd

from permafrost import recording
from permafrost.outcome import JUDGED_COLUMNS, Problem
from permafrost.records import JudgedFile, Model, failure, known
from permafrost.report import csv_files
from permafrost.zoo.state_file import State

_NUMBERS = {"max_abs_diff", "tolerance_used"}


def row(model: Model, reports: str) -> tuple:
    """A model's row, with a value for each of JUDGED_COLUMNS."""
    path = Path(reports, "models", model.id, "judged.json")
    try:
        record = recording.load(path, JudgedFile)
    except (OSError, ValueError) as error:
        problem = Problem("internal", f"{path} cannot be read: {error}")
        record = recording.begun(JudgedFile, "", failure("judge", problem))
    found = recording.content(record)
    found |= {"model": model.id, "expect": model.expect, "inputs": list(known(record.inputs, ()))}
    return tuple(found.get(column) for column in JUDGED_COLUMNS)


def table(state: State, reports: str) -> pd.DataFrame:
    """The rows of judged.csv, sorted by the model's id.

    Args:
      state: as zoo.state_file reads it.
      reports: the directory of models/<model>/judged.json.
    """
    models = sorted(state.models, key=lambda model: model.id)
    rows = [row(model, reports) for model in models if model.judge]
    return csv_files.table(rows, JUDGED_COLUMNS, {"trials", "weights"}, _NUMBERS)
