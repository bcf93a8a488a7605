"""The shapes that TensorFlow infers of all that runs: what a run then has, and where they are not told."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import kinds
from permafrost.graph.index import GraphIndex
from permafrost.judge.inferred_shapes import infer

v1 = tf.compat.v1


def convolutional():
    x = v1.placeholder(tf.float32, [None, 8, 8, 3], "x")
    normed = v1.nn.fused_batch_norm(tf.nn.conv2d(x, kinds.weights("w", [3, 3, 3, 4]), 2, "SAME"), [1.0] * 4, [0.0] * 4)
    return tf.reshape(normed[0], [tf.shape(x)[0], -1])


def attentive():
    x = v1.placeholder(tf.float32, [None, 8, 3], "x")
    rows = tf.shape(x)[0] * tf.shape(x)[1]
    return tf.reshape(tf.reshape(x, [rows, 3]) @ kinds.weights("w", [3, 6]), [-1, 8, 2, 3])


def scaled():
    keep = v1.placeholder(tf.float32, [], "keep")
    return v1.placeholder(tf.float32, [None, 4], "x") * keep


SHAPES = {convolutional: [8, 8, 3], attentive: [8, 3], scaled: [4]}


def made(build) -> tuple[GraphIndex, str, tf.Graph]:
    """The index of a graph, the name of what it gives, and the graph."""
    with tf.Graph().as_default() as graph:
        out = build()
    return GraphIndex(graph.as_graph_def()), out.name, graph


def feeds_of(index: GraphIndex, sizes: list[int]) -> dict[str, list[int]]:
    return {f"{name}:0": sizes if name == "x" else [] for name, op in index.ops.items() if op == "Placeholder"}


@pytest.mark.parametrize("build", SHAPES)
@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_they_are_those_of_a_run(build, batch):
    index, out, graph = made(build)
    feeds = feeds_of(index, [batch, *SHAPES[build]])
    with v1.Session(graph=graph) as session:
        with graph.as_default():
            session.run(v1.global_variables_initializer())
        value = session.run(out, {name: np.ones(shape, np.float32) for name, shape in feeds.items()})
    assert infer(index, [out], feeds, set()) == {out: (value.dtype.name, list(value.shape))}


def of_fixed_batch():
    return tf.reshape(v1.placeholder(tf.float32, [None, 4], "x"), [2, 4])


def where_it_is_positive():
    return tf.where(v1.placeholder(tf.float32, [None, 4], "x") > 0)


def in_a_loop():
    x = v1.placeholder(tf.float32, [None, 4], "x")
    v1.disable_control_flow_v2()
    try:
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2.0), [0, x])[1]
    finally:
        v1.enable_control_flow_v2()


def in_a_function():
    return tf.function(lambda x: tf.sort(x) + 1.0)(v1.placeholder(tf.float32, [None, 4], "x"))


@pytest.mark.parametrize("build", [of_fixed_batch, where_it_is_positive, in_a_loop, in_a_function])
def test_they_are_not_told_where_a_run_may_have_others(build):
    index, out, _ = made(build)
    assert infer(index, [out], feeds_of(index, [3, 4]), set()) is None


def test_they_are_not_told_of_what_does_not_fit():
    index, out, _ = made(lambda: tf.identity(v1.placeholder(tf.float32, None, "x") @ kinds.weights("w", [5, 2])))
    assert infer(index, [out], {"x:0": [3, 4]}, set()) is None
    assert infer(index, [out], {"x:0": [3, 5]}, set()) == {out: ("float32", [3, 2])}


def test_what_is_not_run_has_no_say():
    def build():
        x = v1.placeholder(tf.float32, [None, 4], "x")
        tf.where(x > 0)
        return x + 1.0

    index, out, _ = made(build)
    assert infer(index, [out], {"x:0": [3, 4]}, set()) == {out: ("float32", [3, 4])}
