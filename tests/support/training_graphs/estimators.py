"""What tf.estimator built: heads and model functions."""

import numpy as np
import tensorflow as tf

from training_graphs.layers import conv, cross_entropy, dense, get, model, train, v1


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


HEAD = "head/predictions"


@model(
    f"{HEAD}/logistic {HEAD}/probabilities {HEAD}/ExpandDims {HEAD}/str_classes dnn/logits/BiasAdd", "IteratorGetNext"
)
def canned_head_of_two_classes() -> None:
    """All that a head of two classes predicts, with the strings of its classes, and its many metrics."""
    data = tf.data.Dataset.from_tensors((np.ones([4, 3], np.float32), np.ones([4, 1], np.float32))).repeat()
    features, labels = v1.data.make_one_shot_iterator(data).get_next()
    with v1.variable_scope("dnn"):
        net = tf.concat([features], 1, name="input_from_feature_columns/input_layer/concat")
        net = dense(net, 6, "hiddenlayer_0", tf.nn.relu)
        v1.summary.scalar("fraction_of_zero_values", tf.nn.zero_fraction(net))
        logits = dense(net, 1, "logits")
    with v1.name_scope("head"):
        with tf.control_dependencies([v1.assert_equal(tf.shape(labels)[1], 1)]):
            labels = tf.identity(labels)
        with v1.name_scope("predictions"):
            logistic = tf.nn.sigmoid(logits, name="logistic")
            two_class_logits = tf.concat((tf.zeros_like(logits), logits), axis=-1, name="two_class_logits")
            tf.nn.softmax(two_class_logits, name="probabilities")
            class_ids = tf.argmax(two_class_logits, axis=-1, name="class_ids")
            class_ids = tf.expand_dims(class_ids, axis=-1)
            tf.as_string(class_ids, name="str_classes")
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits, name="loss")
        with v1.name_scope("weighted_loss"):
            loss = tf.reduce_mean(losses)
        with v1.name_scope("metrics"):
            v1.metrics.accuracy(labels, class_ids, name="accuracy")
            v1.metrics.mean(logistic, name="prediction/mean")
            v1.metrics.auc(labels, logistic, name="auc")
        v1.summary.scalar("loss", loss)
    v1.train.AdagradOptimizer(0.05).minimize(loss, v1.train.get_or_create_global_step())


@model("softmax_tensor ArgMax", "IteratorGetNext")
def model_function_for_digits() -> None:
    """The layers have the names that layers without a name are given."""
    data = tf.data.Dataset.from_tensor_slices((np.ones([8, 64], np.float32), np.ones([8], np.int32)))
    features, labels = v1.data.make_one_shot_iterator(data.shuffle(8).batch(4).repeat()).get_next()
    mode = "train"
    input_layer = tf.reshape(features, [-1, 8, 8, 1])
    names = ("kernel", "bias")
    conv1 = conv(input_layer, 4, None, 5, names=names)
    pool1 = tf.nn.max_pool2d(conv1, 2, 2, "VALID", name="max_pooling2d/MaxPool")
    conv2 = conv(pool1, 6, None, 5, names=names)
    pool2 = tf.nn.max_pool2d(conv2, 2, 2, "VALID", name="max_pooling2d_1/MaxPool")
    hidden = dense(tf.reshape(pool2, [-1, 2 * 2 * 6]), 10, activation=tf.nn.relu)
    with v1.name_scope("dropout"):
        dropout = tf.nn.dropout(hidden, rate=0.4) if mode == "train" else hidden
    logits = dense(dropout, 5)
    predictions = {"classes": tf.argmax(logits, axis=1), "probabilities": tf.nn.softmax(logits, name="softmax_tensor")}
    loss = v1.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
    v1.train.GradientDescentOptimizer(0.001).minimize(loss, global_step=v1.train.get_or_create_global_step())
    v1.metrics.accuracy(labels=labels, predictions=predictions["classes"])


@model("linear/linear_model/weighted_sum", "IteratorGetNext")
def canned_linear_regressor() -> None:
    """A weight for each column, and what a table says of a word."""
    columns = {"size": np.ones([4, 1], np.float32), "place": np.array([[b"oslo"], [b"rome"], [b"oslo"], [b"bonn"]])}
    data = tf.data.Dataset.from_tensors((columns, np.ones([4, 1], np.float32)))
    features, labels = v1.data.make_one_shot_iterator(data.repeat()).get_next()
    with v1.variable_scope("linear/linear_model"):
        buckets = tf.strings.to_hash_bucket_fast(features["place"], 5, name="place/lookup")
        by_place = tf.reduce_sum(tf.nn.embedding_lookup(get("place/weights", [5, 1]), buckets), 1)
        by_size = tf.matmul(features["size"], get("size/weights", [1, 1]), name="size/weighted_sum")
        total = tf.add_n([by_place, by_size], name="weighted_sum_no_bias")
        logits = tf.nn.bias_add(total, get("bias_weights", [1]), name="weighted_sum")
    with v1.name_scope("linear/head"):
        training_loss = tf.reduce_sum(tf.math.squared_difference(logits, labels), name="weighted_loss/Sum")
        v1.summary.scalar("average_loss", training_loss / 4)
    optimizer = v1.train.FtrlOptimizer(0.2)
    optimizer.minimize(training_loss, global_step=v1.train.get_or_create_global_step())
