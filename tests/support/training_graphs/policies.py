"""Reinforcement learning by policies: actors, and critics of them."""

import tensorflow as tf

from training_graphs.layers import dense, get, model, train, v1


@model("global/policy/Softmax global/value/BiasAdd", "global/state worker_0/state")
def actor_critic() -> None:
    for scope in ("global", "worker_0"):
        with v1.variable_scope(scope):
            state = v1.placeholder(tf.float32, [None, 4], "state")
            action, reward = v1.placeholder(tf.int32, [None], "actions"), v1.placeholder(tf.float32, [None], "returns")
            advantage = v1.placeholder(tf.float32, [None], "advantages")
            hidden = dense(state, 8, "hidden", tf.nn.relu6)
            with v1.variable_scope("policy"):
                logits = tf.nn.bias_add(tf.matmul(hidden, get("w", [8, 3])), get("b", [3]))
                policy = tf.nn.softmax(logits, name="Softmax")
            value = dense(hidden, 1, "value")
            with v1.name_scope("loss"):
                chosen = tf.reduce_sum(policy * tf.one_hot(action, 3), 1)
                policy_loss = -tf.reduce_sum(tf.math.log(chosen + 1e-6) * advantage)
                entropy = -tf.reduce_sum(policy * tf.math.log(policy + 1e-6))
                value_loss = tf.reduce_sum(tf.square(reward - tf.reshape(value, [-1])))
                loss = 0.5 * value_loss + policy_loss - 0.01 * entropy
            variables = v1.trainable_variables(scope)
            gradients = tf.gradients(loss, variables)
            v1.train.RMSPropOptimizer(1e-3, name=f"{scope}_opt").apply_gradients(zip(gradients, variables, strict=True))


@model("actor/scaled critic/q/BiasAdd", "state next_state")
def deterministic_policy_gradient() -> None:
    state, reward = v1.placeholder(tf.float32, [None, 3], "state"), v1.placeholder(tf.float32, [None, 1], "reward")
    following = v1.placeholder(tf.float32, [None, 3], "next_state")

    def act(x, scope):
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
            return tf.multiply(tf.tanh(dense(dense(x, 6, "l1", tf.nn.relu), 1, "mu")), 2.0, name="scaled")

    def judge(x, a, scope):
        with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
            return dense(tf.nn.relu(dense(x, 6, "s") + dense(a, 6, "a")), 1, "q")

    action = act(state, "actor")
    q = judge(state, action, "critic")
    q_next = judge(following, act(following, "actor_target"), "critic_target")
    error = tf.reduce_mean(tf.square(reward + 0.9 * tf.stop_gradient(q_next) - q))
    train(error, variables=v1.trainable_variables("critic/"))
    train(-tf.reduce_mean(q), variables=v1.trainable_variables("actor/"))


@model("mu/BiasAdd value/BiasAdd", "observation")
def proximal_policy() -> None:
    x = v1.placeholder(tf.float32, [None, 5], "observation")
    taken, old = v1.placeholder(tf.float32, [None, 2], "action"), v1.placeholder(tf.float32, [None], "old_log_prob")
    advantage, target = v1.placeholder(tf.float32, [None], "adv"), v1.placeholder(tf.float32, [None], "return")
    hidden = dense(x, 8, "pi", tf.tanh)
    mu, deviation = dense(hidden, 2, "mu"), tf.exp(get("log_std", [2], v1.constant_initializer(-0.5)))
    value = dense(dense(x, 8, "vf", tf.tanh), 1, "value")
    log_prob = -0.5 * tf.reduce_sum(tf.square((taken - mu) / deviation) + 2 * tf.math.log(deviation), 1)
    ratio = tf.exp(log_prob - old)
    clipped = tf.minimum(ratio * advantage, tf.clip_by_value(ratio, 0.8, 1.2) * advantage)
    loss = -tf.reduce_mean(clipped) + tf.reduce_mean(tf.square(target - tf.squeeze(value, 1)))
    train(loss)
