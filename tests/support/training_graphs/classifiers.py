"""One thing of many: classifiers of images and of rows of numbers."""

import numpy as np
import tensorflow as tf

from kinds import control_flow
from training_graphs.layers import conv, cross_entropy, dense, flat, get, model, train, v1


@model("Predictions/Softmax Logits/BiasAdd", "images")
def slim_classifier() -> None:
    images = v1.placeholder(tf.float32, [None, 16, 16, 3], "images")
    labels = v1.placeholder(tf.int64, [None], "labels")
    x = conv(images, 4, "Conv2d_1a", stride=2)
    x = conv(x, 8, "Conv2d_1b", stride=2)
    x = flat(x, "Flatten/flatten/Reshape")
    logits = dense(x, 5, "Logits", names=("weights", "biases"))
    with v1.name_scope("Predictions"):
        tf.nn.softmax(logits, name="Softmax")
    loss = cross_entropy(labels, logits)
    v1.losses.add_loss(loss)
    for variable in v1.trainable_variables():
        v1.losses.add_loss(tf.nn.l2_loss(variable) * 1e-4)
    total = tf.add_n(v1.losses.get_losses(), name="total_loss")
    train(total, v1.train.RMSPropOptimizer(0.01))
    for variable in v1.trainable_variables():
        average = get(f"{variable.op.name}/ExponentialMovingAverage", variable.shape, trainable=False)
        v1.assign_sub(average, 0.01 * (average - variable))


@model("dense_2/Softmax", "input_1")
def keras_model() -> None:
    x = v1.placeholder(tf.float32, [None, 12], "input_1")
    phase = v1.placeholder_with_default(False, [], "keras_learning_phase")
    hidden = dense(x, 8, "dense_1", tf.nn.relu)
    with v1.name_scope("dropout_1"):
        hidden = v1.cond(phase, lambda: tf.nn.dropout(hidden, rate=0.5), lambda: hidden)
    hidden = tf.reshape(hidden, [-1, 8])
    with v1.variable_scope("dense_2"):
        w, b = get("kernel", [8, 3]), get("bias", [3], v1.zeros_initializer())
        probabilities = tf.nn.softmax(tf.nn.bias_add(tf.matmul(hidden, w), b), name="Softmax")
    target = v1.placeholder(tf.float32, [None, None], "dense_2_target")
    weights = v1.placeholder(tf.float32, [None], "dense_2_sample_weights")
    with v1.name_scope("loss/dense_2_loss"):
        clipped = tf.clip_by_value(probabilities / tf.reduce_sum(probabilities, -1, keepdims=True), 1e-7, 1 - 1e-7)
        loss = tf.reduce_mean(-tf.reduce_sum(target * tf.math.log(clipped), -1) * weights)
    with v1.name_scope("metrics/acc"):
        tf.reduce_mean(tf.cast(tf.equal(tf.argmax(target, -1), tf.argmax(probabilities, -1)), tf.float32))
    train(loss, v1.train.GradientDescentOptimizer(get("SGD/lr", [], v1.constant_initializer(0.1), trainable=False)))


@model("age/BiasAdd gender/Sigmoid", "face")
def keras_two_heads() -> None:
    x = v1.placeholder(tf.float32, [None, 8], "face")
    trunk = dense(x, 8, "trunk", tf.nn.relu)
    age = dense(trunk, 1, "age")
    with v1.variable_scope("gender"):
        gender = tf.nn.sigmoid(
            tf.nn.bias_add(tf.matmul(trunk, get("kernel", [8, 1])), get("bias", [1])), name="Sigmoid"
        )
    targets = [v1.placeholder(tf.float32, [None, 1], f"{name}_target") for name in ("age", "gender")]
    with v1.name_scope("loss"):
        first = tf.reduce_mean(tf.square(age - targets[0]))
        second = -tf.reduce_mean(targets[1] * tf.math.log(gender + 1e-7) + (1 - targets[1]) * tf.math.log(1 - gender))
        loss = first + 0.5 * second
    train(loss)


