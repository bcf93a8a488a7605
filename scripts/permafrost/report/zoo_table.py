"""zoo.csv: a row for each checkpoint that discovery found, also the unusable."""

import pandas as pd

from permafrost.outcome import ZOO_COLUMNS
from permafrost.records import Defect
from permafrost.zoo.candidates import Candidate
from permafrost.zoo.names import printable
from permafrost.zoo.state_file import State


def table(state: State) -> pd.DataFrame:
    """The rows of zoo.csv, all strings, for a state as zoo_state.read gives it.

    Sorted by model and step. What UTF-8 or a line of text cannot hold is percent-encoded.
    """
    found = {model.id: model.findings for model in state.models}
    rows = [_row(candidate, found) for candidate in state.candidates]
    return pd.DataFrame(rows, columns=list(ZOO_COLUMNS), dtype=str)


def _row(candidate: Candidate, found: dict[str, list[str]]) -> list[str]:
    problem = candidate.problem or Defect("", "", "")
    findings = found[candidate.model] if candidate.selected else candidate.findings
    row = {
        **{key: getattr(candidate, key) for key in ("model", "directory", "prefix", "format", "shards", "bytes")},
        **{key: getattr(problem, key) for key in ("cause", "message", "hint")},
        "step": "" if candidate.step is None else candidate.step,
        "meta_graph": candidate.meta,
        "selected": "yes" if candidate.selected else "no",
        "findings": "; ".join(findings),
    }
    return [printable(str(row[column])) for column in ZOO_COLUMNS]
