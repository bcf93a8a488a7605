"""Recurrent networks over sequences."""

import tensorflow as tf

from kinds import control_flow
from training_graphs.layers import cross_entropy, dense, get, lstm_step, model, train, v1


@model("logits", "sequence")
def unrolled_lstm() -> None:
    x = v1.placeholder(tf.float32, [None, 5, 3], "sequence")
    y = v1.placeholder(tf.int64, [None], "y")
    h = c = tf.zeros([tf.shape(x)[0], 4])
    for step in tf.unstack(x, 5, 1):
        h, c = lstm_step(step, tf.reshape(h, [-1, 4]), c)
    logits = tf.add(tf.matmul(h, get("out/w", [4, 2])), get("out/b", [2]), name="logits")
    train(cross_entropy(y, logits, "cost"))
    tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32), name="accuracy")


@model("probs", "input_data")
def character_rnn() -> None:
    """Probabilities and the final state, which a sampler feeds back."""
    ids = v1.placeholder(tf.int32, [4, 6], "input_data")
    targets = v1.placeholder(tf.int32, [4, 6], "targets")
    h = v1.placeholder_with_default(tf.zeros([4, 5]), [4, 5], "state_h")
    c = v1.placeholder_with_default(tf.zeros([4, 5]), [4, 5], "state_c")
    outputs = []
    for step in tf.unstack(tf.gather(get("embedding", [9, 5]), ids), 6, 1):
        h, c = lstm_step(step, h, c)
        outputs.append(h)
    logits = dense(tf.reshape(tf.concat(outputs, 1), [-1, 5]), 9, "softmax")
    tf.nn.softmax(logits, name="probs")
    tf.stack([h, c], name="final_state")
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(targets, [-1]), logits=logits)
    cost = tf.reduce_sum(losses) / 4 / 6
    variables = v1.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(cost, variables), 5.0)
    rate = get("learning_rate", [], v1.constant_initializer(0.1), trainable=False)
    v1.train.AdamOptimizer(rate).apply_gradients(zip(gradients, variables, strict=True))


@model("dynamic/probabilities", "tokens lengths")
def dynamic_rnn() -> None:
    tokens = v1.placeholder(tf.int32, [None, None], "tokens")
    lengths = v1.placeholder(tf.int32, [None], "lengths")
    labels = v1.placeholder(tf.int64, [None], "labels")
    x = tf.transpose(tf.gather(get("embedding", [11, 4]), tokens), [1, 0, 2])
    batch, time = tf.shape(tokens)[0], tf.shape(tokens)[1]
    shapes = [tf.TensorShape([]), tf.TensorShape([None, 4])]
    with control_flow(1):
        array = tf.TensorArray(tf.float32, time).unstack(x)

        def step(t, h):
            new = tf.tanh(dense(tf.concat([tf.reshape(array.read(t), [-1, 4]), h], 1), 4, "rnn/cell"))
            return t + 1, tf.where(tf.expand_dims(t < lengths, 1), new, h)

        _, h = v1.while_loop(lambda t, h: t < time, step, [0, tf.zeros([batch, 4])], shape_invariants=shapes)
        logits = dense(tf.reshape(h, [-1, 4]), 2, "dynamic/logits")
        tf.nn.softmax(logits, name="dynamic/probabilities")
        train(cross_entropy(labels, logits))


@model("logits CTCGreedyDecoder", "inputs seq_len")
def speech_with_ctc() -> None:
    x = v1.placeholder(tf.float32, [None, None, 5], "inputs")
    targets, lengths = v1.sparse_placeholder(tf.int32, name="targets"), v1.placeholder(tf.int32, [None], "seq_len")
    shape = tf.shape(x)
    hidden = tf.reshape(dense(tf.reshape(x, [-1, 5]), 6, "hidden", tf.nn.relu), [-1, 6])
    logits = tf.transpose(tf.reshape(dense(hidden, 4, "out"), [shape[0], -1, 4]), [1, 0, 2], name="logits")
    loss = tf.reduce_mean(v1.nn.ctc_loss(targets, logits, lengths))
    train(loss, v1.train.MomentumOptimizer(0.01, 0.9))
    decoded, _ = tf.nn.ctc_greedy_decoder(logits, lengths)
    tf.reduce_mean(v1.edit_distance(tf.cast(decoded[0], tf.int32), targets), name="label_error_rate")
