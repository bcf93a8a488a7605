"""What is said of a tensor's elements holds for what TensorFlow computes."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import random

import numpy as np
import pytest
import tensorflow as tf

from permafrost.freezer.baking.values import known_values
from permafrost.graph.index import GraphIndex
from permafrost.judge.sessions import _config
from preparing import bits, v1

raw = tf.raw_ops
FLOATS = [tf.float32, tf.float64, tf.float16, tf.bfloat16]
NUMBERS = [0, 1, -1, 0.5, 2, -3, 0.1, 1e-3, 100, 3e4, -0.0]


def leaves(dtype, chosen: random.Random):
    shape = [200]
    numbers = [chosen.choice(NUMBERS) for _ in range(chosen.randint(1, 3))]
    constant = tf.constant(np.array(numbers if len(numbers) > 1 else numbers[0]).astype(dtype.as_numpy_dtype))
    if not dtype.is_floating:
        return constant if constant.shape.rank == 0 else constant[0]
    if constant.shape.rank:
        constant = tf.tile(constant[:1], shape)
    return chosen.choice([
        constant, raw.RandomUniform(shape=shape, dtype=dtype), raw.RandomStandardNormal(shape=shape, dtype=dtype),
        raw.TruncatedNormal(shape=shape, dtype=dtype),
    ])  # fmt: skip


def grow(dtype, chosen: random.Random, depth: int):
    if depth == 0:
        return leaves(dtype, chosen)
    if dtype == tf.bool:
        return truth(chosen, depth)
    a, b = grow(dtype, chosen, depth - 1), grow(dtype, chosen, depth - 1)
    ways = [
        lambda: raw.AddV2(x=a, y=b), lambda: raw.Sub(x=a, y=b), lambda: raw.Mul(x=a, y=b),
        lambda: raw.Maximum(x=a, y=b), lambda: raw.Minimum(x=a, y=b), lambda: raw.Neg(x=a), lambda: tf.identity(a),
        lambda: raw.SelectV2(condition=truth(chosen, depth - 1), t=a, e=b),
        lambda: raw.Cast(x=grow(chosen.choice([tf.bool, tf.int32]), chosen, depth - 1), DstT=dtype),
        lambda: raw.Relu(features=a),
    ]  # fmt: skip
    if dtype.is_floating:
        ways += [lambda: raw.RealDiv(x=a, y=b), lambda: raw.Floor(x=a), lambda: raw.Reciprocal(x=a)]
        ways += [lambda: raw.Ceil(x=a), lambda: raw.Rint(x=a) if dtype in (tf.float32, tf.float64) else a]
        ways += [lambda: raw.Cast(x=grow(chosen.choice(FLOATS), chosen, depth - 1), DstT=dtype)]
    return chosen.choice(ways)()


def truth(chosen: random.Random, depth: int):
    if depth <= 0:
        return tf.constant(chosen.random() < 0.5)
    dtype = chosen.choice([*FLOATS, tf.int32])
    a, b = grow(dtype, chosen, depth - 1), grow(dtype, chosen, depth - 1)
    p, q = truth(chosen, depth - 1), truth(chosen, depth - 1)
    return chosen.choice([
        lambda: raw.Less(x=a, y=b), lambda: raw.GreaterEqual(x=a, y=b), lambda: raw.Greater(x=a, y=b),
        lambda: raw.LessEqual(x=a, y=b), lambda: raw.Equal(x=a, y=b), lambda: raw.NotEqual(x=a, y=b),
        lambda: raw.LogicalAnd(x=p, y=q), lambda: raw.LogicalOr(x=p, y=q), lambda: raw.LogicalNot(x=p),
        lambda: raw.Cast(x=a, DstT=tf.bool),
    ])()  # fmt: skip


@pytest.mark.parametrize("seed", range(int(os.environ.get("KNOWN_VALUES", "4"))))
def test_all_elements_lie_between(seed) -> None:
    chosen = random.Random(seed)
    with tf.Graph().as_default() as graph:
        for _ in range(8):
            grow(chosen.choice([*FLOATS, tf.int32, tf.bool]), chosen, 4)
        known = known_values(GraphIndex(graph.as_graph_def()))
        tensors = [graph.get_tensor_by_name(f"{name}:{output}") for name, output in known]
        with v1.Session(graph=graph, config=_config(1, False)) as session:
            values = session.run(tensors)
    assert sum(found.value is not None for found in known.values()) > 8
    for found, array in zip(known.values(), map(np.asarray, values), strict=True):
        assert found.low.dtype == array.dtype
        assert not found.is_scalar or array.ndim == 0
        assert (array >= found.low).all() and (array <= found.high).all()
        if found.value is not None:
            assert {bits(each) for each in array.reshape(-1)} <= {bits(found.value)}


def test_the_largest_of_what_is_drawn() -> None:
    """1 and the largest number drawn are less than 2, in each dtype."""
    with tf.Graph().as_default() as graph:
        drawn_by = {}
        for dtype in FLOATS:
            drawn_by[dtype] = drawn = raw.RandomUniform(shape=[1 << 20], dtype=dtype, seed=5)
            tf.reduce_max(tf.floor(drawn + tf.constant(1, dtype)), name=f"floor_{dtype.name}")
            tf.reduce_max(drawn, name=f"largest_{dtype.name}")
        known = known_values(GraphIndex(graph.as_graph_def()))
        with v1.Session(graph=graph, config=_config(1, False)) as session:
            for dtype in FLOATS:
                assert session.run(f"floor_{dtype.name}:0") == 1
                bound = known[drawn_by[dtype].op.name, 0].high
                assert session.run(f"largest_{dtype.name}:0") <= bound < 1
    floors = [found for (name, _), found in known.items() if name.startswith("Floor")]
    assert len(floors) == len(FLOATS) and all(found.is_one() and found.is_drawn for found in floors)


def test_what_cannot_be_known() -> None:
    with tf.Graph().as_default() as graph:
        small, large = tf.constant(1e-38), tf.constant(3e38)
        unknown = [
            small * 0.01,
            large * 10.0,
            tf.constant(1.0) / 0.0,
            tf.constant(np.nan) + 1.0,
            tf.constant(2**31 - 1) + 1,
            tf.cast(tf.constant(1e10), tf.int32),
            tf.constant([1, 2]) / 0,
        ]
        known = known_values(GraphIndex(graph.as_graph_def()))
    assert not [tensor for tensor in unknown if (tensor.op.name, 0) in known]
