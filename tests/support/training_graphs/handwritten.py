"""Classifiers written by hand: unnamed variables, sloppy scopes, and whatever else was built around the outputs."""

import tensorflow as tf

from kinds import control_flow
from training_graphs.layers import conv, cross_entropy, dense, flat, get, model, train, v1, variable


@model("add_2", "Placeholder")
def multilayer_perceptron() -> None:
    """The softmax is in the loss alone."""
    X = v1.placeholder("float", [None, 20])
    Y = v1.placeholder("float", [None, 4])
    weights = {
        "h1": variable(v1.random_normal([20, 9])),
        "h2": variable(v1.random_normal([9, 7])),
        "out": variable(v1.random_normal([7, 4])),
    }
    biases = {
        "b1": variable(v1.random_normal([9])),
        "b2": variable(v1.random_normal([7])),
        "out": variable(v1.random_normal([4])),
    }
    layer_1 = tf.add(tf.matmul(X, weights["h1"]), biases["b1"])
    layer_2 = tf.add(tf.matmul(layer_1, weights["h2"]), biases["b2"])
    logits = tf.matmul(layer_2, weights["out"]) + biases["out"]
    loss_op = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=Y))
    v1.train.AdamOptimizer(learning_rate=0.001).minimize(loss_op)
    correct_prediction = tf.equal(tf.argmax(logits, 1), tf.argmax(Y, 1))
    tf.reduce_mean(tf.cast(correct_prediction, "float"))


def weight_variable(shape):
    return variable(v1.truncated_normal(shape, stddev=0.1))


def bias_variable(shape):
    return variable(tf.constant(0.1, shape=shape))


@model("Softmax", "x-input")
def network_that_prints() -> None:
    """Each layer stands behind a Print, and so do the logits."""
    x = v1.placeholder(tf.float32, [None, 64], name="x-input")
    y_ = v1.placeholder(tf.float32, [None, 5], name="y-input")
    image = tf.reshape(x, [-1, 8, 8, 1])
    image = tf.raw_ops.Print(input=image, data=[tf.shape(image)], message="image: ", first_n=1)
    h = tf.nn.relu(tf.nn.conv2d(image, weight_variable([3, 3, 1, 4]), 1, "SAME") + bias_variable([4]))
    h = tf.nn.max_pool2d(h, 2, 2, "SAME")
    h = tf.raw_ops.Print(input=h, data=[tf.reduce_mean(h), tf.shape(h)], message="h_pool1: ", first_n=1)
    keep_prob = v1.placeholder(tf.float32)
    h = tf.nn.relu(tf.matmul(flat(h), weight_variable([64, 10])) + bias_variable([10]))
    h = v1.nn.dropout(h, keep_prob)
    y_conv = tf.matmul(h, weight_variable([10, 5])) + bias_variable([5])
    y_conv = tf.raw_ops.Print(input=y_conv, data=[y_conv], message="logits: ", first_n=1)
    y = tf.nn.softmax(y_conv)
    loss = tf.reduce_mean(-tf.reduce_sum(y_ * tf.math.log(y + 1e-8), 1))
    v1.train.AdamOptimizer(1e-4).minimize(loss)
    correct = tf.equal(tf.argmax(y, 1), tf.argmax(y_, 1))
    tf.reduce_mean(tf.cast(correct, tf.float32))
    v1.train.Saver()


