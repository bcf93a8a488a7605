"""The judge of exports: whether an exported file computes what the checkpoint computes.

Runs in a limited child process (sandbox.runner). Each trial has the feeds, the seed and the batch of the model's
verification; the checkpoint's side is run as it is there, and the file in a fresh session of its format's runtime, of
which the first run counts. Further trials (further.py) feed what these may lack. Then a weight in the file is changed,
which has to be noticed.
"""

import itertools
import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from permafrost import recording
from permafrost.export_records import ExportVerdict
from permafrost.judge import comparison
from permafrost.judge.comparison import Row
from permafrost.judge.exports import control, declared_shapes, further, ties
from permafrost.judge.exports.runtimes import Runtime
from permafrost.judge.exports.trials import Trial, Trials
from permafrost.judge.judging import Finding
from permafrost.judge.negative_control import sentence
from permafrost.judge.sessions import RunFailed
from permafrost.model import Tolerance
from permafrost.outcome import Problem

_OF_LARGE = 100  # times the tolerance where inputs are larger than those of the verification
_LONGEST_SEARCH = 20  # s
_SMALLEST = 1e-30  # a share of what is all 0 is no tolerance


class ExportJudgement(Struct):
    """What was measured of an exported file, a row for each tensor and trial, and what is wrong with it, if it is."""

    measured: ExportVerdict
    rows: list[Row]
    finding: Finding | None = None


def judge(trials: Trials, runtime: Runtime, share: float | None) -> ExportJudgement:
    """Compares an exported file with the checkpoint, trial by trial, and runs the negative control.

    Args:
      share: how far a tensor may be from the checkpoint's, as a share of its largest value; None for the same bits.
    Raises Problem where the checkpoint does not run (Trials.expected).
    """
    rows: list[Row] = []
    finding, batches, first = None, [], None
    for trial in trials:
        batches.append(trial.batch)
        expected = trials.expected(trial)
        first = first or (trial, expected)
        found, finding = _compare(trials, trial, runtime, expected, share)
        rows += found
        if finding:
            break
    if finding is None and share is not None:
        finding = _on_further_trials(trials, runtime, share, first[1] if first else [])
    measured = _measured(rows, batches, finding)
    if finding is None and first is not None:
        trial, expected = first
        tolerances = [_tolerance(value, share) for value in expected]
        measured.control = control.change_weights(runtime, trials.fed(trial), trials.fetched, expected, tolerances)
        if not measured.control.variable:
            finding, measured.match = Finding("insensitive", sentence(measured.control)), ""
    return ExportJudgement(measured, rows, finding)


def _on_further_trials(trials: Trials, runtime: Runtime, share: float, usual: list[NDArray[Any]]) -> Finding | None:
    """What a file computes otherwise where the verification did not look; None where nothing is found in the time.

    Near ties tell nothing there, and neither do the last digits of large numbers, nor what is not finite. What large
    inputs make small, as they do at the ends of a sigmoid, is compared with the size that it has otherwise.
    Args:
      usual: what the checkpoint computes in the first trial.
    """
    deadline = time.monotonic() + _LONGEST_SEARCH
    large = min(1.0, _OF_LARGE * share)
    others = ((said, trial, share, False) for said, trial in further.on_other_values(trials))
    larger = ((said, trial, large, True) for said, trial in further.on_large_values(trials))
    for said, trial, tolerated, is_large in itertools.chain(larger, others):
        if finding := _of_further(trials, trial, runtime, tolerated, usual if is_large else None):
            return Finding(finding.cause, f"{said}: {finding.message}")
        if time.monotonic() > deadline:
            break
    return None


def _of_further(
    trials: Trials, trial: Trial, runtime: Runtime, share: float, usual: list[NDArray[Any]] | None
) -> Finding | None:
    try:
        expected = trials.expected(trial)
        if usual is not None and not all(_is_finite(value) for value in expected):
            return None
        _, finding = _compare(trials, trial, runtime, expected, share, usual)
    except Problem:
        # What the checkpoint does not run on is nothing that anybody feeds, and there is memory for what was verified.
        return None
    return None if finding is not None and finding.cause == "near_tie" else finding


def _is_finite(value: NDArray[Any]) -> bool:
    return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())


def compare(trials: Trials, runtime: Runtime, share: float | None) -> ExportJudgement:
    """As `judge`, of all trials, and without the negative control."""
    return _of_all(trials, runtime, ((trial, trials.expected(trial)) for trial in trials), share)


def compare_with(
    trials: Trials, runtime: Runtime, expected: list[list[NDArray[Any]]], share: float | None
) -> ExportJudgement:
    """As `compare`, with what the checkpoint was found to compute in each trial."""
    return _of_all(trials, runtime, zip(trials, expected, strict=True), share)


def _of_all(
    trials: Trials, runtime: Runtime, expected: Iterable[tuple[Trial, list[NDArray[Any]]]], share: float | None
) -> ExportJudgement:
    rows: list[Row] = []
    batches, first = [], None
    for trial, values in expected:
        batches.append(trial.batch)
        found, finding = _compare(trials, trial, runtime, values, share)
        rows += found
        first = first or finding
    return ExportJudgement(_measured(rows, batches, first), rows, first)


