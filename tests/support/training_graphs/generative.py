"""What is made of noise: generators and their critics."""

import tensorflow as tf

from training_graphs.layers import dense, model, train, v1


@model("generator/Tanh discriminator/Sigmoid", "z real")
def gan() -> None:
    z = v1.placeholder(tf.float32, [None, 6], "z")
    real = v1.placeholder(tf.float32, [None, 8], "real")

    def discriminate(x):
        with v1.variable_scope("discriminator", reuse=v1.AUTO_REUSE):
            logits = dense(dense(x, 6, "hidden", tf.nn.leaky_relu), 1, "out")
            return tf.nn.sigmoid(logits, name="Sigmoid"), logits

    with v1.variable_scope("generator"):
        fake = tf.nn.tanh(dense(dense(z, 8, "hidden", tf.nn.relu), 8, "out"), name="Tanh")
    _, on_real = discriminate(real)
    _, on_fake = discriminate(fake)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    d_loss = tf.reduce_mean(entropy(logits=on_real, labels=tf.ones_like(on_real))) + tf.reduce_mean(
        entropy(logits=on_fake, labels=tf.zeros_like(on_fake))
    )
    g_loss = tf.reduce_mean(entropy(logits=on_fake, labels=tf.ones_like(on_fake)))
    train(d_loss, variables=v1.trainable_variables("discriminator"))
    train(g_loss, variables=v1.trainable_variables("generator"))


@model("generator/out/BiasAdd critic/out/BiasAdd", "noise real_data")
def wasserstein_gan() -> None:
    """A critic without a sigmoid, and weights that are clipped."""
    noise = v1.placeholder(tf.float32, [None, 4], "noise")
    real = v1.placeholder(tf.float32, [None, 6], "real_data")

    def criticize(x):
        with v1.variable_scope("critic", reuse=v1.AUTO_REUSE):
            return dense(dense(x, 5, "hidden", tf.nn.relu), 1, "out")

    with v1.variable_scope("generator"):
        fake = dense(dense(noise, 5, "hidden", tf.nn.relu), 6, "out")
    loss = tf.reduce_mean(criticize(fake)) - tf.reduce_mean(criticize(real))
    critic, generator = v1.trainable_variables("critic"), v1.trainable_variables("generator")
    train(loss, v1.train.RMSPropOptimizer(5e-5), critic)
    train(-tf.reduce_mean(criticize(fake)), v1.train.RMSPropOptimizer(5e-5), generator)
    for variable in critic:
        v1.assign(variable, tf.clip_by_value(variable, -0.01, 0.01))