@model("loss/prediction accuracy/prediction_class", "input/x")
def outputs_in_the_scope_of_the_loss() -> None:
    with v1.name_scope("input"):
        x = v1.placeholder(tf.float32, [None, 11], name="x")
        y_ = v1.placeholder(tf.float32, [None, 3], name="y")
    with v1.name_scope("layer1"):
        W1 = variable(v1.truncated_normal([11, 6], stddev=0.1), name="W1")
        b1 = variable(tf.zeros([6]), name="b1")
        h1 = tf.nn.sigmoid(tf.matmul(x, W1) + b1)
    with v1.name_scope("layer2"):
        W2 = variable(v1.truncated_normal([6, 3], stddev=0.1), name="W2")
        b2 = variable(tf.zeros([3]), name="b2")
        h2 = tf.matmul(h1, W2) + b2
    with v1.name_scope("loss"):
        y = tf.nn.softmax(h2, name="prediction")
        loss = -tf.reduce_sum(y_ * tf.math.log(tf.clip_by_value(y, 1e-10, 1.0)))
        v1.summary.scalar("loss", loss)
    with v1.name_scope("accuracy"):
        classes = tf.argmax(y, 1, name="prediction_class")
        accuracy = tf.reduce_mean(tf.cast(tf.equal(classes, tf.argmax(y_, 1)), tf.float32))
        v1.summary.scalar("accuracy", accuracy)
    with v1.name_scope("train"):
        v1.train.GradientDescentOptimizer(0.003).minimize(loss)
    v1.summary.merge_all()


@model("eval/scores eval/top", "Placeholder")
def outputs_in_the_scope_of_the_evaluation() -> None:
    inputs = v1.placeholder(tf.float32, (None, 6, 6, 2))
    targets = v1.placeholder(tf.int32, (None,))
    with v1.variable_scope("net"):
        net = conv(inputs, 4, "conv", stride=2)
        net = tf.reduce_mean(net, [1, 2], name="global_pool")
    with v1.variable_scope("train"):
        logits = dense(net, 6, "fc")
        xent = cross_entropy(targets, logits)
        decay = 2e-4 * tf.add_n([tf.nn.l2_loss(v) for v in v1.trainable_variables() if "weights" in v.name])
        train(xent + decay, v1.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True))
    with v1.variable_scope("eval"):
        scores = tf.nn.softmax(logits, name="scores")
        tf.nn.top_k(scores, 3, name="top")
        hit = tf.nn.in_top_k(targets, scores, 3)
        tf.reduce_sum(tf.cast(hit, tf.int32), name="number_of_hits")


@model("y_pred", "x")
def accuracy_built_in_every_epoch() -> None:
    """The loop over the epochs builds the ops of the accuracy anew each time, two hundred times."""
    x = v1.placeholder(tf.float32, shape=[None, 16], name="x")
    y_true = v1.placeholder(tf.float32, shape=[None, 4], name="y_true")
    y_true_cls = tf.argmax(y_true, axis=1)
    layer_fc1 = tf.nn.relu(tf.matmul(x, weight_variable([16, 8])) + bias_variable([8]))
    layer_fc2 = tf.matmul(layer_fc1, weight_variable([8, 4])) + bias_variable([4])
    y_pred = tf.nn.softmax(layer_fc2, name="y_pred")
    cost = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=layer_fc2, labels=y_true))
    v1.train.AdamOptimizer(learning_rate=1e-4).minimize(cost)
    for _ in range(200):
        correct = tf.equal(tf.argmax(y_pred, axis=1), y_true_cls)
        tf.reduce_mean(tf.cast(correct, tf.float32))


@model("add_1 add_3", "x-input")
def network_on_averaged_weights() -> None:
    """The loss takes the network on the weights, whoever uses it the one on their moving averages."""
    x = v1.placeholder(tf.float32, [None, 12], name="x-input")
    y_ = v1.placeholder(tf.float32, [None, 4], name="y-input")
    weights1, biases1 = weight_variable([12, 7]), bias_variable([7])
    weights2, biases2 = weight_variable([7, 4]), bias_variable([4])

    def inference(average):
        layer1 = tf.nn.relu(tf.matmul(x, average(weights1)) + average(biases1))
        return tf.matmul(layer1, average(weights2)) + average(biases2)

    y = inference(lambda v: v)
    global_step = variable(0, trainable=False)
    averages = v1.train.ExponentialMovingAverage(0.99, global_step)
    with control_flow(1):
        averages_op = averages.apply(v1.trainable_variables())
    average_y = inference(averages.average)
    xent = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=y, labels=tf.argmax(y_, 1))
    regularization = 0.0001 * tf.nn.l2_loss(weights1) + 0.0001 * tf.nn.l2_loss(weights2)
    loss = tf.reduce_mean(xent) + regularization
    rate = v1.train.exponential_decay(0.8, global_step, 100, 0.99)
    train_step = v1.train.GradientDescentOptimizer(rate).minimize(loss, global_step=global_step)
    with tf.control_dependencies([train_step, averages_op]):
        tf.no_op(name="train")
    correct = tf.equal(tf.argmax(average_y, 1), tf.argmax(y_, 1))
    tf.reduce_mean(tf.cast(correct, tf.float32))


