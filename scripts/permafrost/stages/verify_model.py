"""Verifies a model: TensorFlow restores the checkpoint, loads the frozen graph from the disk, and compares the two.

All of it runs in a child process with a time and memory limit; verify.json says what was found, verification.csv has
a row for each output and trial.
"""

import os
import time
from pathlib import Path

from permafrost import records, whole_files
from permafrost.checkpoint import unchanged
from permafrost.graph import graph_sources
from permafrost.outcome import VERIFIED, Problem
from permafrost.report import judgement
from permafrost.sandbox import limits

_FREEZE_AGAIN = "run again: the next run freezes the model anew"


def verify(imported: dict, provenance: dict, frozen_graph: Path, settings: dict, facts: dict) -> dict:
    """Judges a frozen model, adds what was measured to `facts`, and returns how it ended.

    Raises Problem (changed) where the frozen graph is not the one that its provenance describes, or where it is not
    verified and a file of the checkpoint was deleted or changed meanwhile.
    """
    for record in (provenance, imported):
        if record["status"] != records.OK:
            return records.passed_on(record)
    began = time.monotonic()
    with unchanged.watched(graph_sources.files_of(imported)) as refuse_changed:
        limits.held(settings, _refuse_changed, imported, provenance, frozen_graph)
        # Imported here: a model that could not be frozen needs no TensorFlow.
        from permafrost.judge import judging, verdict

        model = (graph_sources.absolute(imported), provenance, os.path.abspath(frozen_graph))
        outcome = verdict.reach("verify", judging.judge, model, limits.left(settings, began), facts)
        if outcome["status"] != VERIFIED:
            refuse_changed()
    return outcome


def _refuse_changed(imported: dict, provenance: dict, frozen_graph: Path) -> None:
    """Raises Problem (changed) where a graph or the index is not what was frozen; weights are the judge's matter."""
    if not frozen_graph.exists() or whole_files.checksum(frozen_graph) != provenance["frozen_crc32c"]:
        raise Problem("changed", f"{frozen_graph} is not the file that its provenance.json describes", _FREEZE_AGAIN)
    for path in (imported["graph"]["path"], imported["graph"]["saver"], f"{imported['prefix']}.index"):
        hashed = provenance["sha256"].get(os.path.basename(path)) if path else None
        if hashed and (not os.path.exists(path) or whole_files.sha256(path) != hashed):
            raise Problem("changed", f"{path} is not what it was when the model was frozen")


def run(
    model: str, attempt: str, import_record: str, provenance: Path, settings: dict, record: str, table: str
) -> None:
    """Writes verify.json to `record` and verification.csv to `table`. Raises OSError where one cannot be written.

    Args:
      model, attempt: as records.write_record has them.
      import_record, provenance: the paths of import.json, and of provenance.json beside frozen_graph.pb.
      settings: as judge.judging has them.
    """
    imported, frozen = (records.load_or_fail(path, "verify") for path in (import_record, provenance))
    frozen_graph = provenance.with_name("frozen_graph.pb")

    def work(facts: dict) -> dict:
        return verify(imported, frozen, frozen_graph, settings, facts)

    judgement.write("verify", model, record, table, work, attempt)
