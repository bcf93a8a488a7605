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

_CHEAP = 16 << 20  # bytes of a checkpoint whose data is hashed unless the settings say otherwise


def freeze(imported: ImportRecord, settings: Settings, frozen_graph: Path, record: Provenance) -> None:
    """Freezes the model of an import record to `frozen_graph`, and says in `record` what was done.

    Where the import had failed, that is how the record ends.
    Raises Problem and OSError as freezer.planning and freezer.freezing do, and Problem (timeout, memory) by the limits
    in `settings`.
    """
    frozen_graph.unlink(missing_ok=True)
    # They are of the graph that was there.
    for name in layout.OF_GRAPH:
        frozen_graph.with_name(name).unlink(missing_ok=True)
    for export in FORMATS:
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
    hashes_all = settings.hashes == "sha256" or (settings.hashes == "auto" and imported.checkpoint_bytes <= _CHEAP)
    write(imported, record.options, baked, frozen_graph, record, hashes_all)
    listed = _hashed(imported, imported.files, hashes_all)
    beside = os.path.dirname(imported.prefix)
    lines = {
        os.path.relpath(path, beside): record.sha256[name] for name, path in listed.items() if name in record.sha256
    }
    whole_files.write_hashes(frozen_graph.with_name(layout.CHECKPOINT_HASHES), lines)


def _hashed(imported: ImportRecord, files: list[str], hashes_all: bool) -> dict[str, str]:
    """The names under which provenance.json has hashes of files that were read, each with its path."""
    graph = [path for path in (imported.graph.path, imported.graph.saver) if path]
    read = [*graph, *(path for path in files if hashes_all or ".data-" not in os.path.basename(path))]
    named = {os.path.basename(path): path for path in read}
    for path in dict.fromkeys(vocabularies.paths(imported).values()):
        # Several may have one name.
        name = os.path.basename(path)
        named[path if name in named else name] = path
    return named


def write(
    imported: ImportRecord,
    options: Options,
    baked: Mapping[str, Any],
    frozen_graph: Path,
    record: Provenance,
    hashes_all: bool = False,
) -> None:
    """Writes the frozen graph of an import record that is whole, and says in `record` what it is.

    Args:
      options: of the freezing. baked: input -> the value, an array, that it always has. hashes_all: whether the
        files of the weights and the frozen graph are hashed as well, for which they are read once more.
    Raises Problem and OSError as freezer.planning and freezer.freezing do, and Problem (changed).
    """
    with watched(graph_sources.files_of(imported)):
        _freeze_unchanged(imported, options, baked, frozen_graph, record, hashes_all)


def _freeze_unchanged(
    imported: ImportRecord,
    options: Options,
    baked: Mapping[str, Any],
    frozen_graph: Path,
    record: Provenance,
    hashes_all: bool,
) -> None:
    meta_graph = graph_sources.read(imported.graph)
    record.outputs = [name if ":" in name else f"{name}:0" for name in imported.outputs]
    resolved = [*replicas.resolve(meta_graph.graph_def), *lifting.lift(meta_graph)]
    plan = planning.plan(meta_graph, GraphIndex(meta_graph.graph_def), imported, options, baked)
    plan.repairs[:0] = planning.of_kept(resolved, meta_graph.graph_def, plan.graph_def)
    with open_checkpoint(imported.prefix) as checkpoint:
        hashed = _hashed(imported, checkpoint.files, hashes_all)
        record.sha256 = {name: whole_files.sha256(path) for name, path in hashed.items()}
        try:
            freezing.freeze(plan, checkpoint, frozen_graph, record)
        except Problem as problem:
            if problem.cause == "corrupt":
                record.corrupt = {path: stamp_of(path) for path in checkpoint.files}
            raise
        if hashes_all:
            record.frozen_sha256 = whole_files.sha256(frozen_graph)
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
