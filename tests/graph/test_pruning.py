"""Cutting inputs: what is fed comes from placeholders, and what is not fed stays computed."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

import kinds
from fresh_process import in_fresh_process
from judged import verified
from permafrost.graph import pruning
from permafrost.graph.calls import needed_functions
from permafrost.graph.index import GraphIndex
from stages import frozen, imported, problem_of, sources

v1 = tf.compat.v1

X = np.array([[1.0, 2.0, 3.0]], np.float32)
HALF = np.array([[5.0, 7.0]], np.float32)


def split() -> None:
    """An output that uses both halves of a split layer, and one that uses the first half and the split as control."""
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    w = v1.get_variable("w", [3, 4], initializer=v1.random_normal_initializer(seed=1), use_resource=False)
    first, second = tf.split(tf.matmul(x, w), 2, axis=1, name="halves")
    tf.add(3 * first, second, name="out")
    tf.multiply(first, 2.0, name="doubled")
    with tf.control_dependencies([first]):
        tf.multiply(second, 2.0, name="after")


def frozen_graph(directory, **settings):
    kinds.save(split, directory)
    (source,) = sources(directory).values()
    provenance, path = frozen(imported(source, **settings), directory / "frozen")
    return provenance.cuts, v1.GraphDef.FromString(path.read_bytes())


def run(graph_def, feed: dict, output: str) -> np.ndarray:
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=graph) as session:
            return session.run(output, feed)


def run_checkpoint(directory, feed: dict, output: str) -> np.ndarray:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        saver = v1.train.import_meta_graph(str(directory / "model.ckpt.meta"))
        saver.restore(session, str(directory / "model.ckpt"))
        return session.run(output, feed)


@pytest.mark.parametrize("output", [0, 1])
def test_a_node_of_which_one_output_is_fed_still_gives_the_other(tmp_path, output):
    fed = f"halves:{output}"
    cuts, graph_def = frozen_graph(tmp_path, outputs=["out"], inputs={fed: {"shape": [None, 2]}})
    assert set(cuts) == {fed} and cuts[fed] not in ("halves:0", "halves:1")
    assert {node.name for node in graph_def.node if node.op == "Split"} == {"halves"}
    wanted = run_checkpoint(tmp_path, {"x:0": X, fed: HALF}, "out:0")
    np.testing.assert_array_equal(run(graph_def, {"x:0": X, cuts[fed]: HALF}, "out:0"), wanted)


def test_a_node_of_which_all_outputs_are_fed_is_replaced(tmp_path):
    half = {"shape": [None, 2]}
    cuts, graph_def = frozen_graph(tmp_path, outputs=["out"], inputs={"halves:0": half, "halves:1": half})
    assert cuts["halves:0"] == "halves:0" and "Split" not in {node.op for node in graph_def.node}
    feed = {cuts["halves:0"]: HALF, cuts["halves:1"]: 2 * HALF}
    np.testing.assert_array_equal(run(graph_def, feed, "out:0"), 5 * HALF)


@pytest.mark.parametrize(("output", "fed"), [("doubled", "halves:0"), ("after", "halves:1")])
def test_an_output_that_only_others_use_keeps_no_node(tmp_path, output, fed):
    cuts, graph_def = frozen_graph(tmp_path, outputs=[output], inputs={fed: {"shape": [None, 2]}})
    assert not {"Split", "MatMul"} & {node.op for node in graph_def.node}
    np.testing.assert_array_equal(run(graph_def, {cuts[fed]: HALF}, f"{output}:0"), 2 * HALF)


def waits_for_a_write(resource: bool) -> None:
    """A read waits for what is fed, and that for a write, which shows on large inputs."""
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    w = kinds.weights("w", [3], resource)
    with tf.control_dependencies(
        [v1.assign_add(w, tf.where(tf.reduce_max(x) > 1000.0, tf.ones([3]), tf.zeros([3]))).op]
    ):
        fed = tf.identity(x * 2.0, name="fed")
    with tf.control_dependencies([fed]):
        value = w.read_value() if resource else tf.identity(w._ref())
    tf.multiply(fed, value * kinds.weights("scale", [3]), name="out")


def waits_for_an_insert(resource: bool) -> None:
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    make = tf.raw_ops.MutableHashTableV2 if resource else tf.raw_ops.MutableHashTable
    insert = tf.raw_ops.LookupTableInsertV2 if resource else tf.raw_ops.LookupTableInsert
    find = tf.raw_ops.LookupTableFindV2 if resource else tf.raw_ops.LookupTableFind
    table = make(key_dtype=tf.int64, value_dtype=tf.float32, shared_name="numbers")
    key, written = tf.constant([1], tf.int64), tf.reshape(tf.reduce_max(x), [1])
    with tf.control_dependencies([insert(table_handle=table, keys=key, values=written)]):
        fed = tf.identity(x * 2.0, name="fed")
    with tf.control_dependencies([fed]):
        key = key + 0
    found = find(table_handle=table, keys=key, default_value=0.0)
    tf.multiply(fed, found * kinds.weights("scale", [3]), name="out")


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("build", [waits_for_a_write, waits_for_an_insert])
def test_what_is_fed_runs_for_those_that_wait_for_it(tmp_path, build, resource):
    kinds.save(partial(build, resource), tmp_path)
    (source,) = sources(tmp_path).values()
    record = imported(source, outputs=["out"], inputs={"fed:0": {"shape": [None, 3]}})
    assert set(record.inputs) == {"x:0", "fed:0"}
    provenance, path = frozen(record, tmp_path / "frozen")
    graph_def = v1.GraphDef.FromString(path.read_bytes())
    for x in (X, 1000 * X):
        feed = {provenance.inputs["x:0"]: x, provenance.inputs["fed:0"]: X}
        wanted = run_checkpoint(tmp_path, {"x:0": x, "fed:0": X}, "out:0")
        np.testing.assert_array_equal(run(graph_def, feed, "out:0"), wanted)
    assert in_fresh_process(verified, record, provenance, path)["status"] == "verified"


def test_an_output_that_is_unfed_stays_beside_a_fed_one(tmp_path):
    inputs = {"halves:0": {"shape": [None, 2]}}
    cuts, graph_def = frozen_graph(tmp_path, outputs=["doubled", "halves:1"], inputs=inputs)
    feed = {"x:0": X, cuts["halves:0"]: HALF}
    wanted = run_checkpoint(tmp_path, {"x:0": X, "halves:0": HALF}, "halves:1")
    np.testing.assert_array_equal(run(graph_def, feed, "halves:1"), wanted)
    np.testing.assert_array_equal(run(graph_def, feed, "doubled:0"), 2 * HALF)


def test_an_output_that_is_fed_itself_is_refused(tmp_path):
    inputs = {"halves:1": {"shape": [None, 2]}}
    problem = problem_of(frozen_graph, tmp_path, outputs=["after", "halves:1"], inputs=inputs)
    assert problem.cause == "unknown_output" and "halves:1" in problem.message


def test_what_fills_a_table_counts_as_needed():
    with tf.Graph().as_default() as graph:
        keys, values = tf.split(tf.constant([1, 2, 3, 4], tf.int64), 2, name="halves")
        table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(values, values), 0)
        tf.identity(table.lookup(keys), name="out")
    cut, cuts = pruning.cut_inputs(graph.as_graph_def(), ["halves:0"], ["out"])
    nodes = GraphIndex(cut).nodes
    assert nodes["halves"].op == "Split" and nodes[cuts["halves:0"].removesuffix(":0")].op == "Placeholder"


def test_functions_that_are_needed():
    @tf.function
    def inner(x):
        return x + 1.0

    @tf.function
    def outer(x):
        return inner(x) * 2.0

    @tf.function
    def other(x):
        return x

    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [], name="x")
        tf.identity(outer(x), name="out")
        other(x)
    graph_def = graph.as_graph_def()
    index = GraphIndex(graph_def)
    kept = pruning.needed(index, ["out"])
    names = [f.signature.name for f in needed_functions([index.nodes[name] for name in kept], graph_def.library)]
    assert len(names) == 2 and not any("other" in name for name in names)
    assert names == [f.signature.name for f in graph_def.library.function if f.signature.name in names]
    assert any("inner" in name for name in names) and any("outer" in name for name in names)
    direct = [tf.compat.v1.NodeDef(name="call", op=names[0])]
    assert names[0] in [f.signature.name for f in needed_functions(direct, graph_def.library)]
    listed = tf.compat.v1.NodeDef(name="case", op="Case")
    listed.attr["branches"].list.func.add(name=names[1])
    assert names[1] in [f.signature.name for f in needed_functions([listed], graph_def.library)]
