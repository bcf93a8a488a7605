"""How the judging of an exported file ends: it runs in the sandbox, a way of running the file in a process of its own.

A SavedModel is judged under both of TensorFlow's loaders, run as the judge runs both sides of a model, bit by bit; and
run once as TensorFlow runs it by itself, which is what people see, and which may round otherwise.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from permafrost.export_records import NOT_LOADED, NOT_RUN, ONNX, SAVED_MODEL, ExportRecord, ExportVerdict
from permafrost.judge import model_files, sessions
from permafrost.judge.comparison import Row
from permafrost.judge.exports import judging, saved_model_judging
from permafrost.judge.exports.judging import ExportJudgement
from permafrost.judge.exports.runtimes import Runtime
from permafrost.judge.exports.trials import Exported, Trials
from permafrost.judge.judging import Judgement
from permafrost.model import Settings
from permafrost.outcome import CAUSES, MISMATCH, UNVERIFIABLE, VERIFIED, Problem, hint_of_export
from permafrost.records import Outcome, failure, success
from permafrost.sandbox import runner

_MISMATCHES = ("outputs_differ", "structure_differs", "weights_differ", "not_importable")
_LARGEST_VALUES_MB = 4096


def decide(stage: str, exported: Exported, settings: Settings, record: ExportVerdict) -> list[Row]:
    """Judges an exported file, and says in `record` what was measured and how it ended; returns the rows of the table.

    Args:
      stage: the stage that says so.
      settings: of the model; the limits, the seed and the options of the format among them.
    Raises OSError where a file cannot be read.
    """
    record.environment = sessions.ENVIRONMENT
    try:
        found = _judged(exported, settings)
    except Problem as problem:
        record.end(_failed(stage, problem))
        return []
    record.take_over(found.measured)
    if found.finding is None:
        record.end(success(VERIFIED))
    else:
        record.end(_failed(stage, Problem(found.finding.cause, found.finding.message)))
    return found.rows


def _failed(stage: str, problem: Problem) -> Outcome:
    """How a problem ends the judging; what is to be done is said of the exported file, not of the frozen graph."""
    cause, hint = problem.cause, problem.hint
    said = Problem(cause, problem.message, hint_of_export(cause) if hint == CAUSES[cause] else hint)
    return failure(stage, said, status(cause))


def status(cause: str) -> str:
    """The status of an export for which the judge found the cause."""
    return MISMATCH if cause in _MISMATCHES else UNVERIFIABLE


def _judged(exported: Exported, settings: Settings) -> ExportJudgement:
    if exported.export.format != SAVED_MODEL:
        of_file: ExportJudgement = _run(_judge, exported, settings, ExportJudgement)
        return of_file
    _refuse_other_graph(exported, settings)
    with tempfile.TemporaryDirectory() as between:
        expected = os.path.join(between, saved_model_judging.EXPECTED)
        keeps = {saved_model_judging.EXPECTED: expected}
        found: ExportJudgement = _run(saved_model_judging.by_sessions, exported, settings, ExportJudgement, keeps=keeps)
        if found.finding is None:
            _load(exported, settings, expected, found)
    return found


def _refuse_other_graph(exported: Exported, settings: Settings) -> None:
    """Judges the graph of a SavedModel with inputs baked as a frozen graph is judged.

    Raises Problem where that is not found right, with the cause.
    """
    if not exported.export.baked:
        return
    found: Judgement = _run(saved_model_judging.of_graph, exported, settings, Judgement)
    if found.finding is not None:
        raise Problem(found.finding.cause, f"the graph in the SavedModel: {found.finding.message}")


def _load(exported: Exported, settings: Settings, expected: str, found: ExportJudgement) -> None:
    """Says in the judgement of a SavedModel what tf.saved_model.load makes of it.

    There are ops that TensorFlow puts into no new graph; what serves models loads those as sessions do.
    """
    measured = found.measured
    try:
        loaded = _by(saved_model_judging.by_loading, exported, settings, expected)
    except Problem as problem:
        if problem.cause != "not_importable":
            raise
        measured.usual_match = NOT_LOADED
        return
    if loaded.finding is not None:
        found.finding, measured.match = loaded.finding, ""
        return
    try:
        usual = _by(saved_model_judging.as_people_run_it, exported, settings, expected).measured
        measured.usual_match, measured.usual_max_abs_diff = usual.match, usual.max_abs_diff
    except Problem as problem:
        print(f"under TensorFlow's own settings: {problem}", file=sys.stderr)
        measured.usual_match = NOT_RUN


def _by(work: Callable[..., Any], exported: Exported, settings: Settings, expected: str) -> ExportJudgement:
    found: ExportJudgement = _run(work, exported, settings, ExportJudgement, expected)
    return found


def _run(
    work: Callable[..., Any],
    exported: Exported,
    settings: Settings,
    returns: Any,
    *values: str,
    keeps: dict[str, str] | None = None,
) -> Any:
    """Runs `work` in the sandbox, with the paths of `values`, which it may read, as its last arguments."""
    files = [os.path.join(exported.directory, name) for name in exported.export.files]
    readable = model_files.readable(exported.imported, settings, exported.frozen_graph, *files, *values)
    bounds = runner.limits(settings) | {
        "file_mb": max(settings.file_mb, _LARGEST_VALUES_MB),
        "kept_mb": runner.KEPT_BY_TURNS_MB,
    }
    arguments = (exported, settings, os.getcwd(), *values)
    return runner.run(work, *arguments, readable=readable, keeps=keeps, returns=returns, **bounds)


def _judge(exported: Exported, settings: Settings, directory: str) -> ExportJudgement:
    """In the sandbox: a file under the runtime of its format."""
    runtime = _stated_runtime(exported)
    if isinstance(runtime, str):
        return judging.refused("structure_differs", runtime)
    return judging.judge(Trials(exported, settings, directory), runtime, share(exported.export, settings))


def _stated_runtime(exported: Exported) -> Runtime | str:
    """The runtime of an ONNX or a TensorFlow Lite file; in words what the file has otherwise than its record."""
    path = _path_of(exported.export, exported.directory)
    if exported.export.format == ONNX:
        from permafrost.judge.exports import onnx_structure
        from permafrost.judge.exports.onnx_files import OnnxRuntime

        onnx = OnnxRuntime(str(path), exported.export.signature)
        return onnx_structure.misstated(onnx.model, path, exported.export) or onnx
    from permafrost.judge.exports import tflite_structure

    return tflite_structure.misstated(path, exported.export.signature) or runtime_of(
        exported.export, exported.directory
    )


def _path_of(export: ExportRecord, directory: str) -> Path:
    return Path(directory, next(name for name in export.files if not name.endswith(".data")))


def runtime_of(export: ExportRecord, directory: str) -> Runtime:
    """The runtime of an ONNX or a TensorFlow Lite file. Raises Problem where it does not take the file."""
    path = str(_path_of(export, directory))
    if export.format == ONNX:
        from permafrost.judge.exports.onnx_files import OnnxRuntime

        onnx: Runtime = OnnxRuntime(path, export.signature)
        return onnx
    from permafrost.judge.exports.tflite_files import TfliteRuntime

    tflite: Runtime = TfliteRuntime(path, export.signature)
    return tflite


def share(export: ExportRecord, settings: Settings) -> float | None:
    """How far a tensor of the file may be from the checkpoint's, as a share of its largest value; None: no bit."""
    if export.format == SAVED_MODEL:
        return None
    return settings.onnx.tolerance if export.format == ONNX else settings.tflite.tolerance
