"""Exports a model's frozen graph to another format: the files beside it, and a record, export_<format>.json.

Only what the judge has verified is exported. Each format has a function that makes its files; what all have in common
is here: what is refused, what the record says, and that after a failure there is no file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from permafrost import export_packages, layout, recording, whole_files
from permafrost.export_records import ExportRecord, Signature
from permafrost.exporter.prepared import Refused
from permafrost.model import ExportOptions, Settings
from permafrost.outcome import OK, REFUSED, VERIFIED, Problem, hint_of_export
from permafrost.records import ImportRecord, Provenance, Verdict
from permafrost.sandbox import limits
from permafrost.stages import exported_files, proven_graph


class Task(NamedTuple):
    """What is to be exported: the model's records, its frozen graph, and the settings; directory: for the files."""

    imported: ImportRecord
    provenance: Provenance
    verdict: Verdict
    frozen_graph: Path
    frozen_sha256: str
    settings: Settings
    directory: Path


class Made(NamedTuple):
    """What came of it, as ExportRecord has it; the files are in the task's directory."""

    signature: Signature
    baked: dict[str, Any]
    changes: list[str]
    way: str
    opset: int | None = None
    initializers: list[str] | None = None


Make = Callable[[Task], Made]


def export(form: str, make: Make, task: Task, record: ExportRecord) -> None:
    """Exports to a format, and says in `record` what was made.

    Args:
      make: makes the files of the format.
      task: without `frozen_sha256`, which is found out here.
    Raises Problem: not_verified, missing_package, changed where the frozen graph is not the one that was frozen, and
    what `make` raises; what Refused says of op and node is in the record then.
    """
    record.format = form
    record.options = options_of(task.settings, form)
    verdict = task.verdict
    if verdict.status != VERIFIED:
        why = f"it is {verdict.status} ({verdict.cause})" if verdict.cause else f"it is {verdict.status}"
        raise Problem("not_verified", f"the frozen graph is not exported, since {why}", verdict.hint)
    _refuse_missing(form, record)
    record.versions = export_packages.versions(form)
    record.frozen_sha256 = limits.held(task.settings, _checked_sha256, task)
    try:
        made = make(task._replace(frozen_sha256=record.frozen_sha256))
    except Refused as refused:
        record.op, record.node = refused.op, refused.node
        raise Problem(refused.cause, refused.message, hint_of_export(refused.cause)) from refused
    record.signature, record.baked, record.changes, record.way = made[:4]
    if made.opset is not None:
        record.opset = made.opset
    if made.initializers is not None:
        record.initializers = made.initializers
    exported_files.describe(task.directory, record)


def options_of(settings: Settings, form: str) -> dict[str, Any]:
    """What the settings say of a format, but for what the export is expected to end as, as a record has it."""
    chosen: ExportOptions = getattr(settings, form)
    said: dict[str, Any] = msgspec.to_builtins(chosen, str_keys=True)
    return {key: value for key, value in said.items() if key != "expect"}


def _refuse_missing(form: str, record: ExportRecord) -> None:
    try:
        export_packages.refuse_missing(form)
    except Problem:
        record.transient = True  # It is tried again once they are installed.
        raise


def _checked_sha256(task: Task) -> str:
    proven_graph.refuse_other(task.frozen_graph, task.provenance)
    return whole_files.sha256(task.frozen_graph)


class Records(NamedTuple):
    """The paths of a model's import.json, provenance.json and verify.json."""

    imported: str
    provenance: Path
    verdict: str


def run(form: str, make: Make, model: str, attempt: str, records: Records, settings: Settings, path: Path) -> None:
    """Writes export_<form>.json to `path`, and the files of the format beside it. Raises OSError where it cannot.

    Args:
      form: one of export_records.FORMATS, which `make` makes the files of.
      model, attempt: the model's id, and the token of this attempt, or "".
      records: of the stages before; frozen_graph.pb lies beside the provenance.
      settings: what they say of the format and of the signature, and the limits.
    """
    stage = f"export_{form}"
    imported = recording.load_or_fail(records.imported, ImportRecord, stage)
    provenance = recording.load_or_fail(records.provenance, Provenance, stage)
    verdict = recording.load_or_fail(records.verdict, Verdict, stage)
    recording.reserve(path)
    exported_files.delete(path.parent, form)
    frozen_graph = records.provenance.with_name(layout.FROZEN_GRAPH)
    task = Task(imported, provenance, verdict, frozen_graph, "", settings, path.parent)
    with recording.recording(stage, recording.begun(ExportRecord, model), path, attempt, REFUSED) as record:
        _refuse_unread(imported, provenance)
        export(form, make, task, record)
    if record.status != OK:
        exported_files.delete(path.parent, form)


def _refuse_unread(*earlier: ImportRecord | Provenance) -> None:
    for record in earlier:
        if record.status != OK:
            raise Problem("not_verified", f"there is no frozen graph: {record.message}", record.hint)
