"""Reinforcement learning by the value of actions."""

import tensorflow as tf

from training_graphs.layers import dense, model, train, v1


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
