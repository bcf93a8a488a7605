"""zoo.csv: each checkpoint that discovery found, also the unusable."""

from dataclasses import dataclass
from typing import Any

from permafrost import layout
from permafrost.model import Defect
from permafrost.report import csv_files
from permafrost.report.columns import MODEL, Integer, Table, Text


@dataclass(frozen=True)
class Checkpoint:
    """What a row is made of: a candidate as in the state file of discovery, and the findings about it."""

    candidate: Any  # zoo.candidate.Candidate, which the page's digest of code would take in with all of zoo/
    findings: list[str]

    @property
    def problem(self) -> Defect:
        """What is wrong; empty for a checkpoint that is whole."""
        return self.candidate.problem or Defect("", "", "")


class _Step(Integer):
    """An integer with as many digits as a file's name gives it."""

    def _cell(self, value: Any) -> str:
        return csv_files.text(value)


def _of(key: str) -> Any:
    return lambda checkpoint: getattr(checkpoint.candidate, key)


def _problem(key: str) -> Any:
    return lambda checkpoint: getattr(checkpoint.problem, key)


ZOO = Table(
    f"reports/{layout.ZOO}",
    "a row for each checkpoint found below the zoo, also the unusable, for links that lead out of it, and for "
    "directories in which something only looks like a checkpoint",
    (
        Text("model", f"{MODEL}; empty for a link, a directory or a meta graph that belongs to none", _of("model")),
        Text("directory", "the directory that it is in, as the zoo was named", _of("directory")),
        Text("prefix", "the path of the checkpoint without its endings", _of("prefix")),
        _Step("step", "the training step in its name", _of("step")),
        Text("format", "`V1` or `V2`, as far as it can be told", _of("format")),
        Integer("shards", "data files", _of("shards")),
        Integer("bytes", "size of all its files, in bytes", _of("bytes")),
        Text(
            "meta_graph",
            "the path of its .meta file; empty where the graph is still to be found in other files",
            _of("meta"),
        ),
        Text(
            "selected",
            "`yes` where this checkpoint is the model; `no` for older steps, for instance",
            lambda checkpoint: "yes" if checkpoint.candidate.selected else "no",
        ),
        Text("cause", "what is wrong, in one word", _problem("cause")),
        Text("message", "what is wrong, in one sentence", _problem("message")),
        Text("hint", "what to do about it", _problem("hint")),
        Text("findings", "what discovery noted, joined by `; `", lambda checkpoint: checkpoint.findings),
    ),
)


def rows(state: Any) -> list[Checkpoint]:
    """What the rows of zoo.csv are made of, sorted by model and step, for a state as zoo.state_file reads it."""
    found = {model.id: model.findings for model in state.models}
    return [
        Checkpoint(candidate, found[candidate.model] if candidate.selected else candidate.findings)
        for candidate in state.candidates
    ]
