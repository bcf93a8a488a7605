"""Numbers: regressions, and what their last op may be."""

import numpy as np
import tensorflow as tf

from training_graphs.layers import dense, get, model, train, v1, variable


@model("prediction", "X")
def linear_regression() -> None:
    x, y = v1.placeholder(tf.float32, name="X"), v1.placeholder(tf.float32, name="Y")
    w, b = get("weight", []), get("bias", [], v1.constant_initializer(0.3))
    prediction = tf.add(tf.multiply(x, w), b, name="prediction")
    cost = tf.reduce_sum(tf.pow(prediction - y, 2)) / (2 * 17)
    train(cost, v1.train.GradientDescentOptimizer(0.01))


@model("Squeeze", "Placeholder")
def squeezed() -> None:
    features = v1.placeholder(tf.float32, [None, 13])
    target = v1.placeholder(tf.float32, [None])
    hidden = dense(features, 10, activation=tf.nn.relu)
    hidden = dense(hidden, 6, activation=tf.nn.relu)
    price = tf.squeeze(dense(hidden, 1), axis=1)
    mse = tf.reduce_mean(tf.math.squared_difference(price, target))
    v1.train.AdamOptimizer(0.01).minimize(mse)
    mae = tf.reduce_mean(tf.abs(price - target))
    v1.summary.scalar("mse", mse)
    v1.summary.scalar("mae", mae)


@model("Mul", "Placeholder")
def steering_angle() -> None:
    """The angle is twice the arc tangent of the last layer."""
    x = v1.placeholder(tf.float32, shape=[None, 10, 20, 3])
    y_ = v1.placeholder(tf.float32, shape=[None, 1])
    W_conv1, b_conv1 = variable(v1.truncated_normal([5, 5, 3, 4], stddev=0.1)), variable(tf.constant(0.1, shape=[4]))
    h_conv1 = tf.nn.relu(tf.nn.conv2d(x, W_conv1, [1, 2, 2, 1], "VALID") + b_conv1)
    h_flat = tf.reshape(h_conv1, [-1, 96])
    W_fc1, b_fc1 = variable(v1.truncated_normal([96, 8], stddev=0.1)), variable(tf.constant(0.1, shape=[8]))
    keep_prob = v1.placeholder(tf.float32)
    h_fc1 = v1.nn.dropout(tf.nn.relu(tf.matmul(h_flat, W_fc1) + b_fc1), keep_prob)
    W_fc2, b_fc2 = variable(v1.truncated_normal([8, 1], stddev=0.1)), variable(tf.constant(0.1, shape=[1]))
    y = tf.multiply(tf.atan(tf.matmul(h_fc1, W_fc2) + b_fc2), 2)
    train_vars = v1.trainable_variables()
    norms = tf.add_n([tf.nn.l2_loss(v) for v in train_vars]) * 0.001
    loss = tf.reduce_mean(tf.square(tf.subtract(y_, y))) + norms
    v1.train.AdamOptimizer(1e-4).minimize(loss)
    v1.summary.scalar("loss", loss)
    v1.summary.merge_all()
    v1.train.Saver()


@model("clip_by_value", "obs")
def clipped() -> None:
    obs = v1.placeholder(tf.float32, (None, 5), name="obs")
    goal = v1.placeholder(tf.float32, (None, 2), name="goal")
    w1 = variable(v1.random_uniform([5, 8], -0.5, 0.5), name="w1")
    w2 = variable(v1.random_uniform([8, 2], -0.5, 0.5), name="w2")
    out = tf.clip_by_value(tf.matmul(tf.nn.elu(tf.matmul(obs, w1)), w2) + 0.5, 0.0, 1.0)
    v1.train.AdamOptimizer().minimize(tf.reduce_mean(tf.reduce_sum((out - goal) ** 2, 1)))


@model("Maximum", "inputs")
def never_below_zero() -> None:
    """Demand cannot be negative; the maximum stands in the model and in its loss."""
    inputs = v1.placeholder(tf.float32, [None, 4], name="inputs")
    demand = v1.placeholder(tf.float32, [None, 1], name="demand")
    h = tf.tanh(tf.matmul(inputs, get("W0", [4, 6])) + get("B0", [6]))
    predicted = tf.maximum(tf.matmul(h, get("W1", [6, 1])) + get("B1", [1]), 0.0)
    error = predicted - demand
    pinball = tf.reduce_mean(tf.maximum(0.9 * error, -0.1 * error))
    train(pinball, v1.train.AdagradOptimizer(0.1))


