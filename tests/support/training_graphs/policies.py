"""Reinforcement learning by policies: actors, and critics of them."""

import tensorflow as tf

from kinds import control_flow
from training_graphs.layers import LSTM, dense, get, model, train, v1, variable


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


STEPS = "worker_0/states worker_0/c_in worker_0/h_in"


@model("worker_0/policy/Softmax worker_0/value/BiasAdd worker_0/c_out worker_0/h_out", STEPS)
def asynchronous_actor_with_a_memory() -> None:
    """The state of an LSTM is fed and fetched; the steps of an episode are its batch."""
    with v1.variable_scope("worker_0"):
        inputs = v1.placeholder(shape=[None, 5], dtype=tf.float32, name="states")
        hidden = dense(inputs, 6, "fully_connected", tf.nn.elu, ("weights", "biases"))
        c_in, h_in = v1.placeholder(tf.float32, [1, 4], "c_in"), v1.placeholder(tf.float32, [1, 4], "h_in")
        with control_flow(1):
            outputs, (c, h) = v1.nn.dynamic_rnn(
                LSTM(4), tf.expand_dims(hidden, [0]), initial_state=(c_in, h_in), sequence_length=tf.shape(inputs)[:1]
            )
            rnn_out = tf.reshape(outputs, [-1, 4])
            tf.identity(c[:1, :], "c_out"), tf.identity(h[:1, :], "h_out")
            with v1.variable_scope("policy"):
                scores = tf.matmul(rnn_out, get("weights", [4, 3], v1.random_normal_initializer(stddev=0.01)))
                policy = tf.nn.softmax(scores)
            value = dense(rnn_out, 1, "value", names=("weights", "biases"))
            actions = v1.placeholder(shape=[None], dtype=tf.int32, name="actions")
            target_v = v1.placeholder(shape=[None], dtype=tf.float32, name="target_v")
            advantages = v1.placeholder(shape=[None], dtype=tf.float32, name="advantages")
            responsible = tf.reduce_sum(policy * tf.one_hot(actions, 3, dtype=tf.float32), [1])
            value_loss = 0.5 * tf.reduce_sum(tf.square(target_v - tf.reshape(value, [-1])))
            entropy = -tf.reduce_sum(policy * tf.math.log(policy))
            policy_loss = -tf.reduce_sum(tf.math.log(responsible) * advantages)
            local_vars = v1.trainable_variables("worker_0")
            gradients = tf.gradients(0.5 * value_loss + policy_loss - entropy * 0.01, local_vars)
        tf.linalg.global_norm(local_vars)
        grads, _ = tf.clip_by_global_norm(gradients, 40.0)
    with v1.variable_scope("global"):
        shared = [get(v.op.name.replace("worker_0/", ""), v.shape) for v in local_vars]
    v1.train.AdamOptimizer(1e-4).apply_gradients(zip(grads, shared, strict=True))
    for mine, theirs in zip(local_vars, shared, strict=True):
        mine.assign(theirs)


@model("Softmax ArgMax", "Placeholder")
def agent_of_unnamed_variables() -> None:
    """Gradients are fetched, gathered over episodes outside of the graph, and fed."""
    state_in = v1.placeholder(shape=[None, 4], dtype=tf.float32)
    W1, W2 = variable(v1.random_normal([4, 8], stddev=0.3)), variable(v1.random_normal([8, 2], stddev=0.3))
    output = tf.nn.softmax(tf.matmul(tf.nn.relu(tf.matmul(state_in, W1)), W2))
    tf.argmax(output, 1)
    reward_holder = v1.placeholder(shape=[None], dtype=tf.float32)
    action_holder = v1.placeholder(shape=[None], dtype=tf.int32)
    indexes = tf.range(0, tf.shape(output)[0]) * tf.shape(output)[1] + action_holder
    responsible_outputs = tf.gather(tf.reshape(output, [-1]), indexes)
    loss = -tf.reduce_mean(tf.math.log(responsible_outputs) * reward_holder)
    tvars = v1.trainable_variables()
    holders = [v1.placeholder(tf.float32, name=f"{i}_holder") for i, _ in enumerate(tvars)]
    tf.gradients(loss, tvars)
    v1.train.AdamOptimizer(learning_rate=1e-2).apply_gradients(zip(holders, tvars, strict=True))


@model("model/ArgMax model/neglogp model/vf/value", "Ob")
def acting_and_learning_models() -> None:
    """What acts is fed one observation of each environment, what learns all steps; they share their weights."""

    def network(X):
        with v1.variable_scope("model", reuse=v1.AUTO_REUSE):
            h = tf.tanh(dense(X, 6, "fc1", names=("w", "b")))
            return dense(h, 3, "pi", names=("w", "b")), dense(h, 1, "vf", names=("w", "b"))[:, 0]

    act_pi, act_vf = network(v1.placeholder(tf.float32, [2, 5], "Ob"))
    with v1.name_scope("model/"):
        noise = v1.random_uniform(tf.shape(act_pi))
        drawn = tf.argmax(act_pi - tf.math.log(-tf.math.log(noise)), axis=-1)
        xent = tf.nn.softmax_cross_entropy_with_logits(logits=act_pi, labels=tf.one_hot(drawn, 3))
        tf.identity(xent, name="neglogp"), tf.identity(act_vf, name="vf/value")
    pi, vf = network(v1.placeholder(tf.float32, [8, 5], "Ob_1"))
    A, ADV, R = (
        v1.placeholder(kind, [8], name) for kind, name in ((tf.int32, "A"), (tf.float32, "ADV"), (tf.float32, "R"))
    )
    OLDNEGLOGPAC, OLDVPRED = (
        v1.placeholder(tf.float32, [8], "OLDNEGLOGPAC"),
        v1.placeholder(tf.float32, [8], "OLDVPRED"),
    )
    LR, CLIPRANGE = v1.placeholder(tf.float32, [], "LR"), v1.placeholder(tf.float32, [], "CLIPRANGE")
    neglogpac = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=pi, labels=A)
    p = tf.nn.softmax(pi)
    entropy = tf.reduce_mean(-tf.reduce_sum(p * tf.math.log(p + 1e-8), -1))
    vpredclipped = OLDVPRED + tf.clip_by_value(vf - OLDVPRED, -CLIPRANGE, CLIPRANGE)
    vf_loss = 0.5 * tf.reduce_mean(tf.maximum(tf.square(vf - R), tf.square(vpredclipped - R)))
    ratio = tf.exp(OLDNEGLOGPAC - neglogpac)
    pg_losses = tf.maximum(-ADV * ratio, -ADV * tf.clip_by_value(ratio, 1.0 - CLIPRANGE, 1.0 + CLIPRANGE))
    tf.reduce_mean(tf.square(neglogpac - OLDNEGLOGPAC), name="approxkl")
    loss = tf.reduce_mean(pg_losses) - entropy * 0.01 + vf_loss * 0.5
    params = v1.trainable_variables("model")
    grads, _ = tf.clip_by_global_norm(tf.gradients(loss, params), 0.5)
    v1.train.AdamOptimizer(learning_rate=LR, epsilon=1e-5).apply_gradients(zip(grads, params, strict=True))