@model("CheckNumerics_2", "feats")
def checked_numbers() -> None:
    """Batch statistics whose averages cond chooses, and a check behind each layer, the last one too."""
    feats = v1.placeholder(tf.float32, [None, 10], "feats")
    lbls = v1.placeholder(tf.int64, [None], "lbls")
    phase_train = v1.placeholder(tf.bool, name="phase_train")
    h = tf.debugging.check_numerics(feats @ get("w1", [10, 8]) + get("b1", [8]), "h")
    beta, gamma = get("beta", [8], v1.zeros_initializer()), get("gamma", [8], v1.ones_initializer())
    with control_flow(1), v1.name_scope("bn"):
        batch_mean, batch_var = tf.nn.moments(h, [0], name="moments")
        ema = v1.train.ExponentialMovingAverage(decay=0.5)

        def mean_var_with_update():
            with tf.control_dependencies([ema.apply([batch_mean, batch_var])]):
                return tf.identity(batch_mean), tf.identity(batch_var)

        mean, var = v1.cond(
            phase_train, mean_var_with_update, lambda: (ema.average(batch_mean), ema.average(batch_var))
        )
        h = tf.nn.batch_normalization(h, mean, var, beta, gamma, 1e-3)
    h = tf.debugging.check_numerics(tf.nn.relu(h), "relu")
    logits = tf.debugging.check_numerics(h @ get("w2", [8, 3]) + get("b2", [3]), "logits")
    loss = tf.debugging.check_numerics(cross_entropy(lbls, logits), "loss")
    v1.train.AdamOptimizer().minimize(loss)
    tf.reduce_mean(tf.cast(tf.math.in_top_k(lbls, logits, 1), tf.float32))


@model("layer2/activation", "input/x-input")
def layers_with_summaries() -> None:
    """The tutorial on summaries: each layer measures its weights; the last activation is an identity."""

    def variable_summaries(var):
        with v1.name_scope("summaries"):
            mean = tf.reduce_mean(var)
            v1.summary.scalar("mean", mean)
            with v1.name_scope("stddev"):
                stddev = tf.sqrt(tf.reduce_mean(tf.square(var - mean)))
            v1.summary.scalar("stddev", stddev)
            v1.summary.scalar("max", tf.reduce_max(var))
            v1.summary.histogram("histogram", var)

    def nn_layer(input_tensor, input_dim, output_dim, layer_name, act=tf.nn.relu):
        with v1.name_scope(layer_name):
            with v1.name_scope("weights"):
                weights = weight_variable([input_dim, output_dim])
                variable_summaries(weights)
            with v1.name_scope("biases"):
                biases = bias_variable([output_dim])
                variable_summaries(biases)
            with v1.name_scope("Wx_plus_b"):
                preactivate = tf.matmul(input_tensor, weights) + biases
                v1.summary.histogram("pre_activations", preactivate)
            activations = act(preactivate, name="activation")
            v1.summary.histogram("activations", activations)
            return activations

    with v1.name_scope("input"):
        x = v1.placeholder(tf.float32, [None, 16], name="x-input")
        y_ = v1.placeholder(tf.int64, [None], name="y-input")
    with v1.name_scope("input_reshape"):
        v1.summary.image("input", tf.reshape(x, [-1, 4, 4, 1]), 10)
    hidden1 = nn_layer(x, 16, 10, "layer1")
    with v1.name_scope("dropout"):
        keep_prob = v1.placeholder(tf.float32)
        v1.summary.scalar("dropout_keep_probability", keep_prob)
        dropped = v1.nn.dropout(hidden1, keep_prob)
    y = nn_layer(dropped, 10, 5, "layer2", act=tf.identity)
    with v1.name_scope("cross_entropy"), v1.name_scope("total"):
        xent = v1.losses.sparse_softmax_cross_entropy(labels=y_, logits=y)
    with v1.name_scope("train"):
        v1.train.AdamOptimizer(0.001).minimize(xent)
    with v1.name_scope("accuracy"):
        with v1.name_scope("correct_prediction"):
            correct_prediction = tf.equal(tf.argmax(y, 1), y_)
        with v1.name_scope("accuracy"):
            accuracy = tf.reduce_mean(tf.cast(correct_prediction, tf.float32))
    v1.summary.scalar("accuracy", accuracy)
    v1.summary.merge_all()


