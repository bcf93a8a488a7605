"""Judges an exported file: its format's runtime runs it, and TensorFlow the checkpoint, on the same feeds.

All of it runs in a child process with limits. judged_<format>.json says what was found, export_<format>.csv has a row
for each output and trial.
"""

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from permafrost import export_packages, layout, recording
from permafrost.checkpoint import unchanged
from permafrost.export_records import ExportRecord, ExportVerdict
from permafrost.graph import graph_sources
from permafrost.judge.comparison import Row
from permafrost.model import Settings
from permafrost.outcome import FAILED, OK, UNVERIFIABLE, VERIFIED, Problem
from permafrost.records import ImportRecord, Provenance, Record, failure, is_known, success
from permafrost.report.tables.export import EXPORT
from permafrost.sandbox import limits, runner
from permafrost.stages import exported_files, proven_graph


def judge(
    imported: ImportRecord, provenance: Provenance, export: ExportRecord, directory: Path, settings: Settings,
    record: ExportVerdict,
) -> list[Row]:  # fmt: skip
    """Judges an export, and says in `record` what was measured and how it ended; returns the rows of the table.

    Where the export was refused, that is how the record ends.
    Args:
      directory: of frozen_graph.pb and of the exported files.
    Raises Problem: changed where one of these is not what its record describes, or where the export is not verified and
    a file of the checkpoint was deleted or changed meanwhile; and what the judge raises.
    """
    for earlier in (export, provenance, imported):
        if earlier.status != OK:
            record.end(earlier)
            if record.status == FAILED:  # Its record cannot be read.
                record.status = UNVERIFIABLE
            return []
    began = time.monotonic()
    record.environment = dict(export_packages.versions(export.format))
    with unchanged.watched(graph_sources.files_of(imported)) as refuse_changed:
        limits.held(settings, _refuse_changed, directory, provenance, export)
        rows = _decide(imported, provenance, export, directory, limits.left(settings, began), record)
        if record.status != VERIFIED:
            refuse_changed()
    return rows


def _refuse_changed(directory: Path, provenance: Provenance, export: ExportRecord) -> None:
    proven_graph.refuse_other(directory / layout.FROZEN_GRAPH, provenance)
    exported_files.refuse_others(directory, export)


def _decide(
    imported: ImportRecord, provenance: Provenance, export: ExportRecord, directory: Path, settings: Settings,
    record: ExportVerdict,
) -> list[Row]:  # fmt: skip
    # Imported here: what was refused needs neither TensorFlow nor another runtime.
    from permafrost.judge import verdict
    from permafrost.judge.exports import judging

    imported, directory = graph_sources.absolute(imported), directory.absolute()
    model = (imported, provenance, str(directory / layout.FROZEN_GRAPH), export, str(directory))
    bounds = _bounds(imported, export, directory, settings)
    try:
        found = runner.run(judging.judge, *model, settings, os.getcwd(), returns=judging.ExportJudgement, **bounds)
    except Problem as problem:
        record.end(failure(_stage(export.format), problem, verdict.status(problem.cause)))
        return []
    _take_over(record, found.measured)
    if found.finding is None:
        record.end(success(VERIFIED))
    else:
        noticed = Problem(found.finding.cause, found.finding.message)
        record.end(failure(_stage(export.format), noticed, verdict.status(noticed.cause)))
    rows: list[Row] = found.rows
    return rows


def _bounds(imported: ImportRecord, export: ExportRecord, directory: Path, settings: Settings) -> dict[str, Any]:
    """What the child may use: it writes copies of the exported file, with other weights, into its own directory."""
    from permafrost.judge import model_files

    files = [str(directory / name) for name in export.files]
    readable = model_files.readable(imported, settings, str(directory / layout.FROZEN_GRAPH), *files)
    return runner.limits(settings) | {"readable": readable, "file_mb": settings.file_mb + (2 * export.bytes >> 20)}


def _take_over(record: ExportVerdict, measured: ExportVerdict) -> None:
    """Takes over what the judge says to have found, and not how that ended."""
    for field in record.__struct_fields__:
        if field not in Record.__struct_fields__ and is_known(value := getattr(measured, field)):
            setattr(record, field, value)


def _stage(form: str) -> str:
    return f"judge_{form}"


class Paths(NamedTuple):
    """The paths of a model's import.json and provenance.json, and of export_<format>.json beside the exported files."""

    imported: str
    provenance: str
    export: Path


def run(form: str, model: str, attempt: str, paths: Paths, settings: Settings, path: str, table: str) -> None:
    """Writes judged_<form>.json to `path` and export_<form>.csv to `table`. Raises OSError where one cannot be written.

    Args:
      model, attempt: the model's id, and the token of this attempt, or "".
      settings: trials, seed, allow_ops, allow_paths, the limits, and what they say of the format.
    """
    stage = _stage(form)
    imported = recording.load_or_fail(paths.imported, ImportRecord, stage)
    provenance = recording.load_or_fail(paths.provenance, Provenance, stage)
    export = recording.load_or_fail(paths.export, ExportRecord, stage)
    rows: list[Row] = []
    begun = recording.begun(ExportVerdict, model)
    with recording.recording(stage, begun, path, attempt, UNVERIFIABLE) as record:
        record.format = form
        rows += judge(imported, provenance, export, paths.export.parent, settings, record)
    EXPORT.write(table, rows)
