"""Images that become images, boxes or masks."""

import numpy as np
import tensorflow as tf

from training_graphs.layers import conv, cross_entropy, deconv, dense, flat, get, model, train, v1, variable


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


@model("NHWC_output", "lr_images")
def super_resolution() -> None:
    """The network makes a correction, which is added to the input as it was enlarged."""
    small = v1.placeholder(tf.float32, [None, 6, 6, 1], name="lr_images")
    large = v1.placeholder(tf.float32, [None, 12, 12, 1], name="hr_images")
    enlarged = v1.image.resize_bicubic(small, [12, 12])
    x = conv(enlarged, 4, "vdsr/conv_00_w")
    for i in range(2):
        x = conv(x, 4, f"vdsr/conv_{i + 1:02}_w")
    correction = conv(x, 1, "vdsr/conv_20_w", activation=None)
    out = tf.add(correction, enlarged, name="NHWC_output")
    loss = tf.reduce_sum(tf.nn.l2_loss(tf.subtract(out, large)))
    for w in v1.trainable_variables():
        loss += tf.nn.l2_loss(w) * 1e-4
    train(loss)
    mse = tf.reduce_mean(tf.square(tf.clip_by_value(out, 0.0, 1.0) - large), [1, 2, 3])
    psnr = 10.0 * tf.math.log(1.0 / mse) / np.log(10.0)
    tf.reduce_mean(psnr, name="psnr")


@model("add_2", "Placeholder")
def residual_without_names() -> None:
    inputs, targets = v1.placeholder(tf.float32, [None, 8, 8, 3]), v1.placeholder(tf.float32, [None, 8, 8, 3])
    w1, w2 = (variable(v1.random_normal([3, 3, 3, 3], stddev=0.1)) for _ in range(2))
    h = tf.nn.relu(tf.nn.conv2d(inputs, w1, 1, "SAME") + variable(tf.zeros([3])))
    output = inputs + (tf.nn.conv2d(h, w2, 1, "SAME") + variable(tf.zeros([3])))
    v1.train.AdamOptimizer(1e-4).minimize(tf.reduce_mean(tf.abs(output - targets)))


@model("transformer/preds", "X_content")
def style_transfer() -> None:
    """A fixed network, of constants as its weights were loaded, sees the result and the content, for the loss alone."""
    content = v1.placeholder(tf.float32, [2, 16, 16, 3], name="X_content")
    rng = np.random.default_rng(7)
    kernels = [rng.normal(0, 0.1, size).astype(np.float32) for size in ((3, 3, 3, 4), (3, 3, 4, 6))]

    def vgg(image):
        current, net = image - np.array([123.68, 116.779, 103.939], np.float32), {}
        for i, kernel in enumerate(kernels):
            current = tf.nn.conv2d(current, tf.constant(kernel), 1, "SAME") + tf.constant(
                np.zeros(kernel.shape[3], np.float32)
            )
            net[f"relu{i + 1}_1"] = current = tf.nn.relu(current)
            current = tf.nn.max_pool2d(current, 2, 2, "SAME")
        return net

    def instance_norm(x, scope):
        with v1.variable_scope(scope):
            mu, sigma_sq = tf.nn.moments(x, [1, 2], keepdims=True)
            shift, scale = (
                get("shift", [x.shape[3]], v1.zeros_initializer()),
                get("scale", [x.shape[3]], v1.ones_initializer()),
            )
            return scale * (x - mu) / (sigma_sq + 1e-3) ** 0.5 + shift

    content_features = vgg(content)["relu2_1"]
    x = tf.nn.relu(instance_norm(conv(content / 255.0, 4, "conv1", activation=None, stride=2), "norm1"))
    x = x + instance_norm(conv(x, 4, "resid1", activation=None), "norm2")
    x = deconv(x, 3, "conv_t1")
    preds = tf.add(tf.nn.tanh(x) * 150, 255.0 / 2, name="transformer/preds")
    net = vgg(preds)
    content_loss = 7.5 * 2 * tf.nn.l2_loss(net["relu2_1"] - content_features) / (8 * 8 * 6 * 2)
    feats = tf.reshape(net["relu1_1"], (2, 16 * 16, 4))
    grams = tf.matmul(tf.transpose(feats, perm=[0, 2, 1]), feats) / (16 * 16 * 4)
    style_loss = 100.0 * 2 * tf.nn.l2_loss(grams - tf.constant(rng.normal(size=(4, 4)).astype(np.float32))) / 16
    tv = tf.nn.l2_loss(preds[:, 1:] - preds[:, :15]) + tf.nn.l2_loss(preds[:, :, 1:] - preds[:, :, :15])
    v1.train.AdamOptimizer(1e-3).minimize(content_loss + style_loss + 200.0 * tv / 2)


