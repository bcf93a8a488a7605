"""Lists how the frozen graphs of other tools were judged: a CSV file with a row for each."""

from pathlib import Path

from permafrost import layout, records
from permafrost.outcome import VERIFIED, Problem


def row(model: dict, reports: str) -> dict:
    """A model's row of judged.csv.

    Args:
      model: as in the state file of discovery.
    """
    path = Path(layout.of_model(reports, model["id"], layout.JUDGED_VERDICT))
    try:
        found = records.load(path)
    except (OSError, ValueError) as error:
        found = records.failure("judge", Problem("internal", f"{path} cannot be read: {error}"))
    return found | {
        "model": model["id"],
        "expect": model.get("expect", VERIFIED),
        "inputs": list(found.get("inputs", ())),
    }


def rows(state: dict, reports: str) -> list[dict]:
    """The rows of judged.csv, sorted by the model's id.

    Args:
      state: as zoo.state_file reads it.
      reports: the directory of models/<model>/judged.json.
    """
    models = sorted(state["models"], key=lambda model: model["id"])
    return [row(model, reports) for model in models if model["judge"]]