@model("logits/BiasAdd", "image")
def saliency_map() -> None:
    """The gradient of the strongest logit by the image, under a name of its own."""
    image = v1.placeholder(tf.float32, [None, 8, 8, 3], "image")
    label = v1.placeholder(tf.int32, [None], "label")
    net = flat(conv(conv(image, 4, "c1", stride=2), 6, "c2", stride=2))
    logits = dense(net, 4, "logits")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits))
    with v1.name_scope("interpretation"):
        strongest = tf.reduce_max(logits, 1)
        (grads,) = tf.gradients(strongest, [image], name="d_strongest")
        tf.reduce_max(tf.abs(grads), 3, name="map")
    with v1.name_scope("attack"):
        (by_image,) = tf.gradients(loss, [image], name="d_loss")
        tf.clip_by_value(image + 0.01 * tf.sign(by_image), 0.0, 1.0, name="adversarial")
    v1.train.AdamOptimizer(1e-3).minimize(loss)


@model("proba", "X")
def logistic_regression_by_newton() -> None:
    """The Hessian is made by hand, row by row, and no optimizer is in the graph."""
    X, y = v1.placeholder(tf.float32, [None, 3], "X"), v1.placeholder(tf.float32, [None, 1], "y")
    w = variable(v1.random_normal([3, 1], stddev=0.1), name="w")
    proba = tf.sigmoid(tf.matmul(X, w), name="proba")
    nll = -tf.reduce_sum(y * tf.math.log(proba) + (1 - y) * tf.math.log(1 - proba))
    (g,) = tf.gradients(nll, [w], name="first")
    rows = [tf.gradients(g[i, 0], [w], name="second")[0] for i in range(3)]
    hessian = tf.concat(rows, 1, name="hessian") + 1e-3 * tf.eye(3)
    v1.assign_sub(w, tf.linalg.solve(hessian, g), name="newton")


@model("age/Softmax sex/Sigmoid race/Softmax", "face")
def three_tasks() -> None:
    face = v1.placeholder(tf.float32, [None, 12, 12, 3], name="face")
    age_y = v1.placeholder(tf.int64, [None], name="age_label")
    sex_y = v1.placeholder(tf.float32, [None, 1], name="sex_label")
    race_y = v1.placeholder(tf.int64, [None], name="race_label")
    shared = flat(conv(conv(face, 4, "shared/conv1", stride=2), 4, "shared/conv2", stride=3))
    age, sex, race = dense(shared, 7, "age"), dense(shared, 1, "sex"), dense(shared, 4, "race")
    with v1.name_scope("age/"):
        tf.nn.softmax(age)
    with v1.name_scope("sex/"):
        tf.nn.sigmoid(sex)
    with v1.name_scope("race/"):
        tf.nn.softmax(race)
    age_loss = cross_entropy(age_y, age, "age_cost")
    sex_loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=sex_y, logits=sex), name="sex_cost")
    race_loss = cross_entropy(race_y, race, "race_cost")
    for name, loss in (("age", age_loss), ("sex", sex_loss), ("race", race_loss)):
        v1.summary.scalar(name + "_cost", loss)
    train(age_loss + 2 * sex_loss + race_loss)