DETECTED = "detection_boxes detection_scores detection_classes num_detections"


@model(DETECTED, "image_tensor")
def detection_in_the_object_detector_style() -> None:
    """Four identities at the end, and on the way there many more, of anchors, encodings and what was clipped."""
    image = v1.placeholder(tf.uint8, [None, None, None, 3], name="image_tensor")
    truth, truth_classes = (
        v1.placeholder(tf.float32, [None, 4, 4], "gt_boxes"),
        v1.placeholder(tf.int32, [None, 4], "gt_classes"),
    )
    with v1.name_scope("Preprocessor"):
        resized = v1.image.resize_bilinear(tf.cast(image, tf.float32), [16, 16], name="ResizeImage/ResizeBilinear")
        resized = tf.subtract((2.0 / 255.0) * resized, 1.0, name="sub")
    features = conv(conv(resized, 4, "FeatureExtractor/Conv", stride=4), 6, "FeatureExtractor/Conv_1", stride=2)
    anchors = tf.constant(
        np.array([[0, 0, 0.5, 0.5], [0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5], [0.5, 0.5, 1, 1]], np.float32)
    )
    anchors = tf.identity(anchors, "Anchors/boxes")
    encodings = conv(features, 4, "BoxPredictor_0/BoxEncodingPredictor", 1, activation=None)
    encodings = tf.identity(tf.reshape(encodings, [-1, 4, 4]), "Squeeze/encodings")
    scores = conv(features, 3, "BoxPredictor_0/ClassPredictor", 1, activation=None)
    scores = tf.identity(tf.reshape(scores, [-1, 4, 3]), "concat/class_predictions_with_background")
    with v1.name_scope("Postprocessor"):
        decoded = tf.identity(anchors + 0.1 * encodings, name="raw_box_locations")
        converted = tf.identity(tf.nn.softmax(scores), name="raw_box_scores")
        best = tf.reduce_max(converted[:, :, 1:], 2)
        label = tf.argmax(converted[:, :, 1:], 2, output_type=tf.int32)
        kept, order = tf.nn.top_k(best, 3)
        boxes = tf.gather(tf.clip_by_value(decoded, 0.0, 1.0), order, batch_dims=1)
        classes = tf.cast(tf.gather(label, order, batch_dims=1), tf.float32)
        count = tf.reduce_sum(tf.cast(kept > 0.1, tf.float32), 1)
    tf.identity(boxes, "detection_boxes"), tf.identity(kept, "detection_scores")
    tf.add(classes, 1.0, name="add"), tf.identity(classes + 1.0, "detection_classes")
    tf.identity(count, "num_detections")
    with v1.name_scope("Loss"):
        localization = v1.losses.huber_loss(truth, decoded)
        classification = cross_entropy(truth_classes, scores)
        total = tf.add_n([localization, classification], name="TotalLoss")
    train(total, v1.train.RMSPropOptimizer(0.004, momentum=0.9))


