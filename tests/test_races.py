"""Reads that race with a write take a copy before it; all others stay as they are."""

import numpy as np
import tensorflow as tf

import kinds
from permafrost import races

v1 = tf.compat.v1


def settled(build) -> tuple[list[str], object]:
    """The reads that are changed in the graph that `build` makes, all of whose nodes run but for initializers."""
    with tf.Graph().as_default() as graph:
        build()
    graph_def = graph.as_graph_def()
    running = {node.name for node in graph_def.node if not node.name.endswith("/Assign")}
    return races.reads_first(graph_def, running), graph_def


def test_a_read_beside_a_write_comes_first():
    changed, graph_def = settled(kinds.batch_norm_beside_its_cond)
    assert changed == ["moving_mean/read"]
    nodes = {node.name: node for node in graph_def.node}
    assert nodes["moving_mean/read"].op == "DeepCopy"
    assert "^moving_mean/read" in nodes["Assign"].input


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


def test_a_read_after_a_write_stays_after_it():
    changed, graph_def = settled(kinds.read_after_write(False))
    nodes = {node.name: node for node in graph_def.node}
    (after,) = [name for name in changed if any(text.startswith("^") for text in nodes[name].input)]
    write = nodes[after].input[1].removeprefix("^")
    assert f"^{after}" not in nodes[write].input


def test_what_no_run_writes_is_left_alone():
    assert settled(kinds.plain(False))[0] == []
    with tf.Graph().as_default() as graph:
        kinds.batch_norm_beside_its_cond()
    assert races.reads_first(graph.as_graph_def(), {"out", "moving_mean/read"}) == []
