"""How the judging of a model ends: it runs in the sandbox, and on a mismatch the first tensor that differs is named."""

import os
from collections.abc import Callable

from permafrost import records
from permafrost.judge import first_difference, model_files, sessions
from permafrost.outcome import MISMATCH, TRANSIENT, UNVERIFIABLE, VERIFIED, Problem
from permafrost.sandbox import runner

_MISMATCHES = ("weights_differ", "outputs_differ", "structure_differs", "not_importable", "not_frozen")
_SEARCH_SHARE = 0.25  # of the time limit, in addition to it


def reach(stage: str, judge: Callable, model: tuple, settings: dict, facts: dict) -> dict:
    """Judges a model, adds what was measured to `facts`, and returns how it ended, as the fields of a record.

    Nothing of TensorFlow is run in this process.
    Args:
      stage: the stage that says so.
      judge: of judge.judging; called with `model`, `settings` and the working directory.
      model: import record and provenance, both with absolute paths, and the path of the frozen graph.
      settings: of the model; the limits among them.
    """
    facts["environment"] = sessions.ENVIRONMENT
    try:
        found = runner.run(judge, *model, settings, os.getcwd(), **_bounds(model, settings))
    except Problem as problem:
        return records.failure(stage, problem, status(problem.cause))
    finding = found.pop("finding", None)
    facts.update(found)
    if finding is None:
        return records.success(VERIFIED)
    message = finding["message"]
    if finding["cause"] == "outputs_differ":
        try:
            message += _name_first_tensor(model, found["rows"], settings)
        except (Problem, RuntimeError, OSError) as error:
            message += f"; where it begins was not found: {error}"
            if isinstance(error, OSError) or getattr(error, "cause", "") in TRANSIENT:
                facts["transient"] = True  # The verdict stands, and the next run looks again.
    return records.failure(stage, Problem(finding["cause"], message), status(finding["cause"]))


def status(cause: str) -> str:
    """The status of a model for which the judge found the cause."""
    return MISMATCH if cause in _MISMATCHES else UNVERIFIABLE


def _bounds(model: tuple, settings: dict, share: float = 1) -> dict:
    imported, _, frozen_graph = model
    return runner.limits(settings, share) | {"readable": model_files.readable(imported, settings, frozen_graph)}


def _name_first_tensor(model: tuple, rows: list[dict], settings: dict) -> str:
    """Adds to the rows of the first trial that does not match the tensor where it begins to; says so for the message.

    Raises what sandbox.run raises.
    """
    bad = [row for row in rows if not row["match"]]
    if not bad:
        return ""
    seed, batch = bad[0]["seed"], bad[0]["batch"]
    bounds = _bounds(model, settings, _SEARCH_SHARE)
    where = runner.run(first_difference.find, *model, os.getcwd(), seed, batch, settings["allow_ops"], **bounds)
    for row in bad:
        if row["trial"] == bad[0]["trial"]:
            row["first_tensor"] = where
    return f"; the first tensor that differs is {where}" if where else ""
