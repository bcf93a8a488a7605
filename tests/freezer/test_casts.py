"""What the freezer computes without TensorFlow is what TensorFlow computes: casts, and values of constants alone."""

import random

import numpy as np
import pytest
import tensorflow as tf

from permafrost.freezer import constant_values
from permafrost.freezer.casts import cast
from permafrost.graph.dtypes import DTYPES, castable, dtype_name
from permafrost.graph.index import GraphIndex
from permafrost.outcome import Problem
from saved_checkpoints import values
from stages import problem_of

v1, raw = tf.compat.v1, tf.raw_ops
PAIRS = [(before, after) for before in DTYPES for after in DTYPES if castable(before, after) and before != after]


def run(tensors, feed=None):
    """The values of tensors in a session of the default graph."""
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with v1.Session(config=config) as session:
        return session.run(tensors, feed)


def bits(before: int) -> np.ndarray:
    """Values of all sorts of a DataType: any bits, what lies around the ends of other dtypes, and small numbers."""
    kind = tf.as_dtype(before)
    array = values(kind.name, (4096,)).numpy()
    if kind.is_floating:
        ends = [0.0, -0.0, 1e-41, -1e-41, 2.0**-126, 6e-8, 3e-8, 65504, 65519.99, 65520, 3.4028235e38, 3.5e38, 1e-310]
        ends += [1.0009765625, 1.00048828125 + 2**-40, 2.5, -2.5, 127.9, 255.0, 2.0**31, 2.0**63]
        array = np.concatenate([array, np.array(ends, np.float64).astype(array.dtype)])
    return array


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("before", "after"), PAIRS, ids=lambda number: dtype_name(number))
def test_casts_are_tensorflows_own(before, after):
    array = bits(before)
    if DTYPES[before].kind == "float" and DTYPES[after].kind in ("signed", "unsigned"):
        info = np.iinfo(DTYPES[after].numpy)
        whole = np.trunc(array.astype(np.float64))
        fits = (whole >= float(info.min)) & (whole < float(int(info.max) + 1))
        for outside in array[~fits][:50]:
            assert problem_of(cast, outside.reshape(1), before, after).cause == "unsupported_op"
        array = array[fits]
    with tf.Graph().as_default():
        placeholder = v1.placeholder(tf.as_dtype(before))
        expected = run(raw.Cast(x=placeholder, DstT=tf.as_dtype(after)), {placeholder: array})
    found = cast(array, before, after)
    assert found.dtype == expected.dtype
    plain = ~(np.isnan(found) & np.isnan(expected)) if found.dtype.kind in "fcV" else np.full(found.shape, True)
    assert found[plain].tobytes() == expected[plain].tobytes()


def expressions() -> list[tf.Tensor]:
    """What initializers are made of."""
    shape, one = tf.constant([2, 3]), tf.constant(1.5)
    many = tf.constant(np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3))
    small = tf.constant(1.5e-38)
    halves = tf.constant([0.1, 3.3, 1e-7], tf.float16)
    return [
        tf.constant(7, tf.int64), tf.constant([True, False]), tf.constant(b"word"), tf.constant(["a", "bc"]),
        tf.constant([1 + 2j], tf.complex64), tf.constant(0.25, tf.bfloat16, [3]), tf.constant([], tf.float32),
        tf.constant(3, tf.uint16, [4]), tf.constant([1, 2], tf.uint64), halves, tf.constant("x", shape=[2]),
        tf.fill(shape, one), tf.fill([2], "s"), raw.Fill(dims=tf.constant([3], tf.int64), value=2),
        tf.zeros_like(many), tf.ones_like(tf.constant([1, 2], tf.int64)), tf.zeros_like(tf.constant(["a"])),
        raw.ZerosLike(x=halves), raw.OnesLike(x=many), raw.Identity(input=many), tf.stop_gradient(many),
        raw.Shape(input=many), raw.Shape(input=many, out_type=tf.int64), raw.Reshape(tensor=many, shape=[3, -1]),
        raw.Reshape(tensor=[5.0], shape=tf.constant([], tf.int32)), raw.Reshape(tensor=many, shape=[-1, 6]),
        raw.ExpandDims(input=many, axis=-1), raw.ExpandDims(input=many, axis=[0]),
        raw.BroadcastTo(input=one, shape=shape), raw.Tile(input=many, multiples=[2, 1]),
        raw.Pack(values=[one, 2.0], axis=0), raw.Pack(values=[many, many], axis=-1),
        raw.ConcatV2(values=[many] * 2, axis=-1), raw.Cast(x=many, DstT=tf.int32),
        raw.Slice(input=many, begin=[0, 1], size=[-1, 2]), raw.Neg(x=many), raw.Add(x=many, y=one),
        raw.AddV2(x=halves, y=tf.constant(0.7, tf.float16)), raw.Sub(x=many, y=tf.fill(shape, 0.1)),
        raw.Mul(x=many, y=0.3), raw.RealDiv(x=many, y=3.0), raw.RealDiv(x=many, y=0.0), raw.Mul(x=small, y=0.5),
        raw.Sub(x=tf.constant(1.0, tf.float64), y=tf.constant(1e-17, tf.float64)), raw.Neg(x=small * 0.5),
        raw.Mul(x=tf.constant([1 << 30]), y=7), raw.AddV2(x=tf.constant([250], tf.uint8), y=tf.constant(9, tf.uint8)),
        raw.RealDiv(x=tf.constant(1.0, tf.bfloat16), y=tf.constant([3.0, 7.0], tf.bfloat16)),
    ]  # fmt: skip


