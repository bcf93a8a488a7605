"""Freezes a model: writes frozen_graph.pb, straight from the checkpoint's bytes, and provenance.json beside it.

The record says how it ended; the .pb is there only when it is good. TensorFlow is not imported.
"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import crc32c
import google.protobuf

from permafrost import layout, recording, whole_files
from permafrost.checkpoint.reader import open_checkpoint
from permafrost.checkpoint.unchanged import stamp_of, watched
from permafrost.export_records import FORMATS
from permafrost.freezer import freezing, lifting, planning, replicas
from permafrost.graph import graph_sources, vocabularies
from permafrost.graph.index import GraphIndex
from permafrost.model import Settings
from permafrost.outcome import OK, Problem
from permafrost.records import ImportRecord, Options, Provenance
from permafrost.sandbox import limits
from permafrost.stages import exported_files


def freeze(imported: ImportRecord, settings: Settings, frozen_graph: Path, record: Provenance) -> None:
    """Freezes the model of an import record to `frozen_graph`, and says in `record` what was done.

    Where the import had failed, that is how the record ends.
    Raises Problem and OSError as freezer.planning and freezer.freezing do, and Problem (timeout, memory) by the limits
    in `settings`.
    """
    frozen_graph.unlink(missing_ok=True)
    for export in FORMATS:  # They are of the graph that was there.
        exported_files.delete(frozen_graph.parent, export)
    if imported.status != OK:
        record.end(imported)
    else:
        limits.held(settings, _freeze, imported, settings, frozen_graph, record)


def _freeze(imported: ImportRecord, settings: Settings, frozen_graph: Path, record: Provenance) -> None:
    record.frozen_graph = frozen_graph.name
    record.options = Options(**{field: getattr(settings, field) for field in Options.__struct_fields__})
    record.versions = versions()
    baked: Any = {}
    if settings.bake:
        from permafrost.signature import baking  # Only here, since it needs numpy, which takes long to load.

        baked = baking.chosen(imported.inputs, settings.bake)
        if baked:
            record.baked = baking.told(baked)
    write(imported, record.options, baked, frozen_graph, record)


def write(
    imported: ImportRecord, options: Options, baked: Mapping[str, Any], frozen_graph: Path, record: Provenance
) -> None:
    """Writes the frozen graph of an import record that is whole, and says in `record` what it is.

    Args:
      options: of the freezing. baked: input -> the value, an array, that it always has.
    Raises Problem and OSError as freezer.planning and freezer.freezing do, and Problem (changed).
    """
    with watched(graph_sources.files_of(imported)):
        _freeze_unchanged(imported, options, baked, frozen_graph, record)


def _freeze_unchanged(
    imported: ImportRecord, options: Options, baked: Mapping[str, Any], frozen_graph: Path, record: Provenance
) -> None:
    meta_graph = graph_sources.read(imported.graph)
    record.outputs = [name if ":" in name else f"{name}:0" for name in imported.outputs]
    resolved = [*replicas.resolve(meta_graph.graph_def), *lifting.lift(meta_graph)]
    plan = planning.plan(meta_graph, GraphIndex(meta_graph.graph_def), imported, options, baked)
    plan.repairs[:0] = planning.of_kept(resolved, meta_graph.graph_def, plan.graph_def)
    with open_checkpoint(imported.prefix) as checkpoint:
        graph = [path for path in (imported.graph.path, imported.graph.saver) if path]
        hashed = [*graph, *(path for path in checkpoint.files if ".data-" not in os.path.basename(path))]
        record.sha256 = {os.path.basename(path): whole_files.sha256(path) for path in hashed}
        for path in dict.fromkeys(vocabularies.paths(imported).values()):
            # Several may have one name.
            name = os.path.basename(path)
            record.sha256[path if name in record.sha256 else name] = whole_files.sha256(path)
        try:
            freezing.freeze(plan, checkpoint, frozen_graph, record)
        except Problem as problem:
            if problem.cause == "corrupt":
                record.corrupt = {path: stamp_of(path) for path in checkpoint.files}
            raise
        record.frozen_stamp = whole_files.stamp(frozen_graph)
    record.inputs = {name: plan.cuts.get(name, name) for name in imported.inputs if name not in baked}


def versions() -> dict[str, str]:
    """The versions of what made the frozen graph."""
    return {
        "python": platform.python_version(),
        "protobuf": google.protobuf.__version__,
        "crc32c": crc32c.__version__,
    }


def run(model: str, attempt: str, import_record: str, settings: Settings, path: Path) -> None:
    """Writes provenance.json to `path`, and frozen_graph.pb beside it. Raises OSError where it cannot be written.

    Args:
      model, attempt: the model's id, and the token of this attempt, or "".
      import_record: the path of import.json.
      settings: those of freeze_graph, `bake`, and the limits.
    """
    imported = recording.load_or_fail(import_record, ImportRecord, "freeze")
    frozen_graph = path.with_name(layout.FROZEN_GRAPH)
    recording.reserve(path)
    whole_files.sweep(frozen_graph)
    with recording.recording("freeze", recording.begun(Provenance, model), path, attempt) as record:
        freeze(imported, settings, frozen_graph, record)
    if record.status != OK:
        frozen_graph.unlink(missing_ok=True)