@model("segmentation/prediction segmentation/annotations", "Placeholder")
def fully_convolutional() -> None:
    """Maps of several sizes are fused; the labels of the pixels are an arg max with one more dimension."""
    image = v1.placeholder(tf.float32, shape=(None, 16, 16, 3))
    annotation = v1.placeholder(tf.int32, shape=(None, 16, 16, 1), name="annotation")
    keep_probability = v1.placeholder(tf.float32, name="keep_probabilty")
    mean_pixel = np.array([100.0, 110.0, 120.0], np.float32)
    with v1.variable_scope("inference"):
        pool1 = tf.nn.max_pool2d(conv(image - mean_pixel, 4, "conv1_1"), 2, 2, "SAME")
        pool2 = tf.nn.max_pool2d(conv(pool1, 6, "conv2_1"), 2, 2, "SAME")
        dropped = v1.nn.dropout(conv(pool2, 6, "conv6"), keep_probability)
        conv8 = conv(dropped, 5, "conv8", 1, activation=None)
        fuse_1 = tf.add(deconv(conv8, 4, "conv_t1"), pool1, name="fuse_1")
        conv_t3 = deconv(fuse_1, 5, "conv_t3")
    with v1.name_scope("segmentation"):
        tf.nn.softmax(conv_t3, name="prediction")
        labels = tf.argmax(conv_t3, axis=3)
        pred_annotation = tf.expand_dims(labels, axis=3, name="annotations")
    v1.summary.image("pred_annotation", tf.cast(pred_annotation, tf.uint8), max_outputs=2)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=conv_t3, labels=tf.squeeze(annotation, axis=[3]))
    optimizer = v1.train.AdamOptimizer(1e-4)
    optimizer.apply_gradients(optimizer.compute_gradients(tf.reduce_mean(entropy, name="entropy")))


@model("results/pixel_wise_softmax", "x")
def softmax_over_pixels_by_hand() -> None:
    """The softmax of the output map is made of its parts; the Dice loss takes it, and a metric."""
    x, y = v1.placeholder("float", [None, 12, 12, 1], name="x"), v1.placeholder("float", [None, 12, 12, 2], name="y")
    keep_prob = v1.placeholder(tf.float32, name="dropout_probability")
    down = v1.nn.dropout(conv(x, 4, "down_conv_0"), keep_prob)
    bottom = conv(tf.nn.max_pool2d(down, 2, 2, "VALID"), 8, "down_conv_1")
    up = tf.concat([deconv(bottom, 4, "up_conv_0", activation=tf.nn.relu), down], 3)
    logits = conv(up, 2, "output_map", 1)
    with v1.name_scope("cost"):
        exponential = tf.exp(logits - tf.reduce_max(logits, 3, keepdims=True))
        prediction = exponential / tf.reduce_sum(exponential, 3, keepdims=True)
        intersection = tf.reduce_sum(prediction * y)
        union = 1e-5 + tf.reduce_sum(prediction) + tf.reduce_sum(y)
        loss = -(2 * intersection / union)
    with v1.name_scope("results"):
        predicter = tf.identity(prediction, name="pixel_wise_softmax")
        correct_pred = tf.equal(tf.argmax(predicter, 3), tf.argmax(y, 3))
        tf.reduce_mean(tf.cast(correct_pred, tf.float32))
    train(loss, v1.train.MomentumOptimizer(0.2, 0.2))


