"""Reads that race with a write come before it; all others stay as they are."""

import numpy as np
import pytest
import tensorflow as tf

import kinds
from permafrost.graph.index import GraphIndex
from permafrost.judge import races

v1 = tf.compat.v1


def settled(build) -> tuple[list[str], object]:
    """The reads that are changed in the graph that `build` makes, all of whose nodes run but for initializers."""
    with tf.Graph().as_default() as graph:
        build()
    graph_def = graph.as_graph_def()
    running = {node.name for node in graph_def.node if not node.name.endswith("/Assign")}
    return races.reads_first(graph_def, running).reads, graph_def


def test_a_read_beside_a_write_comes_first():
    changed, graph_def = settled(kinds.batch_norm_beside_its_cond)
    assert changed == ["moving_mean/read"]
    nodes = {node.name: node for node in graph_def.node}
    assert nodes["moving_mean/read"].op == "DeepCopy"
    # The write computes with what the read gives, and so follows it.
    assert "moving_mean/read" in GraphIndex(graph_def).reach(["Assign"])


def test_a_write_waits_for_a_read_that_it_does_not_need():
    def build():
        state = kinds.weights("state", [3])
        tf.add(tf.identity(state, name="before"), kinds.features(), name="out")
        v1.assign_add(state, tf.ones([3]), name="count")

    changed, graph_def = settled(build)
    nodes = {node.name: node for node in graph_def.node}
    assert changed == ["state/read"]
    assert "^state/read" in nodes["count"].input
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    with v1.Session(graph=graph) as session:
        for _ in range(20):
            session.run("state/Assign")
            before = session.run("state:0")
            out, _ = session.run(["out:0", "count:0"], {"x:0": np.zeros([1, 3], np.float32)})
            np.testing.assert_array_equal(out[0], before)


@pytest.mark.parametrize("build", [kinds.read_after_write(False), kinds.alias_of_what_is_written])
def test_memory_that_is_read_after_a_write_is_left_alone(build):
    changed, graph_def = settled(build)
    assert changed == []
    assert "DeepCopy" not in {node.op for node in graph_def.node}


def test_a_read_by_a_handle_comes_before_a_write_that_it_does_not_follow():
    def build():
        state = kinds.weights("state", [3], True)
        tf.add(state.read_value(), kinds.features(), name="out")
        with tf.control_dependencies([state.assign_add(tf.ones([3]), read_value=False)]):
            tf.identity(state.read_value(), name="after")

    changed, graph_def = settled(build)
    nodes = {node.name: node for node in graph_def.node}
    assert "Read/ReadVariableOp" in changed
    (write,) = (node for node in graph_def.node if node.op == "AssignAddVariableOp")
    assert "^Read/ReadVariableOp" in write.input
    (after,) = (name for name in GraphIndex(graph_def).reach(["after"]) if f"^{write.name}" in nodes[name].input)
    assert after not in changed


def test_what_cannot_come_before_all_that_it_does_not_follow_is_left_alone():
    def build():
        a, b = kinds.weights("a", [3], True), kinds.weights("b", [3], True)
        with tf.control_dependencies([b.assign_add(tf.ones([3]), read_value=False)]):
            first = a.read_value()
        with tf.control_dependencies([a.assign_add(tf.ones([3]), read_value=False)]):
            second = b.read_value()
        tf.add(first + second, kinds.features(), name="out")

    assert settled(build)[0] == []


def test_what_no_run_writes_is_left_alone():
    assert settled(kinds.plain(False))[0] == []
    with tf.Graph().as_default() as graph:
        kinds.batch_norm_beside_its_cond()
    assert races.reads_first(graph.as_graph_def(), {"out", "moving_mean/read"}) == races.Ordered()
