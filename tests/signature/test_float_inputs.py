"""Floats that are fed are rows with one 1 where the graph counts or picks by them, and states where a cell begins."""

import pytest
import tensorflow as tf

import kinds
from judged import check_judgement, rehearse, saved
from permafrost.input_kinds import OneHot, State, Uniform
from stages import frozen, imported

v1 = tf.compat.v1


def floats(name, *shape):
    return v1.placeholder(tf.float32, [None, *shape], name)


def layer(x, size, name="dense"):
    return tf.add(tf.matmul(x, kinds.weights(f"{name}/kernel", [int(x.shape[-1]), size])), 0.5, name=name)


def values_of_an_action() -> None:
    q = layer(floats("observation", 4), 3)
    tf.reduce_sum(q * floats("action", 3), axis=1, name="out")


def labels_of_a_cross_entropy() -> None:
    logits = layer(floats("image", 4), 3)
    v1.nn.softmax_cross_entropy_with_logits(labels=floats("y", 3), logits=logits, name="out")


def a_class_by_its_largest() -> None:
    chosen = tf.equal(tf.argmax(layer(floats("image", 4), 3), 1), tf.argmax(floats("y", 3), 1))
    tf.cast(chosen, tf.float32, name="out")


def tokens_of_an_embedding() -> None:
    embedding = kinds.weights("embedding", [6, 5])
    tokens = tf.reshape(floats("tokens", 4, 6), [-1, 6])
    tf.identity(layer(tf.matmul(tokens, embedding), 2), name="out")


def named() -> None:
    tf.identity(layer(floats("chars_onehot", 6), 2), name="out")


def weighted_sum() -> None:
    tf.reduce_sum(floats("x", 3) * kinds.weights("w", [3]), axis=1, name="out")


def sum_of_squares() -> None:
    x = floats("x", 3)
    tf.add(tf.reduce_sum(layer(x, 3), axis=1), tf.reduce_sum(x * x, axis=1), name="out")


def state_of_a_loop() -> None:
    kernel = kinds.weights("cell/kernel", [3, 3])
    _, last = tf.while_loop(
        lambda step, state: step < 3,
        lambda step, state: (step + 1, tf.tanh(tf.matmul(state, kernel))),
        [tf.constant(0), floats("begin", 3)],
    )
    tf.identity(last, name="out")


def state_of_a_cell() -> None:
    both = tf.concat([floats("x", 4), floats("rnn_state", 3)], 1)
    tf.tanh(layer(both, 3), name="out")


def observation() -> None:
    tf.identity(layer(floats("state", 4), 2), name="out")


KINDS = {
    values_of_an_action: {"observation:0": Uniform, "action:0": OneHot},
    labels_of_a_cross_entropy: {"image:0": Uniform, "y:0": OneHot},
    a_class_by_its_largest: {"image:0": Uniform, "y:0": OneHot},
    tokens_of_an_embedding: {"tokens:0": OneHot},
    named: {"chars_onehot:0": OneHot},
    weighted_sum: {"x:0": Uniform},
    sum_of_squares: {"x:0": Uniform},
    state_of_a_loop: {"begin:0": State},
    state_of_a_cell: {"x:0": Uniform, "rnn_state:0": State},
    observation: {"state:0": Uniform},
}


@pytest.mark.parametrize("build", KINDS, ids=lambda build: build.__name__)
def test_floats_are_of_the_kind_that_the_graph_takes(build, tmp_path):
    with kinds.control_flow(1):
        record = imported(saved(build, tmp_path), outputs=["out"])
    record = rehearse(record, outputs=["out"])
    assert not record.rehearsal
    assert {name: type(spec) for name, spec in record.inputs.items()} == KINDS[build]
    check_judgement(record, *frozen(record, tmp_path / "frozen"))
