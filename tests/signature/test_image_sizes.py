"""The size of a picture that a network takes, held against TensorFlow's own inference of shapes."""

import random

import numpy as np
import pytest
import tensorflow as tf

from permafrost.graph.index import GraphIndex
from permafrost.signature import image_sizes

v1 = tf.compat.v1


def convolved(x: tf.Tensor, chance: random.Random, data_format: str) -> tf.Tensor:
    """A few layers that make a picture smaller, at random."""
    first = data_format == "NCHW"
    for _ in range(chance.randint(1, 5)):
        padding, stride = chance.choice(["SAME", "VALID"]), chance.randint(1, 2)
        strides = [1, 1, stride, stride] if first else [1, stride, stride, 1]
        kind = chance.choice(["conv", "conv", "pool", "pad", "relu"])
        if kind == "conv":
            channels = x.shape[1 if first else 3]
            size = chance.choice([1, 3, 5])
            filters = tf.zeros([size, size, channels, chance.randint(1, 6)])
            x = v1.nn.conv2d(x, filters, strides, padding, data_format=data_format)
        elif kind == "pool":
            window = [1, 1, 2, 2] if first else [1, 2, 2, 1]
            x = v1.nn.max_pool(x, window, strides, padding, data_format=data_format)
        elif kind == "pad":
            around = [[1, 1], [0, 2]]
            x = tf.pad(x, [[0, 0], [0, 0], *around] if first else [[0, 0], *around, [0, 0]])
        else:
            x = tf.nn.relu(x + 1.0)
    return x


def network(seed: int, size: int | None, rows: int | None = None) -> tuple[tf.Graph, tf.Tensor]:
    """A network that is the same for each seed, on pictures of a size or of an open one, with its map of features.

    rows: of the dense layer behind, where there is one.
    """
    chance = random.Random(seed)
    data_format = chance.choice(["NHWC", "NCHW"])
    with tf.Graph().as_default() as graph:
        shape = [2, 3, size, size] if data_format == "NCHW" else [2, size, size, 3]
        features = convolved(v1.placeholder(tf.float32, shape, "x"), chance, data_format)
        if rows:
            tf.matmul(tf.reshape(features, [-1, rows]), tf.constant(np.zeros([rows, 1], np.float32)), name="dense")
        else:
            tf.identity(features, "dense")
    return graph, features


def side_of(graph: tf.Graph, seed: int) -> int | None:
    index = GraphIndex(graph.as_graph_def())
    is_first = random.Random(seed).choice(["NHWC", "NCHW"]) == "NCHW"
    return image_sizes.side(index, index.reach(["dense"]), ("x", 0), (None, None), 3, {}, is_first)


@pytest.mark.parametrize("seed", range(40))
def test_as_many_features_are_left_as_the_dense_layer_takes(seed):
    size = random.Random(1000 + seed).choice([28, 32, 60, 64, 84, 96, 128])
    rows = network(seed, size)[1].shape[1:].num_elements()
    found = side_of(network(seed, None, rows)[0], seed)
    assert found is not None
    assert network(seed, found)[1].shape[1:].num_elements() == rows


@pytest.mark.parametrize("seed", range(40))
def test_something_is_left_of_a_picture_where_no_layer_asks_for_a_size(seed):
    found = side_of(network(seed, None)[0], seed) or image_sizes.USUAL
    assert 28 <= found <= 256
    assert min(network(seed, found)[1].shape.as_list()) > 0


def side_through(build) -> int | None:
    with tf.Graph().as_default() as graph:
        tf.identity(build(v1.placeholder(tf.float32, [None, None, None, 3], "x")), "dense")
    index = GraphIndex(graph.as_graph_def())
    return image_sizes.side(index, index.reach(["dense"]), ("x", 0), (None, None), 3, {}, False)


def down(x: tf.Tensor, times: int) -> tf.Tensor:
    for _ in range(times):
        x = tf.nn.conv2d(x, tf.zeros([3, 3, x.shape[-1], 4]), 2, "SAME")
    return x


@pytest.mark.parametrize(
    ("build", "side"),
    [
        (lambda x: v1.image.resize_bilinear(x / 255.0, [48, 48]), 48),
        (lambda x: down(x, 2), 32),
        (lambda x: down(x, 6), 128),
        (lambda x: tf.nn.conv2d(x, tf.constant(np.zeros([70, 70, 3, 1], np.float32)), 1, "VALID"), 70),
        (lambda x: tf.reduce_mean(x), None),
    ],
)
def test_sizes_of_usual_networks(build, side):
    assert side_through(build) == side
