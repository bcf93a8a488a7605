"""Graphs without a placeholder on the way to their outputs: constants, variables alone, Python functions, queues."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kinds
from judged import check_judgement, rehearse, saved
from permafrost.graph.index import tensor_name
from stages import frozen, imported, problem_of

v1 = tf.compat.v1


def variable_times_two() -> None:
    """The graph of freeze_graph's own test (tensorflow/python/tools/freeze_graph_test.py)."""
    tf.multiply(v1.get_variable("variable_node", initializer=1.0), 2.0, name="output_node")


def constants() -> None:
    tf.nn.softmax(tf.matmul(tf.constant([[3.0, 4.0]], name="data"), kinds.weights("w", [2, 3])), name="probs")


def loader(path, *, of_weights: bool):
    given = [path, kinds.weights("scale", [])] if of_weights else [path]
    return v1.py_func(lambda *_: np.zeros((1, 4), np.float32), given, tf.float32, name="load")


def python_loader() -> None:
    x = loader(v1.placeholder(tf.string, [], "path"), of_weights=False)
    tf.nn.softmax(tf.matmul(x, kinds.weights("w", [4, 3])), name="probs")


def python_loader_of_two() -> None:
    path = v1.placeholder(tf.string, [], "path")
    x, labels = v1.py_func(lambda p: (np.zeros((1, 4), np.float32), np.int64(1)), [path], [tf.float32, tf.int64])
    logits = tf.matmul(x, kinds.weights("w", [4, 3]), name="logits")
    v1.losses.sparse_softmax_cross_entropy(tf.reshape(labels, [1]), logits)


@pytest.mark.parametrize(
    "build, output, inputs",
    [
        (variable_times_two, "output_node", set()),
        (constants, "probs", set()),
        (python_loader, "probs", {"load:0"}),
        (python_loader_of_two, "logits", {"PyFunc:0"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_outputs_are_found_frozen_and_verified(build, output, inputs, tmp_path):
    record = imported(saved(build, tmp_path))
    assert output in {tensor_name(name)[0] for name in record.outputs} and set(record.inputs) == inputs
    record = rehearse(imported(saved(build, tmp_path), outputs=[output]), outputs=[output])
    assert not record.rehearsal and set(record.inputs) == inputs
    check_judgement(record, *frozen(record, tmp_path / "frozen"))


def python_of_weights() -> None:
    x = loader(v1.placeholder(tf.string, [], "path"), of_weights=True)
    tf.nn.softmax(tf.matmul(x, kinds.weights("w", [4, 3])), name="probs")


def test_a_python_function_of_weights_is_no_input(tmp_path):
    record = imported(saved(python_of_weights, tmp_path), outputs=["probs"])
    problem = problem_of(frozen, record, tmp_path / "frozen")
    assert problem.cause == "unsupported_op" and "'load'" in problem.message


def queue_as_a_state() -> None:
    x, queue = v1.placeholder(tf.float32, [1, 4], "x"), v1.FIFOQueue(1, [tf.float32], [[1, 4]], name="state")
    past, push = queue.dequeue(name="past"), queue.enqueue([x], name="push")
    with tf.control_dependencies([push]):
        tf.nn.softmax(tf.matmul(x + past, kinds.weights("w", [4, 3])), name="probs")


def test_a_queue_that_is_filled_and_never_emptied_is_refused(tmp_path):
    record = imported(saved(queue_as_a_state, tmp_path), outputs=["probs"])
    problem = problem_of(frozen, record, tmp_path / "frozen")
    assert problem.cause == "unsupported_op"
    assert "node 'push' (QueueEnqueueV2), on which an output waits, fills 'state'" in problem.message


def steps_alone() -> None:
    v1.train.get_or_create_global_step()


def test_a_graph_that_computes_nothing_has_no_output(tmp_path):
    problem = problem_of(imported, saved(steps_alone, tmp_path))
    assert problem.cause == "no_output" and "computes nothing from a variable" in problem.message


def python_of_a_weight_last() -> None:
    y = v1.py_func(lambda a: a, [kinds.weights("w", [3])], tf.float32, name="python")
    tf.tanh(tf.reshape(y, [3]), name="out")


def a_missing_input() -> None:
    tf.matmul(v1.placeholder(tf.float32, [None, 3], "x"), kinds.weights("w", [3, 2]), name="out")


def test_a_weight_is_no_output_in_the_place_of_others(tmp_path):
    problem = problem_of(imported, saved(python_of_a_weight_last, tmp_path))
    assert problem.cause == "unsupported_op" and "'python'" in problem.message


def test_an_input_that_the_graph_lacks_is_named(tmp_path):
    source = saved(a_missing_input, tmp_path)
    meta_graph = v1.MetaGraphDef.FromString(Path(source.meta).read_bytes())
    nodes = meta_graph.graph_def.node
    nodes.remove(next(node for node in nodes if node.name == "x"))
    Path(source.meta).write_bytes(meta_graph.SerializeToString())
    problem = problem_of(imported, source)
    assert problem.cause == "bad_meta_graph" and "lacks the node 'x'" in problem.message