@model("pnet/prob1 pnet/conv4-2/BiasAdd rnet/prob1 rnet/conv5-2/BiasAdd", "pnet/input rnet/input")
def cascade_of_networks() -> None:
    """Separate networks, each with a placeholder of its own, that the caller runs one after the other."""
    with v1.variable_scope("pnet"):
        data = v1.placeholder(tf.float32, (None, None, None, 3), "input")
        net = conv(conv(data, 4, "conv1"), 4, "conv2", stride=2)
        scores, boxes = conv(net, 2, "conv4-1", 1, activation=None), conv(net, 4, "conv4-2", 1, activation=None)
        pnet = tf.nn.softmax(scores, name="prob1"), boxes
    with v1.variable_scope("rnet"):
        data = v1.placeholder(tf.float32, (None, 8, 8, 3), "input")
        net = dense(flat(conv(data, 4, "conv1", stride=2)), 6, "conv4", tf.nn.leaky_relu)
        scores, boxes = dense(net, 2, "conv5-1"), dense(net, 4, "conv5-2")
        rnet = tf.nn.softmax(scores, name="prob1"), boxes
    label, bbox = v1.placeholder(tf.float32, [None], "label"), v1.placeholder(tf.float32, [None, 4], "bbox_target")
    for scope, (prob, boxes) in (("pnet", pnet), ("rnet", rnet)):
        prob, boxes = tf.reshape(prob, [-1, 2]), tf.reshape(boxes, [-1, 4])
        found = tf.reduce_mean(-label * tf.math.log(prob[:, 1] + 1e-10))
        located = tf.reduce_mean(tf.reduce_sum(tf.square(boxes - bbox), 1))
        v1.train.AdamOptimizer(name=f"{scope}_adam").minimize(
            found + 0.5 * located, var_list=v1.trainable_variables(scope)
        )


@model("resized_input final_result", "raw_image")
def last_layer_trained_anew() -> None:
    """The image's preprocessing has no weights and is fetched; the layer reads what another network made of it."""
    raw = v1.placeholder(tf.uint8, [None, None, 3], name="raw_image")
    decoded_4d = tf.expand_dims(tf.cast(raw, tf.float32), 0)
    resized = v1.image.resize_bilinear(decoded_4d, tf.cast(tf.stack([12, 12]), tf.int32))
    tf.multiply(tf.subtract(resized, 128.0), 1.0 / 128.0, name="resized_input")
    with v1.name_scope("input"):
        bottleneck = v1.placeholder_with_default(tf.zeros([1, 9]), [None, 9], name="BottleneckInputPlaceholder")
        truth = v1.placeholder(tf.int64, [None], name="GroundTruthInput")
    with v1.name_scope("final_retrain_ops"):
        with v1.name_scope("weights"):
            layer_weights = variable(v1.truncated_normal([9, 3], stddev=0.001), name="final_weights")
        with v1.name_scope("biases"):
            layer_biases = variable(tf.zeros([3]), name="final_biases")
        with v1.name_scope("Wx_plus_b"):
            logits = tf.matmul(bottleneck, layer_weights) + layer_biases
            v1.summary.histogram("pre_activations", logits)
    final_tensor = tf.nn.softmax(logits, name="final_result")
    with v1.name_scope("cross_entropy"):
        mean = v1.losses.sparse_softmax_cross_entropy(labels=truth, logits=logits)
    with v1.name_scope("train"):
        v1.train.GradientDescentOptimizer(0.01).minimize(mean)
    with v1.name_scope("accuracy"):
        prediction = tf.argmax(final_tensor, 1)
        tf.reduce_mean(tf.cast(tf.equal(prediction, truth), tf.float32))


@model("generator/output", "Placeholder")
def loss_by_another_network() -> None:
    """The network of the loss has weights too, restored from elsewhere; it is applied to both images."""
    inputs = v1.placeholder(tf.float32, [None, 8, 8, 3])
    targets = v1.placeholder(tf.float32, [None, 8, 8, 3])

    def features(image):
        with v1.variable_scope("vgg_19", reuse=v1.AUTO_REUSE):
            return conv(conv(image, 4, "conv1/conv1_1"), 6, "conv2/conv2_1", stride=2)

    with v1.variable_scope("generator"):
        x = conv(inputs, 4, "k3n4", activation=tf.nn.leaky_relu)
        x = conv(x, 4, "resblock", activation=None) + x
        output = tf.tanh(conv(x, 3, "k9n3", activation=None), name="output")
    difference = features(output) - features(targets)
    perceptual = tf.reduce_mean(tf.reduce_sum(tf.square(difference), axis=[3]))
    pixel = tf.reduce_mean(tf.reduce_sum(tf.square(output - targets), axis=[3]))
    train(perceptual + 1e-3 * pixel, variables=v1.trainable_variables("generator"))
    v1.train.Saver(v1.global_variables("vgg_19"))
