"""Freezes a model: writes frozen_graph.pb, straight from the checkpoint's bytes, and provenance.json beside it.

The record says how it ended; the .pb is there only when it is good. TensorFlow is not imported.
"""

import argparse
import json
import os
import platform
from pathlib import Path

import crc32c
import google.protobuf

from permafrost import records
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
        facts["sha256"] = {os.path.basename(path): records.sha256(path) for path in hashed}
        try:
            facts.update(freezing.freeze(plan, checkpoint, frozen_graph))
        except Problem as problem:
            if problem.cause == "corrupt":
                facts["corrupt"] = {path: stamp_of(path) for path in checkpoint.files}
            raise
        facts["frozen_stamp"] = records.stamp(frozen_graph)
    facts["inputs"] = {name: plan.cuts.get(name, name) for name in imported["inputs"]}


def versions() -> dict[str, str]:
    """The versions of what made the frozen graph."""
    return {
        "python": platform.python_version(),
        "protobuf": google.protobuf.__version__,
        "crc32c": crc32c.__version__,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the model's id")
    parser.add_argument("--import-record", required=True, help="the model's import.json")
    parser.add_argument("--options", required=True, type=json.loads, help="JSON: clear_devices, ..., timeout, ...")
    parser.add_argument("--attempt", default="", help="a token for the record, where an earlier one does not hold")
    parser.add_argument("provenance", type=Path, help="provenance.json; frozen_graph.pb is written beside it")
    args = parser.parse_args(argv)

    imported = records.load_or_fail(args.import_record, "freeze")
    frozen_graph = args.provenance.with_name("frozen_graph.pb")
    records.reserve(args.provenance)
    records.sweep(frozen_graph)
    record = records.write_record(
        "freeze",
        args.model,
        args.provenance,
        lambda facts: provenance(imported, args.options, frozen_graph, facts),
        args.attempt,
    )
    if record["status"] != records.OK:
        frozen_graph.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
