"""How the judging of an exported file ends: it runs in the sandbox, a way of running the file in a process of its own.

A SavedModel is judged under both of TensorFlow's loaders, run as the judge runs both sides of a model, bit by bit; and
run once as TensorFlow runs it by itself, which is what people see, and which may round otherwise.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, structs

from permafrost.export_records import NOT_LOADED, ONNX, SAVED_MODEL, ExportRecord, ExportVerdict
from permafrost.graph import frozen_file as graph_frozen_file
from permafrost.judge import model_files, sessions
from permafrost.judge.comparison import Row
from permafrost.judge.exports import judging, kept_values
from permafrost.judge.exports.judging import ExportJudgement
from permafrost.judge.exports.runtimes import Runtime
from permafrost.judge.exports.trials import Trials
from permafrost.judge.judging import Finding, Judgement
from permafrost.model import Settings
from permafrost.outcome import MISMATCH, UNVERIFIABLE, VERIFIED, Problem
from permafrost.records import ImportRecord, Provenance, Verdict, failure, known, success
from permafrost.sandbox import runner

_MISMATCHES = ("outputs_differ", "structure_differs", "weights_differ", "not_importable")
_EXPECTED = "expected"  # the file of what the checkpoint computes
_LARGEST_VALUES_MB = 4096
_USUAL_SHARE = 1e-5  # of the largest value, beyond which another order of the same arithmetic is told as a difference


class Exported(NamedTuple):
    """What is judged: a model's records, the path of its frozen graph, and the record of a file that was made of it.

    directory: in which the files of `export` are. All paths are absolute.
    """

    imported: ImportRecord
    provenance: Provenance
    verdict: Verdict
    frozen_graph: str
    export: ExportRecord
    directory: str


class _Usual(Struct):
    """What a runtime's usual settings make of a file: `match` as of a verdict, and the largest difference."""

    match: str
    max_abs_diff: float | None


def decide(stage: str, exported: Exported, settings: Settings, record: ExportVerdict) -> list[Row]:
    """Judges an exported file, and says in `record` what was measured and how it ended; returns the rows of the table.

    Args:
      stage: the stage that says so.
      settings: of the model; the limits, the seed and the options of the format among them.
    Raises OSError where a file cannot be read.
    """
    record.environment = sessions.ENVIRONMENT
    with tempfile.TemporaryDirectory() as between:
        values = os.path.join(between, _EXPECTED)
        try:
            _refuse_other_graph(exported, settings)
            found: ExportJudgement = _run(_judge, exported, settings, {_EXPECTED: values}, ExportJudgement)
            if exported.export.format == SAVED_MODEL and not (found.finding or known(found.measured.usual_match, "")):
                usual: _Usual = _run(_usual, exported, settings, {}, _Usual, values)
                found.measured.usual_match, found.measured.usual_max_abs_diff = usual.match, usual.max_abs_diff
        except Problem as problem:
            record.end(failure(stage, problem, status(problem.cause)))
            return []
    record.take_over(found.measured)
    if found.finding is None:
        record.end(success(VERIFIED))
    else:
        noticed = Problem(found.finding.cause, found.finding.message)
        record.end(failure(stage, noticed, status(noticed.cause)))
    return found.rows


def _refuse_other_graph(exported: Exported, settings: Settings) -> None:
    """Judges the graph of a SavedModel with inputs baked as a frozen graph is judged, in a process of its own.

    Raises Problem where that is not found right, with the cause.
    """
    if exported.export.format == SAVED_MODEL and exported.export.baked:
        found: Judgement = _run(_judge_graph, exported, settings, {}, Judgement)
        if found.finding is not None:
            raise Problem(found.finding.cause, f"the graph in the SavedModel: {found.finding.message}")


def _judge_graph(exported: Exported, settings: Settings, directory: str) -> Judgement:
    from permafrost.judge import judging as models

    provenance = _provenance_of(exported)
    path = _graph_of(exported)
    bitwise = structs.replace(settings, tolerance=None, output_tolerance={})
    return models.judge(exported.imported, provenance, str(path), bitwise, directory)


def _provenance_of(exported: Exported) -> Provenance:
    """What is said of the graph in a SavedModel with inputs baked."""
    provenance, export = exported.provenance, exported.export
    inputs = {source: tensor for source, tensor in provenance.inputs.items() if source not in export.baked}
    variables = {variable.variable for variable in exported.imported.variables}
    graph_def = graph_frozen_file.read(str(_graph_of(exported)))[0]
    return structs.replace(
        provenance,
        baked=known(provenance.baked, {}) | export.baked,
        inputs=inputs,
        initializers=known(export.initializers, provenance.initializers),
        frozen_variables=sum(node.op == "Const" and node.name in variables for node in graph_def.node),
    )


def _graph_of(exported: Exported) -> Path:
    """The graph that a SavedModel with inputs baked is a frame around, as a file in the working directory."""
    from permafrost.judge.exports import saved_model_files

    source, path = Path(exported.directory) / saved_model_path(exported.export), Path("baked.pb").absolute()
    if not path.exists():
        saved_model_files.take_out(source, path, bool(known(exported.export.initializers, [])))
    return path


