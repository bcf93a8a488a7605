"""Which inputs are pixels from 0 to 255, by what the graph does to them."""

import pytest
import tensorflow as tf

from permafrost import input_kinds as kinds
from permafrost.graph.index import GraphIndex
from permafrost.signature import inputs

v1 = tf.compat.v1


def picture(dtype) -> tf.Tensor:
    return v1.placeholder(dtype, [None, 8, 8, 3], "x")


def filters() -> tf.Tensor:
    return tf.zeros([3, 3, 3, 2])


def convolved(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(tf.cast(x, tf.float32), filters(), 1, "SAME")


def colours_shifted(x: tf.Tensor) -> tf.Tensor:
    red, green, blue = tf.split(x, 3, 3)
    return tf.concat([blue - 103.939, green - 116.779, red - 123.68], 3)


def described(build, dtype) -> kinds.Input:
    with tf.Graph().as_default() as graph:
        tf.identity(build(picture(dtype)), "out")
    return inputs.describe(GraphIndex(graph.as_graph_def()), ["out"], {}, {})["x:0"]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: x / 255.0,
        lambda x: x * (1 / 255.0),
        lambda x: x / 127.5 - 1.0,
        lambda x: x - tf.constant([123.68, 116.78, 103.94]),
        colours_shifted,
    ],
)
def test_floats_that_are_scaled_down_go_to_255(build):
    spec = described(build, tf.float32)
    assert isinstance(spec, kinds.Uniform) and (spec.low, spec.high) == (0, 255)


@pytest.mark.parametrize("build", [lambda x: x, lambda x: x / 2.0, lambda x: x - 0.5, lambda x: x * 0.0, convolved])
def test_other_floats_go_to_1(build):
    spec = described(build, tf.float32)
    assert isinstance(spec, kinds.Uniform) and (spec.low, spec.high) == (0, 1)


@pytest.mark.parametrize(
    ("build", "dtype", "high"),
    [
        (convolved, tf.int32, 256),
        (lambda x: v1.image.resize_bilinear(x, [4, 4]), tf.uint8, 256),
        (lambda x: tf.cast(x, tf.float32), tf.uint8, 256),
        (lambda x: tf.cast(x, tf.float32), tf.int32, 2),
        (lambda x: tf.gather(tf.zeros([9, 4]), tf.cast(x, tf.int32)), tf.uint8, 9),
    ],
)
def test_whole_numbers(build, dtype, high):
    spec = described(build, dtype)
    assert isinstance(spec, kinds.Integers) and (spec.low, spec.high) == (0, high)