@model("energy/Neg", "positions")
def energy_of_atoms() -> None:
    """The energy is the negative sum over the atoms of what a network gives for each."""
    positions = v1.placeholder(tf.float32, [None, 5, 3], name="positions")
    reference = v1.placeholder(tf.float32, [None], name="reference_energy")
    per_atom = dense(dense(tf.reshape(positions, [-1, 3]), 6, "atom/h1", tf.tanh), 1, "atom/out")
    with v1.name_scope("energy"):
        energy = tf.negative(tf.reduce_sum(tf.reshape(per_atom, [-1, 5]), 1))
    rmse = tf.sqrt(tf.reduce_mean(tf.square(energy - reference)))
    train(rmse, v1.train.RMSPropOptimizer(1e-3))


@model("Softplus", "features")
def poisson_rate() -> None:
    x = v1.placeholder(tf.float64, [None, 4], name="features")
    counts = v1.placeholder(tf.float64, [None, 1], name="counts")
    w, b = variable(np.full([4, 1], 0.1)), variable(np.zeros([1]))
    rate = tf.nn.softplus(tf.add(tf.matmul(x, w), b))
    nll = tf.reduce_mean(rate - counts * tf.math.log(rate))
    v1.train.GradientDescentOptimizer(0.05).minimize(nll)


@model("out/Relu", "visits")
def relu_at_the_end() -> None:
    visits = v1.placeholder(tf.float32, [None, 9], "visits")
    observed = v1.placeholder(tf.float32, [None, 2], "observed")
    scaled = tf.math.log1p(visits)
    h = dense(scaled, 6, "h", tf.nn.relu)
    predicted = dense(h, 2, "out", tf.nn.relu)
    rmsle = tf.sqrt(tf.reduce_mean(tf.square(tf.math.log1p(predicted) - tf.math.log1p(observed))))
    train(rmsle)


@model("Print", "x_in")
def regression_that_prints() -> None:
    """Nothing but the loss comes after the Print of the prediction."""
    x_in, y_in = v1.placeholder("float32", [None, 2], "x_in"), v1.placeholder("float32", [None, 1], "y_in")
    W, b = v1.Variable(tf.ones([2, 1]), use_resource=True), v1.Variable(tf.zeros([1]), use_resource=True)
    pred = tf.matmul(x_in, W) + b
    pred = tf.raw_ops.Print(input=pred, data=[pred, W], message="pred, W", first_n=1)
    v1.train.GradientDescentOptimizer(0.01).minimize(tf.reduce_mean((pred - y_in) ** 2))


@model("mixture/pi mixture/sigma mixture/mu", "x")
def mixture_density_network() -> None:
    x = v1.placeholder(tf.float32, [None, 1], name="x")
    y = v1.placeholder(tf.float32, [None, 1], name="y")
    Wh, bh = variable(v1.random_normal([1, 10])), variable(v1.random_normal([1, 10]))
    Wo, bo = variable(v1.random_normal([10, 9])), variable(v1.random_normal([1, 9]))
    output = tf.matmul(tf.nn.tanh(tf.matmul(x, Wh) + bh), Wo) + bo
    with v1.name_scope("mixture"):
        out_pi, out_sigma, out_mu = tf.split(output, 3, 1)
        out_pi = tf.exp(out_pi - tf.reduce_max(out_pi, 1, keepdims=True))
        out_pi = tf.multiply(tf.math.reciprocal(tf.reduce_sum(out_pi, 1, keepdims=True)), out_pi, name="pi")
        out_sigma = tf.exp(out_sigma, name="sigma")
        out_mu = tf.identity(out_mu, name="mu")
    kernel = tf.multiply(tf.subtract(y, out_mu), tf.math.reciprocal(out_sigma))
    kernel = tf.exp(-tf.square(kernel) / 2) * tf.math.reciprocal(out_sigma) / np.sqrt(2 * np.pi)
    lossfunc = tf.reduce_mean(-tf.math.log(tf.reduce_sum(kernel * out_pi, 1, keepdims=True)))
    v1.train.AdamOptimizer().minimize(lossfunc)
