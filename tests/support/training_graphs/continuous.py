"""Reinforcement learning with actions that are numbers: gaussian policies, and actors in front of their critics."""

import numpy as np
import tensorflow as tf

from training_graphs.layers import dense, get, model, train, v1, variable


@model("Reshape clip_by_value", "states")
def gaussian_policy() -> None:
    """The mean is scaled by the bound; what is drawn around it is cut at the bound."""
    states, bound = v1.placeholder(tf.float32, [None, 3], "states"), 2.0
    a_his, td = v1.placeholder(tf.float32, [None, 1], "a_his"), v1.placeholder(tf.float32, [None, 1], "td_error")
    l1 = dense(states, 8, "l1", tf.nn.relu)
    mu, sigma = dense(l1, 1, "mu", tf.nn.tanh), dense(l1, 1, "sigma", tf.nn.softplus)
    mu, sigma = mu * bound, sigma + 1e-4
    normal_dist = v1.distributions.Normal(mu, sigma)
    mean = tf.reshape(mu, [-1])
    tf.clip_by_value(tf.squeeze(normal_dist.sample(1), axis=0), -bound, bound)
    exp_v = normal_dist.log_prob(a_his) * td + 0.01 * normal_dist.entropy()
    v1.train.AdamOptimizer(1e-3).minimize(-tf.reduce_mean(exp_v))
    v1.summary.histogram("mean", mean)


@model("scaled/squashed scaled/drawn", "observation")
def squashed_gaussian_policy() -> None:
    x = v1.placeholder(tf.float32, [None, 4], "observation")
    ret, act = v1.placeholder(tf.float32, [None], "ret"), v1.placeholder(tf.float32, [None, 2], "act")
    low, high = np.array([-1.0, 0.0], np.float32), np.array([1.0, 3.0], np.float32)
    h = tf.tanh(tf.matmul(x, get("W", [4, 8])) + get("b", [8]))
    mu = tf.matmul(h, get("Wmu", [8, 2])) + get("bmu", [2])
    log_std = get("log_std", [2], v1.constant_initializer(-0.5))
    pre = mu + tf.exp(log_std) * v1.random_normal(tf.shape(mu))
    with v1.name_scope("scaled"):
        tf.add(low, 0.5 * (tf.tanh(mu) + 1.0) * (high - low), name="squashed")
        tf.add(low, 0.5 * (tf.tanh(pre) + 1.0) * (high - low), name="drawn")
    u = tf.atanh(tf.clip_by_value(2 * (act - low) / (high - low) - 1.0, -0.999, 0.999))
    logp = tf.reduce_sum(-0.5 * ((u - mu) / tf.exp(log_std)) ** 2 - log_std, 1)
    train(-tf.reduce_mean(logp * ret), v1.train.AdamOptimizer(3e-3))


@model("Actor/eval/a/scaled_a Critic/eval/q/add", "S/s S_/s_")
def actor_into_critic() -> None:
    """The critic is given the actor's action; the actor's gradient is the critic's by the action."""
    with v1.name_scope("S"):
        S = v1.placeholder(tf.float32, [None, 3], "s")
    with v1.name_scope("R"):
        R = v1.placeholder(tf.float32, [None, 1], "r")
    with v1.name_scope("S_"):
        S_ = v1.placeholder(tf.float32, [None, 3], "s_")

    def actor(s, scope, trainable):
        with v1.variable_scope(scope):
            net = tf.nn.relu(tf.matmul(s, get("l1", [3, 6], trainable=trainable)))
            with v1.variable_scope("a"):
                actions = tf.tanh(tf.matmul(net, get("w", [6, 2], trainable=trainable)))
                return tf.multiply(actions, [2.0, 1.0], name="scaled_a")

    def critic(s, a, scope, trainable):
        with v1.variable_scope(scope):
            with v1.variable_scope("l1"):
                w1_s, w1_a = get("w1_s", [3, 6], trainable=trainable), get("w1_a", [2, 6], trainable=trainable)
                net = tf.nn.relu(tf.matmul(s, w1_s) + tf.matmul(a, w1_a) + get("b1", [1, 6], trainable=trainable))
            with v1.variable_scope("q"):
                return tf.matmul(net, get("w", [6, 1], trainable=trainable)) + get("b", [1], trainable=trainable)

    with v1.variable_scope("Actor"):
        a, a_ = actor(S, "eval", True), actor(S_, "target", False)
    with v1.variable_scope("Critic"):
        q, q_ = critic(S, a, "eval", True), critic(S_, a_, "target", False)
        with v1.variable_scope("target_q"):
            target_q = R + 0.9 * q_
        with v1.variable_scope("TD_error"):
            loss = tf.reduce_mean(tf.math.squared_difference(target_q, q))
        with v1.variable_scope("C_train"):
            v1.train.AdamOptimizer(1e-3).minimize(loss, var_list=v1.trainable_variables("Critic/eval"))
        with v1.variable_scope("a_grad"):
            a_grads = tf.gradients(q, a)[0]
    e_params = v1.trainable_variables("Actor/eval")
    with v1.variable_scope("policy_grads"):
        policy_grads = tf.gradients(ys=a, xs=e_params, grad_ys=a_grads)
    with v1.variable_scope("A_train"):
        v1.train.AdamOptimizer(-1e-3).apply_gradients(zip(policy_grads, e_params, strict=True))
    for name in ("Actor", "Critic"):
        for t, e in zip(v1.global_variables(name + "/target"), v1.trainable_variables(name + "/eval"), strict=True):
            v1.assign(t, 0.99 * t + 0.01 * e)


