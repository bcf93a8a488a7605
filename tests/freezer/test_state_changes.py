"""What a restore, a loader or a table's initializer leaves behind is nothing that a frozen graph has: it is refused.

Each graph has a feed on which TensorFlow shows it, and the judge refuses a frozen graph that was made none the less.
"""

import os

from permafrost import recording
from permafrost.model import Model
from permafrost.records import ImportRecord, JudgedFile, Provenance

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import said
from permafrost.freezer import passes
from permafrost.freezer.initialization import Initialization
from permafrost.graph.metagraph import read_meta_graph
from permafrost.judge import judging
from permafrost.judge.structure import uncaptured_state
from permafrost.stages import judge_file
from stages import default_settings, frozen, imported, problem_of, sources

v1, raw = tf.compat.v1, tf.raw_ops
LATE = np.full([3], 2000, np.float32)  # what no trial feeds


def start():
    """The input, a weight, and 1 on a feed that no trial has, else 0."""
    x = v1.placeholder(tf.float32, [3], name="x")
    return x, kinds.weights("w", [3], True).read_value(), tf.cast(tf.reduce_max(x) > 1000.0, tf.float32)


def give(count) -> None:
    """The output, which shows `count` on a late feed."""
    x, w, late = start()
    tf.add(x * w, late * tf.cast(count, tf.float32), name="y")


def mutable(name: str = "table", shared: str = "shared"):
    return raw.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.float32, shared_name=shared, name=name)


def found(table):
    return raw.LookupTableFindV2(table_handle=table, keys=tf.constant(5, tf.int64), default_value=tf.constant(0.0))


def insert(table, name: str = "change"):
    return raw.LookupTableInsertV2(
        table_handle=table, keys=tf.constant([5], tf.int64), values=tf.constant([7.0]), name=name
    )


def queue(name: str = "queue"):
    return raw.FIFOQueueV2(component_types=[tf.float32], shapes=[[]], shared_name="queue", name=name)


def called(function, *args) -> None:
    """A node `change` that calls a function."""
    concrete = tf.function(function, autograph=False).get_concrete_function(*map(tf.TensorSpec.from_tensor, args))
    concrete.add_to_graph()
    raw.StatefulPartitionedCall(args=list(args), Tout=[tf.float32], f=concrete, name="change")


def twin_of_a_table() -> None:
    insert(mutable("twin"))
    give(found(mutable()))


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


def function_with_a_variable() -> None:
    other = raw.VarHandleOp(dtype=tf.float32, shape=[], shared_name="other", name="other")

    def fill(value):
        handle = raw.VarHandleOp(dtype=tf.float32, shape=[], shared_name="other")
        with tf.control_dependencies([raw.AssignVariableOp(resource=handle, value=value)]):
            return tf.identity(value)

    called(fill, tf.constant(1.0))
    give(raw.VarIsInitializedOp(resource=other))


def function_in_a_function() -> None:
    def inner(value):
        with tf.control_dependencies([insert(mutable())]):
            return tf.identity(value)

    called(lambda value: tf.function(inner, autograph=False)(value), tf.constant(1.0))
    give(found(mutable()))


def staged() -> None:
    raw.Stage(values=[tf.constant(1.0)], shared_name="stage", name="change")
    give(raw.StageSize(dtypes=[tf.float32], shared_name="stage"))


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


def saved(build, directory: Path, restoring: bool = True) -> dict:
    """The source of a model whose restore runs the node `change`, too."""
    prefix = kinds.save(build, directory)
    meta_graph = read_meta_graph(f"{prefix}.meta")
    (restore,) = (n for n in meta_graph.graph_def.node if n.name == meta_graph.saver_def.restore_op_name)
    restore.input.extend(["^change"] if restoring else [])
    Path(f"{prefix}.meta").write_bytes(meta_graph.SerializeToString())
    (source,) = sources(directory).values()
    return source


