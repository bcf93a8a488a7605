"""Encoders and decoders of sequences, and texts in other styles."""

import tensorflow as tf

from training_graphs.layers import cross_entropy, dense, get, lstm_step, model, train, v1, variable


def encode(table, ids, units: int, scope: str):
    """All outputs, and the last state, of an LSTM that is unrolled."""
    h = c = tf.zeros([tf.shape(ids)[0], units])
    outputs = []
    for step in tf.unstack(tf.nn.embedding_lookup(table, ids), axis=1):
        h, c = lstm_step(step, tf.reshape(h, [-1, units]), c, scope)
        outputs.append(h)
    return tf.stack(outputs, 1), h, c


def attend(query, memory, scope: str):
    """A context by Luong's scores, and the scores after their softmax."""
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
        keys = tf.tensordot(memory, get("memory_layer/kernel", [memory.shape[-1], query.shape[-1]]), 1)
        align = tf.nn.softmax(tf.reduce_sum(keys * tf.expand_dims(query, 1), 2))
        return tf.reduce_sum(memory * tf.expand_dims(align, 2), 1), align


@model("decoding/sample_ids", "source_ids")
def attention_with_an_inference_decoder() -> None:
    """The training decoder reads the targets, the greedy one its own words; both attend to the encoder."""
    source, target = (
        v1.placeholder(tf.int32, [None, 5], "source_ids"),
        v1.placeholder(tf.int32, [None, 4], "target_ids"),
    )
    target_length = v1.placeholder(tf.int32, [None], "target_length")
    keep_prob = v1.placeholder(tf.float32, [], "keep_prob")
    table_in, table_out = get("encode/embedding", [11, 6]), get("decode/embedding", [9, 6])
    memory, h, c = encode(table_in, source, 6, "encode/lstm")
    memory = v1.nn.dropout(memory, keep_prob)

    def step(ids, state):
        h, c = lstm_step(tf.reshape(tf.gather(table_out, ids), [-1, 6]), *state, "decode/lstm")
        context, align = attend(h, memory, "decode/attention")
        mixed = dense(tf.concat([h, context], 1), 6, "decode/attention_layer", tf.tanh)
        return dense(mixed, 9, "decode/output"), (h, c)

    with v1.name_scope("training"):
        state, logits = (h, c), []
        for t in range(4):
            ids = target[:, t - 1] if t else tf.fill([tf.shape(target)[0]], 1)
            scores, state = step(ids, state)
            logits.append(scores)
        masks = tf.sequence_mask(target_length, 4, dtype=tf.float32, name="masks")
        crossent = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=tf.stack(logits, 1))
        cost = tf.reduce_sum(crossent * masks) / tf.reduce_sum(masks)
    with v1.name_scope("decoding"):
        state, ids, words = (h, c), tf.fill([tf.shape(source)[0]], 1), []
        for _ in range(4):
            scores, state = step(ids, state)
            ids = tf.argmax(scores, 1, output_type=tf.int32)
            words.append(ids)
        tf.stack(words, 1, name="sample_ids")
    with v1.name_scope("optimization"):
        optimizer = v1.train.AdamOptimizer(1e-3)
        capped = [(tf.clip_by_value(g, -1.0, 1.0), v) for g, v in optimizer.compute_gradients(cost) if g is not None]
        optimizer.apply_gradients(capped)


@model("decoder/logits", "encoder_inputs decoder_inputs")
def teacher_forcing() -> None:
    """There is one decoder, which reads what is fed as its past, and takes the size of the batch from it."""
    source, past = (
        v1.placeholder(tf.int32, [None, 4], "encoder_inputs"),
        v1.placeholder(tf.int32, [None, 5], "decoder_inputs"),
    )
    targets = v1.placeholder(tf.int32, [None, 5], "decoder_targets")
    _, h, c = encode(get("src_emb", [8, 5]), source, 5, "encoder/lstm_cell")
    batch = tf.shape(past)[0]
    fed, outputs = tf.zeros([batch, 5]), []
    for word in tf.unstack(tf.gather(get("tgt_emb", [7, 5]), past), axis=1):
        h, c = lstm_step(tf.concat([word, fed], 1), tf.reshape(h, [-1, 5]), c, "decoder/lstm_cell")
        fed = tf.reshape(dense(h, 5, "decoder/feed", tf.tanh), [-1, 5])
        outputs.append(fed)
    rows = tf.reshape(tf.stack(outputs, 1), [-1, 5])
    logits = tf.reshape(dense(rows, 7, "decoder/project"), tf.stack([batch, 5, 7]), name="decoder/logits")
    loss = tf.reduce_mean(
        tf.nn.softmax_cross_entropy_with_logits(labels=tf.one_hot(targets, 7, dtype=tf.float32), logits=logits)
    )
    v1.train.AdamOptimizer().minimize(loss)


@model("pointers", "cities")
def pointer_network() -> None:
    """The decoder points at what the encoder read; the order it points out is its result."""
    cities = v1.placeholder(tf.float32, [None, 4, 2], name="cities")
    tour = v1.placeholder(tf.int64, [None, 4], name="tour")
    h = c = tf.zeros([tf.shape(cities)[0], 6])
    memory = []
    for step in tf.unstack(cities, axis=1):
        h, c = lstm_step(step, tf.reshape(h, [-1, 6]), c, "enc")
        memory.append(h)
    memory = tf.stack(memory, 1)
    W1, W2, v = get("W1", [6, 6]), get("W2", [6, 6]), get("v", [6])
    x, all_scores, mask = tf.zeros([tf.shape(cities)[0], 2]), [], tf.zeros([tf.shape(cities)[0], 4])
    for _ in range(4):
        h, c = lstm_step(tf.reshape(x, [-1, 2]), tf.reshape(h, [-1, 6]), c, "dec")
        blend = tf.tanh(tf.tensordot(memory, W1, 1) + tf.expand_dims(tf.matmul(h, W2), 1))
        scores = tf.reduce_sum(v * blend, 2) - 1e6 * mask
        chosen = tf.one_hot(tf.argmax(scores, 1), 4)
        mask += chosen
        x = tf.reduce_sum(cities * tf.expand_dims(chosen, 2), 1)
        all_scores.append(scores)
    stacked = tf.stack(all_scores, 1)
    tf.argmax(stacked, 2, name="pointers")
    train(cross_entropy(tour, stacked), v1.train.GradientDescentOptimizer(0.1))


