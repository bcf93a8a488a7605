"""What an output's numbers are said to be."""

import pytest
import tensorflow as tf

from permafrost.graph.index import GraphIndex
from permafrost.signature.meanings import meaning

v1 = tf.compat.v1


def logits() -> tf.Tensor:
    return tf.matmul(v1.placeholder(tf.float32, [None, 3]), tf.zeros([3, 5]))


@pytest.mark.parametrize(
    ("build", "shape", "words"),
    [
        (lambda: tf.nn.softmax(logits()), [None, 5], "probabilities, which sum to 1"),
        (lambda: tf.identity(tf.nn.softmax(logits())), [None, 5], "probabilities, which sum to 1"),
        (lambda: tf.nn.softmax(logits())[:, 1], [None], "a part of: probabilities, which sum to 1"),
        (lambda: tf.argmax(logits(), 1), [None], "the index of the largest value"),
        (lambda: tf.cast(tf.argmax(logits(), 1), tf.float32), [None], "the index of the largest value"),
        (lambda: tf.nn.top_k(logits(), 2).indices, [None, 2], "the indices of the largest values"),
        (lambda: tf.tanh(logits()), [None, 5], "numbers from -1 to 1"),
        (logits, [None, 5], "5 numbers without bounds, such as logits or a regression"),
        (lambda: tf.matmul(logits(), tf.zeros([5, 1])), [None, 1], "a number without bounds"),
        (lambda: tf.linalg.inv(tf.zeros([2, 2])), [2, 2], ""),
    ],
)
def test_words(build, shape, words):
    with tf.Graph().as_default() as graph:
        name = build().name
    said = meaning(GraphIndex(graph.as_graph_def()), name, "float32", shape)
    assert said.startswith(words) and bool(said) == bool(words)
