"""What is fed by queues, iterators or several devices."""

import tensorflow as tf

from training_graphs.layers import cross_entropy, dense, model, train, v1


@model("inference/probabilities", "images")
def training_and_inference_copy() -> None:
    """The input pipeline feeds the training copy; a placeholder the copy for inference, of the same weights."""
    queue = v1.FIFOQueue(10, [tf.float32, tf.int64], shapes=[[6], []])
    x, labels = queue.dequeue_many(4)

    def network(x, is_training):
        hidden = dense(x, 8, "hidden", tf.nn.relu)
        return dense(tf.nn.dropout(hidden, rate=0.4) if is_training else hidden, 3, "logits")

    train(cross_entropy(labels, network(x, True)))
    images = v1.placeholder(tf.float32, [None, 6], "images")
    tf.nn.softmax(network(images, False), name="inference/probabilities")


@model("tower_0/logits/BiasAdd", "x")
def two_towers_on_two_devices() -> None:
    x, y = v1.placeholder(tf.float32, [None, 6], "x"), v1.placeholder(tf.int64, [None], "y")
    losses = []
    for tower in range(2):
        with v1.name_scope(f"tower_{tower}"), tf.device("/cpu:0"):
            half = x[tower::2]
            with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
                logits = dense(dense(half, 8, "hidden", tf.nn.relu), 3, "logits")
            losses.append(cross_entropy(y[tower::2], logits))
    train(tf.add_n(losses) / 2)