@model("Mul add_2", "Placeholder Placeholder_1")
def actor_and_critic_without_scopes() -> None:
    """Nothing but the optimizers' lists of variables says which are the actor's, and which are targets."""
    s, s2 = v1.placeholder(tf.float32, [None, 3]), v1.placeholder(tf.float32, [None, 3])
    r, d = v1.placeholder(tf.float32, [None, 1]), v1.placeholder(tf.float32, [None, 1])

    def weights(*sizes):
        return [variable(v1.random_uniform(size, -0.3, 0.3)) for size in sizes]

    def mu(s, w):
        return tf.multiply(tf.tanh(tf.matmul(tf.nn.relu(tf.matmul(s, w[0]) + w[1]), w[2])), 2.0)

    def value(s, a, w):
        return tf.matmul(tf.nn.relu(tf.matmul(tf.concat([s, a], 1), w[0]) + w[1]), w[2]) + w[3]

    actor, actor_t = (weights([3, 6], [6], [6, 1]) for _ in range(2))
    critic, critic_t = (weights([4, 6], [6], [6, 1], [1]) for _ in range(2))
    action = mu(s, actor)
    q = value(s, action, critic)
    backup = tf.stop_gradient(r + 0.99 * (1 - d) * value(s2, mu(s2, actor_t), critic_t))
    v1.train.AdamOptimizer(1e-3).minimize(tf.reduce_mean((q - backup) ** 2), var_list=critic)
    v1.train.AdamOptimizer(1e-4).minimize(-tf.reduce_mean(q), var_list=actor)
    tf.group(*[t.assign(0.995 * t + 0.005 * v) for t, v in zip(actor_t + critic_t, actor + critic, strict=True)])


def mlp(x, units, activation=tf.nn.relu, last=None):
    """Layers that tf.layers names dense, dense_1, ... in the scope around them."""
    for i, size in enumerate(units):
        name = f"dense_{i}" if i else "dense"
        x = dense(x, size, name, activation if i < len(units) - 1 else last)
    return x


def placeholders(*sizes):
    return [v1.placeholder(tf.float32, (None, size) if size else (None,)) for size in sizes]


@model("main/pi/mul main/q1/Squeeze main/q2/Squeeze", "Placeholder Placeholder_1 Placeholder_2")
def twin_critics() -> None:
    """Two critics of an action that is fed, the first of them once more of the actor's; targets are smoothed."""
    x_ph, a_ph, x2_ph, r_ph, d_ph = placeholders(4, 2, 4, None, None)

    def act(x):
        with v1.variable_scope("pi", reuse=v1.AUTO_REUSE):
            return 1.5 * mlp(x, (6, 2), last=tf.tanh)

    def value(x, a, scope):
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
            return tf.squeeze(mlp(tf.concat([x, a], axis=-1), (6, 1)), axis=1)

    with v1.variable_scope("main"):
        pi = act(x_ph)
        q1, q2 = value(x_ph, a_ph, "q1"), value(x_ph, a_ph, "q2")
        q1_pi = value(x_ph, pi, "q1")
    with v1.variable_scope("target"):
        pi_targ = act(x2_ph)
        epsilon = tf.clip_by_value(v1.random_normal(tf.shape(pi_targ), stddev=0.2), -0.5, 0.5)
        a2 = tf.clip_by_value(pi_targ + epsilon, -1.5, 1.5)
        q1_targ, q2_targ = value(x2_ph, a2, "q1"), value(x2_ph, a2, "q2")
    backup = tf.stop_gradient(r_ph + 0.99 * (1 - d_ph) * tf.minimum(q1_targ, q2_targ))
    q_loss = tf.reduce_mean((q1 - backup) ** 2) + tf.reduce_mean((q2 - backup) ** 2)
    v1.train.AdamOptimizer(1e-3).minimize(-tf.reduce_mean(q1_pi), var_list=v1.global_variables("main/pi"))
    v1.train.AdamOptimizer(1e-3).minimize(q_loss, var_list=v1.trainable_variables("main/q"))
    pairs = list(zip(v1.trainable_variables("main"), v1.trainable_variables("target"), strict=True))
    tf.group([v1.assign(t, 0.995 * t + 0.005 * m) for m, t in pairs])
    tf.group([v1.assign(t, m) for m, t in pairs])