@model("score/fc2/BiasAdd score/ArgMax", "input_x")
def text_cnn_of_characters() -> None:
    """Scopes named for what they were thought to be; the class is fetched, and its softmax is nobody's."""
    input_x, input_y = (
        v1.placeholder(tf.int32, [None, 12], name="input_x"),
        v1.placeholder(tf.float32, [None, 5], name="input_y"),
    )
    keep_prob = v1.placeholder(tf.float32, name="keep_prob")
    embedding = get("embedding", [30, 6])
    embedding_inputs = tf.nn.embedding_lookup(embedding, input_x)
    with v1.name_scope("cnn"):
        with v1.variable_scope("conv"):
            kernel, bias = get("kernel", [3, 6, 8]), get("bias", [8], v1.zeros_initializer())
            h = tf.nn.bias_add(tf.nn.conv1d(embedding_inputs, kernel, 1, "VALID"), bias)
        gmp = tf.reduce_max(h, axis=[1], name="gmp")
    with v1.name_scope("score"):
        fc = tf.nn.relu(v1.nn.dropout(dense(gmp, 7, "fc1"), keep_prob))
        logits = dense(fc, 5, "fc2")
        y_pred_cls = tf.argmax(tf.nn.softmax(logits), 1)
    with v1.name_scope("optimize"):
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=input_y))
        v1.train.AdamOptimizer(learning_rate=1e-3).minimize(loss)
    with v1.name_scope("accuracy"):
        tf.reduce_mean(tf.cast(tf.equal(tf.argmax(input_y, 1), y_pred_cls), tf.float32))


@model("Softmax Softmax_1", "context question")
def span_of_an_answer() -> None:
    """Where an answer begins and where it ends; each is compared with a one-hot row."""
    context, question = v1.placeholder(tf.int32, [None, 7], "context"), v1.placeholder(tf.int32, [None, 3], "question")
    y1, y2 = v1.placeholder(tf.int32, [None, 7], "answer_index1"), v1.placeholder(tf.int32, [None, 7], "answer_index2")
    word_mat = v1.get_variable("word_mat", initializer=v1.random_normal([15, 5], seed=3), trainable=False)
    c_emb, q_emb = tf.nn.embedding_lookup(word_mat, context), tf.nn.embedding_lookup(word_mat, question)
    S = tf.einsum("bce,ef,bqf->bcq", c_emb, get("trilinear", [5, 5]), q_emb)
    c2q = tf.matmul(tf.reshape(tf.exp(S) / tf.reduce_sum(tf.exp(S), 2, keepdims=True), [-1, 7, 3]), q_emb)
    merged = tf.reshape(tf.concat([c_emb, c2q, c_emb * c2q], 2), [-1, 15])
    start = tf.squeeze(tf.reshape(dense(merged, 1, "start_pointer"), [-1, 7, 1]), -1)
    end = tf.squeeze(tf.reshape(dense(merged, 1, "end_pointer"), [-1, 7, 1]), -1)
    tf.nn.softmax(start), tf.nn.softmax(end)
    losses = tf.nn.softmax_cross_entropy_with_logits(logits=start, labels=tf.cast(y1, tf.float32))
    losses2 = tf.nn.softmax_cross_entropy_with_logits(logits=end, labels=tf.cast(y2, tf.float32))
    loss = tf.reduce_mean(losses + losses2)
    var_ema = v1.train.ExponentialMovingAverage(0.9)
    opt = v1.train.AdadeltaOptimizer(0.5, epsilon=1e-6)
    gradients, variables = zip(*opt.compute_gradients(loss), strict=True)
    capped, _ = tf.clip_by_global_norm(gradients, 5.0)
    opt.apply_gradients(zip(capped, variables, strict=True))
    var_ema.variables_to_restore()


@model("intent/add slots/Reshape_1", "tokens")
def intent_and_slots() -> None:
    tokens = v1.placeholder(tf.int32, [None, 5], name="tokens")
    slot_targets, intent_target = (
        v1.placeholder(tf.int32, [None, 5], name="slots_y"),
        v1.placeholder(tf.int32, [None], name="intent_y"),
    )
    outputs, h, _ = encode(variable(v1.random_uniform([13, 5], -0.1, 0.1), "embedding"), tokens, 5, "encoder")
    with v1.variable_scope("intent"):
        intent = tf.matmul(h, variable(v1.random_uniform([5, 4], -0.1, 0.1), "W")) + variable(tf.zeros([4]), "b")
    with v1.variable_scope("slots"):
        rows = tf.reshape(outputs, [-1, 5])
        slots = tf.matmul(rows, variable(v1.random_uniform([5, 6], -0.1, 0.1), "W")) + variable(tf.zeros([6]), "b")
        slots = tf.reshape(slots, [-1, 5, 6])
    with v1.variable_scope("loss"):
        crossent = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=slot_targets, logits=slots)
        loss = tf.reduce_mean(crossent) + cross_entropy(intent_target, intent)
    v1.train.AdamOptimizer(name="a_optimizer").minimize(loss)
