"""Numbers: regressions."""

import tensorflow as tf

from training_graphs.layers import get, model, train, v1


@model("prediction", "X")
def linear_regression() -> None:
    x, y = v1.placeholder(tf.float32, name="X"), v1.placeholder(tf.float32, name="Y")
    w, b = get("weight", []), get("bias", [], v1.constant_initializer(0.3))
    prediction = tf.add(tf.multiply(x, w), b, name="prediction")
    cost = tf.reduce_sum(tf.pow(prediction - y, 2)) / (2 * 17)
    train(cost, v1.train.GradientDescentOptimizer(0.01))
