"""What tf.estimator built: heads and model functions."""

import numpy as np
import tensorflow as tf

from training_graphs.layers import cross_entropy, dense, get, model, train, v1


@model("dnn/head/predictions/probabilities", "IteratorGetNext")
def estimator_classifier() -> None:
    data = tf.data.Dataset.from_tensor_slices((np.ones([6, 4], np.float32), np.zeros([6], np.int64))).batch(2)
    x, labels = v1.data.make_one_shot_iterator(data).get_next()
    with v1.name_scope("dnn"):
        logits = dense(dense(x, 6, "dnn/hiddenlayer_0", tf.nn.relu), 3, "dnn/logits")
        with v1.name_scope("head"):
            with v1.name_scope("predictions"):
                tf.nn.softmax(logits, name="probabilities")
                classes = tf.argmax(logits, -1, name="class_ids")
                tf.as_string(classes, name="str_classes")
            with v1.name_scope("losses"):
                loss = cross_entropy(labels, logits)
            with v1.name_scope("metrics"):
                tf.reduce_mean(tf.cast(tf.equal(classes, labels), tf.float32), name="accuracy")
    train(loss, v1.train.AdagradOptimizer(0.05))


@model("linear_plus_deep/probability", "wide deep_ids")
def wide_and_deep() -> None:
    wide, ids = v1.placeholder(tf.float32, [None, 6], "wide"), v1.placeholder(tf.int64, [None, 2], "deep_ids")
    clicked = v1.placeholder(tf.float32, [None, 1], "clicked")
    deep = tf.reshape(tf.gather(get("deep/embedding", [20, 3]), ids), [-1, 6])
    logits = dense(wide, 1, "linear") + dense(dense(deep, 5, "deep/h", tf.nn.relu), 1, "deep/out")
    probability = tf.sigmoid(logits, name="linear_plus_deep/probability")
    loss = v1.losses.log_loss(clicked, probability)
    train(loss, v1.train.FtrlOptimizer(0.1))
    with v1.name_scope("eval"):
        tf.reduce_mean(tf.cast(tf.equal(tf.round(probability), clicked), tf.float32), name="accuracy")
