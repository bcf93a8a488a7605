"""What is made of itself: autoencoders."""

import tensorflow as tf

from training_graphs.layers import dense, model, train, v1


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
