"""Verifies a model: TensorFlow restores the checkpoint, loads the frozen graph from the disk, and compares the two.

All of it runs in a child process with a time and memory limit; verify.json says what was found, verification.csv has
a row for each output and trial, and example.npz, beside the frozen graph of a verified model, the arrays of one trial.
"""

import os
import time
from pathlib import Path

from permafrost import layout, recording, whole_files
from permafrost.checkpoint import unchanged
from permafrost.graph import graph_sources, vocabularies
from permafrost.judge.comparison import Row
from permafrost.model import Settings
from permafrost.outcome import OK, UNVERIFIABLE, VERIFIED, Problem
from permafrost.records import Example, ImportRecord, Provenance, Verdict
from permafrost.report import input_advice
from permafrost.report.tables.verification import VERIFICATION
from permafrost.sandbox import limits
from permafrost.stages import proven_graph


def verify(
    imported: ImportRecord, provenance: Provenance, frozen_graph: Path, settings: Settings, record: Verdict
) -> list[Row]:
    """Judges a frozen model, and says in `record` what was measured and how it ended.

    Of a verified one it leaves example.npz beside the frozen graph (judge.examples).
    Returns the rows of verification.csv. Raises Problem (changed) where the frozen graph is not the one that its
    provenance describes, or where it is not verified and a file of the checkpoint was deleted or changed meanwhile.
    """
    for earlier in (provenance, imported):
        if earlier.status != OK:
            record.end(earlier)
            return []
    began = time.monotonic()
    with unchanged.watched(graph_sources.files_of(imported)) as refuse_changed:
        limits.held(settings, _refuse_changed, imported, provenance, frozen_graph)
        # Imported here: a model that could not be frozen needs no TensorFlow.
        from permafrost.judge import examples, verdict

        example = frozen_graph.with_name(layout.EXAMPLE)
        keeps = {examples.NAME: example}
        model = verdict.Model(graph_sources.absolute(imported), provenance, os.path.abspath(frozen_graph))
        rows = verdict.decide("verify", examples.judge_and_keep, model, limits.left(settings, began), record, keeps)
        if record.status != VERIFIED:
            refuse_changed()
        elif example.exists():
            record.example = _described(example, settings.seed, record.batches[0])
        if record.cause in input_advice.CAUSES:
            meant = limits.held(settings, input_advice.hint, imported, record.model, record.message)
            record.hint = meant or record.hint
    return rows


def _described(example: Path, seed: int, batch: int) -> Example:
    found = os.stat(example)
    return Example(whole_files.sha256(example), found.st_size, found.st_mtime_ns, seed, batch)


def _refuse_changed(imported: ImportRecord, provenance: Provenance, frozen_graph: Path) -> None:
    """Raises Problem (changed) where a graph or the index is not what was frozen; weights are the judge's matter."""
    proven_graph.refuse_other(frozen_graph, provenance)
    words = vocabularies.paths(imported).values()
    for path in (imported.graph.path, imported.graph.saver, f"{imported.prefix}.index", *words):
        hashed = provenance.sha256.get(path, provenance.sha256.get(os.path.basename(path))) if path else None
        if hashed and (not os.path.exists(path) or whole_files.sha256(path) != hashed):
            raise Problem("changed", f"{path} is not what it was when the model was frozen")


def run(
    model: str, attempt: str, import_record: str, provenance: Path, settings: Settings, path: str, table: str
) -> None:
    """Writes verify.json to `path` and verification.csv to `table`. Raises OSError where one cannot be written.

    Args:
      model, attempt: the model's id, and the token of this attempt, or "".
      import_record, provenance: the paths of import.json, and of provenance.json beside frozen_graph.pb.
      settings: as judge.judging has them.
    """
    imported = recording.load_or_fail(import_record, ImportRecord, "verify")
    frozen = recording.load_or_fail(provenance, Provenance, "verify")
    rows: list[Row] = []
    provenance.with_name(layout.EXAMPLE).unlink(missing_ok=True)
    begun = recording.begun(Verdict, model)
    with recording.recording("verify", begun, path, attempt, UNVERIFIABLE) as record:
        rows += verify(imported, frozen, provenance.with_name(layout.FROZEN_GRAPH), settings, record)
    VERIFICATION.write(table, rows)
