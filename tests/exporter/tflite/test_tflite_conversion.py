"""TensorFlow Lite files compute what TensorFlow computes of the same graph, or there is none."""

import numpy as np
import pytest
import tensorflow as tf

from kinds import control_flow
from made_exports import close, made, normal, said, v1
from permafrost.exporter.prepared import Refused
from permafrost.exporter.tflite import conversion
from permafrost.exporter.tflite.conversion import FIXED, OPEN
from permafrost.judge.exports.tflite_files import TfliteRuntime
from permafrost.judge.sessions import RunFailed
from permafrost.model import TfliteOptions
from training_graphs.layers import LSTM


def _weights(name: str, *shape: int):
    return v1.get_variable(name, list(shape), initializer=v1.random_normal_initializer(seed=len(name)))


def convolution():
    """A batch norm behind a convolution, a head, and another output that chooses; keys that are no Python names."""
    x = v1.placeholder(tf.float32, [None, 8, 8, 3], "x")
    features = tf.nn.conv2d(x, _weights("kernel", 3, 3, 3, 6), 1, "SAME")
    scale, offset = _weights("scale", 6), _weights("offset", 6)
    normed, *_ = v1.nn.fused_batch_norm(
        features, scale, offset, _weights("mean", 6), tf.abs(_weights("variance", 6)) + 1.0, is_training=False
    )
    logits = tf.matmul(tf.reduce_mean(tf.nn.relu(normed), [1, 2]), _weights("dense", 6, 4))
    outputs = {"net/p:0 é": tf.nn.softmax(logits), "self": tf.argmax(logits, 1)}
    return {"image in": x}, outputs, {"net/logits": logits}


def recurrent():
    x = v1.placeholder(tf.float32, [None, 5, 3], "x")
    outputs, state = v1.nn.dynamic_rnn(LSTM(4), x, dtype=tf.float32)
    return {"x": x}, {"y": outputs, "h": state[1]}


def decoder():
    """Each step is fed what the one before chose; the loop ends by itself, and its array grows."""
    x = v1.placeholder(tf.float32, [None, 3], "x")
    table = v1.get_variable("table", [6, 3], use_resource=False, initializer=v1.random_normal_initializer(seed=3))

    def step(time, state, array):
        scores = tf.matmul(tf.tanh(state), table, transpose_b=True)
        return time + 1, state * 0.5 + tf.gather(table, tf.argmax(scores, 1)), array.write(time, scores)

    scores = tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=False)
    _, _, scores = v1.while_loop(lambda time, *_: time < 4, step, [0, x, scores])
    return {"x": x}, {"scores": scores.stack()}


def functional():
    x = v1.placeholder(tf.float32, [None, 3], "x")
    matrix = _weights("matrix", 3, 3)
    return {"x": x}, {
        "y": tf.while_loop(lambda k, _: k < 3, lambda k, y: (k + 1, tf.tanh(tf.matmul(y, matrix))), [0, x])[1]
    }


def embedding():
    ids = v1.placeholder(tf.int32, [None, 4], "ids")
    looked_up = tf.nn.embedding_lookup(_weights("table", 9, 5), ids)
    return {"ids": ids}, {"mean": tf.reduce_mean(looked_up, 1), "shapes": tf.shape_n([looked_up * 2.0, looked_up])[1]}


def feed_of(prepared, batch: int, seed: int) -> dict[str, np.ndarray]:
    feed = {}
    for each in prepared.signature.inputs:
        shape = [batch if size is None else size for size in each.shape]
        whole = np.random.default_rng(seed).integers(0, 9, shape).astype(np.int32)
        feed[each.key] = whole if each.dtype == "int32" else normal(*shape, seed=seed)
    return feed