@model("Tanh Tanh_1", "Placeholder Placeholder_1")
def twin_critics_without_names() -> None:
    """Only the actor and its noisy action are used; each critic is built on the actor's action alone."""
    s, s_next, reward = placeholders(3, 3, 1)

    def weights(*sizes):
        return [v1.Variable(v1.random_uniform(size, -0.3, 0.3), use_resource=True) for size in sizes]

    def mu(s, w):
        return tf.tanh(tf.matmul(tf.nn.elu(tf.matmul(s, w[0])), w[1]))

    def value(s, a, w):
        return tf.matmul(tf.nn.elu(tf.matmul(s, w[0]) + tf.matmul(a, w[1])), w[2])

    actor, actor_t = weights([3, 5], [5, 2]), weights([3, 5], [5, 2])
    one, two, one_t, two_t = (weights([3, 5], [2, 5], [5, 1]) for _ in range(4))
    a = mu(s, actor)
    noisy = tf.tanh(tf.atanh(0.99 * a) + v1.random_normal(tf.shape(a), stddev=0.1))
    a_next = mu(s_next, actor_t)
    target = tf.stop_gradient(reward + 0.9 * tf.minimum(value(s_next, a_next, one_t), value(s_next, a_next, two_t)))
    loss = v1.losses.huber_loss(target, value(s, noisy, one)) + v1.losses.huber_loss(target, value(s, noisy, two))
    v1.train.AdamOptimizer().minimize(loss, var_list=one + two)
    v1.train.AdamOptimizer().minimize(-tf.reduce_mean(value(s, a, one)), var_list=actor)
    for t, v in zip(actor_t + one_t + two_t, actor + one + two, strict=True):
        t.assign(0.99 * t + 0.01 * v)


@model(
    "main/pi/mul_4 main/pi/mul_5 main/q1/Squeeze main/q2/Squeeze main/v/Squeeze",
    "Placeholder Placeholder_1 Placeholder_2",
)
def soft_actor_critic() -> None:
    """A squashed mean, a squashed sample with its log-probability, two critics, and a value with a target copy."""
    x_ph, a_ph, x2_ph, r_ph, d_ph = placeholders(4, 2, 4, None, None)

    def value(x, scope):
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
            return tf.squeeze(mlp(x, (6, 1)), axis=1)

    with v1.variable_scope("main"):
        with v1.variable_scope("pi"):
            net = mlp(x_ph, (7,), last=tf.nn.relu)
            mu, log_std = dense(net, 2, "dense_1"), dense(net, 2, "dense_2", tf.tanh)
            log_std = -20 + 0.5 * (2 - -20) * (log_std + 1)
            std = tf.exp(log_std)
            pi = mu + v1.random_normal(tf.shape(mu)) * std
            pre_sum = -0.5 * (((pi - mu) / (tf.exp(log_std) + 1e-8)) ** 2 + 2 * log_std + np.log(2 * np.pi))
            logp_pi = tf.reduce_sum(pre_sum, axis=1)
            mu, pi = tf.tanh(mu), tf.tanh(pi)
            logp_pi -= tf.reduce_sum(tf.math.log(tf.clip_by_value(1 - pi**2, 0, 1) + 1e-6), axis=1)
            mu, pi = mu * 2.0, pi * 2.0
        both, of_pi = tf.concat([x_ph, a_ph], -1), tf.concat([x_ph, pi], -1)
        q1, q2 = value(both, "q1"), value(both, "q2")
        q1_pi, q2_pi = value(of_pi, "q1"), value(of_pi, "q2")
        v = value(x_ph, "v")
    with v1.variable_scope("target"):
        v_targ = value(x2_ph, "v")
    q_backup = tf.stop_gradient(r_ph + 0.99 * (1 - d_ph) * v_targ)
    v_backup = tf.stop_gradient(tf.minimum(q1_pi, q2_pi) - 0.2 * logp_pi)
    pi_loss = tf.reduce_mean(0.2 * logp_pi - q1_pi)
    value_loss = sum(0.5 * tf.reduce_mean((b - y) ** 2) for b, y in ((q_backup, q1), (q_backup, q2), (v_backup, v)))
    train_pi_op = v1.train.AdamOptimizer(1e-3).minimize(pi_loss, var_list=v1.trainable_variables("main/pi"))
    params = v1.trainable_variables("main/q") + v1.trainable_variables("main/v")
    with tf.control_dependencies([train_pi_op]):
        v1.train.AdamOptimizer(1e-3).minimize(value_loss, var_list=params)
    pairs = zip(v1.trainable_variables("main/v"), v1.trainable_variables("target/v"), strict=True)
    tf.group([v1.assign(t, 0.995 * t + 0.005 * m) for m, t in pairs])
