"""Freezes a model: writes frozen_graph.pb, straight from the checkpoint's bytes, and provenance.json beside it.

The record says how it ended; the .pb is there only when it is good. TensorFlow is not imported.
"""

import os
import platform
from pathlib import Path

import crc32c
import google.protobuf

from permafrost import records, whole_files
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.checkpoint.unchanged import stamp_of, watched
from permafrost.freezer import freezing
from permafrost.graph import graph_sources
from permafrost.graph.index import GraphIndex
from permafrost.outcome import Problem
from permafrost.sandbox import limits


def provenance(imported: dict, options: dict, frozen_graph: Path, facts: dict) -> dict | None:
    """Freezes the model of an import record to `frozen_graph`, and adds what was done to `facts`.

    Returns the failure to pass on where the import had failed, else None.
    Raises Problem and OSError as freezer.freezing does, and Problem (timeout, memory) by the limits in `options`.
    """
    frozen_graph.unlink(missing_ok=True)
    if imported["status"] != records.OK:
        return records.passed_on(imported)
    limits.held(options, freeze, imported, options, frozen_graph, facts)
    return None


def freeze(imported: dict, options: dict, frozen_graph: Path, facts: dict) -> None:
    """Freezes a model that was imported; arguments and errors are those of provenance."""
    facts["frozen_graph"] = frozen_graph.name
    facts["options"] = {key: value for key, value in options.items() if key not in limits.DEFAULTS}
    facts["versions"] = versions()
    with watched(graph_sources.files_of(imported)):
        _freeze(imported, options, frozen_graph, facts)


def _freeze(imported: dict, options: dict, frozen_graph: Path, facts: dict) -> None:
    meta_graph = graph_sources.read(imported["graph"])
    facts["outputs"] = [name if ":" in name else f"{name}:0" for name in imported["outputs"]]
    plan = freezing.plan(meta_graph, GraphIndex(meta_graph.graph_def), imported, options)
    with open_checkpoint(imported["prefix"]) as checkpoint:
        graph = [path for path in (imported["graph"]["path"], imported["graph"]["saver"]) if path]
        hashed = [*graph, *(path for path in checkpoint.files if ".data-" not in os.path.basename(path))]
        facts["sha256"] = {os.path.basename(path): whole_files.sha256(path) for path in hashed}
        try:
            facts.update(freezing.freeze(plan, checkpoint, frozen_graph))
        except Problem as problem:
            if problem.cause == "corrupt":
                facts["corrupt"] = {path: stamp_of(path) for path in checkpoint.files}
            raise
        facts["frozen_stamp"] = whole_files.stamp(frozen_graph)
    facts["inputs"] = {name: plan.cuts.get(name, name) for name in imported["inputs"]}


def versions() -> dict[str, str]:
    """The versions of what made the frozen graph."""
    return {
        "python": platform.python_version(),
        "protobuf": google.protobuf.__version__,
        "crc32c": crc32c.__version__,
    }


def run(model: str, attempt: str, import_record: str, options: dict, path: Path) -> None:
    """Writes provenance.json to `path`, and frozen_graph.pb beside it. Raises OSError where it cannot be written.

    Args:
      model, attempt: as records.write_record has them.
      import_record: the path of import.json.
      options: as provenance has them.
    """
    imported = records.load_or_fail(import_record, "freeze")
    frozen_graph = path.with_name("frozen_graph.pb")
    records.reserve(path)
    whole_files.sweep(frozen_graph)

    def work(facts: dict) -> dict | None:
        return provenance(imported, options, frozen_graph, facts)

    record = records.write_record("freeze", model, path, work, attempt)
    if record["status"] != records.OK:
        frozen_graph.unlink(missing_ok=True)
