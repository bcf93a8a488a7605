"""Each op that is listed as making a new buffer does so: what it gave stays, whatever is written to the variable."""

import inspect
import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from permafrost.flow.sharing import COPYING, COPYING_BINARY, COPYING_OTHERS, COPYING_UNARY, SHAPELY

v1, raw = tf.compat.v1, tf.raw_ops
CUBE = np.linspace(0.125, 0.875, 16, dtype=np.float32).reshape(1, 4, 4, 1)
VECTOR, MATRIX = CUBE.reshape(16), CUBE.reshape(4, 4)


def _batch_norm(op):
    half = np.full(1, 0.5, np.float32)
    return lambda v: op(x=v, scale=half, offset=half, mean=half, variance=half, is_training=False)[0]


OTHERS = {
    "ArgMax": (VECTOR, lambda v: raw.ArgMax(input=v, dimension=0)),
    "ArgMin": (VECTOR, lambda v: raw.ArgMin(input=v, dimension=0)),
    "BiasAdd": (MATRIX, lambda v: raw.BiasAdd(value=v, bias=tf.zeros([4]))),
    "Conv2D": (CUBE, lambda v: raw.Conv2D(input=v, filter=tf.ones([1, 1, 1, 1]), strides=[1] * 4, padding="SAME")),
    "DepthwiseConv2dNative": (
        CUBE,
        lambda v: raw.DepthwiseConv2dNative(input=v, filter=tf.ones([1, 1, 1, 1]), strides=[1] * 4, padding="SAME"),
    ),
    "FusedBatchNorm": (CUBE, _batch_norm(raw.FusedBatchNorm)),
    "FusedBatchNormV2": (CUBE, _batch_norm(raw.FusedBatchNormV2)),
    "FusedBatchNormV3": (CUBE, _batch_norm(raw.FusedBatchNormV3)),
    "Gather": (MATRIX, lambda v: raw.Gather(params=v, indices=[0, 1, 2, 3])),
    "GatherNd": (MATRIX, lambda v: raw.GatherNd(params=v, indices=np.zeros([1, 0], np.int32))),
    "GatherV2": (MATRIX, lambda v: raw.GatherV2(params=v, indices=[0, 1, 2, 3], axis=0)),
    "LogicalAnd": (VECTOR > 0.5, lambda v: raw.LogicalAnd(x=v, y=tf.constant(True))),
    "LogicalNot": (VECTOR > 0.5, lambda v: raw.LogicalNot(x=v)),
    "LogicalOr": (VECTOR > 0.5, lambda v: raw.LogicalOr(x=v, y=tf.constant(False))),
}


def _called(op: str, count: int):
    """An op of `count` inputs on the variable itself, in each of them."""
    function = getattr(raw, op)
    names = list(inspect.signature(function).parameters)[:count]
    return MATRIX, lambda v: function(**dict.fromkeys(names, [v] if op == "ShapeN" else v))


CASES = (
    {op: _called(op, 1) for op in (*COPYING_UNARY, *SHAPELY)} | {op: _called(op, 2) for op in COPYING_BINARY} | OTHERS
)


def test_every_listed_op_is_asked():
    assert CASES.keys() == COPYING
    assert OTHERS.keys() == set(COPYING_OTHERS)


def late_value(start: np.ndarray, op) -> tuple[np.ndarray, np.ndarray]:
    """What an op gives of a variable, and what is found in its output once the variable was written to."""
    config = v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.Graph().as_default() as graph:
        variable = v1.Variable(start, use_resource=False)
        given = op(tf.identity(variable._ref()))
        given = given[0] if isinstance(given, list) else given
        with tf.control_dependencies([given]):
            write = v1.assign(variable, np.zeros_like(start)).op
        with tf.control_dependencies([write]):
            found = tf.where(given, 1, 0) if given.dtype == tf.bool else given * 2
        with v1.Session(graph=graph, config=config) as session:
            session.run(variable.initializer)
            alone = session.run(given)
            session.run(variable.initializer)
            return np.where(alone, 1, 0) if alone.dtype == bool else alone * 2, session.run(found)


@pytest.mark.parametrize("op", CASES)
def test_an_op_that_is_listed_makes_a_buffer_of_its_own(op):
    alone, late = late_value(*CASES[op])
    np.testing.assert_array_equal(alone, late)


@pytest.mark.parametrize("op", [tf.identity, lambda v: tf.reshape(v, [-1]), lambda v: tf.reduce_sum(v, axis=[])])
def test_an_op_that_shares_shows_the_write(op):
    alone, late = late_value(MATRIX, op)
    assert not np.array_equal(alone, late)
