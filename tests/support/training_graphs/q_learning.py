"""Reinforcement learning by the value of actions."""

import tensorflow as tf

from kinds import control_flow
from training_graphs.layers import conv, dense, flat, get, model, train, v1, variable


@model("eval_net/q/BiasAdd", "s s_")
def deep_q_network() -> None:
    s, s_next = v1.placeholder(tf.float32, [None, 4], "s"), v1.placeholder(tf.float32, [None, 4], "s_")
    target = v1.placeholder(tf.float32, [None, 2], "Q_target")
    with v1.variable_scope("eval_net"):
        q = dense(dense(s, 8, "l1", tf.nn.relu), 2, "q")
    with v1.variable_scope("target_net"):
        dense(dense(s_next, 8, "l1", tf.nn.relu), 2, "q")
    with v1.variable_scope("loss"):
        loss = tf.reduce_mean(v1.squared_difference(target, q))
    train(loss, v1.train.RMSPropOptimizer(0.01), v1.trainable_variables("eval_net"))
    for old, new in zip(v1.global_variables("target_net"), v1.trainable_variables("eval_net"), strict=True):
        v1.assign(old, new)


@model("add_2", "Placeholder")
def unnamed_networks_on_one_placeholder() -> None:
    """The target network reads the same states; it is no variable of the optimizer's, and is copied to."""

    def create_network(s):
        W_conv1, b_conv1 = (
            variable(v1.truncated_normal([4, 4, 2, 4], stddev=0.1)),
            variable(tf.constant(0.01, shape=[4])),
        )
        W_fc1, b_fc1 = variable(v1.truncated_normal([64, 8], stddev=0.1)), variable(tf.constant(0.01, shape=[8]))
        W_fc2, b_fc2 = variable(v1.truncated_normal([8, 3], stddev=0.1)), variable(tf.constant(0.01, shape=[3]))
        h_conv1 = tf.nn.relu(tf.nn.conv2d(s, W_conv1, [1, 2, 2, 1], "SAME") + b_conv1)
        h_fc1 = tf.nn.relu(tf.matmul(tf.reshape(h_conv1, [-1, 64]), W_fc1) + b_fc1)
        return tf.matmul(h_fc1, W_fc2) + b_fc2, [W_conv1, b_conv1, W_fc1, b_fc1, W_fc2, b_fc2]

    s = v1.placeholder("float", [None, 8, 8, 2])
    readout, mine = create_network(s)
    _, theirs = create_network(s)
    a, y = v1.placeholder("float", [None, 3]), v1.placeholder("float", [None])
    readout_action = tf.reduce_sum(tf.multiply(readout, a), axis=1)
    cost = tf.reduce_mean(tf.square(y - readout_action))
    v1.train.AdamOptimizer(1e-6).minimize(cost, var_list=mine)
    [old.assign(new) for old, new in zip(theirs, mine, strict=True)]


@model("add predict", "scalarInput")
def dueling_streams() -> None:
    """The value and the advantage of the actions, from two halves of the last map."""
    scalar_input = v1.placeholder(shape=[None, 192], dtype=tf.float32, name="scalarInput")
    image = tf.reshape(scalar_input, shape=[-1, 8, 8, 3])
    h = flat(conv(conv(image, 4, "Conv", stride=2), 8, "Conv_1", stride=4))
    stream_ac, stream_vc = tf.split(h, 2, 1)
    AW, VW = variable(v1.random_normal([4, 4])), variable(v1.random_normal([4, 1]))
    advantage, value = tf.matmul(stream_ac, AW), tf.matmul(stream_vc, VW)
    q_out = value + tf.subtract(advantage, tf.reduce_mean(advantage, axis=1, keepdims=True))
    tf.argmax(q_out, 1, name="predict")
    target_q = v1.placeholder(shape=[None], dtype=tf.float32, name="targetQ")
    actions = v1.placeholder(shape=[None], dtype=tf.int32, name="actions")
    q = tf.reduce_sum(tf.multiply(q_out, tf.one_hot(actions, 4, dtype=tf.float32)), axis=1)
    td_error = tf.square(target_q - q)
    v1.train.AdamOptimizer(learning_rate=0.0001).minimize(tf.reduce_mean(td_error))


