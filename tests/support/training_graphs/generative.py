"""What is made of noise: generators and their critics."""

import numpy as np
import tensorflow as tf

from training_graphs.layers import conv, deconv, dense, flat, get, model, train, v1, variable


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
    for weight in critic:
        v1.assign(weight, tf.clip_by_value(weight, -0.01, 0.01))


@model("sampler/Tanh discriminator/Sigmoid", "z real_images")
def convolutional_gan() -> None:
    """A generator, a copy of it that samples, and a discriminator that is applied to what is real and what is not."""

    def generator(z, scope, training):
        with v1.variable_scope("generator", reuse=v1.AUTO_REUSE), v1.name_scope(scope):
            h = tf.reshape(dense(z, 2 * 2 * 8, "g_h0_lin", names=("Matrix", "bias")), [-1, 2, 2, 8])
            h = tf.nn.relu(normalise(h, "g_bn0", training))
            h = tf.nn.relu(normalise(deconv(h, 4, "g_h1"), "g_bn1", training))
            return deconv(h, 3, "g_h2")

    def normalise(x, scope, training):
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
            size = [x.shape[-1]]
            beta, gamma = get("beta", size, v1.zeros_initializer()), get("gamma", size, v1.ones_initializer())
            mean = get("moving_mean", size, v1.zeros_initializer(), trainable=False)
            variance = get("moving_variance", size, v1.ones_initializer(), trainable=False)
            if not training:
                return v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, is_training=False)[0]
            y, m, v = v1.nn.fused_batch_norm(x, gamma, beta)
            for average, new in ((mean, m), (variance, v)):
                v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign_sub(average, (average - new) * 0.1))
            return y

    def discriminator(image, scope):
        with v1.variable_scope("discriminator", reuse=v1.AUTO_REUSE):
            h = conv(image, 4, "d_h0_conv", 5, 2, tf.nn.leaky_relu, ("w", "biases"))
            h = conv(h, 8, "d_h1_conv", 5, 2, tf.nn.leaky_relu, ("w", "biases"))
            logits = dense(flat(h), 1, "d_h2_lin", names=("Matrix", "bias"))
        with v1.name_scope(scope):
            return tf.nn.sigmoid(logits), logits

    real = v1.placeholder(tf.float32, [None, 8, 8, 3], name="real_images")
    z = v1.placeholder(tf.float32, [None, 5], name="z")
    v1.summary.histogram("z", z)
    fake = tf.nn.tanh(generator(z, "g", True))
    D, on_real = discriminator(real, "discriminator/")
    D_, on_fake = discriminator(fake, "discriminator_1/")
    with v1.name_scope("sampler"):
        tf.nn.tanh(generator(z, "s", False))
    v1.summary.histogram("d", D), v1.summary.histogram("d_", D_), v1.summary.image("G", fake)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    d_loss_real = tf.reduce_mean(entropy(logits=on_real, labels=tf.ones_like(D)))
    d_loss_fake = tf.reduce_mean(entropy(logits=on_fake, labels=tf.zeros_like(D_)))
    g_loss = tf.reduce_mean(entropy(logits=on_fake, labels=tf.ones_like(D_)))
    d_vars = [v for v in v1.trainable_variables() if "d_" in v.name]
    g_vars = [v for v in v1.trainable_variables() if "g_" in v.name]
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        v1.train.AdamOptimizer(2e-4, beta1=0.5).minimize(d_loss_real + d_loss_fake, var_list=d_vars)
        v1.train.AdamOptimizer(2e-4, beta1=0.5).minimize(g_loss, var_list=g_vars)


def xavier(size):
    return variable(v1.random_normal(size, stddev=(2.0 / size[0]) ** 0.5))


