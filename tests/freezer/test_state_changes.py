"""What a restore leaves behind is nothing that a frozen graph has: it is refused.

Each graph has a feed on which TensorFlow shows it, and the judge refuses a frozen graph that was made none the less.
"""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kinds
from changed_state import (
    called,
    found,
    frozen_against_the_rules,
    frozen_value,
    function_with_a_variable,
    give,
    given,
    insert,
    judged,
    mutable,
    queue,
    saved,
    staged,
    start,
    twin_of_a_table,
)
from fresh_process import in_fresh_process
from permafrost import recording
from permafrost.graph.metagraph import read_meta_graph
from permafrost.judge.structure import uncaptured_state
from permafrost.model import Model
from permafrost.records import JudgedFile
from permafrost.stages import judge_file
from stages import default_settings, frozen, imported, problem_of

v1, raw = tf.compat.v1, tf.raw_ops


def import_by_a_twin() -> None:
    keys, values = tf.constant([5], tf.int64), tf.constant([7.0])
    raw.LookupTableImportV2(table_handle=mutable("twin"), keys=keys, values=values, name="change")
    give(found(mutable()))


def twin_of_a_queue() -> None:
    raw.QueueEnqueueV2(handle=queue("twin"), components=[tf.constant(1.0)], name="change")
    give(raw.QueueSizeV2(handle=queue()))


def table_in_a_branch() -> None:
    insert(mutable("twin"))
    with kinds.control_flow(2):
        x, w, late = start()
        kept = tf.cond(late > 0.0, lambda: found(mutable()), lambda: tf.constant(0.0))
        tf.add(x * w, kept, name="y")


def function_with_a_table() -> None:
    def fill(value):
        with tf.control_dependencies([insert(mutable())]):
            return tf.identity(value)

    called(fill, tf.constant(1.0))
    give(found(mutable()))


def function_in_a_function() -> None:
    def inner(value):
        with tf.control_dependencies([insert(mutable())]):
            return tf.identity(value)

    called(lambda value: tf.function(inner, autograph=False)(value), tf.constant(1.0))
    give(found(mutable()))


def staged_by_key() -> None:
    key, indices = tf.constant(5, tf.int64), tf.constant([0])
    values, dtypes = [tf.constant(1.0)], [tf.float32]
    raw.MapStage(key=key, indices=indices, values=values, dtypes=dtypes, shared_name="stage", name="change")
    give(raw.MapSize(dtypes=dtypes, shared_name="stage"))


def accumulated() -> None:
    handle = raw.ResourceConditionalAccumulator(dtype=tf.float32, shape=[], shared_name="sum")
    step, gradient = tf.constant(0, tf.int64), tf.constant(1.0)
    raw.ResourceAccumulatorApplyGradient(handle=handle, local_step=step, gradient=gradient, name="change")
    give(raw.ResourceAccumulatorNumAccumulated(handle=handle))


def drawn() -> None:
    draw = raw.RandomUniform(shape=tf.constant([3]), dtype=tf.float32, seed=7, seed2=9, name="change")
    give(draw)


def through_a_merge() -> None:
    """The handle of the table comes by a Merge, which may give that of any."""
    sides = raw.Switch(data=mutable("twin"), pred=tf.constant(True))
    insert(raw.Merge(inputs=[sides[0], sides[1]]).output)
    give(found(mutable()))


CHANGED = [
    twin_of_a_table, import_by_a_twin, twin_of_a_queue, table_in_a_branch, function_with_a_table,
    function_with_a_variable, function_in_a_function, staged, staged_by_key, accumulated, drawn, through_a_merge,
]  # fmt: skip


def queue_that_nothing_sees() -> None:
    raw.QueueEnqueueV2(handle=queue(), components=[tf.constant(1.0)], name="change")
    give(found(mutable()))


def table_of_another_name() -> None:
    insert(mutable("twin", "another"))
    give(found(mutable()))


def draw_that_nothing_sees() -> None:
    raw.RandomUniform(shape=tf.constant([3]), dtype=tf.float32, seed=7, seed2=9, name="change")
    give(found(mutable()))


def iterator_of_the_saver() -> None:
    """A pipeline whose position the saver restores."""
    iterator = v1.data.make_initializable_iterator(tf.data.Dataset.range(3))
    v1.add_to_collection("to_run", iterator.initializer)
    give(tf.constant(3.0))
    for saved_thing in (*v1.global_variables(), tf.data.experimental.make_saveable_from_iterator(iterator)):
        v1.add_to_collection("to_save", saved_thing)