@model("FullyConnected_1/Softmax", "InputData/X")
def tflearn_dnn() -> None:
    with v1.name_scope("InputData"):
        x = v1.placeholder(tf.float32, [None, 20], "X")
    is_training = get("is_training", [], v1.constant_initializer(False), trainable=False, dtype=tf.bool)
    v1.add_to_collection("is_training", is_training)
    hidden = dense(x, 8, "FullyConnected", tf.nn.relu, ("W", "b"))
    with v1.name_scope("Dropout"):
        hidden = v1.cond(is_training, lambda: tf.nn.dropout(hidden, rate=0.5), lambda: hidden)
    hidden = tf.reshape(hidden, [-1, 8])
    with v1.variable_scope("FullyConnected_1"):
        y = tf.nn.softmax(tf.nn.bias_add(tf.matmul(hidden, get("W", [8, 4])), get("b", [4])), name="Softmax")
    with v1.name_scope("TargetsData"):
        target = v1.placeholder(tf.float32, [None, 4], "Y")
    with v1.name_scope("Crossentropy"):
        clipped = tf.clip_by_value(y / tf.reduce_sum(y, 1, keepdims=True), 1e-10, 1.0)
        loss = tf.reduce_mean(-tf.reduce_sum(target * tf.math.log(clipped), 1), name="Mean")
    with v1.name_scope("Accuracy"):
        tf.reduce_mean(tf.cast(tf.equal(tf.argmax(y, 1), tf.argmax(target, 1)), tf.float32), name="Mean")
    train(loss)


@model("Softmax", "Placeholder")
def mnist_for_beginners() -> None:
    x = v1.placeholder(tf.float32, [None, 784])
    w = v1.Variable(tf.zeros([784, 10]) + 0.1, use_resource=False)
    b = v1.Variable(tf.zeros([10]), use_resource=False)
    y = tf.nn.softmax(tf.matmul(x, w) + b)
    target = v1.placeholder(tf.float32, [None, 10])
    loss = tf.reduce_mean(-tf.reduce_sum(target * tf.math.log(y), [1]))
    train(loss, v1.train.GradientDescentOptimizer(0.5))
    correct = tf.equal(tf.argmax(y, 1), tf.argmax(target, 1))
    tf.reduce_mean(tf.cast(correct, tf.float32))


@model("fc/BiasAdd", "images")
def batch_normalised_network() -> None:
    images, labels = v1.placeholder(tf.float32, [None, 8, 8, 1], "images"), v1.placeholder(tf.int64, [None], "labels")
    training = v1.placeholder(tf.bool, [], "phase_train")
    x = conv(images, 4, "conv1", activation=None)
    gamma, beta = get("bn/gamma", [4], v1.ones_initializer()), get("bn/beta", [4], v1.zeros_initializer())
    mean = get("bn/moving_mean", [4], v1.zeros_initializer(), trainable=False)
    variance = get("bn/moving_variance", [4], v1.ones_initializer(), trainable=False)

    def batch():
        m, v = tf.nn.moments(x, [0, 1, 2])
        with tf.control_dependencies(
            [v1.assign(mean, mean * 0.9 + m * 0.1), v1.assign(variance, variance * 0.9 + v * 0.1)]
        ):
            return tf.identity(m), tf.identity(v)

    with control_flow(1):
        m, v = v1.cond(training, batch, lambda: (tf.identity(mean), tf.identity(variance)))
    x = tf.nn.relu(tf.nn.batch_normalization(x, m, v, beta, gamma, 1e-3))
    logits = dense(flat(x), 5, "fc")
    train(cross_entropy(labels, logits))


@model("output_node", "image_input")
def renamed_for_export() -> None:
    x = v1.placeholder(tf.float32, [None, 10], "image_input")
    y = v1.placeholder(tf.float32, [None, 3], "truth")
    mean, deviation = tf.constant(np.full(10, 0.4, np.float32)), tf.constant(np.full(10, 0.2, np.float32))
    logits = dense(dense((x - mean) / deviation, 8, "fc1", tf.nn.elu), 3, "fc2")
    tf.identity(tf.nn.softmax(logits), name="output_node")
    train(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y)))