def test_constants_are_computed_as_tensorflow_computes_them():
    with tf.Graph().as_default() as graph:
        made = expressions()
        index = GraphIndex(graph.as_graph_def())
        for tensor, expected in zip(made, run(made), strict=True):
            check(constant_values.value(index, tensor.op.name), expected, tensor)


def check(found: np.ndarray, expected, tensor) -> None:
    expected = np.asarray(expected)
    if tensor.dtype == tf.string:
        assert found.tolist() == expected.astype(object).tolist(), tensor
        return
    assert found.dtype == expected.dtype and found.shape == expected.shape, tensor
    assert found.tobytes() == expected.tobytes(), tensor


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_computed_of_constants_is_tensorflows(seed):
    chance = random.Random(seed)
    with tf.Graph().as_default() as graph:
        some = np.random.default_rng(seed).normal(size=(2, 3))
        made = [tf.constant((some * 10.0**exponent).astype(np.float32)) for exponent in (-30, 0, 30)]
        made += [tf.fill([2, 3], chance.choice([0.1, 1e-20, 7.0]))]
        for _ in range(60):
            op = chance.choice([raw.AddV2, raw.Sub, raw.Mul, raw.RealDiv, None])
            one, other = chance.choice(made), chance.choice(made)
            there_and_back = raw.Cast(x=raw.Cast(x=one, DstT=tf.float64), DstT=tf.float32)
            made.append(op(x=one, y=other) if op else there_and_back)
        index = GraphIndex(graph.as_graph_def())
        for tensor, expected in zip(made, run(made), strict=True):
            found = constant_values.value(index, tensor.op.name)
            assert np.array_equal(np.isnan(found), np.isnan(expected))
            plain = ~np.isnan(expected)
            assert found[plain].tobytes() == expected[plain].tobytes(), tensor


@pytest.mark.parametrize(
    "build",
    [
        lambda: raw.MatMul(a=[[1.0]], b=[[2.0]]),
        lambda: raw.Sqrt(x=2.0),
        lambda: raw.Cast(x=1e30, DstT=tf.int32),
        lambda: raw.Cast(x=1.0, DstT=tf.float16, Truncate=True),
        lambda: raw.Mul(x=1 + 2j, y=3j),
        lambda: raw.Fill(dims=tf.constant([1 << 30, 1 << 30, 1 << 30]), value=1.0),
        lambda: tf.constant(1, tf.qint8),
    ],
)
def test_what_is_not_certain_is_refused(build):
    with tf.Graph().as_default() as graph:
        try:
            tensor = build()
        except (TypeError, ValueError):
            pytest.skip("TensorFlow makes no such node")
        with pytest.raises(Problem) as caught:
            constant_values.value(GraphIndex(graph.as_graph_def()), tensor.op.name)
    assert caught.value.cause == "unsupported_op"


def test_a_graph_that_goes_round_is_refused():
    graph_def = tf.compat.v1.GraphDef()
    graph_def.node.add(name="a", op="Identity", input=["b"])
    graph_def.node.add(name="b", op="Identity", input=["a"])
    assert problem_of(constant_values.value, GraphIndex(graph_def), "a").cause == "unsupported_op"