@pytest.mark.parametrize(
    ("program", "version"), [(convolution, 1), (recurrent, 1), (decoder, 1), (functional, 2), (embedding, 1)]
)
def test_computes_the_same(program, version, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with control_flow(version):
        prepared = made(program)
    signature = conversion.convert(prepared, TfliteOptions(), OPEN, "model.tflite")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.tflite"]
    own = prepared.signature
    assert [each.key for each in signature.inputs] == [each.key for each in own.inputs]
    assert [each.key for each in signature.outputs] == [each.key for each in own.outputs]
    assert [each.shape for each in signature.inputs] == [each.shape for each in own.inputs]
    runtime = TfliteRuntime("model.tflite", signature)
    assert [each.key for each in runtime.given] == [each.key for each in (*own.outputs, *own.hidden)]
    for batch, seed in ((2, 0), (3, 1)):
        feed = feed_of(prepared, batch, seed)
        for one, other in zip(said(prepared, feed), runtime.run(feed), strict=True):
            assert close(one, other), (one, other)


@pytest.mark.parametrize("way", conversion.WAYS)
def test_what_the_converter_gets_has_the_same_bits(way) -> None:
    with control_flow(1):
        prepared = made(recurrent)
    rewritten = conversion.rewritten(prepared, TfliteOptions(), way)
    assert rewritten.graph_def != prepared.graph_def
    feed = feed_of(prepared, 1, 0)
    for one, other in zip(said(prepared, feed), said(rewritten, feed), strict=True):
        assert one.tobytes() == other.tobytes()


def test_the_bytes_are_always_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "other"):
        conversion.convert(made(convolution), TfliteOptions(), OPEN, name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_fixed_batch_is_told_and_held(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with control_flow(1):
        prepared = made(recurrent)
    signature = conversion.convert(prepared, TfliteOptions(batch=2), OPEN, "model.tflite")
    assert [each.shape for each in signature.inputs] == [[2, 5, 3]]
    assert any("the batch is 2" in sentence for sentence in prepared.changes)
    runtime, feed = TfliteRuntime("model.tflite", signature), feed_of(prepared, 2, 0)
    assert all(close(one, other) for one, other in zip(said(prepared, feed), runtime.run(feed), strict=True))
    with pytest.raises(RunFailed) as failure:
        runtime.run(feed_of(prepared, 3, 0))
    assert failure.value.cause == "bad_feed"
    assert conversion.convert(prepared, TfliteOptions(), FIXED, "one.tflite").inputs[0].shape == [1, 5, 3]


@pytest.mark.parametrize(("quantize", "share"), [("float16", 0.6), ("dynamic_int8", 0.45)])
def test_quantized_is_smaller_and_not_the_same(quantize, share, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def wide():
        x = v1.placeholder(tf.float32, [None, 64], "x")
        return {"x": x}, {"y": tf.matmul(tf.nn.relu(tf.matmul(x, _weights("one", 64, 256))), _weights("other", 256, 8))}

    prepared = made(wide)
    conversion.convert(prepared, TfliteOptions(), OPEN, "whole.tflite")
    signature = conversion.convert(prepared, TfliteOptions(quantize=quantize, tolerance=0.1), OPEN, "small.tflite")
    assert (tmp_path / "small.tflite").stat().st_size < share * (tmp_path / "whole.tflite").stat().st_size
    feed = feed_of(prepared, 3, 0)
    (expected,), (got,) = said(prepared, feed), TfliteRuntime("small.tflite", signature).run(feed)
    assert not close(expected, got)
    assert close(expected, got, 0.1)


def test_infinities_stay(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def masked():
        x = v1.placeholder(tf.float32, [None, 3], "x")
        return {"x": x}, {"y": tf.reduce_max(tf.where(x > 0, x, tf.fill(tf.shape(x), -np.inf)), 1)}

    prepared = made(masked)
    runtime = TfliteRuntime("model.tflite", conversion.convert(prepared, TfliteOptions(), OPEN, "model.tflite"))
    feed = {"x": np.float32([[-1, -2, -3], [1, 2, 3]])}
    assert runtime.run(feed)[0].tolist() == said(prepared, feed)[0].tolist() == [-np.inf, 3]


def _table(keys: tf.Tensor, values: tf.Tensor, default):
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default)


def words():
    x = v1.placeholder(tf.string, [None], "x")
    return {"x": x}, {"y": _table(tf.constant(["a", "b"]), tf.constant([5, 6], tf.int64), -1).lookup(x), "same": x}


def numbers():
    x = v1.placeholder(tf.int64, [None], "x")
    return {"x": x}, {"y": _table(tf.constant([3, 4], tf.int64), tf.constant(["a", "b"]), "?").lookup(x)}


@pytest.mark.parametrize(
    ("program", "fed"), [(words, np.array([b"b", b"c\0", b"", b"a"], object)), (numbers, np.array([4, 9, 3]))]
)
def test_tables_are_filled_and_strings_are_whole(program, fed, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = made(program)
    runtime = TfliteRuntime("model.tflite", conversion.convert(prepared, TfliteOptions(), OPEN, "model.tflite"))
    for one, other in zip(said(prepared, {"x": fed}), runtime.run({"x": fed}), strict=True):
        assert close(one, other), (one, other)


def test_weights_that_are_kept_apart_are_in_the_file(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = made(convolution)
    feed = feed_of(prepared, 2, 0)
    expected = said(prepared, feed)
    for node in prepared.graph_def.node:
        if node.op == "Const" and node.name in ("dense", "kernel"):
            tensor = node.attr["value"].tensor
            prepared.weights[node.name] = tf.make_ndarray(tensor)
            tensor.ClearField("tensor_content")
    assert len(prepared.weights) == 2
    runtime = TfliteRuntime("model.tflite", conversion.convert(prepared, TfliteOptions(), OPEN, "model.tflite"))
    assert all(close(one, other) for one, other in zip(expected, runtime.run(feed), strict=True))


def decoding():
    x, lengths = v1.placeholder(tf.float32, [5, None, 3], "x"), v1.placeholder(tf.int32, [None], "lengths")
    return {"x": x, "lengths": lengths}, {"y": tf.nn.ctc_greedy_decoder(x, lengths)[1]}


def drawing():
    x = v1.placeholder(tf.float32, [None, 3], "x")
    return {"x": x}, {"y": x + tf.random.uniform([3])}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (decoding, ("unsupported_op", "CTCGreedyDecoder", "CTCGreedyDecoder")),
        (drawing, ("random_op", "RANDOM_UNIFORM", "")),
    ],
)
def test_refused_by_op_and_node(program, expected, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused) as refusal:
        conversion.convert(made(program), TfliteOptions(), OPEN, "model.tflite")
    assert (refusal.value.cause, refusal.value.op, refusal.value.node) == expected
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_the_graph_cannot_have_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def of_four():
        x = v1.placeholder(tf.float32, [None, 3], "x")
        return {"x": x}, {
            "y": tf.concat([x, tf.zeros([4, 3])], 1) + tf.TensorArray(tf.float32, 4).unstack(tf.zeros([4])).read(0)
        }

    with control_flow(1):
        prepared = made(of_four)
    with pytest.raises(Refused) as refusal:
        conversion.convert(prepared, TfliteOptions(), FIXED, "model.tflite")
    assert refusal.value.cause == "conversion_failed"
