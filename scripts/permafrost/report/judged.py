"""Lists how the frozen graphs of other tools were judged: a CSV file with a row for each."""

from pathlib import Path

from permafrost import layout, recording
from permafrost.model import Model
from permafrost.outcome import Problem
from permafrost.records import JudgedFile, failure, known
from permafrost.report.columns import Row
from permafrost.zoo.state_file import State


def row(model: Model, reports: str) -> Row:
    """A model's row of judged.csv."""
    path = Path(layout.of_model(reports, model.id, layout.JUDGED_VERDICT))
    try:
        record = recording.load(path, JudgedFile)
    except (OSError, ValueError) as error:
        problem = Problem("internal", f"{path} cannot be read: {error}")
        record = recording.begun(JudgedFile, "", failure("judge", problem))
    own = {"model": model.id, "expect": model.expect, "inputs": list(known(record.inputs, ()))}
    return recording.content(record) | own


def rows(state: State, reports: str) -> list[Row]:
    """The rows of judged.csv, sorted by the model's id.

    Args:
      state: as zoo.state_file reads it.
      reports: the directory of models/<model>/judged.json.
    """
    models = sorted(state.models, key=lambda model: model.id)
    return [row(model, reports) for model in models if model.judge]