@model("Sigmoid Sigmoid_1", "Placeholder Placeholder_1 Placeholder_2")
def conditional_gan_without_names() -> None:
    """The class is an input of both networks, which the lists of variables alone tell apart."""
    X, y, Z = (v1.placeholder(tf.float32, shape=[None, size]) for size in (12, 4, 6))
    D_W1, D_b1 = xavier([16, 8]), variable(tf.zeros(shape=[8]))
    D_W2, D_b2 = xavier([8, 1]), variable(tf.zeros(shape=[1]))
    theta_D = [D_W1, D_W2, D_b1, D_b2]
    G_W1, G_b1 = xavier([10, 8]), variable(tf.zeros(shape=[8]))
    G_W2, G_b2 = xavier([8, 12]), variable(tf.zeros(shape=[12]))
    theta_G = [G_W1, G_W2, G_b1, G_b2]

    def discriminator(x, y):
        D_h1 = tf.nn.relu(tf.matmul(tf.concat(axis=1, values=[x, y]), D_W1) + D_b1)
        D_logit = tf.matmul(D_h1, D_W2) + D_b2
        return tf.nn.sigmoid(D_logit), D_logit

    G_h1 = tf.nn.relu(tf.matmul(tf.concat(axis=1, values=[Z, y]), G_W1) + G_b1)
    G_sample = tf.nn.sigmoid(tf.matmul(G_h1, G_W2) + G_b2)
    D_real, D_logit_real = discriminator(X, y)
    D_fake, D_logit_fake = discriminator(G_sample, y)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    D_loss_real = tf.reduce_mean(entropy(logits=D_logit_real, labels=tf.ones_like(D_logit_real)))
    D_loss_fake = tf.reduce_mean(entropy(logits=D_logit_fake, labels=tf.zeros_like(D_logit_fake)))
    G_loss = tf.reduce_mean(entropy(logits=D_logit_fake, labels=tf.ones_like(D_logit_fake)))
    v1.train.AdamOptimizer().minimize(D_loss_real + D_loss_fake, var_list=theta_D)
    v1.train.AdamOptimizer().minimize(G_loss, var_list=theta_G)


@model("Generator/Tanh Discriminator/score", "noise real")
def gan_with_a_penalty_of_gradients() -> None:
    """The gradient of a critic is part of its loss, under a name of its own."""
    noise, real = v1.placeholder(tf.float32, [None, 4], "noise"), v1.placeholder(tf.float32, [None, 7], "real")

    def critic(x, name=None):
        h = tf.nn.leaky_relu(dense(x, 6, "Discriminator.Input"))
        return tf.squeeze(dense(h, 1, "Discriminator.Output"), 1, name=name)

    with v1.name_scope("Generator"):
        fake = tf.tanh(dense(dense(noise, 6, "Generator.Input", tf.nn.relu), 7, "Generator.Output"))
    disc_real, disc_fake = critic(real, "Discriminator/score"), critic(fake)
    gen_cost = -tf.reduce_mean(disc_fake)
    disc_cost = tf.reduce_mean(disc_fake) - tf.reduce_mean(disc_real)
    with v1.name_scope("penalty"):
        alpha = v1.random_uniform([tf.shape(real)[0], 1])
        interpolates = real + alpha * (fake - real)
        by_input = tf.gradients(critic(interpolates), [interpolates], name="slope")[0]
        slopes = tf.sqrt(tf.reduce_sum(tf.square(by_input), 1))
        disc_cost += 10.0 * tf.reduce_mean((slopes - 1.0) ** 2)
    for cost, name in ((gen_cost, "Generator"), (disc_cost, "Discriminator")):
        params = [v for v in v1.trainable_variables() if name in v.name]
        v1.train.AdamOptimizer(1e-4, beta1=0.5, beta2=0.9).minimize(cost, var_list=params)