def given(meta: str, prefix: str, initializer: str = ""):
    """What TensorFlow gives on a late feed, after the restore and the initializer."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(meta).restore(session, prefix)
        if initializer:
            session.run(initializer)
        return session.run("y:0", {"x:0": LATE})


def frozen_against_the_rules(source: Model, directory: Path) -> tuple[ImportRecord, Provenance, Path]:
    """What the freezer would make if it refused nothing of the kind."""
    with (
        mock.patch.object(Initialization, "refuse_changes"),
        mock.patch.object(Initialization, "refuse_other_fillings"),
        mock.patch.object(passes, "refuse_written_by_initializers"),
    ):
        record = imported(source, outputs=["y"])
        return record, *frozen(record, directory)


def judged(record: ImportRecord, provenance: Provenance, path: Path) -> dict:
    return said(judging.judge(record, provenance, str(path), default_settings(), os.getcwd()))


def frozen_value(path: Path, initializers: list[str]):
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tf.import_graph_def(v1.GraphDef.FromString(path.read_bytes()), name="")
        for name in initializers:
            session.run(name)
        return session.run("y:0", {"x:0": LATE})


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


def filled(table, values, name: str = "fill"):
    return raw.InitializeTableV2(table_handle=table, keys=tf.constant([5], tf.int64), values=values, name=name)


def constant_table(name: str):
    return raw.HashTableV2(key_dtype=tf.int64, value_dtype=tf.float32, shared_name="constant", name=name)


def looked_up(late, table):
    """What is in the table, where it is late; else it is not asked."""
    key = raw.Switch(data=tf.constant(5, tf.int64), pred=late > 0.0)
    value = raw.LookupTableFindV2(table_handle=table, keys=key[1], default_value=tf.constant(0.0))
    return raw.Merge(inputs=[tf.cast(key[0], tf.float32) * 0.0, value]).output


def twin_of_a_filled_table() -> None:
    x, w, late = start()
    filled(constant_table("first"), tf.constant([7.0]))
    tf.add(x * w, looked_up(late, constant_table("second")), name="y")


def filled_table_in_a_branch() -> None:
    filled(constant_table("first"), tf.constant([7.0]))
    x, w, late = start()
    with kinds.control_flow(2):
        kept = tf.cond(late > 0.0, lambda: found(constant_table("second")), lambda: tf.constant(0.0))
    tf.add(x * w, kept, name="y")


def variable_written_by_a_filling() -> None:
    x, w, late = start()
    other = kinds.weights("other", [3], True)
    with tf.control_dependencies([raw.AssignAddVariableOp(resource=other.handle, value=tf.ones([3]))]):
        values = tf.constant([7.0]) * 1.0
    table = constant_table("table")
    filled(table, values)
    tf.add(x * w * found(table), late * other.read_value(), name="y")


def variable_written_in_a_function() -> None:
    x, w, late = start()
    other = kinds.weights("other", [3], True)

    def values(handle):
        with tf.control_dependencies([raw.AssignAddVariableOp(resource=handle, value=tf.ones([3]))]):
            return tf.constant([7.0]) * 1.0

    concrete = tf.function(values, autograph=False).get_concrete_function(tf.TensorSpec([], tf.resource))
    concrete.add_to_graph()
    table = constant_table("table")
    filled(table, raw.StatefulPartitionedCall(args=[other.handle], Tout=[tf.float32], f=concrete)[0])
    tf.add(x * w * found(table), late * other.read_value(), name="y")


def outcome_of_a_filling(source: Model, directory: Path) -> tuple:
    """As words_about; a frozen graph that does not run at all is another than TensorFlow's, too."""
    refused = problem_of(frozen, imported(source, outputs=["y"]), directory)
    record, provenance, path = frozen_against_the_rules(source, directory)
    word = problem_of(judged, record, provenance, path)
    theirs = given(record.meta, record.prefix, initializer="fill")
    try:
        differs = not np.allclose(theirs, frozen_value(path, provenance.initializers))
    except tf.errors.OpError:
        differs = True
    return refused.cause, word.cause, differs, "fill" in refused.message + word.message


@pytest.mark.parametrize(
    "build",
    [
        twin_of_a_filled_table, filled_table_in_a_branch, variable_written_by_a_filling, variable_written_in_a_function,
    ],
)  # fmt: skip
def test_what_filling_a_table_does_elsewhere_is_refused(build, tmp_path):
    found = in_fresh_process(outcome_of_a_filling, saved(build, tmp_path, restoring=False), tmp_path / "frozen")
    assert found == ("unsupported_op", "structure_differs", True, True)


def two_nodes_each_filled() -> None:
    """As two tables of one vocabulary file are: each has an initializer of its own."""
    first, second = constant_table("first"), constant_table("second")
    filled(first, tf.constant([7.0]), "fill")
    filled(second, tf.constant([7.0]), "fill_again")
    give(found(first) + found(second))


def filling_that_fills_another() -> None:
    table = constant_table("table")
    with tf.control_dependencies([insert(mutable())]):
        values = tf.constant([7.0]) * 1.0
    filled(table, values)
    give(found(table) + found(mutable("other", "else")))


def filled_and_same(source: Model, directory: Path) -> tuple[str, bool]:
    record = imported(source, outputs=["y"])
    provenance, path = frozen(record, directory)
    ours = frozen_value(path, provenance.initializers)
    found = judged(record, provenance, path)
    return found.get("finding", ""), np.allclose(given(record.meta, record.prefix, initializer="fill"), ours)


@pytest.mark.parametrize("build", [two_nodes_each_filled, filling_that_fills_another])
def test_a_table_with_an_initializer_of_its_own_is_kept(build, tmp_path):
    source = saved(build, tmp_path, restoring=False)
    assert in_fresh_process(filled_and_same, source, tmp_path / "frozen") == ("", True)


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
