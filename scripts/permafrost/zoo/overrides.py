"""The files that a model's settings name, in place of those that discovery found: freeze_graph's own options."""

import os
from pathlib import Path

from msgspec.structs import replace

from permafrost.checkpoint import unchanged
from permafrost.graph.event_files import is_events
from permafrost.graph.graph_files import SAVED_MODEL_FILES
from permafrost.model import Defect, Graph, Model, Settings
from permafrost.outcome import Problem

# freeze_graph's options that say where the graph and the checkpoint are; config.schema.yaml describes them.
OPTIONS = (
    "input_meta_graph", "input_graph", "input_binary", "input_saver", "input_checkpoint", "input_saved_model_dir",
    "saved_model_tags", "restore_op_name", "filename_tensor_name",
)  # fmt: skip
_GRAPHS = ("input_meta_graph", "input_graph", "input_saved_model_dir")


def apply(model: Model, chosen: Settings) -> Model:
    """A model as discovery found it, with what its settings `chosen` say instead.

    It gets a `graph`, and its fingerprint those of the files named. Where nothing names the graph's file, the path of
    `graph` is empty, and the file is still among the model's `graphs`. A file that is not there becomes the model's
    problem.
    """
    if not any(getattr(chosen, option) for option in OPTIONS):
        return model
    named = [option for option in _GRAPHS if getattr(chosen, option)]
    if len(named) > 1:
        return _with(model, Problem("bad_setting", f"{named[0]} and {named[1]} both name the graph"))
    try:
        return _applied(model, chosen)
    except OSError as error:
        problem = Problem("unreadable", f"{error.filename}: {error.strerror}", "correct the path in the settings")
        return _with(model, problem)


def _with(model: Model, problem: Problem) -> Model:
    return replace(model, problem=Defect(**vars(problem)))


def _applied(model: Model, chosen: Settings) -> Model:
    prefix, path, form, problem = model.prefix, model.meta, "meta_graph", model.problem
    if chosen.input_saved_model_dir:
        directory = Path(chosen.input_saved_model_dir)
        there = [name for name in SAVED_MODEL_FILES if (directory / name).exists()]
        path = str(directory / (there or SAVED_MODEL_FILES)[0])
        prefix, form, problem = str(directory / "variables" / "variables"), "saved_model", None
    elif chosen.input_graph:
        path, form = chosen.input_graph, "events" if is_events(chosen.input_graph) else "graph_def"
    elif chosen.input_meta_graph:
        path = chosen.input_meta_graph
    elif os.path.basename(path) in SAVED_MODEL_FILES:
        form = "saved_model"
    if problem and problem.cause in ("no_meta_graph", "bad_meta_graph") and path != model.meta:
        problem = None
    if chosen.input_checkpoint:
        prefix = chosen.input_checkpoint
        problem = None if path or model.graphs else problem
    graph = Graph(
        form=form,
        path=path,
        saver=chosen.input_saver,
        tags=chosen.saved_model_tags,
        binary=chosen.input_binary,
        restore_op_name=chosen.restore_op_name,
        filename_tensor_name=chosen.filename_tensor_name,
    )
    stamps = [_stamp(file) for file in (path, chosen.input_saver) if file and file != model.meta]
    graphs = None if path else model.graphs
    changed = replace(model, prefix=prefix, meta=path, problem=problem, graph=graph, graphs=graphs)
    if prefix != model.prefix:
        is_v2 = os.path.exists(f"{prefix}.index")
        stamps.append(_stamp(f"{prefix}.index" if is_v2 else prefix))
        # Its shards are looked for when it is opened.
        changed.format, changed.shards = "V2" if is_v2 else "V1", 0
    changed.fingerprint = f"{model.fingerprint} {stamps}"
    return changed


def stamp(path: str) -> list[str | int]:
    """The path of a file with its stamp, which tells whether it changed; without it where it is not there."""
    try:
        return _stamp(path)
    except OSError:
        return [path]


def _stamp(path: str) -> list[str | int]:
    return [path, *unchanged.stamp(os.stat(path))]
