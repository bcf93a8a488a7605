"""What is made of itself: autoencoders."""

import tensorflow as tf

from training_graphs.layers import conv, deconv, dense, flat, get, model, train, v1, variable


@model("encoder/mean/BiasAdd decoder/Sigmoid", "x")
def variational_autoencoder() -> None:
    x = v1.placeholder(tf.float32, [None, 9], "x")
    with v1.variable_scope("encoder"):
        hidden = dense(x, 6, "hidden", tf.nn.softplus)
        mean, log_variance = dense(hidden, 2, "mean"), dense(hidden, 2, "log_variance")
    z = mean + tf.exp(log_variance / 2) * v1.random_normal(tf.shape(mean))
    with v1.variable_scope("decoder"):
        logits = dense(dense(z, 6, "hidden", tf.nn.softplus), 9, "out")
        decoded = tf.nn.sigmoid(logits, name="Sigmoid")
    reconstruction = -tf.reduce_sum(x * tf.math.log(1e-9 + decoded) + (1 - x) * tf.math.log(1e-9 + 1 - decoded), 1)
    latent = -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), 1)
    train(tf.reduce_mean(reconstruction + latent))


@model("decode/BiasAdd", "signal")
def autoencoder() -> None:
    x = v1.placeholder(tf.float32, [None, 9], "signal")
    noisy = x + 0.1 * v1.random_normal(tf.shape(x))
    decoded = dense(dense(noisy, 4, "encode", tf.nn.relu), 9, "decode")
    train(tf.sqrt(tf.reduce_mean(tf.square(decoded - x))))


@model("latent/BiasAdd decoder/out/Sigmoid", "images")
def convolutional_autoencoder() -> None:
    images = v1.placeholder(tf.float32, [None, 8, 8, 1], name="images")
    with v1.variable_scope("encoder"):
        net = conv(images, 4, "c1", stride=2)
        net = conv(net, 6, "c2", stride=2)
        net = flat(net, "flatten")
    latent = dense(net, 3, "latent")
    with v1.variable_scope("decoder"):
        net = tf.reshape(dense(latent, 24, "grow", tf.nn.relu), [-1, 2, 2, 6])
        net = deconv(net, 4, "d1", activation=tf.nn.relu)
        reconstruction = deconv(net, 1, "out", activation=tf.nn.sigmoid)
    v1.summary.image("reconstruction", reconstruction)
    train(tf.reduce_mean(tf.square(images - reconstruction)))


@model("flatten/Reshape up2/out", "Placeholder")
def bottleneck_that_is_flattened() -> None:
    """The code is the last map of the encoder, flattened for those who want it; the decoder takes the map."""
    inputs_ = v1.placeholder(tf.float32, (None, 8, 8, 1))
    targets_ = v1.placeholder(tf.float32, (None, 8, 8, 1))
    x = tf.nn.max_pool2d(conv(inputs_, 4, names=("kernel", "bias")), 2, 2, "SAME")
    encoded = tf.nn.max_pool2d(conv(x, 2, names=("kernel", "bias")), 2, 2, "SAME")
    flat(encoded, "flatten/Reshape")
    x = v1.image.resize_nearest_neighbor(encoded, (4, 4), name="up1")
    x = conv(x, 4, names=("kernel", "bias"))
    x = v1.image.resize_nearest_neighbor(x, (8, 8), name="up2/resize")
    logits = conv(x, 1, activation=None, names=("kernel", "bias"))
    tf.nn.sigmoid(logits, name="up2/out")
    cost = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=targets_, logits=logits))
    v1.train.AdamOptimizer(0.001).minimize(cost)


@model("Add_2 Sigmoid", "Placeholder")
def variational_autoencoder_by_hand() -> None:
    """The mean of the code and the mean of what is decoded; no name is given to anything."""
    x = v1.placeholder(tf.float32, [None, 10])

    def layer(x, n_in, n_out):
        weights = variable(v1.random_uniform([n_in, n_out], -0.5, 0.5))
        return tf.add(tf.matmul(x, weights), variable(tf.zeros([n_out], dtype=tf.float32)))

    hidden = tf.nn.softplus(layer(tf.nn.softplus(layer(x, 10, 8)), 8, 8))
    z_mean, z_log_sigma_sq = layer(hidden, 8, 2), layer(hidden, 8, 2)
    eps = v1.random_normal((tf.shape(x)[0], 2), 0, 1, dtype=tf.float32)
    z = tf.add(z_mean, tf.multiply(tf.sqrt(tf.exp(z_log_sigma_sq)), eps))
    x_reconstr_mean = tf.nn.sigmoid(layer(tf.nn.softplus(layer(z, 2, 8)), 8, 10))
    reconstr_loss = -tf.reduce_sum(
        x * tf.math.log(1e-10 + x_reconstr_mean) + (1 - x) * tf.math.log(1e-10 + 1 - x_reconstr_mean), 1
    )
    latent_loss = -0.5 * tf.reduce_sum(1 + z_log_sigma_sq - tf.square(z_mean) - tf.exp(z_log_sigma_sq), 1)
    cost = tf.reduce_mean(reconstr_loss + latent_loss)
    v1.train.AdamOptimizer(learning_rate=0.001).minimize(cost)