def status(cause: str) -> str:
    """The status of an export for which the judge found the cause."""
    return MISMATCH if cause in _MISMATCHES else UNVERIFIABLE


def _run(
    work: Callable[..., Any],
    exported: Exported,
    settings: Settings,
    keeps: dict[str, str],
    returns: Any,
    values: str | None = None,
) -> Any:
    files = [os.path.join(exported.directory, name) for name in exported.export.files]
    read = [*files, *filter(None, [values])]
    readable = model_files.readable(exported.imported, settings, exported.frozen_graph, *read)
    bounds = runner.limits(settings) | {"file_mb": max(settings.file_mb, _LARGEST_VALUES_MB)}
    arguments = (exported, settings, os.getcwd(), *filter(None, [values]))
    return runner.run(work, *arguments, readable=readable, keeps=keeps, returns=returns, **bounds)


def _judge(exported: Exported, settings: Settings, directory: str) -> ExportJudgement:
    """In the sandbox: the file under its runtime, or under both of TensorFlow's loaders."""
    if exported.export.format != SAVED_MODEL:
        trials = _trials(exported, settings, directory)
        return judging.judge(trials, runtime_of(exported.export, exported.directory), share(exported.export, settings))
    from permafrost.judge.exports import saved_model_files, saved_models

    path, frozen_graph = Path(exported.directory) / saved_model_path(exported.export), Path(exported.frozen_graph)
    frozen_graph = _graph_of(exported) if exported.export.baked else frozen_graph
    if problem := _misstated(exported, path, frozen_graph):
        return judging.refused("structure_differs", problem)
    seeded = saved_model_files.for_judging(path, Path("seeded").absolute())
    allowed, signature = set(settings.allow_ops), exported.export.signature
    # First, since its settings are those of the process.
    second = saved_models.SavedModelRuntime(seeded, signature, saved_models.V2, allowed=allowed)
    first = saved_models.SavedModelRuntime(seeded, signature, saved_models.V1, allowed=allowed)
    trials = _trials(exported, settings, directory)
    found = judging.judge(trials, first, None)
    if found.finding is None:
        found.finding = _of_second_loader(trials, second, found.measured)
        kept_values.write(_EXPECTED, [trials.expected(trial) for trial in trials])
    return found


def _of_second_loader(trials: Trials, runtime: Runtime, measured: ExportVerdict) -> Finding | None:
    """What tf.saved_model.load makes of a SavedModel that is right under the loader for sessions.

    There are ops that TensorFlow puts into no new graph; what serves models loads those as sessions do.
    """
    try:
        finding = judging.compare(trials, runtime, None).finding
    except Problem as problem:
        if problem.cause != "not_importable":
            raise
        measured.usual_match = NOT_LOADED
        return None
    measured.match = "" if finding else measured.match
    return _of_loader(finding)


def _of_loader(finding: Finding | None) -> Finding | None:
    return finding and Finding(finding.cause, f"loaded by tf.saved_model.load, {finding.message}")


def _misstated(exported: Exported, path: Path, frozen_graph: Path) -> str:
    from permafrost.judge.exports import saved_model_files

    if not saved_model_files.holds(path, frozen_graph):
        return f"the graph in {path} is not {frozen_graph}, byte for byte"
    signature = exported.export.signature
    initializers = known(exported.export.initializers, exported.provenance.initializers)
    return saved_model_files.misstated(path, frozen_graph, signature, initializers)


def _usual(exported: Exported, settings: Settings, directory: str, values: str) -> _Usual:
    """In the sandbox: a SavedModel as TensorFlow runs it by itself, in a process that has run nothing else."""
    from permafrost.judge.exports import saved_model_files, saved_models

    path = Path(exported.directory) / saved_model_path(exported.export)
    seeded = saved_model_files.for_judging(path, Path("seeded").absolute())
    allowed = set(settings.allow_ops)
    runtime = saved_models.SavedModelRuntime(seeded, exported.export.signature, saved_models.V2, True, allowed)
    trials = _trials(exported, settings, directory)
    found = judging.compare_with(trials, runtime, kept_values.read(values), _USUAL_SHARE)
    return _Usual(found.measured.match, found.measured.max_abs_diff)


def saved_model_path(export: ExportRecord) -> str:
    """The path of a SavedModel's only file, below the model's directory."""
    return next(iter(export.files))


def _trials(exported: Exported, settings: Settings, directory: str) -> Trials:
    return Trials(
        exported.imported,
        exported.provenance,
        exported.verdict,
        exported.frozen_graph,
        exported.export,
        settings,
        directory,
    )


def runtime_of(export: ExportRecord, directory: str) -> Runtime:
    """The runtime of an ONNX or a TensorFlow Lite file. Raises Problem where it does not take the file."""
    path = os.path.join(directory, next(name for name in export.files if not name.endswith(".data")))
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
