"""Judges an exported file: its format's runtime runs it, and TensorFlow the checkpoint, on the same feeds.

All of it runs in a child process with limits. judged_<format>.json says what was found, export_<format>.csv has a row
for each output and trial.
"""

import time
from pathlib import Path
from typing import NamedTuple

from permafrost import export_packages, layout, recording
from permafrost.checkpoint import unchanged
from permafrost.export_records import ExportRecord, ExportVerdict
from permafrost.graph import graph_sources
from permafrost.judge.comparison import Row
from permafrost.model import Settings
from permafrost.outcome import OK, REFUSED, UNVERIFIABLE, VERIFIED
from permafrost.records import ImportRecord, Provenance, Record, Verdict
from permafrost.report.tables.export import EXPORT
from permafrost.sandbox import limits
from permafrost.stages import exported_files, proven_graph


class Earlier(NamedTuple):
    """What the stages before said of a model and its export."""

    imported: ImportRecord
    provenance: Provenance
    verdict: Verdict
    export: ExportRecord


def judge(earlier: Earlier, directory: Path, settings: Settings, record: ExportVerdict) -> list[Row]:
    """Judges an export, and says in `record` what was measured and how it ended; returns the rows of the table.

    Where the export was refused, that is how the record ends.
    Args:
      directory: of frozen_graph.pb and of the exported files.
    Raises Problem: changed where one of these is not what its record describes, or where the export is not verified and
    a file of the checkpoint was deleted or changed meanwhile; OSError.
    """
    if stopped := _stopped(earlier):
        record.end(stopped)
        record.status = REFUSED if stopped.status == REFUSED else UNVERIFIABLE  # Else a record cannot be read.
        return []
    began = time.monotonic()
    with unchanged.watched(graph_sources.files_of(earlier.imported)) as refuse_changed:
        limits.held(settings, _refuse_changed, directory, earlier)
        rows = _decide(earlier, directory.absolute(), limits.left(settings, began), record)
        if record.status != VERIFIED:
            refuse_changed()
    return rows


def _stopped(earlier: Earlier) -> Record | None:
    """The record for which there is nothing to judge."""
    made: list[Record] = [earlier.export, earlier.provenance, earlier.imported]
    not_good = [record for record in made if record.status != OK]
    not_good += [earlier.verdict] if earlier.verdict.status != VERIFIED else []
    return next(iter(not_good), None)


def _refuse_changed(directory: Path, earlier: Earlier) -> None:
    proven_graph.refuse_other(directory / layout.FROZEN_GRAPH, earlier.provenance)
    exported_files.refuse_others(directory, earlier.export)


def _decide(earlier: Earlier, directory: Path, settings: Settings, record: ExportVerdict) -> list[Row]:
    # Imported here: what was refused needs neither TensorFlow nor another runtime.
    from permafrost.judge.exports import deciding, trials

    frozen_graph, imported = str(directory / layout.FROZEN_GRAPH), graph_sources.absolute(earlier.imported)
    exported = trials.Exported(
        imported, earlier.provenance, earlier.verdict, frozen_graph, earlier.export, str(directory)
    )
    rows: list[Row] = deciding.decide(_stage(earlier.export.format), exported, settings, record)
    record.environment = {**record.environment, **export_packages.versions(earlier.export.format)}
    return rows


def _stage(form: str) -> str:
    return f"judge_{form}"


class Paths(NamedTuple):
    """The paths of a model's records, and of export_<format>.json beside the exported files."""

    imported: str
    provenance: str
    verdict: str
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
    verdict = recording.load_or_fail(paths.verdict, Verdict, stage)
    export = recording.load_or_fail(paths.export, ExportRecord, stage)
    rows: list[Row] = []
    begun = recording.begun(ExportVerdict, model)
    with recording.recording(stage, begun, path, attempt, UNVERIFIABLE) as record:
        record.format = form
        earlier = Earlier(imported, provenance, verdict, export)
        rows += judge(earlier, paths.export.parent, settings, record)
    EXPORT.write(table, rows)