UNSEEN = [queue_that_nothing_sees, table_of_another_name, draw_that_nothing_sees]


def words_about(source: Model, directory: Path, initializer: str = "") -> tuple:
    """What the freezer says, what the judge says, and whether TensorFlow gives something else than the frozen graph."""
    refused = problem_of(frozen, imported(source, outputs=["y"]), directory)
    record, provenance, path = frozen_against_the_rules(source, directory)
    word = problem_of(judged, record, provenance, path)
    theirs = given(record.meta, record.prefix, initializer=initializer)
    ours = frozen_value(path, provenance.initializers)
    return refused.cause, refused.message, word.cause, word.message, not np.allclose(theirs, ours)


@pytest.mark.parametrize("build", CHANGED)
def test_what_a_restore_leaves_behind_is_refused(build, tmp_path):
    found = in_fresh_process(words_about, saved(build, tmp_path), tmp_path / "frozen")
    assert (found[0], found[2], found[4]) == ("unsupported_op", "structure_differs", True), found
    assert "while the saver restores" in found[1] and "in the restore" in found[3]


def word_on_the_file_alone(source: Model, directory: Path) -> tuple[str, str]:
    """How the frozen graph of another tool that leaves the same out is judged."""
    *_, path = frozen_against_the_rules(source, directory)
    record = recording.begun(JudgedFile, "m")
    judge_file.judge(str(path), source, default_settings(timeout=120), record)
    return record.status, record.cause


@pytest.mark.parametrize("build", CHANGED)
def test_what_a_restore_leaves_behind_is_missed_in_other_tools_files(build, tmp_path):
    found = in_fresh_process(word_on_the_file_alone, saved(build, tmp_path), tmp_path / "frozen")
    assert found == ("mismatch", "structure_differs")


def verified_and_same(source: Model, directory: Path) -> tuple[str, bool]:
    record = imported(source, outputs=["y"])
    provenance, path = frozen(record, directory)
    found = judged(record, provenance, path)
    theirs = given(record.meta, record.prefix)
    return found.get("finding", ""), np.allclose(theirs, frozen_value(path, provenance.initializers))


@pytest.mark.parametrize("build", UNSEEN)
def test_what_nothing_sees_is_not_refused(build, tmp_path):
    assert in_fresh_process(verified_and_same, saved(build, tmp_path), tmp_path / "frozen") == ("", True)


def pipeline_left_out(source: Model, directory: Path) -> list[str]:
    record = imported(source, outputs=["y"])
    _, path = frozen(record, directory)
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    meta_graph = read_meta_graph(record.meta)
    uncaptured_state.refuse(meta_graph, meta_graph.graph_def, graph_def, ["y"], [])
    return [node.op for node in graph_def.node if "Iterator" in node.op]


def test_a_pipeline_among_what_is_saved_is_not_refused(tmp_path):
    source = saved(iterator_of_the_saver, tmp_path, restoring=False)
    assert in_fresh_process(pipeline_left_out, source, tmp_path / "frozen") == []


def read_on_one_side() -> None:
    """The output is a read that runs where the input is small."""
    x, _, late = start()
    small = raw.Switch(data=x, pred=late > 0.0)[0]
    with tf.control_dependencies([tf.identity(small)]):
        raw.ReadVariableOp(resource=v1.global_variables()[0].handle, dtype=tf.float32, name="y")


def gathered_on_one_side() -> None:
    x, _, late = start()
    small = raw.Switch(data=x, pred=late > 0.0)[0]
    variable, indices = v1.global_variables()[0].handle, tf.constant([0, 2])
    with tf.control_dependencies([tf.identity(small)]):
        raw.ResourceGather(resource=variable, indices=indices, dtype=tf.float32, name="y")


def dead_on_both(source: Model, directory: Path) -> tuple[str, list[str]]:
    record = imported(source, outputs=["y"])
    provenance, path = frozen(record, directory)
    found = judged(record, provenance, path)
    ends = []
    for work in (lambda: given(record.meta, record.prefix), lambda: frozen_value(path, [])):
        try:
            ends.append(str(work()))
        except tf.errors.InvalidArgumentError as error:
            ends.append("dead" if "does not have value" in str(error) else str(error))
    return found.get("finding", ""), ends


@pytest.mark.parametrize("build", [read_on_one_side, gathered_on_one_side])
def test_an_output_that_is_a_read_runs_where_it_ran(build, tmp_path):
    found = in_fresh_process(dead_on_both, saved(build, tmp_path, restoring=False), tmp_path / "frozen")
    assert found == ("", ["dead", "dead"])
