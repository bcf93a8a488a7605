"""What is near to what: embeddings, factors, maps."""

import tensorflow as tf

from training_graphs.layers import dense, get, model, train, v1


def embed(x):
    return dense(dense(x, 8, "net/fc1", tf.nn.relu), 3, "net/fc2")


@model("left/embedding right/embedding", "x1 x2")
def siamese() -> None:
    x1, x2 = v1.placeholder(tf.float32, [None, 7], "x1"), v1.placeholder(tf.float32, [None, 7], "x2")
    y = v1.placeholder(tf.float32, [None], "y")
    one, two = tf.identity(embed(x1), "left/embedding"), tf.identity(embed(x2), "right/embedding")
    distance = tf.sqrt(tf.reduce_sum(tf.square(one - two), 1) + 1e-6)
    loss = tf.reduce_mean(y * tf.square(distance) + (1 - y) * tf.square(tf.maximum(1.0 - distance, 0)))
    train(loss, v1.train.MomentumOptimizer(0.01, 0.9))


@model("normalized", "faces")
def triplets() -> None:
    """One network; anchors, positives and negatives lie in one batch."""
    x = v1.placeholder(tf.float32, [None, 7], "faces")
    embedding = tf.math.l2_normalize(embed(x), 1, name="normalized")
    anchor, positive, negative = tf.unstack(tf.reshape(embedding, [-1, 3, 3]), 3, 1)
    near = tf.reduce_sum(tf.square(anchor - positive), 1)
    far = tf.reduce_sum(tf.square(anchor - negative), 1)
    train(tf.reduce_mean(tf.maximum(near - far + 0.2, 0.0)))


@model("rating", "user item")
def matrix_factorization() -> None:
    user, item = v1.placeholder(tf.int32, [None], "user"), v1.placeholder(tf.int32, [None], "item")
    rating = v1.placeholder(tf.float32, [None], "true_rating")
    p, q = tf.gather(get("P", [8, 3]), user), tf.gather(get("Q", [6, 3]), item)
    bias = tf.gather(get("bu", [8]), user) + tf.gather(get("bi", [6]), item) + get("mu", [])
    predicted = tf.add(tf.reduce_sum(p * q, 1), bias, name="rating")
    train(tf.reduce_mean(tf.square(rating - predicted)) + 0.01 * (tf.nn.l2_loss(p) + tf.nn.l2_loss(q)))