def refused(cause: str, message: str) -> ExportJudgement:
    """The judgement of a file that was not run."""
    finding = Finding(cause, message)
    return ExportJudgement(_measured([], [], finding), [], finding)


def is_right(trials: Trials, runtime: Runtime, share: float | None) -> bool:
    """Whether a file agrees with the checkpoint in the first trial, for who has several ways of making it."""
    trial = next(iter(trials))
    return _compare(trials, trial, runtime, trials.expected(trial), share)[1] is None


def _compare(
    trials: Trials,
    trial: Trial,
    runtime: Runtime,
    expected: list[NDArray[Any]],
    share: float | None,
    usual: list[NDArray[Any]] | None = None,
) -> tuple[list[Row], Finding | None]:
    """The rows of a trial, and what is wrong.

    Args:
      usual: values of the same tensors whose sizes count as well for the tolerance.
    """
    try:
        actual = runtime.run(trials.fed(trial))
    except RunFailed as failed:
        message = f"the checkpoint's graph runs, but the exported file does not: {failed}"
        cause = failed.cause if failed.cause == "string_input" else "outputs_differ"
        return [], Finding(cause, message)
    rows, finding = [], _of_shapes(trials, trial, runtime, expected)
    for name, a, b, c in zip(trials.fetched, expected, actual, usual or expected, strict=True):
        found = comparison.compare(a, b, _larger(_tolerance(a, share), _tolerance(c, share)))
        found |= {"seed": trial.seed, "batch": trial.batch, "session": "fresh", "behaviour": ""}
        row = Row(output=name, trial=trial.number, **found)
        rows.append(row)
        if not row.match and finding is None:
            finding = _difference(trials, trial, row, a, b, share)
    return rows, finding


def _of_shapes(trials: Trials, trial: Trial, runtime: Runtime, expected: list[NDArray[Any]]) -> Finding | None:
    """What a file declares otherwise than it is; what it gives is compared with what is expected by itself."""
    given = dict(zip(trials.keys, expected, strict=False))  # What is hidden comes last, and has no key in the file.
    said = declared_shapes.contradicted(runtime.declared(), trials.fed(trial), given)
    return Finding("structure_differs", f"{said}, in trial {trial.number}") if said else None


def _larger(one: Tolerance | None, other: Tolerance | None) -> Tolerance | None:
    return None if one is None or other is None else max(one, other, key=lambda each: each["atol"])


def _tolerance(expected: NDArray[Any], share: float | None) -> Tolerance | None:
    """The tolerance of a tensor: none for what is no floating-point number."""
    if share is None or expected.dtype.kind not in "fcV":
        return None
    magnitudes = np.abs(expected.astype(np.complex128 if expected.dtype.kind == "c" else np.float64))
    largest = float(np.where(np.isfinite(magnitudes), magnitudes, 0).max(initial=0))
    return {"atol": max(share * largest, _SMALLEST)}


def _difference(
    trials: Trials, trial: Trial, row: Row, a: NDArray[Any], b: NDArray[Any], share: float | None
) -> Finding:
    if scores := _tied(trials, trial, row.output, a, b, share):
        first, second = scores
        return Finding(
            "near_tie",
            f"output {row.output} differs in trial {row.trial}, {comparison.said(row)}, where two scores lie within "
            f"the tolerance: {first:.9g} and {second:.9g}",
        )
    return Finding(
        "outputs_differ",
        f"output {row.output} differs in trial {row.trial}: {row.unequal} elements unequal, largest difference "
        f"{row.max_abs_diff}{_beyond(row)}, {comparison.said(row)}",
    )


def _beyond(row: Row) -> str:
    """How far a difference is beyond the tolerance, in words; empty where no number says it."""
    used = row.tolerance_used
    return f", {used:.3g} times the tolerance" if used is not None and 1 < used < math.inf else ""


def _tied(
    trials: Trials, trial: Trial, output: str, a: NDArray[Any], b: NDArray[Any], share: float | None
) -> tuple[float, float] | None:
    """The first two scores between which the checkpoint and the file chose otherwise, if all such are near ties."""
    chooser = ties.chooser_of(trials.graphs.index, output) if share and a.shape == b.shape else None
    if chooser is None or chooser.axis is None or a.dtype.kind not in "iu":
        return None
    try:
        (scores,) = trials.run([chooser.scores], trial.feed)
    except RunFailed:
        return None
    return ties.are_near(scores, chooser.axis, a, b, share) if share else None


def _measured(rows: list[Row], batches: list[int], finding: Finding | None) -> ExportVerdict:
    measured = recording.begun(ExportVerdict, "")
    matches = [row.match for row in rows]
    measured.match = "" if finding else "bitwise" if all(match == "bitwise" for match in matches) else "tolerance"
    measured.trials, measured.batches = len(batches), batches
    measured.max_abs_diff = comparison.largest(row.max_abs_diff for row in rows)
    measured.tolerance_used = comparison.largest(row.tolerance_used for row in rows)
    measured.first_tensor = next((row.output for row in rows if not row.match), "")
    return measured
