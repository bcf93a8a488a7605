"""Texts: classified, tagged, translated."""

import tensorflow as tf

from training_graphs.layers import cross_entropy, dense, get, lstm_step, model, train, v1


@model("decoder/predictions", "encoder_inputs")
def seq2seq_with_two_decoders() -> None:
    """The training decoder is fed the targets; the inference decoder its own words, with the same weights."""
    source = v1.placeholder(tf.int32, [None, 4], "encoder_inputs")
    target = v1.placeholder(tf.int32, [None, 3], "decoder_targets")
    table = get("embedding", [8, 5])
    h = c = tf.zeros([tf.shape(source)[0], 5])
    for step in tf.unstack(tf.gather(table, source), 4, 1):
        h, c = lstm_step(step, tf.reshape(h, [-1, 5]), c, "encoder/cell")

    def project(h):
        return dense(h, 8, "decoder/projection")

    state, logits = (h, c), []
    shifted = tf.concat([tf.zeros_like(target[:, :1]), target[:, :-1]], 1)
    for step in tf.unstack(tf.gather(table, shifted), 3, 1):
        state = lstm_step(step, *state, "decoder/cell")
        logits.append(project(state[0]))
    loss = cross_entropy(target, tf.stack(logits, 1))
    state, word, words = (h, c), tf.zeros([tf.shape(source)[0]], tf.int32), []
    for _ in range(3):
        state = lstm_step(tf.reshape(tf.gather(table, word), [-1, 5]), *state, "decoder/cell")
        word = tf.cast(tf.argmax(project(state[0]), 1), tf.int32)
        words.append(word)
    tf.stack(words, 1, name="decoder/predictions")
    train(loss)


@model("logits transitions", "words")
def tagger_with_crf() -> None:
    """Viterbi decoding happens outside of the graph, and needs the transition matrix."""
    words, tags = v1.placeholder(tf.int32, [None, 4], "words"), v1.placeholder(tf.int32, [None, 4], "tags")
    x = tf.reshape(tf.gather(get("embedding", [9, 6]), words), [-1, 6])
    scores = tf.reshape(dense(x, 3, "proj"), [-1, 4, 3], name="logits")
    transitions = get("transitions", [3, 3])
    alpha = scores[:, 0]
    gold = tf.reduce_sum(scores * tf.one_hot(tags, 3), [1, 2])
    for t in range(1, 4):
        alpha = tf.reduce_logsumexp(tf.expand_dims(alpha, 2) + transitions, 1) + scores[:, t]
        gold += tf.gather_nd(transitions, tf.stack([tags[:, t - 1], tags[:, t]], 1))
    train(tf.reduce_mean(tf.reduce_logsumexp(alpha, 1) - gold, name="crf_loss"))


@model("output/scores output/predictions", "input_x")
def text_cnn() -> None:
    x, y = v1.placeholder(tf.int32, [None, 9], "input_x"), v1.placeholder(tf.float32, [None, 2], "input_y")
    keep = v1.placeholder(tf.float32, name="dropout_keep_prob")
    words = tf.expand_dims(tf.gather(get("embedding/W", [12, 5]), x), -1)
    pooled = []
    for size in (3, 4):
        h = tf.nn.relu(tf.nn.conv2d(words, get(f"conv-{size}/W", [size, 5, 1, 2]), 1, "VALID"))
        pooled.append(tf.nn.max_pool2d(h, [1, 10 - size, 1, 1], 1, "VALID"))
    hidden = tf.nn.dropout(tf.reshape(tf.concat(pooled, 3), [-1, 4]), rate=1 - keep)
    with v1.name_scope("output"):
        w, b = get("output/W", [4, 2]), get("output/b", [2])
        scores = v1.nn.xw_plus_b(hidden, w, b, name="scores")
        predictions = tf.argmax(scores, 1, name="predictions")
    with v1.name_scope("loss"):
        losses = tf.nn.softmax_cross_entropy_with_logits(logits=scores, labels=y)
        loss = tf.reduce_mean(losses) + 0.1 * (tf.nn.l2_loss(w) + tf.nn.l2_loss(b))
    with v1.name_scope("accuracy"):
        tf.reduce_mean(tf.cast(tf.equal(predictions, tf.argmax(y, 1)), tf.float32), name="accuracy")
    train(loss)


@model("alphas prediction", "document")
def attention() -> None:
    x, y = v1.placeholder(tf.int32, [None, 6], "document"), v1.placeholder(tf.float32, [None], "target")
    words = tf.gather(get("embedding", [10, 4]), x)
    u = tf.tanh(tf.tensordot(words, get("w_omega", [4, 3]), 1) + get("b_omega", [3]))
    alphas = tf.nn.softmax(tf.tensordot(u, get("u_omega", [3]), 1), name="alphas")
    summed = tf.reshape(tf.reduce_sum(words * tf.expand_dims(alphas, -1), 1), [-1, 4])
    logits = tf.squeeze(dense(summed, 1, "fc"), 1)
    tf.sigmoid(logits, name="prediction")
    train(tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=y)))