@model("eval_net/Q/out", "s s_")
def double_dueling_with_priorities() -> None:
    """Scopes named by what they hold; the importance of each step weighs the loss, and the errors are fetched."""
    s, s_ = v1.placeholder(tf.float32, [None, 4], name="s"), v1.placeholder(tf.float32, [None, 4], name="s_")
    q_target = v1.placeholder(tf.float32, [None, 3], name="Q_target")
    ISWeights = v1.placeholder(tf.float32, [None, 1], name="IS_weights")

    def build_layers(s, c_names):
        collections = [c_names, v1.GraphKeys.GLOBAL_VARIABLES]
        with v1.variable_scope("l1"):
            w1, b1 = get("w1", [4, 6], collections=collections), get("b1", [1, 6], collections=collections)
            l1 = tf.nn.relu(tf.matmul(s, w1) + b1)
        with v1.variable_scope("Value"):
            V = tf.matmul(l1, get("w2", [6, 1], collections=collections)) + get("b2", [1, 1], collections=collections)
        with v1.variable_scope("Advantage"):
            A = tf.matmul(l1, get("w2", [6, 3], collections=collections)) + get("b2", [1, 3], collections=collections)
        with v1.variable_scope("Q"):
            return tf.add(V, A - tf.reduce_mean(A, axis=1, keepdims=True), name="out")

    with v1.variable_scope("eval_net"):
        q_eval = build_layers(s, "eval_net_params")
    with v1.variable_scope("loss"):
        tf.reduce_sum(tf.abs(q_target - q_eval), axis=1, name="abs_errors")
        loss = tf.reduce_mean(ISWeights * tf.math.squared_difference(q_target, q_eval))
    with v1.variable_scope("train"):
        v1.train.RMSPropOptimizer(0.01).minimize(loss, var_list=v1.get_collection("eval_net_params"))
    with v1.variable_scope("target_net"):
        build_layers(s_, "target_net_params")
    for t, e in zip(v1.get_collection("target_net_params"), v1.get_collection("eval_net_params"), strict=True):
        v1.assign(t, e)


@model("deepq/ArgMax deepq/q_func/action_value/BiasAdd", "deepq/observation")
def greedy_actions_with_a_chance() -> None:
    """What acts takes a random action by a chance that is a variable; what learns has inputs of its own."""
    with v1.variable_scope("deepq"):
        observation = v1.placeholder(tf.float32, [None, 4], "observation")
        stochastic, update_eps = v1.placeholder(tf.bool, (), "stochastic"), v1.placeholder(tf.float32, (), "update_eps")
        eps = get("eps", (), v1.constant_initializer(0.0), trainable=False)

        def q_func(x, scope):
            with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
                return dense(dense(x, 6, "hidden", tf.nn.relu), 2, "action_value")

        q_values = q_func(observation, "q_func")
        deterministic = tf.argmax(q_values, axis=1)
        batch = tf.shape(observation)[0]
        random = v1.random_uniform(tf.stack([batch]), minval=0, maxval=2, dtype=tf.int64)
        chose_random = v1.random_uniform(tf.stack([batch]), minval=0, maxval=1) < eps
        explored = tf.where(chose_random, random, deterministic)
        with control_flow(1):
            v1.cond(stochastic, lambda: explored, lambda: deterministic)
            eps.assign(v1.cond(update_eps >= 0, lambda: update_eps, lambda: eps.read_value()))
        obs_t, obs_tp1 = (
            v1.placeholder(tf.float32, [None, 4], "obs_t"),
            v1.placeholder(tf.float32, [None, 4], "obs_tp1"),
        )
        act, rew = v1.placeholder(tf.int32, [None], "action"), v1.placeholder(tf.float32, [None], "reward")
        done, weight = v1.placeholder(tf.float32, [None], "done"), v1.placeholder(tf.float32, [None], "weight")
        q_t = tf.reduce_sum(q_func(obs_t, "q_func") * tf.one_hot(act, 2), 1)
        best = tf.reduce_max(q_func(obs_tp1, "target_q_func"), 1)
        td_error = q_t - tf.stop_gradient(rew + 0.99 * (1.0 - done) * best)
        huber = tf.where(tf.abs(td_error) < 1.0, tf.square(td_error) * 0.5, tf.abs(td_error) - 0.5)
        q_vars = v1.trainable_variables("deepq/q_func")
        v1.train.AdamOptimizer(5e-4).minimize(tf.reduce_mean(weight * huber), var_list=q_vars)
        pairs = zip(v1.global_variables("deepq/target_q_func"), q_vars, strict=False)
        tf.group(*[t.assign(v) for t, v in pairs])
