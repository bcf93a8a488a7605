"""Images that become images, boxes or masks."""

import tensorflow as tf

from training_graphs.layers import conv, cross_entropy, dense, flat, get, model, train, v1


@model("boxes/BiasAdd classes/Softmax", "image")
def detector() -> None:
    image = v1.placeholder(tf.float32, [None, 16, 16, 3], "image")
    boxes_true, classes_true = (
        v1.placeholder(tf.float32, [None, 64], "gt_boxes"),
        v1.placeholder(tf.int64, [None], "gt"),
    )
    features = flat(conv(conv(image, 4, "c1", stride=2), 4, "c2", stride=4))
    boxes = dense(features, 64, "boxes")
    with v1.variable_scope("classes"):
        logits = tf.nn.bias_add(tf.matmul(features, get("w", [16, 5])), get("b", [5]))
        tf.nn.softmax(logits, name="Softmax")
    difference = tf.abs(boxes - boxes_true)
    smooth = tf.where(difference < 1, 0.5 * tf.square(difference), difference - 0.5)
    train(
        tf.reduce_mean(tf.reduce_sum(smooth, 1)) + cross_entropy(classes_true, logits),
        v1.train.MomentumOptimizer(0.1, 0.9),
    )


@model("prediction", "image")
def segmentation() -> None:
    image = v1.placeholder(tf.float32, [None, 16, 16, 3], "image")
    annotation = v1.placeholder(tf.int32, [None, 16, 16, 1], "annotation")
    keep = v1.placeholder(tf.float32, name="keep_probability")
    down = conv(image, 4, "down", stride=2)
    down = tf.nn.dropout(down, rate=1 - keep)
    up = v1.image.resize_nearest_neighbor(down, [16, 16])
    logits = conv(tf.concat([up, image], 3), 5, "up", activation=None)
    tf.expand_dims(tf.argmax(logits, 3), 3, name="prediction")
    train(cross_entropy(tf.squeeze(annotation, [3]), logits, "entropy"))


@model("transform/Tanh", "content")
def image_to_image() -> None:
    content = v1.placeholder(tf.float32, [1, None, None, 3], "content")
    target = v1.placeholder(tf.float32, [1, None, None, 3], "target")
    x = conv(conv(content, 4, "t1"), 4, "t2")
    x = tf.nn.tanh(conv(x, 3, "t3", activation=None), name="transform/Tanh")
    shape = tf.cast(tf.size(x), tf.float32)
    variation = tf.nn.l2_loss(x[:, 1:] - x[:, :-1]) + tf.nn.l2_loss(x[:, :, 1:] - x[:, :, :-1])
    train(2 * tf.nn.l2_loss(x - target) / shape + 1e-4 * variation)