@model("generatorA2B/t_conv/Tanh generatorB2A/t_conv/Tanh", "realA realB")
def cycle_of_two_generators() -> None:
    """Each generator translates images to the other domain, and back what the other has made."""
    real_a, real_b = (
        v1.placeholder(tf.float32, [None, 8, 8, 3], "realA"),
        v1.placeholder(tf.float32, [None, 8, 8, 3], "realB"),
    )

    def generator(image, name):
        with v1.variable_scope(name, reuse=v1.AUTO_REUSE):
            y = conv(image, 4, "c1", stride=2)
            y = y + conv(y, 4, "r1", activation=None)
            return deconv(y, 3, "t_conv", activation=tf.nn.tanh)

    def discriminator(image, name):
        with v1.variable_scope(name, reuse=v1.AUTO_REUSE):
            h = conv(image, 4, "h0", 4, 2, tf.nn.leaky_relu)
            return conv(h, 1, "pred", 3, 1, None)

    fake_b, fake_a = generator(real_a, "generatorA2B"), generator(real_b, "generatorB2A")
    cycle_a, cycle_b = generator(fake_b, "generatorB2A"), generator(fake_a, "generatorA2B")
    cycle = 10 * tf.reduce_mean(tf.abs(real_a - cycle_a)) + 10 * tf.reduce_mean(tf.abs(real_b - cycle_b))
    g_loss = d_loss = cycle
    for real, fake, name in ((real_a, fake_a, "discriminatorA"), (real_b, fake_b, "discriminatorB")):
        on_fake, on_real = discriminator(fake, name), discriminator(real, name)
        g_loss += tf.reduce_mean((on_fake - tf.ones_like(on_fake)) ** 2)
        d_loss += tf.reduce_mean((on_real - 1.0) ** 2) + tf.reduce_mean(on_fake**2)
    g_vars = [v for v in v1.trainable_variables() if "generator" in v.name]
    d_vars = [v for v in v1.trainable_variables() if "discriminator" in v.name]
    v1.train.AdamOptimizer(2e-4, beta1=0.5).minimize(d_loss, var_list=d_vars)
    v1.train.AdamOptimizer(2e-4, beta1=0.5).minimize(g_loss, var_list=g_vars)


@model("add_10", "x")
def log_density_of_a_flow() -> None:
    """Coupling layers, whose log determinants are summed, and a normal density of what they lead to."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    z, log_det = x, 0.0
    for i in range(3):
        kept, changed = tf.split(z, 2, 1)
        h = tf.tanh(tf.matmul(kept, get(f"flow{i}/w", [2, 6])) + get(f"flow{i}/b", [6]))
        s = tf.tanh(tf.matmul(h, get(f"flow{i}/ws", [6, 2])))
        t = tf.matmul(h, get(f"flow{i}/wt", [6, 2]))
        changed = changed * tf.exp(s) + t
        log_det += tf.reduce_sum(s, 1)
        z = tf.concat([changed, kept], 1)
    prior = tf.reduce_sum(-0.5 * (z**2 + tf.math.log(2 * np.pi)), 1)
    log_prob = prior + log_det
    v1.train.AdamOptimizer(1e-3).minimize(-tf.reduce_mean(log_prob))


@model("hprob vprob", "v")
def restricted_boltzmann_machine() -> None:
    """No optimizer and no loss: the weights are moved by what samples agree with."""
    v = v1.placeholder(tf.float32, [None, 8], name="v")
    W, hb, vb = get("W", [8, 5]), get("hb", [5], v1.zeros_initializer()), get("vb", [8], v1.zeros_initializer())

    def sample(probs):
        return tf.nn.relu(tf.sign(probs - v1.random_uniform(tf.shape(probs))))

    hprob0 = tf.nn.sigmoid(tf.matmul(v, W) + hb, name="hprob")
    h0 = sample(hprob0)
    vprob = tf.nn.sigmoid(tf.matmul(h0, tf.transpose(W)) + vb, name="vprob")
    v1_ = sample(vprob)
    h1 = tf.nn.sigmoid(tf.matmul(v1_, W) + hb)
    w_pos, w_neg = tf.matmul(tf.transpose(v), h0), tf.matmul(tf.transpose(v1_), h1)
    CD = (w_pos - w_neg) / tf.cast(tf.shape(v)[0], tf.float32)
    v1.assign_add(W, 0.1 * CD)
    v1.assign_add(vb, 0.1 * tf.reduce_mean(v - v1_, 0))
    v1.assign_add(hb, 0.1 * tf.reduce_mean(h0 - h1, 0))
    tf.reduce_mean(tf.square(v - v1_), name="err")