@model("encoder/mu/BiasAdd decoder/y", "x y")
def conditional_variational_autoencoder() -> None:
    """The label is no target: both halves are told it."""
    x, y = v1.placeholder(tf.float32, [None, 9], "x"), v1.placeholder(tf.float32, [None, 3], "y")
    keep_prob = v1.placeholder(tf.float32, name="keep_prob")
    with v1.variable_scope("encoder"):
        h = v1.nn.dropout(dense(tf.concat([x, y], 1), 7, "h", tf.nn.elu), keep_prob)
        mu, sigma = dense(h, 2, "mu"), 1e-6 + tf.nn.softplus(dense(h, 2, "sigma"))
    z = mu + sigma * v1.random_normal(tf.shape(mu), 0, 1)
    with v1.variable_scope("decoder"):
        h = v1.nn.dropout(dense(tf.concat([z, y], 1), 7, "h", tf.nn.elu), keep_prob)
        decoded = tf.clip_by_value(tf.sigmoid(dense(h, 9, "out")), 1e-8, 1 - 1e-8, name="y")
    marginal = tf.reduce_mean(tf.reduce_sum(x * tf.math.log(decoded) + (1 - x) * tf.math.log(1 - decoded), 1))
    divergence = 0.5 * tf.reduce_sum(tf.square(mu) + tf.square(sigma) - tf.math.log(1e-8 + tf.square(sigma)) - 1, 1)
    loss = -(marginal - tf.reduce_mean(divergence))
    v1.train.AdamOptimizer(1e-3).minimize(loss)


@model("encode/z_mean generate/out", "input latent")
def decoder_with_an_input_of_its_own() -> None:
    """The decoder is built twice on the same weights: behind the encoder, and behind a code that is fed."""
    images = v1.placeholder(tf.float32, [None, 9], "input")

    def decode(z, name):
        with v1.variable_scope("Decode", reuse=v1.AUTO_REUSE):
            h = tf.nn.relu(tf.matmul(z, get("W1", [2, 6])) + get("b1", [6]))
            logits = tf.matmul(h, get("W2", [6, 9])) + get("b2", [9])
        return tf.nn.sigmoid(logits, name=name), logits

    with v1.variable_scope("encode"):
        h = tf.nn.relu(tf.matmul(images, get("W1", [9, 6])) + get("b1", [6]))
        z_mean = tf.add(tf.matmul(h, get("Wm", [6, 2])), get("bm", [2]), name="z_mean")
        z_stddev = tf.exp(0.5 * (tf.matmul(h, get("Ws", [6, 2])) + get("bs", [2])))
    guessed_z = z_mean + z_stddev * v1.random_normal(tf.shape(z_mean))
    _, logits = decode(guessed_z, "train/out")
    likelihood = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits), 1)
    kl = 0.5 * tf.reduce_sum(tf.square(z_mean) + tf.square(z_stddev) - tf.math.log(tf.square(z_stddev)) - 1, 1)
    v1.train.RMSPropOptimizer(0.01).minimize(tf.reduce_mean(likelihood + kl))
    decode(v1.placeholder(tf.float32, [None, 2], "latent"), "generate/out")


@model("code decoded", "frames")
def code_that_is_fed_in_place() -> None:
    """What is decoded is the code of the frames, or one that is fed in its place."""
    frames = v1.placeholder(tf.float32, [None, 12], "frames")
    W = [get(f"W{i}", shape) for i, shape in enumerate(([12, 8], [8, 3], [3, 8], [8, 12]))]
    code = tf.tanh(tf.tanh(frames @ W[0]) @ W[1], name="code")
    z = v1.placeholder_with_default(code, [None, 3], "z_in")
    decoded = tf.matmul(tf.tanh(z @ W[2]), W[3], name="decoded")
    cost = tf.reduce_sum(tf.reduce_mean((decoded - frames) ** 2, 0))
    train(cost, v1.train.AdamOptimizer(3e-3))


@model("Tanh Sigmoid", "X mask")
def denoising_with_tied_weights() -> None:
    """The decoder's weights are the encoder's, transposed; what is destroyed is told by a second input."""
    X, mask = v1.placeholder("float", [None, 10], name="X"), v1.placeholder("float", [None, 10], name="mask")
    W = variable(v1.random_uniform(shape=[10, 4], minval=-0.5, maxval=0.5), name="W")
    b, b_prime = variable(tf.zeros([4]), name="b"), variable(tf.zeros([10]), name="b_prime")
    tilde_X = mask * X
    Y = tf.nn.tanh(tf.matmul(tilde_X, W) + b)
    Z = tf.nn.sigmoid(tf.matmul(Y, tf.transpose(W)) + b_prime)
    cost = tf.reduce_sum(tf.pow(X - Z, 2))
    v1.train.GradientDescentOptimizer(0.02).minimize(cost)
