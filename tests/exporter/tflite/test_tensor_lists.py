"""Lists in the place of TensorArrays: TensorFlow computes the same bits with them."""

import numpy as np
import pytest
import tensorflow as tf

from kinds import control_flow
from made_exports import made, normal, said, v1
from permafrost.exporter.tflite import tensor_lists
from training_graphs.layers import LSTM


def _ones(units: int = 4, **options):
    x = v1.placeholder(tf.float32, [None, 5, 3], "x")
    outputs, _ = v1.nn.dynamic_rnn(LSTM(units), x, dtype=tf.float32, **options)
    return {"x": x}, {"y": outputs}


def recurrent():
    return _ones()


def of_lengths():
    x, lengths = v1.placeholder(tf.float32, [None, None, 3], "x"), v1.placeholder(tf.int32, [None], "lengths")
    outputs, state = v1.nn.dynamic_rnn(LSTM(4), x, sequence_length=lengths, dtype=tf.float32)
    return {"x": x, "lengths": lengths}, {"y": outputs, "c": state[0]}


def both_ways():
    x = v1.placeholder(tf.float32, [None, 5, 3], "x")
    outputs, _ = v1.nn.bidirectional_dynamic_rnn(LSTM(4, "one"), LSTM(2, "other"), x, dtype=tf.float32)
    return {"x": x}, {"y": tf.concat(outputs, 2)}


def stacked():
    inputs, outputs = _ones()
    with v1.variable_scope("second"):
        above, _ = v1.nn.dynamic_rnn(LSTM(3, "second"), outputs["y"], dtype=tf.float32)
    return inputs, {"y": above}


def decoder():
    """What a step chooses is what the next one reads."""
    x = v1.placeholder(tf.float32, [None, 3], "x")
    table = v1.get_variable("table", [6, 3], use_resource=False)

    def step(time, state, ids):
        scores = tf.matmul(tf.tanh(state), table, transpose_b=True)
        chosen_ids = tf.argmax(scores, 1, output_type=tf.int32)
        return time + 1, state * 0.5 + tf.gather(table, chosen_ids), ids.write(time, chosen_ids)

    _, _, ids = v1.while_loop(lambda time, *_: time < 4, step, [0, x, tf.TensorArray(tf.int32, 4)])
    return {"x": x}, {"ids": ids.stack()}


def raw():
    """An array that grows with the rounds of a loop, as a decoder's do."""
    x = v1.placeholder(tf.float32, [5, None, 3], "x")
    read, cell = tf.TensorArray(tf.float32, 5).unstack(x), LSTM(4)

    def loop(time, output, state, _):
        is_done = tf.fill([tf.shape(x)[1]], time >= 5)
        following = tf.cond(time >= 5, lambda: tf.zeros([tf.shape(x)[1], 3]), lambda: read.read(time))
        following.set_shape([None, 3])
        begun = cell.zero_state(tf.shape(x)[1], tf.float32) if output is None else state
        return is_done, following, begun, output, None

    outputs, _, _ = v1.nn.raw_rnn(cell, loop)
    return {"x": x}, {"y": outputs.stack(), "count": outputs.size()}


def mapped():
    x = v1.placeholder(tf.float32, [None, 3], "x")
    return {"x": x}, {"y": tf.map_fn(lambda row: tf.cumsum(row) * 2.0, x)}


def nested():
    x = v1.placeholder(tf.float32, [None, 4, 3], "x")

    def inner(rows):
        return tf.map_fn(lambda row: row / (1.0 + tf.reduce_sum(tf.abs(row))), rows)

    return {"x": x}, {"y": tf.map_fn(inner, x)}


def chosen():
    x = v1.placeholder(tf.float32, [4, None], "x")
    array = tf.TensorArray(tf.float32, 4).unstack(x)
    return {"x": x}, {"y": array.gather([2, 0]), "z": array.read(3)}


def under_a_condition():
    x = v1.placeholder(tf.float32, [3, None], "x")
    array = tf.TensorArray(tf.float32, 3)
    for k in range(2):
        array = array.write(k, x[k] * float(k + 1))
    flow = v1.cond(tf.reduce_sum(x) > 0, lambda: array.write(2, x[0]).flow, lambda: array.write(2, x[1]).flow)
    return {"x": x}, {"y": tf.raw_ops.TensorArrayGatherV3(
        handle=array.handle, indices=tf.range(array.size()), flow_in=flow, dtype=tf.float32
    )}  # fmt: skip


PROGRAMS = (recurrent, of_lengths, both_ways, stacked, decoder, raw, mapped, nested, chosen, under_a_condition)


def feed_of(prepared, batch: int, seed: int) -> dict[str, np.ndarray]:
    shapes = {each.key: [batch if size is None else size for size in each.shape] for each in prepared.signature.inputs}
    made_feed = {key: normal(*shape, seed=seed) for key, shape in shapes.items()}
    return made_feed | ({"lengths": np.arange(batch, dtype=np.int32) % (batch + 1)} if "lengths" in shapes else {})


@pytest.mark.parametrize("program", PROGRAMS)
def test_same_bits(program) -> None:
    with control_flow(1):
        prepared = made(program)
    listed, count = tensor_lists.with_lists(prepared.graph_def)
    assert count
    assert not [node.op for node in listed.node if node.op.startswith("TensorArray")]
    for batch, seed in ((2, 0), (3, 1)):
        feed = feed_of(prepared, batch, seed)
        for one, other in zip(said(prepared, feed), said(prepared, feed, listed), strict=True):
            assert one.dtype == other.dtype
            assert one.tobytes() == other.tobytes()


def growing():
    x = v1.placeholder(tf.float32, [None], "x")
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True).write(0, x).write(1, x * 2.0)
    return {"x": x}, {"y": array.stack()}


def growing_by_twos():
    x = v1.placeholder(tf.float32, [None], "x")
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True)
    _, array = v1.while_loop(
        lambda k, _: k < 3, lambda k, a: (k + 1, a.write(2 * k, x).write(2 * k + 1, x)), [0, array]
    )
    return {"x": x}, {"y": array.stack()}


def growing_from_the_end():
    x = v1.placeholder(tf.float32, [None], "x")
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True)
    _, array = v1.while_loop(lambda k, _: k < 3, lambda k, a: (k + 1, a.write(2 - k, x)), [0, array])
    return {"x": x}, {"y": array.stack()}


def gradient():
    x = v1.placeholder(tf.float32, [3, None], "x")
    array = tf.TensorArray(tf.float32, 3).unstack(x)
    return {"x": x}, {"y": v1.gradients(array.read(1) ** 2.0, x)[0]}


def turned_round():
    x = v1.placeholder(tf.float32, [3, None], "x")
    array = tf.TensorArray(tf.float32, 3).scatter([2, 1, 0], x)
    return {"x": x}, {"y": array.stack()}


def joined():
    x = v1.placeholder(tf.float32, [2, None, 2], "x")
    return {"x": x}, {"y": tf.TensorArray(tf.float32, 2).unstack(x).concat()}


@pytest.mark.parametrize("program", [growing, growing_by_twos, growing_from_the_end, gradient, turned_round, joined])
def test_what_a_list_is_not_stays_an_array(program) -> None:
    with control_flow(1):
        prepared = made(program)
    listed, count = tensor_lists.with_lists(prepared.graph_def)
    assert count == 0
    assert listed is prepared.graph_def
