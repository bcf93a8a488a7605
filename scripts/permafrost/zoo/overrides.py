"""The files that a model's settings name, in place of those that discovery found: freeze_graph's own options."""

import os
from pathlib import Path

from permafrost.checkpoint import unchanged
from permafrost.graph.graph_files import SAVED_MODEL_FILES
from permafrost.outcome import Problem

# freeze_graph's options that say where the graph and the checkpoint are; config.schema.yaml describes them.
OPTIONS = (
    "input_meta_graph", "input_graph", "input_binary", "input_saver", "input_checkpoint", "input_saved_model_dir",
    "saved_model_tags", "restore_op_name", "filename_tensor_name",
)  # fmt: skip
_GRAPHS = ("input_meta_graph", "input_graph", "input_saved_model_dir")


def apply(model: dict, chosen: dict) -> dict:
    """A model as discovery describes it, with what its settings `chosen` say instead.

    It gets `graph` (see graph.graph_sources), and its fingerprint those of the files named. A file that is not
    there becomes the model's problem.
    """
    if not any(chosen[option] for option in OPTIONS):
        return model
    named = [option for option in _GRAPHS if chosen[option]]
    if len(named) > 1:
        return model | {"problem": vars(Problem("bad_setting", f"{named[0]} and {named[1]} both name the graph"))}
    try:
        return _applied(model, chosen)
    except OSError as error:
        problem = Problem("unreadable", f"{error.filename}: {error.strerror}", "correct the path in the settings")
        return model | {"problem": vars(problem)}


def _applied(model: dict, chosen: dict) -> dict:
    prefix, path, form, problem = model["prefix"], model["meta"], "meta_graph", model["problem"]
    if chosen["input_saved_model_dir"]:
        directory = Path(chosen["input_saved_model_dir"])
        there = [name for name in SAVED_MODEL_FILES if (directory / name).exists()]
        path = str(directory / (there or SAVED_MODEL_FILES)[0])
        prefix, form, problem = str(directory / "variables" / "variables"), "saved_model", None
    elif chosen["input_graph"]:
        path, form = chosen["input_graph"], "graph_def"
    elif chosen["input_meta_graph"]:
        path = chosen["input_meta_graph"]
    elif os.path.basename(path) in SAVED_MODEL_FILES:
        form = "saved_model"
    if problem and problem["cause"] in ("no_meta_graph", "bad_meta_graph") and path != model["meta"]:
        problem = None
    if chosen["input_checkpoint"]:
        prefix = chosen["input_checkpoint"]
        problem = None if path else problem
    graph = {
        "form": form,
        "path": path,
        "saver": chosen["input_saver"],
        "tags": chosen["saved_model_tags"],
        "binary": chosen["input_binary"],
        "restore_op_name": chosen["restore_op_name"],
        "filename_tensor_name": chosen["filename_tensor_name"],
    }
    stamps = [_stamp(file) for file in (path, chosen["input_saver"]) if file and file != model["meta"]]
    changed = {"prefix": prefix, "meta": path, "problem": problem, "graph": graph}
    if prefix != model["prefix"]:
        is_v2 = os.path.exists(f"{prefix}.index")
        stamps.append(_stamp(f"{prefix}.index" if is_v2 else prefix))
        # Its shards are looked for when it is opened.
        changed |= {"format": "V2" if is_v2 else "V1", "shards": 0}
    return model | changed | {"fingerprint": f"{model['fingerprint']} {stamps}"}


def stamp(path: str) -> list:
    """The path of a file with its stamp, which tells whether it changed; without it where it is not there."""
    try:
        return _stamp(path)
    except OSError:
        return [path]


def _stamp(path: str) -> list:
    return [path, *unchanged.stamp(os.stat(path))]
