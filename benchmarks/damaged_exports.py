"""Exports of a model, damaged in every way, and what the judge says of each."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import damaged_onnx
import damaged_saved_models
import damaged_tflite
from frozen_models import frozen_model
from permafrost import layout, recording
from permafrost.export_records import ONNX, SAVED_MODEL, TFLITE, ExportRecord, ExportVerdict
from permafrost.graph import graph_sources
from permafrost.judge import comparison, model_files, verdict
from permafrost.judge import judging as model_judging
from permafrost.judge.exports import deciding, judging, saved_models
from permafrost.judge.exports.trials import Exported, Trials
from permafrost.judge.sessions import RunFailed
from permafrost.model import Model, Settings
from permafrost.outcome import VERIFIED, Problem
from permafrost.records import Verdict
from permafrost.sandbox import runner
from permafrost.stages import export_model, export_onnx, export_saved_model, export_tflite

MAKERS = {SAVED_MODEL: export_saved_model.make, ONNX: export_onnx.make, TFLITE: export_tflite.make}
DAMAGES = {SAVED_MODEL: damaged_saved_models, ONNX: damaged_onnx, TFLITE: damaged_tflite}
ANOTHER_STEP = "file_of_another_step"
NOTHING, TOLERATED, MISSED = "no effect", "within tolerance", "missed"
_FURTHER = range(1000, 1008)  # numbers of trials that the judge does not have
Files = dict[str, bytes | None]


class Made(NamedTuple):
    """A model's export: what the judge is given, with the files as they are without damage."""

    exported: Exported
    files: Files


def verified_model(source: Model, settings: Settings, directory: Path) -> tuple[Any, Any, Verdict, Path] | None:
    """The records of a model that is frozen in `directory` and verified, and its frozen graph's path."""
    path = directory / layout.FROZEN_GRAPH
    frozen = frozen_model(source, settings, path)
    if frozen is None:
        return None
    imported, provenance = graph_sources.absolute(frozen[0]), frozen[1]
    said = recording.begun(Verdict, source.id)
    model = verdict.Model(imported, provenance, str(path))
    verdict.decide("verify", model_judging.judge, model, settings, said)
    if said.status != VERIFIED:
        print(f"{source.id} is not verified as it is, and left out: {said.message}", file=sys.stderr)
        return None
    return imported, provenance, said, path


def export(form: str, source: Model, settings: Settings, directory: Path) -> Made | None:
    """A model's export; None where there is none, or the judge does not find it right."""
    model = verified_model(source, settings, directory)
    if model is None:
        return None
    imported, provenance, said, path = model
    record = recording.begun(ExportRecord, source.id)
    task = export_model.Task(imported, provenance, said, path, "", settings, directory)
    try:
        export_model.export(form, MAKERS[form], task, record)
    except Problem as problem:
        print(f"{source.id} is not exported to {form}: {problem.message}", file=sys.stderr)
        return None
    files: Files = {name: (directory / name).read_bytes() for name in record.files}
    exported = Exported(imported, provenance, said, str(path), record, str(directory))
    if (cause := judged(Made(exported, files), files, settings)) != VERIFIED:
        print(f"{source.id}: its {form} is {cause} as it is, and left out", file=sys.stderr)
        return None
    return Made(exported, files)


def of_steps(form: str, steps: list[Model], settings: Settings, directory: Path) -> Iterator[Files]:
    """The files that further steps of a model's series are exported to."""
    for step in steps:
        (place := directory / "step").mkdir(exist_ok=True)
        if not step.problem and (made := export(form, step, settings, place)):
            yield made.files


def judged(made: Made, files: Files, settings: Settings) -> str:
    """The cause for which the judge does not find files right; `verified` where it does, `internal` where it fails."""
    exported = _placed(made, files)
    record = recording.begun(ExportVerdict, made.exported.export.model)
    try:
        deciding.decide("judge_export", exported, settings, record)
    except RuntimeError as error:  # of an exception in the sandbox that is no Problem
        print(f"error in the judge: {error}", file=sys.stderr)
        return "internal"
    return str(record.cause or record.status)


def _placed(made: Made, files: Files) -> Exported:
    """Writes files to their places, and describes them in the record as if they were those that were made."""
    directory = Path(made.exported.directory)
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).unlink(missing_ok=True)
        if content is not None:
            (directory / name).write_bytes(content)
    record = msgspec.structs.replace(made.exported.export, files=dict.fromkeys(files, ""))
    return made.exported._replace(export=record)


def effect(made: Made, files: Files, settings: Settings) -> str:
    """What a damage that the judge does not notice does on further trials: nothing, something that is tolerated."""
    exported = _placed(made, files)
    readable = model_files.readable(
        exported.imported, settings, exported.frozen_graph, *(os.path.join(exported.directory, name) for name in files)
    )
    try:
        limits = runner.limits(settings) | {"readable": readable, "returns": list[tuple[str, bool]]}
        found = runner.run(_measured, exported, settings, os.getcwd(), **limits)
        whole = runner.run(_measured, _placed(made, made.files), settings, os.getcwd(), **limits)
    except (Problem, RuntimeError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return MISSED
    if found == whole:
        return NOTHING
    return TOLERATED if all(is_near for _, is_near in found) else MISSED


def _measured(exported: Exported, settings: Settings, directory: str) -> list[tuple[str, bool]]:
    """Of each output of each further trial: its bytes' hash, and whether it is within the tolerance."""
    export = exported.export
    share = deciding.share(export, settings)
    if export.format == SAVED_MODEL:
        path = Path(exported.directory) / next(iter(export.files))
        runtime: Any = saved_models.SavedModelRuntime(path, export.signature)
    else:
        runtime = deciding.runtime_of(export, exported.directory)
    trials = Trials(exported, settings, directory)
    found = []
    for trial in _further(trials):
        try:
            expected = trials.expected(trial)
        except Problem:
            continue
        try:
            actual = runtime.run(trials.fed(trial))
        except RunFailed as failed:
            found.append((str(failed), False))
            continue
        for a, b in zip(expected, actual, strict=False):
            digest = hashlib.sha256(repr(b.tolist()).encode()).hexdigest()
            found.append((digest, bool(comparison.match(a, b, judging._tolerance(a, share)))))
    return found


def _further(trials: Trials) -> Iterator[Any]:
    batches = sorted({*trials._batches})
    batches = batches if len(batches) == 1 else [*batches, 64]
    for number in _FURTHER:
        yield trials.trial(number, batches[number % len(batches)])
