"""What a SavedModel's loader leaves behind, but for tables, is nothing that a frozen graph has: it is refused.

Each graph has a feed on which TensorFlow shows it, and the judge refuses a frozen graph that was made none the less.
"""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from changed_state import (
    LATE,
    constant_table,
    filled,
    found,
    frozen_against_the_rules,
    frozen_value,
    function_with_a_variable,
    give,
    insert,
    judged,
    mutable,
    staged,
    start,
    twin_of_a_table,
)
from fresh_process import in_fresh_process
from permafrost.model import Model
from stages import frozen, imported, problem_of, sources

v1, raw = tf.compat.v1, tf.raw_ops


def table_by_the_loader() -> str:
    table = mutable()
    give(found(table))
    return insert(table).name


def twin_by_the_loader() -> str:
    twin_of_a_table()
    return "change"


def function_by_the_loader() -> str:
    function_with_a_variable()
    return "change"


def stage_by_the_loader() -> str:
    staged()
    return "change"


def variable_by_a_twin() -> str:
    x, w, _ = start()
    twin = raw.VarHandleOp(dtype=tf.float32, shape=[3], shared_name="w", name="twin")
    tf.multiply(x, w, name="y")
    return raw.AssignAddVariableOp(resource=twin, value=tf.ones([3]), name="change").name


def table_that_is_kept() -> str:
    """The usual: the loader fills the tables, and the frozen graph has what does."""
    table = constant_table("table")
    filled(table, tf.constant([7.0]))
    give(found(table))
    return "fill"


def exported(build, directory: Path) -> dict:
    """The source of a SavedModel whose loader runs the node that `build` names."""
    builder = v1.saved_model.Builder(str(directory))
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        last = graph.get_operation_by_name(build())
        session.run(v1.global_variables_initializer())
        x, y = (graph.get_tensor_by_name(f"{name}:0") for name in "xy")
        signature = {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signature, main_op=last)
    builder.save()
    (source,) = sources(directory.parent).values()
    return source


def loaded(directory: str):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.load(session, ["serve"], directory)
        return session.run("y:0", {"x:0": LATE})


def words_about_a_loader(source: Model, export: Path, directory: Path) -> tuple:
    refused = problem_of(frozen, imported(source, outputs=["y"]), directory)
    record, provenance, path = frozen_against_the_rules(source, directory)
    word = problem_of(judged, record, provenance, path)
    differs = not np.allclose(loaded(str(export)), frozen_value(path, provenance.initializers))
    return refused.cause, refused.message, word.cause, word.message, differs


@pytest.mark.parametrize(
    "build",
    [table_by_the_loader, twin_by_the_loader, function_by_the_loader, stage_by_the_loader, variable_by_a_twin],
)
def test_what_a_loader_leaves_behind_is_refused(build, tmp_path):
    export = tmp_path / "zoo" / "export"
    found = in_fresh_process(words_about_a_loader, exported(build, export), export, tmp_path / "frozen")
    assert (found[0], found[2], found[4]) == ("unsupported_op", "structure_differs", True), found
    assert "init op 'change'" in found[1] and "in the loader" in found[3]


def loaded_and_same(source: Model, export: Path, directory: Path) -> tuple[str, bool]:
    record = imported(source, outputs=["y"])
    provenance, path = frozen(record, directory)
    ours = frozen_value(path, provenance.initializers)
    return judged(record, provenance, path).get("finding", ""), np.allclose(loaded(str(export)), ours)


def test_a_loader_that_fills_the_tables_is_kept(tmp_path):
    export = tmp_path / "zoo" / "export"
    assert in_fresh_process(loaded_and_same, exported(table_that_is_kept, export), export, tmp_path / "f") == ("", True)
