"""How the judging of a model ends: it runs in the sandbox, and on a mismatch the first tensor that differs is named."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from permafrost.judge import first_difference, model_files, sessions
from permafrost.judge.comparison import Row
from permafrost.judge.judging import Judgement
from permafrost.model import Settings
from permafrost.outcome import MISMATCH, TRANSIENT, UNVERIFIABLE, VERIFIED, Problem
from permafrost.records import ImportRecord, Provenance, Verdict, failure, success
from permafrost.sandbox import runner

_MISMATCHES = ("weights_differ", "outputs_differ", "structure_differs", "not_importable", "not_frozen")
_SEARCH_SHARE = 0.25  # of the time limit, in addition to it


class Model(NamedTuple):
    """What is judged: import record and provenance, both with absolute paths, and the path of the frozen graph."""

    imported: ImportRecord
    provenance: Provenance
    frozen_graph: str


def decide(
    stage: str,
    judge: Callable[..., Judgement],
    model: Model,
    settings: Settings,
    record: Verdict,
    keeps: Mapping[str, str | Path] | None = None,
) -> list[Row]:
    """Judges a model, and says in `record` what was measured and how it ended; returns the rows of the table.

    Nothing of TensorFlow is run in this process.
    Args:
      stage: the stage that says so.
      judge: of judge.judging; called with `model`, `settings` and the working directory.
      settings: of the model; the limits among them.
      keeps: name of a file that `judge` leaves -> where it is to be moved to (sandbox.runner).
    """
    record.environment = sessions.ENVIRONMENT
    try:
        bounds = _bounds(model, settings)
        found = runner.run(judge, *model, settings, os.getcwd(), returns=Judgement, keeps=keeps, **bounds)
    except Problem as problem:
        record.end(failure(stage, problem, status(problem.cause)))
        return []
    record.take_over(found.measured)
    if found.finding is None:
        record.end(success(VERIFIED))
    else:
        message = found.finding.message + _where_it_begins(model, found, settings, record)
        noticed = Problem(found.finding.cause, message)
        record.end(failure(stage, noticed, status(noticed.cause)))
    return found.rows


def _where_it_begins(model: Model, found: Judgement, settings: Settings, record: Verdict) -> str:
    if found.finding is None or found.finding.cause != "outputs_differ":
        return ""
    try:
        return _name_first_tensor(model, found.rows, settings)
    except (Problem, RuntimeError, OSError) as error:
        if isinstance(error, OSError) or getattr(error, "cause", "") in TRANSIENT:
            record.transient = True  # The verdict stands, and the next run looks again.
        return f"; where it begins was not found: {error}"


def status(cause: str) -> str:
    """The status of a model for which the judge found the cause."""
    return MISMATCH if cause in _MISMATCHES else UNVERIFIABLE


def _bounds(model: Model, settings: Settings, share: float = 1) -> dict[str, Any]:
    readable = model_files.readable(model.imported, settings, model.frozen_graph)
    return runner.limits(settings, share) | {"readable": readable}


def _name_first_tensor(model: Model, rows: list[Row], settings: Settings) -> str:
    """Adds to the rows of the first trial that does not match the tensor where it begins to; says so for the message.

    Raises what sandbox.runner.run raises.
    """
    bad = [row for row in rows if not row.match]
    if not bad:
        return ""
    seed, batch = bad[0].seed, bad[0].batch
    bounds = _bounds(model, settings, _SEARCH_SHARE)
    where = runner.run(
        first_difference.find, *model, os.getcwd(), seed, batch, settings.allow_ops, returns=str, **bounds
    )
    for row in bad:
        if row.trial == bad[0].trial:
            row.first_tensor = where
    return f"; the first tensor that differs is {where}" if where else ""
